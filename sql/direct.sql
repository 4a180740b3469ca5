-- Sending reads and writes rows without the executor (table.c), but for what an operator has added to the tables: that is honoured.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['dir-ada', 'dir-bea', 'dir-cid']) name) made;
SELECT test.user('dir-ada') AS ada, test.user('dir-bea') AS bea, test.user('dir-cid') AS cid \gset
SELECT id AS pair FROM chat.open_direct_chat(:ada, :bea) \gset
SELECT id AS club FROM chat.create_group(:ada, 'Club', ARRAY[:bea, :cid]::bigint[]) \gset
SELECT count(*) FROM chat.send_message(:ada, :pair, 'first');

-- What a message leaves behind, and what stands in its way, in either way of sending.
CREATE FUNCTION test.left_behind(sender_id bigint, chat_id bigint) RETURNS TABLE (message text, chat text, sender text, listed bigint) LANGUAGE plpgsql AS $$
DECLARE
	before chat.chats := (SELECT c FROM chat.chats c WHERE c.id = left_behind.chat_id);
	sent record;
BEGIN
	SELECT s.* INTO sent FROM chat.send_message(sender_id, left_behind.chat_id, 'a body', attributes => '{"a": 1}', client_key => 'key', expires_in => '1 hour') s;
	RETURN QUERY SELECT concat_ws(' ', m.prev_id = before.last_event_id, m.number - before.message_count, m.kind, m.sender_id = left_behind.sender_id, m.body,
			m.reply_to_id IS NULL, m.attributes, m.client_key, m.expires_at > now(), m.mention_ids IS NULL, m.file_ids IS NULL, m.pinned, m.forwarded_from IS NULL),
		concat_ws(' ', c.last_event_id = m.id, c.prev_event_id = before.last_event_id, c.message_count = m.number, c.kind, c.title, c.deleted_id IS NULL),
		concat_ws(' ', s.read_id = m.id, s.read_count = m.number, s.mentions, s.role),
		(SELECT count(*) FROM chat.messages o WHERE o.chat_id = m.chat_id AND o.sender_id = m.sender_id AND o.client_key = 'key')
	  FROM chat.messages m JOIN chat.chats c ON c.id = m.chat_id JOIN chat.members s ON s.chat_id = m.chat_id AND s.user_id = m.sender_id
	 WHERE m.chat_id = left_behind.chat_id AND m.id = sent.id;
END
$$;
SET chat.direct_tables = on;
SELECT * FROM test.left_behind(:ada, :pair);
SELECT * FROM test.left_behind(:bea, :club);
SELECT test.error(format('SELECT chat.send_message(1, %s, ''x'')', :pair)), test.error(format('SELECT chat.send_message(%s, %s, ''x'')', :cid, :pair));
SET chat.direct_tables = off;
SELECT * FROM test.left_behind(:bea, :pair);
SELECT * FROM test.left_behind(:cid, :club);
SELECT test.error(format('SELECT chat.send_message(1, %s, ''x'')', :pair)), test.error(format('SELECT chat.send_message(%s, %s, ''x'')', :cid, :pair));
SET chat.direct_tables = on;
BEGIN READ ONLY;
SELECT chat.send_message(:ada, :pair, 'x');
ROLLBACK;
-- Two in one statement: the second one sees the first.
SELECT second.prev_id = first.id AS chained, second.number - first.number AS number
  FROM chat.send_message(:ada, :pair, 'x') first, LATERAL (SELECT s.* FROM chat.send_message(:bea, :pair, 'y ' || first.id) s) second;

-- Triggers of an operator
CREATE TABLE test.seen (table_name text, operation text, body text);
GRANT INSERT ON test.seen TO chat_owner; -- triggers and rules run as the owner of the tables
CREATE FUNCTION test.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO test.seen VALUES (TG_TABLE_NAME, TG_OP || ' ' || TG_LEVEL, CASE WHEN TG_TABLE_NAME = 'messages' AND TG_LEVEL = 'ROW' THEN to_jsonb(NEW) ->> 'body' END);
	RETURN NEW;
END
$$;
CREATE TRIGGER see AFTER INSERT ON chat.messages FOR EACH ROW EXECUTE FUNCTION test.see();
CREATE TRIGGER see AFTER UPDATE ON chat.chats FOR EACH ROW EXECUTE FUNCTION test.see();
CREATE TRIGGER see_title AFTER UPDATE OF title ON chat.chats FOR EACH ROW EXECUTE FUNCTION test.see();
CREATE TRIGGER see AFTER UPDATE OF read_count ON chat.members FOR EACH ROW EXECUTE FUNCTION test.see();
SELECT number > 0 AS sent FROM chat.send_message(:ada, :pair, 'seen');
SELECT * FROM test.seen ORDER BY 1, 2;
DROP TRIGGER see ON chat.messages;
DROP TRIGGER see ON chat.chats;
ALTER TABLE chat.members DISABLE TRIGGER see;
TRUNCATE test.seen;
SELECT number > 0 AS sent FROM chat.send_message(:ada, :pair, 'not seen');
SELECT * FROM test.seen;
DROP TRIGGER see ON chat.members;
DROP TRIGGER see_title ON chat.chats;
CREATE TRIGGER see BEFORE INSERT ON chat.messages FOR EACH STATEMENT EXECUTE FUNCTION test.see();
SELECT number > 0 AS sent FROM chat.send_message(:ada, :pair, 'seen as a whole');
SELECT * FROM test.seen;
DROP TRIGGER see ON chat.messages;

-- Rules of his
TRUNCATE test.seen;
CREATE RULE see AS ON INSERT TO chat.messages DO ALSO INSERT INTO test.seen VALUES ('messages', 'rule', NEW.body);
SELECT number > 0 AS sent FROM chat.send_message(:ada, :pair, 'seen by a rule');
SELECT * FROM test.seen;
DROP RULE see ON chat.messages;

-- Constraints, columns, and indexes of his
ALTER TABLE chat.messages ADD CONSTRAINT polite CHECK (body !~ 'rude');
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''rude'')', :ada, :pair)) ~ '^23514' AS refused;
ALTER TABLE chat.messages DROP CONSTRAINT polite;
BEGIN;
DELETE FROM chat.messages WHERE client_key IS NULL;
ALTER TABLE chat.messages ALTER COLUMN client_key SET NOT NULL;
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''without a key'')', :ada, :pair)) ~ '^23502' AS refused;
ROLLBACK;
-- Virtual where there is such a thing: it is not stored, and may be refused all the same.
SELECT CASE WHEN current_setting('server_version_num')::integer >= 180000 THEN 'VIRTUAL' ELSE 'STORED' END AS generated \gset
SELECT message_count AS sent FROM chat.chats WHERE id = :pair \gset
ALTER TABLE chat.chats ADD COLUMN room integer GENERATED ALWAYS AS (CASE WHEN id <> :pair OR message_count <= :sent THEN 1 END) :generated NOT NULL;
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''no room'')', :ada, :pair)) ~ '^23502' AS refused;
ALTER TABLE chat.chats DROP COLUMN room;
ALTER TABLE chat.messages ADD COLUMN shop text DEFAULT 'ours';
SELECT id AS sold FROM chat.send_message(:ada, :pair, 'with a column') \gset
SELECT shop FROM chat.messages WHERE chat_id = :pair AND id = :sold;
ALTER TABLE chat.messages DROP COLUMN shop;
CREATE INDEX messages_length ON chat.messages (length(body)) WHERE number > 3;
CREATE INDEX messages_brin ON chat.chats USING brin (last_event_id);
SELECT id AS indexed FROM chat.send_message(:ada, :pair, repeat('x', 777)) \gset
BEGIN;
SET LOCAL enable_seqscan = off;
SELECT count(*) FROM chat.messages WHERE length(body) = 777 AND number > 3;
SELECT count(*) FROM chat.chats WHERE last_event_id = :indexed;
ROLLBACK;
DROP INDEX chat.messages_length, chat.messages_brin;

-- Cursors: a plain move in either way, and what an operator wants to see of it.
SELECT id AS last FROM chat.send_message(:ada, :pair, 'to be read') \gset
SELECT unread, mentions, read_id = :last AS there FROM chat.mark_read(:bea, :pair, :last);
SELECT delivered_id = :last AS there FROM chat.mark_delivered(:bea, :pair, :last);
SELECT version = (SELECT version FROM chat.mark_read(:bea, :pair, :last)) AS unmoved, (SELECT moved FROM chat.members WHERE chat_id = :pair AND user_id = :bea) - (version >> 40) IN (0, 1) AS noted
  FROM chat.mark_read(:bea, :pair, :last);
SELECT id AS last FROM chat.send_message(:ada, :pair, 'to be read too') \gset
SET chat.direct_tables = off;
SELECT unread, mentions, read_id = :last AS there FROM chat.mark_read(:bea, :pair, :last);
SELECT delivered_id = :last AS there FROM chat.mark_delivered(:bea, :pair, :last);
SET chat.direct_tables = on;
SELECT test.error(format('SELECT chat.mark_read(%s, %s, %s)', :cid, :pair, :last)), test.error(format('SELECT chat.mark_read(%s, 1, %s)', :bea, :last)), test.error(format('SELECT chat.mark_read(NULL, %s, 1)', :pair));
SELECT test.error(format('SELECT chat.set_typing(%s, %s)', :cid, :pair)), test.error(format('SELECT chat.set_typing(%s, NULL)', :bea)), test.error(format('SELECT chat.set_typing(NULL, %s)', :pair));
TRUNCATE test.seen;
CREATE TRIGGER see AFTER UPDATE OF read_id ON chat.members FOR EACH ROW EXECUTE FUNCTION test.see();
SELECT id AS last FROM chat.send_message(:ada, :pair, 'to be seen') \gset
SELECT unread FROM chat.mark_read(:bea, :pair, :last);
SELECT count(*) FROM test.seen; -- sending moves a cursor too
DROP TRIGGER see ON chat.members;
BEGIN READ ONLY;
SELECT chat.mark_read(:bea, :pair, :last);
ROLLBACK;
BEGIN READ ONLY;
SELECT chat.lock_chat(:pair);
ROLLBACK;
SELECT test.error('SELECT chat.lock_chat(1)'), test.error('SELECT chat.lock_chat(NULL)');

-- A row that has no room on its page moves to another, with entries in all indexes.
UPDATE chat.chats SET attributes = (SELECT jsonb_object_agg(n, md5(n::text)) FROM generate_series(1, 60) n) WHERE id = :club;
SELECT max(number) AS last FROM generate_series(1, 300) n, LATERAL chat.send_message(:ada, :club, 'message ' || n) \gset
SELECT message_count = :last AS counted FROM chat.chats WHERE id = :club;
SET enable_seqscan = off;
SELECT count(*) FROM chat.chats WHERE id = :club;
SELECT count(*) FROM chat.members WHERE user_id = :ada AND chat_id = :club;
RESET enable_seqscan;
SELECT * FROM chat.verify() WHERE NOT ok;
-- Each index has what it should have of its table, the partial ones too.
CREATE EXTENSION amcheck;
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree',
	LATERAL bt_index_check(c.oid, true) checked
 WHERE i.indrelid IN ('chat.chats'::regclass, 'chat.members'::regclass, 'chat.messages'::regclass) ORDER BY 1;
SELECT count(*) > 0 AS some FROM chat.messages WHERE client_key IS NOT NULL AND expires_at IS NOT NULL;
DROP EXTENSION amcheck;
RESET chat.direct_tables;
DROP FUNCTION test.left_behind, test.see;
DROP TABLE test.seen;

-- A whole account: taking it along, and ending it.
\set SHOW_CONTEXT never
SELECT user_name FROM chat.register_user('zelda.erased', 'correct horse', 'Zelda Zimmer', 'zelda@example.org', '+49 555 0199');
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['zoran', 'zita']) name) made;
SELECT test.user('zelda.erased') AS zelda, test.user('zoran') AS zoran, test.user('zita') AS zita \gset
-- Zelda everywhere: profile, sessions, failed logins, connections, blocks, presence, messages in a direct chat, a group and her notes.
SELECT user_name FROM chat.edit_profile(:zelda, attributes => '{"about": "Zelda Zimmer, zelda@example.org"}');
UPDATE chat.users SET external_issuer = 'https://id.example', external_subject = 'zelda@example.org' WHERE id = :zelda;
SELECT session_id AS session FROM chat.log_in('zelda.erased', 'correct horse', 'Zelda Zimmer''s phone', '192.0.2.1') \gset
SELECT error ->> 'reason' AS reason FROM chat.log_in('zelda.erased', 'wrong');
SELECT chat.renew_presence(NULL, ARRAY[:session]) > 0 AS live;
SELECT status FROM chat.set_presence(:zelda, 'busy', 'call +49 555 0199');
SELECT state FROM chat.invite_user(:zelda, :zoran);
SELECT state FROM chat.accept_connection(:zoran, :zelda);
SELECT count(*) FROM chat.block_user(:zita, :zelda);
SELECT id AS chat FROM chat.open_direct_chat(:zelda, :zoran) \gset
SELECT id AS message FROM chat.send_message(:zelda, :chat, 'I am Zelda Zimmer', attributes => '{"mail": "zelda@example.org"}', client_key => 'zelda.erased 1') \gset
SELECT number FROM chat.send_message(:zoran, :chat, 'hello', reply_to_id => :message);
SELECT number FROM chat.send_message(:zelda, (SELECT id FROM chat.open_direct_chat(:zelda, :zelda)), 'note: zelda@example.org');
SELECT id AS group FROM chat.create_group(:zoran, 'Group', ARRAY[:zelda, :zita]::bigint[]) \gset
SELECT role FROM chat.set_member_role(:zoran, :group, :zelda, 'owner');
SELECT number FROM chat.send_message(:zelda, :group, 'call me: +49 555 0199');
SELECT number FROM chat.send_message(:zita, :group, 'who is that?');
SELECT media FROM chat.start_call(:zelda, :group, client_key => 'zelda.erased 2');
SELECT body FROM chat.edit_message(:zelda, :chat, :message, 'I am Zelda Zimmer, truly');
SELECT pinned FROM chat.pin_message(:zoran, :chat, :message);
SELECT count(*) FROM chat.add_reaction(:zoran, :chat, :message, 'wave');
SELECT id AS file FROM chat.add_file_link(:zelda, 'zelda.zimmer.txt', 'text/plain', 5, 'https://files.example/zelda.zimmer') \gset
SELECT name FROM chat.share_file(:zelda, :file, :zoran);
SELECT id AS carrier FROM chat.send_message(:zelda, :group, 'Zimmer, plan', file_ids => ARRAY[:file], mention_ids => ARRAY[:zita]) \gset
SELECT id AS forwarded FROM chat.forward_message(:zoran, :chat, :message, (SELECT id FROM chat.open_direct_chat(:zoran, :zita))) \gset
SELECT (chat.delete_message(:zoran, (SELECT id FROM chat.open_direct_chat(:zoran, :zita)), :forwarded)).deleted_at IS NOT NULL AS taken_back;
SELECT count(*) FROM chat.save_draft(:zelda, :group, 'Zelda Zimmer begins');
SELECT count(*) FROM chat.schedule_message(:zelda, now() + interval '1 hour', :group, 'Zelda Zimmer, later');
SELECT test.work('index_messages') > 0 AS indexed;

-- Every text and jsonb value of every table, from the catalog
CREATE FUNCTION test.personal(words text) RETURNS TABLE (place text, times bigint) LANGUAGE plpgsql AS $$
DECLARE
	text_column record;
BEGIN
	FOR text_column IN
		SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		 WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
		   AND a.atttypid IN ('text'::regtype, 'json'::regtype, 'jsonb'::regtype, 'text[]'::regtype, 'varchar'::regtype, 'tsvector'::regtype)
		 ORDER BY c.relname, a.attnum
	LOOP
		EXECUTE format('SELECT count(*) FROM chat.%I t WHERE t.%I::text ~* $1', text_column.relname, text_column.attname) INTO times USING words;
		place := text_column.relname || '.' || text_column.attname;
		IF times > 0 THEN RETURN NEXT; END IF;
	END LOOP;
END
$$;
SELECT * FROM test.personal('zelda|zimmer|555 0199');

-- The export has all of it: each table's rows as they are, ids as strings, no secrets.
SELECT chat.export_user(:zelda) AS export \gset
SELECT key, jsonb_array_length(value) AS rows FROM jsonb_each(:'export') WHERE value <> '[]' ORDER BY key;
SELECT :'export'::jsonb #>> '{users,0,email}' AS email, :'export'::jsonb #> '{users,0,attributes}' AS attributes, jsonb_typeof(:'export'::jsonb #> '{users,0,id}') AS id;
SELECT row ->> 'body' AS body, row -> 'attributes' AS attributes FROM jsonb_array_elements(:'export'::jsonb -> 'messages') row WHERE row ->> 'kind' = 'user' ORDER BY (row ->> 'id')::bigint;
SELECT row ->> 'body' AS earlier_body FROM jsonb_array_elements(:'export'::jsonb -> 'message_edits') row;
SELECT :'export' ~ 'hash|\$2a\$' AS secrets, :'export' ~ 'who is that|"hello"' AS others;
SELECT key FROM jsonb_each(:'export') EXCEPT SELECT relname FROM pg_class WHERE relnamespace = 'chat'::regnamespace;
-- Every column that names somebody is one that the export goes by, or names others.
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind = 'r' AND a.atttypid = 'bigint'::regtype
   AND NOT EXISTS (SELECT FROM chat.owned_rows() o WHERE o.table_name = c.relname AND o.condition LIKE format('%%t.%I = $1%%', a.attname))
   AND a.attname ~ '(user|owner|sender|creator|starter|actor|blocker|blocked|author|member)_id$' ORDER BY 1, 2;
SELECT test.error('SELECT chat.export_user(1)');

-- What others can read of hers, by each function there is
CREATE TABLE test.readers AS SELECT :zelda::bigint AS zelda, :zoran::bigint AS reader, :chat::bigint AS chat, :message::bigint AS message UNION ALL SELECT :zelda, :zita, :group, :carrier;
CREATE VIEW test.readable AS
	SELECT 'list_messages' AS by, to_jsonb(m) AS shown FROM test.readers r, LATERAL chat.list_messages(r.reader, r.chat, page_size => 100) m
	UNION ALL SELECT 'get_message', to_jsonb(m) FROM test.readers r, LATERAL chat.get_message(r.reader, r.chat, r.message) m
	UNION ALL SELECT 'list_chats', to_jsonb(c) FROM test.readers r, LATERAL chat.list_chats(r.reader) c
	UNION ALL SELECT 'get_chat', to_jsonb(c) FROM test.readers r, LATERAL chat.get_chat(r.reader, r.chat) c
	UNION ALL SELECT 'list_pins', to_jsonb(p) FROM test.readers r, LATERAL chat.list_pins(r.reader, r.chat) p
	UNION ALL SELECT 'list_chat_files', to_jsonb(f) FROM test.readers r, LATERAL chat.list_chat_files(r.reader, r.chat) f
	UNION ALL SELECT 'list_message_edits', to_jsonb(e) FROM test.readers r, LATERAL chat.list_message_edits(r.reader, r.chat, r.message) e
	UNION ALL SELECT 'list_reactions', to_jsonb(e) || '{"to": "Zelda"}' FROM test.readers r, LATERAL chat.list_reactions(r.reader, r.chat, r.message) e
	UNION ALL SELECT 'search_messages', to_jsonb(s) FROM test.readers r, LATERAL chat.search_messages(r.reader, 'zimmer or call or note') s
	UNION ALL SELECT 'list_events', to_jsonb(e) FROM test.readers r, LATERAL chat.list_events(r.reader, r.chat, page_size => 100) e WHERE e.type IN ('message', 'message_edited')
	UNION ALL SELECT 'event', to_jsonb(e) FROM chat.events v, LATERAL test.event(v.chat_id, v.id) e WHERE v.type = 'message_edited' AND v.actor_id = (SELECT zelda FROM test.readers LIMIT 1)
	UNION ALL SELECT 'read_events', to_jsonb(e) FROM chat.read_events(0, 1000) e WHERE e.type IN ('message', 'message_edited') AND e.event ->> 'actor_id' = (SELECT zelda::text FROM test.readers LIMIT 1)
	UNION ALL SELECT 'v_messages', to_jsonb(m) FROM chat.v_messages m WHERE m.sender_id = (SELECT zelda FROM test.readers LIMIT 1)
	UNION ALL SELECT 'list_files', to_jsonb(f) FROM test.readers r, LATERAL chat.list_files(r.reader, 0) f
	UNION ALL SELECT 'push', to_jsonb(chat.push_title(r.chat, r.message) || coalesce(chat.push_preview(r.chat, r.message), '')) FROM test.readers r;
SELECT by, count(*) FILTER (WHERE shown::text ~* 'zelda|zimmer|555 0199') > 0 AS hers FROM test.readable WHERE by <> 'read_events' GROUP BY by ORDER BY by;

-- The password is asked for.
SELECT user_id, error ->> 'reason' AS reason FROM chat.delete_account(:zelda, 'wrong horse');
SELECT user_id, error ->> 'reason' AS reason FROM chat.delete_account(:zelda);
SELECT error ->> 'reason' AS reason FROM chat.log_in('zelda.erased', 'correct horse');
SELECT user_id = :zelda AS done, error FROM chat.delete_account(:zelda, 'correct horse');

-- At once, and by a few rows, whatever is left to be removed: nobody reads anything of hers, by whatever function.
SELECT count(*) AS kept FROM chat.messages m WHERE m.sender_id = :zelda AND m.body <> '';
SELECT by, count(*) > 0 AS shown, count(*) FILTER (WHERE shown::text ~* 'zelda|zimmer|555 0199') AS hers FROM test.readable WHERE by <> 'read_events' GROUP BY by ORDER BY by;
-- Without preload read_events shows what is some seconds old.
SELECT (count(*) > 0) = coalesce(chat.delivery_stat('ids') > 0, false) AS shown, count(*) FILTER (WHERE shown::text ~* 'zelda|zimmer|555 0199') AS hers FROM test.readable WHERE by = 'read_events';
SELECT deleted_at IS NOT NULL AS deleted, body, attributes, files::text, mentions, pinned, edited_at FROM chat.get_message(:zita, :group, :carrier);
SELECT test.error(format('SELECT chat.get_file(%s, %s)', :zoran, :file)), test.error(format('SELECT chat.read_file(%s, %s)', :zita, :file));
SELECT test.error(format('SELECT chat.forward_message(%s, %s, %s, %s)', :zoran, :chat, :message, :group)), test.error(format('SELECT chat.pin_message(%s, %s, %s)', :zoran, :chat, :message));
SELECT (chat.remove_reaction(:zoran, :chat, :message, 'wave')).reactions::text, (chat.delete_message(:zoran, :group, :carrier)).deleted_at IS NOT NULL AS deleted;
SELECT count(*) FROM chat.sync(:zoran, chat.id_at(now() - interval '1 hour'), 1000) s WHERE s::text ~* 'zelda|zimmer|555 0199';
SELECT test.error(format('SELECT chat.export_user(%s)', :zelda));
-- Nor can she do anything, though she is in the group yet.
SELECT left_id IS NULL AS is_in FROM chat.members WHERE chat_id = :group AND user_id = :zelda;
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''x'')', :zelda, :group)), test.error(format('SELECT chat.set_typing(%s, %s)', :zelda, :group)), test.error(format('SELECT chat.list_chats(%s)', :zelda));
SET chat.direct_tables = off;
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''x'')', :zelda, :group));
SELECT by, count(*) > 0 AS shown, count(*) FILTER (WHERE shown::text ~* 'zelda|zimmer|555 0199') AS hers FROM test.readable WHERE by <> 'read_events' GROUP BY by ORDER BY by;
RESET chat.direct_tables;
SELECT "check", detail FROM chat.verify() WHERE NOT ok;
-- Again is no error, and begins nothing anew.
SELECT user_id = :zelda AS done, error FROM chat.delete_account(:zelda, 'correct horse'), chat.erase_user(:zelda);
SELECT value FROM chat.stats WHERE name = 'erasures';
-- Maintenance removes it: the group first, which has another owner then, some rows at a time.
SELECT done FROM chat.run_job('erase_users', 1);
SELECT user_id = :zoran AS owner FROM chat.members WHERE chat_id = :group AND role = 'owner';
SELECT test.work('erase_users') > 0 AS worked;
SELECT count(*) AS left FROM chat.erasures;
SELECT test.work('erase_users');
SELECT jsonb_array_length(chat.export_user(:zelda) -> 'users') AS exported;
DROP VIEW test.readable;
DROP TABLE test.readers;
SELECT "check", detail FROM chat.verify() WHERE NOT ok;
SELECT * FROM test.personal('zelda|zimmer|555 0199');
SELECT count(*) AS sessions FROM chat.sessions WHERE user_id = :zelda;
SELECT error ->> 'reason' AS reason FROM chat.log_in('zelda.erased', 'correct horse');
SELECT user_name = 'deleted.' || id AS named, display_name, status, deleted FROM chat.get_user(:zoran, :zelda);
SELECT test.error(format('SELECT chat.create_session(%s)', :zelda)), test.error(format('SELECT chat.edit_profile(%s, NULL, ''Zelda'')', :zelda));

-- Others' history: complete, with deleted messages where hers were, counters as they were.
SELECT sender_id = :zelda AS hers, number, body, deleted_at IS NOT NULL AS deleted, reply ->> 'body' AS reply FROM chat.list_messages(:zoran, :chat);
SELECT kind, sender_id = :zelda AS hers, body, deleted_at IS NOT NULL AS deleted FROM chat.list_messages(:zita, :group) WHERE kind = 'user';
SELECT c.message_count = (SELECT count(*) FROM chat.messages m WHERE m.chat_id = c.id AND m.kind = 'user') AS counted,
	c.member_count = (SELECT count(*) FROM chat.members m WHERE m.chat_id = c.id AND m.left_id IS NULL) AS members FROM chat.chats c WHERE c.id IN (:chat, :group);
SELECT type, count(*) FROM chat.events WHERE actor_id = :zelda AND type IN ('message_deleted', 'member_left') GROUP BY type ORDER BY type;
-- Each event knows the one before.
SELECT count(*) FROM (SELECT e.prev_id, lag(e.id) OVER (PARTITION BY e.chat_id ORDER BY e.id) AS before FROM
	(SELECT chat_id, id, prev_id FROM chat.messages UNION SELECT chat_id, id, prev_id FROM chat.events) e WHERE e.chat_id IN (:chat, :group)) e WHERE before <> prev_id;
SELECT user_id = :zelda AS hers, state FROM chat.list_connections(:zoran, 0);
SELECT count(*) FROM chat.list_blocks(:zita);
SELECT other_user ->> 'display_name' AS other FROM chat.get_chat(:zoran, :chat);
-- Nobody can reach her any more.
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''?'')', :zoran, :chat));
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''?'')', :zelda, :chat));
SELECT test.error(format('SELECT chat.invite_user(%s, %s)', :zoran, :zelda)), test.error(format('SELECT chat.block_user(%s, %s)', :zoran, :zelda));
SELECT count(*) FROM chat.search_users(:zoran, 'Deleted user');

-- Again is no error, and changes nothing; name and identity are free for somebody new.
SELECT version AS version FROM chat.users WHERE id = :zelda \gset
SELECT chat.erase_user(:zelda);
SELECT version = :version AS unchanged FROM chat.users WHERE id = :zelda;
SELECT test.error('SELECT chat.erase_user(1)'), test.error('SELECT chat.delete_account(NULL)');
SELECT user_name FROM chat.create_user('zelda.erased', NULL, 'https://id.example', 'zelda@example.org');
-- Who has no password needs none; the app erases without.
SELECT user_id IS NOT NULL AS done FROM chat.delete_account(test.user('zelda.erased'));
SELECT chat.erase_user(:zita);
SELECT test.work('erase_users') > 0 AS worked;
SELECT body FROM chat.list_messages(:zoran, :group) WHERE kind = 'user';
-- No call for an account that is gone leaves anything.
SELECT id AS notes FROM chat.direct_chats d, chat.chats c WHERE c.id = d.chat_id AND d.low_user_id = :zelda AND d.high_user_id = :zelda \gset
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''x'')', :zelda, :notes)), test.error(format('SELECT chat.begin_upload(%s, ''x'', ''text/plain'', 1)', :zelda)),
	test.error(format('SELECT chat.register_push(%s, ''web'', ''x'')', :zelda));
SET chat.direct_tables = off;
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''x'')', :zelda, :notes)), test.error(format('SELECT chat.save_draft(%s, %s, ''x'')', :zelda, :notes));
RESET chat.direct_tables;
-- Who has tried to log in under the name since
DELETE FROM chat.login_failures;
SELECT * FROM test.personal('zelda|zimmer|555 0199|zita');
DROP FUNCTION test.personal;

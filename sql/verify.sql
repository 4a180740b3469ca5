-- verify(): clean on what the functions made, and each kind of damage is found by its check, and by others where they look at the same row.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['sue', 'tim', 'una']) name) made;
SELECT test.user('sue') AS sue, test.user('tim') AS tim, test.user('una') AS una \gset
SELECT id AS chat FROM chat.open_direct_chat(:sue, :tim) \gset
SELECT id AS club FROM chat.create_group(:sue, 'Club', ARRAY[:tim, :una]::bigint[]) \gset
SELECT chat.register_push(:tim, 'web', 'tim laptop');
SELECT id AS upload FROM chat.begin_upload(:sue, 'plan.txt', 'text/plain', 300000) \gset
SELECT received FROM chat.append_upload(:sue, :upload, 0, convert_to(repeat('x', 300000), 'UTF8'));
SELECT id AS file FROM chat.finish_upload(:sue, :upload) \gset
SELECT id AS pending FROM chat.begin_upload(:sue, 'half.txt', 'text/plain', 10) \gset
SELECT received FROM chat.append_upload(:sue, :pending, 0, 'half');
SELECT name FROM chat.share_file(:sue, :file, :una);
SELECT id AS first FROM chat.send_message(:sue, :chat, 'one') \gset
SELECT id AS message FROM chat.send_message(:sue, :chat, 'two', mention_ids => ARRAY[:tim], file_ids => ARRAY[:file]) \gset
SELECT count(*) FROM chat.take_pushes('worker') p WHERE p.chat_id = :chat; -- other tests' may be due again by now
SELECT id AS last FROM chat.send_message(:tim, :chat, 'three') \gset
SELECT id AS mentioned FROM chat.send_message(:sue, :chat, 'four', mention_ids => ARRAY[:tim]) \gset
INSERT INTO chat.reactions (chat_id, message_id, emoji, user_id, id) VALUES (:chat, :message, '👍', :tim, 1);
UPDATE chat.messages SET reactions = '[{"emoji": "👍", "count": 1}]' WHERE chat_id = :chat AND id = :message;
INSERT INTO chat.sessions (id, user_id, token_hash, expires_at) VALUES (1, :sue, 'x', now());
UPDATE chat.users SET avatar_file_id = :file WHERE id = :sue;
SELECT "check", ok, detail FROM chat.verify(true);

-- Each damage is made, looked for and undone.
CREATE FUNCTION test.damage(damage text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	SET LOCAL session_replication_role = replica; -- foreign keys would prevent some
	EXECUTE damage;
	SELECT string_agg(v."check", ', ') INTO found FROM chat.verify(true) v WHERE NOT v.ok;
	RAISE EXCEPTION USING MESSAGE = coalesce(found, 'nothing'), ERRCODE = 'XXDMG';
EXCEPTION WHEN SQLSTATE 'XXDMG' THEN
	RETURN SQLERRM;
END
$$;
CREATE TABLE test.damages (number serial, damage text, found text);
INSERT INTO test.damages (damage) VALUES
('UPDATE chat.chats SET member_count = 3 WHERE id = :chat'),
('UPDATE chat.chats SET message_count = message_count + 1 WHERE id = :chat'),
('UPDATE chat.chats SET message_count = message_count - 1 WHERE id = :chat'),
('UPDATE chat.chats SET last_event_id = :message WHERE id = :chat'),
('DELETE FROM chat.direct_chats WHERE chat_id = :chat'),
('DELETE FROM chat.members WHERE chat_id = :chat AND user_id = :sue'),
('DELETE FROM chat.chats WHERE id = :chat'),
('UPDATE chat.members SET role = ''member'' WHERE chat_id = :club'),
('UPDATE chat.members SET role = ''owner'' WHERE chat_id = :club'),
('INSERT INTO chat.members (chat_id, user_id, left_id) VALUES (:chat, 7, 1)'),
('UPDATE chat.members SET read_count = 100 WHERE chat_id = :chat AND user_id = :tim'),
('UPDATE chat.members SET read_count = read_count - 1 WHERE chat_id = :chat AND user_id = :tim'),
('UPDATE chat.members SET delivered_id = 9223372036854775807 WHERE chat_id = :chat AND user_id = :tim'),
('UPDATE chat.members SET mentions = mentions + 1 WHERE chat_id = :chat AND user_id = :tim'),
('DELETE FROM chat.mentions WHERE chat_id = :chat AND message_id = :mentioned'),
('INSERT INTO chat.mentions (user_id, chat_id, message_id) VALUES (:tim, :chat, :first)'),
('UPDATE chat.messages SET sender_id = 7 WHERE chat_id = :chat AND id = :last'),
('DELETE FROM chat.users WHERE id = :una'),
('UPDATE chat.messages SET number = 7 WHERE chat_id = :chat AND id = :message'),
('UPDATE chat.messages SET kind = ''other'' WHERE chat_id = :chat AND id = :message'),
('UPDATE chat.messages SET reactions = NULL WHERE chat_id = :chat AND id = :message'),
('UPDATE chat.messages SET reactions = ''[{"emoji": "👍", "count": 2}]'' WHERE chat_id = :chat AND id = :message'),
('DELETE FROM chat.reactions WHERE chat_id = :chat'),
('INSERT INTO chat.reactions (chat_id, message_id, emoji, user_id, id) VALUES (:chat, :message, ''x'', 1, 1)'),
('DELETE FROM chat.attachments WHERE chat_id = :chat'),
('UPDATE chat.messages SET file_ids = NULL WHERE chat_id = :chat'),
('INSERT INTO chat.events (chat_id, id, prev_id, type, payload) VALUES (1, 2, 1, ''chat_changed'', ''{}'')'),
('UPDATE chat.messages SET prev_id = prev_id - 1 WHERE chat_id = :chat AND id = :last'),
('DELETE FROM chat.messages WHERE chat_id = :chat AND id = :last'),
('DELETE FROM chat.files WHERE id = :file'),
('UPDATE chat.files SET owner_id = 7 WHERE id = :file'),
('UPDATE chat.files SET size = 1 WHERE id = :file'),
('UPDATE chat.file_shares SET user_id = 7 WHERE file_id = :file'),
('UPDATE chat.users SET avatar_file_id = 7 WHERE id = :sue'),
('UPDATE chat.file_usage SET bytes = bytes - 1 WHERE user_id = :sue'),
('DELETE FROM chat.file_usage WHERE user_id = :sue'),
('UPDATE chat.contents SET use_count = use_count + 1 WHERE id = :file'),
('DELETE FROM chat.contents WHERE id = :file'),
('DELETE FROM chat.chunks WHERE content_id = :file AND number = 1'),
('UPDATE chat.chunks SET bytes = ''x'' WHERE content_id = :file AND number = 1'),
('UPDATE chat.chunks SET bytes = pg_catalog.set_byte(bytes, 5, 7) WHERE content_id = :file AND number = 1'),
('UPDATE chat.contents SET sha256 = pg_catalog.sha256(''x'') WHERE id = :file'),
('UPDATE chat.uploads SET received = 5 WHERE id = :pending'),
('DELETE FROM chat.uploads WHERE id = :pending'),
('UPDATE chat.push_tokens SET user_id = 7'),
('DELETE FROM chat.push_users'),
('UPDATE chat.push_users SET worker = NULL'),
('UPDATE chat.sessions SET user_id = 7 WHERE id = 1'),
('INSERT INTO chat.erasures (user_id, id) VALUES (:una, 1)'),
('UPDATE chat.users SET deleted = true WHERE id = :sue');
UPDATE test.damages SET damage = replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(damage, ':chat', :'chat'), ':club', :'club'), ':sue', :'sue'), ':tim', :'tim'), ':una', :'una'),
	':first', :'first'), ':message', :'message'), ':mentioned', :'mentioned'), ':last', :'last'), ':file', :'file'), ':pending', :'pending');
UPDATE test.damages SET found = test.damage(damage);
SELECT regexp_replace(damage, '\d{10,}', '…', 'g') AS damage, found FROM test.damages ORDER BY number;
-- Sequences know no rollback.
SELECT last_value AS ceiling FROM chat.id_ceiling \gset
INSERT INTO test.damages (found) SELECT test.damage('SELECT pg_catalog.setval(''chat.id_ceiling'', 1)') RETURNING found;
SELECT setval('chat.id_ceiling', :ceiling) = :ceiling AS restored;
-- Each check has found something.
SELECT v."check" FROM chat.verify() v WHERE NOT EXISTS (SELECT FROM test.damages d WHERE v."check" = ANY (string_to_array(d.found, ', ')));
SELECT bool_and(ok) AS clean_again FROM chat.verify(true);
DELETE FROM chat.sessions WHERE id = 1;
DROP TABLE test.damages;
DROP FUNCTION test.damage;

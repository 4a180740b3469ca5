-- Calls, signals, typing.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['call-cara', 'call-carl', 'call-curt']) name) made;
SELECT test.user('call-cara') AS cara, test.user('call-carl') AS carl, test.user('call-curt') AS curt \gset
SELECT id AS chat FROM chat.open_direct_chat(:cara, :carl) \gset

-- A call is an event and an entry of the timeline with the same id, unread for nobody.
SELECT call_id AS call, media, chat_id = :chat AS in_chat, starter_id = :cara AS by_cara, started_at = chat.id_time(call_id) AS timed, ended_at IS NULL AS goes_on FROM chat.start_call(:cara, :chat, 'video', 'k') \gset
SELECT :'media' AS media, :'in_chat' AS in_chat, :'by_cara' AS by_cara, :'timed' AS timed, :'goes_on' AS goes_on;
SELECT call_id = :call AS same FROM chat.start_call(:cara, :chat, 'video', 'k');
SELECT test.error(format('SELECT chat.start_call(%s, %s, ''audio'', ''k'')', :cara, :chat));
SELECT id = :call AS same_id, kind, number, body, attributes - 'call_id' AS attributes, (attributes ->> 'call_id')::bigint = :call AS call FROM chat.list_messages(:carl, :chat);
SELECT key, json_typeof(value) FROM json_each(test.event(:chat, :call));
SELECT unread FROM chat.v_members WHERE chat_id = :chat;
SELECT ended_at IS NOT NULL AS ended FROM chat.end_call(:carl, :chat, :call);
SELECT ended_at IS NOT NULL AS ended FROM chat.end_call(:cara, :chat, :call);
SELECT attributes ->> 'type' AS type, attributes ->> 'media' AS media FROM chat.list_messages(:carl, :chat);
SELECT media FROM chat.start_call(:carl, :chat);
SELECT test.error(format('SELECT chat.start_call(%s, %s, ''smoke'')', :cara, :chat)), test.error(format('SELECT chat.start_call(%s, %s)', :curt, :chat)), test.error(format('SELECT chat.start_call(NULL, %s)', :chat));
SELECT test.error(format('SELECT chat.end_call(%s, %s, 1)', :cara, :chat)), test.error(format('SELECT chat.end_call(%s, %s, %s)', :curt, :chat, :call));
-- Whom the other one has blocked ends no call; who has blocked does.
SELECT call_id AS call FROM chat.start_call(:cara, :chat) \gset
SELECT count(*) FROM chat.block_user(:cara, :carl);
SELECT test.error(format('SELECT chat.end_call(%s, %s, %s)', :carl, :chat, :call));
SELECT ended_at IS NULL AS goes_on FROM chat.v_calls WHERE call_id = :call;
SELECT ended_at IS NOT NULL AS ended FROM chat.end_call(:cara, :chat, :call);
SELECT chat.unblock_user(:cara, :carl);
-- In a group it takes who started it, an admin or the owner.
UPDATE chat.chats SET kind = 'group', member_count = 3 WHERE id = :chat;
DELETE FROM chat.direct_chats WHERE chat_id = :chat;
INSERT INTO chat.members (chat_id, user_id) VALUES (:chat, :curt);
SELECT call_id AS call FROM chat.start_call(:cara, :chat) \gset
SELECT test.error(format('SELECT chat.end_call(%s, %s, %s)', :curt, :chat, :call));
UPDATE chat.members SET role = 'admin' WHERE chat_id = :chat AND user_id = :curt;
SELECT ended_at IS NOT NULL AS ended FROM chat.end_call(:curt, :chat, :call);

-- Signals and typing: to members of small chats, stored nowhere. That they arrive is tested with listeners.
CREATE FUNCTION test.rows() RETURNS bigint LANGUAGE sql AS $$ SELECT (SELECT count(*) FROM chat.events) + (SELECT count(*) FROM chat.messages) + (SELECT sum(last_event_id % 1000000007) FROM chat.chats) $$;
SELECT test.rows() AS before \gset
SELECT chat.send_signal(:cara, :chat, '{"type": "offer", "sdp": "v=0"}');
SELECT chat.send_signal(:cara, :chat, to_jsonb(repeat('x', 6142)));
SELECT chat.set_typing(:carl, :chat, true), chat.set_typing(:carl, :chat, false), chat.set_typing(:carl, :chat);
SELECT test.rows() = :before AS stored_nowhere;
SELECT test.error(format('SELECT chat.send_signal(%s, %s, to_jsonb(repeat(''x'', 6143)))', :cara, :chat)), test.error(format('SELECT chat.send_signal(%s, %s, NULL)', :cara, :chat));
SELECT test.error(format('SELECT chat.send_signal(%s, 1, ''1'')', :cara)), test.error(format('SELECT chat.set_typing(%s, 1)', :cara)), test.error(format('SELECT chat.send_signal(NULL, %s, ''1'')', :chat)), test.error(format('SELECT chat.set_typing(NULL, %s)', :chat));
SELECT name, value FROM chat.set_setting('receipts_max_members', '2');
SELECT test.error(format('SELECT chat.send_signal(%s, %s, ''1'')', :cara, :chat)), test.error(format('SELECT chat.set_typing(%s, %s)', :cara, :chat));
SELECT name, value FROM chat.set_setting('receipts_max_members', '100');
UPDATE chat.chats SET posting = 'admins' WHERE id = :chat;
SELECT test.error(format('SELECT chat.send_signal(%s, %s, ''1'')', :cara, :chat)), test.error(format('SELECT chat.start_call(%s, %s)', :cara, :chat));
UPDATE chat.members SET left_id = 1 WHERE chat_id = :chat AND user_id = :curt;
SELECT test.error(format('SELECT chat.set_typing(%s, %s)', :curt, :chat));
SELECT test.recount(:chat);
UPDATE chat.members SET role = 'owner' WHERE chat_id = :chat AND user_id = :carl;

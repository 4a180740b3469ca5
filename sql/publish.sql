-- Channel names, and what an event looks like.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['jana', 'kurt']) name) made;
SELECT test.user('jana') AS jana, test.user('kurt') AS kurt \gset

-- Channel names are a generation and keyed hashes; 15 digits of the published vector of SipHash-2-4-128 for 00..07 under the
-- key 00..0f, and an ending.
BEGIN;
UPDATE chat.channel_key SET key = '\x000102030405060708090a0b0c0d0e0f';
SELECT chat.user_channel(506097522914230528);
ROLLBACK;
SELECT chat.user_channel(506097522914230528) !~ '61f55862baa9623' AS secret;
SELECT chat.user_channel(:jana) ~ '^chat_u_[0-9a-f]{32}$' AS form, chat.user_channel(:jana) <> chat.user_channel(:kurt) AS own;
SET ROLE chat_user;
SELECT chat.user_channel(1);
RESET ROLE;
-- A gateway listens to every chat channel and that of markers, and asks who is in which large chat, since which event.
SELECT left(name, 7), count(*), count(DISTINCT name), bool_and(name ~ '^chat_[cg]_[0-9a-f]{32}$') AS form FROM chat.list_chat_channels() name GROUP BY 1;
SELECT count(DISTINCT chat.chat_channel(id)) > 200 AS spread, bool_and(chat.chat_channel(id) IN (SELECT chat.list_chat_channels())) AS listed
  FROM generate_series(1, 2000) id;
BEGIN;
INSERT INTO chat.chats (id, kind, creator_id, last_event_id, large, deleted_id)
VALUES (1, 'group', :jana, 1, true, NULL), (2, 'group', :jana, 2, false, NULL), (3, 'group', :jana, 3, true, 4);
INSERT INTO chat.members (chat_id, user_id, joined_id, left_id)
SELECT c, u, 10 * c, CASE WHEN u = :kurt THEN 90 END FROM unnest(ARRAY[1, 2, 3]) c, unnest(ARRAY[:jana, :kurt]::bigint[]) u;
SET LOCAL ROLE chat_gateway;
SELECT user_id = :jana AS jana, chat_id, joined_id FROM chat.list_large_chats(ARRAY[:jana, :kurt]::bigint[]);
ROLLBACK;
SET ROLE chat_user;
SELECT * FROM chat.list_chat_channels();
SELECT * FROM chat.list_large_chats(ARRAY[1]);
RESET ROLE;

-- LISTEN by handles, which say nothing of the names' ends, and by ids.
SET ROLE chat_gateway;
SELECT chat.listen(ARRAY[left(chat.user_channel(:jana), 23), left(chat.chat_channel(1), 23), 'chat_schema']);
SELECT count(*) FROM pg_listening_channels() c WHERE c IN (chat.user_channel(:jana), chat.chat_channel(1), 'chat_schema');
SELECT chat.unlisten(ARRAY[left(chat.user_channel(:jana), 23), 'chat_schema']);
SELECT c = chat.chat_channel(1) AS chat FROM pg_listening_channels() c;
SELECT test.error(statement) FROM unnest(ARRAY[
	$$SELECT chat.listen(ARRAY['chat_u_61f55862baa9623bb49714f364e2830f'])$$, $$SELECT chat.listen(ARRAY['other'])$$,
	$$SELECT chat.listen(ARRAY['chat_u_0123456789ABCDEF'])$$, $$SELECT chat.listen(ARRAY['chat_x_0123456789abcdef'])$$,
	$$SELECT chat.listen(ARRAY[''])$$, $$SELECT chat.listen(ARRAY['chat_schema', NULL])$$, $$SELECT chat.unlisten(ARRAY['other'])$$]) statement;
SELECT c = chat.chat_channel(1) AS chat FROM pg_listening_channels() c;
UNLISTEN *;
SET ROLE chat_app;
SELECT chat.subscribe_user(:kurt) = chat.user_channel(:kurt) AS own, chat.subscribe_chat(1) = chat.chat_channel(1) AS chat;
SELECT count(*) FROM pg_listening_channels() c WHERE c IN (chat.user_channel(:kurt), chat.chat_channel(1), 'chat_resync');
SELECT chat.unsubscribe_user(:kurt), chat.unsubscribe_chat(1);
SELECT c FROM pg_listening_channels() c;
UNLISTEN *;
SELECT chat.listen('{}');
RESET ROLE;
-- Under a new key, names by the former one are known by their handles, by older ones not.
SELECT chat.user_channel(:jana) AS first \gset
SELECT chat.rotate_channel_key();
SELECT chat.user_channel(:jana) AS second \gset
SELECT chat.listen(ARRAY[left(:'first', 23), left(:'second', 23)]);
SELECT count(*), bool_and(c IN (:'first', :'second')) AS both FROM pg_listening_channels() c;
SELECT chat.unlisten(ARRAY[left(:'first', 23)]);
SELECT c = :'second' AS second FROM pg_listening_channels() c;
UNLISTEN *;
SELECT chat.rotate_channel_key();
SELECT chat.listen(ARRAY[left(:'first', 23)]);
SELECT count(*) FROM pg_listening_channels() c;

-- The shape of events; that they arrive, and at whom, is tested with real listeners (extension/test/t, gateway/test/e2e).
SELECT id AS chat FROM chat.open_direct_chat(:jana, :kurt) \gset
SELECT id AS message FROM chat.send_message(:jana, :chat, E'a "quoted"\nline', attributes => '{"a": [1, null]}', client_key => 'k') \gset
SELECT key, json_typeof(value) FROM json_each(test.event(:chat, :message));
SELECT key, json_typeof(value) FROM json_each(test.event(:chat, :message) -> 'message');
SELECT (e ->> 'id')::bigint = :message AS id, (e ->> 'chat_id')::bigint = :chat AS chat_id, (e ->> 'prev_id')::bigint = :chat AS prev_id, (e ->> 'actor_id')::bigint = :jana AS actor,
	(e ->> 'at')::timestamptz = chat.id_time(:message) AS at, e ->> 'at' ~ '^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$' AS rfc3339, e -> 'message' ->> 'body' AS body
  FROM test.event(:chat, :message) e;
SELECT test.event(:chat, 1) IS NULL AS none;
-- Members of the event's message = columns of list_messages, in their order.
SELECT (SELECT string_agg(key, ',') FROM json_object_keys(test.event(:chat, :message) -> 'message') key)
	= (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'chat.message_page'::regclass AND attname <> 'has_more') AS same;
SELECT at, chat.rfc3339(at) FROM unnest(ARRAY['2026-01-02 03:04:05+00', '2026-01-02 03:04:05.5+02', '2026-01-02 03:04:05.000001+00']::timestamptz[]) at;

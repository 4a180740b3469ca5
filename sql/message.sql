-- Messages: sending, history from any anchor, read cursors.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['gina', 'hugo', 'ivan']) name) made;
SELECT test.user('gina') AS gina, test.user('hugo') AS hugo, test.user('ivan') AS ivan \gset
SELECT id AS chat FROM chat.open_direct_chat(:gina, :hugo) \gset

-- The first event's prev_id is the chat itself; from there on every message names the one before.
SELECT id AS first, prev_id = :chat AS chained, number, sent_at = chat.id_time(id) AS timed, duplicate FROM chat.send_message(:gina, :chat, 'one') \gset
SELECT :'chained' AS chained, :number AS number, :'timed' AS timed, :'duplicate' AS duplicate;
SELECT id AS second, prev_id = :first AS chained, number FROM chat.send_message(:hugo, :chat, 'two', reply_to_id => :first) \gset
SELECT :'chained' AS chained, :number AS number;
SELECT number, kind, body, (reply ->> 'id')::bigint = :first AS reply_to, reply ->> 'body' AS quoted, attributes, has_more FROM chat.list_messages(:gina, :chat);

-- Text stays text.
SELECT count(*) FROM unnest(ARRAY['''; DROP TABLE chat.messages; --', '$1 %s \ " {}', E'line\nline\ttab', '😀 שלום', repeat('ü', 4096)]) body,
	LATERAL chat.send_message(:gina, :chat, body);
SELECT left(body, 40) AS body, length(body), octet_length(body) FROM chat.list_messages(:gina, :chat) WHERE number > 2;
SELECT m.message ->> 'body' = l.body AS same FROM chat.list_messages(:gina, :chat) l,
	LATERAL (SELECT test.event(l.chat_id, l.id) -> 'message' AS message) m;

-- Attributes may stand without a body; they are an object of limited size.
SELECT number FROM chat.send_message(:gina, :chat, attributes => '{"ciphertext": "q83v", "n": 12345678901234567890}');
SELECT body, attributes FROM chat.list_messages(:hugo, :chat, page_size => 1);
SELECT test.error(format('SELECT chat.send_message(%s, %s, '''')', :gina, :chat)), test.error(format('SELECT chat.send_message(%s, %s)', :gina, :chat));
SELECT test.error(format('SELECT chat.send_message(%s, %s, repeat(''x'', 4097))', :gina, :chat));
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''x'', attributes => ''7'')', :gina, :chat));
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''x'', attributes => jsonb_build_object(''x'', repeat(''y'', 20000)))', :gina, :chat));
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''x'', reply_to_id => 1)', :gina, :chat));
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''x'')', :ivan, :chat)), test.error(format('SELECT chat.send_message(%s, 1, ''x'')', :gina));
SELECT test.error(format('SELECT chat.send_message(NULL, %s, ''x'')', :chat)), test.error(format('SELECT chat.send_message(%s, NULL, ''x'')', :gina));
-- None of these has left a trace.
SELECT message_count, last_event_id = (SELECT max(m.id) FROM chat.messages m WHERE m.chat_id = c.id) AS clean FROM chat.chats c WHERE id = :chat;

-- The same client_key sends once; other arguments are refused; each sender and chat has his own keys.
SELECT id AS keyed, number, duplicate FROM chat.send_message(:gina, :chat, 'once', client_key => 'key 1') \gset
SELECT id = :keyed AS same, number = :number AS number, prev_id IS NOT NULL AS prev, duplicate FROM chat.send_message(:gina, :chat, 'once', client_key => 'key 1');
SELECT message_count = :number AS uncounted, last_event_id = :keyed AS unmoved FROM chat.chats WHERE id = :chat;
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''twice'', client_key => ''key 1'')', :gina, :chat));
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''once'', attributes => ''{}'', client_key => ''key 1'')', :gina, :chat));
SELECT duplicate FROM chat.send_message(:hugo, :chat, 'once', client_key => 'key 1');
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''x'', client_key => '''')', :gina, :chat));
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''x'', client_key => repeat(''k'', 65))', :gina, :chat));
SELECT prev_id = :keyed AS chained FROM chat.messages WHERE id = (SELECT max(id) FROM chat.messages WHERE chat_id = :chat);

-- History of 100 more messages, from every side
SELECT id AS long_chat FROM chat.open_direct_chat(:gina, :ivan) \gset
SELECT count(*) FROM generate_series(1, 100) n, LATERAL chat.send_message(:gina, :long_chat, 'm' || n);
SELECT id AS m50 FROM chat.messages WHERE chat_id = :long_chat AND number = 50 \gset
CREATE FUNCTION test.page(VARIADIC arguments text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	page text;
BEGIN
	EXECUTE format('SELECT min(number) || ''..'' || max(number) || '' ('' || count(*) || '') more: '' || bool_or(has_more) FROM chat.list_messages(%s)', array_to_string(arguments, ', ')) INTO page;
	RETURN page;
END
$$;
SELECT test.page(:'gina', :'long_chat');
SELECT test.page(:'gina', :'long_chat', 'page_size => 1000');
SELECT test.page(:'gina', :'long_chat', 'page_size => 100');
SELECT test.page(:'gina', :'long_chat', 'page_size => 99');
SELECT test.page(:'gina', :'long_chat', format('before_id => %s', :'m50'));
SELECT test.page(:'gina', :'long_chat', format('before_id => %s', :'m50'), 'page_size => 49');
SELECT test.page(:'gina', :'long_chat', format('after_id => %s', :'m50'), 'page_size => 10');
SELECT test.page(:'gina', :'long_chat', format('after_id => %s', :'m50'), 'page_size => 50');
SELECT test.page(:'gina', :'long_chat', format('around_id => %s', :'m50'), 'page_size => 10');
SELECT test.page(:'gina', :'long_chat', format('around_id => %s', :'m50'), 'page_size => 1');
SELECT test.page(:'gina', :'long_chat', 'at => ''2025-01-01''', 'page_size => 10');
SELECT test.page(:'gina', :'long_chat', 'at => ''2100-01-01''', 'page_size => 10');
SELECT test.page(:'gina', :'long_chat', 'after_id => 9223372036854775807');
SELECT test.page(:'gina', :'long_chat', 'before_id => 0');
SELECT bool_and(id > before) IS TRUE AS ascending FROM (SELECT id, lag(id, 1, 0::bigint) OVER () AS before FROM chat.list_messages(:gina, :long_chat, page_size => 128)) l;
SELECT test.error(format('SELECT chat.list_messages(%s, %s, before_id => 1, after_id => 1)', :gina, :long_chat));
SELECT test.error(format('SELECT chat.list_messages(%s, %s, around_id => 1, at => now())', :gina, :long_chat));
SELECT test.error(format('SELECT chat.list_messages(%s, %s, page_size => 0)', :gina, :long_chat));
SELECT test.error(format('SELECT chat.list_messages(%s, %s)', :hugo, :long_chat)), test.error(format('SELECT chat.list_messages(NULL, %s)', :long_chat));

-- Read cursors: forward only, unread exact, one's own messages are read.
SELECT unread FROM chat.get_chat(:ivan, :long_chat);
SELECT unread, read_id = :m50 AS there, version > 0 AS versioned FROM chat.mark_read(:ivan, :long_chat, :m50);
SELECT unread, read_id = :m50 AS there FROM chat.mark_read(:ivan, :long_chat, :m50 - 1);
SELECT unread FROM chat.mark_read(:ivan, :long_chat, (SELECT id FROM chat.messages WHERE chat_id = :long_chat AND number = 51));
SELECT unread FROM chat.mark_read(:ivan, :long_chat, 9223372036854775807);
SELECT number FROM chat.send_message(:gina, :long_chat, 'one more');
SELECT unread FROM chat.get_chat(:ivan, :long_chat);
SELECT unread FROM chat.get_chat(:gina, :long_chat);
SELECT number FROM chat.send_message(:ivan, :long_chat, 'answer');
SELECT unread FROM chat.get_chat(:ivan, :long_chat);
SELECT test.error(format('SELECT chat.mark_read(%s, %s, 1)', :ivan, :long_chat)), test.error(format('SELECT chat.mark_read(%s, %s, 1)', :hugo, :long_chat)),
	test.error(format('SELECT chat.mark_read(NULL, %s, 1)', :long_chat));

-- In an app's own transaction a message lives and dies with the rest.
BEGIN;
SELECT number FROM chat.send_message(:gina, :chat, 'rolled back');
SAVEPOINT before;
SELECT number FROM chat.send_message(:gina, :chat, 'rolled back');
ROLLBACK TO before;
SELECT number FROM chat.send_message(:gina, :chat, 'rolled back');
ROLLBACK;
SELECT number FROM chat.send_message(:gina, :chat, 'kept');
SELECT count(*), count(DISTINCT number), max(number), bool_and(prev_id = before) AS chained
  FROM (SELECT number, prev_id, lag(id, 1, :chat::bigint) OVER (ORDER BY id) AS before FROM chat.messages WHERE chat_id = :chat) m;
SELECT sender_id = :gina AS sender, body FROM chat.v_messages WHERE chat_id = :chat ORDER BY id DESC LIMIT 1;

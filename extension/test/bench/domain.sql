-- What reading costs when there is much: history at any depth of a 10-million-message table, the chat list of users in
-- 500 and 5,000 chats. Prints plans, then medians of 15 warm runs against their bars.
\set messages 10000000
\set QUIET on
SET client_min_messages = warning;
SELECT chat.set_setting('password_cost', '4') \g /dev/null
SELECT chat.set_setting('approaches_max', '1000000') \g /dev/null
SELECT (chat.create_user('bench_many')).id AS many \gset
SELECT (chat.create_user('bench_some')).id AS some \gset
SELECT count(chat.create_user('bench' || lpad(n::text, 5, '0'))) FROM generate_series(1, 5000) n \g /dev/null
\echo chats
SELECT count(chat.open_direct_chat(:many, u.id)) FROM chat.users u WHERE u.user_name ~ '^bench\d{5}$' \g /dev/null
SELECT count(chat.open_direct_chat(:some, u.id)) FROM (SELECT u.id FROM chat.users u WHERE u.user_name ~ '^bench\d{5}$' ORDER BY u.id LIMIT 500) u \g /dev/null
SELECT count(chat.send_message(:many, m.chat_id, 'hello')) FROM chat.members m WHERE m.user_id = :many \g /dev/null
SELECT count(chat.send_message(:some, m.chat_id, 'hello')) FROM chat.members m WHERE m.user_id = :some \g /dev/null
\echo messages
-- 2 million of them in one chat, the rest spread over 800 others, each row as send_message makes it.
SELECT min(chat_id) AS long_chat FROM chat.members WHERE user_id = :many \gset
ALTER TABLE chat.messages DISABLE TRIGGER USER;
INSERT INTO chat.messages (chat_id, id, prev_id, number, sender_id, body)
SELECT c.chat_id, n::bigint << 22, (n - 1)::bigint << 22, -n, :many, 'message ' || n
  FROM (SELECT m.chat_id, row_number() OVER (ORDER BY m.chat_id) AS r FROM chat.members m WHERE m.user_id = :many LIMIT 801) c
 CROSS JOIN LATERAL generate_series(1, CASE WHEN c.r = 1 THEN 2000000 ELSE :messages / 1000 END) n;
ALTER TABLE chat.messages ENABLE TRIGGER USER;
VACUUM (ANALYZE) chat.messages;
ANALYZE;
SELECT count(*) AS messages FROM chat.messages;

CREATE FUNCTION pg_temp.median_ms(call text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	started timestamptz;
	times numeric[];
BEGIN
	FOR n IN 1 .. 18 LOOP
		started := clock_timestamp();
		EXECUTE call;
		IF n > 3 THEN
			times := times || extract(epoch FROM clock_timestamp() - started) * 1000;
		END IF;
	END LOOP;
	RETURN round((SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t) FROM unnest(times) t)::numeric, 2);
END
$$;

\echo plan of a page deep in a chat of 2 million
EXPLAIN (COSTS OFF) SELECT m.* FROM chat.messages m WHERE m.chat_id = :long_chat AND m.id < (1000000::bigint << 22) AND m.id > 0 ORDER BY m.id DESC LIMIT 33;
\echo plan of the chat list
EXPLAIN (COSTS OFF) SELECT c.id FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id WHERE m.user_id = :many ORDER BY c.last_event_id DESC LIMIT 33;
WITH figures (what, bar, ms) AS (VALUES
	('list_messages, newest page', 5.0, pg_temp.median_ms(format('SELECT count(*) FROM chat.list_messages(%s, %s)', :'many', :'long_chat'))),
	('list_messages, 1 million deep', 5.0, pg_temp.median_ms(format('SELECT count(*) FROM chat.list_messages(%s, %s, before_id => %s)', :'many', :'long_chat', 1000000::bigint << 22))),
	('list_messages, 2 million deep', 5.0, pg_temp.median_ms(format('SELECT count(*) FROM chat.list_messages(%s, %s, around_id => %s)', :'many', :'long_chat', 100::bigint << 22))),
	('list_chats, 500 chats', 5.0, pg_temp.median_ms(format('SELECT count(*) FROM chat.list_chats(%s)', :'some'))),
	('list_chats, 5,000 chats', 40.0, pg_temp.median_ms(format('SELECT count(*) FROM chat.list_chats(%s)', :'many')))
)
SELECT what, bar AS "bar ms", ms AS "median ms", ms <= bar AS pass FROM figures;

-- What coming back costs: sync for users in 200 and 5,000 chats, most of them unchanged, over a big table; pages of a long
-- absence. Then that the sender's member row is still updated HOT. Prints medians of
-- 15 warm runs against their bars.
\if :{?messages} \else \set messages 4000000 \endif
\set QUIET on
SET client_min_messages = warning;
SELECT (chat.create_user('bench_many')).id AS many \gset
SELECT (chat.create_user('bench_some')).id AS some \gset
SELECT (chat.create_user('bench_away')).id AS away \gset
SELECT count(chat.create_user('bench' || lpad(n::text, 5, '0'))) FROM generate_series(1, 1000) n \g /dev/null
\echo chats
-- By hand, as far back as the event log goes, each row as the functions make it. many: 4,000 chats of 2, 900 of 20, 100 of 100;
-- some: 200 of 10; away: 200 of 10, of which he has seen nothing for 20 days.
CREATE TABLE bench_chats AS
SELECT n, chat.id_at(now() - interval '25 days') + n AS id,
	CASE WHEN n <= 5000 THEN :many WHEN n <= 5200 THEN :some ELSE :away END AS owner_id,
	CASE WHEN n > 5000 THEN 10 WHEN n % 50 = 0 THEN 100 WHEN n % 5 = 0 THEN 20 ELSE 2 END AS size,
	-- A quarter of the messages in one chat, a quarter in 800 others, the rest in the 400 of some and away
	CASE WHEN n = 1 THEN :messages / 4 WHEN n <= 801 THEN :messages / 3200 WHEN n <= 5000 THEN 3
		WHEN n <= 5200 THEN :messages / 400 ELSE 100 END AS messages
  FROM generate_series(1, 5400) n;
INSERT INTO chat.chats (id, kind, creator_id, last_event_id, message_count, member_count)
SELECT b.id, 'group', b.owner_id, b.id, b.messages, b.size FROM bench_chats b;
INSERT INTO chat.members (chat_id, user_id, read_version, delivered_version, moved)
SELECT m.chat_id, m.user_id, m.version, m.version + 1, chat.moved(m.version + 1) FROM (
	SELECT b.id AS chat_id, u.user_id, chat.id_at(now() - interval '20 days' * random()) AS version
	  FROM bench_chats b CROSS JOIN LATERAL (
		SELECT b.owner_id AS user_id UNION ALL
		(SELECT u.id FROM (SELECT u.id, row_number() OVER (ORDER BY u.id) AS r FROM chat.users u WHERE u.user_name ~ '^bench\d{5}$') u
		  WHERE (u.r + b.n) % 1000 < b.size - 1)) u) m;
\echo messages
ALTER TABLE chat.messages DISABLE TRIGGER USER;
INSERT INTO chat.messages (chat_id, id, prev_id, number, sender_id, body)
SELECT b.id, s.start + s.step * m, s.start + s.step * (m - 1), m, b.owner_id, 'message ' || m
  FROM bench_chats b CROSS JOIN LATERAL (
	SELECT chat.id_at(now() - interval '20 days') + b.n AS start, (interval '19 days 23 hours' / b.messages) AS gap) g
 CROSS JOIN LATERAL (SELECT g.start, (extract(epoch FROM g.gap) * 1000)::bigint << 22 AS step) s
 CROSS JOIN LATERAL generate_series(1, b.messages) m;
ALTER TABLE chat.messages ENABLE TRIGGER USER;
UPDATE chat.chats c SET last_event_id = m.id FROM (SELECT m.chat_id, max(m.id) AS id FROM chat.messages m GROUP BY 1) m WHERE c.id = m.chat_id;
VACUUM (ANALYZE) chat.messages;
VACUUM (ANALYZE) chat.members;
VACUUM (ANALYZE) chat.chats;
ANALYZE;
SELECT count(*) AS messages, (SELECT count(*) FROM chat.members) AS members FROM chat.messages;

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

SELECT chat.next_id() AS since \gset
SELECT count(chat.send_message(b.owner_id, b.id, 'hello')) FROM bench_chats b WHERE b.n IN (1, 4000, 4500, 5001, 5100, 5200) \g /dev/null
SELECT count(chat.mark_read(m.user_id, m.chat_id, c.last_event_id)) FROM bench_chats b JOIN chat.chats c ON c.id = b.id JOIN chat.members m ON m.chat_id = b.id
 WHERE b.n IN (4000, 4500, 5001, 5100, 5200) AND m.user_id <> b.owner_id \g /dev/null
SELECT s.cursor AS page_2 FROM chat.sync(:away, chat.id_at(now() - interval '19 days')) s \gset
WITH figures (what, bar, ms) AS (VALUES
	('3 changed of 200 chats', 3.0, pg_temp.median_ms(format('SELECT chat.sync(%s, %s)', :'some', :'since'))),
	('3 changed of 5,000 chats', 30.0, pg_temp.median_ms(format('SELECT chat.sync(%s, %s)', :'many', :'since'))),
	('none changed of 5,000 chats', 30.0, pg_temp.median_ms(format('SELECT chat.sync(%s, %s)', :'many', chat.next_id()))),
	('all of 5,000 chats changed, 35,000 cursors moved', 400.0, pg_temp.median_ms(format('SELECT chat.sync(%s, %s, 50)', :'many', chat.id_at(now() - interval '19 days')))),
	('page 1 of 19,000 events in 200 chats', 30.0, pg_temp.median_ms(format('SELECT chat.sync(%s, %s)', :'away', chat.id_at(now() - interval '19 days')))),
	('page 2', 30.0, pg_temp.median_ms(format('SELECT chat.sync(%s, %s)', :'away', :'page_2'))),
	('list_events, a page in a chat of a million', 5.0, pg_temp.median_ms(format('SELECT count(*) FROM chat.list_events(%s, (SELECT id FROM bench_chats WHERE n = 1), %s, 128)', :'many', chat.id_at(now() - interval '10 days'))))
)
SELECT what, bar AS "bar ms", ms AS "median ms", ms <= bar AS pass FROM figures;

-- The sender's own row at each send; readers' rows, each of many reads a transaction.
CREATE PROCEDURE pg_temp.each(calls text) LANGUAGE plpgsql AS $$
DECLARE
	call text;
BEGIN
	FOR call IN EXECUTE calls LOOP
		EXECUTE call;
		COMMIT;
	END LOOP;
	PERFORM pg_stat_force_next_flush();
END
$$;
CREATE FUNCTION pg_temp.updates() RETURNS TABLE (updated bigint, hot bigint) LANGUAGE sql AS $$
	SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = 'chat.members'::regclass
$$;
CALL pg_temp.each('SELECT ''SELECT 1''');
SELECT * FROM pg_temp.updates() \gset before_
CALL pg_temp.each($$SELECT format('SELECT chat.send_message(%s, %s, ''hot?'')', b.owner_id, b.id) FROM generate_series(1, 20), bench_chats b WHERE b.n BETWEEN 5001 AND 5100$$);
SELECT * FROM pg_temp.updates() \gset sent_
CALL pg_temp.each($$SELECT format('SELECT chat.mark_read(%s, %s, %s)', m.user_id, m.chat_id, l.id)
	  FROM bench_chats b JOIN chat.members m ON m.chat_id = b.id AND m.user_id <> b.owner_id
	 CROSS JOIN LATERAL (SELECT l.id FROM chat.messages l WHERE l.chat_id = b.id ORDER BY l.id DESC LIMIT 20) l
	 WHERE b.n BETWEEN 5001 AND 5020 ORDER BY l.id$$);
SELECT * FROM pg_temp.updates() \gset read_
WITH figures (what, bar, share) AS (VALUES
	('member rows updated HOT at sending', 99, 100.0 * (:sent_hot - :before_hot) / (:sent_updated - :before_updated)),
	('and at reading', 85, 100.0 * (:read_hot - :sent_hot) / (:read_updated - :sent_updated))
)
SELECT what, bar AS "bar %", round(share, 1) AS "%", share >= bar AS pass FROM figures;

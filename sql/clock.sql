-- Ids: greater than every earlier one and than after_id, made of a time, a node and a sequence.
\set SHOW_CONTEXT never
SELECT chat.next_id() < chat.next_id() AS ascending;
SELECT count(DISTINCT id) = 20000 AS distinct, bool_and(id > before) IS TRUE AS ascending
  FROM (SELECT id, lag(id, 1, 0::bigint) OVER (ORDER BY n) AS before FROM (SELECT n, chat.next_id() AS id FROM generate_series(1, 20000) n) i) a;
SELECT abs(extract(epoch FROM chat.id_time(chat.next_id()) - clock_timestamp())) < 10 AS near_now;

-- Above after_id, whichever node and sequence it has
BEGIN;
SELECT chat.next_id() AS now \gset
WITH after_ids AS (
	SELECT ((:now >> 22) + ms << 22) | (node << 12) | sequence AS after_id
	  FROM unnest(ARRAY[0, 1, 1000]) ms, unnest(ARRAY[0, 1, 1023]) node, unnest(ARRAY[0, 1, 4095]) sequence
)
SELECT count(*), bool_and(chat.next_id(after_id) > after_id) AS above FROM after_ids;
COMMIT;
SELECT test.error('SELECT chat.next_id(-1)');
SELECT test.error(format('SELECT chat.next_id(%s)', chat.id_at(clock_timestamp() + interval '5 minutes')));
SELECT test.error('SELECT chat.next_id(9223372036854775807)');
SELECT chat.next_id(0) > 0 AS zero_is_no_id;

-- What an id is made of
SELECT chat.id_at('2025-01-01T00:00:00Z'), chat.id_at('2025-01-01T00:00:00.001Z'), chat.id_at('2024-12-31T23:59:59Z');
SELECT chat.id_at('infinity') = 9223372036854775807 AS far, chat.id_at('-infinity');
SELECT chat.id_time(4194304) AT TIME ZONE 'UTC' AS one_ms;
SELECT at AT TIME ZONE 'UTC' AS at, node, sequence FROM chat.id_parts((1000::bigint << 22) | (7 << 12) | 9);
SELECT chat.id_time(chat.id_at('2026-11-20T12:34:56.789Z')) AT TIME ZONE 'UTC' AS there_and_back;

-- Not in a read-only transaction; nobody but the app may ask
BEGIN READ ONLY;
SELECT chat.next_id();
ROLLBACK;
SET ROLE chat_user;
SELECT chat.next_id();
SELECT chat.take_id();
RESET ROLE;
SET ROLE chat_app;
SELECT chat.next_id() > 0 AS app_may;
RESET ROLE;
-- The durable ceiling lies above every id
SELECT last_value > (chat.next_id() >> 22) * 4096 AS above, last_value < (chat.next_id() >> 22) * 4096 + 70 * 1000 * 4096 AS near FROM chat.id_ceiling;

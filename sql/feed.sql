-- read_events: durable events of all chats behind one cursor.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['nat', 'ola', 'peg']) name) made;
SELECT test.user('nat') AS nat, test.user('ola') AS ola, test.user('peg') AS peg \gset
SELECT chat.next_id() AS start \gset
SELECT id AS first FROM chat.open_direct_chat(:nat, :ola) \gset
SELECT id AS second FROM chat.open_direct_chat(:nat, :peg) \gset
CREATE FUNCTION test.log(chat_id bigint, actor_id bigint, type text, is_entry boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	event record := chat.next_event(chat_id, 0);
BEGIN
	PERFORM chat.log_event(chat_id, event.id, event.prev_id, event.number, type, actor_id, '{"x": 1}', is_entry);
	RETURN event.id;
END
$$;
SELECT number FROM chat.send_message(:nat, :first, 'a');
SELECT number FROM chat.send_message(:nat, :second, 'b');
SELECT test.log(:first, :nat, 'chat_changed', false) > 0 AS logged;
SELECT number FROM chat.send_message(:ola, :first, 'c');
SELECT test.log(:second, :nat, 'call_started', true) > 0 AS logged;
SELECT number FROM chat.send_message(:peg, :second, 'd');
-- Up to the horizon: at once where the library is preloaded, else what is older than chat.horizon_overlap
SELECT count(*) = CASE WHEN chat.delivery_stat('ids') > 0 THEN 6 ELSE 0 END AS visible FROM chat.read_events(:start);
-- As if it were a day later
CREATE FUNCTION test.later(id bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT id - (86400000::bigint << 22) $$;
UPDATE chat.messages SET id = test.later(id), prev_id = test.later(prev_id) WHERE chat_id IN (:first, :second);
UPDATE chat.events SET id = test.later(id), prev_id = test.later(prev_id) WHERE chat_id IN (:first, :second);
UPDATE chat.chats SET last_event_id = test.later(last_event_id), id = test.later(id) WHERE id IN (:first, :second);
UPDATE chat.messages SET chat_id = test.later(chat_id) WHERE chat_id IN (:first, :second);
UPDATE chat.events SET chat_id = test.later(chat_id) WHERE chat_id IN (:first, :second);
SELECT test.later(:start) AS start, max(id) AS last FROM chat.messages WHERE chat_id IN (test.later(:first), test.later(:second)) \gset
SELECT type, event ->> 'type' = type AS same, event -> 'message' ->> 'body' AS body, event ->> 'x' AS x, (event ->> 'id')::bigint = id AS id FROM chat.read_events(:start) WHERE id <= :last;
SELECT type, has_more FROM chat.read_events(:start, 2);
-- Page by page, everything once and in order
CREATE FUNCTION test.pages(after_id bigint, size integer) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		FOR after_id IN SELECT e.id FROM chat.read_events(after_id, size) e LOOP
			RETURN NEXT after_id;
		END LOOP;
		EXIT WHEN NOT FOUND;
	END LOOP;
END
$$;
SELECT size, array_agg(p) = (SELECT array_agg(e.id) FROM chat.read_events(:start) e WHERE e.id <= :last) AS same
  FROM unnest(ARRAY[1, 2, 3, 4, 5, 6, 7]) size, LATERAL (SELECT p FROM test.pages(:start, size) p WHERE p <= :last) p GROUP BY size ORDER BY size;
SELECT count(*) = count(DISTINCT id) AND min(id) > :start AS once FROM chat.read_events(:start);
SELECT count(*) FROM chat.read_events(:last) WHERE id <= :last;
SELECT test.error('SELECT chat.read_events(0, 0)');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT chat.read_events();
ROLLBACK;
SET ROLE chat_user;
SELECT chat.read_events();
RESET ROLE;
DELETE FROM chat.messages WHERE chat_id IN (test.later(:first), test.later(:second));
DELETE FROM chat.events WHERE chat_id IN (test.later(:first), test.later(:second));
DELETE FROM chat.members WHERE chat_id IN (:first, :second);
DELETE FROM chat.direct_chats WHERE chat_id IN (:first, :second);
DELETE FROM chat.chats WHERE id IN (test.later(:first), test.later(:second));
DROP FUNCTION test.pages, test.log, test.later;

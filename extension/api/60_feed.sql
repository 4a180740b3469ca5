-- The feed of everything, for bots, indexers, webhooks, a data lake.

-- Events have no index over all chats: a write would pay for it. Instead the chats that something happened in since are asked for
-- their first event each; only the page_size earliest of those chats can be on the page, and none beyond the last one's first event
-- need be read when there are as many.
CREATE OR REPLACE FUNCTION chat.find_events(after_id bigint, high bigint, wanted integer)
RETURNS TABLE (id bigint, chat_id bigint, type text)
LANGUAGE sql STABLE AS $$
	WITH active AS (
		SELECT c.id, least(
			(SELECT m.id FROM chat.messages m WHERE m.chat_id = c.id AND m.id > find_events.after_id AND m.kind = 'user' ORDER BY m.id LIMIT 1),
			(SELECT e.id FROM chat.events e WHERE e.chat_id = c.id AND e.id > find_events.after_id ORDER BY e.id LIMIT 1)) AS first_id
		  FROM chat.chats c
		 WHERE c.last_event_id > find_events.after_id AND c.id < find_events.high
	), early AS (
		SELECT a.id, a.first_id FROM active a WHERE a.first_id <= find_events.high ORDER BY a.first_id LIMIT find_events.wanted
	), bound AS (
		SELECT CASE WHEN count(*) < find_events.wanted THEN find_events.high ELSE max(early.first_id) END AS id FROM early
	)
	SELECT f.id, e.id, f.type FROM early e CROSS JOIN bound b CROSS JOIN LATERAL (
		(SELECT m.id, 'message' AS type FROM chat.messages m
		  WHERE m.chat_id = e.id AND m.id > find_events.after_id AND m.id <= b.id AND m.kind = 'user' ORDER BY m.id LIMIT find_events.wanted)
		UNION ALL
		(SELECT v.id, v.type FROM chat.events v
		  WHERE v.chat_id = e.id AND v.id > find_events.after_id AND v.id <= b.id ORDER BY v.id LIMIT find_events.wanted)) f
	 ORDER BY f.id LIMIT find_events.wanted
$$;
COMMENT ON FUNCTION chat.find_events IS 'The first wanted durable events of all chats after one id, up to another.';

CREATE OR REPLACE FUNCTION chat.read_events(after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, chat_id bigint, type text, event json, has_more boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := least(coalesce(read_events.page_size, 100), 1000);
	-- In a statement of its own: what is read afterwards sees all that the horizon promises.
	high bigint := chat.horizon();
BEGIN
	IF size < 1 THEN
		PERFORM chat.fail('invalid_argument', 'page_size is not acceptable', 'Use 1 or more.');
	ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
		PERFORM chat.fail('isolation_level');
	END IF;
	RETURN QUERY
	WITH found AS MATERIALIZED (
		SELECT f.*, row_number() OVER (ORDER BY f.id) AS rank FROM chat.find_events(coalesce(read_events.after_id, 0), high, size + 1) f
	)
	SELECT f.id, f.chat_id, f.type, chat.read_event(f.chat_id, f.id), (SELECT count(*) > size FROM found)
	  FROM found f WHERE f.rank <= size ORDER BY f.id;
END
$$;
COMMENT ON FUNCTION chat.read_events IS 'Durable events of all chats in one order, ascending by id, page_size (by default 100, at most 1000) after after_id: the id of the last row seen is the one cursor to keep; no row, keep the one you have. event: as it was published, a message at its present state. Only events up to chat.horizon() come, at present those at least chat.horizon_overlap (10 s) old; what a transaction commits later than that after its first change is missed. Events are kept for the setting event_retention, messages until they are removed. Cost grows with the number of chats that something has happened in since after_id: after a long absence, read large pages. MC400 invalid_argument; isolation_level in any but READ COMMITTED.';
GRANT EXECUTE ON FUNCTION chat.read_events TO chat_app; -- since 0.2.0

-- The feed of everything, for bots, indexers, webhooks, a data lake.

-- Events have no index over all chats: a write would pay for it. Instead each chat in question names its first event; only the
-- earliest of those chats, as many as events are wanted, can have one among these, and none beyond the last one's first event need be
-- read when there are as many.
CREATE OR REPLACE FUNCTION chat.find_events(ranges chat.event_range[], high bigint, wanted integer)
RETURNS TABLE (id bigint, chat_id bigint, type text)
LANGUAGE sql STABLE AS $$
	WITH early AS (
		SELECT r.* FROM unnest(find_events.ranges) r WHERE r.first_id <= find_events.high ORDER BY r.first_id LIMIT find_events.wanted
	), bound AS (
		SELECT CASE WHEN count(*) >= find_events.wanted THEN max(e.first_id) ELSE find_events.high END AS id FROM early e
	)
	SELECT f.id, e.chat_id, f.type FROM early e CROSS JOIN bound b CROSS JOIN LATERAL (
		(SELECT m.id, 'message' AS type FROM chat.messages m
		  WHERE m.chat_id = e.chat_id AND m.id > e.low AND m.id <= least(b.id, e.high) AND m.kind = 'user'
		  ORDER BY m.id LIMIT find_events.wanted)
		UNION ALL
		(SELECT v.id, v.type FROM chat.events v
		  WHERE v.chat_id = e.chat_id AND v.id > e.low AND v.id <= least(b.id, e.high) ORDER BY v.id LIMIT find_events.wanted)) f
	 ORDER BY f.id LIMIT find_events.wanted
$$;
COMMENT ON FUNCTION chat.find_events IS 'The first wanted (NULL: all) durable events of these chats up to high, in one order.';

CREATE OR REPLACE FUNCTION chat.describe_events(ranges chat.event_range[], high bigint, wanted integer)
RETURNS TABLE (id bigint, chat_id bigint, type text, event json)
LANGUAGE sql STABLE AS $$
	SELECT f.id, f.chat_id, f.type,
		CASE f.type
			WHEN 'message' THEN (SELECT chat.message_event(m) FROM chat.messages m WHERE m.chat_id = f.chat_id AND m.id = f.id)
			ELSE (SELECT chat.logged_event(e) FROM chat.events e WHERE e.chat_id = f.chat_id AND e.id = f.id)
		END
	  FROM chat.find_events(describe_events.ranges, describe_events.high, describe_events.wanted) f
$$;
COMMENT ON FUNCTION chat.describe_events IS 'find_events'' with the events themselves, as published; messages at their present state.';

CREATE OR REPLACE FUNCTION chat.read_events(after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, chat_id bigint, type text, event json, has_more boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := least(coalesce(read_events.page_size, 100), 1000);
	-- In a statement of its own: what is read afterwards sees all that the horizon promises.
	high bigint := chat.horizon();
	ranges chat.event_range[];
BEGIN
	read_events.after_id := coalesce(read_events.after_id, 0);
	IF size < 1 THEN
		PERFORM chat.fail('invalid_argument', 'page_size is not acceptable', 'Use 1 or more.');
	ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
		PERFORM chat.fail('isolation_level');
	END IF;
	ranges := ARRAY(
		SELECT ROW(c.id, read_events.after_id, c.last_event_id, least(
				(SELECT m.id FROM chat.messages m WHERE m.chat_id = c.id AND m.id > read_events.after_id AND m.kind = 'user' ORDER BY m.id LIMIT 1),
				(SELECT e.id FROM chat.events e WHERE e.chat_id = c.id AND e.id > read_events.after_id ORDER BY e.id LIMIT 1)),
			NULL)::chat.event_range
		  FROM chat.chats c WHERE c.last_event_id > read_events.after_id AND c.id < high);
	RETURN QUERY
	WITH found AS MATERIALIZED (
		SELECT f.*, row_number() OVER (ORDER BY f.id) AS rank FROM chat.describe_events(ranges, high, size + 1) f
	)
	SELECT f.id, f.chat_id, f.type, f.event, (SELECT count(*) > size FROM found)
	  FROM found f WHERE f.rank <= size ORDER BY f.id;
END
$$;
COMMENT ON FUNCTION chat.read_events IS 'Durable events of all chats in one order, ascending by id, page_size (by default 100, at most 1000) after after_id: the id of the last row seen is the one cursor to keep; no row, keep the one you have. event: as it was published, a message at its present state. Only events up to chat.horizon() come, so none is missed. Events are kept for the setting event_retention, messages until they are removed. Cost grows with the number of chats that something has happened in since after_id: after a long absence, read large pages. MC400 invalid_argument; isolation_level in any but READ COMMITTED.';
GRANT EXECUTE ON FUNCTION chat.read_events TO chat_app; -- since 0.2.0

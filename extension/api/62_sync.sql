-- What somebody has missed, behind one scalar cursor: sync for all his chats and contacts, list_events for one chat.
--
-- Nothing is missed. chat.horizon() is such that every transaction with an id at or below it has ended, and is seen by whatever
-- statement begins later: hence sync is VOLATILE, asks for the horizon first, and reads in later statements, each with a snapshot of
-- its own. A cursor is never above the horizon of the call that gave it, so whatever a later call finds below it was told.
--	 Events: an id up to the cursor was committed when that page was read, and in the page or an earlier one. Ids above the horizon are
--	 told at the last page as far as they are visible, and again at the next call: a transaction that is still open may commit between
--	 them. Receivers drop what they have by id. As the last page takes all of them, a horizon that stands still can repeat events, but
--	 the pages end.
--	 State records are told when their version is above the cursor, each on the page into which its version falls. A version is an id,
--	 taken under the record's lock: one at or below the cursor belonged to a transaction that had ended, so this value or a later one was
--	 visible, and told. One that was taken by a transaction still open then is above the horizon, hence above every cursor given so far,
--	 and comes once it commits; the older value that was told meanwhile is replaced by it, as receivers keep the greatest version. A
--	 record that changes between two pages moves to a later one.
--	 What is read in one call is read in several snapshots; one of the first (find_missed) decides how far each chat goes, so that
--	 somebody who is being removed meanwhile gets nothing beyond his removal.
--
-- A chat with more than sync_chat_limit missed events is told as chat_reset. Pages know nothing of each other, so the place of chat_reset
-- must be such that each page before it comes to the same decision: it stands at the newest event that still has as many events
-- above it (reset_id). Any cursor below that has more than the limit before it, and the chat is passed over until its chat_reset comes; any
-- cursor at or above has at most the limit, and they are told one by one. The page that tells chat_reset leaves them out too: who
-- reloads after it has them. So a chat costs at most one reload and as many events as the limit, whatever happened in it. chat_reset does
-- not count for the page's size: there are at most as many as chats. (An operator who raises the limit, or message_retention that
-- reaches the newest events, between two pages can make a chat fall under it that was passed over before: prev_id shows the gap.)
--
-- Cost: one pass over one's own rows of members, with the chat of each; a probe of members_moved for each chat that is small enough for
-- receipts; the rest grows with what was missed, never with the history.

CREATE OR REPLACE VIEW chat.v_heard_chats AS
SELECT m.user_id, m.chat_id,
	CASE WHEN c.deleted_id IS NULL THEN greatest(m.visible_from, m.joined_id - 1) ELSE coalesce(m.left_id, c.deleted_id) - 1 END AS low,
	coalesce(m.left_id, c.deleted_id, c.last_event_id) AS high,
	coalesce(m.left_count, c.message_count) AS message_count,
	m.left_id IS NOT NULL AS has_left, c.deleted_id IS NOT NULL AS deleted, c.member_count,
	greatest(m.read_version, m.delivered_version, m.prefs_version) AS version, m.visible_from
	-- OFFSET 0: never by reading all chats there are
  FROM chat.members m CROSS JOIN LATERAL (SELECT c.* FROM chat.chats c WHERE c.id = m.chat_id OFFSET 0) c;
COMMENT ON VIEW chat.v_heard_chats IS 'Which events of which chat a user hears: above low, up to high. Those from his joining on, to his leaving; of a deleted chat only its end, or his own. message_count: how many messages there are up to high. visible_from: messages above it are seen.';

-- A message's number counts the user messages up to it, a timeline entry's too: so it need not be counted how many came since.
CREATE OR REPLACE FUNCTION chat.find_missed(actor_id bigint, since bigint, chat_ids bigint[], chat_limit integer)
RETURNS SETOF chat.event_range LANGUAGE sql STABLE AS $$
	SELECT h.chat_id,
		CASE WHEN n.missed <= find_missed.chat_limit THEN h.low ELSE h.high - 1 END,
		h.high,
		-- Whoever has left hears that in any case.
		CASE WHEN n.missed <= find_missed.chat_limit THEN least(fm.id, fe.id) WHEN h.has_left THEN h.high END,
		CASE WHEN n.missed > find_missed.chat_limit THEN (
			SELECT t.id FROM (
				(SELECT m.id FROM chat.messages m WHERE m.chat_id = h.chat_id AND m.id > h.low AND m.id <= h.high
				  ORDER BY m.id DESC LIMIT find_missed.chat_limit + 1)
				UNION
				(SELECT e.id FROM chat.events e WHERE e.chat_id = h.chat_id AND e.id > h.low AND e.id <= h.high
				  ORDER BY e.id DESC LIMIT find_missed.chat_limit + 1)) t
			 ORDER BY t.id DESC OFFSET find_missed.chat_limit LIMIT 1) END
	  FROM unnest(find_missed.chat_ids) wanted (id)
	 CROSS JOIN LATERAL (SELECT v.chat_id, greatest(v.low, find_missed.since) AS low, v.high, v.message_count, v.has_left
		  FROM chat.v_heard_chats v WHERE v.chat_id = wanted.id AND v.user_id = find_missed.actor_id OFFSET 0) h
	  LEFT JOIN LATERAL (SELECT m.id, m.number - (m.kind = 'user')::integer AS before FROM chat.messages m
		 WHERE m.chat_id = h.chat_id AND m.id > h.low AND m.id <= h.high ORDER BY m.id LIMIT 1) fm ON true
	 CROSS JOIN LATERAL (SELECT min(e.id) AS id, count(*) AS count FROM (SELECT e.id FROM chat.events e
		 WHERE e.chat_id = h.chat_id AND e.id > h.low AND e.id <= h.high ORDER BY e.id LIMIT find_missed.chat_limit + 1) e) fe
	 CROSS JOIN LATERAL (SELECT coalesce(h.message_count - fm.before, 0) + fe.count AS missed) n
$$;
COMMENT ON FUNCTION chat.find_missed IS 'What the actor is to be told of these chats of his since then.';

-- Everything that is published as a state event with a version, by the function that its trigger publishes it by; but not presence,
-- which watch_presence tells at once.
CREATE OR REPLACE FUNCTION chat.find_state(actor_id bigint, since bigint, high bigint, own_ids bigint[], small_ids bigint[])
RETURNS TABLE (version bigint, event json) LANGUAGE sql STABLE AS $$
	SELECT v.version, chat.cursor_event(o.member, v.type, CASE v.type WHEN 'read' THEN o.message_count END)
	  FROM unnest(find_state.own_ids) own (id)
	 CROSS JOIN LATERAL (SELECT m AS member, m.read_version, m.delivered_version, coalesce(m.left_count, c.message_count) AS message_count
		  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
		 WHERE m.chat_id = own.id AND m.user_id = find_state.actor_id AND c.deleted_id IS NULL OFFSET 0) o
	 CROSS JOIN LATERAL (VALUES ('read', o.read_version), ('delivered', o.delivered_version)) v (type, version)
	 WHERE v.version > find_state.since AND v.version <= find_state.high
	UNION ALL
	SELECT m.prefs_version, chat.prefs_event(m)::json
	  FROM unnest(find_state.own_ids) own (id) JOIN chat.members m ON m.chat_id = own.id AND m.user_id = find_state.actor_id
	 WHERE m.prefs_version > find_state.since AND m.prefs_version <= find_state.high
	UNION ALL
	SELECT v.version, chat.cursor_event(o.member, v.type)
	  FROM unnest(find_state.small_ids) small (id)
	 CROSS JOIN LATERAL (SELECT m AS member, m.read_id, m.delivered_id, m.read_version, m.delivered_version FROM chat.members m
		 WHERE m.chat_id = small.id AND m.moved >= chat.moved(find_state.since) AND m.user_id <> find_state.actor_id
		   AND (m.read_version > find_state.since AND m.read_version <= find_state.high
			 OR m.delivered_version > find_state.since AND m.delivered_version <= find_state.high) OFFSET 0) o
	 CROSS JOIN LATERAL (VALUES ('read', o.read_version, o.read_id), ('delivered', o.delivered_version, o.delivered_id)) v (type, version, message_id)
	 WHERE v.version > find_state.since AND v.version <= find_state.high AND chat.shows_cursor(o.member, v.type, find_state.actor_id)
	   AND v.message_id > (SELECT own.visible_from FROM chat.members own WHERE own.chat_id = small.id AND own.user_id = find_state.actor_id)
	UNION ALL
	SELECT c.version, chat.connection_event(c)::json FROM chat.v_connections c
	 WHERE c.owner_id = find_state.actor_id AND c.version > find_state.since AND c.version <= find_state.high
	UNION ALL
	SELECT u.version, chat.profile_event(u.id, u.version)::json FROM chat.users u
	 WHERE u.id = find_state.actor_id AND u.version > find_state.since AND u.version <= find_state.high
	UNION ALL
	SELECT d.version, chat.draft_event(d)::json FROM chat.drafts d
	 WHERE d.user_id = find_state.actor_id AND d.version > find_state.since AND d.version <= find_state.high
	UNION ALL
	SELECT l.version, chat.file_event(l)::json FROM chat.v_listed_files l
	 WHERE l.user_id = find_state.actor_id AND l.version > find_state.since AND l.version <= find_state.high
	UNION ALL
	SELECT h.version, chat.hidden_message_event(h)::json FROM chat.hidden_messages h
	 WHERE h.user_id = find_state.actor_id AND h.version > find_state.since AND h.version <= find_state.high
$$;
COMMENT ON FUNCTION chat.find_state IS 'State records of which the actor hears, whose version is above since, up to high. own_ids: chats with news of his own row; small_ids: chats in which he hears of the others'' cursors.';

CREATE OR REPLACE FUNCTION chat.event_as_seen(chat_id bigint, id bigint, type text, event json, reader_id bigint)
RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
	reader chat.members;
BEGIN
	SELECT m.* INTO reader FROM chat.members m WHERE m.chat_id = event_as_seen.chat_id AND m.user_id = event_as_seen.reader_id;
	IF (event_as_seen.event ->> 'message_id')::bigint <= reader.visible_from THEN
		RETURN (SELECT chat.hidden_event(e) FROM chat.events e WHERE e.chat_id = event_as_seen.chat_id AND e.id = event_as_seen.id);
	ELSIF event_as_seen.type = 'message' AND reader.left_id IS NOT NULL THEN
		RETURN (SELECT chat.message_event(chat.message_then(m, reader.left_id)) FROM chat.messages m
		 WHERE m.chat_id = event_as_seen.chat_id AND m.id = event_as_seen.id);
	END IF;
	RETURN event_as_seen.event;
END
$$;
COMMENT ON FUNCTION chat.event_as_seen IS 'A durable event as it is told to a member, or to who has left: event_hidden (hidden_event) where they do not see the message that it is about, and a message as it was when they left.';

CREATE OR REPLACE FUNCTION chat.read_missed(actor_id bigint, since bigint, horizon bigint, size integer,
	OUT events json, OUT state json, OUT bound bigint)
LANGUAGE plpgsql AS $$
DECLARE
	state_size integer := chat.setting_integer('sync_page_size_max');
	changed bigint[];	-- chats with events
	own bigint[];	-- chats with state of one's own
	small bigint[];	-- chats that may have state of others
	partly bigint[];	-- chats with events of which one may not see all
	missed chat.event_range[];
	page bigint[];
BEGIN
	SELECT array_agg(h.chat_id) FILTER (WHERE h.high > read_missed.since), array_agg(h.chat_id) FILTER (WHERE h.version > read_missed.since),
		array_agg(h.chat_id) FILTER (WHERE NOT h.has_left AND NOT h.deleted AND h.member_count <= m.receipts_max),
		array_agg(h.chat_id) FILTER (WHERE (h.has_left OR h.visible_from > 0) AND h.high > read_missed.since)
	  INTO changed, own, small, partly
	  FROM (SELECT chat.setting_integer('receipts_max_members') AS receipts_max) m CROSS JOIN chat.v_heard_chats h
	 WHERE h.user_id = read_missed.actor_id;
	missed := ARRAY(SELECT f FROM chat.find_missed(read_missed.actor_id, read_missed.since, changed, chat.setting_integer('sync_chat_limit')::integer) f);
	page := ARRAY(SELECT f.id FROM chat.find_events(missed, read_missed.horizon, read_missed.size + 1) f ORDER BY f.id);
	IF cardinality(page) > read_missed.size THEN
		bound := page[read_missed.size];
	END IF;

	-- State has pages too, far larger ones.
	WITH found AS MATERIALIZED (
		SELECT s.version, s.event FROM chat.find_state(read_missed.actor_id, read_missed.since, coalesce(bound, 9223372036854775807), own, small) s
	), cut AS (
		SELECT min(c.version) AS version FROM (SELECT f.version FROM found f WHERE f.version <= read_missed.horizon
			 ORDER BY f.version OFFSET state_size - 1 LIMIT 2) c HAVING count(*) = 2
	)
	SELECT coalesce(json_agg(f.event ORDER BY f.version), '[]'), coalesce((SELECT c.version FROM cut c), bound) INTO state, bound
	  FROM found f WHERE f.version <= coalesce((SELECT c.version FROM cut c), 9223372036854775807);

	SELECT coalesce(json_agg(e.event ORDER BY e.id), '[]') INTO events FROM (
		SELECT d.id, CASE WHEN d.chat_id = ANY (partly)
				THEN chat.event_as_seen(d.chat_id, d.id, d.type, d.event, read_missed.actor_id) ELSE d.event END AS event
		  FROM chat.describe_events(missed, coalesce(bound, 9223372036854775807), NULL) d
		UNION ALL
		SELECT r.reset_id, json_build_object('type', 'chat_reset', 'chat_id', r.chat_id::text) FROM unnest(missed) r
		 WHERE r.reset_id <= coalesce(bound, 9223372036854775807)) e;
END
$$;
COMMENT ON FUNCTION chat.read_missed IS 'One page of sync; the caller has taken the horizon in a statement before. bound: id with which a page ends that is not the last; NULL: all that is visible is in it.';

-- Or nothing has happened since: on a quiet server the horizon itself may be as old.
CREATE OR REPLACE FUNCTION chat.is_logged(since bigint)
RETURNS boolean LANGUAGE sql VOLATILE AS $$
	SELECT is_logged.since > 0
		AND is_logged.since >= least(chat.id_at(clock_timestamp() - chat.setting_interval('event_retention')), chat.last_id())
$$;
COMMENT ON FUNCTION chat.is_logged IS 'Whether the event log has all events after this id (setting event_retention).';

CREATE OR REPLACE FUNCTION chat.check_since(since bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	IF check_since.since < 0 THEN
		PERFORM chat.fail('invalid_id');
	-- The clock of ids may be ahead of the wall's, and a cursor with it.
	ELSIF check_since.since > greatest(chat.last_id(), chat.id_at(clock_timestamp() + interval '60 seconds')) THEN
		PERFORM chat.fail('id_in_future', 'since is more than 60 seconds ahead of the clock', 'Pass a cursor that sync has given.');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_since IS 'Raises MC400 invalid_id, id_in_future for what sync can never have given.';

CREATE OR REPLACE FUNCTION chat.sync(actor_id bigint, since bigint DEFAULT NULL, page_size integer DEFAULT NULL,
	OUT events json, OUT state json, OUT cursor bigint, OUT has_more boolean, OUT reset boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
-- One plan for everybody, made once: the statements are large, and go by keys, also when a table was small when they were planned.
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
	size integer := least(coalesce(sync.page_size, chat.setting_integer('sync_page_size')), chat.setting_integer('sync_page_size_max'));
	horizon bigint;
	bound bigint;
BEGIN
	PERFORM chat.check_actor(sync.actor_id);
	IF size < 1 THEN
		PERFORM chat.fail('invalid_argument', 'page_size is not acceptable', 'Use 1 or more.');
	ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
		PERFORM chat.fail('isolation_level');
	END IF;
	horizon := chat.horizon();
	PERFORM chat.check_since(sync.since);
	IF chat.is_logged(sync.since) THEN
		SELECT m.events, m.state, m.bound INTO events, state, bound FROM chat.read_missed(sync.actor_id, sync.since, horizon, size) m;
	END IF;
	-- Asked again, for maintenance may have deleted something before it was read.
	reset := chat.is_logged(sync.since) IS NOT TRUE;
	IF reset THEN
		events := '[]'; state := '[]'; bound := NULL;
	END IF;
	has_more := bound IS NOT NULL;
	sync.cursor := coalesce(bound, greatest(sync.since, horizon));
END
$$;
COMMENT ON FUNCTION chat.sync IS 'What one has missed since a cursor that an earlier call gave. events: durable events of all one''s chats in one order, as published, messages at their present state; {"type":"chat_reset","chat_id"} stands for a chat with more than the setting sync_chat_limit of them: reload its last page and its get_chat. state: the events of records with a version, at their present value, that have changed since, in the order of their versions. cursor: the since of the next call; durable: keep it once the page is processed. has_more: call again at once. The last page goes on beyond the horizon, up to now: what it has there, and state, may come again; drop events by id, keep of each record the greatest version. page_size: events (setting sync_page_size, at most sync_page_size_max); the last page may have more. Who has left a chat gets its events up to member_left, who has joined one those from member_joined on, of a deleted one only chat_deleted comes; for what happens to a message that one does not see (setting history_for_new_members) event_hidden keeps the place. reset: since is NULL, 0, or older than the event log (setting event_retention): begin anew with list_chats, list_connections, list_files, then sync from this cursor. MC400 invalid_argument, invalid_id, id_in_future, isolation_level (in any but READ COMMITTED); 25006 on a standby.';
GRANT EXECUTE ON FUNCTION chat.sync TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.list_events(actor_id bigint, chat_id bigint, after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, type text, event json, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
	size integer := chat.page_size(list_events.page_size);
	heard chat.v_heard_chats;
BEGIN
	PERFORM chat.check_actor(list_events.actor_id);
	SELECT h.* INTO heard FROM chat.v_heard_chats h
	 WHERE h.user_id = list_events.actor_id AND h.chat_id = list_events.chat_id AND NOT h.deleted;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_chat');
	END IF;
	RETURN QUERY
	WITH found AS MATERIALIZED (
		SELECT d.*, row_number() OVER (ORDER BY d.id) AS rank FROM chat.describe_events(
			ARRAY[ROW(heard.chat_id, greatest(heard.low, list_events.after_id), heard.high, 0, NULL)::chat.event_range], heard.high, size + 1) d
	)
	SELECT f.id, seen.event ->> 'type', seen.event, (SELECT count(*) > size FROM found)
	  FROM found f
	 CROSS JOIN LATERAL (SELECT CASE WHEN heard.has_left OR heard.visible_from > 0
			THEN chat.event_as_seen(f.chat_id, f.id, f.type, f.event, list_events.actor_id) ELSE f.event END AS event OFFSET 0) seen
	 WHERE f.rank <= size ORDER BY f.id;
END
$$;
COMMENT ON FUNCTION chat.list_events IS 'The durable events of one chat after after_id (NULL: from the beginning), as sync would tell them, up to now; ascending by id. For a gap: when an event''s prev_id is not the id of the one before it, ask from that on, and take the last row, or the event itself, for the last one seen, whatever was deleted between (settings event_retention, message_retention). Who has left gets those up to member_left, who has joined those from member_joined on, event_hidden for what is about a message that they do not see. MC400 invalid_argument (page_size); MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_events TO chat_user, chat_app; -- since 0.2.0

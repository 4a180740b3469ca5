-- Clients that know nothing but what sync tells them, and what the tables say that they must know.
--
-- test_sync.start() gives each user a client whose cursor is the present horizon. test_sync.follow(user_id, page_size) lets one read
-- all pages, each in a transaction of its own, and note them. Afterwards test_sync.faults() must be empty: it compares with queries
-- over the tables that know nothing of horizon, pages, indexes or ranges. exact: nothing happened between start() and the
-- one follow() of each client, or rather all of it did: then a client knows neither less nor more than what is there.

CREATE SCHEMA test_sync;

CREATE TABLE test_sync.clients (user_id bigint PRIMARY KEY, first bigint NOT NULL, cursor bigint NOT NULL);
CREATE TABLE test_sync.pages (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint, since bigint, cursor bigint, has_more boolean, page_size integer,
	events integer, reset boolean);
CREATE TABLE test_sync.events (page bigint, user_id bigint, position bigint, chat_id bigint, id bigint, type text, event jsonb);
CREATE TABLE test_sync.states (page bigint, user_id bigint, position bigint, key text, version bigint, event jsonb);
CREATE INDEX ON test_sync.events (user_id, chat_id, id);

CREATE FUNCTION test_sync.start() RETURNS void LANGUAGE sql AS $$
	INSERT INTO test_sync.clients (user_id, first, cursor) SELECT u.id, h, h FROM chat.horizon() h, chat.users u
$$;

-- What a record is known by
CREATE FUNCTION test_sync.key(event jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', event ->> 'type', event ->> 'chat_id', event ->> 'user_id', CASE WHEN event ->> 'type' = 'message_hidden' THEN event ->> 'message_id' END, event ->> 'id')
$$;

CREATE PROCEDURE test_sync.follow(user_id bigint, page_size integer) LANGUAGE plpgsql AS $$
DECLARE
	client test_sync.clients;
	page record;
	noted bigint;
BEGIN
	LOOP
		SELECT c.* INTO client FROM test_sync.clients c WHERE c.user_id = follow.user_id;
		SELECT s.* INTO page FROM chat.sync(follow.user_id, client.cursor, follow.page_size) s;
		INSERT INTO test_sync.pages (user_id, since, cursor, has_more, page_size, events, reset)
		VALUES (follow.user_id, client.cursor, page.cursor, page.has_more, follow.page_size, json_array_length(page.events), page.reset) RETURNING number INTO noted;
		INSERT INTO test_sync.events
		SELECT noted, follow.user_id, e.position, (e.event ->> 'chat_id')::bigint, (e.event ->> 'id')::bigint, e.event ->> 'type', e.event::jsonb
		  FROM json_array_elements(page.events) WITH ORDINALITY AS e (event, position);
		INSERT INTO test_sync.states
		SELECT noted, follow.user_id, s.position, test_sync.key(s.event::jsonb), (s.event ->> 'version')::bigint, s.event::jsonb
		  FROM json_array_elements(page.state) WITH ORDINALITY AS s (event, position);
		UPDATE test_sync.clients c SET cursor = page.cursor WHERE c.user_id = follow.user_id;
		COMMIT;
		EXIT WHEN NOT page.has_more;
	END LOOP;
END
$$;

CREATE PROCEDURE test_sync.follow_all(page_size integer) LANGUAGE plpgsql AS $$
DECLARE
	client test_sync.clients;
BEGIN
	FOR client IN SELECT c.* FROM test_sync.clients c LOOP
		CALL test_sync.follow(client.user_id, follow_all.page_size);
	END LOOP;
END
$$;

-- What is there
CREATE VIEW test_sync.true_events AS
SELECT k.user_id, l.chat_id, l.id
  FROM test_sync.clients k JOIN chat.members m ON m.user_id = k.user_id JOIN chat.chats c ON c.id = m.chat_id
  JOIN (SELECT e.chat_id, e.id FROM chat.events e UNION ALL SELECT n.chat_id, n.id FROM chat.messages n WHERE n.kind = 'user') l ON l.chat_id = m.chat_id
 WHERE l.id > k.first AND CASE
	WHEN c.deleted_id IS NOT NULL AND m.left_id IS NULL THEN l.id = c.deleted_id
	WHEN c.deleted_id IS NOT NULL THEN l.id = m.left_id
	ELSE l.id > m.visible_from AND l.id >= m.joined_id AND (m.left_id IS NULL OR l.id <= m.left_id) END;

CREATE VIEW test_sync.true_states AS
SELECT s.user_id, test_sync.key(s.event) AS key, s.version, s.event, s.known_from FROM test_sync.clients k JOIN (
	SELECT m.user_id, v.version,
		chat.cursor_event(o, v.type, CASE WHEN v.type = 'read' AND o.user_id = m.user_id THEN coalesce(m.left_count, c.message_count) END)::jsonb AS event,
		-- Whose cursors are shown only once they have written: those of before come with the next move.
		greatest(m.joined_id, (SELECT min(g.id) FROM chat.messages g
			WHERE o.user_id <> m.user_id AND g.chat_id = o.chat_id AND g.sender_id = o.user_id AND g.kind = 'user' AND g.id > o.joined_id)) AS known_from
	  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id JOIN chat.members o ON o.chat_id = m.chat_id
	 CROSS JOIN LATERAL (VALUES ('read', o.read_version), ('delivered', o.delivered_version)) v (type, version)
	 WHERE c.deleted_id IS NULL AND v.version > 0 AND (o.user_id = m.user_id OR m.left_id IS NULL AND c.member_count <= chat.setting_integer('receipts_max_members')
		AND chat.shows_cursor(o, v.type, m.user_id))
	UNION ALL SELECT m.user_id, m.prefs_version, chat.prefs_event(m), 0 FROM chat.members m WHERE m.prefs_version > 0
	UNION ALL SELECT c.owner_id, c.version, chat.connection_event(c), 0 FROM chat.v_connections c
	UNION ALL SELECT u.id, u.version, chat.profile_event(u.id, u.version), 0 FROM chat.users u
	UNION ALL SELECT d.user_id, d.version, chat.draft_event(d), 0 FROM chat.drafts d
	UNION ALL SELECT l.user_id, l.version, chat.file_event(l), 0 FROM chat.v_listed_files l
	UNION ALL SELECT h.user_id, h.version, chat.hidden_message_event(h), 0 FROM chat.hidden_messages h) s ON s.user_id = k.user_id AND s.version > k.first;

-- What each client knows: of each record the greatest version
CREATE VIEW test_sync.known_states AS
SELECT DISTINCT ON (s.user_id, s.key) s.user_id, s.key, s.version, s.event FROM test_sync.states s ORDER BY s.user_id, s.key, s.version DESC, s.page DESC;
-- Without what changes while the version does not: sending moves the sender's read cursor, and counts for the others.
CREATE FUNCTION test_sync.lasting(event jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN event ->> 'type' = 'read' THEN event - '{unread,mentions,message_id,number}'::text[] ELSE event END
$$;

CREATE FUNCTION test_sync.event(chat_id bigint, id bigint) RETURNS json LANGUAGE sql AS $$
	SELECT coalesce((SELECT chat.logged_event(e) FROM chat.events e WHERE e.chat_id = event.chat_id AND e.id = event.id),
		(SELECT chat.message_event(m) FROM chat.messages m WHERE m.chat_id = event.chat_id AND m.id = event.id))
$$;

CREATE FUNCTION test_sync.faults(exact boolean) RETURNS TABLE (fault text, user_id bigint, detail text) LANGUAGE sql AS $$
	SELECT 'event missed', t.user_id, t.chat_id || ' ' || t.id FROM test_sync.true_events t
	 WHERE NOT EXISTS (SELECT FROM test_sync.events e WHERE e.user_id = t.user_id AND e.chat_id = t.chat_id AND (e.id = t.id OR e.type = 'chat_reset'))
	UNION ALL
	SELECT 'event of nobody', e.user_id, e.event::text FROM test_sync.events e
	 WHERE exact AND e.type <> 'chat_reset' AND NOT EXISTS (SELECT FROM test_sync.true_events t WHERE t.user_id = e.user_id AND t.chat_id = e.chat_id AND t.id = e.id)
	UNION ALL
	SELECT 'event differs', e.user_id, e.event::text FROM test_sync.events e
	  JOIN chat.members m ON m.chat_id = e.chat_id AND m.user_id = e.user_id
	 WHERE exact AND e.type <> 'chat_reset' AND e.event <> chat.event_as_seen(e.chat_id, e.id, CASE WHEN EXISTS (SELECT FROM chat.events l WHERE l.chat_id = e.chat_id AND l.id = e.id)
		THEN '' ELSE 'message' END, test_sync.event(e.chat_id, e.id), e.user_id)::jsonb
	UNION ALL
	SELECT 'event twice below a cursor', e.user_id, e.event::text FROM test_sync.events e JOIN test_sync.pages p ON p.number = e.page WHERE e.id <= p.since
	UNION ALL
	SELECT 'event twice on a page', e.user_id, e.id::text FROM test_sync.events e WHERE e.id IS NOT NULL GROUP BY e.page, e.user_id, e.id HAVING count(*) > 1
	UNION ALL
	SELECT 'order', e.user_id, e.event::text FROM (SELECT e.*, lag(e.id) OVER (PARTITION BY e.page ORDER BY e.position) AS before FROM test_sync.events e WHERE e.id IS NOT NULL) e WHERE e.id < e.before
	UNION ALL
	-- No gaps: in the order of ids each event names the one before it, but after one's own joining, and at the end of a deleted chat.
	SELECT 'chain', c.user_id, c.event::text FROM (
		SELECT e.*, (e.event ->> 'prev_id')::bigint AS prev_id, lag(e.id) OVER (PARTITION BY e.user_id, e.chat_id ORDER BY e.id) AS before
		  FROM (SELECT DISTINCT ON (e.user_id, e.chat_id, e.id) e.* FROM test_sync.events e WHERE e.type <> 'chat_reset' ORDER BY e.user_id, e.chat_id, e.id) e) c
	  JOIN test_sync.clients k ON k.user_id = c.user_id
	 WHERE CASE WHEN c.before IS NULL THEN c.prev_id > k.first AND c.prev_id <> c.chat_id ELSE c.prev_id <> c.before END
	   AND NOT (c.type = 'member_joined' AND c.event -> 'user_ids' ? c.user_id::text)
	   AND NOT EXISTS (SELECT FROM chat.chats d WHERE d.id = c.chat_id AND d.deleted_id IS NOT NULL)
	   AND NOT EXISTS (SELECT FROM test_sync.events r WHERE r.user_id = c.user_id AND r.chat_id = c.chat_id AND r.type = 'chat_reset')
	UNION ALL
	SELECT 'cursor', p.user_id, p.number::text FROM test_sync.pages p
	 WHERE p.cursor < p.since OR p.reset OR p.has_more AND p.cursor = p.since OR p.has_more AND p.events = 0
	UNION ALL
	SELECT 'page size', p.user_id, p.number::text FROM test_sync.pages p
	 WHERE p.has_more AND p.page_size <> (SELECT count(*) FROM test_sync.events e WHERE e.page = p.number AND e.type <> 'chat_reset')
	UNION ALL
	SELECT 'state missed', t.user_id, t.event::text FROM test_sync.true_states t LEFT JOIN test_sync.known_states k ON k.user_id = t.user_id AND k.key = t.key
	 -- Whoever came into the chat later has not heard the others' cursors before.
	 WHERE (exact OR t.version > t.known_from) AND (k.version IS DISTINCT FROM t.version OR CASE WHEN exact THEN t.event <> k.event ELSE test_sync.lasting(t.event) <> test_sync.lasting(k.event) END)
	UNION ALL
	SELECT 'state of nobody', k.user_id, k.event::text FROM test_sync.known_states k
	 WHERE exact AND NOT EXISTS (SELECT FROM test_sync.true_states t WHERE t.user_id = k.user_id AND t.key = k.key)
	UNION ALL
	SELECT 'state twice', s.user_id, s.key FROM test_sync.states s WHERE exact GROUP BY s.user_id, s.key HAVING count(*) > 1
	UNION ALL
	SELECT 'state below a cursor', s.user_id, s.event::text FROM test_sync.states s JOIN test_sync.pages p ON p.number = s.page WHERE s.version <= p.since
$$;

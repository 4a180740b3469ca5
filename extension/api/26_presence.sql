-- Presence: what somebody wants shown (set_presence), while he is there (leases), to those who may see it.
--
-- A gateway holds a lease. With one call, renew_presence, at least three times per setting presence_lease, it keeps the lease and says
-- which sessions got their first socket there and which lost their last. When it dies, the lease lapses, and at once its users are
-- offline for who asks; expire_presence tells those who watch.
--
-- A change is announced to all gateways, on the channel of user 0, as {"type":"presence_changed","user_id":…} and nothing more:
-- a gateway with sockets that watch this user asks read_presence what each watcher may see of him now. So the rule stands here alone,
-- and whoever loses sight of somebody is told that he is offline, once: that a hidden user comes and goes is no news for him either.

CREATE OR REPLACE VIEW chat.v_live_users AS
SELECT s.user_id FROM chat.live_sessions s JOIN chat.leases l ON l.id = s.lease_id WHERE l.expires_at > now();
COMMENT ON VIEW chat.v_live_users IS 'Who has a socket somewhere, once for each session.';

CREATE OR REPLACE FUNCTION chat.is_live(user_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.v_live_users v WHERE v.user_id = is_live.user_id);
END
$$;
COMMENT ON FUNCTION chat.is_live IS 'Whether the user has a socket anywhere, invisible or not.';

CREATE OR REPLACE FUNCTION chat.is_invisible(user_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT u.status = 'invisible' AND (u.status_until <= now()) IS NOT TRUE FROM chat.users u WHERE u.id = is_invisible.user_id);
END
$$;
COMMENT ON FUNCTION chat.is_invisible IS 'Whether the user looks offline, there or not.';

CREATE OR REPLACE VIEW chat.v_presence AS
SELECT u.id AS user_id,
	CASE WHEN NOT chat.is_live(u.id) THEN 'offline' WHEN u.status_until <= now() THEN 'online' ELSE u.status END AS status,
	v.status_text, CASE WHEN u.status_until > now() THEN u.status_until END AS status_until, u.last_seen_at, u.status_version AS version,
	v.status AS shown_status
  FROM chat.users u JOIN chat.v_users v ON v.id = u.id;
COMMENT ON VIEW chat.v_presence IS 'Presence as the user himself sees it; shown_status is what others see, if they may: offline while he is invisible.';

-- Who was put somewhere by a stranger does not know that they could be watched there; writing says that they do.
CREATE OR REPLACE FUNCTION chat.shows_presence(member chat.members)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
	added_by bigint := member.added_by;
BEGIN
	IF member.wrote THEN
		RETURN true;
	ELSIF added_by IS NULL THEN -- it was not noted: who made the chat, or whose the timeline's entry of the joining is
		added_by := (SELECT CASE WHEN c.creator_id = member.user_id THEN c.creator_id ELSE (SELECT m.sender_id FROM chat.messages m
				WHERE m.chat_id = c.id AND m.id = member.joined_id) END
			  FROM chat.chats c WHERE c.id = member.chat_id AND c.kind <> 'direct');
	END IF;
	RETURN coalesce(added_by = member.user_id OR chat.are_connected(member.user_id, added_by), false);
END
$$;
COMMENT ON FUNCTION chat.shows_presence IS 'Whether the other members may see the presence of this one: whoever has written in the chat, or has come into it by themselves or by a connection of theirs.';

-- A cursor tells when somebody was there, and devices move that of delivery by themselves.
CREATE OR REPLACE FUNCTION chat.shows_cursor(member chat.members, type text, viewer_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF (SELECT c.kind FROM chat.chats c WHERE c.id = member.chat_id) = 'direct' THEN
		RETURN (member.wrote OR chat.are_connected(member.user_id, shows_cursor.viewer_id))
			AND NOT chat.are_blocked(member.user_id, shows_cursor.viewer_id);
	END IF;
	RETURN shows_cursor.type = 'read' OR chat.shows_presence(member);
END
$$;
COMMENT ON FUNCTION chat.shows_cursor IS 'Whether another member, viewer_id, may know this cursor, read or delivered: in a direct chat once the member has written in it or the two are connected, and never across a block; elsewhere that of reading always, that of delivery where shows_presence says so.';

CREATE OR REPLACE FUNCTION chat.visible_presence(viewer_ids bigint[], user_ids bigint[])
RETURNS TABLE (viewer_id bigint, user_id bigint) LANGUAGE sql STABLE AS $$
	SELECT p.viewer_id, p.user_id
	  FROM (SELECT v AS viewer_id, v AS user_id FROM unnest(visible_presence.viewer_ids) v WHERE v = ANY (visible_presence.user_ids)
			UNION
			SELECT c.owner_id, c.user_id FROM chat.v_connections c
			 WHERE c.owner_id = ANY (visible_presence.viewer_ids) AND c.user_id = ANY (visible_presence.user_ids) AND c.state = 'connected'
			UNION
			SELECT a.user_id, b.user_id
			  FROM chat.members a
			  JOIN chat.chats c ON c.id = a.chat_id AND c.deleted_id IS NULL AND c.member_count <= chat.setting_integer('receipts_max_members')
			  JOIN chat.members b ON b.chat_id = a.chat_id
			 WHERE a.user_id = ANY (visible_presence.viewer_ids) AND a.left_id IS NULL
			   AND b.user_id = ANY (visible_presence.user_ids) AND b.left_id IS NULL AND (b.wrote OR chat.shows_presence(b))) p
	 WHERE NOT chat.are_blocked(p.viewer_id, p.user_id)
$$;
COMMENT ON FUNCTION chat.visible_presence IS 'Who of these viewers may see the presence of whom of these users: themselves, their connections, and who is with them in a chat of at most receipts_max_members where they show it (shows_presence); never across a block.';

CREATE OR REPLACE FUNCTION chat.seen_presence(viewer_ids bigint[], user_ids bigint[])
RETURNS TABLE (viewer_id bigint, user_id bigint, status text, status_text text, last_seen_at timestamptz, version bigint, visible boolean)
LANGUAGE sql STABLE AS $$
	WITH present AS MATERIALIZED (SELECT p.* FROM chat.v_presence p WHERE p.user_id = ANY (seen_presence.user_ids))
	SELECT viewer.id, p.user_id,
		CASE WHEN p.user_id = viewer.id THEN p.status WHEN s.user_id IS NULL THEN 'offline' ELSE p.shown_status END,
		CASE WHEN s.user_id IS NOT NULL THEN p.status_text END,
		CASE WHEN s.user_id IS NOT NULL THEN p.last_seen_at END,
		p.version, s.user_id IS NOT NULL
	  FROM unnest(seen_presence.viewer_ids) AS viewer (id)
	 CROSS JOIN present p
	  LEFT JOIN chat.visible_presence(seen_presence.viewer_ids, seen_presence.user_ids) s ON s.viewer_id = viewer.id AND s.user_id = p.user_id
$$;
COMMENT ON FUNCTION chat.seen_presence IS 'Presence of each of these users as each of these viewers sees it: offline and nothing else of those whose he may not see.';

CREATE OR REPLACE FUNCTION chat.seen_users(actor_id bigint, user_ids bigint[])
RETURNS SETOF chat.v_users LANGUAGE sql STABLE AS $$
	SELECT u.id, u.user_name, u.display_name, u.avatar_file_id, p.status, p.status_text, u.deleted
	  FROM chat.seen_presence(ARRAY[seen_users.actor_id], seen_users.user_ids) p JOIN chat.users u ON u.id = p.user_id
$$;
COMMENT ON FUNCTION chat.seen_users IS 'Public profiles as actor_id sees them.';

CREATE OR REPLACE FUNCTION chat.get_presence(actor_id bigint, user_ids bigint[])
RETURNS TABLE (user_id bigint, status text, status_text text, last_seen_at timestamptz, version bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(get_presence.actor_id);
	PERFORM chat.check_ids(get_presence.user_ids, 'user_ids');
	RETURN QUERY
	SELECT p.user_id, p.status, p.status_text, p.last_seen_at, CASE WHEN p.visible THEN p.version END
	  FROM chat.seen_presence(ARRAY[get_presence.actor_id], get_presence.user_ids) p
	 ORDER BY p.user_id;
END
$$;
COMMENT ON FUNCTION chat.get_presence IS 'Who of these users is there, ascending by user_id: status online, away, busy or offline, the text he has set, and when he was last online. To be seen by oneself (invisible too), connections, and members of a shared chat of at most the setting receipts_max_members, once the one who is looked at has written in it, unless they came into it by themselves or by a connection; everybody else, and who is blocked, sees offline and no more. At most the setting ids_max. MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.get_presence TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.read_presence(user_ids bigint[], watcher_ids bigint[])
RETURNS TABLE (user_id bigint, viewer_ids bigint[], visible boolean, event jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT p.user_id, array_agg(p.viewer_id ORDER BY p.viewer_id), p.visible, jsonb_build_object('type', 'presence_changed', 'user_id', p.user_id::text,
		'status', p.status, 'status_text', p.status_text, 'last_seen_at', chat.rfc3339(p.last_seen_at),
		'version', CASE WHEN p.visible THEN p.version::text END, 'at', CASE WHEN p.visible THEN chat.rfc3339(chat.id_time(p.version)) END)
	  FROM chat.seen_presence(read_presence.watcher_ids, read_presence.user_ids) p
	 GROUP BY p.user_id, p.status, p.status_text, p.last_seen_at, p.version, p.visible
	 ORDER BY p.user_id, 2
$$;
COMMENT ON FUNCTION chat.read_presence IS 'For a gateway that was told of changes: what its watchers may see of these users now, as the event for their sockets; one row for all viewers who see the same. visible: they may see him. Who may not is told so (offline, without version and time) once, when it has become so, and nothing after that, not even that there was a change.';
GRANT EXECUTE ON FUNCTION chat.read_presence TO chat_gateway; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.publish_presence()
RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF chat.took(NEW.status_version) THEN
		PERFORM chat.publish(jsonb_build_object('type', 'presence_changed', 'user_id', NEW.id::text), ARRAY[0]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_presence IS 'Trigger: tells all gateways, who listen to user 0, that those who watch this user may see something new.';
CREATE OR REPLACE TRIGGER publish_presence AFTER UPDATE OF status_version ON chat.users
FOR EACH ROW EXECUTE FUNCTION chat.publish_presence();

CREATE OR REPLACE FUNCTION chat.change_presence(user_ids bigint[], seen_at timestamptz DEFAULT NULL)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE chat.users u
	   SET status_version = chat.take_id(u.status_version), last_seen_at = coalesce(change_presence.seen_at, u.last_seen_at)
	 WHERE u.id = ANY (change_presence.user_ids);
END
$$;
COMMENT ON FUNCTION chat.change_presence IS 'Others see something new of the presence of these users, who are locked: they came, went (seen_at), or are seen by others than before.';

CREATE OR REPLACE FUNCTION chat.change_seen_presence(user_id bigint, other_id bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM chat.change_presence(ARRAY(SELECT p.user_id FROM chat.visible_presence(ARRAY[change_seen_presence.user_id, change_seen_presence.other_id],
		ARRAY[change_seen_presence.user_id, change_seen_presence.other_id]) p WHERE p.viewer_id <> p.user_id));
END
$$;
COMMENT ON FUNCTION chat.change_seen_presence IS 'change_presence for those of the two whom the other may see: between others a block changes nothing, and those who watch them need not be told.';

CREATE OR REPLACE FUNCTION chat.set_presence(actor_id bigint, status text DEFAULT NULL, status_text text DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS chat.v_presence LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	present chat.users;
	wanted chat.users;
	presence chat.v_presence;
BEGIN
	PERFORM chat.check_actor(set_presence.actor_id);
	IF set_presence.status NOT IN ('online', 'away', 'busy', 'invisible') THEN
		PERFORM chat.fail('invalid_argument', 'status is not acceptable', 'Use online, away, busy or invisible.');
	ELSIF set_presence.until <= now() OR set_presence.until = 'infinity' THEN
		PERFORM chat.fail('invalid_argument', 'until is not acceptable', 'Name a time to come, or none.');
	END IF;
	PERFORM chat.check_length(set_presence.status_text, 'status_text', 0, 140);
	SELECT u.* INTO present FROM chat.users u WHERE u.id = set_presence.actor_id AND NOT u.deleted FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	SELECT p.* INTO presence FROM chat.v_presence p WHERE p.user_id = set_presence.actor_id;
	wanted := present;
	wanted.status := coalesce(set_presence.status, CASE WHEN present.status_until <= now() THEN 'online' ELSE present.status END);
	wanted.status_text := nullif(coalesce(set_presence.status_text, presence.status_text), '');
	wanted.status_until := set_presence.until;
	IF wanted IS DISTINCT FROM present THEN
		UPDATE chat.users u SET status = wanted.status, status_text = wanted.status_text, status_until = wanted.status_until
		 WHERE u.id = set_presence.actor_id;
		-- Who becomes invisible seems to leave.
		PERFORM chat.change_presence(ARRAY[set_presence.actor_id],
			CASE WHEN wanted.status = 'invisible' AND presence.shown_status <> 'offline' THEN now() END);
		SELECT p.* INTO presence FROM chat.v_presence p WHERE p.user_id = set_presence.actor_id;
	END IF;
	RETURN presence;
END
$$;
COMMENT ON FUNCTION chat.set_presence IS 'Sets what others see while one is there: status online, away, busy or invisible (looks offline); status_text at most 140 characters ('''' = none), seen also while one is not there; both until this time, then online without text again; until NULL = till the next call. NULL leaves status or status_text. Answers one''s presence as one sees it; status is offline while no session of one''s own has a socket. MC400 invalid_argument; MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.set_presence TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.renew_presence(lease_id bigint, opened_ids bigint[] DEFAULT NULL, closed_ids bigint[] DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	lease bigint;
	coming bigint[] := ARRAY(SELECT DISTINCT s.user_id FROM chat.sessions s WHERE s.id = ANY (opened_ids));
	going bigint[] := ARRAY(SELECT DISTINCT s.user_id FROM chat.live_sessions s
		WHERE s.lease_id = renew_presence.lease_id AND s.session_id = ANY (closed_ids));
BEGIN
	UPDATE chat.leases l SET expires_at = now() + chat.setting_interval('presence_lease')
	 WHERE l.id = renew_presence.lease_id AND l.expires_at > now() RETURNING l.id INTO lease;
	IF NOT FOUND THEN
		INSERT INTO chat.leases AS l (id, expires_at) VALUES (chat.take_id(), now() + chat.setting_interval('presence_lease'))
		RETURNING l.id INTO lease;
	END IF;
	IF coming = '{}' AND going = '{}' THEN
		RETURN lease;
	END IF;

	PERFORM chat.lock_users(coming || going);
	coming := ARRAY(SELECT u FROM unnest(coming) u WHERE NOT chat.is_live(u) AND NOT chat.is_invisible(u));
	INSERT INTO chat.live_sessions (session_id, lease_id, user_id)
	SELECT s.id, lease, s.user_id FROM chat.sessions s WHERE s.id = ANY (opened_ids)
	ON CONFLICT DO NOTHING;
	PERFORM chat.change_presence(coming);
	PERFORM chat.end_live_sessions(lease, going, closed_ids, now());
	RETURN lease;
END
$$;
COMMENT ON FUNCTION chat.renew_presence IS 'For gateways: keeps the lease alive for the setting presence_lease, and notes which sessions have got their first socket here (opened_ids) and which have lost their last (closed_ids). The first call passes NULL and gets the lease''s id. When the answer is not the id that was passed, that lease had lapsed: call again with all sessions that have a socket here.';
GRANT EXECUTE ON FUNCTION chat.renew_presence TO chat_gateway; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.presence_lease()
RETURNS interval LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT chat.setting_interval('presence_lease') $$;
COMMENT ON FUNCTION chat.presence_lease IS 'For gateways: how long a lease lasts that is not renewed, the setting presence_lease.';
GRANT EXECUTE ON FUNCTION chat.presence_lease TO chat_gateway; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.end_live_sessions(lease_id bigint, user_ids bigint[], session_ids bigint[], at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM chat.live_sessions s
	 WHERE s.lease_id = end_live_sessions.lease_id AND s.user_id = ANY (end_live_sessions.user_ids)
	   AND (end_live_sessions.session_ids IS NULL OR s.session_id = ANY (end_live_sessions.session_ids));
	PERFORM chat.change_presence(
		ARRAY(SELECT u FROM unnest(end_live_sessions.user_ids) u WHERE NOT chat.is_live(u) AND NOT chat.is_invisible(u)), end_live_sessions.at);
END
$$;
COMMENT ON FUNCTION chat.end_live_sessions IS 'Ends these sessions, or all, that these users, who are locked, have under a lease; who is not there any more was last seen at.';

CREATE OR REPLACE FUNCTION chat.expire_presence(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	step constant integer := least(expire_presence.batch, 100); -- whose rows are locked meanwhile
	lapsed chat.leases;
	going bigint[] := '{}';
	ended integer;
BEGIN
	SELECT l.* INTO lapsed FROM chat.leases l WHERE l.expires_at <= now() ORDER BY l.id LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF FOUND THEN
		going := ARRAY(SELECT DISTINCT s.user_id FROM chat.live_sessions s WHERE s.lease_id = lapsed.id ORDER BY 1 LIMIT step);
		PERFORM chat.lock_users(going);
		PERFORM chat.end_live_sessions(lapsed.id, going, NULL, lapsed.expires_at);
		IF cardinality(going) < step THEN
			DELETE FROM chat.leases l WHERE l.id = lapsed.id;
		END IF;
	END IF;

	WITH old AS (
		SELECT u.id FROM chat.users u WHERE u.status_until IS NOT NULL AND u.status_until <= now()
		 ORDER BY u.id LIMIT step FOR NO KEY UPDATE SKIP LOCKED
	)
	UPDATE chat.users u SET status = 'online', status_text = NULL, status_until = NULL, status_version = chat.take_id(u.status_version)
	  FROM old WHERE u.id = old.id;
	GET DIAGNOSTICS ended = ROW_COUNT;
	RETURN cardinality(going) + ended;
END
$$;
COMMENT ON FUNCTION chat.expire_presence IS 'A job: tells the watchers of at most batch users whom a dead gateway has left behind, and of as many whose status has ended; answers how many.';

-- Between two users: invitations, connections, blocks. Whoever changes any of them holds both users' rows, the lower id first, so
-- that two who invite each other, or invite and block, come one after the other.

CREATE OR REPLACE FUNCTION chat.has_blocked(user_id bigint, other_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.blocks b WHERE b.blocker_id = has_blocked.user_id AND b.blocked_id = has_blocked.other_id);
END
$$;
COMMENT ON FUNCTION chat.has_blocked IS 'Whether the user has blocked the other.';

CREATE OR REPLACE FUNCTION chat.are_blocked(user_id bigint, other_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.blocks b WHERE b.blocker_id = are_blocked.user_id AND b.blocked_id = are_blocked.other_id)
		OR EXISTS (SELECT FROM chat.blocks b WHERE b.blocker_id = are_blocked.other_id AND b.blocked_id = are_blocked.user_id);
END
$$;
COMMENT ON FUNCTION chat.are_blocked IS 'Whether either of the two has blocked the other.';

CREATE OR REPLACE FUNCTION chat.are_connected(user_id bigint, other_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.connections c
		WHERE c.low_user_id = least(are_connected.user_id, are_connected.other_id)
		  AND c.high_user_id = greatest(are_connected.user_id, are_connected.other_id) AND c.state = 'connected');
END
$$;
COMMENT ON FUNCTION chat.are_connected IS 'Whether the two are contacts.';

CREATE OR REPLACE FUNCTION chat.block_between(actor_id bigint, user_id bigint)
RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN CASE
		WHEN chat.has_blocked(block_between.actor_id, block_between.user_id) THEN 'blocked'
		WHEN chat.has_blocked(block_between.user_id, block_between.actor_id) THEN 'not_accepting'
	END;
END
$$;
COMMENT ON FUNCTION chat.block_between IS 'The word with which a block refuses actor_id: blocked when it is his own, not_accepting when it is the other one''s; NULL without any.';

-- Every direct message passes here: in FROM, this query becomes part of the statement that calls it, which a scalar function would not.
-- OFFSET 0: looked up by the pair, never by reading all whom somebody has blocked.
CREATE OR REPLACE FUNCTION chat.between_users(actor_id bigint, user_id bigint)
RETURNS TABLE (obstructed boolean) LANGUAGE sql STABLE AS $$
	SELECT EXISTS (SELECT FROM chat.blocks b
			WHERE b.blocker_id = between_users.actor_id AND b.blocked_id = between_users.user_id OFFSET 0)
		OR EXISTS (SELECT FROM chat.blocks b
			WHERE b.blocker_id = between_users.user_id AND b.blocked_id = between_users.actor_id OFFSET 0)
		OR EXISTS (SELECT FROM chat.users u WHERE u.id IN (between_users.actor_id, between_users.user_id) AND u.deleted OFFSET 0)
$$;
COMMENT ON FUNCTION chat.between_users IS 'Whether something keeps two different users from writing to each other: a block, or an account that is gone. One row.';

CREATE OR REPLACE FUNCTION chat.check_direct(actor_id bigint, user_id bigint)
RETURNS void LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'chat_check_direct';
COMMENT ON FUNCTION chat.check_direct IS 'Whether actor_id may write to user_id directly: raises MC403 blocked when he has blocked him; not_accepting when he is blocked, an account is gone, or they are not connected and the setting direct_requires_connection is on; MC401 not_authenticated, MC404 no_such_user for NULL. Oneself passes.';

-- Whom somebody turns to without having been asked. Each such act may reach one who does not want it, and by another act again: so
-- all that anybody does of the kind in a day has a bound, and what reaches the same one a narrower bound.
CREATE OR REPLACE FUNCTION chat.is_stranger(actor_id bigint, user_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN is_stranger.user_id <> is_stranger.actor_id
		AND NOT EXISTS (SELECT FROM chat.connections c
			 WHERE c.low_user_id = least(is_stranger.actor_id, is_stranger.user_id) AND c.high_user_id = greatest(is_stranger.actor_id, is_stranger.user_id)
			   AND (c.state = 'connected' OR c.target_user_id = is_stranger.actor_id))
		AND NOT EXISTS (SELECT FROM chat.direct_chats d JOIN chat.members m ON m.chat_id = d.chat_id AND m.user_id = is_stranger.user_id
			 WHERE d.low_user_id = least(is_stranger.actor_id, is_stranger.user_id) AND d.high_user_id = greatest(is_stranger.actor_id, is_stranger.user_id)
			   AND m.wrote);
END
$$;
COMMENT ON FUNCTION chat.is_stranger IS 'Whether user_id is somebody else who is not connected with actor_id, has not invited them, and has not written to them directly.';

CREATE OR REPLACE FUNCTION chat.count_approaches(actor_id bigint, ids bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF cardinality(count_approaches.ids) > 0 AND NOT chat.is_app() THEN
		PERFORM chat.spend('approaches:' || count_approaches.actor_id, cardinality(count_approaches.ids), 'approaches_max', 'too_many_approaches');
		PERFORM chat.spend(format('approaches:%s:%s', count_approaches.actor_id, i), 1, 'approaches_to_one_max', 'too_many_approaches')
		   FROM unnest(count_approaches.ids) i;
	END IF;
END
$$;
COMMENT ON FUNCTION chat.count_approaches IS 'Counts that actor_id turns to these strangers or rooms. MC429 too_many_approaches by the settings approaches_max and approaches_to_one_max.';

CREATE OR REPLACE FUNCTION chat.approach_users(actor_id bigint, user_ids bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chat.count_approaches(approach_users.actor_id,
		ARRAY(SELECT DISTINCT u FROM unnest(approach_users.user_ids) u WHERE chat.is_stranger(approach_users.actor_id, u) ORDER BY u));
END
$$;
COMMENT ON FUNCTION chat.approach_users IS 'Counts that actor_id turns to those of these users who are strangers to them. MC429 too_many_approaches.';

-- Each connection twice: as either side sees it.
CREATE OR REPLACE VIEW chat.v_connections AS
SELECT c.low_user_id AS owner_id, c.high_user_id AS user_id, c.state, c.target_user_id, c.version FROM chat.connections c
UNION ALL
SELECT c.high_user_id, c.low_user_id, c.state, c.target_user_id, c.version FROM chat.connections c;
COMMENT ON VIEW chat.v_connections IS 'Connections as owner_id sees them: user_id is the other one.';

CREATE OR REPLACE FUNCTION chat.connection_json(connection chat.v_connections)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('user_id', connection.user_id::text, 'state', connection.state,
		'target_user_id', connection.target_user_id::text, 'version', connection.version::text)
$$;
COMMENT ON FUNCTION chat.connection_json IS 'A connection as it stands in events: list_connections'' row.';

CREATE OR REPLACE FUNCTION chat.connection_event(connection chat.v_connections)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT chat.connection_json(connection)
		|| jsonb_build_object('type', 'connection_changed', 'at', chat.rfc3339(chat.id_time(connection.version)))
$$;
COMMENT ON FUNCTION chat.connection_event IS 'The connection_changed event, as it is published and as sync tells it.';

CREATE OR REPLACE FUNCTION chat.publish_connection()
RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF chat.took(NEW.version) THEN
		PERFORM chat.publish(chat.connection_event(c), ARRAY[c.owner_id])
		  FROM chat.v_connections c
		 WHERE c.owner_id = NEW.low_user_id AND c.user_id = NEW.high_user_id
			OR c.owner_id = NEW.high_user_id AND c.user_id = NEW.low_user_id;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_connection IS 'Trigger: connection_changed, to all sockets of both, to each as he sees it.';
CREATE OR REPLACE TRIGGER publish_connection AFTER INSERT OR UPDATE ON chat.connections
FOR EACH ROW EXECUTE FUNCTION chat.publish_connection();

CREATE OR REPLACE FUNCTION chat.lock_pair(actor_id bigint, user_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF lock_pair.user_id = lock_pair.actor_id THEN
		PERFORM chat.fail('invalid_argument', 'user_id is yourself', 'Name somebody else.');
	END IF;
	PERFORM chat.lock_users(ARRAY[lock_pair.actor_id, lock_pair.user_id]);
	IF (SELECT count(*) FROM chat.users u WHERE u.id IN (lock_pair.actor_id, lock_pair.user_id) AND NOT u.deleted) < 2 THEN
		PERFORM chat.fail('no_such_user');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.lock_pair IS 'Locks both users for a change of what is between them. MC400 invalid_argument for oneself; MC404 no_such_user.';

CREATE OR REPLACE FUNCTION chat.get_connection(owner_id bigint, user_id bigint)
RETURNS chat.v_connections LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT ROW(get_connection.owner_id, get_connection.user_id, coalesce(c.state, 'none'), c.target_user_id, coalesce(c.version, 0))::chat.v_connections
	  FROM (SELECT) one LEFT JOIN chat.v_connections c ON c.owner_id = get_connection.owner_id AND c.user_id = get_connection.user_id);
END
$$;
COMMENT ON FUNCTION chat.get_connection IS 'What is between the two, as owner_id sees it; state none and version 0 when nothing ever was.';

-- The one place where a connection changes. Gaining or losing one shows or hides presence.
CREATE OR REPLACE FUNCTION chat.set_connection(actor_id bigint, user_id bigint, state text, target_user_id bigint DEFAULT NULL)
RETURNS chat.v_connections LANGUAGE plpgsql AS $$
DECLARE
	before chat.v_connections := chat.get_connection(set_connection.actor_id, set_connection.user_id);
BEGIN
	INSERT INTO chat.connections AS c (low_user_id, high_user_id, state, target_user_id, version)
	VALUES (least(set_connection.actor_id, set_connection.user_id), greatest(set_connection.actor_id, set_connection.user_id),
		set_connection.state, set_connection.target_user_id, chat.take_id())
	ON CONFLICT (low_user_id, high_user_id) DO UPDATE
	   SET state = excluded.state, target_user_id = excluded.target_user_id, version = chat.take_id(c.version);
	IF 'connected' IN (before.state, set_connection.state) THEN
		PERFORM chat.change_presence(ARRAY[set_connection.actor_id, set_connection.user_id]);
	END IF;
	RETURN chat.get_connection(set_connection.actor_id, set_connection.user_id);
END
$$;
COMMENT ON FUNCTION chat.set_connection IS 'Changes what is between two users who are locked, whatever it was, and answers it.';

CREATE OR REPLACE FUNCTION chat.invite_user(actor_id bigint, user_id bigint)
RETURNS chat.v_connections LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	present chat.v_connections;
BEGIN
	PERFORM chat.check_actor(invite_user.actor_id);
	PERFORM chat.lock_pair(invite_user.actor_id, invite_user.user_id);
	present := chat.get_connection(invite_user.actor_id, invite_user.user_id);
	IF chat.are_blocked(invite_user.actor_id, invite_user.user_id) THEN
		PERFORM chat.fail(chat.block_between(invite_user.actor_id, invite_user.user_id));
	ELSIF present.state = 'none' THEN
		PERFORM chat.check_limit('invitations_max', (SELECT count(*) FROM (SELECT FROM chat.connections c
			WHERE c.state = 'pending' AND c.low_user_id # c.high_user_id # c.target_user_id = invite_user.actor_id
			LIMIT chat.setting_integer('invitations_max')) c), 'too_many_invitations');
		PERFORM chat.approach_users(invite_user.actor_id, ARRAY[invite_user.user_id]);
		RETURN chat.set_connection(invite_user.actor_id, invite_user.user_id, 'pending', invite_user.user_id);
	ELSIF present.target_user_id = invite_user.actor_id THEN
		RETURN chat.set_connection(invite_user.actor_id, invite_user.user_id, 'connected');
	END IF;
	RETURN present;
END
$$;
COMMENT ON FUNCTION chat.invite_user IS 'Invites a user to be one''s contact; who has been invited by him accepts with it, so that two who invite each other are connected. Again changes nothing. Answers the connection: state pending or connected, target_user_id = who is invited. At most the setting invitations_max may wait for an answer; inviting a stranger counts for approaches_max and approaches_to_one_max. MC400 invalid_argument for oneself; MC403 blocked, not_accepting; MC404 no_such_user; MC429 too_many_invitations, too_many_approaches.';
GRANT EXECUTE ON FUNCTION chat.invite_user TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.accept_connection(actor_id bigint, user_id bigint, version bigint DEFAULT NULL)
RETURNS chat.v_connections LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	present chat.v_connections;
BEGIN
	PERFORM chat.check_actor(accept_connection.actor_id);
	PERFORM chat.lock_pair(accept_connection.actor_id, accept_connection.user_id);
	present := chat.get_connection(accept_connection.actor_id, accept_connection.user_id);
	IF present.state = 'connected' THEN
		RETURN present;
	ELSIF present.version <> accept_connection.version THEN
		PERFORM chat.fail('stale_version');
	ELSIF present.state = 'none' THEN
		PERFORM chat.fail('no_such_connection');
	ELSIF present.target_user_id <> accept_connection.actor_id THEN
		PERFORM chat.fail('not_invited');
	END IF;
	RETURN chat.set_connection(accept_connection.actor_id, accept_connection.user_id, 'connected');
END
$$;
COMMENT ON FUNCTION chat.accept_connection IS 'Accepts this user''s invitation. version: the connection''s that was seen, NULL = whatever it is. Answers the connection; accepted already is no error. MC400 invalid_argument for oneself; MC403 not_invited for who has invited himself; MC404 no_such_connection, no_such_user; MC409 stale_version when it was cancelled or made anew meanwhile.';
GRANT EXECUTE ON FUNCTION chat.accept_connection TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.cancel_connection(actor_id bigint, user_id bigint, version bigint DEFAULT NULL)
RETURNS chat.v_connections LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(cancel_connection.actor_id);
	RETURN chat.end_connection(cancel_connection.actor_id, cancel_connection.user_id, cancel_connection.version, 'pending');
END
$$;
COMMENT ON FUNCTION chat.cancel_connection IS 'Takes one''s invitation back, or declines the other''s. version: the connection''s that was seen, NULL = whatever it is. Answers the connection; none already is no error. MC400 invalid_argument for oneself; MC404 no_such_user; MC409 stale_version, already_connected.';
GRANT EXECUTE ON FUNCTION chat.cancel_connection TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.remove_connection(actor_id bigint, user_id bigint, version bigint DEFAULT NULL)
RETURNS chat.v_connections LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(remove_connection.actor_id);
	RETURN chat.end_connection(remove_connection.actor_id, remove_connection.user_id, remove_connection.version, 'connected');
END
$$;
COMMENT ON FUNCTION chat.remove_connection IS 'Ends a connection, from either side. version: the connection''s that was seen, NULL = whatever it is. Answers the connection; none already is no error. MC400 invalid_argument for oneself; MC404 no_such_user; MC409 stale_version, not_connected.';
GRANT EXECUTE ON FUNCTION chat.remove_connection TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.end_connection(actor_id bigint, user_id bigint, version bigint, state text)
RETURNS chat.v_connections LANGUAGE plpgsql AS $$
DECLARE
	present chat.v_connections;
BEGIN
	PERFORM chat.lock_pair(end_connection.actor_id, end_connection.user_id);
	present := chat.get_connection(end_connection.actor_id, end_connection.user_id);
	IF present.state = 'none' THEN
		RETURN present;
	ELSIF present.version <> end_connection.version THEN
		PERFORM chat.fail('stale_version');
	ELSIF present.state <> end_connection.state THEN
		PERFORM chat.fail(CASE present.state WHEN 'connected' THEN 'already_connected' ELSE 'not_connected' END);
	END IF;
	RETURN chat.set_connection(end_connection.actor_id, end_connection.user_id, 'none');
END
$$;
COMMENT ON FUNCTION chat.end_connection IS 'What cancel_connection (from state pending) and remove_connection (from connected) share.';

CREATE OR REPLACE FUNCTION chat.list_connections(actor_id bigint, changed_after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (user_id bigint, state text, target_user_id bigint, version bigint, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_connections.page_size);
BEGIN
	PERFORM chat.check_actor(list_connections.actor_id);
	RETURN QUERY
	SELECT p.user_id, p.state, p.target_user_id, p.version, count(*) OVER () > size
	  FROM (SELECT c.* FROM chat.v_connections c
			 WHERE c.owner_id = list_connections.actor_id
			   AND CASE WHEN list_connections.changed_after_id IS NULL THEN c.state <> 'none'
					ELSE c.version > list_connections.changed_after_id END
			 ORDER BY c.version LIMIT size + 1) p
	 ORDER BY p.version LIMIT size;
END
$$;
COMMENT ON FUNCTION chat.list_connections IS 'One''s own connections: user_id the other one, state pending (target_user_id is invited) or connected; ascending by version. changed_after_id: those changed after this version, the last row''s or the last one seen, with the ended ones too (state none). MC400 invalid_argument (page_size).';
GRANT EXECUTE ON FUNCTION chat.list_connections TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE VIEW chat.v_blocks AS
SELECT b.blocker_id AS owner_id, b.blocked_id AS user_id, chat.id_time(b.id) AS blocked_at FROM chat.blocks b;
COMMENT ON VIEW chat.v_blocks IS 'Whom owner_id has blocked.';

CREATE OR REPLACE FUNCTION chat.block_user(actor_id bigint, user_id bigint)
RETURNS chat.v_blocks LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	block chat.v_blocks;
	present chat.v_connections;
BEGIN
	PERFORM chat.check_actor(block_user.actor_id);
	PERFORM chat.lock_pair(block_user.actor_id, block_user.user_id);
	present := chat.get_connection(block_user.actor_id, block_user.user_id);
	SELECT b.* INTO block FROM chat.v_blocks b WHERE b.owner_id = block_user.actor_id AND b.user_id = block_user.user_id;
	IF NOT FOUND THEN
		PERFORM chat.check_limit('blocks_max', (SELECT count(*) FROM (SELECT FROM chat.blocks b
			WHERE b.blocker_id = block_user.actor_id LIMIT chat.setting_integer('blocks_max')) b), 'too_many_blocks');
		IF present.state <> 'connected' THEN -- else the end of the connection changes it; before the block, which hides each from the other
			PERFORM chat.change_seen_presence(block_user.actor_id, block_user.user_id);
		END IF;
		INSERT INTO chat.blocks (blocker_id, blocked_id, id) VALUES (block_user.actor_id, block_user.user_id, chat.take_id());
		IF present.state <> 'none' THEN
			PERFORM chat.set_connection(block_user.actor_id, block_user.user_id, 'none');
		END IF;
		SELECT b.* INTO block FROM chat.v_blocks b WHERE b.owner_id = block_user.actor_id AND b.user_id = block_user.user_id;
	END IF;
	RETURN block;
END
$$;
COMMENT ON FUNCTION chat.block_user IS 'Blocks a user. Nothing passes between the two directly any more, either way: in their direct chat no messages, edits, reactions, pins, calls, signals, typing and cursors (read, delivered; other_read_id and other_delivered_id are NULL); no invitations, adding to groups, shared files, presence, search or pushes. What is there stays, and each can take back their own: delete a message or remove a reaction; the one who has blocked can end a call. Their connection ends as if removed. Groups and rooms that both are in go on, all but presence. The blocked user is not told. Again changes nothing. Answers the block. MC400 invalid_argument for oneself; MC404 no_such_user; MC429 too_many_blocks by the setting blocks_max.';
GRANT EXECUTE ON FUNCTION chat.block_user TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.unblock_user(actor_id bigint, user_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(unblock_user.actor_id);
	PERFORM chat.lock_users(ARRAY[unblock_user.actor_id, unblock_user.user_id]);
	DELETE FROM chat.blocks b WHERE b.blocker_id = unblock_user.actor_id AND b.blocked_id = unblock_user.user_id;
	IF FOUND THEN
		PERFORM chat.change_seen_presence(unblock_user.actor_id, unblock_user.user_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.unblock_user IS 'Ends one''s own block of a user; the connection stays ended. Again is no error.';
GRANT EXECUTE ON FUNCTION chat.unblock_user TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.list_blocks(actor_id bigint)
RETURNS TABLE (user_id bigint, blocked_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(list_blocks.actor_id);
	RETURN QUERY SELECT b.user_id, b.blocked_at FROM chat.v_blocks b WHERE b.owner_id = list_blocks.actor_id ORDER BY b.user_id;
END
$$;
COMMENT ON FUNCTION chat.list_blocks IS 'Whom one has blocked, ascending by user_id.';
GRANT EXECUTE ON FUNCTION chat.list_blocks TO chat_user, chat_app; -- since 0.2.0

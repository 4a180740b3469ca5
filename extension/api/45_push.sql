-- Push: a message to somebody who is not there is one row of push_queue. Workers make rows for each device of it, take them
-- under a lease, hand them to the platforms' services and finish or retry them. Locks: push_users before pushes.

CREATE OR REPLACE FUNCTION chat.register_push(actor_id bigint, platform text, token text, actor_session_id bigint DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(register_push.actor_id);
	IF register_push.platform IS NULL OR register_push.platform !~ '^[a-z0-9_-]{1,32}$' THEN
		PERFORM chat.fail('invalid_argument', 'platform is not acceptable', 'Use 1 to 32 of a-z, 0-9, underscore and hyphen.');
	ELSIF register_push.token IS NULL OR octet_length(register_push.token) NOT BETWEEN 1 AND 2048 THEN
		PERFORM chat.fail('invalid_argument', 'token is not acceptable', 'Use 1 to 2048 bytes.');
	END IF;
	PERFORM FROM chat.users u WHERE u.id = register_push.actor_id FOR NO KEY UPDATE; -- two at once must not pass the limit
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	ELSIF (SELECT count(*) FROM chat.push_tokens t WHERE t.user_id = register_push.actor_id AND t.token <> register_push.token)
		>= chat.setting_integer('push_tokens_max') THEN
		PERFORM chat.fail('too_many_push_tokens');
	END IF;
	DELETE FROM chat.pushes p USING chat.push_tokens t
	 WHERE t.token = register_push.token AND t.user_id <> register_push.actor_id AND p.user_id = t.user_id AND p.token = t.token;
	INSERT INTO chat.push_tokens (token, user_id, platform, session_id)
	VALUES (register_push.token, register_push.actor_id, register_push.platform,
		(SELECT s.id FROM chat.sessions s WHERE s.id = register_push.actor_session_id AND s.user_id = register_push.actor_id))
	ON CONFLICT ON CONSTRAINT push_tokens_pkey DO UPDATE
	   SET user_id = excluded.user_id, platform = excluded.platform, session_id = excluded.session_id;
END
$$;
COMMENT ON FUNCTION chat.register_push IS 'This device gets pushes for the actor while he has no live session. platform: a word that the operator''s push workers know (1 to 32 of a-z 0-9 _ -); token: by which the platform''s service knows the device, 1 to 2048 bytes. A token that was another user''s becomes the actor''s. It ends with the session that registered it. Again is no error. MC400 invalid_argument; MC404 no_such_user; MC429 too_many_push_tokens by the setting push_tokens_max.';
GRANT EXECUTE ON FUNCTION chat.register_push TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.unregister_push(actor_id bigint, token text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(unregister_push.actor_id);
	DELETE FROM chat.push_tokens t WHERE t.token = unregister_push.token AND t.user_id = unregister_push.actor_id;
	DELETE FROM chat.pushes p WHERE p.user_id = unregister_push.actor_id AND p.token = unregister_push.token;
END
$$;
COMMENT ON FUNCTION chat.unregister_push IS 'This device gets no more pushes. Again is no error. Push workers call it for tokens that the platform does not know any more.';
GRANT EXECUTE ON FUNCTION chat.unregister_push TO chat_user, chat_app, chat_push; -- since 0.2.0

-- On the path of each message (send.c): its audience in one look, and a row of push_queue when somebody is away. OFFSET 0 keeps the
-- lookups by user, however small the tables are when the plan is made.
CREATE OR REPLACE VIEW chat.v_audience AS
SELECT m.chat_id, m.user_id, (m.muted_until IS NULL OR m.muted_until <= now())
	AND EXISTS (SELECT FROM chat.push_tokens t WHERE t.user_id = m.user_id OFFSET 0)
	AND NOT EXISTS (SELECT FROM chat.v_live_users v WHERE v.user_id = m.user_id OFFSET 0) AS away
  FROM chat.members m WHERE m.left_id IS NULL;
COMMENT ON VIEW chat.v_audience IS 'Who hears what happens in a chat, its members, and to whom a new message is pushed: away is who has a device, no live session, and has not muted the chat.';

CREATE OR REPLACE FUNCTION chat.wants_push(user_id bigint, chat_id bigint, message_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.members m JOIN chat.v_readable_messages g ON g.chat_id = m.chat_id AND g.id = wants_push.message_id
		  JOIN chat.chats c ON c.id = m.chat_id
		 WHERE m.chat_id = wants_push.chat_id AND m.user_id = wants_push.user_id AND m.left_id IS NULL AND c.deleted_id IS NULL
		   AND (m.muted_until IS NULL OR m.muted_until <= now()) AND m.read_id < g.id AND g.deleted_id IS NULL AND g.sender_id <> m.user_id
		   AND (g.expires_at IS NULL OR g.expires_at > now())
		   AND NOT EXISTS (SELECT FROM chat.hidden_messages h
			WHERE h.user_id = m.user_id AND h.chat_id = m.chat_id AND h.message_id = g.id)
		   AND NOT (c.kind = 'direct' AND chat.are_blocked(m.user_id, g.sender_id)))
		AND NOT EXISTS (SELECT FROM chat.users u WHERE u.id = wants_push.user_id AND (u.suspended_until > now() OR u.deleted))
		AND NOT chat.is_live(wants_push.user_id);
END
$$;
COMMENT ON FUNCTION chat.wants_push IS 'Whether the message is still to be pushed to him: he is in the chat, which is not deleted, has neither muted it nor read or hidden the message, which is neither deleted nor expired, in a direct chat nobody of the two has blocked the other, he is not suspended, has an account, and no live session.';

-- One worker at a time: rows of a user come in the order of messages.
CREATE OR REPLACE FUNCTION chat.expand_pushes(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	expanded integer;
BEGIN
	IF NOT EXISTS (SELECT FROM chat.push_queue) OR chat.claim_job('expand_pushes') IS NULL THEN
		RETURN 0;
	END IF;
	WITH queued AS (
		DELETE FROM chat.push_queue q
		 USING (SELECT o.message_id FROM chat.push_queue o ORDER BY o.message_id LIMIT expand_pushes.batch) o
		 WHERE q.message_id = o.message_id RETURNING q.message_id, q.chat_id
	), made AS (
		INSERT INTO chat.pushes (id, user_id, token, chat_id, message_id)
		SELECT chat.take_id(), w.user_id, w.token, w.chat_id, w.message_id FROM (
			SELECT t.user_id, t.token, q.chat_id, q.message_id
			  FROM queued q JOIN chat.members m ON m.chat_id = q.chat_id JOIN chat.push_tokens t ON t.user_id = m.user_id
			 WHERE chat.wants_push(m.user_id, q.chat_id, q.message_id)
			 ORDER BY q.message_id, t.user_id, t.token) w
		RETURNING user_id
	), known AS (
		INSERT INTO chat.push_users AS u (user_id, due_at)
		SELECT DISTINCT m.user_id, now() FROM made m ORDER BY m.user_id
		ON CONFLICT ON CONSTRAINT push_users_pkey DO UPDATE SET due_at = least(u.due_at, excluded.due_at) WHERE u.worker IS NULL
	)
	SELECT count(*) INTO expanded FROM queued;
	RETURN expanded;
END
$$;
COMMENT ON FUNCTION chat.expand_pushes IS 'Makes a push for each device of those who are away, from at most batch queued messages, and answers of how many; nothing while another worker does.';

-- What a user's row says after something about his pushes has changed. A push waits for earlier ones of its device.
CREATE OR REPLACE FUNCTION chat.settle_push_user(user_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	next_at timestamptz;
BEGIN
	IF EXISTS (SELECT FROM chat.pushes p WHERE p.user_id = settle_push_user.user_id AND p.taken) THEN
		RETURN;
	END IF;
	SELECT min(f.due_at) INTO next_at FROM (
		SELECT DISTINCT ON (p.token) p.due_at FROM chat.pushes p WHERE p.user_id = settle_push_user.user_id ORDER BY p.token, p.id) f;
	IF next_at IS NULL THEN
		DELETE FROM chat.push_users u WHERE u.user_id = settle_push_user.user_id;
	ELSE
		UPDATE chat.push_users u SET due_at = next_at, worker = NULL WHERE u.user_id = settle_push_user.user_id;
	END IF;
END
$$;
COMMENT ON FUNCTION chat.settle_push_user IS 'Ends the lease of a user none of whose pushes is taken; the caller has locked his row.';

CREATE OR REPLACE FUNCTION chat.lease_push_users(worker text, batch integer)
RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
	leased bigint[];
BEGIN
	WITH due AS (
		SELECT u.user_id FROM chat.push_users u WHERE u.due_at <= now() ORDER BY u.due_at LIMIT lease_push_users.batch FOR UPDATE SKIP LOCKED
	), taken AS (
		UPDATE chat.push_users u SET worker = lease_push_users.worker, due_at = now() + chat.setting_interval('push_lease')
		  FROM due d WHERE u.user_id = d.user_id RETURNING u.user_id
	)
	SELECT array_agg(t.user_id) INTO leased FROM taken t;
	-- What a worker took and let lapse, and what is not wanted any more
	UPDATE chat.pushes p SET taken = false WHERE p.user_id = ANY (leased) AND p.taken;
	DELETE FROM chat.pushes p
	 WHERE p.user_id = ANY (leased) AND NOT (chat.wants_push(p.user_id, p.chat_id, p.message_id)
		AND EXISTS (SELECT FROM chat.push_tokens t WHERE t.token = p.token AND t.user_id = p.user_id));
	RETURN leased;
END
$$;
COMMENT ON FUNCTION chat.lease_push_users IS 'Users with pushes whom no other worker has, now this worker''s for the setting push_lease, cleared of what is not to be pushed any more.';

CREATE OR REPLACE FUNCTION chat.take_pushes(worker text, batch_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, user_id bigint, platform text, token text, chat_id bigint, message_id bigint, title text, preview text, badge integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(take_pushes.batch_size, 'batch_size');
	expanded integer;
	leased bigint[];
	ids bigint[];
BEGIN
	PERFORM chat.check_length(coalesce(take_pushes.worker, ''), 'worker', 1, 128);
	FOR round IN 1 .. 100 LOOP -- what is not wanted any more must not hide what is; within limits, as users are locked meanwhile
		expanded := chat.expand_pushes(size);
		leased := chat.lease_push_users(take_pushes.worker, size);
		WITH ready AS (
			SELECT p.id FROM chat.pushes p
			 WHERE p.user_id = ANY (leased) AND NOT EXISTS (SELECT FROM chat.pushes before
				WHERE before.user_id = p.user_id AND before.token = p.token AND before.id <= p.id AND before.due_at > now())
			 ORDER BY p.id LIMIT size
		), taken AS (
			UPDATE chat.pushes p SET taken = true FROM ready r WHERE p.id = r.id RETURNING p.id
		)
		SELECT array_agg(t.id) INTO ids FROM taken t;
		PERFORM chat.settle_push_user(u) FROM unnest(leased) u;
		EXIT WHEN ids IS NOT NULL OR expanded = 0 AND leased IS NULL;
	END LOOP;
	RETURN QUERY
	SELECT p.id, p.user_id, t.platform, p.token, p.chat_id, p.message_id, chat.push_title(p.chat_id, p.message_id),
		CASE WHEN chat.setting_boolean('push_preview') THEN chat.push_preview(p.chat_id, p.message_id) END, chat.push_badge(p.user_id)
	  FROM chat.pushes p JOIN chat.push_tokens t ON t.token = p.token AND t.user_id = p.user_id
	 WHERE p.id = ANY (ids) ORDER BY p.id;
END
$$;
COMMENT ON FUNCTION chat.take_pushes IS 'For push workers: at most batch_size pushes (settings page_size, page_size_max), this worker''s (1 to 128 characters) for the setting push_lease; then others may take what it has neither finished nor retried. A user''s pushes go to one worker at a time, in the order of id. What was read, muted, hidden, blocked or deleted meanwhile or has expired, or whose user has come back or is suspended, does not come up any more. title: the chat''s, or the sender''s name; preview: the beginning of the message, unless the setting push_preview says no; badge: all that the user has not read. Wait for NOTIFY chat_push, and look every few seconds for what is to be tried again. MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.take_pushes TO chat_push, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.push_title(chat_id bigint, message_id bigint)
RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT coalesce(c.title, u.display_name, '')
	  FROM chat.chats c JOIN chat.messages m ON m.chat_id = c.id LEFT JOIN chat.users u ON u.id = m.sender_id
	 WHERE c.id = push_title.chat_id AND m.id = push_title.message_id);
END
$$;
COMMENT ON FUNCTION chat.push_title IS 'The chat''s title; the sender''s name where it has none.';

CREATE OR REPLACE FUNCTION chat.push_preview(chat_id bigint, message_id bigint)
RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT CASE WHEN c.kind <> 'direct' THEN coalesce(u.display_name || ': ', '') ELSE '' END
		|| CASE WHEN m.body <> '' THEN left(m.body, 100)
			ELSE coalesce((SELECT string_agg(f.name, ', ' ORDER BY f.id) FROM chat.v_readable_files f WHERE f.id = ANY (m.file_ids)), '') END
	  FROM chat.chats c JOIN chat.v_readable_messages m ON m.chat_id = c.id LEFT JOIN chat.users u ON u.id = m.sender_id
	 WHERE c.id = push_preview.chat_id AND m.id = push_preview.message_id);
END
$$;
COMMENT ON FUNCTION chat.push_preview IS 'The first 100 characters of a message, or the names of its files; outside direct chats with who has sent it.';

CREATE OR REPLACE FUNCTION chat.push_badge(user_id bigint)
RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT coalesce(sum(c.message_count - m.read_count), 0)::integer
	  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
	 WHERE m.user_id = push_badge.user_id AND m.left_id IS NULL AND c.deleted_id IS NULL
	   AND (m.muted_until IS NULL OR m.muted_until <= now()));
END
$$;
COMMENT ON FUNCTION chat.push_badge IS 'Unread messages in all chats that he has not muted.';

CREATE OR REPLACE FUNCTION chat.lock_push(id bigint)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN (SELECT u.user_id FROM chat.push_users u
	 WHERE u.user_id = (SELECT p.user_id FROM chat.pushes p WHERE p.id = lock_push.id) FOR UPDATE);
END
$$;
COMMENT ON FUNCTION chat.lock_push IS 'Whose push this is, with his row locked; NULL when it is there no more.';

CREATE OR REPLACE FUNCTION chat.finish_push(id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	user_id bigint := chat.lock_push(finish_push.id);
BEGIN
	DELETE FROM chat.pushes p WHERE p.id = finish_push.id;
	PERFORM chat.settle_push_user(user_id);
END
$$;
COMMENT ON FUNCTION chat.finish_push IS 'The platform has accepted the push. Again is no error.';
GRANT EXECUTE ON FUNCTION chat.finish_push TO chat_push, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.retry_push(id bigint, error text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	user_id bigint := chat.lock_push(retry_push.id);
BEGIN
	UPDATE chat.pushes p SET attempts = p.attempts + 1, taken = false, error = left(retry_push.error, 1000),
		due_at = now() + least(chat.setting_interval('push_retry_delay') * 2 ^ p.attempts, interval '1 hour')
	 WHERE p.id = retry_push.id;
	DELETE FROM chat.pushes p WHERE p.id = retry_push.id AND p.attempts >= chat.setting_integer('push_attempts');
	PERFORM chat.settle_push_user(user_id);
END
$$;
COMMENT ON FUNCTION chat.retry_push IS 'The push failed: it comes up again after the setting push_retry_delay, twice that the next time, and so on up to an hour; after push_attempts failures it is given up. Later pushes to the same device wait for it. error: why, at most 1,000 characters, kept beside the push in chat.pushes for the operator.';
GRANT EXECUTE ON FUNCTION chat.retry_push TO chat_push, chat_app; -- since 0.2.0

-- A job of maintenance
CREATE OR REPLACE FUNCTION chat.expire_pushes(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	before_id bigint := chat.id_at(now() - chat.setting_interval('push_lifetime'));
	users bigint[];
	expired integer;
	unqueued integer;
BEGIN
	DELETE FROM chat.push_queue q USING (
		SELECT o.message_id FROM chat.push_queue o WHERE o.message_id < before_id
		 ORDER BY o.message_id LIMIT expire_pushes.batch FOR UPDATE SKIP LOCKED) o WHERE q.message_id = o.message_id;
	GET DIAGNOSTICS unqueued = ROW_COUNT;
	-- Users in no worker's hands who have old pushes, or none
	users := ARRAY(SELECT u.user_id FROM chat.push_users u
		 WHERE u.due_at <= now() AND (EXISTS (SELECT FROM chat.pushes p WHERE p.user_id = u.user_id AND p.message_id < before_id)
			OR NOT EXISTS (SELECT FROM chat.pushes p WHERE p.user_id = u.user_id))
		 ORDER BY u.user_id LIMIT expire_pushes.batch FOR UPDATE SKIP LOCKED);
	DELETE FROM chat.pushes p WHERE p.user_id = ANY (users) AND p.message_id < before_id;
	GET DIAGNOSTICS expired = ROW_COUNT;
	PERFORM chat.settle_push_user(u) FROM unnest(users) u;
	RETURN unqueued + expired;
END
$$;
COMMENT ON FUNCTION chat.expire_pushes IS 'A job: drops pushes of at most batch messages and users that are older than the setting push_lifetime, and answers how many.';

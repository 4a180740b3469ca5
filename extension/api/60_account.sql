-- A user's whole account, over all nouns: taking it along (export), and ending it (erasure).
--
-- What belongs to a user is found by the names of columns, so that a new table is exported without anybody's doing. What erasure does
-- with a table is one of three: its rows go (erased_rows); the noun's own function empties them, with events for those who see them
-- (messages, members, connections, files); or they say nothing but ids, and stay for the others' history.
--
-- It has two parts. erase_user ends the account, at once, in a transaction that is as short for who has written a million messages: no
-- name, no session, and a row of chat.erasures, by which nobody can read any more what is theirs. Whoever shows messages or files
-- takes them from v_readable_messages, v_readable_files, or looks for that row by itself (event.c, search_messages); no call of theirs
-- gets past check_actor, nor, once it has its chat's lock, past check_posting. The job erase_users then removes all that, batch by
-- batch, and the row at the end.

CREATE OR REPLACE FUNCTION chat.owned_rows(OUT table_name name, OUT condition text, OUT columns text)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
	SELECT c.relname,
		CASE c.relname WHEN 'message_edits' THEN -- its rows are the message's
			'EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = t.chat_id AND m.id = t.message_id AND m.sender_id = $1)'
			ELSE '(' || string_agg(format('t.%I = $1', a.attname), ' OR ') FILTER (WHERE a.is_owner) || ')' END
			-- These are found by chat: a user has been a member wherever he left anything.
			|| CASE WHEN c.relname IN ('messages', 'message_edits', 'events', 'reactions') THEN
				' AND t.chat_id IN (SELECT m.chat_id FROM chat.members m WHERE m.user_id = $1)' ELSE '' END,
		string_agg(format('%L, t.%I%s', a.attname, a.attname, a.cast), ', ' ORDER BY a.attnum) FILTER (WHERE a.is_told)
	  FROM pg_class c
	 CROSS JOIN LATERAL (
		SELECT a.attname, a.attnum,
			a.atttypid = 'bigint'::regtype AND (c.relname = 'users' AND a.attname = 'id'
				OR a.attname IN ('user_id', 'owner_id', 'sender_id', 'creator_id', 'starter_id', 'actor_id', 'blocker_id', 'low_user_id', 'high_user_id')) AS is_owner,
			a.attname <> 'password_hash' AND a.atttypid NOT IN ('bytea'::regtype, 'tsvector'::regtype) AS is_told,
			CASE a.atttypid WHEN 'bigint'::regtype THEN '::text' WHEN 'bigint[]'::regtype THEN '::text[]' ELSE '' END AS cast
		  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) a
	 WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind = 'r'
	 GROUP BY c.oid, c.relname HAVING bool_or(a.is_owner) OR c.relname = 'message_edits'
$$;
COMMENT ON FUNCTION chat.owned_rows IS 'Every table with rows that belong to a user: how to find them (t, $1 = his id), and their columns as arguments of jsonb_build_object, without secrets.';

CREATE OR REPLACE FUNCTION chat.export_user(user_id bigint)
RETURNS jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
	result jsonb := '{}';
	owned record;
	found_rows jsonb;
BEGIN
	IF NOT EXISTS (SELECT FROM chat.users u WHERE u.id = export_user.user_id) THEN
		PERFORM chat.fail('no_such_user');
	ELSIF EXISTS (SELECT FROM chat.erasures e WHERE e.user_id = export_user.user_id) THEN
		PERFORM chat.fail('being_erased');
	END IF;
	FOR owned IN SELECT o.* FROM chat.owned_rows() o ORDER BY o.table_name LOOP
		EXECUTE format('SELECT jsonb_agg(jsonb_build_object(%s)) FROM chat.%I t WHERE %s', owned.columns, owned.table_name, owned.condition)
		   INTO found_rows USING export_user.user_id;
		result := result || jsonb_build_object(owned.table_name, coalesce(found_rows, '[]'));
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION chat.export_user IS 'Everything that belongs to a user, by table: {"users": [row], "messages": [row, …], …}, ids as strings, times in UTC, without hashes of secrets. The content of files comes with read_file. MC404 no_such_user; MC409 being_erased until all of a deleted account is removed.';
GRANT EXECUTE ON FUNCTION chat.export_user TO chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.erase_user(user_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account chat.users;
BEGIN
	SELECT u.* INTO account FROM chat.users u WHERE u.id = erase_user.user_id FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	ELSIF account.deleted THEN
		RETURN;
	END IF;
	INSERT INTO chat.erasures (user_id, id) VALUES (account.id, chat.take_id());
	DELETE FROM chat.sessions s WHERE s.user_id = account.id;
	DELETE FROM chat.live_sessions s WHERE s.user_id = account.id;
	DELETE FROM chat.login_failures f
	 WHERE f.subject = 'user:' || account.user_name OR starts_with(f.subject, chat.login_pair(account.user_name, ''));
	UPDATE chat.users u
	   SET user_name = 'deleted.' || u.id, display_name = 'Deleted user', password_hash = NULL, email = NULL, phone = NULL,
		   external_issuer = NULL, external_subject = NULL, attributes = '{}', suspended_until = NULL, avatar_file_id = NULL,
		   status = 'online', status_text = NULL, status_until = NULL, last_seen_at = NULL, deleted = true,
		   version = chat.take_id(u.version), status_version = chat.take_id(u.status_version)
	 WHERE u.id = account.id;
END
$$;
COMMENT ON FUNCTION chat.erase_user IS 'Ends an account and leaves no personal data. At once: all sessions end and their sockets are closed, user name and external identity are free again, profile and avatar are gone, and nobody can read a message or a file of this user any more, by whatever function. The job erase_users of maintenance does the rest in small batches: groups and rooms are left, and owners hand over; connections end; messages, files, drafts and everything else is deleted, with the events of that. What stays is a user without name or properties (deleted), for the rows that name the id: others'' history stays complete, with deleted messages. Locks no chat. Again is no error and begins nothing anew. MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.erase_user TO chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.delete_account(actor_id bigint, password text DEFAULT NULL, OUT user_id bigint, OUT error jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account chat.users;
BEGIN
	SELECT u.* INTO account FROM chat.users u WHERE u.id = delete_account.actor_id;
	IF account.deleted THEN
		user_id := account.id;
		RETURN;
	END IF;
	PERFORM chat.check_actor(delete_account.actor_id);
	IF account.id IS NULL THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	error := chat.try_password(account, delete_account.password);
	IF error IS NULL THEN
		PERFORM chat.erase_user(account.id);
		user_id := account.id;
	END IF;
END
$$;
COMMENT ON FUNCTION chat.delete_account IS 'Ends one''s own account for good, as erase_user tells. password: one''s own; not looked at for users who have none because the app or an identity provider logs them in. A wrong one is answered in error, as by change_password, and counts as there: MC401 bad_credentials, MC429 too_many_attempts. Again is no error and begins nothing anew. MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.delete_account TO chat_user, chat_app; -- since 0.2.0

-- The rest of an account, batch by batch.

-- The accounts take turns, so that one with a million messages, or with one in a chat that somebody holds, keeps nobody waiting.
CREATE OR REPLACE FUNCTION chat.erase_users(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	served bigint := chat.claim_job('erase_users');
	erasure chat.erasures;
	handled integer := 0;
BEGIN
	FOR erasure IN
		SELECT n.* FROM (
			(SELECT e.* FROM chat.erasures e WHERE e.user_id > served ORDER BY e.user_id LIMIT 5)
			UNION ALL (SELECT e.* FROM chat.erasures e WHERE e.user_id <= served ORDER BY e.user_id LIMIT 5)) n LIMIT 5
	LOOP
		BEGIN
			handled := chat.erase_some(erasure, erase_users.batch);
		EXCEPTION WHEN SQLSTATE 'MC503' OR SQLSTATE 'MC404' THEN -- its next chat is busy, or is being removed
			handled := 0;
		END;
		UPDATE chat.maintenance m SET position = erasure.user_id WHERE m.job = 'erase_users';
		EXIT WHEN handled > 0;
	END LOOP;
	RETURN handled;
END
$$;
COMMENT ON FUNCTION chat.erase_users IS 'A job: removes at most batch rows of one account that has ended; answers how many rows it has dealt with.';

CREATE OR REPLACE FUNCTION chat.erase_some(erasure chat.erasures, batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	handled integer := 0;
BEGIN
	IF erasure.chat_id = 0 THEN -- first of all, so that somebody else owns what they owned
		handled := chat.leave_chats(erasure.user_id, erase_some.batch);
	END IF;
	IF handled = 0 THEN
		handled := chat.erase_messages(erasure, erase_some.batch);
	END IF;
	IF handled = 0 THEN
		handled := chat.erase_connections(erasure.user_id, erase_some.batch);
	END IF;
	IF handled = 0 THEN
		handled := chat.drop_files(erasure.user_id, erase_some.batch);
	END IF;
	IF handled = 0 THEN
		handled := chat.erase_rows(erasure.user_id, erase_some.batch);
	END IF;
	IF handled = 0 THEN
		DELETE FROM chat.erasures e WHERE e.user_id = erasure.user_id;
		handled := 1;
	END IF;
	RETURN handled;
END
$$;
COMMENT ON FUNCTION chat.erase_some IS 'One batch of the first thing that is left to do; with nothing left, the erasure ends. MC503 chat_busy.';

CREATE OR REPLACE FUNCTION chat.leave_chats(user_id bigint, batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	ends_at timestamptz := chat.batch_end();
	joined bigint;
	handled integer := 0;
BEGIN
	FOR joined IN
		SELECT m.chat_id FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
		 WHERE m.user_id = leave_chats.user_id AND m.left_id IS NULL AND c.kind <> 'direct' AND c.deleted_id IS NULL
		 ORDER BY m.chat_id LIMIT leave_chats.batch
	LOOP
		EXIT WHEN clock_timestamp() > ends_at;
		PERFORM FROM chat.chats c WHERE c.id = joined AND c.deleted_id IS NULL FOR NO KEY UPDATE SKIP LOCKED;
		IF FOUND AND chat.is_member(joined, leave_chats.user_id) THEN
			PERFORM chat.drop_member(joined, leave_chats.user_id, leave_chats.user_id);
			handled := handled + 1;
		END IF;
	END LOOP;
	RETURN handled;
END
$$;
COMMENT ON FUNCTION chat.leave_chats IS 'Takes a user out of at most batch groups and rooms; those that somebody holds are left to erase_messages.';

-- Chat by chat, and in each from the first message on, some rows at a time: there is no index of senders. A chat is waited for only while
-- no other one is held. Each message is an event for all who are there: few in a batch, however short it is.
CREATE OR REPLACE FUNCTION chat.erase_messages(erasure chat.erasures, batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	most constant integer := least(erase_messages.batch, 20);
	step constant integer := least(most, 10);
	place chat.erasures := erasure;
	ends_at timestamptz;
	next_id bigint;
	held_id bigint;
	handled integer := 0;
BEGIN
	WHILE handled < most AND (clock_timestamp() > ends_at) IS NOT TRUE LOOP
		next_id := (SELECT m.chat_id FROM chat.members m WHERE m.user_id = place.user_id AND m.chat_id >= place.chat_id ORDER BY m.chat_id LIMIT 1);
		EXIT WHEN next_id IS NULL;
		IF next_id > place.chat_id THEN
			place.chat_id := next_id;
			place.message_id := 0;
		END IF;
		IF next_id IS DISTINCT FROM held_id THEN
			EXIT WHEN NOT chat.hold_chat(next_id, held_id IS NULL);
			held_id := next_id;
			ends_at := coalesce(ends_at, chat.batch_end());
		END IF;
		place := chat.erase_window(place, step);
		handled := handled + step;
	END LOOP;
	UPDATE chat.erasures e SET chat_id = place.chat_id, message_id = place.message_id WHERE e.user_id = place.user_id;
	RETURN handled;
END
$$;
COMMENT ON FUNCTION chat.erase_messages IS 'Deletes the content of at most batch messages of a user, and takes them out of the groups and rooms among the chats that come by; 0: no chat is left. MC503 chat_busy.';

CREATE OR REPLACE FUNCTION chat.hold_chat(chat_id bigint, waits boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM chat.chats c WHERE c.id = hold_chat.chat_id FOR NO KEY UPDATE SKIP LOCKED;
	IF NOT FOUND AND hold_chat.waits THEN
		PERFORM chat.lock_chat(hold_chat.chat_id);
		RETURN true;
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION chat.hold_chat IS 'Locks a chat, a deleted one too, if nobody holds it. waits: else as lock_chat does, with its errors; false: else not.';

CREATE OR REPLACE FUNCTION chat.erase_window(place chat.erasures, step integer)
RETURNS chat.erasures LANGUAGE plpgsql AS $$
DECLARE
	present record;
	found_ids bigint[];
	last_id bigint;
BEGIN
	SELECT m.left_id IS NULL AND c.kind <> 'direct' AS is_in, c.deleted_id IS NOT NULL AS is_deleted INTO present
	  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id WHERE m.chat_id = place.chat_id AND m.user_id = place.user_id;
	IF present.is_deleted THEN -- nobody has anything of it any more
		IF chat.drop_messages(place.chat_id, 9223372036854775807, erase_window.step, now()) > 0 THEN
			RETURN place;
		END IF;
	ELSIF present.is_in THEN
		PERFORM chat.drop_member(place.chat_id, place.user_id, place.user_id);
		RETURN place;
	ELSE
		SELECT array_agg(w.id ORDER BY w.id) FILTER (WHERE w.wanted), max(w.id) INTO found_ids, last_id FROM (
			SELECT m.id, m.sender_id = place.user_id AND m.kind = 'user' AND (m.deleted_id IS NULL OR m.client_key IS NOT NULL) AS wanted
			  FROM chat.messages m WHERE m.chat_id = place.chat_id AND m.id > place.message_id ORDER BY m.id LIMIT 500) w;
		IF last_id IS NOT NULL THEN
			PERFORM chat.erase_message(place.chat_id, i, place.user_id) FROM unnest(found_ids[1:erase_window.step]) i;
			place.message_id := CASE WHEN cardinality(found_ids) > erase_window.step THEN found_ids[erase_window.step] ELSE last_id END;
			RETURN place;
		END IF;
	END IF;
	UPDATE chat.calls c SET client_key = NULL
	 WHERE c.chat_id = place.chat_id AND c.starter_id = place.user_id AND c.client_key IS NOT NULL;
	DELETE FROM chat.invite_links l WHERE l.chat_id = place.chat_id AND l.creator_id = place.user_id;
	place.chat_id := place.chat_id + 1;
	place.message_id := 0;
	RETURN place;
END
$$;
COMMENT ON FUNCTION chat.erase_window IS 'What erase_messages does with a chat that it holds, at one go: at most step messages; answers how far it is now.';

CREATE OR REPLACE FUNCTION chat.erase_message(chat_id bigint, message_id bigint, sender_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = erase_message.chat_id AND m.id = erase_message.message_id AND m.deleted_id IS NULL) THEN
		PERFORM chat.delete_messages_content(erase_message.chat_id, erase_message.message_id, erase_message.sender_id);
	END IF;
	UPDATE chat.messages m SET client_key = NULL
	 WHERE m.chat_id = erase_message.chat_id AND m.id = erase_message.message_id AND m.client_key IS NOT NULL;
END
$$;
COMMENT ON FUNCTION chat.erase_message IS 'Deletes a message''s content, if it has any yet, and its client_key; under the chat''s lock.';

-- Nobody else changes them: lock_pair finds an account that is gone.
CREATE OR REPLACE FUNCTION chat.erase_connections(user_id bigint, batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	ended integer;
BEGIN
	WITH picked AS (
		SELECT c.low_user_id, c.high_user_id FROM chat.connections c
		 WHERE erase_connections.user_id IN (c.low_user_id, c.high_user_id) AND c.state <> 'none' LIMIT least(erase_connections.batch, 100)
	)
	UPDATE chat.connections c SET state = 'none', target_user_id = NULL, version = chat.take_id(c.version)
	  FROM picked s WHERE c.low_user_id = s.low_user_id AND c.high_user_id = s.high_user_id;
	GET DIAGNOSTICS ended = ROW_COUNT;
	RETURN ended;
END
$$;
COMMENT ON FUNCTION chat.erase_connections IS 'Ends at most batch connections and invitations of a user; answers how many.';

-- push_users before pushes, as push workers lock them.
CREATE OR REPLACE FUNCTION chat.erased_rows(OUT table_name name, OUT column_name name, OUT key_columns text)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
	SELECT c.relname, a.attname, k.columns
	  FROM (VALUES (1, 'sessions', 'user_id'), (2, 'live_sessions', 'user_id'), (3, 'login_networks', 'user_id'), (4, 'blocks', 'blocker_id'), (5, 'blocks', 'blocked_id'),
			(6, 'client_keys', 'user_id'), (7, 'drafts', 'user_id'), (8, 'scheduled_messages', 'sender_id'), (9, 'push_tokens', 'user_id'),
			(10, 'push_users', 'user_id'), (11, 'pushes', 'user_id')) AS e (place, table_name, column_name)
	  JOIN pg_class c ON c.relnamespace = 'chat'::regnamespace AND c.relname = e.table_name
	  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = e.column_name
	 CROSS JOIN LATERAL (SELECT string_agg(format('t.%I', o.attname), ', ') AS columns
		  FROM pg_index i JOIN pg_attribute o ON o.attrelid = i.indrelid AND o.attnum = ANY (i.indkey)
		 WHERE i.indrelid = c.oid AND i.indisprimary) k
	 ORDER BY e.place
$$;
COMMENT ON FUNCTION chat.erased_rows IS 'Tables whose rows nobody but the user has an interest in; key_columns: their primary key, of t.';

CREATE OR REPLACE FUNCTION chat.erase_rows(user_id bigint, batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	erased record;
	removed integer;
	handled integer := 0;
BEGIN
	FOR erased IN SELECT e.* FROM chat.erased_rows() e LOOP
		EXECUTE format('DELETE FROM chat.%1$I t WHERE (%3$s) IN (SELECT %3$s FROM chat.%1$I t WHERE t.%2$I = $1 LIMIT $2)',
			erased.table_name, erased.column_name, erased.key_columns) USING erase_rows.user_id, erase_rows.batch - handled;
		GET DIAGNOSTICS removed = ROW_COUNT;
		handled := handled + removed;
		EXIT WHEN handled >= erase_rows.batch;
	END LOOP;
	RETURN handled;
END
$$;
COMMENT ON FUNCTION chat.erase_rows IS 'Deletes at most batch of a user''s rows in the tables of erased_rows(); answers how many.';

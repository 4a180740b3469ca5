-- A user's whole account, over all nouns: taking it along (export), and ending it (erasure).
--
-- What belongs to a user is found by the names of columns, so that a new table is exported without anybody's doing. What erasure does
-- with a table is one of three: its rows go (erased_rows); the noun's own function empties them, with events for those who see them
-- (messages, members, files); or they say nothing but ids, and stay for the others' history.

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
	END IF;
	FOR owned IN SELECT o.* FROM chat.owned_rows() o ORDER BY o.table_name LOOP
		EXECUTE format('SELECT jsonb_agg(jsonb_build_object(%s)) FROM chat.%I t WHERE %s', owned.columns, owned.table_name, owned.condition)
		   INTO found_rows USING export_user.user_id;
		result := result || jsonb_build_object(owned.table_name, coalesce(found_rows, '[]'));
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION chat.export_user IS 'Everything that belongs to a user, by table: {"users": [row], "messages": [row, …], …}, ids as strings, times in UTC, without hashes of secrets. The content of files comes with read_file. MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.export_user TO chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.erased_rows(OUT table_name name, OUT column_name name)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
	SELECT c.relname, a.attname
	  FROM (VALUES ('sessions', 'user_id'), ('login_networks', 'user_id'), ('live_sessions', 'user_id'), ('blocks', 'blocker_id'), ('blocks', 'blocked_id'),
			('client_keys', 'user_id'), ('drafts', 'user_id'), ('invite_links', 'creator_id'), ('scheduled_messages', 'sender_id'),
			('push_tokens', 'user_id'), ('pushes', 'user_id'), ('push_users', 'user_id')) AS e (table_name, column_name)
	  JOIN pg_class c ON c.relnamespace = 'chat'::regnamespace AND c.relname = e.table_name
	  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = e.column_name
$$;
COMMENT ON FUNCTION chat.erased_rows IS 'Tables whose rows nobody but the user himself has an interest in.';

CREATE OR REPLACE FUNCTION chat.erase_user(user_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account chat.users;
	erased record;
BEGIN
	SELECT u.* INTO account FROM chat.users u WHERE u.id = erase_user.user_id FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	ELSIF account.deleted THEN
		RETURN;
	END IF;
	FOR erased IN SELECT e.* FROM chat.erased_rows() e LOOP
		EXECUTE format('DELETE FROM chat.%I t WHERE t.%I = $1', erased.table_name, erased.column_name) USING account.id;
	END LOOP;
	DELETE FROM chat.login_failures f
	 WHERE f.subject = 'user:' || account.user_name OR starts_with(f.subject, chat.login_pair(account.user_name, ''));
	UPDATE chat.connections c SET state = 'none', target_user_id = NULL, version = chat.take_id(c.version)
	 WHERE account.id IN (c.low_user_id, c.high_user_id) AND c.state <> 'none';
	PERFORM chat.erase_messages(account.id);
	PERFORM chat.drop_files(account.id);
	UPDATE chat.users u
	   SET user_name = 'deleted.' || u.id, display_name = 'Deleted user', password_hash = NULL, email = NULL, phone = NULL,
		   external_issuer = NULL, external_subject = NULL, attributes = '{}', suspended_until = NULL, avatar_file_id = NULL,
		   status = 'online', status_text = NULL, status_until = NULL, last_seen_at = NULL, deleted = true,
		   version = chat.take_id(u.version), status_version = chat.take_id(u.status_version)
	 WHERE u.id = account.id;
END
$$;
COMMENT ON FUNCTION chat.erase_user IS 'Ends an account and leaves no personal data: sessions end; he leaves groups and rooms, and owners hand over; connections end; the content of his messages, his files, drafts and everything else of his is deleted. What stays is a user without name or properties (deleted), for the rows that name his id: others'' history stays complete, with deleted messages where his were. His user name and external identity are free again. Locks each chat that he was ever in until the transaction ends, and takes about a second for 1,000 messages, more where there are tens of thousands in one chat. Again is no error. MC404 no_such_user; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.erase_user TO chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.erase_messages(user_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	part record;
BEGIN
	-- Deleted chats are emptied by maintenance.
	FOR part IN
		SELECT m.chat_id, m.left_id IS NULL AND c.kind <> 'direct' AS leaves
		  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
		 WHERE m.user_id = erase_messages.user_id AND c.deleted_id IS NULL ORDER BY m.chat_id
	LOOP
		PERFORM chat.lock_chat(part.chat_id);
		PERFORM chat.delete_messages_content(m.chat_id, m.id, erase_messages.user_id)
		   FROM (SELECT m.chat_id, m.id FROM chat.messages m
				  WHERE m.chat_id = part.chat_id AND m.sender_id = erase_messages.user_id AND m.kind = 'user' AND m.deleted_id IS NULL
				  ORDER BY m.id) m;
		UPDATE chat.messages m SET client_key = NULL
		 WHERE m.chat_id = part.chat_id AND m.sender_id = erase_messages.user_id AND m.client_key IS NOT NULL;
		UPDATE chat.calls c SET client_key = NULL
		 WHERE c.chat_id = part.chat_id AND c.starter_id = erase_messages.user_id AND c.client_key IS NOT NULL;
		IF part.leaves THEN
			PERFORM chat.drop_member(part.chat_id, erase_messages.user_id, erase_messages.user_id);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION chat.erase_messages IS 'Deletes the content of all messages of a user, and takes him out of groups and rooms.';

CREATE OR REPLACE FUNCTION chat.delete_account(actor_id bigint, password text DEFAULT NULL, OUT user_id bigint, OUT error jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account chat.users;
BEGIN
	PERFORM chat.check_actor(delete_account.actor_id);
	SELECT u.* INTO account FROM chat.users u WHERE u.id = delete_account.actor_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	error := chat.try_password(account, delete_account.password);
	IF error IS NULL THEN
		PERFORM chat.erase_user(delete_account.actor_id);
		user_id := delete_account.actor_id;
	END IF;
END
$$;
COMMENT ON FUNCTION chat.delete_account IS 'Ends one''s own account for good, as erase_user tells. password: one''s own; not looked at for users who have none because the app or an identity provider logs them in. A wrong one is answered in error, as by change_password, and counts as there: MC401 bad_credentials, MC429 too_many_attempts. MC404 no_such_user; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.delete_account TO chat_user, chat_app; -- since 0.2.0

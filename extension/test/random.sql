-- Random calls of every client function, by as many sessions as one likes; afterwards chat.verify() must be clean.
--
-- test_random.prepare() makes users and some chats. test_random.run(seed, calls) picks functions from list_methods() and
-- arguments by parameter name, one transaction a call, and notes every error that is none of ours (class MC), no
-- serialization failure and no lock timeout: there must be none. Only the seed decides what is called, not what is met.

CREATE SCHEMA test_random;

CREATE TABLE test_random.unexpected (call text, state text, message text);
CREATE TABLE test_random.calls (method text, outcome text);

-- Users, a group of each, and the functions to call: nobody deletes himself, and the long-winded password calls are left out.
CREATE FUNCTION test_random.prepare() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chat.set_setting('password_cost', '4');
	PERFORM chat.create_user('random' || lpad(n::text, 3, '0'), 'Random ' || n) FROM generate_series(1, 24) n;
	PERFORM chat.create_session(u.id) FROM chat.users u;
	PERFORM chat.create_group(u.id, 'Group', ARRAY(SELECT o.id FROM chat.users o WHERE o.id <> u.id ORDER BY random() LIMIT 6)) FROM chat.users u;
	CREATE TABLE test_random.methods AS SELECT m.* FROM chat.list_methods() m
	 WHERE NOT m.anonymous AND m.problem IS NULL AND m.method NOT IN ('delete_account', 'change_password', 'log_out', 'revoke_other_sessions');
END
$$;

CREATE FUNCTION test_random.pick(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	picked text;
BEGIN
	EXECUTE format('SELECT x::text FROM (%s) AS s (x) ORDER BY random() LIMIT 1', what) INTO picked;
	RETURN picked;
END
$$;

-- A value for a parameter, as a literal: mostly a likely one, now and then NULL or nonsense.
CREATE FUNCTION test_random.argument(name text, type text, chat_id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	kind text := CASE
		WHEN random() < 0.03 THEN 'null'
		WHEN name = 'chat_id' OR name = 'to_chat_id' AND random() < 0.5 THEN 'own chat'
		WHEN name IN ('to_chat_id') THEN 'chat'
		WHEN name IN ('mention_ids', 'posting') AND random() < 0.8 THEN 'null'
		WHEN name IN ('user_ids', 'member_ids', 'mention_ids') THEN 'users'
		WHEN name IN ('message_id', 'reply_to_id', 'around_id', 'before_id', 'after_id', 'since') THEN 'message'
		WHEN name IN ('file_id', 'avatar_file_id') THEN 'file'
		WHEN name = 'file_ids' THEN 'files'
		WHEN name = 'user_id' AND chat_id IS NOT NULL AND random() < 0.5 THEN 'member'
		WHEN name IN ('user_id', 'target_user_id', 'owner_id', 'from_user_id') THEN 'user'
		ELSE name
	END;
BEGIN
	RETURN quote_nullable(CASE kind
		WHEN 'null' THEN NULL
		WHEN 'own chat' THEN chat_id
		WHEN 'chat' THEN test_random.pick('SELECT c.id FROM chat.chats c')
		WHEN 'user' THEN test_random.pick('SELECT u.id FROM chat.users u')
		WHEN 'member' THEN test_random.pick(format('SELECT m.user_id FROM chat.members m WHERE m.chat_id = %s', chat_id))
		WHEN 'users' THEN (SELECT array_agg(id)::text FROM (SELECT u.id FROM chat.users u ORDER BY random() LIMIT (random() * 4)::integer) u)
		WHEN 'message' THEN CASE WHEN name IN ('around_id', 'before_id', 'after_id', 'reply_to_id') AND random() < 0.6 THEN NULL
			ELSE test_random.pick(format('SELECT m.id FROM chat.messages m WHERE m.chat_id = %s ORDER BY m.id DESC LIMIT 20', coalesce(chat_id, '0'))) END
		WHEN 'file' THEN CASE WHEN name = 'avatar_file_id' AND random() < 0.8 THEN NULL ELSE test_random.pick('SELECT f.id FROM chat.files f') END
		WHEN 'files' THEN CASE WHEN random() < 0.9 THEN NULL ELSE (SELECT array_agg(id)::text FROM (SELECT f.id FROM chat.files f ORDER BY random() LIMIT 2) f) END
		WHEN 'emoji' THEN (ARRAY['👍', '❤️', '😀', 'x', ':tada:'])[1 + floor(random() * 5)::integer]
		WHEN 'body' THEN CASE WHEN random() < 0.05 THEN '' ELSE 'text ' || floor(random() * 1e6) END
		WHEN 'role' THEN (ARRAY['owner', 'admin', 'member', 'king'])[1 + floor(random() * 4)::integer]
		WHEN 'posting' THEN (ARRAY['all', 'admins', 'nobody'])[1 + floor(random() * 3)::integer]
		WHEN 'status' THEN (ARRAY['online', 'away', 'busy', 'invisible', 'x'])[1 + floor(random() * 5)::integer]
		WHEN 'client_key' THEN CASE WHEN random() < 0.7 THEN NULL ELSE 'key ' || floor(random() * 20) END
		WHEN 'pattern' THEN (ARRAY['random', 'ra', 'x', '%'])[1 + floor(random() * 4)::integer]
		WHEN 'query' THEN (ARRAY['text', '"text"', 'text -x', ''])[1 + floor(random() * 4)::integer]
		WHEN 'title' THEN CASE WHEN random() < 0.1 THEN NULL ELSE 'Title ' || floor(random() * 100) END
		WHEN 'code' THEN test_random.pick('SELECT l.code FROM chat.invite_links l')
		WHEN 'send_at' THEN (now() + random() * interval '2 seconds')::text
		WHEN 'expires_in' THEN CASE WHEN random() < 0.9 THEN NULL ELSE '1 second' END
		WHEN 'version' THEN NULL
		WHEN 'page_size' THEN CASE WHEN random() < 0.8 THEN NULL ELSE floor(random() * 5)::text END
		WHEN 'password' THEN 'some password'
		ELSE CASE
			WHEN type = 'boolean' THEN (random() < 0.5)::text
			WHEN type = 'text' THEN CASE WHEN random() < 0.5 THEN NULL ELSE 'word' || floor(random() * 10) END
			WHEN type IN ('bigint', 'integer') THEN floor(random() * 100)::text
			WHEN type = 'jsonb' THEN CASE WHEN random() < 0.8 THEN NULL ELSE '{"a": 1}' END
			WHEN type LIKE 'timestamp%' THEN CASE WHEN random() < 0.5 THEN NULL ELSE (now() + random() * interval '1 hour')::text END
		END
	END) || '::' || type;
END
$$;

CREATE FUNCTION test_random.statement(actor_id bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	chat_id text := test_random.pick(CASE WHEN random() < 0.9
		THEN format('SELECT m.chat_id FROM chat.members m WHERE m.user_id = %s', actor_id) ELSE 'SELECT c.id FROM chat.chats c' END);
	method record;
BEGIN
	-- Sending is what chats are for: a third of the calls.
	SELECT m.* INTO method FROM test_random.methods m
	 ORDER BY random() / CASE m.method WHEN 'send_message' THEN 30 WHEN 'mark_read' THEN 6 WHEN 'add_reaction' THEN 6 WHEN 'open_direct_chat' THEN 4 ELSE 1 END
	 LIMIT 1;
	RETURN format('SELECT count(*) FROM %s(%s)', method.call, (
		SELECT string_agg(format('%I => %s', p ->> 'name', CASE p ->> 'name'
				WHEN 'actor_id' THEN actor_id || '::bigint'
				WHEN 'actor_session_id' THEN coalesce((SELECT max(s.id) FROM chat.sessions s WHERE s.user_id = actor_id), 0) || '::bigint'
				ELSE test_random.argument(p ->> 'name', p ->> 'type', chat_id) END), ', ')
		  FROM jsonb_array_elements(method.parameters) p));
END
$$;

CREATE PROCEDURE test_random.run(seed double precision, calls integer) LANGUAGE plpgsql AS $$
DECLARE
	users bigint[];
	call text;
	state text;
	message text;
BEGIN
	PERFORM setseed(seed);
	FOR n IN 1 .. calls LOOP
		users := ARRAY(SELECT u.id FROM chat.users u WHERE u.user_name LIKE 'random%' ORDER BY u.id);
		call := test_random.statement(users[1 + floor(random() * cardinality(users))::integer]);
		COMMIT;
		state := '00000';
		BEGIN
			EXECUTE call;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
		END;
		COMMIT;
		IF state !~ '^(00000|MC...|40001|40P01|55P03)$' THEN
			INSERT INTO test_random.unexpected VALUES (call, state, message);
		END IF;
		INSERT INTO test_random.calls VALUES (substring(call FROM 'chat\.([a-z_]+)'), state);
		IF n % 50 = 0 THEN
			COMMIT;
			PERFORM chat.run_maintenance();
			COMMIT;
		END IF;
	END LOOP;
END
$$;

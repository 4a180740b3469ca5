-- A session is one login on one device. Its token is a secret of 256 random bits of which only a hash is kept.

CREATE OR REPLACE FUNCTION chat.token_hash(token text)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT sha256(convert_to(token_hash.token, 'UTF8')) $$;
COMMENT ON FUNCTION chat.token_hash IS 'What chat.sessions keeps of a token.';

CREATE OR REPLACE FUNCTION chat.check_suspension(user_id bigint)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF check_suspension.user_id IS NULL THEN
		PERFORM chat.fail('no_such_user');
	ELSIF EXISTS (SELECT FROM chat.users u WHERE u.id = check_suspension.user_id AND u.suspended_until > now()) THEN
		PERFORM chat.fail('user_suspended');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_suspension IS 'Raises MC403 user_suspended while it lasts.';

-- What logs in again and again without logging out, a job of every minute, ends its own older sessions: those of the same device (without
-- a name, of the same network) go first, then those without a socket, the least recently used of them.
CREATE OR REPLACE FUNCTION chat.trim_sessions(user_id bigint, device_name text, address inet)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	present bigint[] := ARRAY(
		SELECT s.id FROM chat.sessions s WHERE s.user_id = trim_sessions.user_id
		 ORDER BY s.expires_at > now(),
			s.device_name IS DISTINCT FROM trim_sessions.device_name
				OR s.device_name IS NULL AND chat.network(s.address) <> chat.network(trim_sessions.address),
			EXISTS (SELECT FROM chat.live_sessions l WHERE l.user_id = s.user_id AND l.session_id = s.id), s.last_seen_at, s.id);
	surplus bigint := cardinality(present) - chat.setting_integer('sessions_max') + 1;
BEGIN
	IF surplus > 0 AND NOT chat.is_app() THEN
		DELETE FROM chat.sessions s WHERE s.id = ANY (present[1:least(surplus, 1000)::integer]);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.trim_sessions IS 'Makes room for one more session of a user, whose row is locked, within the setting sessions_max.';

CREATE OR REPLACE FUNCTION chat.new_session(user_id bigint, device_name text, address inet, lifetime interval,
	OUT token text, OUT session_id bigint, OUT expires_at timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chat.check_length(new_session.device_name, 'device_name', 0, 128);
	PERFORM chat.trim_sessions(new_session.user_id, new_session.device_name, new_session.address);
	token := chat.new_token();
	session_id := chat.take_id();
	expires_at := date_trunc('milliseconds', now() + new_session.lifetime);
	INSERT INTO chat.sessions (id, user_id, token_hash, device_name, address, expires_at)
	VALUES (session_id, new_session.user_id, chat.token_hash(token), new_session.device_name, new_session.address, expires_at);
END
$$;
COMMENT ON FUNCTION chat.new_session IS 'Opens a session for a user whose identity is proven. Beyond the setting sessions_max older ones end.';

-- The throttle of passwords counts failed attempts for a name from one network, so that strangers lock out nobody but themselves; and
-- for a name or from a network in all, which does not bind users in a network where they have logged in before. Inside a session,
-- guesses count for its user apart: they neither lock nor are locked by what happens outside.
CREATE OR REPLACE FUNCTION chat.login_pair(user_name text, network text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'pair:' || login_pair.user_name || ' ' || login_pair.network $$;
COMMENT ON FUNCTION chat.login_pair IS 'The subject in chat.login_failures of a name that is tried from a network.';

CREATE OR REPLACE FUNCTION chat.failure_wait(subject text, setting text)
RETURNS interval LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT f.window_ends_at - now() FROM chat.login_failures f
	 WHERE f.subject = failure_wait.subject AND f.window_ends_at > now() AND f.failures >= chat.setting_integer(failure_wait.setting));
END
$$;
COMMENT ON FUNCTION chat.failure_wait IS 'How long attempts are refused that count for this subject; NULL = they are not.';

CREATE OR REPLACE FUNCTION chat.login_wait(user_name text, network text, is_known boolean)
RETURNS interval LANGUAGE sql STABLE AS $$
	SELECT greatest(chat.failure_wait(chat.login_pair(login_wait.user_name, login_wait.network), 'login_failures_per_user'),
		CASE WHEN NOT login_wait.is_known THEN chat.failure_wait('user:' || login_wait.user_name, 'login_failures_per_name') END,
		CASE WHEN NOT login_wait.is_known THEN chat.failure_wait('address:' || login_wait.network, 'login_failures_per_address') END)
$$;
COMMENT ON FUNCTION chat.login_wait IS 'How long attempts for this name from this network are refused; NULL = they are not. is_known: the user has logged in from there.';

CREATE OR REPLACE FUNCTION chat.count_failures(subjects text[])
RETURNS void LANGUAGE sql VOLATILE AS $$
	DELETE FROM chat.login_failures f
	 WHERE f.subject IN (SELECT o.subject FROM chat.login_failures o WHERE o.window_ends_at < now()
		 ORDER BY o.window_ends_at LIMIT 10 FOR UPDATE SKIP LOCKED);
	INSERT INTO chat.login_failures AS f (subject, failures, window_ends_at)
	SELECT s, 1, now() + chat.setting_interval('login_failure_window')
	  FROM unnest(count_failures.subjects) s WHERE s <> 'address:' ORDER BY s
	ON CONFLICT (subject) DO UPDATE
	   SET failures = CASE WHEN f.window_ends_at > now() THEN f.failures + 1 ELSE 1 END,
		   window_ends_at = CASE WHEN f.window_ends_at > now() THEN f.window_ends_at ELSE excluded.window_ends_at END
$$;
COMMENT ON FUNCTION chat.count_failures IS 'Counts one failed attempt for each of the subjects, and forgets a few whose window is over.';

CREATE OR REPLACE FUNCTION chat.is_known_network(user_id bigint, network text)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.login_networks n WHERE n.user_id = is_known_network.user_id AND n.network = is_known_network.network);
END
$$;
COMMENT ON FUNCTION chat.is_known_network IS 'Whether the user has logged in from there; false for nobody.';

CREATE OR REPLACE FUNCTION chat.remember_network(user_id bigint, network text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO chat.login_networks AS n (user_id, network, last_at) VALUES (remember_network.user_id, remember_network.network, now())
	ON CONFLICT ON CONSTRAINT login_networks_pkey DO UPDATE SET last_at = now() WHERE n.last_at < now() - interval '1 day';
	DELETE FROM chat.login_networks n
	 WHERE n.user_id = remember_network.user_id AND (n.last_at < now() - interval '1 year' OR n.network IN (
		SELECT o.network FROM chat.login_networks o WHERE o.user_id = remember_network.user_id ORDER BY o.last_at DESC, o.network OFFSET 20));
END
$$;
COMMENT ON FUNCTION chat.remember_network IS 'Notes where the user has logged in: the last 20 networks, for a year.';

-- An answer must not tell by its time whether there is such a user. So a failed attempt costs as much as the dearest hash that any
-- user has: 2^highest rounds, those of the user''s own hash and, as 2^a + 2^a + 2^(a+1) + … + 2^(b-1) is 2^b, one more of each cost between.
CREATE OR REPLACE FUNCTION chat.highest_cost()
RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN greatest(chat.setting_integer('password_cost'), (SELECT substr(u.password_hash, 5, 2)::integer FROM chat.users u
		 WHERE u.password_hash IS NOT NULL ORDER BY substr(u.password_hash, 5, 2) DESC LIMIT 1));
END
$$;
COMMENT ON FUNCTION chat.highest_cost IS 'The highest bcrypt cost of all users'' passwords, and of new ones.';

CREATE OR REPLACE FUNCTION chat.padding_costs(cost integer, highest integer)
RETURNS integer[] LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN padding_costs.cost IS NULL THEN ARRAY[padding_costs.highest]
		ELSE ARRAY(SELECT generate_series(greatest(padding_costs.cost, 4), least(padding_costs.highest, 31) - 1)) END -- what bcrypt knows
$$;
COMMENT ON FUNCTION chat.padding_costs IS 'Costs of the hashes to be made in vain beside one of cost (NULL: none was made), for all to take as long as one of the highest.';

CREATE OR REPLACE FUNCTION chat.try_hash(password text, password_hash text)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	attempt text := left(coalesce(try_hash.password, ''), 1024);
BEGIN
	IF chat.is_password(attempt, try_hash.password_hash) THEN
		RETURN true;
	END IF;
	PERFORM chat.is_password(attempt, '$2a$' || lpad(c::text, 2, '0') || '$' || repeat('.', 53))
	   FROM unnest(chat.padding_costs(substr(try_hash.password_hash, 5, 2)::integer, chat.highest_cost())) c;
	RETURN false;
END
$$;
COMMENT ON FUNCTION chat.try_hash IS 'is_password for who may be anybody: where it is not the password, or there is no hash, the answer takes the same time whosesoever the hash is.';

CREATE OR REPLACE FUNCTION chat.error_json(reason text, retry_after interval DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT jsonb_build_object('code', substr(r.sqlstate, 3)::integer, 'reason', r.reason, 'message', r.message, 'hint', r.hint,
		'retry_after_ms', ceil(extract(epoch FROM error_json.retry_after) * 1000)::bigint)
	  FROM chat.reasons() r WHERE r.reason = error_json.reason);
END
$$;
COMMENT ON FUNCTION chat.error_json IS 'An error as a result, for functions whose changes must outlive their failure; the gateway answers with it.';

CREATE OR REPLACE FUNCTION chat.log_in(user_name text, password text, device_name text DEFAULT NULL, actor_address inet DEFAULT NULL,
	OUT token text, OUT session_id bigint, OUT expires_at timestamptz, OUT user_id bigint, OUT profile jsonb, OUT error jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := left(lower(log_in.user_name), 64);
	network text := chat.network(log_in.actor_address);
	account chat.users;
	wait interval;
BEGIN
	PERFORM chat.check_length(log_in.device_name, 'device_name', 0, 128);
	SELECT u.* INTO account FROM chat.users u WHERE u.user_name = name;
	wait := chat.login_wait(name, network, chat.is_known_network(account.id, network));
	IF wait IS NOT NULL THEN
		error := chat.error_json('too_many_attempts', wait);
		RETURN;
	ELSIF NOT chat.try_hash(log_in.password, account.password_hash) THEN
		PERFORM chat.count_failures(ARRAY[chat.login_pair(name, network), 'user:' || name, 'address:' || network]);
		error := chat.error_json('bad_credentials');
		RETURN;
	END IF;
	-- Comparing took its time: whoever changes the password or suspends the user meanwhile ends this session too.
	PERFORM FROM chat.users u WHERE u.id = account.id AND u.password_hash = account.password_hash FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		error := chat.error_json('bad_credentials');
		RETURN;
	END IF;
	PERFORM chat.check_suspension(account.id);
	DELETE FROM chat.login_failures f WHERE f.subject = chat.login_pair(name, network);
	PERFORM chat.remember_network(account.id, network);
	IF substr(account.password_hash, 5, 2)::integer <> chat.setting_integer('password_cost') THEN
		UPDATE chat.users u SET password_hash = chat.hash_password(log_in.password) WHERE u.id = account.id;
	END IF;
	SELECT s.token, s.session_id, s.expires_at INTO token, session_id, expires_at
	  FROM chat.new_session(account.id, log_in.device_name, log_in.actor_address, chat.setting_interval('session_lifetime')) s;
	user_id := account.id;
	profile := chat.profile_json(account.id);
END
$$;
COMMENT ON FUNCTION chat.log_in IS 'Opens a session by name and password. The token is a secret and is shown only here. A failed attempt is not raised but answered in error, so that its count stays: MC401 bad_credentials, the same and after the same time for an unknown name and a wrong password; MC429 too_many_attempts with retry_after_ms. Failed attempts count for the name and the network (of IPv6 the /64, of calls without actor_address one of its own) together, by the setting login_failures_per_user; and, in networks where the user has not logged in before, for the name alone, by login_failures_per_name, and for the network alone, by login_failures_per_address; all within login_failure_window. Beyond the setting sessions_max it ends older sessions: those of the same device first, then the least recently used. Raises MC400 invalid_argument (device_name); MC403 user_suspended.';
GRANT EXECUTE ON FUNCTION chat.log_in TO chat_anonymous, chat_app; -- since 0.1.0

-- Who a verified identity is: locked, so that whoever suspends him meanwhile ends the session too that is about to be.
CREATE OR REPLACE FUNCTION chat.admit_external_user(issuer text, subject text, claims jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	found_id bigint;
BEGIN
	IF coalesce(admit_external_user.issuer, '') = '' OR coalesce(admit_external_user.subject, '') = '' THEN
		PERFORM chat.fail('invalid_argument', 'an identity needs issuer and subject');
	ELSIF jsonb_typeof(admit_external_user.claims) <> 'object' THEN
		PERFORM chat.fail('invalid_argument', 'claims is not acceptable', 'Give a JSON object.');
	END IF;
	found_id := chat.external_user(admit_external_user.issuer, admit_external_user.subject);
	IF found_id IS NULL THEN
		IF NOT chat.setting_boolean('external_sign_up') THEN
			PERFORM chat.fail('sign_up_closed');
		END IF;
		PERFORM chat.add_external_user(admit_external_user.issuer, admit_external_user.subject, coalesce(admit_external_user.claims, '{}'));
		found_id := chat.external_user(admit_external_user.issuer, admit_external_user.subject);
	END IF;
	PERFORM FROM chat.users u WHERE u.id = found_id FOR NO KEY UPDATE;
	PERFORM chat.check_suspension(found_id);
	RETURN found_id;
END
$$;
COMMENT ON FUNCTION chat.admit_external_user IS 'The user who has this verified identity, made on first sight if the setting external_sign_up allows. MC400 invalid_argument; MC403 sign_up_closed, user_suspended.';

CREATE OR REPLACE FUNCTION chat.log_in_external(issuer text, subject text, claims jsonb DEFAULT NULL, device_name text DEFAULT NULL,
	actor_address inet DEFAULT NULL,
	OUT token text, OUT session_id bigint, OUT expires_at timestamptz, OUT user_id bigint, OUT profile jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	user_id := chat.admit_external_user(log_in_external.issuer, log_in_external.subject, log_in_external.claims);
	SELECT s.token, s.session_id, s.expires_at INTO token, session_id, expires_at
	  FROM chat.new_session(user_id, log_in_external.device_name, log_in_external.actor_address, chat.setting_interval('session_lifetime')) s;
	profile := chat.profile_json(user_id);
END
$$;
COMMENT ON FUNCTION chat.log_in_external IS 'Opens a session for the identity of a verified OIDC token; for gateways and apps, which have done the verifying. On first sight, if the setting external_sign_up allows, it makes a user: user name and display name, email and phone from the claims preferred_username, name, email and phone_number as far as they are acceptable, the latter two unless email_verified or phone_number_verified is there and anything but true or "true"; later the profile is the user''s own. MC400 invalid_argument; MC403 sign_up_closed, user_suspended.';
GRANT EXECUTE ON FUNCTION chat.log_in_external TO chat_gateway, chat_app; -- since 0.2.0

-- No text has a byte 0: nothing that open_session is given has such a hash.
CREATE OR REPLACE FUNCTION chat.external_token_hash(issuer text, subject text, claims jsonb)
RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
	SELECT sha256('\x00'::bytea || convert_to(jsonb_build_array(external_token_hash.issuer, external_token_hash.subject,
		CASE WHEN jsonb_typeof(external_token_hash.claims -> 'sid') = 'string' THEN jsonb_build_object('sid', external_token_hash.claims -> 'sid')
			 WHEN jsonb_typeof(external_token_hash.claims -> 'jti') = 'string' THEN jsonb_build_object('jti', external_token_hash.claims -> 'jti')
			 ELSE external_token_hash.claims END)::text, 'UTF8'))
$$;
COMMENT ON FUNCTION chat.external_token_hash IS 'What chat.sessions keeps of an access token: all tokens of one login at the provider (sid) have the same; where the provider doesn''t tell logins apart each token has its own.';

CREATE OR REPLACE FUNCTION chat.open_external_session(issuer text, subject text, claims jsonb, valid_until timestamptz, actor_address inet DEFAULT NULL,
	OUT user_id bigint, OUT session_id bigint, OUT expires_at timestamptz, OUT channel text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	hash bytea := chat.external_token_hash(open_external_session.issuer, open_external_session.subject, open_external_session.claims);
	device text := left(coalesce(open_external_session.claims ->> 'client_id', open_external_session.claims ->> 'azp'), 128);
	issued_at timestamptz := to_timestamp(CASE WHEN jsonb_typeof(open_external_session.claims -> 'iat') = 'number'
		THEN greatest(0, least(253402300799, (open_external_session.claims ->> 'iat')::numeric)) ELSE 0 END);
BEGIN
	user_id := chat.admit_external_user(open_external_session.issuer, open_external_session.subject, open_external_session.claims);
	IF open_external_session.valid_until <= now() THEN
		PERFORM chat.fail('session_expired');
	END IF;
	IF NOT EXISTS (SELECT FROM chat.sessions s WHERE s.token_hash = hash) THEN
		PERFORM chat.trim_sessions(user_id, device, open_external_session.actor_address);
	END IF;
	INSERT INTO chat.sessions AS s (id, user_id, token_hash, device_name, address, expires_at, token_issued_at)
	VALUES (chat.take_id(), open_external_session.user_id, hash, device,
		open_external_session.actor_address, date_trunc('milliseconds', open_external_session.valid_until), issued_at)
	ON CONFLICT (token_hash) DO UPDATE
	   SET expires_at = greatest(s.expires_at, excluded.expires_at), token_issued_at = greatest(s.token_issued_at, excluded.token_issued_at),
		   last_seen_at = now(), address = coalesce(excluded.address, s.address)
	 WHERE s.user_id = excluded.user_id
	RETURNING s.id, s.expires_at INTO session_id, expires_at;
	-- After the row, which whoever ends the session has let go of only with this entry made.
	IF NOT FOUND OR EXISTS (SELECT FROM chat.ended_sessions e WHERE e.token_hash = hash AND e.issued_until >= issued_at) THEN
		PERFORM chat.fail('bad_token');
	END IF;
	channel := chat.user_channel(user_id);
END
$$;
COMMENT ON FUNCTION chat.open_external_session IS 'For a gateway that has verified an access token of an OIDC provider: open_session for it, good until valid_until. claims: the token''s. All tokens of one login at the provider (claim sid) share a session, else each token (jti) has one of its own: reconnecting makes no further one, and a fresh token makes it last longer. Its device is the client''s name at the provider (client_id, azp). Users are found and made as by log_in_external. A session that was ended (log_out, revoke_session, or as one beyond the setting sessions_max) is not opened again by a token made (iat) before. MC401 bad_token, session_expired; MC400 invalid_argument; MC403 sign_up_closed, user_suspended.';
GRANT EXECUTE ON FUNCTION chat.open_external_session TO chat_gateway; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.external_user(issuer text, subject text)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT u.id FROM chat.users u WHERE u.external_issuer = external_user.issuer AND u.external_subject = external_user.subject);
END
$$;
COMMENT ON FUNCTION chat.external_user IS 'The user who has this identity; NULL = nobody yet.';

CREATE OR REPLACE FUNCTION chat.add_external_user(issuer text, subject text, claims jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	new_id bigint := chat.take_id();
	known record;
	stem text;
	name text;
BEGIN
	SELECT nullif(left(btrim(max(c.value) FILTER (WHERE c.key = 'name')), 64), '') AS display_name,
		max(c.value) FILTER (WHERE c.key = 'preferred_username' AND c.value <> '') AS user_name,
		max(c.value) FILTER (WHERE c.key = 'email' AND length(c.value) BETWEEN 3 AND 254) AS email,
		max(c.value) FILTER (WHERE c.key = 'phone_number' AND length(c.value) BETWEEN 3 AND 32) AS phone
	  INTO known
	  FROM jsonb_each_text(add_external_user.claims) c
	 WHERE jsonb_typeof(add_external_user.claims -> c.key) = 'string'
	   AND coalesce(add_external_user.claims -> (c.key || '_verified'), 'true') IN ('true', '"true"'); -- some providers send texts
	stem := regexp_replace(lower(coalesce(known.user_name, known.display_name, 'user')), '[^a-z0-9._-]+', '_', 'g');
	-- The name he would like; where it is no name or taken, with his id, which nobody else can have.
	FOREACH name IN ARRAY ARRAY[left(stem, 32), left(stem, 12) || '.' || new_id] LOOP
		CONTINUE WHEN name !~ '^[a-z0-9._-]{3,32}$' OR name ~ '^deleted\.[0-9]+$';
		INSERT INTO chat.users (id, user_name, display_name, email, phone, external_issuer, external_subject, version)
		VALUES (new_id, name, coalesce(known.display_name, name), known.email, known.phone, add_external_user.issuer, add_external_user.subject, new_id)
		ON CONFLICT DO NOTHING;
		EXIT WHEN chat.external_user(add_external_user.issuer, add_external_user.subject) IS NOT NULL;
	END LOOP;
END
$$;
COMMENT ON FUNCTION chat.add_external_user IS 'Makes the user of a verified identity, unless another login of his has just done so.';

CREATE OR REPLACE FUNCTION chat.create_session(user_id bigint, device_name text DEFAULT NULL, lifetime interval DEFAULT NULL,
	OUT token text, OUT session_id bigint, OUT expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM chat.users u WHERE u.id = create_session.user_id AND NOT u.deleted FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	PERFORM chat.check_suspension(create_session.user_id);
	IF create_session.lifetime NOT BETWEEN '1 second' AND '10 years' THEN
		PERFORM chat.fail('invalid_argument', 'lifetime is not acceptable', 'Use 1 second to 10 years.');
	END IF;
	SELECT s.token, s.session_id, s.expires_at INTO token, session_id, expires_at
	  FROM chat.new_session(create_session.user_id, create_session.device_name, NULL,
		coalesce(create_session.lifetime, chat.setting_interval('session_lifetime'))) s;
END
$$;
COMMENT ON FUNCTION chat.create_session IS 'Opens a session for a user whom the app itself has logged in; hand the token to his client. lifetime: by default the setting session_lifetime. MC404 no_such_user; MC403 user_suspended; MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.create_session TO chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.open_session(token text, actor_address inet DEFAULT NULL,
	OUT user_id bigint, OUT session_id bigint, OUT expires_at timestamptz, OUT channel text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE chat.sessions s SET last_seen_at = now(), address = coalesce(open_session.actor_address, s.address)
	 WHERE s.token_hash = chat.token_hash(open_session.token)
	RETURNING s.user_id, s.id, s.expires_at INTO user_id, session_id, expires_at;
	IF NOT FOUND THEN
		PERFORM chat.fail('bad_token');
	ELSIF expires_at <= now() THEN
		PERFORM chat.fail('session_expired');
	END IF;
	PERFORM chat.check_suspension(user_id);
	channel := chat.user_channel(user_id);
END
$$;
COMMENT ON FUNCTION chat.open_session IS 'For a gateway: whose token this is, and the channel to LISTEN on for him. MC401 bad_token, session_expired; MC403 user_suspended.';
GRANT EXECUTE ON FUNCTION chat.open_session TO chat_gateway, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.list_live_sessions(session_ids bigint[])
RETURNS TABLE (session_id bigint, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT s.id, s.expires_at
	  FROM chat.sessions s
	 WHERE s.id = ANY (list_live_sessions.session_ids) AND s.expires_at > now()
$$;
COMMENT ON FUNCTION chat.list_live_sessions IS 'For a gateway: those of these sessions that have not ended, neither by log_out nor by time. It asks where it may have missed an end.';
GRANT EXECUTE ON FUNCTION chat.list_live_sessions TO chat_gateway; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.refresh_session(actor_id bigint, actor_session_id bigint,
	OUT session_id bigint, OUT expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(refresh_session.actor_id);
	IF EXISTS (SELECT FROM chat.sessions s WHERE s.id = refresh_session.actor_session_id AND s.token_issued_at IS NOT NULL) THEN
		PERFORM chat.fail('external_session');
	END IF;
	UPDATE chat.sessions s
	   SET expires_at = greatest(s.expires_at, date_trunc('milliseconds', now() + chat.setting_interval('session_lifetime')))
	 WHERE s.id = refresh_session.actor_session_id AND s.user_id = refresh_session.actor_id AND s.expires_at > now()
	RETURNING s.id, s.expires_at INTO session_id, expires_at;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_session');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.refresh_session IS 'Lets the session last for session_lifetime from now; the token stays. MC404 no_such_session; MC409 external_session when an access token of an identity provider opened it.';
GRANT EXECUTE ON FUNCTION chat.refresh_session TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.log_out(actor_id bigint, actor_session_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(log_out.actor_id);
	DELETE FROM chat.sessions s WHERE s.id = log_out.actor_session_id AND s.user_id = log_out.actor_id;
END
$$;
COMMENT ON FUNCTION chat.log_out IS 'Ends the session; its sockets are closed. Again is no error.';
GRANT EXECUTE ON FUNCTION chat.log_out TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.list_sessions(actor_id bigint, actor_session_id bigint DEFAULT NULL)
RETURNS TABLE (id bigint, device_name text, address inet, created_at timestamptz, last_seen_at timestamptz,
	expires_at timestamptz, is_current boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(list_sessions.actor_id);
	RETURN QUERY
	SELECT s.id, s.device_name, s.address, chat.id_time(s.id), s.last_seen_at, s.expires_at,
		s.id IS NOT DISTINCT FROM list_sessions.actor_session_id
	  FROM chat.sessions s
	 WHERE s.user_id = list_sessions.actor_id AND s.expires_at > now()
	 ORDER BY s.id;
END
$$;
COMMENT ON FUNCTION chat.list_sessions IS 'One''s own sessions, the oldest first.';
GRANT EXECUTE ON FUNCTION chat.list_sessions TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.revoke_session(actor_id bigint, session_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(revoke_session.actor_id);
	DELETE FROM chat.sessions s WHERE s.id = revoke_session.session_id AND s.user_id = revoke_session.actor_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_session');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.revoke_session IS 'Ends one of one''s own sessions, on this or another device; its sockets are closed. MC404 no_such_session.';
GRANT EXECUTE ON FUNCTION chat.revoke_session TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.revoke_other_sessions(actor_id bigint, actor_session_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(revoke_other_sessions.actor_id);
	DELETE FROM chat.sessions s
	 WHERE s.user_id = revoke_other_sessions.actor_id AND s.id IS DISTINCT FROM revoke_other_sessions.actor_session_id;
END
$$;
COMMENT ON FUNCTION chat.revoke_other_sessions IS 'Ends all of one''s own sessions but this one; their sockets are closed.';
GRANT EXECUTE ON FUNCTION chat.revoke_other_sessions TO chat_user, chat_app; -- since 0.2.0

-- Proving oneself again inside a session, with a throttle of its own: who has got hold of the session only must not find out the
-- password here, and who guesses outside must not keep its owner from it. NULL = it is the user; a user without a password has
-- nothing to prove.
CREATE OR REPLACE FUNCTION chat.try_password(account chat.users, password text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	subject text := 'session:' || account.id;
	wait interval := chat.failure_wait(subject, 'login_failures_per_user');
BEGIN
	IF account.password_hash IS NULL THEN
		RETURN NULL;
	ELSIF wait IS NOT NULL THEN
		RETURN chat.error_json('too_many_attempts', wait);
	ELSIF chat.is_password(left(coalesce(try_password.password, ''), 1024), account.password_hash) THEN
		RETURN NULL;
	END IF;
	PERFORM chat.count_failures(ARRAY[subject]);
	RETURN chat.error_json('bad_credentials');
END
$$;
COMMENT ON FUNCTION chat.try_password IS 'NULL, or the error with which change_password and delete_account answer a wrong password. It counts for the user''s sessions together, by the settings login_failures_per_user and login_failure_window, and not for log_in.';

CREATE OR REPLACE FUNCTION chat.change_password(actor_id bigint, actor_session_id bigint, old_password text, new_password text,
	version bigint DEFAULT NULL, OUT profile jsonb, OUT error jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account chat.users;
	new_hash text;
BEGIN
	PERFORM chat.check_actor(change_password.actor_id);
	PERFORM chat.check_password(change_password.new_password);
	SELECT u.* INTO account FROM chat.users u WHERE u.id = change_password.actor_id AND NOT u.deleted;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	ELSIF account.password_hash IS NULL THEN
		PERFORM chat.fail('no_password');
	END IF;
	error := chat.try_password(account, change_password.old_password);
	IF error IS NOT NULL THEN
		RETURN;
	ELSIF change_password.old_password <> change_password.new_password THEN
		-- Hashed before the row is locked; changed only if it still is what the old password was compared with.
		new_hash := chat.hash_password(change_password.new_password);
		UPDATE chat.users u SET password_hash = new_hash, version = chat.take_id(u.version)
		 WHERE u.id = account.id AND u.password_hash = account.password_hash AND u.version = coalesce(change_password.version, u.version);
		IF NOT FOUND THEN
			PERFORM chat.fail('stale_version');
		END IF;
	END IF;
	PERFORM chat.revoke_other_sessions(change_password.actor_id, change_password.actor_session_id);
	profile := chat.profile_json(account.id);
END
$$;
COMMENT ON FUNCTION chat.change_password IS 'Changes one''s own password (8 to 128 characters) and ends all other sessions. version: the profile''s, NULL = whatever it is. Answers the profile. A wrong old_password is answered in error, as by log_in, and counts for change_password and delete_account, not for log_in: MC401 bad_credentials, MC429 too_many_attempts. MC400 invalid_password; MC404 no_such_user; MC409 no_password for users whom the app or an identity provider logs in, stale_version.';
GRANT EXECUTE ON FUNCTION chat.change_password TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.set_password(user_id bigint, new_password text)
RETURNS chat.v_profiles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	profile chat.v_profiles;
BEGIN
	PERFORM chat.check_password(set_password.new_password);
	set_password.new_password := chat.hash_password(set_password.new_password);
	UPDATE chat.users u SET password_hash = set_password.new_password, version = chat.take_id(u.version)
	 WHERE u.id = set_password.user_id AND NOT u.deleted;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	DELETE FROM chat.sessions s WHERE s.user_id = set_password.user_id;
	SELECT p.* INTO profile FROM chat.v_profiles p WHERE p.id = set_password.user_id;
	RETURN profile;
END
$$;
COMMENT ON FUNCTION chat.set_password IS 'Gives a user a new password, or his first one (8 to 128 characters), and ends all his sessions. For apps, which have found him to be himself. Answers his profile. MC400 invalid_password; MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.set_password TO chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.expire_sessions(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	expired integer;
	forgotten integer;
BEGIN
	WITH old AS (
		SELECT s.id FROM chat.sessions s WHERE s.expires_at <= now() LIMIT expire_sessions.batch FOR UPDATE SKIP LOCKED
	)
	DELETE FROM chat.sessions s USING old WHERE s.id = old.id;
	GET DIAGNOSTICS expired = ROW_COUNT;
	WITH old AS (
		SELECT f.subject FROM chat.login_failures f WHERE f.window_ends_at <= now() LIMIT expire_sessions.batch FOR UPDATE SKIP LOCKED
	)
	DELETE FROM chat.login_failures f USING old WHERE f.subject = old.subject;
	GET DIAGNOSTICS forgotten = ROW_COUNT;
	expired := expired + forgotten;
	WITH old AS (
		SELECT e.token_hash FROM chat.ended_sessions e WHERE e.forget_at <= now() LIMIT expire_sessions.batch FOR UPDATE SKIP LOCKED
	)
	DELETE FROM chat.ended_sessions e USING old WHERE e.token_hash = old.token_hash;
	GET DIAGNOSTICS forgotten = ROW_COUNT;
	RETURN expired + forgotten;
END
$$;
COMMENT ON FUNCTION chat.expire_sessions IS 'A job: removes at most batch expired sessions, as many counts of failed attempts whose time is over, and as many ends of sessions whose tokens are no good any more; answers how many.';

CREATE OR REPLACE FUNCTION chat.publish_session_end()
RETURNS trigger LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_publish_session_end';
COMMENT ON FUNCTION chat.publish_session_end IS 'Trigger: tells gateways to close the session''s sockets.';
CREATE OR REPLACE TRIGGER publish_session_end AFTER DELETE ON chat.sessions
FOR EACH ROW EXECUTE FUNCTION chat.publish_session_end();

CREATE OR REPLACE FUNCTION chat.keep_session_end()
RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO chat.ended_sessions AS e (token_hash, issued_until, forget_at)
	VALUES (OLD.token_hash, greatest(now(), OLD.token_issued_at), greatest(OLD.expires_at, now() + chat.setting_interval('session_lifetime')))
	ON CONFLICT (token_hash) DO UPDATE
	   SET issued_until = greatest(e.issued_until, excluded.issued_until), forget_at = greatest(e.forget_at, excluded.forget_at);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.keep_session_end IS 'Trigger: the access tokens that this session had must not open it again.';
CREATE OR REPLACE TRIGGER keep_session_end AFTER DELETE ON chat.sessions
FOR EACH ROW WHEN (OLD.token_issued_at IS NOT NULL AND OLD.expires_at > now()) EXECUTE FUNCTION chat.keep_session_end();

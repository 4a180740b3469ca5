-- No functions of ours in here: a view checks them against its reader, who has only the view.
CREATE OR REPLACE VIEW chat.v_users AS
SELECT u.id, u.user_name, u.display_name, u.avatar_file_id,
	CASE
		WHEN NOT EXISTS (SELECT FROM chat.live_sessions s JOIN chat.leases l ON l.id = s.lease_id
			WHERE s.user_id = u.id AND l.expires_at > now()) THEN 'offline'
		WHEN u.status_until <= now() THEN 'online'
		WHEN u.status = 'invisible' THEN 'offline'
		ELSE u.status
	END AS status,
	CASE WHEN u.status_until <= now() THEN NULL ELSE u.status_text END AS status_text,
	u.deleted
  FROM chat.users u;
COMMENT ON VIEW chat.v_users IS 'Public profiles. status: online, away, busy or offline, as those see it who may (get_presence). A deleted user keeps his row for the messages that name him.';
GRANT SELECT ON chat.v_users TO chat_app; -- since 0.1.0

CREATE OR REPLACE VIEW chat.v_profiles AS
SELECT u.id, u.user_name, u.display_name, u.email, u.phone, u.attributes, chat.id_time(u.id) AS created_at, u.version,
	u.avatar_file_id
  FROM chat.users u;
COMMENT ON VIEW chat.v_profiles IS 'Whole profiles, as their owners see them.';

CREATE OR REPLACE FUNCTION chat.profile_json(user_id bigint)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT jsonb_build_object('id', p.id::text, 'user_name', p.user_name, 'display_name', p.display_name, 'email', p.email,
		'phone', p.phone, 'attributes', p.attributes, 'created_at', chat.rfc3339(p.created_at), 'version', p.version::text,
		'avatar_file_id', p.avatar_file_id::text)
	  FROM chat.v_profiles p WHERE p.id = profile_json.user_id);
END
$$;
COMMENT ON FUNCTION chat.profile_json IS 'get_profile''s row as JSON.';

CREATE OR REPLACE FUNCTION chat.profile_event(user_id bigint, version bigint)
RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT chat.profile_json(profile_event.user_id)
		|| jsonb_build_object('type', 'profile_changed', 'at', chat.rfc3339(chat.id_time(profile_event.version)))
$$;
COMMENT ON FUNCTION chat.profile_event IS 'The profile_changed event, as it is published and as sync tells it.';

CREATE OR REPLACE FUNCTION chat.publish_profile()
RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF chat.took(NEW.version) THEN
		PERFORM chat.publish(chat.profile_event(NEW.id, NEW.version), ARRAY[NEW.id]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_profile IS 'Trigger: profile_changed, to the user''s own sockets.';
CREATE OR REPLACE TRIGGER publish_profile AFTER UPDATE OF version ON chat.users
FOR EACH ROW EXECUTE FUNCTION chat.publish_profile();

-- All a new user can get wrong, in one place for those who make one.
CREATE OR REPLACE FUNCTION chat.check_new_user(user_name text, display_name text, email text, phone text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	-- deleted.ID is what erasure leaves of a name.
	IF user_name IS NULL OR user_name !~ '^[a-z0-9._-]{3,32}$' OR user_name ~ '^deleted\.[0-9]+$' THEN
		PERFORM chat.fail('invalid_user_name');
	END IF;
	PERFORM chat.check_length(display_name, 'display_name', 1, 64);
	PERFORM chat.check_length(email, 'email', 3, 254);
	PERFORM chat.check_length(phone, 'phone', 3, 32);
END
$$;
COMMENT ON FUNCTION chat.check_new_user IS 'Raises MC400 for a user name, display name, email or phone that nobody can have.';

CREATE OR REPLACE FUNCTION chat.check_password(password text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF password IS NULL OR char_length(password) NOT BETWEEN 8 AND 128 THEN
		PERFORM chat.fail('invalid_password');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_password IS 'Raises MC400 invalid_password for one that nobody can choose.';

CREATE OR REPLACE FUNCTION chat.check_ids(ids bigint[], name text)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF cardinality(ids) > chat.setting_integer('ids_max') THEN
		PERFORM chat.fail('invalid_argument', format('there are too many %s', name), format('Give at most %s.', chat.setting_integer('ids_max')));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_ids IS 'Raises MC400 invalid_argument for more ids than the setting ids_max.';

-- People are locked in the order of their ids, and before anything that lies between them.
CREATE OR REPLACE FUNCTION chat.lock_users(user_ids bigint[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM count(*) FROM (SELECT FROM chat.users u WHERE u.id = ANY (lock_users.user_ids) ORDER BY u.id FOR NO KEY UPDATE) locked;
END
$$;
COMMENT ON FUNCTION chat.lock_users IS 'Locks these users'' rows, the lower id first; who changes what lies between two users holds both.';

CREATE OR REPLACE FUNCTION chat.register_user(user_name text, password text, display_name text DEFAULT NULL,
	email text DEFAULT NULL, phone text DEFAULT NULL, actor_address inet DEFAULT NULL)
RETURNS chat.v_profiles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	profile chat.v_profiles;
	new_id bigint;
	budget text := 'sign_ups:' || chat.network(actor_address);
BEGIN
	IF NOT chat.setting_boolean('sign_up') THEN
		PERFORM chat.fail('sign_up_closed');
	END IF;
	PERFORM chat.check_new_user(register_user.user_name, register_user.display_name, register_user.email, register_user.phone);
	PERFORM chat.check_password(register_user.password);
	-- Hashing takes a tenth of a second: not before the name is known to be free, nor with a row locked.
	PERFORM chat.check_limit('sign_ups_per_address', chat.spent(budget), 'too_many_sign_ups');
	IF EXISTS (SELECT FROM chat.users u WHERE u.user_name = register_user.user_name) THEN
		PERFORM chat.fail('user_name_taken');
	END IF;
	register_user.password := chat.hash_password(register_user.password);
	IF register_user.actor_address IS NOT NULL THEN
		PERFORM chat.spend(budget, 1, 'sign_ups_per_address', 'too_many_sign_ups');
	END IF;
	new_id := chat.take_id();
	INSERT INTO chat.users (id, user_name, display_name, password_hash, email, phone, version)
	VALUES (new_id, register_user.user_name, coalesce(register_user.display_name, register_user.user_name),
		register_user.password, register_user.email, register_user.phone, new_id)
	ON CONFLICT ON CONSTRAINT users_user_name DO NOTHING;
	IF NOT FOUND THEN
		PERFORM chat.fail('user_name_taken');
	END IF;
	SELECT p.* INTO profile FROM chat.v_profiles p WHERE p.id = new_id;
	RETURN profile;
END
$$;
COMMENT ON FUNCTION chat.register_user IS 'Makes a user who logs in with a password. user_name: 3 to 32 of a-z 0-9 . _ -, unique; password: 8 to 128 characters; display_name: 1 to 64 characters, by default the user name; email and phone are private. Answers the profile; log_in comes next. One address (of IPv6 the /64) registers at most the setting sign_ups_per_address users a day. MC400 invalid_user_name, invalid_password, invalid_argument; MC403 sign_up_closed by the setting sign_up; MC409 user_name_taken; MC429 too_many_sign_ups.';
GRANT EXECUTE ON FUNCTION chat.register_user TO chat_anonymous, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.create_user(user_name text, display_name text DEFAULT NULL,
	external_issuer text DEFAULT NULL, external_subject text DEFAULT NULL, attributes jsonb DEFAULT NULL)
RETURNS chat.v_profiles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	profile chat.v_profiles;
	new_id bigint := chat.take_id();
BEGIN
	PERFORM chat.check_new_user(create_user.user_name, create_user.display_name, NULL, NULL);
	PERFORM chat.check_attributes(create_user.attributes);
	IF (create_user.external_issuer IS NULL) <> (create_user.external_subject IS NULL) THEN
		PERFORM chat.fail('invalid_argument', 'external_issuer and external_subject belong together', 'Give both or neither.');
	END IF;
	INSERT INTO chat.users (id, user_name, display_name, external_issuer, external_subject, attributes, version)
	VALUES (new_id, create_user.user_name, coalesce(create_user.display_name, create_user.user_name),
		create_user.external_issuer, create_user.external_subject, coalesce(create_user.attributes, '{}'), new_id)
	ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		PERFORM chat.fail(CASE WHEN EXISTS (SELECT FROM chat.users u WHERE u.user_name = create_user.user_name)
			THEN 'user_name_taken' ELSE 'external_user_exists' END);
	END IF;
	SELECT p.* INTO profile FROM chat.v_profiles p WHERE p.id = new_id;
	RETURN profile;
END
$$;
COMMENT ON FUNCTION chat.create_user IS 'Makes a user without a password, for an app that logs users in itself (create_session) or knows them by an identity provider. MC400 invalid_user_name, invalid_argument; MC409 user_name_taken, external_user_exists; MC413 too_large.';
GRANT EXECUTE ON FUNCTION chat.create_user TO chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.get_profile(actor_id bigint)
RETURNS chat.v_profiles LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	profile chat.v_profiles;
BEGIN
	PERFORM chat.check_actor(get_profile.actor_id);
	SELECT p.* INTO profile FROM chat.v_profiles p WHERE p.id = get_profile.actor_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	RETURN profile;
END
$$;
COMMENT ON FUNCTION chat.get_profile IS 'One''s own profile, private parts included. MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.get_profile TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.edit_profile(actor_id bigint, version bigint DEFAULT NULL, display_name text DEFAULT NULL,
	avatar_file_id bigint DEFAULT NULL, email text DEFAULT NULL, phone text DEFAULT NULL, attributes jsonb DEFAULT NULL)
RETURNS chat.v_profiles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	present chat.users;
	wanted chat.users;
	profile chat.v_profiles;
BEGIN
	PERFORM chat.check_actor(edit_profile.actor_id);
	PERFORM chat.check_attributes(edit_profile.attributes);
	SELECT u.* INTO present FROM chat.users u WHERE u.id = edit_profile.actor_id AND NOT u.deleted FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	wanted := present;
	wanted.display_name := coalesce(nullif(edit_profile.display_name, ''), CASE edit_profile.display_name WHEN '' THEN present.user_name END, present.display_name);
	wanted.avatar_file_id := nullif(coalesce(edit_profile.avatar_file_id, present.avatar_file_id), 0);
	wanted.email := nullif(coalesce(edit_profile.email, present.email), '');
	wanted.phone := nullif(coalesce(edit_profile.phone, present.phone), '');
	wanted.attributes := coalesce(edit_profile.attributes, present.attributes);
	IF wanted IS DISTINCT FROM present THEN
		IF present.version <> edit_profile.version THEN
			PERFORM chat.fail('stale_version');
		END IF;
		PERFORM chat.check_new_user(wanted.user_name, wanted.display_name, wanted.email, wanted.phone);
		IF wanted.avatar_file_id <> coalesce(present.avatar_file_id, 0) THEN
			PERFORM chat.check_avatar(edit_profile.actor_id, wanted.avatar_file_id);
		END IF;
		UPDATE chat.users u
		   SET display_name = wanted.display_name, avatar_file_id = wanted.avatar_file_id, email = wanted.email, phone = wanted.phone,
			   attributes = wanted.attributes, version = chat.take_id(u.version)
		 WHERE u.id = edit_profile.actor_id;
	END IF;
	SELECT p.* INTO profile FROM chat.v_profiles p WHERE p.id = edit_profile.actor_id;
	RETURN profile;
END
$$;
COMMENT ON FUNCTION chat.edit_profile IS 'Changes what is given of one''s own profile and leaves the rest: display_name 1 to 64 characters ('''' = the user name again), avatar_file_id an image of one''s own, uploaded, which everybody can read from then on (0 = none), email and phone ('''' = none), attributes a JSON object that takes the old one''s place. version: the profile''s that was edited, NULL = whatever it is. Answers the profile. MC400 invalid_argument; MC403 not_owner; MC404 no_such_user, no_such_file; MC409 file_is_link, stale_version when it was changed meanwhile to something else; MC413 too_large.';
GRANT EXECUTE ON FUNCTION chat.edit_profile TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.get_user(actor_id bigint, user_id bigint)
RETURNS chat.v_users LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found_user chat.v_users;
BEGIN
	PERFORM chat.check_actor(get_user.actor_id);
	SELECT u.* INTO found_user FROM chat.seen_users(get_user.actor_id, ARRAY[get_user.user_id]) u;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	RETURN found_user;
END
$$;
COMMENT ON FUNCTION chat.get_user IS 'A user''s public profile; deleted: only his place is left. status and status_text as get_presence shows them. MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.get_user TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.get_users(actor_id bigint, user_ids bigint[])
RETURNS SETOF chat.v_users LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(get_users.actor_id);
	PERFORM chat.check_ids(get_users.user_ids, 'user_ids');
	RETURN QUERY SELECT u.* FROM chat.seen_users(get_users.actor_id, get_users.user_ids) u ORDER BY u.id;
END
$$;
COMMENT ON FUNCTION chat.get_users IS 'The public profiles of these users, as get_user shows them, ascending by id; ids that are nobody''s are left out. At most the setting ids_max. MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.get_users TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.search_users(actor_id bigint, pattern text, page_size integer DEFAULT NULL,
	offset_token text DEFAULT NULL)
RETURNS TABLE (id bigint, user_name text, display_name text, avatar_file_id bigint, status text, status_text text,
	next_token text, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	words text := lower(btrim(search_users.pattern));
	literal text := replace(replace(replace(words, '\', '\\'), '%', '\%'), '_', '\_');
	-- A trigram index finds substrings of 3 characters and more; 2 are looked for at the beginning only.
	substrings boolean := char_length(words) > 2;
	size integer := chat.page_size(search_users.page_size);
	page bigint[];
BEGIN
	PERFORM chat.check_actor(search_users.actor_id);
	IF words IS NULL OR char_length(words) < 2 THEN
		PERFORM chat.fail('pattern_too_short');
	ELSIF search_users.offset_token !~ '^[01]:[a-z0-9._-]{3,32}$' THEN
		PERFORM chat.fail('invalid_argument', 'offset_token is not acceptable', 'Pass the next_token of the last row seen.');
	END IF;
	PERFORM chat.check_length(words, 'pattern', 2, 64);
	page := ARRAY(
		SELECT f.id
		  FROM chat.users f CROSS JOIN LATERAL chat.search_token(f.user_name, f.display_name, literal) AS token
		 WHERE (f.user_name LIKE literal || '%' OR lower(f.display_name) LIKE literal || '%'
				OR substrings AND (f.user_name LIKE '%' || literal || '%' OR lower(f.display_name) LIKE '%' || literal || '%'))
		   AND NOT f.deleted AND (f.suspended_until <= now()) IS NOT FALSE
		   AND NOT chat.are_blocked(search_users.actor_id, f.id)
		   AND (search_users.offset_token IS NULL OR token COLLATE "C" > search_users.offset_token)
		 ORDER BY token COLLATE "C" LIMIT size + 1);
	RETURN QUERY
	SELECT u.id, u.user_name, u.display_name, u.avatar_file_id, u.status, u.status_text, token, cardinality(page) > size
	  FROM chat.seen_users(search_users.actor_id, page[1:size]) u
	 CROSS JOIN LATERAL chat.search_token(u.user_name, u.display_name, literal) AS token
	 ORDER BY token COLLATE "C";
END
$$;
COMMENT ON FUNCTION chat.search_users IS 'Users whose user name or display name contains pattern, whatever the case: names beginning with it first, then by user name. Nobody who is deleted or suspended, and nobody with a block between him and oneself. 2 characters at least; with just 2, only beginnings. offset_token: the next_token of the last row seen. MC400 pattern_too_short, invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.search_users TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.search_token(user_name text, display_name text, literal text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT (search_token.user_name NOT LIKE search_token.literal || '%'
		AND lower(search_token.display_name) NOT LIKE search_token.literal || '%')::integer || ':' || search_token.user_name
$$;
COMMENT ON FUNCTION chat.search_token IS 'Where search_users has found somebody: beginnings before the rest, then by user name.';

CREATE OR REPLACE FUNCTION chat.suspend_user(user_id bigint, until timestamptz DEFAULT NULL)
RETURNS chat.v_profiles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	profile chat.v_profiles;
BEGIN
	suspend_user.until := coalesce(suspend_user.until, 'infinity');
	UPDATE chat.users u
	   SET suspended_until = CASE WHEN suspend_user.until > now() THEN suspend_user.until END, version = chat.take_id(u.version)
	 WHERE u.id = suspend_user.user_id AND NOT u.deleted;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	IF suspend_user.until > now() THEN
		DELETE FROM chat.sessions s WHERE s.user_id = suspend_user.user_id;
	END IF;
	SELECT p.* INTO profile FROM chat.v_profiles p WHERE p.id = suspend_user.user_id;
	RETURN profile;
END
$$;
COMMENT ON FUNCTION chat.suspend_user IS 'Ends all sessions of the user and lets him open none before this time: NULL = for good; a past time lifts the suspension. Answers his profile. MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.suspend_user TO chat_app; -- since 0.2.0

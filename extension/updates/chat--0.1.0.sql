\echo Use "CREATE EXTENSION chat CASCADE" to load this file. \quit
-- The schema and the roles. All roles are NOLOGIN; they survive DROP EXTENSION, as roles belong to the cluster.

DO $encoding$
BEGIN
	IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
		RAISE EXCEPTION 'chat needs a database with encoding UTF8, not %', pg_catalog.getdatabaseencoding()
			USING ERRCODE = 'feature_not_supported', HINT = 'Every character that clients may send must have a place in it: CREATE DATABASE … ENCODING ''UTF8'' TEMPLATE template0.';
	END IF;
END
$encoding$;

CREATE SCHEMA chat;
COMMENT ON SCHEMA chat IS 'Chat back end: every noun is a table that only the owner touches, every verb a function. Start at chat.list_methods().';

DO $roles$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['chat_anonymous', 'chat_user', 'chat_gateway', 'chat_app', 'chat_push', 'chat_monitor'] LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = name) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', name);
		END IF;
	END LOOP;
END
$roles$;

-- chat_anonymous and chat_user mark the wire surface; only chat_gateway has them. Whoever has chat_user can act
-- as anybody.
GRANT chat_anonymous, chat_user TO chat_gateway;
GRANT USAGE ON SCHEMA chat TO chat_anonymous, chat_user, chat_gateway, chat_app, chat_push, chat_monitor;
-- Ids below this are safe to use: read and raised by extension/clock.c, 2 seconds of ids at a time.
CREATE SEQUENCE chat.id_ceiling MINVALUE 1 START 1 CACHE 1;
COMMENT ON SEQUENCE chat.id_ceiling IS 'Every id made so far has a tick (milliseconds since 2025 * 4096 + sequence) below this, also after a crash.';
SELECT pg_catalog.pg_extension_config_dump('chat.id_ceiling', '');
CREATE TABLE chat.settings (
	name text PRIMARY KEY,
	value text NOT NULL,
	version bigint NOT NULL
);
COMMENT ON TABLE chat.settings IS 'What an operator has changed of chat.setting_defaults(); written by set_setting().';
COMMENT ON COLUMN chat.settings.version IS 'Id of the last change.';
SELECT pg_catalog.pg_extension_config_dump('chat.settings', '');
-- Not dumped: a restored database makes channels of its own.
CREATE TABLE chat.channel_key (
	singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
	key bytea NOT NULL CHECK (octet_length(key) = 16)
);
COMMENT ON TABLE chat.channel_key IS 'The secret behind the channel names; one row. Never dumped.';
INSERT INTO chat.channel_key (key)
VALUES (substring(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')) FOR 16));
CREATE TABLE chat.users (
	id bigint PRIMARY KEY,
	user_name text NOT NULL CONSTRAINT users_user_name UNIQUE
		CHECK (user_name ~ '^[a-z0-9._-]{3,32}$'),
	display_name text NOT NULL CHECK (char_length(display_name) BETWEEN 1 AND 64),
	password_hash text,
	email text CHECK (char_length(email) <= 254),
	phone text CHECK (char_length(phone) <= 32),
	external_issuer text,
	external_subject text,
	attributes jsonb NOT NULL DEFAULT '{}',
	suspended_until timestamptz,
	version bigint NOT NULL,
	CONSTRAINT users_external UNIQUE (external_issuer, external_subject),
	CHECK ((external_issuer IS NULL) = (external_subject IS NULL))
);
COMMENT ON TABLE chat.users IS 'Who can chat. The id tells when he registered.';
COMMENT ON COLUMN chat.users.password_hash IS 'bcrypt of base64(sha256(password)); NULL for users whom the app or an identity provider logs in.';
COMMENT ON COLUMN chat.users.external_issuer IS 'With external_subject: his identity at an OIDC provider.';
COMMENT ON COLUMN chat.users.suspended_until IS 'He cannot log in before; infinity = for good.';
COMMENT ON COLUMN chat.users.version IS 'Id of the last change of the profile.';
SELECT pg_catalog.pg_extension_config_dump('chat.users', '');

-- Substring search; the operator class lives where pg_trgm was installed.
DO $trigram$
DECLARE
	trgm name := (SELECT n.nspname FROM pg_catalog.pg_extension e
		JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
BEGIN
	EXECUTE pg_catalog.format('CREATE INDEX users_user_name_trigram ON chat.users USING gin (user_name %I.gin_trgm_ops)', trgm);
	EXECUTE pg_catalog.format('CREATE INDEX users_display_name_trigram ON chat.users USING gin (lower(display_name) %I.gin_trgm_ops)', trgm);
END
$trigram$;
CREATE TABLE chat.sessions (
	id bigint PRIMARY KEY,
	user_id bigint NOT NULL REFERENCES chat.users (id) ON DELETE CASCADE,
	token_hash bytea NOT NULL CONSTRAINT sessions_token UNIQUE,
	device_name text CHECK (char_length(device_name) <= 128),
	address inet,
	expires_at timestamptz NOT NULL,
	last_seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sessions_user ON chat.sessions (user_id);
COMMENT ON TABLE chat.sessions IS 'One login on one device. Logging out and revoking delete the row.';
COMMENT ON COLUMN chat.sessions.token_hash IS 'sha256 of the token; the token itself stands nowhere.';
COMMENT ON COLUMN chat.sessions.last_seen_at IS 'When a socket or backend last opened it.';
SELECT pg_catalog.pg_extension_config_dump('chat.sessions', '');

CREATE TABLE chat.login_failures (
	subject text PRIMARY KEY,
	failures integer NOT NULL,
	window_ends_at timestamptz NOT NULL
);
COMMENT ON TABLE chat.login_failures IS 'Failed attempts to log in, per user name ("user:…") and per address ("address:…"), within the setting login_failure_window.';
SELECT pg_catalog.pg_extension_config_dump('chat.login_failures', '');
CREATE TABLE chat.chats (
	id bigint PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('direct', 'group', 'room')),
	creator_id bigint NOT NULL,
	last_event_id bigint NOT NULL,
	prev_event_id bigint,
	message_count integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE chat.chats IS 'A conversation. Its row is the one lock of everything that happens in it (chat.next_event).';
COMMENT ON COLUMN chat.chats.last_event_id IS 'Id of the last durable change in the chat; its own id before the first.';
COMMENT ON COLUMN chat.chats.prev_event_id IS 'Id of the change before that.';
COMMENT ON COLUMN chat.chats.message_count IS 'User messages ever sent, deleted ones too: the number of the last one.';
SELECT pg_catalog.pg_extension_config_dump('chat.chats', '');

CREATE TABLE chat.direct_chats (
	low_user_id bigint NOT NULL,
	high_user_id bigint NOT NULL CHECK (high_user_id >= low_user_id),
	chat_id bigint NOT NULL CONSTRAINT direct_chats_chat UNIQUE,
	PRIMARY KEY (low_user_id, high_user_id)
);
COMMENT ON TABLE chat.direct_chats IS 'The one direct chat of each pair of users; low = high is somebody''s notes to himself.';
SELECT pg_catalog.pg_extension_config_dump('chat.direct_chats', '');

CREATE TABLE chat.members (
	chat_id bigint NOT NULL,
	user_id bigint NOT NULL,
	role text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member')),
	read_id bigint NOT NULL DEFAULT 0,
	read_count integer NOT NULL DEFAULT 0,
	read_version bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (chat_id, user_id)
);
CREATE INDEX members_user ON chat.members (user_id, chat_id);
COMMENT ON TABLE chat.members IS 'Who is in a chat, and how far he has read.';
COMMENT ON COLUMN chat.members.read_id IS 'Read cursor: the last message read; never moves back.';
COMMENT ON COLUMN chat.members.read_count IS 'Number of that message: unread = chats.message_count - read_count.';
COMMENT ON COLUMN chat.members.read_version IS 'Id of the last mark_read; sending moves the cursor without it, as the message says so itself.';
SELECT pg_catalog.pg_extension_config_dump('chat.members', '');
CREATE TABLE chat.messages (
	chat_id bigint NOT NULL,
	id bigint NOT NULL,
	prev_id bigint NOT NULL,
	number integer NOT NULL,
	kind text NOT NULL DEFAULT 'user' CHECK (kind IN ('user', 'system')),
	sender_id bigint NOT NULL,
	body text NOT NULL,
	reply_to_id bigint,
	attributes jsonb,
	client_key text,
	PRIMARY KEY (chat_id, id)
);
CREATE UNIQUE INDEX messages_client_key ON chat.messages (chat_id, sender_id, client_key) WHERE client_key IS NOT NULL;
COMMENT ON TABLE chat.messages IS 'The timeline of each chat, and its own event log: the id tells when, the order of ids is the order of commits.';
COMMENT ON COLUMN chat.messages.prev_id IS 'Id of the chat''s event before this one.';
COMMENT ON COLUMN chat.messages.number IS 'Dense count of user messages in the chat, from 1.';
COMMENT ON COLUMN chat.messages.client_key IS 'The sender''s own key for it: sending twice makes one message.';
SELECT pg_catalog.pg_extension_config_dump('chat.messages', '');

-- list_messages takes chat_id and answers chat_id, which PL/pgSQL allows only by a type of its own. A release that adds
-- to it makes type and functions anew: YSQL cannot alter a composite type.
CREATE TYPE chat.message_page AS (
	id bigint,
	chat_id bigint,
	number integer,
	kind text,
	sender_id bigint,
	body text,
	sent_at timestamptz,
	reply jsonb,
	attributes jsonb,
	has_more boolean
);
COMMENT ON TYPE chat.message_page IS 'A row of list_messages.';
CREATE TABLE chat.groupable (
	method text PRIMARY KEY,
	built_in boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE chat.groupable IS 'Methods whose calls may share a transaction with other users'' calls and be run again when a neighbour fails: short, locking at most one chat and rows beneath it. Operators may add functions of their own.';
COMMENT ON COLUMN chat.groupable.built_in IS 'Comes with the extension, hence is not dumped.';
SELECT pg_catalog.pg_extension_config_dump('chat.groupable', 'WHERE NOT built_in');
INSERT INTO chat.groupable (method, built_in)
SELECT pg_catalog.unnest(ARRAY['get_profile', 'get_user', 'get_chat', 'send_message', 'list_messages', 'mark_read']), true;
-- What only PostgreSQL has: room on the page, so that the updates of hot rows stay on it (HOT).
DO $storage$
BEGIN
	IF pg_catalog.version() NOT LIKE '%-YB-%' THEN
		ALTER TABLE chat.chats SET (fillfactor = 70);
		ALTER TABLE chat.members SET (fillfactor = 80);
	END IF;
END
$storage$;
-- What every other file calls: errors, argument checks, formats, and pgcrypto wherever it was installed.
--
-- The rule for grants in all of api/: `GRANT …; -- since VERSION` stands behind the function it is for, and an
-- upgrade replays only those that are newer than the version it starts from, so that it never gives back what an
-- operator has revoked.

CREATE FUNCTION chat.fail(reason text, message text DEFAULT NULL, hint text DEFAULT NULL)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'chat_fail_sql';
COMMENT ON FUNCTION chat.fail IS 'Raises the error of chat.reasons() whose word is reason; message and hint replace its own where they say more. For functions in schema chat.';

CREATE FUNCTION chat.reasons(OUT reason text, OUT sqlstate text, OUT message text, OUT hint text)
RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'chat_reasons';
COMMENT ON FUNCTION chat.reasons IS 'Every error this extension raises on purpose. DETAIL carries the reason, SQLSTATE is MC and an HTTP status.';
GRANT EXECUTE ON FUNCTION chat.reasons TO chat_app, chat_gateway; -- since 0.1.0

CREATE FUNCTION chat.check_actor(actor_id bigint)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'chat_check_actor';
COMMENT ON FUNCTION chat.check_actor IS 'Raises MC401 not_authenticated when actor_id is NULL.';

CREATE FUNCTION chat.check_length(value text, name text, low integer, high integer)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF char_length(value) > high OR char_length(value) < low THEN
		PERFORM chat.fail('invalid_argument', format('%s is not acceptable', name),
			format('Use %s to %s characters.', low, high));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_length IS 'Raises MC400 invalid_argument when value has not low to high characters; NULL passes.';

CREATE FUNCTION chat.check_attributes(attributes jsonb)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF jsonb_typeof(attributes) <> 'object' THEN
		PERFORM chat.fail('invalid_argument', 'attributes is not acceptable', 'Give a JSON object.');
	ELSIF octet_length(attributes::text) > chat.setting_integer('attributes_max_bytes') THEN
		PERFORM chat.fail('too_large', 'attributes is too large',
			format('Use at most %s bytes.', chat.setting_integer('attributes_max_bytes')));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_attributes IS 'Raises MC400 unless attributes is a JSON object or NULL, MC413 too_large when its text is over the setting attributes_max_bytes.';

CREATE FUNCTION chat.page_size(wanted integer)
RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF wanted < 1 THEN
		PERFORM chat.fail('invalid_argument', 'page_size is not acceptable', 'Use 1 or more.');
	END IF;
	RETURN least(coalesce(wanted, chat.setting_integer('page_size')), chat.setting_integer('page_size_max'));
END
$$;
COMMENT ON FUNCTION chat.page_size IS 'Rows of a page: wanted, or the setting page_size, never more than page_size_max. MC400 under 1.';

CREATE FUNCTION chat.rfc3339(at timestamptz)
RETURNS text LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'chat_rfc3339';
COMMENT ON FUNCTION chat.rfc3339 IS 'The time as it stands in JSON: RFC 3339, UTC.';

CREATE FUNCTION chat.invalidate_cache()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'chat_invalidate_cache';
COMMENT ON FUNCTION chat.invalidate_cache IS 'Trigger: every backend reads this table again before its next use.';

DO $crypto$
DECLARE
	crypto name := (SELECT n.nspname FROM pg_catalog.pg_extension e
		JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pgcrypto');
BEGIN
	EXECUTE format($f$
		CREATE OR REPLACE FUNCTION chat.hash_password(password text)
		RETURNS text LANGUAGE sql VOLATILE AS $$
			SELECT %1$I.crypt(encode(sha256(convert_to(hash_password.password, 'UTF8')), 'base64'),
				%1$I.gen_salt('bf', chat.setting_integer('password_cost')::integer))
		$$;
		CREATE OR REPLACE FUNCTION chat.is_password(password text, password_hash text)
		RETURNS boolean LANGUAGE sql STABLE AS $$
			SELECT %1$I.crypt(encode(sha256(convert_to(is_password.password, 'UTF8')), 'base64'),
				is_password.password_hash) = is_password.password_hash
		$$;
		CREATE OR REPLACE FUNCTION chat.new_token()
		RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT encode(%1$I.gen_random_bytes(32), 'hex') $$;
	$f$, crypto);
END
$crypto$;
COMMENT ON FUNCTION chat.hash_password IS 'bcrypt of base64(sha256(password)), as bcrypt reads 72 bytes at most and stops at NUL; cost by the setting password_cost.';
COMMENT ON FUNCTION chat.is_password IS 'Whether password is the one behind password_hash; takes as long as the hash''s cost says.';
COMMENT ON FUNCTION chat.new_token IS '256 random bits in hex.';
CREATE FUNCTION chat.next_id(after_id bigint DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'chat_next_id';
COMMENT ON FUNCTION chat.next_id IS 'A new id: 41 bits milliseconds since 2025-01-01T00:00Z, 10 bits chat.node_id, 12 bits sequence. Greater than every id this server has made and than after_id, whatever the wall clock does, also after a restart, crash or failover. MC400 id_in_future when after_id is more than 60 s ahead of the clock, MC400 invalid_id when it is negative; 25006 on a standby and in read-only transactions.';
GRANT EXECUTE ON FUNCTION chat.next_id TO chat_app; -- since 0.1.0

CREATE FUNCTION chat.take_id(after_id bigint DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'chat_take_id';
COMMENT ON FUNCTION chat.take_id IS 'next_id() for a row of ours: the transaction remembers that it took the id, and only such rows are published.';

CREATE FUNCTION chat.id_time(id bigint)
RETURNS timestamptz LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'chat_id_time';
COMMENT ON FUNCTION chat.id_time IS 'When the id was made, in milliseconds.';
GRANT EXECUTE ON FUNCTION chat.id_time TO chat_app; -- since 0.1.0

CREATE FUNCTION chat.id_at(at timestamptz)
RETURNS bigint LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'chat_id_at';
COMMENT ON FUNCTION chat.id_at IS 'The lowest id of that millisecond; 0 before 2025, the greatest bigint after 2094.';
GRANT EXECUTE ON FUNCTION chat.id_at TO chat_app; -- since 0.1.0

CREATE FUNCTION chat.id_parts(id bigint, OUT at timestamptz, OUT node integer, OUT sequence integer)
RETURNS record LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
	SELECT chat.id_time(id_parts.id), (id_parts.id >> 12 & 1023)::integer, (id_parts.id & 4095)::integer
$$;
COMMENT ON FUNCTION chat.id_parts IS 'What an id is made of.';
GRANT EXECUTE ON FUNCTION chat.id_parts TO chat_app; -- since 0.1.0
-- Settings: rules and limits of the domain. Their list is setting_defaults(); a changed one is a row of chat.settings.

CREATE FUNCTION chat.setting_defaults()
RETURNS TABLE (name text, type text, default_value text, low text, high text, description text)
LANGUAGE sql IMMUTABLE AS $$
	VALUES
	('sign_up', 'boolean', 'true', NULL, NULL, 'whether register_user is open to everybody'),
	('password_cost', 'integer', '10', '4', '16', 'bcrypt cost of new passwords; each step doubles the time'),
	('session_lifetime', 'interval', '30 days', '1 minute', '10 years', 'how long a session lasts after log_in or refresh_session'),
	('login_failures_per_user', 'integer', '10', '1', '1000000', 'failed attempts for one user name within login_failure_window'),
	('login_failures_per_address', 'integer', '100', '1', '1000000', 'failed attempts from one address within login_failure_window'),
	('login_failure_window', 'interval', '15 minutes', '1 second', '1 day', 'after this long, failed attempts are forgotten'),
	('body_max_length', 'integer', '4096', '1', '65536', 'characters of a message'),
	('attributes_max_bytes', 'integer', '16384', '2', '262144', 'bytes of an attributes object, as JSON text'),
	('page_size', 'integer', '32', '1', '1000', 'rows of a page when the caller names no number'),
	('page_size_max', 'integer', '128', '1', '1000', 'rows of a page at most'),
	('receipts_max_members', 'integer', '100', '2', '10000', 'in larger chats nobody hears how far others have read')
$$;
COMMENT ON FUNCTION chat.setting_defaults IS 'Every setting: its type (integer, boolean, interval), default, lowest and highest value, and meaning.';

CREATE FUNCTION chat.setting_text(name text)
RETURNS text LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_setting_text';
COMMENT ON FUNCTION chat.setting_text IS 'A setting''s present value as text; read from this backend''s memory.';

CREATE FUNCTION chat.setting_integer(name text)
RETURNS bigint LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_setting_integer';
COMMENT ON FUNCTION chat.setting_integer IS 'An integer setting''s present value; read from this backend''s memory.';

CREATE FUNCTION chat.setting_boolean(name text)
RETURNS boolean LANGUAGE sql STABLE STRICT AS $$ SELECT chat.setting_text(setting_boolean.name)::boolean $$;
COMMENT ON FUNCTION chat.setting_boolean IS 'A boolean setting''s present value.';

CREATE FUNCTION chat.setting_interval(name text)
RETURNS interval LANGUAGE sql STABLE STRICT AS $$ SELECT chat.setting_text(setting_interval.name)::interval $$;
COMMENT ON FUNCTION chat.setting_interval IS 'An interval setting''s present value.';

CREATE FUNCTION chat.is_valid_setting(type text, value text, low text, high text)
RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT CASE is_valid_setting.type
		WHEN 'boolean' THEN is_valid_setting.value IN ('true', 'false')
		WHEN 'integer' THEN CASE WHEN is_valid_setting.value ~ '^-?[0-9]{1,18}$'
			THEN is_valid_setting.value::bigint BETWEEN is_valid_setting.low::bigint AND is_valid_setting.high::bigint ELSE false END
		WHEN 'interval' THEN CASE WHEN is_valid_setting.value ~ '^[0-9]{1,9} (millisecond|second|minute|hour|day|month|year)s?$'
			THEN is_valid_setting.value::interval BETWEEN is_valid_setting.low::interval AND is_valid_setting.high::interval ELSE false END
		ELSE true
	END
$$;
COMMENT ON FUNCTION chat.is_valid_setting IS 'Whether value is of the type and in the range; intervals are written as a number and a unit: 15 minutes.';

CREATE FUNCTION chat.list_settings()
RETURNS TABLE (name text, value text, type text, default_value text, low text, high text, description text, version bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.name, coalesce(s.value, d.default_value), d.type, d.default_value, d.low, d.high, d.description, coalesce(s.version, 0)
	  FROM chat.setting_defaults() d LEFT JOIN chat.settings s ON s.name = d.name
	 ORDER BY d.name
$$;
COMMENT ON FUNCTION chat.list_settings IS 'Every setting with its present value; version is 0 until it was changed.';
GRANT EXECUTE ON FUNCTION chat.list_settings TO chat_app, chat_gateway; -- since 0.1.0

CREATE FUNCTION chat.set_setting(name text, value text, version bigint DEFAULT NULL)
RETURNS chat.settings LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	known record;
	present chat.settings;
BEGIN
	SELECT d.* INTO known FROM chat.setting_defaults() d WHERE d.name = set_setting.name;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_setting');
	ELSIF chat.is_valid_setting(known.type, set_setting.value, known.low, known.high) IS NOT TRUE THEN
		PERFORM chat.fail('invalid_setting', NULL, CASE known.type
			WHEN 'boolean' THEN format('%s is true or false.', known.name)
			ELSE format('%s is of type %s, from %s to %s.', known.name, known.type, known.low, known.high) END);
	END IF;

	INSERT INTO chat.settings AS s (name, value, version)
	VALUES (set_setting.name, known.default_value, 0)
	ON CONFLICT ON CONSTRAINT settings_pkey DO NOTHING;
	SELECT s.* INTO present FROM chat.settings s WHERE s.name = set_setting.name FOR UPDATE;
	IF present.value = set_setting.value THEN
		RETURN present;
	ELSIF present.version <> set_setting.version THEN
		PERFORM chat.fail('stale_version');
	END IF;
	UPDATE chat.settings s SET value = set_setting.value, version = chat.take_id(s.version)
	 WHERE s.name = set_setting.name RETURNING s.* INTO present;
	NOTIFY chat_settings;
	RETURN present;
END
$$;
COMMENT ON FUNCTION chat.set_setting IS 'Changes a setting; every backend and gateway follows without a restart. version: the one that list_settings showed, NULL = whatever it is. MC404 no_such_setting; MC400 invalid_setting, with the range in HINT; MC409 stale_version when somebody changed it meanwhile to another value.';
GRANT EXECUTE ON FUNCTION chat.set_setting TO chat_app; -- since 0.1.0

CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON chat.settings
FOR EACH STATEMENT EXECUTE FUNCTION chat.invalidate_cache();
CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON chat.channel_key
FOR EACH STATEMENT EXECUTE FUNCTION chat.invalidate_cache();

CREATE FUNCTION chat.user_channel(user_id bigint)
RETURNS text LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'chat_user_channel';
COMMENT ON FUNCTION chat.user_channel IS 'The NOTIFY channel that carries what this user may hear, as {"to":["user id",…],"event":{…}}. Shared with other users when chat.user_channels = bucket: an event is for those in "to". Whoever knows the name can listen.';
GRANT EXECUTE ON FUNCTION chat.user_channel TO chat_app, chat_gateway; -- since 0.1.0
CREATE VIEW chat.v_users AS
SELECT u.id, u.user_name, u.display_name FROM chat.users u;
COMMENT ON VIEW chat.v_users IS 'Public profiles.';
GRANT SELECT ON chat.v_users TO chat_app; -- since 0.1.0
GRANT REFERENCES (id) ON chat.users TO chat_app; -- since 0.1.0

CREATE VIEW chat.v_profiles AS
SELECT u.id, u.user_name, u.display_name, u.email, u.phone, u.attributes, chat.id_time(u.id) AS created_at, u.version
  FROM chat.users u;
COMMENT ON VIEW chat.v_profiles IS 'Whole profiles, as their owners see them.';

-- All a new user can get wrong, in one place for register_user and create_user.
CREATE FUNCTION chat.check_new_user(user_name text, display_name text, email text, phone text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF user_name IS NULL OR user_name !~ '^[a-z0-9._-]{3,32}$' THEN
		PERFORM chat.fail('invalid_user_name');
	END IF;
	PERFORM chat.check_length(display_name, 'display_name', 1, 64);
	PERFORM chat.check_length(email, 'email', 3, 254);
	PERFORM chat.check_length(phone, 'phone', 3, 32);
END
$$;
COMMENT ON FUNCTION chat.check_new_user IS 'Raises MC400 for what register_user and create_user do not accept.';

CREATE FUNCTION chat.register_user(user_name text, password text, display_name text DEFAULT NULL,
	email text DEFAULT NULL, phone text DEFAULT NULL)
RETURNS chat.v_profiles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	profile chat.v_profiles;
	new_id bigint;
BEGIN
	IF NOT chat.setting_boolean('sign_up') THEN
		PERFORM chat.fail('sign_up_closed');
	END IF;
	PERFORM chat.check_new_user(register_user.user_name, register_user.display_name, register_user.email, register_user.phone);
	IF register_user.password IS NULL OR char_length(register_user.password) NOT BETWEEN 8 AND 128 THEN
		PERFORM chat.fail('invalid_password');
	END IF;
	-- Hashing takes a tenth of a second: not before the name is known to be free, nor with its row locked.
	IF EXISTS (SELECT FROM chat.users u WHERE u.user_name = register_user.user_name) THEN
		PERFORM chat.fail('user_name_taken');
	END IF;
	register_user.password := chat.hash_password(register_user.password);
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
COMMENT ON FUNCTION chat.register_user IS 'Makes a user who logs in with a password. user_name: 3 to 32 of a-z 0-9 . _ -, unique; password: 8 to 128 characters; display_name: 1 to 64 characters, by default the user name; email and phone are private. Answers the profile; log_in comes next. MC400 invalid_user_name, invalid_password, invalid_argument; MC403 sign_up_closed by the setting sign_up; MC409 user_name_taken.';
GRANT EXECUTE ON FUNCTION chat.register_user TO chat_anonymous, chat_app; -- since 0.1.0

CREATE FUNCTION chat.create_user(user_name text, display_name text DEFAULT NULL,
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

CREATE FUNCTION chat.get_profile(actor_id bigint)
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

CREATE FUNCTION chat.get_user(actor_id bigint, user_id bigint)
RETURNS chat.v_users LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found_user chat.v_users;
BEGIN
	PERFORM chat.check_actor(get_user.actor_id);
	SELECT u.* INTO found_user FROM chat.v_users u WHERE u.id = get_user.user_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	RETURN found_user;
END
$$;
COMMENT ON FUNCTION chat.get_user IS 'A user''s public profile. MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.get_user TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.search_users(actor_id bigint, pattern text, page_size integer DEFAULT NULL,
	offset_token text DEFAULT NULL)
RETURNS TABLE (id bigint, user_name text, display_name text, next_token text, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	words text := lower(btrim(search_users.pattern));
	literal text := replace(replace(replace(words, '\', '\\'), '%', '\%'), '_', '\_');
	-- A trigram index finds substrings of 3 characters and more; 2 are looked for at the beginning only.
	substrings boolean := char_length(words) > 2;
	size integer := chat.page_size(search_users.page_size);
BEGIN
	PERFORM chat.check_actor(search_users.actor_id);
	IF words IS NULL OR char_length(words) < 2 THEN
		PERFORM chat.fail('pattern_too_short');
	ELSIF search_users.offset_token !~ '^[01]:[a-z0-9._-]{3,32}$' THEN
		PERFORM chat.fail('invalid_argument', 'offset_token is not acceptable', 'Pass the next_token of the last row seen.');
	END IF;
	PERFORM chat.check_length(words, 'pattern', 2, 64);
	RETURN QUERY
	WITH found AS (
		SELECT u.id, u.user_name, u.display_name,
			(u.user_name NOT LIKE literal || '%' AND lower(u.display_name) NOT LIKE literal || '%')::integer || ':' || u.user_name AS token
		  FROM chat.users u
		 WHERE u.user_name LIKE literal || '%' OR lower(u.display_name) LIKE literal || '%'
			OR substrings AND (u.user_name LIKE '%' || literal || '%' OR lower(u.display_name) LIKE '%' || literal || '%')
	), page AS (
		SELECT f.*, count(*) OVER () > size AS more
		  FROM (SELECT a.* FROM found a
				 WHERE search_users.offset_token IS NULL OR a.token COLLATE "C" > search_users.offset_token
				 ORDER BY a.token COLLATE "C" LIMIT size + 1) f
		 ORDER BY f.token COLLATE "C" LIMIT size
	)
	SELECT p.id, p.user_name, p.display_name, p.token, p.more FROM page p;
END
$$;
COMMENT ON FUNCTION chat.search_users IS 'Users whose user name or display name contains pattern, whatever the case: names beginning with it first, then by user name. 2 characters at least; with just 2, only beginnings. offset_token: the next_token of the last row seen. MC400 pattern_too_short, invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.search_users TO chat_user, chat_app; -- since 0.1.0
-- A session is one login on one device. Its token is a secret of 256 random bits of which only a hash is kept.

CREATE FUNCTION chat.token_hash(token text)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT sha256(convert_to(token_hash.token, 'UTF8')) $$;
COMMENT ON FUNCTION chat.token_hash IS 'What chat.sessions keeps of a token.';

CREATE FUNCTION chat.check_suspension(user_id bigint)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF EXISTS (SELECT FROM chat.users u WHERE u.id = check_suspension.user_id AND u.suspended_until > now()) THEN
		PERFORM chat.fail('user_suspended');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_suspension IS 'Raises MC403 user_suspended while it lasts.';

CREATE FUNCTION chat.new_session(user_id bigint, device_name text, address inet, lifetime interval,
	OUT token text, OUT session_id bigint, OUT expires_at timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chat.check_length(new_session.device_name, 'device_name', 0, 128);
	token := chat.new_token();
	session_id := chat.take_id();
	expires_at := date_trunc('milliseconds', now() + new_session.lifetime);
	INSERT INTO chat.sessions (id, user_id, token_hash, device_name, address, expires_at)
	VALUES (session_id, new_session.user_id, chat.token_hash(token), new_session.device_name, new_session.address, expires_at);
END
$$;
COMMENT ON FUNCTION chat.new_session IS 'Opens a session for a user who was found to be himself.';

-- The counters behind the throttle of log_in: one row per user name tried and per address.
CREATE FUNCTION chat.login_wait(user_name text, address inet)
RETURNS interval LANGUAGE sql STABLE AS $$
	SELECT max(f.window_ends_at) - now()
	  FROM chat.login_failures f
	 WHERE f.window_ends_at > now()
	   AND (f.subject = 'user:' || login_wait.user_name AND f.failures >= chat.setting_integer('login_failures_per_user')
		 OR f.subject = 'address:' || host(login_wait.address) AND f.failures >= chat.setting_integer('login_failures_per_address'))
$$;
COMMENT ON FUNCTION chat.login_wait IS 'How long attempts for this name or from this address are refused; NULL = they are not.';

CREATE FUNCTION chat.count_login_failure(user_name text, address inet)
RETURNS void LANGUAGE sql VOLATILE AS $$
	DELETE FROM chat.login_failures f
	 WHERE f.subject IN (SELECT o.subject FROM chat.login_failures o WHERE o.window_ends_at < now() LIMIT 10 FOR UPDATE SKIP LOCKED);
	INSERT INTO chat.login_failures AS f (subject, failures, window_ends_at)
	SELECT s.subject, 1, now() + chat.setting_interval('login_failure_window')
	  FROM (VALUES ('address:' || host(count_login_failure.address)), ('user:' || count_login_failure.user_name)) AS s (subject)
	 WHERE s.subject IS NOT NULL
	 ORDER BY s.subject
	ON CONFLICT (subject) DO UPDATE
	   SET failures = CASE WHEN f.window_ends_at > now() THEN f.failures + 1 ELSE 1 END,
		   window_ends_at = CASE WHEN f.window_ends_at > now() THEN f.window_ends_at ELSE excluded.window_ends_at END
$$;
COMMENT ON FUNCTION chat.count_login_failure IS 'Counts one failed attempt for the name and for the address, and forgets a few whose window is over.';

CREATE FUNCTION chat.error_json(reason text, retry_after interval DEFAULT NULL)
RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('code', substr(r.sqlstate, 3)::integer, 'reason', r.reason, 'message', r.message, 'hint', r.hint,
		'retry_after_ms', ceil(extract(epoch FROM error_json.retry_after) * 1000)::bigint)
	  FROM chat.reasons() r WHERE r.reason = error_json.reason
$$;
COMMENT ON FUNCTION chat.error_json IS 'An error as a result, for functions whose changes must outlive their failure; the gateway answers with it.';

CREATE FUNCTION chat.log_in(user_name text, password text, device_name text DEFAULT NULL, actor_address inet DEFAULT NULL,
	OUT token text, OUT session_id bigint, OUT expires_at timestamptz, OUT user_id bigint, OUT profile jsonb, OUT error jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := left(lower(log_in.user_name), 64);
	wait interval := chat.login_wait(name, log_in.actor_address);
	account chat.users;
	-- What a password is compared with when there is none: nobody's, of the same cost.
	nobody constant text := '$2a$' || lpad(chat.setting_text('password_cost'), 2, '0') || '$' || repeat('.', 53);
BEGIN
	PERFORM chat.check_length(log_in.device_name, 'device_name', 0, 128);
	IF wait IS NOT NULL THEN
		error := chat.error_json('too_many_attempts', wait);
		RETURN;
	END IF;
	SELECT u.* INTO account FROM chat.users u WHERE u.user_name = name;
	IF chat.is_password(left(coalesce(log_in.password, ''), 1024), coalesce(account.password_hash, nobody)) IS NOT TRUE THEN
		PERFORM chat.count_login_failure(name, log_in.actor_address);
		error := chat.error_json('bad_credentials');
		RETURN;
	END IF;
	PERFORM chat.check_suspension(account.id);
	DELETE FROM chat.login_failures f WHERE f.subject = 'user:' || name;
	IF substr(account.password_hash, 5, 2)::integer < chat.setting_integer('password_cost') THEN
		UPDATE chat.users u SET password_hash = chat.hash_password(log_in.password) WHERE u.id = account.id;
	END IF;
	SELECT s.token, s.session_id, s.expires_at INTO token, session_id, expires_at
	  FROM chat.new_session(account.id, log_in.device_name, log_in.actor_address, chat.setting_interval('session_lifetime')) s;
	user_id := account.id;
	profile := chat.profile_json(account.id);
END
$$;
COMMENT ON FUNCTION chat.log_in IS 'Opens a session by name and password. The token is a secret and is shown only here. A failed attempt is not raised but answered in error, so that its count stays: MC401 bad_credentials, the same and after the same time for an unknown name and a wrong password; MC429 too_many_attempts with retry_after_ms, by the settings login_failures_per_user, login_failures_per_address and login_failure_window. Raises MC403 user_suspended.';
GRANT EXECUTE ON FUNCTION chat.log_in TO chat_anonymous, chat_app; -- since 0.1.0

CREATE FUNCTION chat.profile_json(user_id bigint)
RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('id', p.id::text, 'user_name', p.user_name, 'display_name', p.display_name, 'email', p.email,
		'phone', p.phone, 'attributes', p.attributes, 'created_at', chat.rfc3339(p.created_at), 'version', p.version::text)
	  FROM chat.v_profiles p WHERE p.id = profile_json.user_id
$$;
COMMENT ON FUNCTION chat.profile_json IS 'get_profile''s row as JSON.';

CREATE FUNCTION chat.create_session(user_id bigint, device_name text DEFAULT NULL, lifetime interval DEFAULT NULL,
	OUT token text, OUT session_id bigint, OUT expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM chat.users u WHERE u.id = create_session.user_id) THEN
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

CREATE FUNCTION chat.open_session(token text, actor_address inet DEFAULT NULL,
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

CREATE FUNCTION chat.refresh_session(actor_id bigint, actor_session_id bigint,
	OUT session_id bigint, OUT expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(refresh_session.actor_id);
	UPDATE chat.sessions s
	   SET expires_at = greatest(s.expires_at, date_trunc('milliseconds', now() + chat.setting_interval('session_lifetime')))
	 WHERE s.id = refresh_session.actor_session_id AND s.user_id = refresh_session.actor_id AND s.expires_at > now()
	RETURNING s.id, s.expires_at INTO session_id, expires_at;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_session');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.refresh_session IS 'Lets the session last for session_lifetime from now; the token stays. MC404 no_such_session.';
GRANT EXECUTE ON FUNCTION chat.refresh_session TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.log_out(actor_id bigint, actor_session_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(log_out.actor_id);
	DELETE FROM chat.sessions s WHERE s.id = log_out.actor_session_id AND s.user_id = log_out.actor_id;
END
$$;
COMMENT ON FUNCTION chat.log_out IS 'Ends the session; its sockets are closed. Again is no error.';
GRANT EXECUTE ON FUNCTION chat.log_out TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.list_sessions(actor_id bigint, actor_session_id bigint DEFAULT NULL)
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

CREATE FUNCTION chat.revoke_session(actor_id bigint, session_id bigint)
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

CREATE FUNCTION chat.publish_session_end()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'chat_publish_session_end';
COMMENT ON FUNCTION chat.publish_session_end IS 'Trigger: tells gateways to close the session''s sockets.';
CREATE TRIGGER publish_session_end AFTER DELETE ON chat.sessions
FOR EACH ROW EXECUTE FUNCTION chat.publish_session_end();
CREATE VIEW chat.v_chats AS
SELECT c.id, c.kind, c.creator_id, chat.id_time(c.id) AS created_at, c.last_event_id, c.message_count
  FROM chat.chats c;
COMMENT ON VIEW chat.v_chats IS 'All chats.';
GRANT SELECT ON chat.v_chats TO chat_app; -- since 0.1.0
GRANT REFERENCES (id) ON chat.chats TO chat_app; -- since 0.1.0

CREATE VIEW chat.v_members AS
SELECT m.chat_id, m.user_id, m.role, m.read_id, c.message_count - m.read_count AS unread
  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id;
COMMENT ON VIEW chat.v_members IS 'Who is in which chat, with his read cursor and unread count.';
GRANT SELECT ON chat.v_members TO chat_app; -- since 0.1.0

CREATE FUNCTION chat.next_event(chat_id bigint, messages integer, OUT id bigint, OUT prev_id bigint, OUT number integer)
RETURNS record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'chat_next_event';
COMMENT ON FUNCTION chat.next_event IS 'Begins a durable change in a chat: locks its row, takes the change''s id above the chat''s last one, and counts messages (0 or 1) user messages. prev_id is the event before, number the count. MC404 no_such_chat; MC503 chat_busy when another transaction holds the chat longer than chat.lock_timeout.';

CREATE FUNCTION chat.check_member(chat_id bigint, user_id bigint)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM chat.members m WHERE m.chat_id = check_member.chat_id AND m.user_id = check_member.user_id) THEN
		PERFORM chat.fail('no_such_chat');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_member IS 'Raises MC404 no_such_chat for who is not in the chat.';

-- What list_chats and get_chat show of chats, for the chats of one page. The caller has checked membership.
CREATE FUNCTION chat.describe_chats(actor_id bigint, chat_ids bigint[])
RETURNS TABLE (id bigint, kind text, created_at timestamptz, other_user jsonb, last_event_id bigint, last_message json,
	message_count integer, unread integer, read_id bigint, other_read_id bigint)
LANGUAGE sql STABLE AS $$
	SELECT c.id, c.kind, chat.id_time(c.id),
		(SELECT jsonb_build_object('id', u.id::text, 'user_name', u.user_name, 'display_name', u.display_name)
		   FROM chat.v_users u WHERE u.id = other.user_id),
		c.last_event_id,
		(SELECT chat.message_json(m) FROM chat.messages m WHERE m.chat_id = c.id ORDER BY m.id DESC LIMIT 1),
		c.message_count, c.message_count - own.read_count, own.read_id, other.read_id
	  FROM unnest(describe_chats.chat_ids) AS wanted (id)
	  JOIN chat.chats c ON c.id = wanted.id
	  JOIN chat.members own ON own.chat_id = c.id AND own.user_id = describe_chats.actor_id
	  LEFT JOIN chat.direct_chats pair ON pair.chat_id = c.id
	  LEFT JOIN chat.members other ON other.chat_id = c.id
		AND other.user_id = CASE pair.low_user_id WHEN describe_chats.actor_id THEN pair.high_user_id ELSE pair.low_user_id END
$$;
COMMENT ON FUNCTION chat.describe_chats IS 'Chats as list_chats shows them.';

CREATE FUNCTION chat.get_chat(actor_id bigint, chat_id bigint,
	OUT id bigint, OUT kind text, OUT created_at timestamptz, OUT other_user jsonb, OUT last_event_id bigint, OUT last_message json,
	OUT message_count integer, OUT unread integer, OUT read_id bigint, OUT other_read_id bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(get_chat.actor_id);
	SELECT d.* INTO id, kind, created_at, other_user, last_event_id, last_message, message_count, unread, read_id, other_read_id
	  FROM chat.describe_chats(get_chat.actor_id, ARRAY[get_chat.chat_id]) d;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_chat');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.get_chat IS 'One chat as list_chats shows it. MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.get_chat TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.list_chats(actor_id bigint, page_size integer DEFAULT NULL, before_id bigint DEFAULT NULL)
RETURNS TABLE (id bigint, kind text, created_at timestamptz, other_user jsonb, last_event_id bigint, last_message json,
	message_count integer, unread integer, read_id bigint, other_read_id bigint, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_chats.page_size);
	page bigint[];
BEGIN
	PERFORM chat.check_actor(list_chats.actor_id);
	page := ARRAY(
		SELECT c.id
		  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
		 WHERE m.user_id = list_chats.actor_id
		   AND (list_chats.before_id IS NULL OR c.last_event_id < list_chats.before_id)
		   AND (c.message_count > 0 OR c.creator_id = list_chats.actor_id)
		 ORDER BY c.last_event_id DESC
		 LIMIT size + 1);
	RETURN QUERY
	SELECT d.*, cardinality(page) > size
	  FROM chat.describe_chats(list_chats.actor_id, page[1:size]) d
	 ORDER BY d.last_event_id DESC;
END
$$;
COMMENT ON FUNCTION chat.list_chats IS 'One''s own chats, the latest event first, with the other user of a direct chat, the last message, the unread count, the read cursor and, in a direct chat, the other user''s. before_id: last_event_id of the last row seen. A direct chat that somebody else has opened shows up with its first message.';
GRANT EXECUTE ON FUNCTION chat.list_chats TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.open_direct_chat(actor_id bigint, user_id bigint,
	OUT id bigint, OUT kind text, OUT created_at timestamptz, OUT other_user jsonb, OUT last_event_id bigint, OUT last_message json,
	OUT message_count integer, OUT unread integer, OUT read_id bigint, OUT other_read_id bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	low bigint := least(open_direct_chat.actor_id, open_direct_chat.user_id);
	high bigint := greatest(open_direct_chat.actor_id, open_direct_chat.user_id);
	new_id bigint;
BEGIN
	PERFORM chat.check_actor(open_direct_chat.actor_id);
	IF (SELECT count(*) FROM chat.users u WHERE u.id IN (open_direct_chat.actor_id, open_direct_chat.user_id))
		< (CASE WHEN low = high THEN 1 ELSE 2 END) OR open_direct_chat.user_id IS NULL THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	SELECT d.chat_id INTO id FROM chat.direct_chats d WHERE d.low_user_id = low AND d.high_user_id = high;
	IF NOT FOUND THEN
		-- Whoever inserts the pair makes the chat; who comes second waits for him here.
		new_id := chat.take_id();
		INSERT INTO chat.direct_chats AS d (low_user_id, high_user_id, chat_id) VALUES (low, high, new_id)
		ON CONFLICT (low_user_id, high_user_id) DO NOTHING RETURNING d.chat_id INTO id;
		IF FOUND THEN
			INSERT INTO chat.chats (id, kind, creator_id, last_event_id) VALUES (new_id, 'direct', open_direct_chat.actor_id, new_id);
			INSERT INTO chat.members (chat_id, user_id) SELECT DISTINCT new_id, u.id FROM unnest(ARRAY[low, high]) AS u (id);
		ELSE
			SELECT d.chat_id INTO STRICT id FROM chat.direct_chats d WHERE d.low_user_id = low AND d.high_user_id = high;
		END IF;
	END IF;
	SELECT g.* INTO id, kind, created_at, other_user, last_event_id, last_message, message_count, unread, read_id, other_read_id
	  FROM chat.get_chat(open_direct_chat.actor_id, id) g;
END
$$;
COMMENT ON FUNCTION chat.open_direct_chat IS 'The direct chat with this user, made when there is none; with oneself it holds one''s notes. Again and at the same time from both sides gives the same chat. MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.open_direct_chat TO chat_user, chat_app; -- since 0.1.0
CREATE VIEW chat.v_messages AS
SELECT m.chat_id, m.id, m.number, m.kind, m.sender_id, m.body, chat.id_time(m.id) AS sent_at, m.reply_to_id, m.attributes
  FROM chat.messages m;
COMMENT ON VIEW chat.v_messages IS 'All messages.';
GRANT SELECT ON chat.v_messages TO chat_app; -- since 0.1.0
GRANT REFERENCES (chat_id, id) ON chat.messages TO chat_app; -- since 0.1.0

CREATE FUNCTION chat.message_json(message chat.messages)
RETURNS json LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_message_json';
COMMENT ON FUNCTION chat.message_json IS 'A message as it stands in events: one row of list_messages.';

CREATE FUNCTION chat.publish_message()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'chat_publish_message';
COMMENT ON FUNCTION chat.publish_message IS 'Trigger: the message event, to the members.';
CREATE TRIGGER publish_message AFTER INSERT ON chat.messages
FOR EACH ROW EXECUTE FUNCTION chat.publish_message();

CREATE FUNCTION chat.check_message(body text, attributes jsonb, client_key text)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF coalesce(body, '') = '' AND attributes IS NULL THEN
		PERFORM chat.fail('empty_message');
	ELSIF char_length(body) > chat.setting_integer('body_max_length') THEN
		PERFORM chat.fail('message_too_long', NULL, format('Use at most %s characters.', chat.setting_integer('body_max_length')));
	END IF;
	IF attributes IS NOT NULL THEN
		PERFORM chat.check_attributes(attributes);
	END IF;
	IF char_length(client_key) NOT BETWEEN 1 AND 64 THEN
		PERFORM chat.check_length(client_key, 'client_key', 1, 64);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_message IS 'Raises MC400 or MC413 for what send_message does not accept.';

CREATE FUNCTION chat.send_message(actor_id bigint, chat_id bigint, body text DEFAULT NULL, reply_to_id bigint DEFAULT NULL,
	attributes jsonb DEFAULT NULL, client_key text DEFAULT NULL,
	OUT id bigint, OUT prev_id bigint, OUT number integer, OUT sent_at timestamptz, OUT duplicate boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sent chat.messages;
	event record;
BEGIN
	PERFORM chat.check_actor(send_message.actor_id);
	PERFORM chat.check_message(send_message.body, send_message.attributes, send_message.client_key);
	event := chat.next_event(send_message.chat_id, 1);

	IF send_message.client_key IS NOT NULL THEN
		SELECT m.* INTO sent FROM chat.messages m
		 WHERE m.chat_id = send_message.chat_id AND m.sender_id = send_message.actor_id AND m.client_key = send_message.client_key;
		IF FOUND THEN
			IF sent.body <> coalesce(send_message.body, '') OR sent.reply_to_id IS DISTINCT FROM send_message.reply_to_id
				OR sent.attributes IS DISTINCT FROM send_message.attributes THEN
				PERFORM chat.fail('client_key_reused');
			END IF;
			UPDATE chat.chats c SET last_event_id = c.prev_event_id, message_count = c.message_count - 1 WHERE c.id = send_message.chat_id;
			id := sent.id; prev_id := sent.prev_id; number := sent.number; sent_at := chat.id_time(sent.id); duplicate := true;
			RETURN;
		END IF;
	END IF;

	UPDATE chat.members m SET read_id = event.id, read_count = event.number
	 WHERE m.chat_id = send_message.chat_id AND m.user_id = send_message.actor_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_chat');
	END IF;
	IF send_message.reply_to_id IS NOT NULL AND NOT EXISTS (
		SELECT FROM chat.messages m WHERE m.chat_id = send_message.chat_id AND m.id = send_message.reply_to_id) THEN
		PERFORM chat.fail('no_such_message');
	END IF;
	INSERT INTO chat.messages (chat_id, id, prev_id, number, sender_id, body, reply_to_id, attributes, client_key)
	VALUES (send_message.chat_id, event.id, event.prev_id, event.number, send_message.actor_id, coalesce(send_message.body, ''),
		send_message.reply_to_id, send_message.attributes, send_message.client_key);
	id := event.id; prev_id := event.prev_id; number := event.number; sent_at := chat.id_time(event.id); duplicate := false;
END
$$;
COMMENT ON FUNCTION chat.send_message IS 'Sends a message; when it has answered and committed, the message is durable. body: at most the setting body_max_length characters, empty only with attributes. client_key: 1 to 64 characters of the caller''s own; the same key in the same chat answers the first message again with duplicate true, and publishes nothing. prev_id: the chat''s event before it. number: dense count of the chat''s messages. The sender''s read cursor moves to it. Locks the chat''s row until the transaction ends. MC400 empty_message, invalid_argument; MC404 no_such_chat, no_such_message (reply_to_id); MC409 client_key_reused; MC413 message_too_long, too_large; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.send_message TO chat_user, chat_app; -- since 0.1.0

-- One range scan down and one up from the anchor; which of them is needed, and how far, is all that the anchors differ in.
CREATE FUNCTION chat.list_messages(actor_id bigint, chat_id bigint, before_id bigint DEFAULT NULL, after_id bigint DEFAULT NULL,
	around_id bigint DEFAULT NULL, at timestamptz DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS SETOF chat.message_page LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_messages.page_size);
	anchor bigint := coalesce(around_id, chat.id_at(at));
	below bigint := coalesce(anchor, before_id, 9223372036854775807);	-- older ones: ids under it
	above bigint := coalesce(anchor, least(after_id, 9223372036854775806) + 1);	-- newer ones: from it on
	older integer := CASE WHEN anchor IS NOT NULL THEN size / 2 WHEN after_id IS NOT NULL THEN 0 ELSE size END;
	newer integer := CASE WHEN anchor IS NOT NULL THEN size - size / 2 WHEN after_id IS NOT NULL THEN size ELSE 0 END;
BEGIN
	PERFORM chat.check_actor(actor_id);
	IF num_nonnulls(before_id, after_id, around_id, at) > 1 THEN
		PERFORM chat.fail('more_than_one_anchor');
	END IF;
	PERFORM chat.check_member(chat_id, actor_id);
	RETURN QUERY
	WITH down AS (
		SELECT m.*, row_number() OVER (ORDER BY m.id DESC) AS rank FROM (
			SELECT m.* FROM chat.messages m WHERE m.chat_id = list_messages.chat_id AND m.id < below
			 ORDER BY m.id DESC LIMIT CASE WHEN older > 0 THEN older + 1 ELSE 0 END) m
	), up AS (
		SELECT m.*, row_number() OVER (ORDER BY m.id) AS rank FROM (
			SELECT m.* FROM chat.messages m WHERE m.chat_id = list_messages.chat_id AND m.id >= above
			 ORDER BY m.id LIMIT CASE WHEN newer > 0 THEN newer + 1 ELSE 0 END) m
	), page AS (
		SELECT down.* FROM down WHERE down.rank <= older UNION ALL SELECT up.* FROM up WHERE up.rank <= newer
	)
	SELECT p.id, p.chat_id, p.number, p.kind, p.sender_id, p.body, chat.id_time(p.id),
		(SELECT jsonb_build_object('id', r.id::text, 'sender_id', r.sender_id::text, 'body', left(r.body, 100))
		   FROM chat.messages r WHERE r.chat_id = p.chat_id AND r.id = p.reply_to_id),
		p.attributes,
		(SELECT count(*) > older FROM down) OR (SELECT count(*) > newer FROM up)
	  FROM page p
	 ORDER BY p.id;
END
$$;
COMMENT ON FUNCTION chat.list_messages IS 'A page of a chat''s history, ascending by id. Without an anchor the newest; before_id: those before it; after_id: those after it; around_id or at (a time): half before it, half from it on. has_more: there are more on the side asked for; with around_id and at, on either side. MC400 more_than_one_anchor, invalid_argument (page_size); MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_messages TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.publish_cursor()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'chat_publish_cursor';
COMMENT ON FUNCTION chat.publish_cursor IS 'Trigger: the read event, to the members of chats of at most receipts_max_members, and with the unread count to the reader''s own sockets.';
-- By column, not by WHEN: PostgreSQL would parse the condition's tree again at every send, which moves a cursor too.
CREATE TRIGGER publish_cursor AFTER UPDATE OF read_version ON chat.members
FOR EACH ROW EXECUTE FUNCTION chat.publish_cursor();

CREATE FUNCTION chat.mark_read(actor_id bigint, chat_id bigint, message_id bigint,
	OUT read_id bigint, OUT unread integer, OUT version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	reached record;
BEGIN
	PERFORM chat.check_actor(mark_read.actor_id);
	PERFORM chat.check_member(mark_read.chat_id, mark_read.actor_id);
	SELECT m.id, m.number INTO reached FROM chat.messages m
	 WHERE m.chat_id = mark_read.chat_id AND m.id <= mark_read.message_id ORDER BY m.id DESC LIMIT 1;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_message');
	END IF;
	UPDATE chat.members m
	   SET read_id = reached.id, read_count = reached.number, read_version = chat.take_id(m.read_version)
	 WHERE m.chat_id = mark_read.chat_id AND m.user_id = mark_read.actor_id AND m.read_id < reached.id;
	SELECT m.read_id, c.message_count - m.read_count, m.read_version INTO read_id, unread, version
	  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
	 WHERE m.chat_id = mark_read.chat_id AND m.user_id = mark_read.actor_id;
END
$$;
COMMENT ON FUNCTION chat.mark_read IS 'Moves one''s read cursor to this message, or the last one before it; never back. Answers where it stands and how many messages lie behind it; version orders the read events of one reader. Locks only one''s own member row. MC404 no_such_chat, no_such_message.';
GRANT EXECUTE ON FUNCTION chat.mark_read TO chat_user, chat_app; -- since 0.1.0
-- The wire surface, from the catalog: a function is a method when chat_user or chat_anonymous is itself named in its
-- ACL. There is no other list.

CREATE FUNCTION chat.list_methods(schemas text[] DEFAULT ARRAY['chat'])
RETURNS TABLE (method text, call text, anonymous boolean, groupable boolean, parameters jsonb, result text, columns jsonb,
	description text, problem text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	WITH granted AS (
		SELECT p.oid, p.proname, n.nspname, p.prokind, p.provariadic, p.proretset, p.prorettype, p.pronargs, p.pronargdefaults,
			CASE WHEN n.nspname = 'chat' THEN '' ELSE n.nspname || '.' END || p.proname AS method,
			coalesce(p.proallargtypes, string_to_array(p.proargtypes::text, ' ')::oid[]) AS types,
			coalesce(p.proargnames, '{}') AS names,
			coalesce(p.proargmodes::text[], array_fill('i'::text, ARRAY[p.pronargs])) AS modes,
			bool_or(r.rolname = 'chat_anonymous') AS anonymous, bool_or(r.rolname = 'chat_user') AS for_users
		  FROM pg_proc p
		  JOIN pg_namespace n ON n.oid = p.pronamespace
		 CROSS JOIN aclexplode(p.proacl) a
		  JOIN pg_roles r ON r.oid = a.grantee
		 WHERE n.nspname = ANY (list_methods.schemas) AND a.privilege_type = 'EXECUTE' AND r.rolname IN ('chat_user', 'chat_anonymous')
		 GROUP BY p.oid, n.nspname
	), arguments AS (
		SELECT g.oid, a.position, a.mode, g.names[a.position] AS name, g.types[a.position] AS type,
			row_number() OVER (PARTITION BY g.oid, a.mode IN ('i', 'b', 'v') ORDER BY a.position) AS number
		  FROM granted g CROSS JOIN LATERAL unnest(g.modes) WITH ORDINALITY AS a (mode, position)
	), outputs AS (
		SELECT a.oid, a.position, a.name, a.type FROM arguments a WHERE a.mode IN ('o', 't')
		UNION ALL
		SELECT g.oid, c.attnum, c.attname, c.atttypid
		  FROM granted g JOIN pg_type t ON t.oid = g.prorettype JOIN pg_attribute c ON c.attrelid = t.typrelid
		 WHERE c.attnum > 0 AND NOT c.attisdropped
	), described AS (
		SELECT g.*,
			(SELECT coalesce(jsonb_agg(jsonb_build_object('name', a.name, 'type', format_type(a.type, NULL),
					'optional', a.number > g.pronargs - g.pronargdefaults) ORDER BY a.position), '[]')
			   FROM arguments a WHERE a.oid = g.oid AND a.mode IN ('i', 'b', 'v')) AS parameters,
			(SELECT jsonb_agg(jsonb_build_object('name', o.name, 'type', format_type(o.type, NULL)) ORDER BY o.position)
			   FROM outputs o WHERE o.oid = g.oid) AS columns,
			(SELECT a.name = 'actor_id' AND a.type = 'bigint'::regtype FROM arguments a WHERE a.oid = g.oid AND a.mode = 'i' AND a.number = 1) AS has_actor,
			(SELECT bool_and(coalesce(a.name, '') <> '') FROM arguments a WHERE a.oid = g.oid) AS all_named,
			(SELECT bool_or(t.typtype = 'p' AND t.typname <> 'void') FROM pg_type t
			  WHERE t.oid = ANY (g.types) OR t.oid = g.prorettype AND t.typname <> 'record') AS polymorphic
		  FROM granted g
	)
	SELECT d.method, format('%I.%I', d.nspname, d.proname), d.anonymous,
		EXISTS (SELECT FROM chat.groupable b WHERE b.method = d.method),
		d.parameters,
		CASE
			WHEN d.prorettype = 'void'::regtype THEN 'void'
			WHEN d.proretset AND d.columns -> -1 = '{"name": "has_more", "type": "boolean"}' THEN 'page'
			WHEN d.proretset THEN 'rows'
			WHEN d.columns IS NOT NULL AND (d.prorettype = 'record'::regtype OR t.typtype = 'c') THEN 'row'
			ELSE 'scalar'
		END,
		CASE
			WHEN d.prorettype = 'void'::regtype THEN '[]'
			ELSE coalesce(d.columns, jsonb_build_array(jsonb_build_object('name', NULL, 'type', format_type(d.prorettype, NULL))))
		END,
		obj_description(d.oid, 'pg_proc'),
		CASE
			WHEN count(*) OVER (PARTITION BY d.proname) > 1 THEN 'its name is not unique among the exposed schemas'
			WHEN d.prokind <> 'f' THEN 'it is no plain function'
			WHEN d.provariadic <> 0 OR 'b' = ANY (d.modes) OR d.polymorphic THEN 'it has VARIADIC, INOUT or polymorphic parameters'
			WHEN d.all_named IS FALSE THEN 'not all its parameters are named'
			WHEN d.anonymous AND d.for_users THEN 'it is granted to both chat_anonymous and chat_user'
			WHEN d.anonymous AND d.parameters @? '$[*].name ? (@ == "actor_id" || @ == "actor_session_id")' THEN 'it is granted to chat_anonymous and has actor_id'
			WHEN d.for_users AND d.has_actor IS NOT TRUE THEN 'its first parameter is not actor_id bigint'
		END
	  FROM described d JOIN pg_type t ON t.oid = d.prorettype
	 ORDER BY d.method COLLATE "C", d.oid
$$;
COMMENT ON FUNCTION chat.list_methods IS 'The functions of these schemas that chat_user or chat_anonymous is itself granted EXECUTE on (PUBLIC does not count), as a gateway needs them: method is the wire name, call the qualified name; anonymous: callable before login; groupable: chat.groupable lists it; parameters [{name, type, optional}] with those that the gateway fills (actor_id, actor_session_id, actor_address); result void, scalar, row, rows or page (a set whose last column is has_more boolean); columns [{name, type}], for scalar one without name; description its COMMENT; problem not NULL: it cannot be a method, and why.';
GRANT EXECUTE ON FUNCTION chat.list_methods TO chat_gateway, chat_app; -- since 0.1.0

CREATE FUNCTION chat.read_event(chat_id bigint, id bigint)
RETURNS json LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'chat_read_event';
COMMENT ON FUNCTION chat.read_event IS 'A durable event of a chat, whole: what a notification marked "partial" left out. NULL when there is none. For gateways: whoever calls it may read everything.';
GRANT EXECUTE ON FUNCTION chat.read_event TO chat_gateway; -- since 0.1.0

-- Where the installer may: gateways read the wire surface again after any change of functions or grants.
CREATE FUNCTION chat.announce_schema()
RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NOTIFY chat_schema;
END
$$;
COMMENT ON FUNCTION chat.announce_schema IS 'Event trigger: tells gateways to read list_methods() again.';
DO $trigger$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger t WHERE t.evtname = 'chat_schema')
		AND (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN
		CREATE EVENT TRIGGER chat_schema ON ddl_command_end
			WHEN TAG IN ('CREATE FUNCTION', 'ALTER FUNCTION', 'DROP FUNCTION', 'GRANT', 'REVOKE', 'COMMENT')
			EXECUTE FUNCTION chat.announce_schema();
	END IF;
END
$trigger$;
-- New functions are executable by PUBLIC; none of ours stays so. Behind everything else, so that none is forgotten.
DO $privileges$
DECLARE
	function regprocedure;
BEGIN
	FOR function IN
		SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p
		  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		  JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND e.oid = d.refobjid
		 WHERE e.extname = 'chat'
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
	END LOOP;
END
$privileges$;

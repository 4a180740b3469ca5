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
	avatar_file_id bigint,
	status text NOT NULL DEFAULT 'online' CHECK (status IN ('online', 'away', 'busy', 'invisible')),
	status_text text CHECK (char_length(status_text) <= 140),
	status_until timestamptz,
	status_version bigint NOT NULL DEFAULT 0,
	last_seen_at timestamptz,
	deleted boolean NOT NULL DEFAULT false,
	CONSTRAINT users_external UNIQUE (external_issuer, external_subject),
	CHECK ((external_issuer IS NULL) = (external_subject IS NULL))
);
COMMENT ON TABLE chat.users IS 'Who can chat. The id tells when he registered.';
COMMENT ON COLUMN chat.users.password_hash IS 'bcrypt of base64(sha256(password)); NULL for users whom the app or an identity provider logs in.';
COMMENT ON COLUMN chat.users.external_issuer IS 'With external_subject: his identity at an OIDC provider.';
COMMENT ON COLUMN chat.users.suspended_until IS 'He cannot log in before; infinity = for good.';
COMMENT ON COLUMN chat.users.status IS 'What he wants shown while he is online (set_presence), until status_until.';
COMMENT ON COLUMN chat.users.status_version IS 'Id of the last change of what others see of his presence.';
COMMENT ON COLUMN chat.users.last_seen_at IS 'When his last live session ended, unless he was invisible.';
COMMENT ON COLUMN chat.users.deleted IS 'His account is gone: the row stays for the messages that name it, without personal data.';
COMMENT ON COLUMN chat.users.version IS 'Id of the last change of the profile.';
SELECT pg_catalog.pg_extension_config_dump('chat.users', '');

-- The few whose status ends some day, for maintenance.
CREATE INDEX users_status_until ON chat.users (id) WHERE status_until IS NOT NULL;

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

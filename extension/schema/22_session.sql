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

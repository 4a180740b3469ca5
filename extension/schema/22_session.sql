CREATE TABLE chat.sessions (
	id bigint PRIMARY KEY,
	user_id bigint NOT NULL REFERENCES chat.users (id) ON DELETE CASCADE,
	token_hash bytea NOT NULL CONSTRAINT sessions_token UNIQUE,
	device_name text CHECK (char_length(device_name) <= 128),
	address inet,
	expires_at timestamptz NOT NULL,
	last_seen_at timestamptz NOT NULL DEFAULT now(),
	token_issued_at timestamptz
);
CREATE INDEX sessions_user ON chat.sessions (user_id);
COMMENT ON TABLE chat.sessions IS 'One login on one device. Logging out and revoking delete the row.';
COMMENT ON COLUMN chat.sessions.token_hash IS 'sha256 of the token, or what external_token_hash makes of an identity provider''s; the token itself stands nowhere.';
COMMENT ON COLUMN chat.sessions.last_seen_at IS 'When a socket or backend last opened it.';
COMMENT ON COLUMN chat.sessions.token_issued_at IS 'When the identity provider made the newest access token that opened it, by the token''s word; NULL: it has a token of ours.';
SELECT pg_catalog.pg_extension_config_dump('chat.sessions', '');

CREATE TABLE chat.ended_sessions (
	token_hash bytea PRIMARY KEY,
	issued_until timestamptz NOT NULL,
	forget_at timestamptz NOT NULL
);
CREATE INDEX ended_sessions_forget_at ON chat.ended_sessions (forget_at);
COMMENT ON TABLE chat.ended_sessions IS 'Sessions of access tokens that were ended before their time: the tokens are still good for their provider, and must not open them again.';
COMMENT ON COLUMN chat.ended_sessions.issued_until IS 'Tokens made later may open it again.';
SELECT pg_catalog.pg_extension_config_dump('chat.ended_sessions', '');

CREATE TABLE chat.login_failures (
	subject text PRIMARY KEY,
	failures integer NOT NULL,
	window_ends_at timestamptz NOT NULL
);
CREATE INDEX login_failures_window_ends_at ON chat.login_failures (window_ends_at);
COMMENT ON TABLE chat.login_failures IS 'Failed attempts within the setting login_failure_window: for a user name from one network ("pair:NAME NETWORK"), for the name ("user:…") and from the network ("address:…") in all, and inside a user''s sessions ("session:USER").';
SELECT pg_catalog.pg_extension_config_dump('chat.login_failures', '');

CREATE TABLE chat.login_networks (
	user_id bigint NOT NULL,
	network text NOT NULL,
	last_at timestamptz NOT NULL,
	PRIMARY KEY (user_id, network)
);
COMMENT ON TABLE chat.login_networks IS 'Where users have logged in (chat.network): the last 20 of each, for a year. Attempts from elsewhere do not lock them out there.';
SELECT pg_catalog.pg_extension_config_dump('chat.login_networks', '');

-- chat.highest_cost
CREATE INDEX users_password_cost ON chat.users (substr(password_hash, 5, 2)) WHERE password_hash IS NOT NULL;

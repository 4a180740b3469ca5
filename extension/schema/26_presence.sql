CREATE TABLE chat.leases (
	id bigint PRIMARY KEY,
	expires_at timestamptz NOT NULL
);
COMMENT ON TABLE chat.leases IS 'Running gateways, one row each; a dead one''s lapses.';
SELECT pg_catalog.pg_extension_config_dump('chat.leases', '');

CREATE TABLE chat.live_sessions (
	session_id bigint NOT NULL,
	lease_id bigint NOT NULL,
	user_id bigint NOT NULL,
	PRIMARY KEY (lease_id, session_id)
);
CREATE INDEX live_sessions_user ON chat.live_sessions (user_id);
COMMENT ON TABLE chat.live_sessions IS 'Sessions with a socket at the gateway that holds the lease. One with sockets at two gateways has two rows.';
SELECT pg_catalog.pg_extension_config_dump('chat.live_sessions', '');

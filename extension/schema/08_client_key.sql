CREATE TABLE chat.client_keys (
	user_id bigint NOT NULL,
	client_key text NOT NULL,
	kind text,
	request_hash bytea,
	result_id bigint,
	PRIMARY KEY (user_id, client_key)
);
COMMENT ON TABLE chat.client_keys IS 'What each user''s creating calls have made, by his own keys for them, so that a repeated call answers the same thing; kept 7 days. Messages carry their keys themselves.';
COMMENT ON COLUMN chat.client_keys.kind IS 'The calling function; NULL until save_client_key.';
COMMENT ON COLUMN chat.client_keys.request_hash IS 'sha256 of the call''s arguments.';
COMMENT ON COLUMN chat.client_keys.result_id IS 'Id of what was made; tells the key''s age too.';
SELECT pg_catalog.pg_extension_config_dump('chat.client_keys', '');

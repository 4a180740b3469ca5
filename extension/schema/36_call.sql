CREATE TABLE chat.calls (
	chat_id bigint NOT NULL,
	id bigint NOT NULL,
	starter_id bigint NOT NULL,
	media text NOT NULL CHECK (media IN ('audio', 'video')),
	client_key text,
	ended_id bigint,
	PRIMARY KEY (chat_id, id),
	CONSTRAINT calls_client_key UNIQUE (chat_id, starter_id, client_key)
);
COMMENT ON TABLE chat.calls IS 'Calls; the id is that of the event and timeline entry that started it. Sound and picture go between the clients.';
COMMENT ON COLUMN chat.calls.ended_id IS 'Event that ended it; NULL = it goes on.';
SELECT pg_catalog.pg_extension_config_dump('chat.calls', '');

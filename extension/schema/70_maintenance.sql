CREATE TABLE chat.maintenance (
	job text PRIMARY KEY,
	position bigint NOT NULL
);
COMMENT ON TABLE chat.maintenance IS 'How far jobs have come that go round a table in turns.';
SELECT pg_catalog.pg_extension_config_dump('chat.maintenance', '');

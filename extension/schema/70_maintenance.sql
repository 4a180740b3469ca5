CREATE TABLE chat.maintenance (
	job text PRIMARY KEY,
	position bigint NOT NULL,
	ran_at timestamptz,
	error text,
	failing_since timestamptz
);
COMMENT ON TABLE chat.maintenance IS 'The jobs of maintenance. A row''s lock is what lets one session at a time do a job.';
COMMENT ON COLUMN chat.maintenance.position IS 'How far a job has come that goes round a table in turns.';
COMMENT ON COLUMN chat.maintenance.ran_at IS 'When its last batch was.';
COMMENT ON COLUMN chat.maintenance.error IS 'Why that one failed; NULL = it did not.';
COMMENT ON COLUMN chat.maintenance.failing_since IS 'When the first of the failures in a row was.';
SELECT pg_catalog.pg_extension_config_dump('chat.maintenance', '');

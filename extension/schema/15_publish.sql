-- Not dumped: a restored database makes channels of its own.
CREATE TABLE chat.channel_key (
	singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
	key bytea NOT NULL CHECK (octet_length(key) = 16),
	former_key bytea CHECK (octet_length(former_key) = 16),
	generation smallint NOT NULL DEFAULT 0 CHECK (generation BETWEEN 0 AND 15)
);
COMMENT ON TABLE chat.channel_key IS 'The secret behind the channel names; one row. Never dumped.';
COMMENT ON COLUMN chat.channel_key.former_key IS 'The key of the generation before: its names are still heard, as a transaction may notify there that began before the key was changed.';
COMMENT ON COLUMN chat.channel_key.generation IS 'Stands in each name, so that it is known by which key it was made.';
INSERT INTO chat.channel_key (key)
VALUES (substring(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')) FOR 16));

-- Not dumped either: what was published belongs to this server's listeners.
CREATE TABLE chat.outbox (
	id bigint PRIMARY KEY,
	payload text NOT NULL
);
COMMENT ON TABLE chat.outbox IS 'With chat.delivery = outbox, what would be notified; read by gateways (read_outbox), removed by maintenance after the setting outbox_retention.';

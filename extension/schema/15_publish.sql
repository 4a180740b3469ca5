-- Not dumped: a restored database makes channels of its own.
CREATE TABLE chat.channel_key (
	singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
	key bytea NOT NULL CHECK (octet_length(key) = 16)
);
COMMENT ON TABLE chat.channel_key IS 'The secret behind the channel names; one row. Never dumped.';
INSERT INTO chat.channel_key (key)
VALUES (substring(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')) FOR 16));

-- Not dumped either: what was published belongs to this server's listeners.
CREATE TABLE chat.outbox (
	id bigint PRIMARY KEY,
	payload text NOT NULL
);
COMMENT ON TABLE chat.outbox IS 'With chat.delivery = outbox, what would be notified; read by gateways (read_outbox), removed by maintenance after the setting outbox_retention.';

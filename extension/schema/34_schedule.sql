CREATE TABLE chat.scheduled_messages (
	id bigint PRIMARY KEY,
	sender_id bigint NOT NULL,
	chat_id bigint NOT NULL,
	send_at timestamptz NOT NULL,
	body text NOT NULL,
	reply_to_id bigint,
	file_ids bigint[],
	mention_ids bigint[],
	attributes jsonb,
	client_key text,
	expires_in interval,
	message_id bigint,
	failure text,
	CONSTRAINT scheduled_messages_client_key UNIQUE (sender_id, chat_id, client_key)
);
CREATE INDEX scheduled_messages_due ON chat.scheduled_messages (send_at);
COMMENT ON TABLE chat.scheduled_messages IS 'Messages to be sent later; cancelling deletes the row, others stay for 30 days after send_at.';
COMMENT ON COLUMN chat.scheduled_messages.message_id IS 'It was sent as this message; the row is kept for its client_key.';
COMMENT ON COLUMN chat.scheduled_messages.failure IS 'It will not be sent: the word of chat.reasons() that send_message answered.';
SELECT pg_catalog.pg_extension_config_dump('chat.scheduled_messages', '');

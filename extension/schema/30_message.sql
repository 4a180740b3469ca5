-- kind has no CHECK: PostgreSQL would parse it again for each message, a twentieth of what a message costs; verify() looks at it.
CREATE TABLE chat.messages (
	chat_id bigint NOT NULL,
	id bigint NOT NULL,
	prev_id bigint NOT NULL,
	number integer NOT NULL,
	kind text NOT NULL DEFAULT 'user',
	sender_id bigint NOT NULL,
	body text NOT NULL,
	reply_to_id bigint,
	attributes jsonb,
	client_key text,
	edited_id bigint,
	deleted_id bigint,
	expires_at timestamptz,
	mention_ids bigint[],
	file_ids bigint[],
	reactions jsonb,
	pinned boolean NOT NULL DEFAULT false,
	forwarded_from bigint,
	pinned_id bigint,
	PRIMARY KEY (chat_id, id)
);
CREATE UNIQUE INDEX messages_client_key ON chat.messages (chat_id, sender_id, client_key) WHERE client_key IS NOT NULL;
-- Few messages are in these.
CREATE INDEX messages_expiring ON chat.messages (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX messages_files ON chat.messages (chat_id, id) WHERE file_ids IS NOT NULL;
CREATE INDEX messages_pinned ON chat.messages (chat_id, id) WHERE pinned;
COMMENT ON TABLE chat.messages IS 'The timeline of each chat, and its own event log: the id tells when, the order of ids is the order of commits.';
COMMENT ON COLUMN chat.messages.kind IS 'user, or system: an entry that an event has made.';
COMMENT ON COLUMN chat.messages.prev_id IS 'Id of the chat''s event before this one.';
COMMENT ON COLUMN chat.messages.number IS 'Dense count of user messages in the chat, from 1.';
COMMENT ON COLUMN chat.messages.client_key IS 'The sender''s own key for it: sending twice makes one message.';
COMMENT ON COLUMN chat.messages.edited_id IS 'Event of the last edit.';
COMMENT ON COLUMN chat.messages.deleted_id IS 'Event of the deletion: body, attributes, files, mentions and reactions are gone, the row stays.';
COMMENT ON COLUMN chat.messages.reactions IS '[{"emoji", "count"}], in the order of their first use; counts equal the rows of chat.reactions.';
COMMENT ON COLUMN chat.messages.pinned_id IS 'Event that pinned it; NULL: it is not pinned, or a release before 0.4.0 did not note it.';
COMMENT ON COLUMN chat.messages.forwarded_from IS 'Sender of the message that this is a copy of.';
SELECT pg_catalog.pg_extension_config_dump('chat.messages', '');

-- What list_messages and get_message answer. They take chat_id and answer chat_id, which PL/pgSQL allows only by a type of its
-- own. A release that adds to it makes types and functions anew: YSQL cannot alter a composite type.
CREATE TYPE chat.message_row AS (
	id bigint,
	chat_id bigint,
	number integer,
	kind text,
	sender_id bigint,
	body text,
	sent_at timestamptz,
	edited_at timestamptz,
	deleted_at timestamptz,
	expires_at timestamptz,
	reply json,
	files json,
	mentions bigint[],
	reactions json,
	attributes jsonb,
	pinned boolean,
	forwarded_from bigint
);
COMMENT ON TYPE chat.message_row IS 'A message as one user sees it.';
CREATE TYPE chat.message_page AS (
	id bigint,
	chat_id bigint,
	number integer,
	kind text,
	sender_id bigint,
	body text,
	sent_at timestamptz,
	edited_at timestamptz,
	deleted_at timestamptz,
	expires_at timestamptz,
	reply json,
	files json,
	mentions bigint[],
	reactions json,
	attributes jsonb,
	pinned boolean,
	forwarded_from bigint,
	has_more boolean
);
COMMENT ON TYPE chat.message_page IS 'A row of list_messages, search_messages and list_pins.';

CREATE TABLE chat.mentions (
	user_id bigint NOT NULL,
	chat_id bigint NOT NULL,
	message_id bigint NOT NULL,
	PRIMARY KEY (user_id, chat_id, message_id)
);
COMMENT ON TABLE chat.mentions IS 'Which messages mention whom; members.mentions counts those above the read cursor.';
SELECT pg_catalog.pg_extension_config_dump('chat.mentions', '');

CREATE TABLE chat.message_edits (
	chat_id bigint NOT NULL,
	message_id bigint NOT NULL,
	id bigint NOT NULL,
	body text NOT NULL,
	PRIMARY KEY (chat_id, message_id, id)
);
COMMENT ON TABLE chat.message_edits IS 'Bodies that an edit has replaced; id is the edit''s event. Kept by the setting keep_edits.';
SELECT pg_catalog.pg_extension_config_dump('chat.message_edits', '');

CREATE TABLE chat.hidden_messages (
	user_id bigint NOT NULL,
	chat_id bigint NOT NULL,
	message_id bigint NOT NULL,
	version bigint NOT NULL,
	PRIMARY KEY (user_id, chat_id, message_id)
);
CREATE INDEX hidden_messages_user ON chat.hidden_messages (user_id, version);
CREATE INDEX hidden_messages_message ON chat.hidden_messages (chat_id, message_id);
COMMENT ON TABLE chat.hidden_messages IS 'Messages that somebody deleted for himself only.';
COMMENT ON COLUMN chat.hidden_messages.version IS 'Id of that change.';
SELECT pg_catalog.pg_extension_config_dump('chat.hidden_messages', '');

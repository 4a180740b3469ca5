CREATE TABLE chat.reactions (
	chat_id bigint NOT NULL,
	message_id bigint NOT NULL,
	emoji text NOT NULL CHECK (octet_length(emoji) BETWEEN 1 AND 32),
	user_id bigint NOT NULL,
	id bigint NOT NULL,
	PRIMARY KEY (chat_id, message_id, emoji, user_id)
);
COMMENT ON TABLE chat.reactions IS 'Who reacted to what with which emoji; id is the event.';
SELECT pg_catalog.pg_extension_config_dump('chat.reactions', '');

-- list_reactions takes emoji and answers emoji.
CREATE TYPE chat.reaction_page AS (
	id bigint,
	user_id bigint,
	emoji text,
	reacted_at timestamptz,
	has_more boolean
);
COMMENT ON TYPE chat.reaction_page IS 'A row of list_reactions.';

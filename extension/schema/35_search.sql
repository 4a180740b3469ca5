-- The search index is made from the messages, and after a restore made again: it is not dumped.
CREATE TABLE chat.message_words (
	chat_id bigint NOT NULL,
	message_id bigint NOT NULL,
	words tsvector NOT NULL,
	PRIMARY KEY (chat_id, message_id)
);
CREATE INDEX message_words_words ON chat.message_words USING gin (words);
COMMENT ON TABLE chat.message_words IS 'The words of each message, with its chat and sender as words of their own (chat.chat_word): an index on one column serves all filters. Never dumped.';

CREATE TABLE chat.search_cursors (
	chat_id bigint PRIMARY KEY,
	indexed_id bigint NOT NULL,
	language text NOT NULL
);
COMMENT ON TABLE chat.search_cursors IS 'How far each chat stands in chat.message_words; search reads the messages behind it themselves. Never dumped.';
COMMENT ON COLUMN chat.search_cursors.indexed_id IS 'Messages up to this one are in, as they read now.';
COMMENT ON COLUMN chat.search_cursors.language IS 'The setting search_language they were read with; under another one they are read again.';

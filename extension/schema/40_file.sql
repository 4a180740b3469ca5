CREATE TABLE chat.contents (
	id bigint PRIMARY KEY,
	sha256 bytea NOT NULL CONSTRAINT contents_sha256 UNIQUE CHECK (octet_length(sha256) = 32),
	size bigint NOT NULL CHECK (size >= 0),
	use_count integer NOT NULL CHECK (use_count >= 0)
);
CREATE INDEX contents_unused ON chat.contents (id) WHERE use_count = 0;
COMMENT ON TABLE chat.contents IS 'Bytes of files, once each: files with the same bytes share them. The id is that of the upload that brought them first.';
COMMENT ON COLUMN chat.contents.use_count IS 'Files and uploads that name it; at 0 maintenance collects it.';
SELECT pg_catalog.pg_extension_config_dump('chat.contents', '');

CREATE TABLE chat.chunks (
	content_id bigint NOT NULL,
	number integer NOT NULL,
	bytes bytea NOT NULL,
	PRIMARY KEY (content_id, number)
);
COMMENT ON TABLE chat.chunks IS 'The bytes: 256 KiB a row, the last one what remains. content_id is the upload''s until it is finished.';
COMMENT ON COLUMN chat.chunks.number IS 'From 0: byte offset / 262144.';
SELECT pg_catalog.pg_extension_config_dump('chat.chunks', '');

CREATE TABLE chat.uploads (
	id bigint PRIMARY KEY,
	owner_id bigint NOT NULL,
	name text NOT NULL,
	mime_type text NOT NULL,
	size bigint NOT NULL CHECK (size >= 0),
	sha256 bytea CHECK (octet_length(sha256) = 32),
	received bigint NOT NULL DEFAULT 0 CHECK (received BETWEEN 0 AND size),
	content_id bigint
);
CREATE INDEX uploads_owner ON chat.uploads (owner_id);
COMMENT ON TABLE chat.uploads IS 'Files on their way. finish_upload makes a file with the same id of it; kept for the setting upload_lifetime.';
COMMENT ON COLUMN chat.uploads.sha256 IS 'What the bytes must hash to; NULL = not told.';
COMMENT ON COLUMN chat.uploads.received IS 'Bytes received without a gap from the beginning.';
COMMENT ON COLUMN chat.uploads.content_id IS 'Content that its owner can read already, so that nothing need be sent.';
SELECT pg_catalog.pg_extension_config_dump('chat.uploads', '');

CREATE TABLE chat.files (
	id bigint PRIMARY KEY,
	owner_id bigint NOT NULL,
	name text NOT NULL CHECK (char_length(name) <= 255),
	mime_type text NOT NULL,
	size bigint CHECK (size >= 0),
	content_id bigint,
	url text,
	deleted boolean NOT NULL DEFAULT false,
	version bigint NOT NULL,
	CHECK (CASE WHEN deleted THEN content_id IS NULL AND url IS NULL ELSE (content_id IS NULL) <> (url IS NULL) END)
);
CREATE INDEX files_owner ON chat.files (owner_id, version);
CREATE INDEX files_content ON chat.files (content_id);
CREATE INDEX files_deleted ON chat.files (version) WHERE deleted;
COMMENT ON TABLE chat.files IS 'Names and owners of contents, and links to documents elsewhere.';
COMMENT ON COLUMN chat.files.size IS 'Bytes; NULL for a link that did not tell.';
COMMENT ON COLUMN chat.files.deleted IS 'The row stays, nameless, for the messages and lists that name it, for the setting event_retention at least.';
COMMENT ON COLUMN chat.files.version IS 'Id of the last change.';
SELECT pg_catalog.pg_extension_config_dump('chat.files', '');

CREATE TABLE chat.file_shares (
	file_id bigint NOT NULL,
	user_id bigint NOT NULL,
	shared boolean NOT NULL,
	version bigint NOT NULL,
	PRIMARY KEY (file_id, user_id)
);
CREATE INDEX file_shares_user ON chat.file_shares (user_id, version);
COMMENT ON TABLE chat.file_shares IS 'With whom owners have shared files, by share_file.';
COMMENT ON COLUMN chat.file_shares.shared IS 'false: it was, and is no more.';
COMMENT ON COLUMN chat.file_shares.version IS 'Id of the last change.';
SELECT pg_catalog.pg_extension_config_dump('chat.file_shares', '');

CREATE TABLE chat.attachments (
	chat_id bigint NOT NULL,
	message_id bigint NOT NULL,
	file_id bigint NOT NULL,
	PRIMARY KEY (chat_id, message_id, file_id)
);
CREATE INDEX attachments_file ON chat.attachments (file_id, chat_id, message_id);
COMMENT ON TABLE chat.attachments IS 'Which messages carry which files: what makes them readable in the chat. Their order is messages.file_ids.';
SELECT pg_catalog.pg_extension_config_dump('chat.attachments', '');

-- Its row is the lock under which a user's quota is kept.
CREATE TABLE chat.file_usage (
	user_id bigint PRIMARY KEY,
	bytes bigint NOT NULL CHECK (bytes >= 0)
);
COMMENT ON TABLE chat.file_usage IS 'Bytes of each user''s files and begun uploads, shared contents in full.';
SELECT pg_catalog.pg_extension_config_dump('chat.file_usage', '');

-- Avatars are for everyone: found by the file.
CREATE INDEX users_avatar ON chat.users (avatar_file_id) WHERE avatar_file_id IS NOT NULL;
CREATE INDEX chats_avatar ON chat.chats (avatar_file_id) WHERE avatar_file_id IS NOT NULL;

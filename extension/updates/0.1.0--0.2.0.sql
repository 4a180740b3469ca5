-- State of 0.2.0 for a database made by 0.1.0: only additions, with defaults, so that a dump of 0.1.0 loads into the new
-- schema too. Functions whose arguments or results have changed are dropped here and made again by what follows.

DROP EVENT TRIGGER IF EXISTS chat_schema; -- made anew for more commands
DROP TRIGGER publish_cursor ON chat.members;
DROP TRIGGER publish_message ON chat.messages;
DROP FUNCTION chat.get_chat, chat.list_chats, chat.list_messages, chat.mark_read, chat.open_direct_chat, chat.search_users, chat.send_message;
DROP FUNCTION chat.describe_chats, chat.message_json, chat.check_member, chat.check_message, chat.publish_message;
DROP TYPE chat.message_page;

CREATE TABLE chat.client_keys (
	user_id bigint NOT NULL,
	client_key text NOT NULL,
	kind text,
	request_hash bytea,
	result_id bigint,
	PRIMARY KEY (user_id, client_key)
);
COMMENT ON TABLE chat.client_keys IS 'What each user''s creating calls have made, by his own keys for them, so that a repeated call answers the same thing; kept 7 days. Messages carry their keys themselves.';
COMMENT ON COLUMN chat.client_keys.kind IS 'The calling function; NULL until save_client_key.';
COMMENT ON COLUMN chat.client_keys.request_hash IS 'sha256 of the call''s arguments.';
COMMENT ON COLUMN chat.client_keys.result_id IS 'Id of what was made; tells the key''s age too.';
SELECT pg_catalog.pg_extension_config_dump('chat.client_keys', '');

ALTER TABLE chat.users
	ADD COLUMN avatar_file_id bigint,
	ADD COLUMN status text NOT NULL DEFAULT 'online' CHECK (status IN ('online', 'away', 'busy', 'invisible')),
	ADD COLUMN status_text text CHECK (char_length(status_text) <= 140),
	ADD COLUMN status_until timestamptz,
	ADD COLUMN status_version bigint NOT NULL DEFAULT 0,
	ADD COLUMN last_seen_at timestamptz,
	ADD COLUMN deleted boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN chat.users.status IS 'What he wants shown while he is online (set_presence), until status_until.';
COMMENT ON COLUMN chat.users.status_version IS 'Id of the last change of what others see of his presence.';
COMMENT ON COLUMN chat.users.last_seen_at IS 'When his last live session ended, unless he was invisible.';
COMMENT ON COLUMN chat.users.deleted IS 'His account is gone: the row stays for the messages that name it, without personal data.';
-- The few whose status ends some day, for maintenance.
CREATE INDEX users_status_until ON chat.users (id) WHERE status_until IS NOT NULL;

ALTER TABLE chat.sessions ADD COLUMN token_issued_at timestamptz;
COMMENT ON COLUMN chat.sessions.token_hash IS 'sha256 of the token, or what external_token_hash makes of an identity provider''s; the token itself stands nowhere.';
COMMENT ON COLUMN chat.sessions.token_issued_at IS 'When the identity provider made the newest access token that opened it, by the token''s word; NULL: it has a token of ours.';
CREATE TABLE chat.ended_sessions (
	token_hash bytea PRIMARY KEY,
	issued_until timestamptz NOT NULL,
	forget_at timestamptz NOT NULL
);
CREATE INDEX ended_sessions_forget_at ON chat.ended_sessions (forget_at);
COMMENT ON TABLE chat.ended_sessions IS 'Sessions of access tokens that were ended before their time: the tokens are still good for their provider, and must not open them again.';
COMMENT ON COLUMN chat.ended_sessions.issued_until IS 'Tokens made later may open it again.';
SELECT pg_catalog.pg_extension_config_dump('chat.ended_sessions', '');

CREATE TABLE chat.connections (
	low_user_id bigint NOT NULL,
	high_user_id bigint NOT NULL CHECK (high_user_id > low_user_id),
	state text NOT NULL CHECK (state IN ('none', 'pending', 'connected')),
	target_user_id bigint CHECK (target_user_id IN (low_user_id, high_user_id)),
	version bigint NOT NULL,
	PRIMARY KEY (low_user_id, high_user_id),
	CHECK ((state = 'pending') = (target_user_id IS NOT NULL))
);
CREATE INDEX connections_high ON chat.connections (high_user_id, low_user_id);
CREATE INDEX connections_low_version ON chat.connections (low_user_id, version);
CREATE INDEX connections_high_version ON chat.connections (high_user_id, version);
COMMENT ON TABLE chat.connections IS 'Contacts: one row for each pair of users that ever had to do with each other; state none when it is over.';
COMMENT ON COLUMN chat.connections.target_user_id IS 'Who is invited; NULL unless pending.';
COMMENT ON COLUMN chat.connections.version IS 'Id of the last change.';
SELECT pg_catalog.pg_extension_config_dump('chat.connections', '');

CREATE TABLE chat.blocks (
	blocker_id bigint NOT NULL,
	blocked_id bigint NOT NULL CHECK (blocked_id <> blocker_id),
	id bigint NOT NULL,
	PRIMARY KEY (blocker_id, blocked_id)
);
CREATE INDEX blocks_blocked ON chat.blocks (blocked_id);
COMMENT ON TABLE chat.blocks IS 'Who wants to have nothing to do with whom; the id tells since when.';
SELECT pg_catalog.pg_extension_config_dump('chat.blocks', '');

ALTER TABLE chat.chats
	DROP CONSTRAINT chats_kind_check, -- a trigger now: api/25_chat.sql
	ADD COLUMN title text,
	ADD COLUMN description text,
	ADD COLUMN avatar_file_id bigint,
	ADD COLUMN attributes jsonb,
	ADD COLUMN posting text NOT NULL DEFAULT 'all',
	ADD COLUMN member_count integer NOT NULL DEFAULT 0,
	ADD COLUMN large boolean NOT NULL DEFAULT false,
	ADD COLUMN deleted_id bigint;
ALTER TABLE chat.members
	DROP CONSTRAINT members_role_check,
	ADD COLUMN joined_id bigint NOT NULL DEFAULT 0,
	ADD COLUMN visible_from bigint NOT NULL DEFAULT 0,
	ADD COLUMN left_id bigint,
	ADD COLUMN left_count integer,
	ADD COLUMN delivered_id bigint NOT NULL DEFAULT 0,
	ADD COLUMN delivered_version bigint NOT NULL DEFAULT 0,
	ADD COLUMN mentions integer NOT NULL DEFAULT 0,
	ADD COLUMN muted_until timestamptz,
	ADD COLUMN archived boolean NOT NULL DEFAULT false,
	ADD COLUMN pinned boolean NOT NULL DEFAULT false,
	ADD COLUMN marked_unread boolean NOT NULL DEFAULT false,
	ADD COLUMN hidden_id bigint NOT NULL DEFAULT 0,
	ADD COLUMN prefs_version bigint NOT NULL DEFAULT 0,
	ADD COLUMN left_chat jsonb,
	ADD COLUMN moved integer NOT NULL DEFAULT 0;
CREATE INDEX members_moved ON chat.members (chat_id, moved);
CREATE INDEX chats_room ON chat.chats (id) WHERE kind = 'room';
-- Rows that a dump of 0.1.0 has brought, which did not count.
CREATE INDEX chats_uncounted ON chat.chats (id) WHERE member_count = 0 AND deleted_id IS NULL;
CREATE INDEX chats_deleted ON chat.chats (deleted_id) WHERE deleted_id IS NOT NULL;
COMMENT ON COLUMN chat.chats.posting IS 'Who may send: all members, or admins and the owner.';
COMMENT ON COLUMN chat.chats.member_count IS 'Present members.';
COMMENT ON COLUMN chat.chats.large IS 'It has once had more than chat.user_fanout_limit members: its events go to its own channel.';
COMMENT ON COLUMN chat.chats.deleted_id IS 'Event that deleted it; nobody sees it any more, maintenance removes what it held.';
-- Substring search of rooms; the operator class lives where pg_trgm was installed.
DO $trigram$
DECLARE
	trgm name := (SELECT n.nspname FROM pg_catalog.pg_extension e
		JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
BEGIN
	EXECUTE pg_catalog.format('CREATE INDEX chats_title_trigram ON chat.chats USING gin (lower(title) %I.gin_trgm_ops) WHERE kind = ''room''', trgm);
	EXECUTE pg_catalog.format('CREATE INDEX chats_description_trigram ON chat.chats USING gin (lower(description) %I.gin_trgm_ops) WHERE kind = ''room''', trgm);
END
$trigram$;
COMMENT ON COLUMN chat.members.joined_id IS 'Event that let him in; 0 in direct chats.';
COMMENT ON COLUMN chat.members.visible_from IS 'He sees what has a greater id: by the setting history_for_new_members all, or what came from his joining on.';
COMMENT ON COLUMN chat.members.left_id IS 'Event with which he left or was removed; he sees nothing after it. NULL = he is in.';
COMMENT ON COLUMN chat.members.left_count IS 'chats.message_count at that moment.';
COMMENT ON COLUMN chat.members.left_chat IS 'The row of chat.chats at that moment: what he goes on seeing of it.';
COMMENT ON COLUMN chat.members.delivered_id IS 'Delivery cursor: the last message that reached a device of his; never moves back.';
COMMENT ON COLUMN chat.members.mentions IS 'Messages above the read cursor that mention him.';
COMMENT ON COLUMN chat.members.hidden_id IS 'He deleted the direct chat for himself: it is not listed until a message beyond this event.';
COMMENT ON COLUMN chat.members.prefs_version IS 'Id of the last change of muted_until, archived, pinned, marked_unread, hidden_id.';
COMMENT ON COLUMN chat.members.moved IS 'When read_version or delivered_version last changed, coarsely: chat.moved of it; 0 = in a release that did not note it.';
CREATE TABLE chat.bans (
	chat_id bigint NOT NULL,
	user_id bigint NOT NULL,
	until timestamptz,
	actor_id bigint NOT NULL,
	PRIMARY KEY (chat_id, user_id)
);
COMMENT ON TABLE chat.bans IS 'Who may not come in, whether he was in or not.';
COMMENT ON COLUMN chat.bans.until IS 'NULL = for good.';
COMMENT ON COLUMN chat.bans.actor_id IS 'Who banned him.';
SELECT pg_catalog.pg_extension_config_dump('chat.bans', '');
CREATE TABLE chat.invite_links (
	chat_id bigint NOT NULL,
	id bigint NOT NULL,
	code text NOT NULL CONSTRAINT invite_links_code UNIQUE,
	creator_id bigint NOT NULL,
	expires_at timestamptz,
	max_uses integer CHECK (max_uses > 0),
	uses integer NOT NULL DEFAULT 0 CHECK (uses <= max_uses),
	PRIMARY KEY (chat_id, id)
);
COMMENT ON TABLE chat.invite_links IS 'Secrets that let whoever has one join the chat. Revoking deletes the row.';
COMMENT ON COLUMN chat.invite_links.code IS '128 random bits.';
COMMENT ON COLUMN chat.invite_links.uses IS 'How many have joined by it.';
SELECT pg_catalog.pg_extension_config_dump('chat.invite_links', '');
CREATE TABLE chat.drafts (
	user_id bigint NOT NULL,
	chat_id bigint NOT NULL,
	body text NOT NULL,
	reply_to_id bigint,
	version bigint NOT NULL,
	PRIMARY KEY (user_id, chat_id)
);
COMMENT ON TABLE chat.drafts IS 'What somebody has begun to write in a chat, for his other devices. A cleared one stays as an empty row, so that they hear of it.';
SELECT pg_catalog.pg_extension_config_dump('chat.drafts', '');
-- What get_chat answers, and every call that makes or changes a chat; chat_page is a row of list_chats. Types of their own,
-- as PL/pgSQL does not let a function take and answer a title.
CREATE TYPE chat.chat_row AS (
	id bigint,
	kind text,
	created_at timestamptz,
	creator_id bigint,
	title text,
	description text,
	avatar_file_id bigint,
	attributes jsonb,
	posting text,
	member_count integer,
	role text,
	left_at timestamptz,
	other_user jsonb,
	last_event_id bigint,
	last_message json,
	message_count integer,
	unread integer,
	mentions integer,
	read_id bigint,
	delivered_id bigint,
	other_read_id bigint,
	other_delivered_id bigint,
	muted_until timestamptz,
	archived boolean,
	pinned boolean,
	marked_unread boolean,
	prefs_version bigint,
	draft jsonb
);
COMMENT ON TYPE chat.chat_row IS 'A chat as one of its members sees it.';
CREATE TYPE chat.chat_page AS (
	id bigint,
	kind text,
	created_at timestamptz,
	creator_id bigint,
	title text,
	description text,
	avatar_file_id bigint,
	attributes jsonb,
	posting text,
	member_count integer,
	role text,
	left_at timestamptz,
	other_user jsonb,
	last_event_id bigint,
	last_message json,
	message_count integer,
	unread integer,
	mentions integer,
	read_id bigint,
	delivered_id bigint,
	other_read_id bigint,
	other_delivered_id bigint,
	muted_until timestamptz,
	archived boolean,
	pinned boolean,
	marked_unread boolean,
	prefs_version bigint,
	draft jsonb,
	has_more boolean
);
COMMENT ON TYPE chat.chat_page IS 'A row of list_chats.';
CREATE TYPE chat.member_row AS (
	id bigint,
	user_name text,
	display_name text,
	avatar_file_id bigint,
	role text,
	joined_at timestamptz
);
COMMENT ON TYPE chat.member_row IS 'A member as the others see him; id is the user''s.';
CREATE TABLE chat.events (
	chat_id bigint NOT NULL,
	id bigint NOT NULL,
	prev_id bigint NOT NULL,
	type text NOT NULL,
	actor_id bigint,
	payload jsonb NOT NULL,
	PRIMARY KEY (chat_id, id)
);
COMMENT ON TABLE chat.events IS 'Every durable change in a chat but new messages, which are their own log. Kept for the setting event_retention.';
COMMENT ON COLUMN chat.events.prev_id IS 'Id of the chat''s event before this one.';
COMMENT ON COLUMN chat.events.payload IS 'The event''s own members, as published.';
SELECT pg_catalog.pg_extension_config_dump('chat.events', '');

CREATE TABLE chat.leases (
	id bigint PRIMARY KEY,
	expires_at timestamptz NOT NULL
);
COMMENT ON TABLE chat.leases IS 'Running gateways, one row each; a dead one''s lapses.';
SELECT pg_catalog.pg_extension_config_dump('chat.leases', '');

CREATE TABLE chat.live_sessions (
	session_id bigint NOT NULL,
	lease_id bigint NOT NULL,
	user_id bigint NOT NULL,
	PRIMARY KEY (lease_id, session_id)
);
CREATE INDEX live_sessions_user ON chat.live_sessions (user_id);
COMMENT ON TABLE chat.live_sessions IS 'Sessions with a socket at the gateway that holds the lease. One with sockets at two gateways has two rows.';
SELECT pg_catalog.pg_extension_config_dump('chat.live_sessions', '');

ALTER TABLE chat.messages
	DROP CONSTRAINT messages_kind_check,
	ADD COLUMN edited_id bigint,
	ADD COLUMN deleted_id bigint,
	ADD COLUMN expires_at timestamptz,
	ADD COLUMN mention_ids bigint[],
	ADD COLUMN file_ids bigint[],
	ADD COLUMN reactions jsonb,
	ADD COLUMN pinned boolean NOT NULL DEFAULT false,
	ADD COLUMN forwarded_from bigint;
-- Few messages are in these.
CREATE INDEX messages_expiring ON chat.messages (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX messages_files ON chat.messages (chat_id, id) WHERE file_ids IS NOT NULL;
CREATE INDEX messages_pinned ON chat.messages (chat_id, id) WHERE pinned;
COMMENT ON COLUMN chat.messages.kind IS 'user, or system: an entry that an event has made.';
COMMENT ON COLUMN chat.messages.edited_id IS 'Event of the last edit.';
COMMENT ON COLUMN chat.messages.deleted_id IS 'Event of the deletion: body, attributes, files, mentions and reactions are gone, the row stays.';
COMMENT ON COLUMN chat.messages.reactions IS '[{"emoji", "count"}], in the order of their first use; counts equal the rows of chat.reactions.';
COMMENT ON COLUMN chat.messages.forwarded_from IS 'Sender of the message that this is a copy of.';
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
COMMENT ON TABLE chat.hidden_messages IS 'Messages that somebody deleted for himself only.';
COMMENT ON COLUMN chat.hidden_messages.version IS 'Id of that change.';
SELECT pg_catalog.pg_extension_config_dump('chat.hidden_messages', '');

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

CREATE TABLE chat.push_tokens (
	token text PRIMARY KEY CHECK (octet_length(token) BETWEEN 1 AND 2048),
	user_id bigint NOT NULL,
	platform text NOT NULL CHECK (platform ~ '^[a-z0-9_-]{1,32}$'),
	session_id bigint REFERENCES chat.sessions (id) ON DELETE CASCADE
);
CREATE INDEX push_tokens_user ON chat.push_tokens (user_id);
CREATE INDEX push_tokens_session ON chat.push_tokens (session_id);
COMMENT ON TABLE chat.push_tokens IS 'Devices that get pushes, by the token that their platform''s push service knows them by.';
COMMENT ON COLUMN chat.push_tokens.session_id IS 'The login that registered it, with which it ends; NULL when the app did.';
SELECT pg_catalog.pg_extension_config_dump('chat.push_tokens', '');

CREATE TABLE chat.push_queue (
	message_id bigint PRIMARY KEY,
	chat_id bigint NOT NULL
);
COMMENT ON TABLE chat.push_queue IS 'Messages that somebody may have to be pushed; take_pushes makes chat.pushes of them.';
SELECT pg_catalog.pg_extension_config_dump('chat.push_queue', '');

CREATE TABLE chat.pushes (
	id bigint PRIMARY KEY,
	user_id bigint NOT NULL,
	token text NOT NULL,
	chat_id bigint NOT NULL,
	message_id bigint NOT NULL,
	attempts integer NOT NULL DEFAULT 0,
	due_at timestamptz NOT NULL DEFAULT now(),
	taken boolean NOT NULL DEFAULT false,
	error text
);
CREATE INDEX pushes_user ON chat.pushes (user_id, id);
COMMENT ON TABLE chat.pushes IS 'Pushes of one message to one device, until they are finished, cancelled or given up.';
COMMENT ON COLUMN chat.pushes.attempts IS 'How often it was tried in vain; the last error is beside it.';
COMMENT ON COLUMN chat.pushes.taken IS 'A worker has it, as long as push_users.due_at says.';
SELECT pg_catalog.pg_extension_config_dump('chat.pushes', '');

-- Its row is the lock that gives one user's pushes to one worker at a time.
CREATE TABLE chat.push_users (
	user_id bigint PRIMARY KEY,
	due_at timestamptz NOT NULL,
	worker text
);
COMMENT ON TABLE chat.push_users IS 'Users with pushes.';
COMMENT ON COLUMN chat.push_users.due_at IS 'When to look at him again: the end of the worker''s lease, or of the shortest back-off.';
COMMENT ON COLUMN chat.push_users.worker IS 'Who has his pushes till then; NULL = nobody.';
SELECT pg_catalog.pg_extension_config_dump('chat.push_users', '');

CREATE TABLE chat.maintenance (
	job text PRIMARY KEY,
	position bigint NOT NULL
);
COMMENT ON TABLE chat.maintenance IS 'How far jobs have come that go round a table in turns.';
SELECT pg_catalog.pg_extension_config_dump('chat.maintenance', '');

INSERT INTO chat.groupable (method, built_in)
SELECT pg_catalog.unnest(ARRAY['get_message', 'edit_message', 'delete_message', 'add_reaction', 'remove_reaction', 'mark_delivered', 'mark_unread',
	'set_typing', 'send_signal']), true
ON CONFLICT DO NOTHING;

-- What only PostgreSQL has: room on the page, so that the updates of hot rows stay on it (HOT), and the storage of a column.
DO $storage$
BEGIN
	IF pg_catalog.version() NOT LIKE '%-YB-%' THEN
		ALTER TABLE chat.chats SET (fillfactor = 70);
		ALTER TABLE chat.members SET (fillfactor = 80);
		ALTER TABLE chat.leases SET (fillfactor = 50);
		-- Ranges of a chunk are read without the rest; most files are compressed already.
		ALTER TABLE chat.chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;
	END IF;
END
$storage$;

-- What 0.1.0 did not count.
UPDATE chat.chats c SET member_count = (SELECT count(*) FROM chat.members m WHERE m.chat_id = c.id);

-- Not dumped either: what was published belongs to this server's listeners.
CREATE TABLE chat.outbox (
	id bigint PRIMARY KEY,
	payload text NOT NULL
);
COMMENT ON TABLE chat.outbox IS 'With chat.delivery = outbox, what would be notified; read by gateways (read_outbox), removed by maintenance after the setting outbox_retention.';

-- What find_events and its callers hand on: which events of which chats somebody is to be told.
CREATE TYPE chat.event_range AS (
	chat_id bigint,
	low bigint,
	high bigint,
	first_id bigint,
	reset_id bigint
);
COMMENT ON TYPE chat.event_range IS 'Events of one chat: those above low, up to high. first_id: none of them is before it; NULL = there are none. reset_id: instead of all up to there, chat_reset is told.';

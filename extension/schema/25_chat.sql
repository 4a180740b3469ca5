CREATE TABLE chat.chats (
	id bigint PRIMARY KEY,
	kind text NOT NULL,
	creator_id bigint NOT NULL,
	last_event_id bigint NOT NULL,
	prev_event_id bigint,
	message_count integer NOT NULL DEFAULT 0,
	title text,
	description text,
	avatar_file_id bigint,
	attributes jsonb,
	posting text NOT NULL DEFAULT 'all',
	member_count integer NOT NULL DEFAULT 0,
	large boolean NOT NULL DEFAULT false,
	deleted_id bigint
);
CREATE INDEX chats_room ON chat.chats (id) WHERE kind = 'room';
-- Rows that a dump of 0.1.0 has brought, which did not count.
CREATE INDEX chats_uncounted ON chat.chats (id) WHERE member_count = 0 AND deleted_id IS NULL;
CREATE INDEX chats_creator ON chat.chats (creator_id) WHERE kind <> 'direct';
CREATE INDEX chats_deleted ON chat.chats (deleted_id) WHERE deleted_id IS NOT NULL;
COMMENT ON TABLE chat.chats IS 'A conversation. Its row is the one lock of everything that happens in it (chat.next_event).';
COMMENT ON COLUMN chat.chats.last_event_id IS 'Id of the last durable change in the chat; its own id before the first.';
COMMENT ON COLUMN chat.chats.prev_event_id IS 'Id of the change before that.';
COMMENT ON COLUMN chat.chats.message_count IS 'User messages ever sent, deleted ones too: the number of the last one.';
COMMENT ON COLUMN chat.chats.posting IS 'Who may send: all members, or admins and the owner.';
COMMENT ON COLUMN chat.chats.member_count IS 'Present members.';
COMMENT ON COLUMN chat.chats.large IS 'It has once had more than chat.user_fanout_limit members: its events go to its own channel.';
COMMENT ON COLUMN chat.chats.deleted_id IS 'Event that deleted it; nobody sees it any more, maintenance removes what it held.';
SELECT pg_catalog.pg_extension_config_dump('chat.chats', '');

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

CREATE TABLE chat.direct_chats (
	low_user_id bigint NOT NULL,
	high_user_id bigint NOT NULL CHECK (high_user_id >= low_user_id),
	chat_id bigint NOT NULL CONSTRAINT direct_chats_chat UNIQUE,
	PRIMARY KEY (low_user_id, high_user_id)
);
COMMENT ON TABLE chat.direct_chats IS 'The one direct chat of each pair of users; low = high is somebody''s notes to himself.';
SELECT pg_catalog.pg_extension_config_dump('chat.direct_chats', '');

CREATE TABLE chat.members (
	chat_id bigint NOT NULL,
	user_id bigint NOT NULL,
	role text NOT NULL DEFAULT 'member',
	read_id bigint NOT NULL DEFAULT 0,
	read_count integer NOT NULL DEFAULT 0,
	read_version bigint NOT NULL DEFAULT 0,
	joined_id bigint NOT NULL DEFAULT 0,
	visible_from bigint NOT NULL DEFAULT 0,
	left_id bigint,
	left_count integer,
	delivered_id bigint NOT NULL DEFAULT 0,
	delivered_version bigint NOT NULL DEFAULT 0,
	mentions integer NOT NULL DEFAULT 0,
	muted_until timestamptz,
	archived boolean NOT NULL DEFAULT false,
	pinned boolean NOT NULL DEFAULT false,
	marked_unread boolean NOT NULL DEFAULT false,
	hidden_id bigint NOT NULL DEFAULT 0,
	prefs_version bigint NOT NULL DEFAULT 0,
	left_chat jsonb,
	moved integer NOT NULL DEFAULT 0,
	wrote boolean NOT NULL DEFAULT false,
	added_by bigint,
	PRIMARY KEY (chat_id, user_id)
);
CREATE INDEX members_user ON chat.members (user_id, chat_id);
CREATE INDEX members_moved ON chat.members (chat_id, moved);
CREATE INDEX members_newcomers ON chat.members (chat_id, visible_from) WHERE visible_from > 0;
COMMENT ON TABLE chat.members IS 'Who is in a chat, and how far he has read.';
COMMENT ON COLUMN chat.members.read_id IS 'Read cursor: the last message read; never moves back.';
COMMENT ON COLUMN chat.members.read_count IS 'Number of that message: unread = chats.message_count - read_count.';
COMMENT ON COLUMN chat.members.read_version IS 'Id of the last mark_read; sending moves the cursor without it, as the message says so itself.';
COMMENT ON COLUMN chat.members.joined_id IS 'Event that let him in; 0 in direct chats.';
COMMENT ON COLUMN chat.members.visible_from IS 'He sees what has a greater id: by the setting history_for_new_members all, or what came from his joining on.';
COMMENT ON COLUMN chat.members.left_id IS 'Event with which he left or was removed; he sees nothing after it. NULL = he is in.';
COMMENT ON COLUMN chat.members.left_count IS 'chats.message_count at that moment.';
COMMENT ON COLUMN chat.members.left_chat IS 'The row of chat.chats at that moment: what he goes on seeing of it.';
COMMENT ON COLUMN chat.members.delivered_id IS 'Delivery cursor: the last message that reached a device of his; never moves back.';
COMMENT ON COLUMN chat.members.mentions IS 'Messages above the read cursor that mention him.';
COMMENT ON COLUMN chat.members.hidden_id IS 'He deleted the direct chat for himself: it is not listed until a message beyond this event.';
COMMENT ON COLUMN chat.members.prefs_version IS 'Id of the last change of muted_until, archived, pinned, marked_unread, hidden_id.';
COMMENT ON COLUMN chat.members.wrote IS 'They have sent a message here since they came in.';
COMMENT ON COLUMN chat.members.added_by IS 'Who let them in: they themselves, or a member. NULL: it is a direct chat, or a release before 0.4.0 did not note it.';
COMMENT ON COLUMN chat.members.moved IS 'When read_version or delivered_version last changed, coarsely: chat.moved of it; 0 = in a release that did not note it.';
SELECT pg_catalog.pg_extension_config_dump('chat.members', '');

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

\echo Use "CREATE EXTENSION chat CASCADE" to load this file. \quit
-- The schema and the roles. All roles are NOLOGIN; they survive DROP EXTENSION, as roles belong to the cluster.

DO $encoding$
BEGIN
	IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
		RAISE EXCEPTION 'chat needs a database with encoding UTF8, not %', pg_catalog.getdatabaseencoding()
			USING ERRCODE = 'feature_not_supported', HINT = 'Every character that clients may send must have a place in it: CREATE DATABASE … ENCODING ''UTF8'' TEMPLATE template0.';
	END IF;
END
$encoding$;

CREATE SCHEMA chat;
COMMENT ON SCHEMA chat IS 'Chat back end: every noun is a table that only the owner touches, every verb a function. Start at chat.list_methods().';

DO $roles$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['chat_anonymous', 'chat_user', 'chat_gateway', 'chat_app', 'chat_push', 'chat_monitor'] LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = name) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', name);
		END IF;
	END LOOP;
END
$roles$;

-- chat_anonymous and chat_user mark the wire surface; only chat_gateway has them. Whoever has chat_user can act
-- as anybody.
GRANT chat_anonymous, chat_user TO chat_gateway;
GRANT USAGE ON SCHEMA chat TO chat_anonymous, chat_user, chat_gateway, chat_app, chat_push, chat_monitor;
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
-- Ids below this are safe to use: read and raised by extension/clock.c, 2 seconds of ids at a time.
CREATE SEQUENCE chat.id_ceiling MINVALUE 1 START 1 CACHE 1;
COMMENT ON SEQUENCE chat.id_ceiling IS 'Every id made so far has a tick (milliseconds since 2025 * 4096 + sequence) below this, also after a crash.';
SELECT pg_catalog.pg_extension_config_dump('chat.id_ceiling', '');
CREATE TABLE chat.settings (
	name text PRIMARY KEY,
	value text NOT NULL,
	version bigint NOT NULL
);
COMMENT ON TABLE chat.settings IS 'What an operator has changed of chat.setting_defaults(); written by set_setting().';
COMMENT ON COLUMN chat.settings.version IS 'Id of the last change.';
SELECT pg_catalog.pg_extension_config_dump('chat.settings', '');
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
CREATE TABLE chat.users (
	id bigint PRIMARY KEY,
	user_name text NOT NULL CONSTRAINT users_user_name UNIQUE
		CHECK (user_name ~ '^[a-z0-9._-]{3,32}$'),
	display_name text NOT NULL CHECK (char_length(display_name) BETWEEN 1 AND 64),
	password_hash text,
	email text CHECK (char_length(email) <= 254),
	phone text CHECK (char_length(phone) <= 32),
	external_issuer text,
	external_subject text,
	attributes jsonb NOT NULL DEFAULT '{}',
	suspended_until timestamptz,
	version bigint NOT NULL,
	avatar_file_id bigint,
	status text NOT NULL DEFAULT 'online' CHECK (status IN ('online', 'away', 'busy', 'invisible')),
	status_text text CHECK (char_length(status_text) <= 140),
	status_until timestamptz,
	status_version bigint NOT NULL DEFAULT 0,
	last_seen_at timestamptz,
	deleted boolean NOT NULL DEFAULT false,
	CONSTRAINT users_external UNIQUE (external_issuer, external_subject),
	CHECK ((external_issuer IS NULL) = (external_subject IS NULL))
);
COMMENT ON TABLE chat.users IS 'Who can chat. The id tells when he registered.';
COMMENT ON COLUMN chat.users.password_hash IS 'bcrypt of base64(sha256(password)); NULL for users whom the app or an identity provider logs in.';
COMMENT ON COLUMN chat.users.external_issuer IS 'With external_subject: his identity at an OIDC provider.';
COMMENT ON COLUMN chat.users.suspended_until IS 'He cannot log in before; infinity = for good.';
COMMENT ON COLUMN chat.users.status IS 'What he wants shown while he is online (set_presence), until status_until.';
COMMENT ON COLUMN chat.users.status_version IS 'Id of the last change of what others see of his presence.';
COMMENT ON COLUMN chat.users.last_seen_at IS 'When his last live session ended, unless he was invisible.';
COMMENT ON COLUMN chat.users.deleted IS 'His account is gone: the row stays for the messages that name it, without personal data.';
COMMENT ON COLUMN chat.users.version IS 'Id of the last change of the profile.';
SELECT pg_catalog.pg_extension_config_dump('chat.users', '');

-- The few whose status ends some day, for maintenance.
CREATE INDEX users_status_until ON chat.users (id) WHERE status_until IS NOT NULL;

-- Substring search; the operator class lives where pg_trgm was installed.
DO $trigram$
DECLARE
	trgm name := (SELECT n.nspname FROM pg_catalog.pg_extension e
		JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
BEGIN
	EXECUTE pg_catalog.format('CREATE INDEX users_user_name_trigram ON chat.users USING gin (user_name %I.gin_trgm_ops)', trgm);
	EXECUTE pg_catalog.format('CREATE INDEX users_display_name_trigram ON chat.users USING gin (lower(display_name) %I.gin_trgm_ops)', trgm);
END
$trigram$;
CREATE TABLE chat.sessions (
	id bigint PRIMARY KEY,
	user_id bigint NOT NULL REFERENCES chat.users (id) ON DELETE CASCADE,
	token_hash bytea NOT NULL CONSTRAINT sessions_token UNIQUE,
	device_name text CHECK (char_length(device_name) <= 128),
	address inet,
	expires_at timestamptz NOT NULL,
	last_seen_at timestamptz NOT NULL DEFAULT now(),
	token_issued_at timestamptz
);
CREATE INDEX sessions_user ON chat.sessions (user_id);
COMMENT ON TABLE chat.sessions IS 'One login on one device. Logging out and revoking delete the row.';
COMMENT ON COLUMN chat.sessions.token_hash IS 'sha256 of the token, or what external_token_hash makes of an identity provider''s; the token itself stands nowhere.';
COMMENT ON COLUMN chat.sessions.last_seen_at IS 'When a socket or backend last opened it.';
COMMENT ON COLUMN chat.sessions.token_issued_at IS 'When the identity provider made the newest access token that opened it, by the token''s word; NULL: it has a token of ours.';
SELECT pg_catalog.pg_extension_config_dump('chat.sessions', '');

CREATE TABLE chat.ended_sessions (
	token_hash bytea PRIMARY KEY,
	issued_until timestamptz NOT NULL,
	forget_at timestamptz NOT NULL
);
CREATE INDEX ended_sessions_forget_at ON chat.ended_sessions (forget_at);
COMMENT ON TABLE chat.ended_sessions IS 'Sessions of access tokens that were ended before their time: the tokens are still good for their provider, and must not open them again.';
COMMENT ON COLUMN chat.ended_sessions.issued_until IS 'Tokens made later may open it again.';
SELECT pg_catalog.pg_extension_config_dump('chat.ended_sessions', '');

CREATE TABLE chat.login_failures (
	subject text PRIMARY KEY,
	failures integer NOT NULL,
	window_ends_at timestamptz NOT NULL
);
COMMENT ON TABLE chat.login_failures IS 'Failed attempts to log in, per user name ("user:…") and per address ("address:…"), within the setting login_failure_window.';
SELECT pg_catalog.pg_extension_config_dump('chat.login_failures', '');
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
-- What find_events and its callers hand on: which events of which chats somebody is to be told.
CREATE TYPE chat.event_range AS (
	chat_id bigint,
	low bigint,
	high bigint,
	first_id bigint,
	reset_id bigint
);
COMMENT ON TYPE chat.event_range IS 'Events of one chat: those above low, up to high. first_id: none of them is before it; NULL = there are none. reset_id: instead of all up to there, chat_reset is told.';
CREATE TABLE chat.maintenance (
	job text PRIMARY KEY,
	position bigint NOT NULL
);
COMMENT ON TABLE chat.maintenance IS 'How far jobs have come that go round a table in turns.';
SELECT pg_catalog.pg_extension_config_dump('chat.maintenance', '');
CREATE TABLE chat.groupable (
	method text PRIMARY KEY,
	built_in boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE chat.groupable IS 'Methods whose calls may share a transaction with other users'' calls and be run again when a neighbour fails: short, locking at most one chat and rows beneath it. Operators may add functions of their own.';
COMMENT ON COLUMN chat.groupable.built_in IS 'Comes with the extension, hence is not dumped.';
SELECT pg_catalog.pg_extension_config_dump('chat.groupable', 'WHERE NOT built_in');
INSERT INTO chat.groupable (method, built_in)
SELECT pg_catalog.unnest(ARRAY['get_profile', 'get_user', 'get_chat', 'send_message', 'list_messages', 'mark_read',
	'get_message', 'edit_message', 'delete_message', 'add_reaction', 'remove_reaction', 'mark_delivered', 'mark_unread', 'set_typing', 'send_signal']), true;
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
-- What every other file calls: errors, argument checks, formats, and pgcrypto wherever it was installed.
--
-- The rule for grants in all of api/: `GRANT …; -- since VERSION` stands behind the function it is for, and an
-- upgrade replays only those that are newer than the version it starts from, so that it never gives back what an
-- operator has revoked.
--
-- And for languages: SQL where PostgreSQL makes the function a part of the statement that calls it (expressions, and what stands in
-- FROM); what reads a table and answers a value is PL/pgSQL, for such a function in SQL is parsed and planned at every call.

CREATE FUNCTION chat.fail(reason text, message text DEFAULT NULL, hint text DEFAULT NULL)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'chat_fail_sql';
COMMENT ON FUNCTION chat.fail IS 'Raises the error of chat.reasons() whose word is reason; message and hint replace its own where they say more. For functions in schema chat.';

CREATE FUNCTION chat.reasons(OUT reason text, OUT sqlstate text, OUT message text, OUT hint text)
RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'chat_reasons';
COMMENT ON FUNCTION chat.reasons IS 'Every error this extension raises on purpose. DETAIL carries the reason, SQLSTATE is MC and an HTTP status.';
GRANT EXECUTE ON FUNCTION chat.reasons TO chat_app, chat_gateway; -- since 0.1.0

CREATE FUNCTION chat.check_actor(actor_id bigint)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'chat_check_actor';
COMMENT ON FUNCTION chat.check_actor IS 'Raises MC401 not_authenticated when actor_id is NULL, or an account that is gone.';

CREATE FUNCTION chat.check_length(value text, name text, low integer, high integer)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF char_length(value) > high OR char_length(value) < low THEN
		PERFORM chat.fail('invalid_argument', format('%s is not acceptable', name),
			format('Use %s to %s characters.', low, high));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_length IS 'Raises MC400 invalid_argument when value has not low to high characters; NULL passes.';

CREATE FUNCTION chat.check_attributes(attributes jsonb)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF jsonb_typeof(attributes) <> 'object' THEN
		PERFORM chat.fail('invalid_argument', 'attributes is not acceptable', 'Give a JSON object.');
	ELSIF octet_length(attributes::text) > chat.setting_integer('attributes_max_bytes') THEN
		PERFORM chat.fail('too_large', 'attributes is too large',
			format('Use at most %s bytes.', chat.setting_integer('attributes_max_bytes')));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_attributes IS 'Raises MC400 unless attributes is a JSON object or NULL, MC413 too_large when its text is over the setting attributes_max_bytes.';

CREATE FUNCTION chat.page_size(wanted integer, name text DEFAULT 'page_size')
RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF wanted < 1 THEN
		PERFORM chat.fail('invalid_argument', format('%s is not acceptable', name), 'Use 1 or more.');
	END IF;
	RETURN least(coalesce(wanted, chat.setting_integer('page_size')), chat.setting_integer('page_size_max'));
END
$$;
COMMENT ON FUNCTION chat.page_size IS 'Rows of a page: wanted, or the setting page_size, never more than page_size_max. MC400 under 1, with the parameter''s name.';

CREATE FUNCTION chat.rfc3339(at timestamptz)
RETURNS text LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'chat_rfc3339';
COMMENT ON FUNCTION chat.rfc3339 IS 'The time as it stands in JSON: RFC 3339, UTC.';

CREATE FUNCTION chat.to_json_years(at timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT least(to_json_years.at, '9999-12-31 00:00:00+00') $$;
COMMENT ON FUNCTION chat.to_json_years IS 'The time, at most the end of the years that RFC 3339 can write.';

CREATE FUNCTION chat.invalidate_cache()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'chat_invalidate_cache';
COMMENT ON FUNCTION chat.invalidate_cache IS 'Trigger: every backend reads this table again before its next use.';

DO $crypto$
DECLARE
	crypto name := (SELECT n.nspname FROM pg_catalog.pg_extension e
		JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pgcrypto');
BEGIN
	EXECUTE format($f$
		CREATE OR REPLACE FUNCTION chat.hash_password(password text)
		RETURNS text LANGUAGE sql VOLATILE AS $$
			SELECT %1$I.crypt(encode(sha256(convert_to(hash_password.password, 'UTF8')), 'base64'),
				%1$I.gen_salt('bf', chat.setting_integer('password_cost')::integer))
		$$;
		CREATE OR REPLACE FUNCTION chat.is_password(password text, password_hash text)
		RETURNS boolean LANGUAGE sql STABLE AS $$
			SELECT %1$I.crypt(encode(sha256(convert_to(is_password.password, 'UTF8')), 'base64'),
				is_password.password_hash) = is_password.password_hash
		$$;
		CREATE OR REPLACE FUNCTION chat.new_token()
		RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT encode(%1$I.gen_random_bytes(32), 'hex') $$;
	$f$, crypto);
END
$crypto$;
COMMENT ON FUNCTION chat.hash_password IS 'bcrypt of base64(sha256(password)), as bcrypt reads 72 bytes at most and stops at NUL; cost by the setting password_cost.';
COMMENT ON FUNCTION chat.is_password IS 'Whether password is the one behind password_hash; takes as long as the hash''s cost says.';
COMMENT ON FUNCTION chat.new_token IS '256 random bits in hex.';
-- Creating calls that carry a client_key happen once. A function asks client_key_result first, and when that is NULL makes
-- its thing and ends with save_client_key. Both do nothing without a key.

-- The bare row is the claim: who comes second with the same key waits at it for the first one's end.
CREATE FUNCTION chat.client_key_result(user_id bigint, kind text, client_key text, request jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	known chat.client_keys;
BEGIN
	IF client_key_result.client_key IS NULL THEN
		RETURN NULL;
	END IF;
	PERFORM chat.check_length(client_key_result.client_key, 'client_key', 1, 64);
	INSERT INTO chat.client_keys (user_id, client_key) VALUES (client_key_result.user_id, client_key_result.client_key)
	ON CONFLICT ON CONSTRAINT client_keys_pkey DO NOTHING;
	SELECT k.* INTO known FROM chat.client_keys k
	 WHERE k.user_id = client_key_result.user_id AND k.client_key = client_key_result.client_key;
	IF known.kind <> client_key_result.kind OR known.request_hash <> chat.request_hash(client_key_result.request) THEN
		PERFORM chat.fail('client_key_reused');
	END IF;
	RETURN known.result_id;
END
$$;
COMMENT ON FUNCTION chat.client_key_result IS 'Id of what this user''s call of this kind has already made under this key; NULL: nothing yet, and nobody else can make it before this transaction ends. MC409 client_key_reused when the key stands for another kind or request; MC400 invalid_argument for a key that has not 1 to 64 characters.';

CREATE FUNCTION chat.save_client_key(user_id bigint, kind text, client_key text, request jsonb, result_id bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE chat.client_keys k
	   SET kind = save_client_key.kind, request_hash = chat.request_hash(save_client_key.request), result_id = save_client_key.result_id
	 WHERE k.user_id = save_client_key.user_id AND k.client_key = save_client_key.client_key;
END
$$;
COMMENT ON FUNCTION chat.save_client_key IS 'Notes what was made under the key that client_key_result has claimed.';

CREATE FUNCTION chat.request_hash(request jsonb)
RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT sha256(convert_to(request_hash.request::text, 'UTF8')) $$;
COMMENT ON FUNCTION chat.request_hash IS 'The same for the same arguments, however they were written.';

CREATE FUNCTION chat.expire_client_keys(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	expired integer;
BEGIN
	WITH old AS (
		SELECT k.user_id, k.client_key FROM chat.client_keys k
		 WHERE k.result_id < chat.id_at(now() - interval '7 days') LIMIT expire_client_keys.batch FOR UPDATE SKIP LOCKED
	)
	DELETE FROM chat.client_keys k USING old WHERE k.user_id = old.user_id AND k.client_key = old.client_key;
	GET DIAGNOSTICS expired = ROW_COUNT;
	RETURN expired;
END
$$;
COMMENT ON FUNCTION chat.expire_client_keys IS 'For run_maintenance: forgets at most batch keys older than 7 days, and answers how many.';
CREATE FUNCTION chat.next_id(after_id bigint DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'chat_next_id';
COMMENT ON FUNCTION chat.next_id IS 'A new id: 41 bits milliseconds since 2025-01-01T00:00Z, 10 bits chat.node_id, 12 bits sequence. Greater than every id this server has made and than after_id, whatever the wall clock does, also after a restart, crash or failover. MC400 id_in_future when after_id is more than 60 s ahead of the clock, MC400 invalid_id when it is negative; 25006 on a standby and in read-only transactions.';
GRANT EXECUTE ON FUNCTION chat.next_id TO chat_app; -- since 0.1.0

CREATE FUNCTION chat.take_id(after_id bigint DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'chat_take_id';
COMMENT ON FUNCTION chat.take_id IS 'next_id() for a row of ours: the transaction remembers that it took the id, and only such rows are published.';

CREATE FUNCTION chat.id_time(id bigint)
RETURNS timestamptz LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'chat_id_time';
COMMENT ON FUNCTION chat.id_time IS 'When the id was made, in milliseconds.';
GRANT EXECUTE ON FUNCTION chat.id_time TO chat_app; -- since 0.1.0

CREATE FUNCTION chat.id_at(at timestamptz)
RETURNS bigint LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'chat_id_at';
COMMENT ON FUNCTION chat.id_at IS 'The lowest id of that millisecond; 0 before 2025, the greatest bigint after 2094.';
GRANT EXECUTE ON FUNCTION chat.id_at TO chat_app; -- since 0.1.0

CREATE FUNCTION chat.id_parts(id bigint, OUT at timestamptz, OUT node integer, OUT sequence integer)
RETURNS record LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
	SELECT chat.id_time(id_parts.id), (id_parts.id >> 12 & 1023)::integer, (id_parts.id & 4095)::integer
$$;
COMMENT ON FUNCTION chat.id_parts IS 'What an id is made of.';
GRANT EXECUTE ON FUNCTION chat.id_parts TO chat_app; -- since 0.1.0

CREATE FUNCTION chat.horizon()
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'chat_horizon';
COMMENT ON FUNCTION chat.horizon IS 'An id such that every transaction that has taken one at or below it has ended: whoever looks after this call, in a statement of its own, sees all they wrote. It may step back a little; keep the greatest. With the library preloaded it is exact, an open transaction that has changed a chat holds it back; else it is now - chat.horizon_overlap (10 s), and a transaction that took its first id longer than half of that ago fails at its commit with MC503 transaction_too_old. 25006 on a standby.';
GRANT EXECUTE ON FUNCTION chat.horizon TO chat_app, chat_gateway, chat_monitor; -- since 0.2.0

CREATE FUNCTION chat.last_id()
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'chat_last_id';
COMMENT ON FUNCTION chat.last_id IS 'The last id that this server has made, or one that it will not make any more.';
-- Settings: rules and limits of the domain. Their list is setting_defaults(); a changed one is a row of chat.settings.

CREATE FUNCTION chat.setting_defaults()
RETURNS TABLE (name text, type text, default_value text, low text, high text, description text)
LANGUAGE sql IMMUTABLE AS $$
	VALUES
	('sign_up', 'boolean', 'true', NULL, NULL, 'whether register_user is open to everybody'),
	('external_sign_up', 'boolean', 'true', NULL, NULL, 'whether log_in_external makes users of identities that it sees for the first time'),
	('password_cost', 'integer', '10', '4', '16', 'bcrypt cost of new passwords; each step doubles the time'),
	('session_lifetime', 'interval', '30 days', '1 minute', '10 years', 'how long a session lasts after log_in or refresh_session'),
	('login_failures_per_user', 'integer', '10', '1', '1000000', 'failed attempts for one user name within login_failure_window'),
	('login_failures_per_address', 'integer', '100', '1', '1000000', 'failed attempts from one address within login_failure_window'),
	('login_failure_window', 'interval', '15 minutes', '1 second', '1 day', 'after this long, failed attempts are forgotten'),
	('body_max_length', 'integer', '4096', '1', '65536', 'characters of a message'),
	('attributes_max_bytes', 'integer', '16384', '2', '262144', 'bytes of an attributes object, as JSON text'),
	('page_size', 'integer', '32', '1', '1000', 'rows of a page when the caller names no number'),
	('page_size_max', 'integer', '128', '1', '1000', 'rows of a page at most'),
	('ids_max', 'integer', '1000', '1', '10000', 'ids that one call may name: get_users, get_presence'),
	('direct_requires_connection', 'boolean', 'false', NULL, NULL, 'whether direct messages are for connected users only'),
	('presence_lease', 'interval', '30 seconds', '1 second', '1 hour', 'a gateway that has not renewed its lease for this long is dead, and its users offline'),
	('mentions_max', 'integer', '50', '1', '1000', 'users that one message may mention'),
	('members_max', 'integer', '100000', '2', '10000000', 'members of a chat'),
	('members_per_call_max', 'integer', '100', '1', '1000', 'users that one call may add'),
	('event_retention', 'interval', '30 days', '1 hour', '100 years', 'how long events other than messages are kept'),
	('outbox_retention', 'interval', '5 minutes', '1 minute', '1 day', 'how long rows stay in the outbox; a gateway that was away longer reads the event log'),
	('anyone_adds_members', 'boolean', 'false', NULL, NULL, 'whether members who are no admins may add others and make invite links'),
	('history_for_new_members', 'choice', 'all', NULL, 'all|none', 'whether who joins sees what was written before'),
	('receipts_max_members', 'integer', '100', '2', '10000', 'in larger chats nobody hears how far others have read, there are no typing and signals, and being in one shows nobody''s presence'),
	('reactions_max', 'integer', '20', '1', '100', 'different reactions of one message'),
	('message_retention', 'interval', '0 days', '0 days', '100 years', 'older messages are removed by maintenance; 0 days keeps them for good'),
	('keep_edits', 'boolean', 'true', NULL, NULL, 'whether bodies that an edit replaced are kept for list_message_edits'),
	('scheduled_messages_max', 'integer', '100', '1', '10000', 'messages that one user may have scheduled'),
	('search_language', 'language', 'simple', NULL, NULL, 'text search configuration of search_messages; after a change maintenance indexes all messages again'),
	('message_files_max', 'integer', '20', '1', '1000', 'files that one message may carry'),
	('file_max_bytes', 'integer', '26214400', '1', '1099511627776', 'bytes of a file'),
	('file_types', 'mime types', '*/*', NULL, NULL, 'types that files may have, as image/*, application/pdf; what is claimed is checked against the first bytes'),
	('file_quota', 'integer', '1073741824', '0', '1125899906842624', 'bytes of one user''s files and uploads together'),
	('upload_lifetime', 'interval', '1 day', '1 minute', '1 year', 'an upload that is not finished by then is dropped'),
	('sync_chat_limit', 'integer', '200', '1', '100000', 'missed events of one chat above which sync has it reloaded instead'),
	('sync_page_size', 'integer', '200', '1', '10000', 'events of a page of sync when the caller names no number'),
	('sync_page_size_max', 'integer', '1000', '1', '10000', 'events of a page of sync at most, and state records beside them'),
	('push_preview', 'boolean', 'true', NULL, NULL, 'whether pushes carry the beginning of the message'),
	('push_tokens_max', 'integer', '20', '1', '1000', 'devices of one user that get pushes'),
	('push_lease', 'interval', '1 minute', '1 second', '1 hour', 'how long a push worker has pushes to itself'),
	('push_retry_delay', 'interval', '10 seconds', '1 second', '1 hour', 'wait before a failed push is tried again; it doubles each time'),
	('push_attempts', 'integer', '8', '1', '30', 'failed tries after which a push is given up'),
	('push_lifetime', 'interval', '1 day', '1 minute', '1 year', 'a push that nobody could be given by then is dropped'),
	('maintenance_batch', 'integer', '1000', '1', '1000000', 'rows that one call of run_maintenance handles in each job')
$$;
COMMENT ON FUNCTION chat.setting_defaults IS 'Every setting: its type (integer, boolean, interval, choice, language, mime types), default, lowest and highest value (of a choice: its words), and meaning.';

CREATE FUNCTION chat.setting_text(name text)
RETURNS text LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_setting_text';
COMMENT ON FUNCTION chat.setting_text IS 'A setting''s present value as text; read from this backend''s memory.';

CREATE FUNCTION chat.setting_integer(name text)
RETURNS bigint LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_setting_integer';
COMMENT ON FUNCTION chat.setting_integer IS 'An integer setting''s present value; read from this backend''s memory.';

CREATE FUNCTION chat.setting_boolean(name text)
RETURNS boolean LANGUAGE sql STABLE STRICT AS $$ SELECT chat.setting_text(setting_boolean.name)::boolean $$;
COMMENT ON FUNCTION chat.setting_boolean IS 'A boolean setting''s present value.';

CREATE FUNCTION chat.setting_interval(name text)
RETURNS interval LANGUAGE sql STABLE STRICT AS $$ SELECT chat.setting_text(setting_interval.name)::interval $$;
COMMENT ON FUNCTION chat.setting_interval IS 'An interval setting''s present value.';

CREATE FUNCTION chat.is_valid_setting(type text, value text, low text, high text)
RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT CASE is_valid_setting.type
		WHEN 'boolean' THEN is_valid_setting.value IN ('true', 'false')
		WHEN 'integer' THEN CASE WHEN is_valid_setting.value ~ '^-?[0-9]{1,18}$'
			THEN is_valid_setting.value::bigint BETWEEN is_valid_setting.low::bigint AND is_valid_setting.high::bigint ELSE false END
		WHEN 'interval' THEN CASE WHEN is_valid_setting.value ~ '^([0-9]{1,9} (millisecond|second|minute|hour|day|month)|[0-9]{1,8} year)s?$'
			THEN is_valid_setting.value::interval BETWEEN is_valid_setting.low::interval AND is_valid_setting.high::interval ELSE false END
		WHEN 'choice' THEN is_valid_setting.value = ANY (string_to_array(is_valid_setting.high, '|'))
		WHEN 'language' THEN EXISTS (SELECT FROM pg_catalog.pg_ts_config t
			WHERE t.cfgnamespace = 'pg_catalog'::regnamespace AND t.cfgname = is_valid_setting.value)
		WHEN 'mime types' THEN (SELECT bool_and(btrim(t) ~ '^(\*|[a-z0-9][a-z0-9.+-]*)/(\*|[a-z0-9][a-z0-9.+-]*)$')
			FROM string_to_table(is_valid_setting.value, ',') t)
		ELSE true
	END
$$;
COMMENT ON FUNCTION chat.is_valid_setting IS 'Whether value is of the type and in the range; intervals are written as a number and a unit: 15 minutes.';

CREATE FUNCTION chat.list_settings()
RETURNS TABLE (name text, value text, type text, default_value text, low text, high text, description text, version bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.name, coalesce(s.value, d.default_value), d.type, d.default_value, d.low, d.high, d.description, coalesce(s.version, 0)
	  FROM chat.setting_defaults() d LEFT JOIN chat.settings s ON s.name = d.name
	 ORDER BY d.name
$$;
COMMENT ON FUNCTION chat.list_settings IS 'Every setting with its present value; version is 0 until it was changed.';
GRANT EXECUTE ON FUNCTION chat.list_settings TO chat_app, chat_gateway; -- since 0.1.0

CREATE FUNCTION chat.set_setting(name text, value text, version bigint DEFAULT NULL)
RETURNS chat.settings LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	known record;
	present chat.settings;
BEGIN
	SELECT d.* INTO known FROM chat.setting_defaults() d WHERE d.name = set_setting.name;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_setting');
	ELSIF chat.is_valid_setting(known.type, set_setting.value, known.low, known.high) IS NOT TRUE THEN
		PERFORM chat.fail('invalid_setting', NULL, CASE known.type
			WHEN 'boolean' THEN format('%s is true or false.', known.name)
			WHEN 'choice' THEN format('%s is one of %s.', known.name, known.high)
			WHEN 'language' THEN format('%s is a text search configuration of pg_catalog, as simple, english, german.', known.name)
			WHEN 'mime types' THEN format('%s is a list like image/*, application/pdf.', known.name)
			ELSE format('%s is of type %s, from %s to %s.', known.name, known.type, known.low, known.high) END);
	END IF;

	INSERT INTO chat.settings AS s (name, value, version)
	VALUES (set_setting.name, known.default_value, 0)
	ON CONFLICT ON CONSTRAINT settings_pkey DO NOTHING;
	SELECT s.* INTO present FROM chat.settings s WHERE s.name = set_setting.name FOR UPDATE;
	IF present.value = set_setting.value THEN
		RETURN present;
	ELSIF present.version <> set_setting.version THEN
		PERFORM chat.fail('stale_version');
	END IF;
	UPDATE chat.settings s SET value = set_setting.value, version = chat.take_id(s.version)
	 WHERE s.name = set_setting.name RETURNING s.* INTO present;
	NOTIFY chat_settings;
	RETURN present;
END
$$;
COMMENT ON FUNCTION chat.set_setting IS 'Changes a setting; every backend and gateway follows without a restart. version: the one that list_settings showed, NULL = whatever it is. MC404 no_such_setting; MC400 invalid_setting, with the range in HINT; MC409 stale_version when somebody changed it meanwhile to another value.';
GRANT EXECUTE ON FUNCTION chat.set_setting TO chat_app; -- since 0.1.0

CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON chat.settings
FOR EACH STATEMENT EXECUTE FUNCTION chat.invalidate_cache();
CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON chat.channel_key
FOR EACH STATEMENT EXECUTE FUNCTION chat.invalidate_cache();

CREATE FUNCTION chat.user_channel(user_id bigint)
RETURNS text LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'chat_user_channel';
COMMENT ON FUNCTION chat.user_channel IS 'The NOTIFY channel that carries what this user may hear, as {"to":["user id",…],"event":{…}}; with "chat":"id" beside it, it is the copy for those who come into that large chat or leave it. The same for all users when chat.user_channels = shared: an event is for those in "to". Whoever knows the name can listen.';
GRANT EXECUTE ON FUNCTION chat.user_channel TO chat_app, chat_gateway; -- since 0.1.0

CREATE FUNCTION chat.chat_channel(chat_id bigint)
RETURNS text LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'chat_chat_channel';
COMMENT ON FUNCTION chat.chat_channel IS 'The NOTIFY channel that carries what happens in this chat once it is large, as {"chat":"id","event":{…}}; one of 256, shared with other chats. Whoever knows the name can listen.';
GRANT EXECUTE ON FUNCTION chat.chat_channel TO chat_app, chat_gateway; -- since 0.2.0

CREATE FUNCTION chat.list_chat_channels()
RETURNS SETOF text LANGUAGE c STABLE ROWS 256 SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'chat_list_chat_channels';
COMMENT ON FUNCTION chat.list_chat_channels IS 'All names that chat_channel can answer: who listens to them hears every large chat.';
GRANT EXECUTE ON FUNCTION chat.list_chat_channels TO chat_gateway; -- since 0.2.0

CREATE FUNCTION chat.publish(event jsonb, user_ids bigint[], chat_id bigint DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'chat_publish';
COMMENT ON FUNCTION chat.publish IS 'Publishes an event that no table logs: to the members of chat_id, or to these users. ids in it are strings. At most 7,900 bytes with its envelope.';

CREATE FUNCTION chat.took(id bigint)
RETURNS boolean LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'chat_took';
COMMENT ON FUNCTION chat.took IS 'Whether this very transaction took the id: triggers publish only such rows, so that a restore or replication publishes nothing.';

CREATE FUNCTION chat.publish_signal(channel text)
RETURNS void LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'chat_publish_signal';
COMMENT ON FUNCTION chat.publish_signal IS 'An empty notification on one of the fixed channels, sent as events are: never with NOTIFY''s lock in a busy writer''s transaction.';

CREATE FUNCTION chat.publish_resync()
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'chat_publish_resync';
COMMENT ON FUNCTION chat.publish_resync IS 'Tells all listeners on channel chat_resync that they may have missed something.';

CREATE FUNCTION chat.publish_horizon(channel text, OUT horizon bigint, OUT delivery text)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'chat_publish_horizon';
COMMENT ON FUNCTION chat.publish_horizon IS 'Sends {"horizon":"id"} with the present chat.horizon() to a channel of the caller''s own, chat_g_ and 32 random hexadecimal digits, behind all that was published before: when it arrives, all events up to that horizon have. It is lost, and to be asked for again, when notifications are. delivery: the value of chat.delivery; with outbox it comes as a row of read_outbox, with none it does not come. MC400 invalid_argument; 25006 on a standby.';
GRANT EXECUTE ON FUNCTION chat.publish_horizon TO chat_gateway; -- since 0.2.0

CREATE FUNCTION chat.read_outbox(after_id bigint, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, payload text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT o.id, o.payload FROM chat.outbox o WHERE o.id > coalesce(read_outbox.after_id, 0) ORDER BY o.id
	 LIMIT least(greatest(coalesce(read_outbox.page_size, 1000), 1), 10000)
$$;
COMMENT ON FUNCTION chat.read_outbox IS 'What was published with chat.delivery = outbox, ascending by id, page_size (1,000, at most 10,000) after after_id: the payloads that would be notified, once each, for whatever channels. Up to chat.horizon() rows are complete; above it rows may still appear between those already seen: read again from a horizon taken before the last reading, and drop what was seen.';
GRANT EXECUTE ON FUNCTION chat.read_outbox TO chat_gateway; -- since 0.2.0

CREATE FUNCTION chat.expire_outbox(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	expired integer;
BEGIN
	DELETE FROM chat.outbox o USING (
		SELECT p.id FROM chat.outbox p WHERE p.id < chat.id_at(now() - chat.setting_interval('outbox_retention'))
		 ORDER BY p.id LIMIT expire_outbox.batch FOR UPDATE SKIP LOCKED) old
	 WHERE o.id = old.id;
	GET DIAGNOSTICS expired = ROW_COUNT;
	RETURN expired;
END
$$;
COMMENT ON FUNCTION chat.expire_outbox IS 'For run_maintenance: deletes at most batch rows of the outbox that are older than the setting outbox_retention, and answers how many.';

CREATE FUNCTION chat.rotate_channel_key()
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE chat.channel_key SET key = substring(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')) FOR 16);
	PERFORM chat.publish_resync();
END
$$;
COMMENT ON FUNCTION chat.rotate_channel_key IS 'Renames all channels: whoever has learnt a name of user_channel or chat_channel hears nothing on it any more. Gateways read the names again and then what they missed meanwhile; other listeners have to ask for theirs again when they hear chat_resync.';
GRANT EXECUTE ON FUNCTION chat.rotate_channel_key TO chat_app; -- since 0.2.0

CREATE FUNCTION chat.subscribe_user(user_id bigint)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	channel text := chat.user_channel(subscribe_user.user_id);
BEGIN
	EXECUTE format('LISTEN %I', channel);
	LISTEN chat_resync;
	RETURN channel;
END
$$;
COMMENT ON FUNCTION chat.subscribe_user IS 'LISTENs to what this user may hear, and to chat_resync, in the session that calls it; answers the channel. What is heard there is for the users in "to"; large chats have channels of their own (chat_channel).';
GRANT EXECUTE ON FUNCTION chat.subscribe_user TO chat_app, chat_gateway; -- since 0.2.0

CREATE FUNCTION chat.delivery_stat(name text)
RETURNS bigint LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'chat_delivery_stat';
COMMENT ON FUNCTION chat.delivery_stat IS 'A counter for chat.stats, of this database since the server''s start, of ids of all databases; NULL where there is no ring.';
-- No functions of ours in here: a view checks them against its reader, who has only the view.
CREATE VIEW chat.v_users AS
SELECT u.id, u.user_name, u.display_name, u.avatar_file_id,
	CASE
		WHEN NOT EXISTS (SELECT FROM chat.live_sessions s JOIN chat.leases l ON l.id = s.lease_id
			WHERE s.user_id = u.id AND l.expires_at > now()) THEN 'offline'
		WHEN u.status_until <= now() THEN 'online'
		WHEN u.status = 'invisible' THEN 'offline'
		ELSE u.status
	END AS status,
	CASE WHEN u.status_until <= now() THEN NULL ELSE u.status_text END AS status_text,
	u.deleted
  FROM chat.users u;
COMMENT ON VIEW chat.v_users IS 'Public profiles. status: online, away, busy or offline, as those see it who may (get_presence). A deleted user keeps his row for the messages that name him.';
GRANT SELECT ON chat.v_users TO chat_app; -- since 0.1.0
GRANT REFERENCES (id) ON chat.users TO chat_app; -- since 0.1.0

CREATE VIEW chat.v_profiles AS
SELECT u.id, u.user_name, u.display_name, u.email, u.phone, u.attributes, chat.id_time(u.id) AS created_at, u.version,
	u.avatar_file_id
  FROM chat.users u;
COMMENT ON VIEW chat.v_profiles IS 'Whole profiles, as their owners see them.';

CREATE FUNCTION chat.profile_json(user_id bigint)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT jsonb_build_object('id', p.id::text, 'user_name', p.user_name, 'display_name', p.display_name, 'email', p.email,
		'phone', p.phone, 'attributes', p.attributes, 'created_at', chat.rfc3339(p.created_at), 'version', p.version::text,
		'avatar_file_id', p.avatar_file_id::text)
	  FROM chat.v_profiles p WHERE p.id = profile_json.user_id);
END
$$;
COMMENT ON FUNCTION chat.profile_json IS 'get_profile''s row as JSON.';

CREATE FUNCTION chat.profile_event(user_id bigint, version bigint)
RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT chat.profile_json(profile_event.user_id)
		|| jsonb_build_object('type', 'profile_changed', 'at', chat.rfc3339(chat.id_time(profile_event.version)))
$$;
COMMENT ON FUNCTION chat.profile_event IS 'The profile_changed event, as it is published and as sync tells it.';

CREATE FUNCTION chat.publish_profile()
RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	event jsonb := chat.profile_event(NEW.id, NEW.version);
BEGIN
	IF chat.took(NEW.version) THEN
		-- Only attributes can be large.
		PERFORM chat.publish(CASE WHEN octet_length(event::text) > 7000 THEN event - 'attributes' || '{"partial": true}' ELSE event END, ARRAY[NEW.id]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_profile IS 'Trigger: profile_changed, to the user''s own sockets; partial when it had to leave attributes out.';
CREATE TRIGGER publish_profile AFTER UPDATE OF version ON chat.users
FOR EACH ROW EXECUTE FUNCTION chat.publish_profile();

-- All a new user can get wrong, in one place for those who make one.
CREATE FUNCTION chat.check_new_user(user_name text, display_name text, email text, phone text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	-- deleted.ID is what erasure leaves of a name.
	IF user_name IS NULL OR user_name !~ '^[a-z0-9._-]{3,32}$' OR user_name ~ '^deleted\.[0-9]+$' THEN
		PERFORM chat.fail('invalid_user_name');
	END IF;
	PERFORM chat.check_length(display_name, 'display_name', 1, 64);
	PERFORM chat.check_length(email, 'email', 3, 254);
	PERFORM chat.check_length(phone, 'phone', 3, 32);
END
$$;
COMMENT ON FUNCTION chat.check_new_user IS 'Raises MC400 for a user name, display name, email or phone that nobody can have.';

CREATE FUNCTION chat.check_password(password text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF password IS NULL OR char_length(password) NOT BETWEEN 8 AND 128 THEN
		PERFORM chat.fail('invalid_password');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_password IS 'Raises MC400 invalid_password for one that nobody can choose.';

CREATE FUNCTION chat.check_ids(ids bigint[], name text)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF cardinality(ids) > chat.setting_integer('ids_max') THEN
		PERFORM chat.fail('invalid_argument', format('there are too many %s', name), format('Give at most %s.', chat.setting_integer('ids_max')));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_ids IS 'Raises MC400 invalid_argument for more ids than the setting ids_max.';

-- People are locked in the order of their ids, and before anything that lies between them.
CREATE FUNCTION chat.lock_users(user_ids bigint[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM count(*) FROM (SELECT FROM chat.users u WHERE u.id = ANY (lock_users.user_ids) ORDER BY u.id FOR NO KEY UPDATE) locked;
END
$$;
COMMENT ON FUNCTION chat.lock_users IS 'Locks these users'' rows, the lower id first; who changes what lies between two users holds both.';

CREATE FUNCTION chat.register_user(user_name text, password text, display_name text DEFAULT NULL,
	email text DEFAULT NULL, phone text DEFAULT NULL)
RETURNS chat.v_profiles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	profile chat.v_profiles;
	new_id bigint;
BEGIN
	IF NOT chat.setting_boolean('sign_up') THEN
		PERFORM chat.fail('sign_up_closed');
	END IF;
	PERFORM chat.check_new_user(register_user.user_name, register_user.display_name, register_user.email, register_user.phone);
	PERFORM chat.check_password(register_user.password);
	-- Hashing takes a tenth of a second: not before the name is known to be free, nor with its row locked.
	IF EXISTS (SELECT FROM chat.users u WHERE u.user_name = register_user.user_name) THEN
		PERFORM chat.fail('user_name_taken');
	END IF;
	register_user.password := chat.hash_password(register_user.password);
	new_id := chat.take_id();
	INSERT INTO chat.users (id, user_name, display_name, password_hash, email, phone, version)
	VALUES (new_id, register_user.user_name, coalesce(register_user.display_name, register_user.user_name),
		register_user.password, register_user.email, register_user.phone, new_id)
	ON CONFLICT ON CONSTRAINT users_user_name DO NOTHING;
	IF NOT FOUND THEN
		PERFORM chat.fail('user_name_taken');
	END IF;
	SELECT p.* INTO profile FROM chat.v_profiles p WHERE p.id = new_id;
	RETURN profile;
END
$$;
COMMENT ON FUNCTION chat.register_user IS 'Makes a user who logs in with a password. user_name: 3 to 32 of a-z 0-9 . _ -, unique; password: 8 to 128 characters; display_name: 1 to 64 characters, by default the user name; email and phone are private. Answers the profile; log_in comes next. MC400 invalid_user_name, invalid_password, invalid_argument; MC403 sign_up_closed by the setting sign_up; MC409 user_name_taken.';
GRANT EXECUTE ON FUNCTION chat.register_user TO chat_anonymous, chat_app; -- since 0.1.0

CREATE FUNCTION chat.create_user(user_name text, display_name text DEFAULT NULL,
	external_issuer text DEFAULT NULL, external_subject text DEFAULT NULL, attributes jsonb DEFAULT NULL)
RETURNS chat.v_profiles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	profile chat.v_profiles;
	new_id bigint := chat.take_id();
BEGIN
	PERFORM chat.check_new_user(create_user.user_name, create_user.display_name, NULL, NULL);
	PERFORM chat.check_attributes(create_user.attributes);
	IF (create_user.external_issuer IS NULL) <> (create_user.external_subject IS NULL) THEN
		PERFORM chat.fail('invalid_argument', 'external_issuer and external_subject belong together', 'Give both or neither.');
	END IF;
	INSERT INTO chat.users (id, user_name, display_name, external_issuer, external_subject, attributes, version)
	VALUES (new_id, create_user.user_name, coalesce(create_user.display_name, create_user.user_name),
		create_user.external_issuer, create_user.external_subject, coalesce(create_user.attributes, '{}'), new_id)
	ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		PERFORM chat.fail(CASE WHEN EXISTS (SELECT FROM chat.users u WHERE u.user_name = create_user.user_name)
			THEN 'user_name_taken' ELSE 'external_user_exists' END);
	END IF;
	SELECT p.* INTO profile FROM chat.v_profiles p WHERE p.id = new_id;
	RETURN profile;
END
$$;
COMMENT ON FUNCTION chat.create_user IS 'Makes a user without a password, for an app that logs users in itself (create_session) or knows them by an identity provider. MC400 invalid_user_name, invalid_argument; MC409 user_name_taken, external_user_exists; MC413 too_large.';
GRANT EXECUTE ON FUNCTION chat.create_user TO chat_app; -- since 0.1.0

CREATE FUNCTION chat.get_profile(actor_id bigint)
RETURNS chat.v_profiles LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	profile chat.v_profiles;
BEGIN
	PERFORM chat.check_actor(get_profile.actor_id);
	SELECT p.* INTO profile FROM chat.v_profiles p WHERE p.id = get_profile.actor_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	RETURN profile;
END
$$;
COMMENT ON FUNCTION chat.get_profile IS 'One''s own profile, private parts included. MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.get_profile TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.edit_profile(actor_id bigint, version bigint DEFAULT NULL, display_name text DEFAULT NULL,
	avatar_file_id bigint DEFAULT NULL, email text DEFAULT NULL, phone text DEFAULT NULL, attributes jsonb DEFAULT NULL)
RETURNS chat.v_profiles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	present chat.users;
	wanted chat.users;
	profile chat.v_profiles;
BEGIN
	PERFORM chat.check_actor(edit_profile.actor_id);
	PERFORM chat.check_attributes(edit_profile.attributes);
	SELECT u.* INTO present FROM chat.users u WHERE u.id = edit_profile.actor_id AND NOT u.deleted FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	wanted := present;
	wanted.display_name := coalesce(nullif(edit_profile.display_name, ''), CASE edit_profile.display_name WHEN '' THEN present.user_name END, present.display_name);
	wanted.avatar_file_id := nullif(coalesce(edit_profile.avatar_file_id, present.avatar_file_id), 0);
	wanted.email := nullif(coalesce(edit_profile.email, present.email), '');
	wanted.phone := nullif(coalesce(edit_profile.phone, present.phone), '');
	wanted.attributes := coalesce(edit_profile.attributes, present.attributes);
	IF wanted IS DISTINCT FROM present THEN
		IF present.version <> edit_profile.version THEN
			PERFORM chat.fail('stale_version');
		END IF;
		PERFORM chat.check_new_user(wanted.user_name, wanted.display_name, wanted.email, wanted.phone);
		IF wanted.avatar_file_id <> coalesce(present.avatar_file_id, 0) THEN
			PERFORM chat.check_avatar(edit_profile.actor_id, wanted.avatar_file_id);
		END IF;
		UPDATE chat.users u
		   SET display_name = wanted.display_name, avatar_file_id = wanted.avatar_file_id, email = wanted.email, phone = wanted.phone,
			   attributes = wanted.attributes, version = chat.take_id(u.version)
		 WHERE u.id = edit_profile.actor_id;
	END IF;
	SELECT p.* INTO profile FROM chat.v_profiles p WHERE p.id = edit_profile.actor_id;
	RETURN profile;
END
$$;
COMMENT ON FUNCTION chat.edit_profile IS 'Changes what is given of one''s own profile and leaves the rest: display_name 1 to 64 characters ('''' = the user name again), avatar_file_id an image of one''s own, which everybody can read from then on (0 = none), email and phone ('''' = none), attributes a JSON object that takes the old one''s place. version: the profile''s that was edited, NULL = whatever it is. Answers the profile. MC400 invalid_argument; MC403 not_owner; MC404 no_such_user, no_such_file; MC409 stale_version when it was changed meanwhile to something else; MC413 too_large.';
GRANT EXECUTE ON FUNCTION chat.edit_profile TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.get_user(actor_id bigint, user_id bigint)
RETURNS chat.v_users LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found_user chat.v_users;
BEGIN
	PERFORM chat.check_actor(get_user.actor_id);
	SELECT u.* INTO found_user FROM chat.seen_users(get_user.actor_id, ARRAY[get_user.user_id]) u;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	RETURN found_user;
END
$$;
COMMENT ON FUNCTION chat.get_user IS 'A user''s public profile; deleted: only his place is left. status and status_text as get_presence shows them. MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.get_user TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.get_users(actor_id bigint, user_ids bigint[])
RETURNS SETOF chat.v_users LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(get_users.actor_id);
	PERFORM chat.check_ids(get_users.user_ids, 'user_ids');
	RETURN QUERY SELECT u.* FROM chat.seen_users(get_users.actor_id, get_users.user_ids) u ORDER BY u.id;
END
$$;
COMMENT ON FUNCTION chat.get_users IS 'The public profiles of these users, as get_user shows them, ascending by id; ids that are nobody''s are left out. At most the setting ids_max. MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.get_users TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.search_users(actor_id bigint, pattern text, page_size integer DEFAULT NULL,
	offset_token text DEFAULT NULL)
RETURNS TABLE (id bigint, user_name text, display_name text, avatar_file_id bigint, status text, status_text text,
	next_token text, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	words text := lower(btrim(search_users.pattern));
	literal text := replace(replace(replace(words, '\', '\\'), '%', '\%'), '_', '\_');
	-- A trigram index finds substrings of 3 characters and more; 2 are looked for at the beginning only.
	substrings boolean := char_length(words) > 2;
	size integer := chat.page_size(search_users.page_size);
	page bigint[];
BEGIN
	PERFORM chat.check_actor(search_users.actor_id);
	IF words IS NULL OR char_length(words) < 2 THEN
		PERFORM chat.fail('pattern_too_short');
	ELSIF search_users.offset_token !~ '^[01]:[a-z0-9._-]{3,32}$' THEN
		PERFORM chat.fail('invalid_argument', 'offset_token is not acceptable', 'Pass the next_token of the last row seen.');
	END IF;
	PERFORM chat.check_length(words, 'pattern', 2, 64);
	page := ARRAY(
		SELECT f.id
		  FROM chat.users f CROSS JOIN LATERAL chat.search_token(f.user_name, f.display_name, literal) AS token
		 WHERE (f.user_name LIKE literal || '%' OR lower(f.display_name) LIKE literal || '%'
				OR substrings AND (f.user_name LIKE '%' || literal || '%' OR lower(f.display_name) LIKE '%' || literal || '%'))
		   AND NOT f.deleted AND (f.suspended_until <= now()) IS NOT FALSE
		   AND NOT chat.are_blocked(search_users.actor_id, f.id)
		   AND (search_users.offset_token IS NULL OR token COLLATE "C" > search_users.offset_token)
		 ORDER BY token COLLATE "C" LIMIT size + 1);
	RETURN QUERY
	SELECT u.id, u.user_name, u.display_name, u.avatar_file_id, u.status, u.status_text, token, cardinality(page) > size
	  FROM chat.seen_users(search_users.actor_id, page[1:size]) u
	 CROSS JOIN LATERAL chat.search_token(u.user_name, u.display_name, literal) AS token
	 ORDER BY token COLLATE "C";
END
$$;
COMMENT ON FUNCTION chat.search_users IS 'Users whose user name or display name contains pattern, whatever the case: names beginning with it first, then by user name. Nobody who is deleted or suspended, and nobody with a block between him and oneself. 2 characters at least; with just 2, only beginnings. offset_token: the next_token of the last row seen. MC400 pattern_too_short, invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.search_users TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.search_token(user_name text, display_name text, literal text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT (search_token.user_name NOT LIKE search_token.literal || '%'
		AND lower(search_token.display_name) NOT LIKE search_token.literal || '%')::integer || ':' || search_token.user_name
$$;
COMMENT ON FUNCTION chat.search_token IS 'Where search_users has found somebody: beginnings before the rest, then by user name.';

CREATE FUNCTION chat.suspend_user(user_id bigint, until timestamptz DEFAULT NULL)
RETURNS chat.v_profiles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	profile chat.v_profiles;
BEGIN
	suspend_user.until := coalesce(suspend_user.until, 'infinity');
	UPDATE chat.users u
	   SET suspended_until = CASE WHEN suspend_user.until > now() THEN suspend_user.until END, version = chat.take_id(u.version)
	 WHERE u.id = suspend_user.user_id AND NOT u.deleted;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	IF suspend_user.until > now() THEN
		DELETE FROM chat.sessions s WHERE s.user_id = suspend_user.user_id;
	END IF;
	SELECT p.* INTO profile FROM chat.v_profiles p WHERE p.id = suspend_user.user_id;
	RETURN profile;
END
$$;
COMMENT ON FUNCTION chat.suspend_user IS 'Ends all sessions of the user and lets him open none before this time: NULL = for good; a past time lifts the suspension. Answers his profile. MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.suspend_user TO chat_app; -- since 0.2.0
-- A session is one login on one device. Its token is a secret of 256 random bits of which only a hash is kept.

CREATE FUNCTION chat.token_hash(token text)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT sha256(convert_to(token_hash.token, 'UTF8')) $$;
COMMENT ON FUNCTION chat.token_hash IS 'What chat.sessions keeps of a token.';

CREATE FUNCTION chat.check_suspension(user_id bigint)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF EXISTS (SELECT FROM chat.users u WHERE u.id = check_suspension.user_id AND u.suspended_until > now()) THEN
		PERFORM chat.fail('user_suspended');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_suspension IS 'Raises MC403 user_suspended while it lasts.';

CREATE FUNCTION chat.new_session(user_id bigint, device_name text, address inet, lifetime interval,
	OUT token text, OUT session_id bigint, OUT expires_at timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chat.check_length(new_session.device_name, 'device_name', 0, 128);
	token := chat.new_token();
	session_id := chat.take_id();
	expires_at := date_trunc('milliseconds', now() + new_session.lifetime);
	INSERT INTO chat.sessions (id, user_id, token_hash, device_name, address, expires_at)
	VALUES (session_id, new_session.user_id, chat.token_hash(token), new_session.device_name, new_session.address, expires_at);
END
$$;
COMMENT ON FUNCTION chat.new_session IS 'Opens a session for a user who was found to be himself.';

-- The counters behind the throttle of log_in: one row per user name tried and per address.
CREATE FUNCTION chat.login_wait(user_name text, address inet)
RETURNS interval LANGUAGE sql STABLE AS $$
	SELECT max(f.window_ends_at) - now()
	  FROM chat.login_failures f
	 WHERE f.window_ends_at > now()
	   AND (f.subject = 'user:' || login_wait.user_name AND f.failures >= chat.setting_integer('login_failures_per_user')
		 OR f.subject = 'address:' || host(login_wait.address) AND f.failures >= chat.setting_integer('login_failures_per_address'))
$$;
COMMENT ON FUNCTION chat.login_wait IS 'How long attempts for this name or from this address are refused; NULL = they are not.';

CREATE FUNCTION chat.count_login_failure(user_name text, address inet)
RETURNS void LANGUAGE sql VOLATILE AS $$
	DELETE FROM chat.login_failures f
	 WHERE f.subject IN (SELECT o.subject FROM chat.login_failures o WHERE o.window_ends_at < now() LIMIT 10 FOR UPDATE SKIP LOCKED);
	INSERT INTO chat.login_failures AS f (subject, failures, window_ends_at)
	SELECT s.subject, 1, now() + chat.setting_interval('login_failure_window')
	  FROM (VALUES ('address:' || host(count_login_failure.address)), ('user:' || count_login_failure.user_name)) AS s (subject)
	 WHERE s.subject IS NOT NULL
	 ORDER BY s.subject
	ON CONFLICT (subject) DO UPDATE
	   SET failures = CASE WHEN f.window_ends_at > now() THEN f.failures + 1 ELSE 1 END,
		   window_ends_at = CASE WHEN f.window_ends_at > now() THEN f.window_ends_at ELSE excluded.window_ends_at END
$$;
COMMENT ON FUNCTION chat.count_login_failure IS 'Counts one failed attempt for the name and for the address, and forgets a few whose window is over.';

CREATE FUNCTION chat.error_json(reason text, retry_after interval DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT jsonb_build_object('code', substr(r.sqlstate, 3)::integer, 'reason', r.reason, 'message', r.message, 'hint', r.hint,
		'retry_after_ms', ceil(extract(epoch FROM error_json.retry_after) * 1000)::bigint)
	  FROM chat.reasons() r WHERE r.reason = error_json.reason);
END
$$;
COMMENT ON FUNCTION chat.error_json IS 'An error as a result, for functions whose changes must outlive their failure; the gateway answers with it.';

CREATE FUNCTION chat.log_in(user_name text, password text, device_name text DEFAULT NULL, actor_address inet DEFAULT NULL,
	OUT token text, OUT session_id bigint, OUT expires_at timestamptz, OUT user_id bigint, OUT profile jsonb, OUT error jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := left(lower(log_in.user_name), 64);
	wait interval := chat.login_wait(name, log_in.actor_address);
	account chat.users;
	-- What a password is compared with when there is none: nobody's, of the same cost.
	nobody constant text := '$2a$' || lpad(chat.setting_text('password_cost'), 2, '0') || '$' || repeat('.', 53);
BEGIN
	PERFORM chat.check_length(log_in.device_name, 'device_name', 0, 128);
	IF wait IS NOT NULL THEN
		error := chat.error_json('too_many_attempts', wait);
		RETURN;
	END IF;
	SELECT u.* INTO account FROM chat.users u WHERE u.user_name = name;
	IF chat.is_password(left(coalesce(log_in.password, ''), 1024), coalesce(account.password_hash, nobody)) IS NOT TRUE THEN
		PERFORM chat.count_login_failure(name, log_in.actor_address);
		error := chat.error_json('bad_credentials');
		RETURN;
	END IF;
	-- Comparing took its time: whoever changes the password or suspends the user meanwhile ends this session too.
	PERFORM FROM chat.users u WHERE u.id = account.id AND u.password_hash = account.password_hash FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		error := chat.error_json('bad_credentials');
		RETURN;
	END IF;
	PERFORM chat.check_suspension(account.id);
	DELETE FROM chat.login_failures f WHERE f.subject = 'user:' || name;
	IF substr(account.password_hash, 5, 2)::integer < chat.setting_integer('password_cost') THEN
		UPDATE chat.users u SET password_hash = chat.hash_password(log_in.password) WHERE u.id = account.id;
	END IF;
	SELECT s.token, s.session_id, s.expires_at INTO token, session_id, expires_at
	  FROM chat.new_session(account.id, log_in.device_name, log_in.actor_address, chat.setting_interval('session_lifetime')) s;
	user_id := account.id;
	profile := chat.profile_json(account.id);
END
$$;
COMMENT ON FUNCTION chat.log_in IS 'Opens a session by name and password. The token is a secret and is shown only here. A failed attempt is not raised but answered in error, so that its count stays: MC401 bad_credentials, the same and after the same time for an unknown name and a wrong password; MC429 too_many_attempts with retry_after_ms, by the settings login_failures_per_user, login_failures_per_address and login_failure_window. Raises MC403 user_suspended.';
GRANT EXECUTE ON FUNCTION chat.log_in TO chat_anonymous, chat_app; -- since 0.1.0

-- Who a verified identity is: locked, so that whoever suspends him meanwhile ends the session too that is about to be.
CREATE FUNCTION chat.admit_external_user(issuer text, subject text, claims jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	found_id bigint;
BEGIN
	IF coalesce(admit_external_user.issuer, '') = '' OR coalesce(admit_external_user.subject, '') = '' THEN
		PERFORM chat.fail('invalid_argument', 'an identity needs issuer and subject');
	ELSIF jsonb_typeof(admit_external_user.claims) <> 'object' THEN
		PERFORM chat.fail('invalid_argument', 'claims is not acceptable', 'Give a JSON object.');
	END IF;
	found_id := chat.external_user(admit_external_user.issuer, admit_external_user.subject);
	IF found_id IS NULL THEN
		IF NOT chat.setting_boolean('external_sign_up') THEN
			PERFORM chat.fail('sign_up_closed');
		END IF;
		PERFORM chat.add_external_user(admit_external_user.issuer, admit_external_user.subject, coalesce(admit_external_user.claims, '{}'));
		found_id := chat.external_user(admit_external_user.issuer, admit_external_user.subject);
	END IF;
	PERFORM FROM chat.users u WHERE u.id = found_id FOR NO KEY UPDATE;
	PERFORM chat.check_suspension(found_id);
	RETURN found_id;
END
$$;
COMMENT ON FUNCTION chat.admit_external_user IS 'The user who has this verified identity, made on first sight if the setting external_sign_up allows. MC400 invalid_argument; MC403 sign_up_closed, user_suspended.';

CREATE FUNCTION chat.log_in_external(issuer text, subject text, claims jsonb DEFAULT NULL, device_name text DEFAULT NULL,
	actor_address inet DEFAULT NULL,
	OUT token text, OUT session_id bigint, OUT expires_at timestamptz, OUT user_id bigint, OUT profile jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	user_id := chat.admit_external_user(log_in_external.issuer, log_in_external.subject, log_in_external.claims);
	SELECT s.token, s.session_id, s.expires_at INTO token, session_id, expires_at
	  FROM chat.new_session(user_id, log_in_external.device_name, log_in_external.actor_address, chat.setting_interval('session_lifetime')) s;
	profile := chat.profile_json(user_id);
END
$$;
COMMENT ON FUNCTION chat.log_in_external IS 'Opens a session for the identity of a verified OIDC token; for gateways and apps, which have done the verifying. On first sight, if the setting external_sign_up allows, it makes a user: user name and display name, email and phone from the claims preferred_username, name, email (unless email_verified is false) and phone_number as far as they are acceptable; later the profile is the user''s own. MC400 invalid_argument; MC403 sign_up_closed, user_suspended.';
GRANT EXECUTE ON FUNCTION chat.log_in_external TO chat_gateway, chat_app; -- since 0.2.0

-- No text has a byte 0: nothing that open_session is given has such a hash.
CREATE FUNCTION chat.external_token_hash(issuer text, subject text, claims jsonb)
RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
	SELECT sha256('\x00'::bytea || convert_to(jsonb_build_array(external_token_hash.issuer, external_token_hash.subject,
		CASE WHEN jsonb_typeof(external_token_hash.claims -> 'sid') = 'string' THEN jsonb_build_object('sid', external_token_hash.claims -> 'sid')
			 WHEN jsonb_typeof(external_token_hash.claims -> 'jti') = 'string' THEN jsonb_build_object('jti', external_token_hash.claims -> 'jti')
			 ELSE external_token_hash.claims END)::text, 'UTF8'))
$$;
COMMENT ON FUNCTION chat.external_token_hash IS 'What chat.sessions keeps of an access token: all tokens of one login at the provider (sid) have the same; where the provider doesn''t tell logins apart each token has its own.';

CREATE FUNCTION chat.open_external_session(issuer text, subject text, claims jsonb, valid_until timestamptz, actor_address inet DEFAULT NULL,
	OUT user_id bigint, OUT session_id bigint, OUT expires_at timestamptz, OUT channel text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	hash bytea := chat.external_token_hash(open_external_session.issuer, open_external_session.subject, open_external_session.claims);
	issued_at timestamptz := to_timestamp(CASE WHEN jsonb_typeof(open_external_session.claims -> 'iat') = 'number'
		THEN greatest(0, least(253402300799, (open_external_session.claims ->> 'iat')::numeric)) ELSE 0 END);
BEGIN
	user_id := chat.admit_external_user(open_external_session.issuer, open_external_session.subject, open_external_session.claims);
	IF open_external_session.valid_until <= now() THEN
		PERFORM chat.fail('session_expired');
	END IF;
	INSERT INTO chat.sessions AS s (id, user_id, token_hash, device_name, address, expires_at, token_issued_at)
	VALUES (chat.take_id(), open_external_session.user_id, hash,
		left(coalesce(open_external_session.claims ->> 'client_id', open_external_session.claims ->> 'azp'), 128),
		open_external_session.actor_address, date_trunc('milliseconds', open_external_session.valid_until), issued_at)
	ON CONFLICT (token_hash) DO UPDATE
	   SET expires_at = greatest(s.expires_at, excluded.expires_at), token_issued_at = greatest(s.token_issued_at, excluded.token_issued_at),
		   last_seen_at = now(), address = coalesce(excluded.address, s.address)
	 WHERE s.user_id = excluded.user_id
	RETURNING s.id, s.expires_at INTO session_id, expires_at;
	-- After the row, which whoever ends the session has let go of only with this entry made.
	IF NOT FOUND OR EXISTS (SELECT FROM chat.ended_sessions e WHERE e.token_hash = hash AND e.issued_until >= issued_at) THEN
		PERFORM chat.fail('bad_token');
	END IF;
	channel := chat.user_channel(user_id);
END
$$;
COMMENT ON FUNCTION chat.open_external_session IS 'For a gateway that has verified an access token of an OIDC provider: open_session for it, good until valid_until. claims: the token''s. All tokens of one login at the provider (claim sid) share a session, else each token (jti) has one of its own: reconnecting makes no further one, and a fresh token makes it last longer. Its device is the client''s name at the provider (client_id, azp). Users are found and made as by log_in_external. A session that was ended (log_out, revoke_session) is not opened again by a token made (iat) before. MC401 bad_token, session_expired; MC400 invalid_argument; MC403 sign_up_closed, user_suspended.';
GRANT EXECUTE ON FUNCTION chat.open_external_session TO chat_gateway; -- since 0.2.0

CREATE FUNCTION chat.external_user(issuer text, subject text)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT u.id FROM chat.users u WHERE u.external_issuer = external_user.issuer AND u.external_subject = external_user.subject);
END
$$;
COMMENT ON FUNCTION chat.external_user IS 'The user who has this identity; NULL = nobody yet.';

CREATE FUNCTION chat.add_external_user(issuer text, subject text, claims jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	new_id bigint := chat.take_id();
	known record;
	stem text;
	name text;
BEGIN
	SELECT nullif(left(btrim(max(c.value) FILTER (WHERE c.key = 'name')), 64), '') AS display_name,
		max(c.value) FILTER (WHERE c.key = 'preferred_username' AND c.value <> '') AS user_name,
		max(c.value) FILTER (WHERE c.key = 'email' AND length(c.value) BETWEEN 3 AND 254 AND add_external_user.claims -> 'email_verified' IS DISTINCT FROM 'false') AS email,
		max(c.value) FILTER (WHERE c.key = 'phone_number' AND length(c.value) BETWEEN 3 AND 32) AS phone
	  INTO known
	  FROM jsonb_each_text(add_external_user.claims) c WHERE jsonb_typeof(add_external_user.claims -> c.key) = 'string';
	stem := regexp_replace(lower(coalesce(known.user_name, known.display_name, 'user')), '[^a-z0-9._-]+', '_', 'g');
	-- The name he would like; where it is no name or taken, with his id, which nobody else can have.
	FOREACH name IN ARRAY ARRAY[left(stem, 32), left(stem, 12) || '.' || new_id] LOOP
		CONTINUE WHEN name !~ '^[a-z0-9._-]{3,32}$' OR name ~ '^deleted\.[0-9]+$';
		INSERT INTO chat.users (id, user_name, display_name, email, phone, external_issuer, external_subject, version)
		VALUES (new_id, name, coalesce(known.display_name, name), known.email, known.phone, add_external_user.issuer, add_external_user.subject, new_id)
		ON CONFLICT DO NOTHING;
		EXIT WHEN chat.external_user(add_external_user.issuer, add_external_user.subject) IS NOT NULL;
	END LOOP;
END
$$;
COMMENT ON FUNCTION chat.add_external_user IS 'Makes the user of a verified identity, unless another login of his has just done so.';

CREATE FUNCTION chat.create_session(user_id bigint, device_name text DEFAULT NULL, lifetime interval DEFAULT NULL,
	OUT token text, OUT session_id bigint, OUT expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM chat.users u WHERE u.id = create_session.user_id AND NOT u.deleted FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	PERFORM chat.check_suspension(create_session.user_id);
	IF create_session.lifetime NOT BETWEEN '1 second' AND '10 years' THEN
		PERFORM chat.fail('invalid_argument', 'lifetime is not acceptable', 'Use 1 second to 10 years.');
	END IF;
	SELECT s.token, s.session_id, s.expires_at INTO token, session_id, expires_at
	  FROM chat.new_session(create_session.user_id, create_session.device_name, NULL,
		coalesce(create_session.lifetime, chat.setting_interval('session_lifetime'))) s;
END
$$;
COMMENT ON FUNCTION chat.create_session IS 'Opens a session for a user whom the app itself has logged in; hand the token to his client. lifetime: by default the setting session_lifetime. MC404 no_such_user; MC403 user_suspended; MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.create_session TO chat_app; -- since 0.1.0

CREATE FUNCTION chat.open_session(token text, actor_address inet DEFAULT NULL,
	OUT user_id bigint, OUT session_id bigint, OUT expires_at timestamptz, OUT channel text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE chat.sessions s SET last_seen_at = now(), address = coalesce(open_session.actor_address, s.address)
	 WHERE s.token_hash = chat.token_hash(open_session.token)
	RETURNING s.user_id, s.id, s.expires_at INTO user_id, session_id, expires_at;
	IF NOT FOUND THEN
		PERFORM chat.fail('bad_token');
	ELSIF expires_at <= now() THEN
		PERFORM chat.fail('session_expired');
	END IF;
	PERFORM chat.check_suspension(user_id);
	channel := chat.user_channel(user_id);
END
$$;
COMMENT ON FUNCTION chat.open_session IS 'For a gateway: whose token this is, and the channel to LISTEN on for him. MC401 bad_token, session_expired; MC403 user_suspended.';
GRANT EXECUTE ON FUNCTION chat.open_session TO chat_gateway, chat_app; -- since 0.1.0

CREATE FUNCTION chat.list_live_sessions(session_ids bigint[])
RETURNS TABLE (session_id bigint, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT s.id, s.expires_at
	  FROM chat.sessions s
	 WHERE s.id = ANY (list_live_sessions.session_ids) AND s.expires_at > now()
$$;
COMMENT ON FUNCTION chat.list_live_sessions IS 'For a gateway: those of these sessions that have not ended, neither by log_out nor by time. It asks where it may have missed an end.';
GRANT EXECUTE ON FUNCTION chat.list_live_sessions TO chat_gateway; -- since 0.2.0

CREATE FUNCTION chat.refresh_session(actor_id bigint, actor_session_id bigint,
	OUT session_id bigint, OUT expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(refresh_session.actor_id);
	IF EXISTS (SELECT FROM chat.sessions s WHERE s.id = refresh_session.actor_session_id AND s.token_issued_at IS NOT NULL) THEN
		PERFORM chat.fail('external_session');
	END IF;
	UPDATE chat.sessions s
	   SET expires_at = greatest(s.expires_at, date_trunc('milliseconds', now() + chat.setting_interval('session_lifetime')))
	 WHERE s.id = refresh_session.actor_session_id AND s.user_id = refresh_session.actor_id AND s.expires_at > now()
	RETURNING s.id, s.expires_at INTO session_id, expires_at;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_session');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.refresh_session IS 'Lets the session last for session_lifetime from now; the token stays. MC404 no_such_session; MC409 external_session when an access token of an identity provider opened it.';
GRANT EXECUTE ON FUNCTION chat.refresh_session TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.log_out(actor_id bigint, actor_session_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(log_out.actor_id);
	DELETE FROM chat.sessions s WHERE s.id = log_out.actor_session_id AND s.user_id = log_out.actor_id;
END
$$;
COMMENT ON FUNCTION chat.log_out IS 'Ends the session; its sockets are closed. Again is no error.';
GRANT EXECUTE ON FUNCTION chat.log_out TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.list_sessions(actor_id bigint, actor_session_id bigint DEFAULT NULL)
RETURNS TABLE (id bigint, device_name text, address inet, created_at timestamptz, last_seen_at timestamptz,
	expires_at timestamptz, is_current boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(list_sessions.actor_id);
	RETURN QUERY
	SELECT s.id, s.device_name, s.address, chat.id_time(s.id), s.last_seen_at, s.expires_at,
		s.id IS NOT DISTINCT FROM list_sessions.actor_session_id
	  FROM chat.sessions s
	 WHERE s.user_id = list_sessions.actor_id AND s.expires_at > now()
	 ORDER BY s.id;
END
$$;
COMMENT ON FUNCTION chat.list_sessions IS 'One''s own sessions, the oldest first.';
GRANT EXECUTE ON FUNCTION chat.list_sessions TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.revoke_session(actor_id bigint, session_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(revoke_session.actor_id);
	DELETE FROM chat.sessions s WHERE s.id = revoke_session.session_id AND s.user_id = revoke_session.actor_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_session');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.revoke_session IS 'Ends one of one''s own sessions, on this or another device; its sockets are closed. MC404 no_such_session.';
GRANT EXECUTE ON FUNCTION chat.revoke_session TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.revoke_other_sessions(actor_id bigint, actor_session_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(revoke_other_sessions.actor_id);
	DELETE FROM chat.sessions s
	 WHERE s.user_id = revoke_other_sessions.actor_id AND s.id IS DISTINCT FROM revoke_other_sessions.actor_session_id;
END
$$;
COMMENT ON FUNCTION chat.revoke_other_sessions IS 'Ends all of one''s own sessions but this one; their sockets are closed.';
GRANT EXECUTE ON FUNCTION chat.revoke_other_sessions TO chat_user, chat_app; -- since 0.2.0

-- Proving oneself again inside a session, with the throttle of log_in: who has got hold of the session only must not find
-- out the password here. NULL = he is himself; a user without a password has nothing to prove.
CREATE FUNCTION chat.try_password(account chat.users, password text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	wait interval := chat.login_wait(account.user_name, NULL);
BEGIN
	IF account.password_hash IS NULL THEN
		RETURN NULL;
	ELSIF wait IS NOT NULL THEN
		RETURN chat.error_json('too_many_attempts', wait);
	ELSIF chat.is_password(left(coalesce(try_password.password, ''), 1024), account.password_hash) THEN
		RETURN NULL;
	END IF;
	PERFORM chat.count_login_failure(account.user_name, NULL);
	RETURN chat.error_json('bad_credentials');
END
$$;
COMMENT ON FUNCTION chat.try_password IS 'NULL, or the error with which change_password and delete_account answer a wrong password; it counts as a failed log_in.';

CREATE FUNCTION chat.change_password(actor_id bigint, actor_session_id bigint, old_password text, new_password text,
	version bigint DEFAULT NULL, OUT profile jsonb, OUT error jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account chat.users;
	new_hash text;
BEGIN
	PERFORM chat.check_actor(change_password.actor_id);
	PERFORM chat.check_password(change_password.new_password);
	SELECT u.* INTO account FROM chat.users u WHERE u.id = change_password.actor_id AND NOT u.deleted;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	ELSIF account.password_hash IS NULL THEN
		PERFORM chat.fail('no_password');
	END IF;
	error := chat.try_password(account, change_password.old_password);
	IF error IS NOT NULL THEN
		RETURN;
	ELSIF change_password.old_password <> change_password.new_password THEN
		-- Hashed before the row is locked; changed only if it still is what the old password was compared with.
		new_hash := chat.hash_password(change_password.new_password);
		UPDATE chat.users u SET password_hash = new_hash, version = chat.take_id(u.version)
		 WHERE u.id = account.id AND u.password_hash = account.password_hash AND u.version = coalesce(change_password.version, u.version);
		IF NOT FOUND THEN
			PERFORM chat.fail('stale_version');
		END IF;
	END IF;
	PERFORM chat.revoke_other_sessions(change_password.actor_id, change_password.actor_session_id);
	profile := chat.profile_json(account.id);
END
$$;
COMMENT ON FUNCTION chat.change_password IS 'Changes one''s own password (8 to 128 characters) and ends all other sessions. version: the profile''s, NULL = whatever it is. Answers the profile. A wrong old_password is answered in error, as by log_in, and counts as a failed attempt there: MC401 bad_credentials, MC429 too_many_attempts. MC400 invalid_password; MC404 no_such_user; MC409 no_password for users whom the app or an identity provider logs in, stale_version.';
GRANT EXECUTE ON FUNCTION chat.change_password TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.set_password(user_id bigint, new_password text)
RETURNS chat.v_profiles LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	profile chat.v_profiles;
BEGIN
	PERFORM chat.check_password(set_password.new_password);
	set_password.new_password := chat.hash_password(set_password.new_password);
	UPDATE chat.users u SET password_hash = set_password.new_password, version = chat.take_id(u.version)
	 WHERE u.id = set_password.user_id AND NOT u.deleted;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	DELETE FROM chat.sessions s WHERE s.user_id = set_password.user_id;
	SELECT p.* INTO profile FROM chat.v_profiles p WHERE p.id = set_password.user_id;
	RETURN profile;
END
$$;
COMMENT ON FUNCTION chat.set_password IS 'Gives a user a new password, or his first one (8 to 128 characters), and ends all his sessions. For apps, which have found him to be himself. Answers his profile. MC400 invalid_password; MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.set_password TO chat_app; -- since 0.2.0

CREATE FUNCTION chat.expire_sessions(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	expired integer;
	forgotten integer;
BEGIN
	WITH old AS (
		SELECT s.id FROM chat.sessions s WHERE s.expires_at <= now() LIMIT expire_sessions.batch FOR UPDATE SKIP LOCKED
	)
	DELETE FROM chat.sessions s USING old WHERE s.id = old.id;
	GET DIAGNOSTICS expired = ROW_COUNT;
	WITH old AS (
		SELECT f.subject FROM chat.login_failures f WHERE f.window_ends_at <= now() LIMIT expire_sessions.batch FOR UPDATE SKIP LOCKED
	)
	DELETE FROM chat.login_failures f USING old WHERE f.subject = old.subject;
	GET DIAGNOSTICS forgotten = ROW_COUNT;
	expired := expired + forgotten;
	WITH old AS (
		SELECT e.token_hash FROM chat.ended_sessions e WHERE e.forget_at <= now() LIMIT expire_sessions.batch FOR UPDATE SKIP LOCKED
	)
	DELETE FROM chat.ended_sessions e USING old WHERE e.token_hash = old.token_hash;
	GET DIAGNOSTICS forgotten = ROW_COUNT;
	RETURN expired + forgotten;
END
$$;
COMMENT ON FUNCTION chat.expire_sessions IS 'For run_maintenance: removes at most batch expired sessions, as many counts of failed attempts whose time is over, and as many ends of sessions whose tokens are no good any more; answers how many.';

CREATE FUNCTION chat.publish_session_end()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'chat_publish_session_end';
COMMENT ON FUNCTION chat.publish_session_end IS 'Trigger: tells gateways to close the session''s sockets.';
CREATE TRIGGER publish_session_end AFTER DELETE ON chat.sessions
FOR EACH ROW EXECUTE FUNCTION chat.publish_session_end();

CREATE FUNCTION chat.keep_session_end()
RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO chat.ended_sessions AS e (token_hash, issued_until, forget_at)
	VALUES (OLD.token_hash, greatest(now(), OLD.token_issued_at), greatest(OLD.expires_at, now() + chat.setting_interval('session_lifetime')))
	ON CONFLICT (token_hash) DO UPDATE
	   SET issued_until = greatest(e.issued_until, excluded.issued_until), forget_at = greatest(e.forget_at, excluded.forget_at);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.keep_session_end IS 'Trigger: the access tokens that this session had must not open it again.';
CREATE TRIGGER keep_session_end AFTER DELETE ON chat.sessions
FOR EACH ROW WHEN (OLD.token_issued_at IS NOT NULL AND OLD.expires_at > now()) EXECUTE FUNCTION chat.keep_session_end();
-- Between two users: invitations, connections, blocks. Whoever changes any of them holds both users' rows, the lower id first, so
-- that two who invite each other, or invite and block, come one after the other.

CREATE FUNCTION chat.are_blocked(user_id bigint, other_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.blocks b WHERE b.blocker_id = are_blocked.user_id AND b.blocked_id = are_blocked.other_id)
		OR EXISTS (SELECT FROM chat.blocks b WHERE b.blocker_id = are_blocked.other_id AND b.blocked_id = are_blocked.user_id);
END
$$;
COMMENT ON FUNCTION chat.are_blocked IS 'Whether either of the two has blocked the other.';

CREATE FUNCTION chat.are_connected(user_id bigint, other_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.connections c
		WHERE c.low_user_id = least(are_connected.user_id, are_connected.other_id)
		  AND c.high_user_id = greatest(are_connected.user_id, are_connected.other_id) AND c.state = 'connected');
END
$$;
COMMENT ON FUNCTION chat.are_connected IS 'Whether the two are contacts.';

CREATE FUNCTION chat.block_between(actor_id bigint, user_id bigint)
RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN CASE
		WHEN EXISTS (SELECT FROM chat.blocks b WHERE b.blocker_id = block_between.actor_id AND b.blocked_id = block_between.user_id) THEN 'blocked'
		WHEN EXISTS (SELECT FROM chat.blocks b WHERE b.blocker_id = block_between.user_id AND b.blocked_id = block_between.actor_id) THEN 'not_accepting'
	END;
END
$$;
COMMENT ON FUNCTION chat.block_between IS 'The word with which a block refuses actor_id: blocked when it is his own, not_accepting when it is the other one''s; NULL without any.';

-- Every direct message passes here: in FROM, this query becomes part of the statement that calls it, which a scalar function would not.
-- OFFSET 0: looked up by the pair, never by reading all whom somebody has blocked.
CREATE FUNCTION chat.between_users(actor_id bigint, user_id bigint)
RETURNS TABLE (obstructed boolean) LANGUAGE sql STABLE AS $$
	SELECT EXISTS (SELECT FROM chat.blocks b
			WHERE b.blocker_id = between_users.actor_id AND b.blocked_id = between_users.user_id OFFSET 0)
		OR EXISTS (SELECT FROM chat.blocks b
			WHERE b.blocker_id = between_users.user_id AND b.blocked_id = between_users.actor_id OFFSET 0)
		OR EXISTS (SELECT FROM chat.users u WHERE u.id IN (between_users.actor_id, between_users.user_id) AND u.deleted OFFSET 0)
$$;
COMMENT ON FUNCTION chat.between_users IS 'Whether something keeps two different users from writing to each other: a block, or an account that is gone. One row.';

CREATE FUNCTION chat.check_direct(actor_id bigint, user_id bigint)
RETURNS void LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_check_direct';
COMMENT ON FUNCTION chat.check_direct IS 'Whether actor_id may write to user_id directly: raises MC403 blocked when he has blocked him; not_accepting when he is blocked, an account is gone, or they are not connected and the setting direct_requires_connection is on. NULL or oneself passes.';

-- Each connection twice: as either side sees it.
CREATE VIEW chat.v_connections AS
SELECT c.low_user_id AS owner_id, c.high_user_id AS user_id, c.state, c.target_user_id, c.version FROM chat.connections c
UNION ALL
SELECT c.high_user_id, c.low_user_id, c.state, c.target_user_id, c.version FROM chat.connections c;
COMMENT ON VIEW chat.v_connections IS 'Connections as owner_id sees them: user_id is the other one.';

CREATE FUNCTION chat.connection_json(connection chat.v_connections)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('user_id', connection.user_id::text, 'state', connection.state,
		'target_user_id', connection.target_user_id::text, 'version', connection.version::text)
$$;
COMMENT ON FUNCTION chat.connection_json IS 'A connection as it stands in events: list_connections'' row.';

CREATE FUNCTION chat.connection_event(connection chat.v_connections)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT chat.connection_json(connection)
		|| jsonb_build_object('type', 'connection_changed', 'at', chat.rfc3339(chat.id_time(connection.version)))
$$;
COMMENT ON FUNCTION chat.connection_event IS 'The connection_changed event, as it is published and as sync tells it.';

CREATE FUNCTION chat.publish_connection()
RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF chat.took(NEW.version) THEN
		PERFORM chat.publish(chat.connection_event(c), ARRAY[c.owner_id])
		  FROM chat.v_connections c
		 WHERE c.owner_id = NEW.low_user_id AND c.user_id = NEW.high_user_id
			OR c.owner_id = NEW.high_user_id AND c.user_id = NEW.low_user_id;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_connection IS 'Trigger: connection_changed, to all sockets of both, to each as he sees it.';
CREATE TRIGGER publish_connection AFTER INSERT OR UPDATE ON chat.connections
FOR EACH ROW EXECUTE FUNCTION chat.publish_connection();

CREATE FUNCTION chat.lock_pair(actor_id bigint, user_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF lock_pair.user_id = lock_pair.actor_id THEN
		PERFORM chat.fail('invalid_argument', 'user_id is yourself', 'Name somebody else.');
	END IF;
	PERFORM chat.lock_users(ARRAY[lock_pair.actor_id, lock_pair.user_id]);
	IF (SELECT count(*) FROM chat.users u WHERE u.id IN (lock_pair.actor_id, lock_pair.user_id) AND NOT u.deleted) < 2 THEN
		PERFORM chat.fail('no_such_user');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.lock_pair IS 'Locks both users for a change of what is between them. MC400 invalid_argument for oneself; MC404 no_such_user.';

CREATE FUNCTION chat.get_connection(owner_id bigint, user_id bigint)
RETURNS chat.v_connections LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT ROW(get_connection.owner_id, get_connection.user_id, coalesce(c.state, 'none'), c.target_user_id, coalesce(c.version, 0))::chat.v_connections
	  FROM (SELECT) one LEFT JOIN chat.v_connections c ON c.owner_id = get_connection.owner_id AND c.user_id = get_connection.user_id);
END
$$;
COMMENT ON FUNCTION chat.get_connection IS 'What is between the two, as owner_id sees it; state none and version 0 when nothing ever was.';

-- The one place where a connection changes. Gaining or losing one shows or hides presence.
CREATE FUNCTION chat.set_connection(actor_id bigint, user_id bigint, state text, target_user_id bigint DEFAULT NULL)
RETURNS chat.v_connections LANGUAGE plpgsql AS $$
DECLARE
	before chat.v_connections := chat.get_connection(set_connection.actor_id, set_connection.user_id);
BEGIN
	INSERT INTO chat.connections AS c (low_user_id, high_user_id, state, target_user_id, version)
	VALUES (least(set_connection.actor_id, set_connection.user_id), greatest(set_connection.actor_id, set_connection.user_id),
		set_connection.state, set_connection.target_user_id, chat.take_id())
	ON CONFLICT (low_user_id, high_user_id) DO UPDATE
	   SET state = excluded.state, target_user_id = excluded.target_user_id, version = chat.take_id(c.version);
	IF 'connected' IN (before.state, set_connection.state) THEN
		PERFORM chat.change_presence(ARRAY[set_connection.actor_id, set_connection.user_id]);
	END IF;
	RETURN chat.get_connection(set_connection.actor_id, set_connection.user_id);
END
$$;
COMMENT ON FUNCTION chat.set_connection IS 'Changes what is between two users who are locked, whatever it was, and answers it.';

CREATE FUNCTION chat.invite_user(actor_id bigint, user_id bigint)
RETURNS chat.v_connections LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	present chat.v_connections;
BEGIN
	PERFORM chat.check_actor(invite_user.actor_id);
	PERFORM chat.lock_pair(invite_user.actor_id, invite_user.user_id);
	present := chat.get_connection(invite_user.actor_id, invite_user.user_id);
	IF chat.are_blocked(invite_user.actor_id, invite_user.user_id) THEN
		PERFORM chat.fail(chat.block_between(invite_user.actor_id, invite_user.user_id));
	ELSIF present.state = 'none' THEN
		RETURN chat.set_connection(invite_user.actor_id, invite_user.user_id, 'pending', invite_user.user_id);
	ELSIF present.target_user_id = invite_user.actor_id THEN
		RETURN chat.set_connection(invite_user.actor_id, invite_user.user_id, 'connected');
	END IF;
	RETURN present;
END
$$;
COMMENT ON FUNCTION chat.invite_user IS 'Invites a user to be one''s contact; who has been invited by him accepts with it, so that two who invite each other are connected. Again changes nothing. Answers the connection: state pending or connected, target_user_id = who is invited. MC400 invalid_argument for oneself; MC403 blocked, not_accepting; MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.invite_user TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.accept_connection(actor_id bigint, user_id bigint, version bigint DEFAULT NULL)
RETURNS chat.v_connections LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	present chat.v_connections;
BEGIN
	PERFORM chat.check_actor(accept_connection.actor_id);
	PERFORM chat.lock_pair(accept_connection.actor_id, accept_connection.user_id);
	present := chat.get_connection(accept_connection.actor_id, accept_connection.user_id);
	IF present.state = 'connected' THEN
		RETURN present;
	ELSIF present.version <> accept_connection.version THEN
		PERFORM chat.fail('stale_version');
	ELSIF present.state = 'none' THEN
		PERFORM chat.fail('no_such_connection');
	ELSIF present.target_user_id <> accept_connection.actor_id THEN
		PERFORM chat.fail('not_invited');
	END IF;
	RETURN chat.set_connection(accept_connection.actor_id, accept_connection.user_id, 'connected');
END
$$;
COMMENT ON FUNCTION chat.accept_connection IS 'Accepts this user''s invitation. version: the connection''s that was seen, NULL = whatever it is. Answers the connection; accepted already is no error. MC400 invalid_argument for oneself; MC403 not_invited for who has invited himself; MC404 no_such_connection, no_such_user; MC409 stale_version when it was cancelled or made anew meanwhile.';
GRANT EXECUTE ON FUNCTION chat.accept_connection TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.cancel_connection(actor_id bigint, user_id bigint, version bigint DEFAULT NULL)
RETURNS chat.v_connections LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(cancel_connection.actor_id);
	RETURN chat.end_connection(cancel_connection.actor_id, cancel_connection.user_id, cancel_connection.version, 'pending');
END
$$;
COMMENT ON FUNCTION chat.cancel_connection IS 'Takes one''s invitation back, or declines the other''s. version: the connection''s that was seen, NULL = whatever it is. Answers the connection; none already is no error. MC400 invalid_argument for oneself; MC404 no_such_user; MC409 stale_version, already_connected.';
GRANT EXECUTE ON FUNCTION chat.cancel_connection TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.remove_connection(actor_id bigint, user_id bigint, version bigint DEFAULT NULL)
RETURNS chat.v_connections LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(remove_connection.actor_id);
	RETURN chat.end_connection(remove_connection.actor_id, remove_connection.user_id, remove_connection.version, 'connected');
END
$$;
COMMENT ON FUNCTION chat.remove_connection IS 'Ends a connection, from either side. version: the connection''s that was seen, NULL = whatever it is. Answers the connection; none already is no error. MC400 invalid_argument for oneself; MC404 no_such_user; MC409 stale_version, not_connected.';
GRANT EXECUTE ON FUNCTION chat.remove_connection TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.end_connection(actor_id bigint, user_id bigint, version bigint, state text)
RETURNS chat.v_connections LANGUAGE plpgsql AS $$
DECLARE
	present chat.v_connections;
BEGIN
	PERFORM chat.lock_pair(end_connection.actor_id, end_connection.user_id);
	present := chat.get_connection(end_connection.actor_id, end_connection.user_id);
	IF present.state = 'none' THEN
		RETURN present;
	ELSIF present.version <> end_connection.version THEN
		PERFORM chat.fail('stale_version');
	ELSIF present.state <> end_connection.state THEN
		PERFORM chat.fail(CASE present.state WHEN 'connected' THEN 'already_connected' ELSE 'not_connected' END);
	END IF;
	RETURN chat.set_connection(end_connection.actor_id, end_connection.user_id, 'none');
END
$$;
COMMENT ON FUNCTION chat.end_connection IS 'What cancel_connection (from state pending) and remove_connection (from connected) share.';

CREATE FUNCTION chat.list_connections(actor_id bigint, changed_after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (user_id bigint, state text, target_user_id bigint, version bigint, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_connections.page_size);
BEGIN
	PERFORM chat.check_actor(list_connections.actor_id);
	RETURN QUERY
	SELECT p.user_id, p.state, p.target_user_id, p.version, count(*) OVER () > size
	  FROM (SELECT c.* FROM chat.v_connections c
			 WHERE c.owner_id = list_connections.actor_id
			   AND CASE WHEN list_connections.changed_after_id IS NULL THEN c.state <> 'none'
					ELSE c.version > list_connections.changed_after_id END
			 ORDER BY c.version LIMIT size + 1) p
	 ORDER BY p.version LIMIT size;
END
$$;
COMMENT ON FUNCTION chat.list_connections IS 'One''s own connections: user_id the other one, state pending (target_user_id is invited) or connected; ascending by version. changed_after_id: those changed after this version, the last row''s or the last one seen, with the ended ones too (state none). MC400 invalid_argument (page_size).';
GRANT EXECUTE ON FUNCTION chat.list_connections TO chat_user, chat_app; -- since 0.2.0

CREATE VIEW chat.v_blocks AS
SELECT b.blocker_id AS owner_id, b.blocked_id AS user_id, chat.id_time(b.id) AS blocked_at FROM chat.blocks b;
COMMENT ON VIEW chat.v_blocks IS 'Whom owner_id has blocked.';

CREATE FUNCTION chat.block_user(actor_id bigint, user_id bigint)
RETURNS chat.v_blocks LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	block chat.v_blocks;
BEGIN
	PERFORM chat.check_actor(block_user.actor_id);
	PERFORM chat.lock_pair(block_user.actor_id, block_user.user_id);
	SELECT b.* INTO block FROM chat.v_blocks b WHERE b.owner_id = block_user.actor_id AND b.user_id = block_user.user_id;
	IF NOT FOUND THEN
		INSERT INTO chat.blocks (blocker_id, blocked_id, id) VALUES (block_user.actor_id, block_user.user_id, chat.take_id());
		IF (chat.get_connection(block_user.actor_id, block_user.user_id)).state <> 'none' THEN
			PERFORM chat.set_connection(block_user.actor_id, block_user.user_id, 'none');
		END IF;
		PERFORM chat.change_presence(ARRAY[block_user.actor_id, block_user.user_id]);
		SELECT b.* INTO block FROM chat.v_blocks b WHERE b.owner_id = block_user.actor_id AND b.user_id = block_user.user_id;
	END IF;
	RETURN block;
END
$$;
COMMENT ON FUNCTION chat.block_user IS 'Blocks a user: no direct messages, invitations, presence or search between the two; their connection ends as if removed, shared groups go on, and he is not told. Again changes nothing. Answers the block. MC400 invalid_argument for oneself; MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.block_user TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.unblock_user(actor_id bigint, user_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(unblock_user.actor_id);
	PERFORM chat.lock_users(ARRAY[unblock_user.actor_id, unblock_user.user_id]);
	DELETE FROM chat.blocks b WHERE b.blocker_id = unblock_user.actor_id AND b.blocked_id = unblock_user.user_id;
	IF FOUND THEN
		PERFORM chat.change_presence(ARRAY[unblock_user.actor_id, unblock_user.user_id]);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.unblock_user IS 'Ends one''s own block of a user; the connection stays ended. Again is no error.';
GRANT EXECUTE ON FUNCTION chat.unblock_user TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.list_blocks(actor_id bigint)
RETURNS TABLE (user_id bigint, blocked_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(list_blocks.actor_id);
	RETURN QUERY SELECT b.user_id, b.blocked_at FROM chat.v_blocks b WHERE b.owner_id = list_blocks.actor_id ORDER BY b.user_id;
END
$$;
COMMENT ON FUNCTION chat.list_blocks IS 'Whom one has blocked, ascending by user_id.';
GRANT EXECUTE ON FUNCTION chat.list_blocks TO chat_user, chat_app; -- since 0.2.0
CREATE VIEW chat.v_chats AS
SELECT c.id, c.kind, c.creator_id, chat.id_time(c.id) AS created_at, c.last_event_id, c.message_count,
	c.title, c.description, c.avatar_file_id, c.attributes, c.posting, c.member_count
  FROM chat.chats c
 WHERE c.deleted_id IS NULL;
COMMENT ON VIEW chat.v_chats IS 'All chats.';
GRANT SELECT ON chat.v_chats TO chat_app; -- since 0.1.0
GRANT REFERENCES (id) ON chat.chats TO chat_app; -- since 0.1.0

CREATE VIEW chat.v_members AS
SELECT m.chat_id, m.user_id, m.role, m.read_id, c.message_count - m.read_count AS unread,
	m.mentions, m.delivered_id, chat.id_time(greatest(m.joined_id, m.chat_id)) AS joined_at, m.muted_until
  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
 WHERE m.left_id IS NULL AND c.deleted_id IS NULL;
COMMENT ON VIEW chat.v_members IS 'Who is in which chat, with his cursors and unread count.';
GRANT SELECT ON chat.v_members TO chat_app; -- since 0.1.0

-- Not CHECK constraints: PostgreSQL parses those of a table again in every statement that writes to it, and a message writes to
-- both of these without touching what they are about. That took a sixth of its time.
CREATE FUNCTION chat.refuse_row()
RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE check_violation USING MESSAGE = format('this row is not acceptable in %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME);
END
$$;
COMMENT ON FUNCTION chat.refuse_row IS 'Trigger: raises 23514 for a row that the trigger''s condition is about.';
CREATE TRIGGER check_row AFTER INSERT OR UPDATE OF kind, title, description, posting ON chat.chats
FOR EACH ROW WHEN (NEW.kind NOT IN ('direct', 'group', 'room') OR char_length(NEW.title) NOT BETWEEN 1 AND 128
	OR char_length(NEW.description) > 1024 OR NEW.posting NOT IN ('all', 'admins'))
EXECUTE FUNCTION chat.refuse_row();
CREATE TRIGGER check_row AFTER INSERT OR UPDATE OF role ON chat.members
FOR EACH ROW WHEN (NEW.role NOT IN ('owner', 'admin', 'member')) EXECUTE FUNCTION chat.refuse_row();

CREATE FUNCTION chat.next_event(chat_id bigint, messages integer, OUT id bigint, OUT prev_id bigint, OUT number integer)
RETURNS record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'chat_next_event';
COMMENT ON FUNCTION chat.next_event IS 'Begins a durable change in a chat: locks its row, takes the change''s id above the chat''s last one, and counts messages (0 or 1) user messages. prev_id is the event before, number the count. MC404 no_such_chat; MC503 chat_busy when another transaction holds the chat longer than chat.lock_timeout.';

CREATE FUNCTION chat.lock_chat(chat_id bigint)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'chat_lock_chat';
COMMENT ON FUNCTION chat.lock_chat IS 'Locks the chat''s row as next_event does, for functions that look before they change. MC404 no_such_chat, for a deleted one too; MC503 chat_busy.';

CREATE FUNCTION chat.log_event(chat_id bigint, id bigint, prev_id bigint, number integer, type text, actor_id bigint,
	payload jsonb, is_entry boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	entry chat.messages;
BEGIN
	IF log_event.is_entry THEN
		INSERT INTO chat.messages (chat_id, id, prev_id, number, kind, sender_id, body, attributes)
		VALUES (log_event.chat_id, log_event.id, log_event.prev_id, log_event.number, 'system', log_event.actor_id, '',
			log_event.payload || jsonb_build_object('type', log_event.type))
		RETURNING * INTO entry;
		log_event.payload := log_event.payload || jsonb_build_object('message', chat.message_json(entry, 0)::jsonb);
	END IF;
	INSERT INTO chat.events (chat_id, id, prev_id, type, actor_id, payload)
	VALUES (log_event.chat_id, log_event.id, log_event.prev_id, log_event.type, log_event.actor_id, log_event.payload);
END
$$;
COMMENT ON FUNCTION chat.log_event IS 'Logs and publishes a durable event whose id next_event gave; last of all, when the rows it is about are written. payload: its own members, ids as strings. is_entry: it stands in the timeline too, as a message of kind system with the same id.';

CREATE FUNCTION chat.logged_event(event chat.events)
RETURNS json LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'chat_logged_event';
COMMENT ON FUNCTION chat.logged_event IS 'A logged event as it is published.';

CREATE FUNCTION chat.publish_event()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'chat_publish_event';
COMMENT ON FUNCTION chat.publish_event IS 'Trigger: a durable event, to the members and to whom it takes out of the chat.';
CREATE TRIGGER publish_event AFTER INSERT ON chat.events
FOR EACH ROW EXECUTE FUNCTION chat.publish_event();

CREATE FUNCTION chat.list_large_chats(user_ids bigint[])
RETURNS TABLE (user_id bigint, chat_id bigint, joined_id bigint, last_event_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT m.user_id, m.chat_id, m.joined_id, c.last_event_id
	  FROM unnest(list_large_chats.user_ids) AS wanted (id)
	  JOIN chat.members m ON m.user_id = wanted.id AND m.left_id IS NULL
	  JOIN chat.chats c ON c.id = m.chat_id AND c.large AND c.deleted_id IS NULL
$$;
COMMENT ON FUNCTION chat.list_large_chats IS 'Which large chats these users are in, hence whose chat_channel they hear; joined_id is the event that let them in: earlier ones were not for them; last_event_id the chat''s last one when this was so. For gateways.';
GRANT EXECUTE ON FUNCTION chat.list_large_chats TO chat_gateway; -- since 0.2.0

-- Who is in, and what he may see. The writers' check comes after lock_chat or next_event, so that nobody acts who is just being
-- removed.
CREATE FUNCTION chat.check_member(chat_id bigint, user_id bigint, roles text[] DEFAULT NULL)
RETURNS void LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'chat_check_member';
COMMENT ON FUNCTION chat.check_member IS 'Raises MC404 no_such_chat for who is not in the chat, MC403 not_permitted for who has none of the roles.';

CREATE FUNCTION chat.is_member(chat_id bigint, user_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.members m WHERE m.chat_id = is_member.chat_id AND m.user_id = is_member.user_id AND m.left_id IS NULL);
END
$$;
COMMENT ON FUNCTION chat.is_member IS 'Whether he is in the chat.';

CREATE FUNCTION chat.visible_range(chat_id bigint, user_id bigint, OUT low bigint, OUT high bigint)
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'chat_visible_range';
COMMENT ON FUNCTION chat.visible_range IS 'What a member, or who has left, may see of a chat: ids above low, up to high. MC404 no_such_chat.';

-- What list_chats and get_chat show of chats, for the chats of one page: "seen" is the chat's row, or what it was when the
-- actor left.
CREATE FUNCTION chat.describe_chats(actor_id bigint, chat_ids bigint[])
RETURNS SETOF chat.chat_row LANGUAGE sql STABLE AS $$
	SELECT c.id, c.kind, chat.id_time(c.id), c.creator_id, seen.title, seen.description, seen.avatar_file_id, seen.attributes,
		seen.posting, seen.member_count, CASE WHEN own.left_id IS NULL THEN own.role END, chat.id_time(own.left_id),
		(SELECT jsonb_build_object('id', u.id::text, 'user_name', u.user_name, 'display_name', u.display_name,
				'avatar_file_id', u.avatar_file_id::text)
		   FROM chat.v_users u WHERE u.id = other.user_id),
		seen.last_event_id,
		(SELECT chat.message_json(CASE WHEN m.edited_id > own.left_id THEN chat.message_then(m, own.left_id) ELSE m END, describe_chats.actor_id)
		   FROM chat.messages m
		  WHERE m.chat_id = c.id AND m.id > own.visible_from AND m.id <= coalesce(own.left_id, 9223372036854775807)
			AND NOT EXISTS (SELECT FROM chat.hidden_messages h
				WHERE h.user_id = own.user_id AND h.chat_id = m.chat_id AND h.message_id = m.id)
		  ORDER BY m.id DESC LIMIT 1),
		seen.message_count, seen.message_count - own.read_count, own.mentions, own.read_id, own.delivered_id,
		other.read_id, other.delivered_id, own.muted_until, own.archived, own.pinned, own.marked_unread, own.prefs_version,
		(SELECT jsonb_build_object('body', d.body, 'reply_to_id', d.reply_to_id::text, 'version', d.version::text)
		   FROM chat.drafts d
		  WHERE d.user_id = own.user_id AND d.chat_id = c.id AND (d.body <> '' OR d.reply_to_id IS NOT NULL))
	  FROM unnest(describe_chats.chat_ids) AS wanted (id)
	  JOIN chat.chats c ON c.id = wanted.id
	-- OFFSET 0: looked up by both columns, not found among all of the actor's chats
	 CROSS JOIN LATERAL (SELECT m.* FROM chat.members m
		WHERE m.chat_id = c.id AND m.user_id = describe_chats.actor_id OFFSET 0) AS own
	 CROSS JOIN LATERAL jsonb_populate_record(c, own.left_chat) AS seen
	  LEFT JOIN chat.direct_chats pair ON pair.chat_id = c.id
	  LEFT JOIN chat.members other ON other.chat_id = pair.chat_id
		AND other.user_id = CASE pair.low_user_id WHEN describe_chats.actor_id THEN pair.high_user_id ELSE pair.low_user_id END
	 WHERE c.deleted_id IS NULL
$$;
COMMENT ON FUNCTION chat.describe_chats IS 'Chats as list_chats shows them, to who is or was in them.';

CREATE FUNCTION chat.get_chat(actor_id bigint, chat_id bigint)
RETURNS chat.chat_row LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found_chat chat.chat_row;
BEGIN
	PERFORM chat.check_actor(get_chat.actor_id);
	SELECT d.* INTO found_chat FROM chat.describe_chats(get_chat.actor_id, ARRAY[get_chat.chat_id]) d;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_chat');
	END IF;
	RETURN found_chat;
END
$$;
COMMENT ON FUNCTION chat.get_chat IS 'One chat as list_chats shows it. MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.get_chat TO chat_user, chat_app; -- since 0.1.0

-- The generic plan: PostgreSQL would else make one at every call, which takes three times what running it does.
CREATE FUNCTION chat.list_chats(actor_id bigint, page_size integer DEFAULT NULL, before_id bigint DEFAULT NULL,
	include_archived boolean DEFAULT NULL, include_left boolean DEFAULT NULL)
RETURNS SETOF chat.chat_page LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	size integer := chat.page_size(list_chats.page_size);
	page bigint[];
BEGIN
	PERFORM chat.check_actor(list_chats.actor_id);
	page := ARRAY(	-- OFFSET 0: never by reading all chats there are
		SELECT c.id
		  FROM chat.members m CROSS JOIN LATERAL (SELECT c.* FROM chat.chats c WHERE c.id = m.chat_id OFFSET 0) c
		 WHERE m.user_id = list_chats.actor_id AND c.deleted_id IS NULL
		   AND (m.left_id IS NULL OR list_chats.include_left)
		   AND (NOT m.archived OR list_chats.include_archived)
		   AND (c.kind <> 'direct' OR c.message_count > 0 OR c.creator_id = list_chats.actor_id)
		   AND (m.hidden_id = 0 OR EXISTS (SELECT FROM chat.messages n
				WHERE n.chat_id = c.id AND n.id > m.hidden_id AND n.kind = 'user'))
		   AND least(c.last_event_id, m.left_id) < coalesce(list_chats.before_id, 9223372036854775807)
		 ORDER BY least(c.last_event_id, m.left_id) DESC
		 LIMIT size + 1);
	RETURN QUERY
	SELECT d.*, cardinality(page) > size
	  FROM chat.describe_chats(list_chats.actor_id, page[1:size]) d
	 ORDER BY d.last_event_id DESC;
END
$$;
COMMENT ON FUNCTION chat.list_chats IS 'One''s own chats, the latest event first. before_id: last_event_id of the last row seen. include_archived, include_left: those too; by default neither. A left chat (left_at, no role) is shown as it was then. other_user, other_read_id and other_delivered_id: in direct chats. last_message: what one may see of it. unread and mentions: messages above one''s read cursor. draft: {body, reply_to_id, version}. A direct chat that somebody else has opened, or that one has hidden, shows up with its next message. MC400 invalid_argument (page_size).';
GRANT EXECUTE ON FUNCTION chat.list_chats TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.open_direct_chat(actor_id bigint, user_id bigint)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	low bigint := least(open_direct_chat.actor_id, open_direct_chat.user_id);
	high bigint := greatest(open_direct_chat.actor_id, open_direct_chat.user_id);
	new_id bigint;
	open_id bigint;
BEGIN
	PERFORM chat.check_actor(open_direct_chat.actor_id);
	IF open_direct_chat.user_id IS NULL THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	SELECT d.chat_id INTO open_id FROM chat.direct_chats d WHERE d.low_user_id = low AND d.high_user_id = high;
	IF NOT FOUND THEN
		PERFORM chat.check_users(ARRAY[open_direct_chat.actor_id, open_direct_chat.user_id]);
		PERFORM chat.check_direct(open_direct_chat.actor_id, open_direct_chat.user_id);
		-- Whoever inserts the pair makes the chat; who comes second waits for him here.
		new_id := chat.take_id();
		INSERT INTO chat.direct_chats AS d (low_user_id, high_user_id, chat_id) VALUES (low, high, new_id)
		ON CONFLICT (low_user_id, high_user_id) DO NOTHING RETURNING d.chat_id INTO open_id;
		IF FOUND THEN
			INSERT INTO chat.chats (id, kind, creator_id, last_event_id, member_count)
			VALUES (new_id, 'direct', open_direct_chat.actor_id, new_id, CASE WHEN low = high THEN 1 ELSE 2 END);
			INSERT INTO chat.members (chat_id, user_id) SELECT DISTINCT new_id, u.id FROM unnest(ARRAY[low, high]) AS u (id);
		ELSE
			SELECT d.chat_id INTO STRICT open_id FROM chat.direct_chats d WHERE d.low_user_id = low AND d.high_user_id = high;
		END IF;
	END IF;
	UPDATE chat.members m SET hidden_id = 0, prefs_version = chat.take_id(m.prefs_version)
	 WHERE m.chat_id = open_id AND m.user_id = open_direct_chat.actor_id AND m.hidden_id > 0;
	RETURN chat.get_chat(open_direct_chat.actor_id, open_id);
END
$$;
COMMENT ON FUNCTION chat.open_direct_chat IS 'The direct chat with this user, made when there is none; with oneself it holds one''s notes. Again and at the same time from both sides gives the same chat. MC404 no_such_user; MC403 blocked, not_accepting when it would have to be made.';
GRANT EXECUTE ON FUNCTION chat.open_direct_chat TO chat_user, chat_app; -- since 0.1.0

-- What a chat is to oneself alone
CREATE FUNCTION chat.set_chat_prefs(actor_id bigint, chat_id bigint, muted_until timestamptz DEFAULT NULL,
	archived boolean DEFAULT NULL, pinned boolean DEFAULT NULL)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(set_chat_prefs.actor_id);
	PERFORM chat.visible_range(set_chat_prefs.chat_id, set_chat_prefs.actor_id);
	set_chat_prefs.muted_until := chat.to_json_years(set_chat_prefs.muted_until);
	UPDATE chat.members m
	   SET muted_until = CASE WHEN set_chat_prefs.muted_until IS NULL THEN m.muted_until
				WHEN set_chat_prefs.muted_until > now() THEN set_chat_prefs.muted_until END,
		   archived = coalesce(set_chat_prefs.archived, m.archived), pinned = coalesce(set_chat_prefs.pinned, m.pinned),
		   prefs_version = chat.take_id(m.prefs_version)
	 WHERE m.chat_id = set_chat_prefs.chat_id AND m.user_id = set_chat_prefs.actor_id
	   AND (m.archived <> set_chat_prefs.archived OR m.pinned <> set_chat_prefs.pinned
		 OR set_chat_prefs.muted_until > now() AND m.muted_until IS DISTINCT FROM set_chat_prefs.muted_until
		 OR set_chat_prefs.muted_until <= now() AND m.muted_until IS NOT NULL);
	RETURN chat.get_chat(set_chat_prefs.actor_id, set_chat_prefs.chat_id);
END
$$;
COMMENT ON FUNCTION chat.set_chat_prefs IS 'One''s own view of a chat: no push until muted_until (a time gone by unmutes, infinity is the year 9999), archived (off the list until asked for), pinned (a flag). NULL leaves a value. MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.set_chat_prefs TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.prefs_event(member chat.members)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('type', 'chat_prefs_changed', 'chat_id', member.chat_id::text, 'version', member.prefs_version::text,
		'muted_until', chat.rfc3339(member.muted_until), 'archived', member.archived, 'pinned', member.pinned,
		'marked_unread', member.marked_unread, 'hidden', member.hidden_id > 0)
$$;
COMMENT ON FUNCTION chat.prefs_event IS 'The chat_prefs_changed event, as it is published and as sync tells it.';

CREATE FUNCTION chat.publish_prefs()
RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF chat.took(NEW.prefs_version) THEN
		PERFORM chat.publish(chat.prefs_event(NEW), ARRAY[NEW.user_id]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_prefs IS 'Trigger: the chat_prefs_changed event, to one''s own sockets.';
CREATE TRIGGER publish_prefs AFTER UPDATE OF prefs_version ON chat.members
FOR EACH ROW EXECUTE FUNCTION chat.publish_prefs();

CREATE FUNCTION chat.save_draft(actor_id bigint, chat_id bigint, body text DEFAULT NULL, reply_to_id bigint DEFAULT NULL)
RETURNS chat.drafts LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	draft chat.drafts;
BEGIN
	PERFORM chat.check_actor(save_draft.actor_id);
	PERFORM chat.check_member(save_draft.chat_id, save_draft.actor_id);
	IF char_length(save_draft.body) > chat.setting_integer('body_max_length') THEN
		PERFORM chat.fail('message_too_long', NULL, format('Use at most %s characters.', chat.setting_integer('body_max_length')));
	END IF;
	save_draft.reply_to_id := nullif(save_draft.reply_to_id, 0);
	IF save_draft.reply_to_id IS NOT NULL THEN
		PERFORM chat.check_visible_message(save_draft.chat_id, save_draft.reply_to_id, save_draft.actor_id);
	END IF;
	INSERT INTO chat.drafts AS d (user_id, chat_id, body, reply_to_id, version)
	VALUES (save_draft.actor_id, save_draft.chat_id, coalesce(save_draft.body, ''), save_draft.reply_to_id, chat.take_id())
	ON CONFLICT ON CONSTRAINT drafts_pkey DO UPDATE
	   SET body = excluded.body, reply_to_id = excluded.reply_to_id, version = chat.take_id(d.version)
	 WHERE d.body <> excluded.body OR d.reply_to_id IS DISTINCT FROM excluded.reply_to_id;
	SELECT d.* INTO draft FROM chat.drafts d WHERE d.user_id = save_draft.actor_id AND d.chat_id = save_draft.chat_id;
	RETURN draft;
END
$$;
COMMENT ON FUNCTION chat.save_draft IS 'Keeps what one has begun to write in a chat for one''s other devices, in place of the draft before; without body and reply_to_id it is cleared. Sending does not clear it. MC404 no_such_chat, no_such_message (reply_to_id); MC413 message_too_long.';
GRANT EXECUTE ON FUNCTION chat.save_draft TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.draft_event(draft chat.drafts)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('type', 'draft_changed', 'chat_id', draft.chat_id::text, 'version', draft.version::text,
		'body', draft.body, 'reply_to_id', draft.reply_to_id::text)
$$;
COMMENT ON FUNCTION chat.draft_event IS 'The draft_changed event, as it is published and as sync tells it.';

CREATE FUNCTION chat.publish_draft()
RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	event jsonb := chat.draft_event(NEW);
BEGIN
	IF octet_length(event::text) > 7800 THEN	-- 7,900 with its envelope
		event := event - 'body' || '{"partial": true}';
	END IF;
	IF chat.took(NEW.version) THEN
		PERFORM chat.publish(event, ARRAY[NEW.user_id]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_draft IS 'Trigger: the draft_changed event, to one''s own sockets; a long one without its body, marked partial.';
CREATE TRIGGER publish_draft AFTER INSERT OR UPDATE ON chat.drafts
FOR EACH ROW EXECUTE FUNCTION chat.publish_draft();

-- For run_maintenance
CREATE FUNCTION chat.count_members(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	counted integer;
BEGIN
	UPDATE chat.chats c
	   SET member_count = (SELECT count(*) FROM chat.members m WHERE m.chat_id = c.id AND m.left_id IS NULL)
	 WHERE c.id IN (SELECT o.id FROM chat.chats o WHERE o.member_count = 0 AND o.deleted_id IS NULL LIMIT count_members.batch FOR NO KEY UPDATE SKIP LOCKED)
	   AND EXISTS (SELECT FROM chat.members m WHERE m.chat_id = c.id AND m.left_id IS NULL);
	GET DIAGNOSTICS counted = ROW_COUNT;
	RETURN counted;
END
$$;
COMMENT ON FUNCTION chat.count_members IS 'For run_maintenance: counts the members of at most batch chats that a dump of 0.1.0 has brought, which knew no member_count.';

CREATE FUNCTION chat.drop_deleted_chats(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	dead bigint;
	dropped integer;
BEGIN
	SELECT c.id INTO dead FROM chat.chats c
	 WHERE c.deleted_id IS NOT NULL
	   AND (c.deleted_id < chat.id_at(now() - chat.setting_interval('event_retention'))
		 OR EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = c.id))
	 LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	dropped := chat.drop_messages(dead, 9223372036854775807, drop_deleted_chats.batch);
	IF dropped > 0 THEN
		RETURN dropped;
	END IF;
	DELETE FROM chat.drafts d USING chat.members m WHERE m.chat_id = dead AND d.user_id = m.user_id AND d.chat_id = dead;
	DELETE FROM chat.bans b WHERE b.chat_id = dead;
	DELETE FROM chat.search_cursors s WHERE s.chat_id = dead;
	DELETE FROM chat.events e WHERE e.chat_id = dead;
	DELETE FROM chat.members m WHERE m.chat_id = dead;
	DELETE FROM chat.chats c WHERE c.id = dead;
	RETURN 1;
END
$$;
COMMENT ON FUNCTION chat.drop_deleted_chats IS 'For run_maintenance: removes at most batch messages of one deleted chat, or, when none is left and it has been deleted for the setting event_retention, the chat itself; till then those who were in it can learn of its end. Answers how many rows; 0 = there is nothing to do.';
-- Presence: what somebody wants shown (set_presence), while he is there (leases), to those who may see it.
--
-- A gateway holds a lease. With one call, renew_presence, at least three times per setting presence_lease, it keeps the lease and says
-- which sessions got their first socket there and which lost their last. When it dies, the lease lapses, and at once its users are
-- offline for who asks; expire_presence tells those who watch.
--
-- A change is announced to all gateways, on the channel of user 0, as {"type":"presence_changed","user_id":…} and nothing more:
-- a gateway with sockets that watch this user asks read_presence what each watcher may see of him now. So the rule stands here alone,
-- and whoever loses sight of somebody is told that he is offline, once: that a hidden user comes and goes is no news for him either.

CREATE VIEW chat.v_live_users AS
SELECT s.user_id FROM chat.live_sessions s JOIN chat.leases l ON l.id = s.lease_id WHERE l.expires_at > now();
COMMENT ON VIEW chat.v_live_users IS 'Who has a socket somewhere, once for each session.';

CREATE FUNCTION chat.is_live(user_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.v_live_users v WHERE v.user_id = is_live.user_id);
END
$$;
COMMENT ON FUNCTION chat.is_live IS 'Whether the user has a socket anywhere, invisible or not.';

CREATE FUNCTION chat.is_invisible(user_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT u.status = 'invisible' AND (u.status_until <= now()) IS NOT TRUE FROM chat.users u WHERE u.id = is_invisible.user_id);
END
$$;
COMMENT ON FUNCTION chat.is_invisible IS 'Whether the user looks offline, there or not.';

CREATE VIEW chat.v_presence AS
SELECT u.id AS user_id,
	CASE WHEN NOT chat.is_live(u.id) THEN 'offline' WHEN u.status_until <= now() THEN 'online' ELSE u.status END AS status,
	v.status_text, CASE WHEN u.status_until > now() THEN u.status_until END AS status_until, u.last_seen_at, u.status_version AS version,
	v.status AS shown_status
  FROM chat.users u JOIN chat.v_users v ON v.id = u.id;
COMMENT ON VIEW chat.v_presence IS 'Presence as the user himself sees it; shown_status is what others see, if they may: offline while he is invisible.';

CREATE FUNCTION chat.visible_presence(viewer_ids bigint[], user_ids bigint[])
RETURNS TABLE (viewer_id bigint, user_id bigint) LANGUAGE sql STABLE AS $$
	SELECT p.viewer_id, p.user_id
	  FROM (SELECT v AS viewer_id, v AS user_id FROM unnest(visible_presence.viewer_ids) v WHERE v = ANY (visible_presence.user_ids)
			UNION
			SELECT c.owner_id, c.user_id FROM chat.v_connections c
			 WHERE c.owner_id = ANY (visible_presence.viewer_ids) AND c.user_id = ANY (visible_presence.user_ids) AND c.state = 'connected'
			UNION
			SELECT a.user_id, b.user_id
			  FROM chat.members a
			  JOIN chat.chats c ON c.id = a.chat_id AND c.deleted_id IS NULL AND c.member_count <= chat.setting_integer('receipts_max_members')
			  JOIN chat.members b ON b.chat_id = a.chat_id
			 WHERE a.user_id = ANY (visible_presence.viewer_ids) AND a.left_id IS NULL
			   AND b.user_id = ANY (visible_presence.user_ids) AND b.left_id IS NULL) p
	 WHERE NOT chat.are_blocked(p.viewer_id, p.user_id)
$$;
COMMENT ON FUNCTION chat.visible_presence IS 'Who of these viewers may see the presence of whom of these users: himself, his connections, and who is with him in a chat of at most receipts_max_members; never across a block.';

CREATE FUNCTION chat.seen_presence(viewer_ids bigint[], user_ids bigint[])
RETURNS TABLE (viewer_id bigint, user_id bigint, status text, status_text text, last_seen_at timestamptz, version bigint, visible boolean)
LANGUAGE sql STABLE AS $$
	WITH present AS MATERIALIZED (SELECT p.* FROM chat.v_presence p WHERE p.user_id = ANY (seen_presence.user_ids))
	SELECT viewer.id, p.user_id,
		CASE WHEN p.user_id = viewer.id THEN p.status WHEN s.user_id IS NULL THEN 'offline' ELSE p.shown_status END,
		CASE WHEN s.user_id IS NOT NULL THEN p.status_text END,
		CASE WHEN s.user_id IS NOT NULL THEN p.last_seen_at END,
		p.version, s.user_id IS NOT NULL
	  FROM unnest(seen_presence.viewer_ids) AS viewer (id)
	 CROSS JOIN present p
	  LEFT JOIN chat.visible_presence(seen_presence.viewer_ids, seen_presence.user_ids) s ON s.viewer_id = viewer.id AND s.user_id = p.user_id
$$;
COMMENT ON FUNCTION chat.seen_presence IS 'Presence of each of these users as each of these viewers sees it: offline and nothing else of those whose he may not see.';

CREATE FUNCTION chat.seen_users(actor_id bigint, user_ids bigint[])
RETURNS SETOF chat.v_users LANGUAGE sql STABLE AS $$
	SELECT u.id, u.user_name, u.display_name, u.avatar_file_id, p.status, p.status_text, u.deleted
	  FROM chat.seen_presence(ARRAY[seen_users.actor_id], seen_users.user_ids) p JOIN chat.users u ON u.id = p.user_id
$$;
COMMENT ON FUNCTION chat.seen_users IS 'Public profiles as actor_id sees them.';

CREATE FUNCTION chat.get_presence(actor_id bigint, user_ids bigint[])
RETURNS TABLE (user_id bigint, status text, status_text text, last_seen_at timestamptz, version bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(get_presence.actor_id);
	PERFORM chat.check_ids(get_presence.user_ids, 'user_ids');
	RETURN QUERY
	SELECT p.user_id, p.status, p.status_text, p.last_seen_at, CASE WHEN p.visible THEN p.version END
	  FROM chat.seen_presence(ARRAY[get_presence.actor_id], get_presence.user_ids) p
	 ORDER BY p.user_id;
END
$$;
COMMENT ON FUNCTION chat.get_presence IS 'Who of these users is there, ascending by user_id: status online, away, busy or offline, the text he has set, and when he was last online. To be seen by oneself (invisible too), connections, and members of a shared chat of at most the setting receipts_max_members; everybody else, and who is blocked, sees offline and no more. At most the setting ids_max. MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.get_presence TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.read_presence(user_ids bigint[], watcher_ids bigint[])
RETURNS TABLE (user_id bigint, viewer_ids bigint[], visible boolean, event jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT p.user_id, array_agg(p.viewer_id ORDER BY p.viewer_id), p.visible, jsonb_build_object('type', 'presence_changed', 'user_id', p.user_id::text,
		'status', p.status, 'status_text', p.status_text, 'last_seen_at', chat.rfc3339(p.last_seen_at),
		'version', CASE WHEN p.visible THEN p.version::text END, 'at', CASE WHEN p.visible THEN chat.rfc3339(chat.id_time(p.version)) END)
	  FROM chat.seen_presence(read_presence.watcher_ids, read_presence.user_ids) p
	 GROUP BY p.user_id, p.status, p.status_text, p.last_seen_at, p.version, p.visible
	 ORDER BY p.user_id, 2
$$;
COMMENT ON FUNCTION chat.read_presence IS 'For a gateway that was told of changes: what its watchers may see of these users now, as the event for their sockets; one row for all viewers who see the same. visible: they may see him. Who may not is told so (offline, without version and time) once, when it has become so, and nothing after that, not even that there was a change.';
GRANT EXECUTE ON FUNCTION chat.read_presence TO chat_gateway; -- since 0.2.0

CREATE FUNCTION chat.publish_presence()
RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF chat.took(NEW.status_version) THEN
		PERFORM chat.publish(jsonb_build_object('type', 'presence_changed', 'user_id', NEW.id::text), ARRAY[0]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_presence IS 'Trigger: tells all gateways, who listen to user 0, that those who watch this user may see something new.';
CREATE TRIGGER publish_presence AFTER UPDATE OF status_version ON chat.users
FOR EACH ROW EXECUTE FUNCTION chat.publish_presence();

CREATE FUNCTION chat.change_presence(user_ids bigint[], seen_at timestamptz DEFAULT NULL)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE chat.users u
	   SET status_version = chat.take_id(u.status_version), last_seen_at = coalesce(change_presence.seen_at, u.last_seen_at)
	 WHERE u.id = ANY (change_presence.user_ids);
END
$$;
COMMENT ON FUNCTION chat.change_presence IS 'Others see something new of the presence of these users, who are locked: they came, went (seen_at), or are seen by others than before.';

CREATE FUNCTION chat.set_presence(actor_id bigint, status text DEFAULT NULL, status_text text DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS chat.v_presence LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	present chat.users;
	wanted chat.users;
	presence chat.v_presence;
BEGIN
	PERFORM chat.check_actor(set_presence.actor_id);
	IF set_presence.status NOT IN ('online', 'away', 'busy', 'invisible') THEN
		PERFORM chat.fail('invalid_argument', 'status is not acceptable', 'Use online, away, busy or invisible.');
	ELSIF set_presence.until <= now() OR set_presence.until = 'infinity' THEN
		PERFORM chat.fail('invalid_argument', 'until is not acceptable', 'Name a time to come, or none.');
	END IF;
	PERFORM chat.check_length(set_presence.status_text, 'status_text', 0, 140);
	SELECT u.* INTO present FROM chat.users u WHERE u.id = set_presence.actor_id AND NOT u.deleted FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	SELECT p.* INTO presence FROM chat.v_presence p WHERE p.user_id = set_presence.actor_id;
	wanted := present;
	wanted.status := coalesce(set_presence.status, CASE WHEN present.status_until <= now() THEN 'online' ELSE present.status END);
	wanted.status_text := nullif(coalesce(set_presence.status_text, presence.status_text), '');
	wanted.status_until := set_presence.until;
	IF wanted IS DISTINCT FROM present THEN
		UPDATE chat.users u SET status = wanted.status, status_text = wanted.status_text, status_until = wanted.status_until
		 WHERE u.id = set_presence.actor_id;
		-- Who becomes invisible seems to leave.
		PERFORM chat.change_presence(ARRAY[set_presence.actor_id],
			CASE WHEN wanted.status = 'invisible' AND presence.shown_status <> 'offline' THEN now() END);
		SELECT p.* INTO presence FROM chat.v_presence p WHERE p.user_id = set_presence.actor_id;
	END IF;
	RETURN presence;
END
$$;
COMMENT ON FUNCTION chat.set_presence IS 'Sets what others see while one is there: status online, away, busy or invisible (looks offline); status_text at most 140 characters ('''' = none), seen also while one is not there; both until this time, then online without text again; until NULL = till the next call. NULL leaves status or status_text. Answers one''s presence as one sees it; status is offline while no session of one''s own has a socket. MC400 invalid_argument; MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.set_presence TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.renew_presence(lease_id bigint, opened_ids bigint[] DEFAULT NULL, closed_ids bigint[] DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	lease bigint;
	coming bigint[] := ARRAY(SELECT DISTINCT s.user_id FROM chat.sessions s WHERE s.id = ANY (opened_ids));
	going bigint[] := ARRAY(SELECT DISTINCT s.user_id FROM chat.live_sessions s
		WHERE s.lease_id = renew_presence.lease_id AND s.session_id = ANY (closed_ids));
BEGIN
	UPDATE chat.leases l SET expires_at = now() + chat.setting_interval('presence_lease')
	 WHERE l.id = renew_presence.lease_id AND l.expires_at > now() RETURNING l.id INTO lease;
	IF NOT FOUND THEN
		INSERT INTO chat.leases AS l (id, expires_at) VALUES (chat.take_id(), now() + chat.setting_interval('presence_lease'))
		RETURNING l.id INTO lease;
	END IF;
	IF coming = '{}' AND going = '{}' THEN
		RETURN lease;
	END IF;

	PERFORM chat.lock_users(coming || going);
	coming := ARRAY(SELECT u FROM unnest(coming) u WHERE NOT chat.is_live(u) AND NOT chat.is_invisible(u));
	INSERT INTO chat.live_sessions (session_id, lease_id, user_id)
	SELECT s.id, lease, s.user_id FROM chat.sessions s WHERE s.id = ANY (opened_ids)
	ON CONFLICT DO NOTHING;
	PERFORM chat.change_presence(coming);
	PERFORM chat.end_live_sessions(lease, going, closed_ids, now());
	RETURN lease;
END
$$;
COMMENT ON FUNCTION chat.renew_presence IS 'For gateways: keeps the lease alive for the setting presence_lease, and notes which sessions have got their first socket here (opened_ids) and which have lost their last (closed_ids). The first call passes NULL and gets the lease''s id. When the answer is not the id that was passed, that lease had lapsed: call again with all sessions that have a socket here.';
GRANT EXECUTE ON FUNCTION chat.renew_presence TO chat_gateway; -- since 0.2.0

CREATE FUNCTION chat.presence_lease()
RETURNS interval LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT chat.setting_interval('presence_lease') $$;
COMMENT ON FUNCTION chat.presence_lease IS 'For gateways: how long a lease lasts that is not renewed, the setting presence_lease.';
GRANT EXECUTE ON FUNCTION chat.presence_lease TO chat_gateway; -- since 0.2.0

CREATE FUNCTION chat.end_live_sessions(lease_id bigint, user_ids bigint[], session_ids bigint[], at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM chat.live_sessions s
	 WHERE s.lease_id = end_live_sessions.lease_id AND s.user_id = ANY (end_live_sessions.user_ids)
	   AND (end_live_sessions.session_ids IS NULL OR s.session_id = ANY (end_live_sessions.session_ids));
	PERFORM chat.change_presence(
		ARRAY(SELECT u FROM unnest(end_live_sessions.user_ids) u WHERE NOT chat.is_live(u) AND NOT chat.is_invisible(u)), end_live_sessions.at);
END
$$;
COMMENT ON FUNCTION chat.end_live_sessions IS 'Ends these sessions, or all, that these users, who are locked, have under a lease; who is not there any more was last seen at.';

CREATE FUNCTION chat.expire_presence(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	lapsed chat.leases;
	going bigint[] := '{}';
	ended integer;
BEGIN
	SELECT l.* INTO lapsed FROM chat.leases l WHERE l.expires_at <= now() ORDER BY l.id LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF FOUND THEN
		going := ARRAY(SELECT DISTINCT s.user_id FROM chat.live_sessions s WHERE s.lease_id = lapsed.id ORDER BY 1 LIMIT expire_presence.batch);
		PERFORM chat.lock_users(going);
		PERFORM chat.end_live_sessions(lapsed.id, going, NULL, lapsed.expires_at);
		IF cardinality(going) < expire_presence.batch THEN
			DELETE FROM chat.leases l WHERE l.id = lapsed.id;
		END IF;
	END IF;

	WITH old AS (
		SELECT u.id FROM chat.users u WHERE u.status_until IS NOT NULL AND u.status_until <= now()
		 ORDER BY u.id LIMIT expire_presence.batch FOR NO KEY UPDATE SKIP LOCKED
	)
	UPDATE chat.users u SET status = 'online', status_text = NULL, status_until = NULL, status_version = chat.take_id(u.status_version)
	  FROM old WHERE u.id = old.id;
	GET DIAGNOSTICS ended = ROW_COUNT;
	RETURN cardinality(going) + ended;
END
$$;
COMMENT ON FUNCTION chat.expire_presence IS 'For run_maintenance: tells the watchers of at most batch users whom a dead gateway has left behind, and of as many whose status has ended; answers how many.';
-- Groups and rooms. Whoever changes one begins with this: the row lock, then what the actor may.
CREATE FUNCTION chat.lock_group(chat_id bigint, actor_id bigint, roles text[] DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chat.lock_chat(lock_group.chat_id);
	PERFORM chat.check_member(lock_group.chat_id, lock_group.actor_id);
	IF (SELECT c.kind FROM chat.chats c WHERE c.id = lock_group.chat_id) = 'direct' THEN
		PERFORM chat.fail('direct_chat');
	END IF;
	PERFORM chat.check_member(lock_group.chat_id, lock_group.actor_id, lock_group.roles);
END
$$;
COMMENT ON FUNCTION chat.lock_group IS 'Locks a group or room for a member with one of the roles. MC404 no_such_chat; MC403 direct_chat, not_permitted; MC503 chat_busy.';

CREATE FUNCTION chat.check_users(user_ids bigint[])
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF EXISTS (SELECT FROM unnest(check_users.user_ids) AS wanted (id)
		WHERE NOT EXISTS (SELECT FROM chat.users u WHERE u.id = wanted.id AND NOT u.deleted)) THEN
		PERFORM chat.fail('no_such_user');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_users IS 'Raises MC404 no_such_user unless all of them have an account.';

CREATE FUNCTION chat.check_newcomers(chat_id bigint, actor_id bigint, user_ids bigint[])
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF cardinality(check_newcomers.user_ids) > chat.setting_integer('members_per_call_max') THEN
		PERFORM chat.fail('invalid_argument', 'there are too many users',
			format('Add at most %s at a time.', chat.setting_integer('members_per_call_max')));
	END IF;
	PERFORM chat.check_users(check_newcomers.user_ids);
	PERFORM chat.check_direct(check_newcomers.actor_id, u) FROM unnest(check_newcomers.user_ids) u;
	IF EXISTS (SELECT FROM chat.bans b WHERE b.chat_id = check_newcomers.chat_id
		AND b.user_id = ANY (check_newcomers.user_ids) AND (b.until IS NULL OR b.until > now())) THEN
		PERFORM chat.fail('banned');
	ELSIF (SELECT c.member_count FROM chat.chats c WHERE c.id = check_newcomers.chat_id) + cardinality(check_newcomers.user_ids)
		> chat.setting_integer('members_max') THEN
		PERFORM chat.fail('chat_full');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_newcomers IS 'Whether actor_id may let these users in (himself: whether he may come in): MC400 invalid_argument, MC404 no_such_user, MC403 blocked, not_accepting, banned, MC429 chat_full.';

-- All ways in end here, with the chat locked and the actor's right checked.
CREATE FUNCTION chat.admit_members(chat_id bigint, actor_id bigint, user_ids bigint[], role text DEFAULT 'member')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	coming bigint[] := ARRAY(SELECT DISTINCT u FROM unnest(admit_members.user_ids) u
		WHERE NOT chat.is_member(admit_members.chat_id, u) ORDER BY u);
	event record;
BEGIN
	IF cardinality(coming) = 0 THEN
		RETURN;
	END IF;
	PERFORM chat.check_newcomers(admit_members.chat_id, admit_members.actor_id, coming);
	-- erase_user, which leaves the chats that it finds him in, waits for this lock; where it came first, nobody waits: it may be
	-- waiting for the chat.
	IF (SELECT count(*) FROM (SELECT FROM chat.users u
		 WHERE u.id = ANY (coming) AND NOT u.deleted ORDER BY u.id FOR KEY SHARE SKIP LOCKED) held) < cardinality(coming) THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	event := chat.next_event(admit_members.chat_id, 0);
	INSERT INTO chat.members AS m (chat_id, user_id, role, joined_id, visible_from, read_id, read_count, delivered_id)
	SELECT admit_members.chat_id, u, admit_members.role, event.id,
		CASE chat.setting_text('history_for_new_members') WHEN 'none' THEN event.id - 1 ELSE 0 END, event.id, event.number, event.id
	  FROM unnest(coming) u
	ON CONFLICT ON CONSTRAINT members_pkey DO UPDATE
	   SET role = excluded.role, joined_id = excluded.joined_id, visible_from = excluded.visible_from, read_id = excluded.read_id,
		   read_count = excluded.read_count, delivered_id = excluded.delivered_id, mentions = 0,
		   left_id = NULL, left_count = NULL, left_chat = NULL;
	UPDATE chat.chats c SET member_count = c.member_count + cardinality(coming) WHERE c.id = admit_members.chat_id;
	PERFORM chat.log_event(admit_members.chat_id, event.id, event.prev_id, event.number, 'member_joined', admit_members.actor_id,
		jsonb_build_object('user_ids', coming::text[], 'role', admit_members.role), true);
	PERFORM chat.grow_chat(admit_members.chat_id, admit_members.actor_id);
END
$$;
COMMENT ON FUNCTION chat.admit_members IS 'Lets in those of the users who are not in yet: the member_joined event, counters, cursors at the present end, history by the setting history_for_new_members. Errors: check_newcomers''.';

CREATE FUNCTION chat.grow_chat(chat_id bigint, actor_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event record;
BEGIN
	IF NOT EXISTS (SELECT FROM chat.chats c WHERE c.id = grow_chat.chat_id AND NOT c.large
		AND c.member_count > current_setting('chat.user_fanout_limit')::integer) THEN
		RETURN;
	END IF;
	event := chat.next_event(grow_chat.chat_id, 0);
	PERFORM chat.log_event(grow_chat.chat_id, event.id, event.prev_id, event.number, 'chat_changed', grow_chat.actor_id, '{"large": true}');
	UPDATE chat.chats c SET large = true WHERE c.id = grow_chat.chat_id;
END
$$;
COMMENT ON FUNCTION chat.grow_chat IS 'Once the chat has more than chat.user_fanout_limit members: says so on their own channels, for the last time; from here on its events go to its channel.';

-- All ways out end here, with the chat locked and the actor's right checked.
CREATE FUNCTION chat.drop_member(chat_id bigint, user_id bigint, actor_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event record := chat.next_event(drop_member.chat_id, 0);
	was_owner boolean := (SELECT m.role = 'owner' FROM chat.members m
		WHERE m.chat_id = drop_member.chat_id AND m.user_id = drop_member.user_id);
	remains chat.chats;
BEGIN
	UPDATE chat.chats c SET member_count = c.member_count - 1 WHERE c.id = drop_member.chat_id RETURNING c.* INTO remains;
	UPDATE chat.members m
	   SET role = 'member', left_id = event.id, left_count = event.number, left_chat = to_jsonb(remains),
		   read_id = event.id, read_count = event.number, mentions = 0
	 WHERE m.chat_id = drop_member.chat_id AND m.user_id = drop_member.user_id;
	PERFORM chat.log_event(drop_member.chat_id, event.id, event.prev_id, event.number, 'member_left', drop_member.actor_id,
		jsonb_build_object('user_ids', ARRAY[drop_member.user_id::text]), true);
	IF remains.member_count = 0 THEN
		PERFORM chat.end_chat(drop_member.chat_id, drop_member.actor_id);
	ELSIF was_owner THEN
		PERFORM chat.change_role(drop_member.chat_id, chat.find_heir(drop_member.chat_id), 'owner', drop_member.actor_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.drop_member IS 'Takes a present member out: the member_left event, the last one that he gets; an owner''s heir takes over, and with the last one the chat ends. For leaving, removal, ban and the deletion of an account. actor_id: who does it.';

CREATE FUNCTION chat.find_heir(chat_id bigint)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT m.user_id FROM chat.members m
	 WHERE m.chat_id = find_heir.chat_id AND m.left_id IS NULL
	 ORDER BY m.role = 'admin' DESC, m.joined_id, m.user_id LIMIT 1);
END
$$;
COMMENT ON FUNCTION chat.find_heir IS 'Who owns a chat when its owner has left: the admin who has been in it longest, else the member.';

CREATE FUNCTION chat.change_role(chat_id bigint, user_id bigint, role text, actor_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event record := chat.next_event(change_role.chat_id, 0);
BEGIN
	UPDATE chat.members m SET role = change_role.role WHERE m.chat_id = change_role.chat_id AND m.user_id = change_role.user_id;
	PERFORM chat.log_event(change_role.chat_id, event.id, event.prev_id, event.number, 'member_changed', change_role.actor_id,
		jsonb_build_object('user_ids', ARRAY[change_role.user_id::text], 'role', change_role.role), true);
END
$$;
COMMENT ON FUNCTION chat.change_role IS 'Gives a present member another role: the member_changed event. The chat is locked and the right checked.';

CREATE FUNCTION chat.end_chat(chat_id bigint, actor_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event record := chat.next_event(end_chat.chat_id, 0);
BEGIN
	UPDATE chat.chats c SET deleted_id = event.id WHERE c.id = end_chat.chat_id;
	DELETE FROM chat.invite_links l WHERE l.chat_id = end_chat.chat_id;
	PERFORM chat.log_event(end_chat.chat_id, event.id, event.prev_id, event.number, 'chat_deleted', end_chat.actor_id, '{}');
END
$$;
COMMENT ON FUNCTION chat.end_chat IS 'Deletes a chat for everybody: the chat_deleted event. drop_deleted_chats removes what it held.';

CREATE FUNCTION chat.check_chat(title text, description text, attributes jsonb, posting text)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	PERFORM chat.check_length(title, 'title', 0, 128);
	PERFORM chat.check_length(description, 'description', 0, 1024);
	PERFORM chat.check_attributes(attributes);
	IF posting NOT IN ('all', 'admins') THEN
		PERFORM chat.fail('invalid_argument', 'posting is not acceptable', 'Use all or admins.');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_chat IS 'Raises MC400 or MC413 for what no chat accepts; NULL passes.';

CREATE FUNCTION chat.create_chat(actor_id bigint, kind text, title text, description text, member_ids bigint[],
	attributes jsonb, client_key text)
RETURNS chat.chat_row LANGUAGE plpgsql AS $$
DECLARE
	request jsonb := jsonb_build_object('title', title, 'description', description, 'member_ids', member_ids, 'attributes', attributes);
	new_id bigint := chat.client_key_result(actor_id, 'create_' || kind, client_key, request);
BEGIN
	IF new_id IS NULL THEN
		PERFORM chat.check_chat(create_chat.title, create_chat.description, create_chat.attributes, NULL);
		new_id := chat.take_id();
		INSERT INTO chat.chats (id, kind, creator_id, last_event_id, title, description, attributes)
		VALUES (new_id, create_chat.kind, create_chat.actor_id, new_id, nullif(create_chat.title, ''),
			nullif(create_chat.description, ''), nullif(create_chat.attributes, '{}'));
		PERFORM chat.admit_members(new_id, create_chat.actor_id, ARRAY[create_chat.actor_id], 'owner');
		PERFORM chat.admit_members(new_id, create_chat.actor_id, create_chat.member_ids);
		PERFORM chat.save_client_key(actor_id, 'create_' || kind, client_key, request, new_id);
	END IF;
	RETURN chat.get_chat(create_chat.actor_id, new_id);
END
$$;
COMMENT ON FUNCTION chat.create_chat IS 'What create_group and create_room share.';

CREATE FUNCTION chat.create_group(actor_id bigint, title text DEFAULT NULL, member_ids bigint[] DEFAULT NULL,
	attributes jsonb DEFAULT NULL, client_key text DEFAULT NULL)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(create_group.actor_id);
	RETURN chat.create_chat(create_group.actor_id, 'group', create_group.title, NULL, create_group.member_ids,
		create_group.attributes, create_group.client_key);
END
$$;
COMMENT ON FUNCTION chat.create_group IS 'Makes a group that the actor owns, with these members; others come in by invitation. title: at most 128 characters, may be missing. member_ids: at most the setting members_per_call_max. client_key: 1 to 64 characters; the same key answers the same group again. MC400 invalid_argument; MC403 blocked, not_accepting; MC404 no_such_user; MC409 client_key_reused; MC413 too_large; MC429 chat_full.';
GRANT EXECUTE ON FUNCTION chat.create_group TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.create_room(actor_id bigint, title text, description text DEFAULT NULL, attributes jsonb DEFAULT NULL,
	client_key text DEFAULT NULL)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(create_room.actor_id);
	PERFORM chat.check_length(coalesce(create_room.title, ''), 'title', 1, 128);
	RETURN chat.create_chat(create_room.actor_id, 'room', create_room.title, create_room.description, NULL,
		create_room.attributes, create_room.client_key);
END
$$;
COMMENT ON FUNCTION chat.create_room IS 'Makes a room that the actor owns; anyone can find and join it. title: 1 to 128 characters; description: at most 1,024. client_key: as in create_group. MC400 invalid_argument; MC409 client_key_reused; MC413 too_large.';
GRANT EXECUTE ON FUNCTION chat.create_room TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.search_rooms(actor_id bigint, pattern text DEFAULT NULL, page_size integer DEFAULT NULL,
	after_id bigint DEFAULT NULL)
RETURNS TABLE (id bigint, title text, description text, avatar_file_id bigint, attributes jsonb, created_at timestamptz,
	member_count integer, is_member boolean, has_more boolean)
-- A plan for any pattern, or none, could not use the trigram indexes.
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	words text := nullif(lower(btrim(search_rooms.pattern)), '');
	-- A trigram index finds substrings of 3 characters and more; 2 are looked for at the beginning only.
	anywhere text := CASE WHEN char_length(words) > 2 THEN '%' ELSE '' END
		|| replace(replace(replace(words, '\', '\\'), '%', '\%'), '_', '\_') || '%';
	size integer := chat.page_size(search_rooms.page_size);
BEGIN
	PERFORM chat.check_actor(search_rooms.actor_id);
	IF char_length(words) < 2 THEN
		PERFORM chat.fail('pattern_too_short');
	END IF;
	PERFORM chat.check_length(words, 'pattern', 2, 64);
	RETURN QUERY
	WITH found AS (
		SELECT c.* FROM chat.chats c
		 WHERE c.kind = 'room' AND c.deleted_id IS NULL AND c.id > coalesce(search_rooms.after_id, 0)
		   AND (anywhere IS NULL OR lower(c.title) LIKE anywhere OR lower(c.description) LIKE anywhere)
		   AND NOT EXISTS (SELECT FROM chat.bans b WHERE b.chat_id = c.id AND b.user_id = search_rooms.actor_id
				AND (b.until IS NULL OR b.until > now()))
		 ORDER BY c.id LIMIT size + 1
	)
	SELECT f.id, f.title, f.description, f.avatar_file_id, f.attributes, chat.id_time(f.id), f.member_count,
		chat.is_member(f.id, search_rooms.actor_id), (SELECT count(*) > size FROM found)
	  FROM found f ORDER BY f.id LIMIT size;
END
$$;
COMMENT ON FUNCTION chat.search_rooms IS 'Rooms whose title or description contains pattern, whatever the case, the oldest first; all rooms without a pattern, with just 2 characters only beginnings. Not those from which the actor is banned. after_id: id of the last row seen. MC400 pattern_too_short (under 2 characters), invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.search_rooms TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.join_room(actor_id bigint, chat_id bigint)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(join_room.actor_id);
	PERFORM chat.lock_chat(join_room.chat_id);
	IF (SELECT c.kind FROM chat.chats c WHERE c.id = join_room.chat_id) <> 'room' THEN
		PERFORM chat.check_member(join_room.chat_id, join_room.actor_id);
	END IF;
	PERFORM chat.admit_members(join_room.chat_id, join_room.actor_id, ARRAY[join_room.actor_id]);
	RETURN chat.get_chat(join_room.actor_id, join_room.chat_id);
END
$$;
COMMENT ON FUNCTION chat.join_room IS 'Joins a room; again is no error. MC404 no_such_chat, for groups that one is not in, too; MC403 banned; MC429 chat_full.';
GRANT EXECUTE ON FUNCTION chat.join_room TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.leave_chat(actor_id bigint, chat_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(leave_chat.actor_id);
	IF EXISTS (SELECT FROM chat.members m
		WHERE m.chat_id = leave_chat.chat_id AND m.user_id = leave_chat.actor_id AND m.left_id IS NOT NULL) THEN
		RETURN;
	END IF;
	PERFORM chat.lock_group(leave_chat.chat_id, leave_chat.actor_id);
	PERFORM chat.drop_member(leave_chat.chat_id, leave_chat.actor_id, leave_chat.actor_id);
END
$$;
COMMENT ON FUNCTION chat.leave_chat IS 'Leaves a group or room, which stays readable up to there; again is no error. An owner hands over to the admin who has been in it longest, else the member; with the last one the chat is deleted. MC404 no_such_chat; MC403 direct_chat.';
GRANT EXECUTE ON FUNCTION chat.leave_chat TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.chat_json(of_chat chat.chats)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('title', of_chat.title, 'description', of_chat.description,
		'avatar_file_id', of_chat.avatar_file_id::text, 'attributes', of_chat.attributes, 'posting', of_chat.posting)
$$;
COMMENT ON FUNCTION chat.chat_json IS 'What edit_chat can change, as it stands in chat_changed.';

CREATE FUNCTION chat.edit_chat(actor_id bigint, chat_id bigint, title text DEFAULT NULL, description text DEFAULT NULL,
	avatar_file_id bigint DEFAULT NULL, attributes jsonb DEFAULT NULL, posting text DEFAULT NULL)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old chat.chats;
	new chat.chats;
	changes jsonb;
	event record;
BEGIN
	PERFORM chat.check_actor(edit_chat.actor_id);
	PERFORM chat.check_chat(edit_chat.title, edit_chat.description, edit_chat.attributes, edit_chat.posting);
	PERFORM chat.lock_group(edit_chat.chat_id, edit_chat.actor_id, ARRAY['owner', 'admin']);
	SELECT c.* INTO old FROM chat.chats c WHERE c.id = edit_chat.chat_id;
	new := old;
	new.title := nullif(coalesce(edit_chat.title, old.title), '');
	new.description := nullif(coalesce(edit_chat.description, old.description), '');
	new.avatar_file_id := nullif(coalesce(edit_chat.avatar_file_id, old.avatar_file_id), 0);
	new.attributes := nullif(coalesce(edit_chat.attributes, old.attributes), '{}');
	new.posting := coalesce(edit_chat.posting, old.posting);
	IF new.kind = 'room' THEN
		PERFORM chat.check_length(coalesce(new.title, ''), 'title', 1, 128);
	END IF;
	SELECT jsonb_object_agg(n.key, n.value) INTO changes
	  FROM jsonb_each(chat.chat_json(new)) n WHERE n.value <> chat.chat_json(old) -> n.key;
	IF changes ->> 'avatar_file_id' IS NOT NULL THEN	-- avatars are readable for everyone
		PERFORM chat.check_avatar(edit_chat.actor_id, new.avatar_file_id);
	END IF;
	IF changes IS NOT NULL THEN
		event := chat.next_event(edit_chat.chat_id, 0);
		UPDATE chat.chats c
		   SET title = new.title, description = new.description, avatar_file_id = new.avatar_file_id,
			   attributes = new.attributes, posting = new.posting
		 WHERE c.id = edit_chat.chat_id;
		PERFORM chat.log_event(edit_chat.chat_id, event.id, event.prev_id, event.number, 'chat_changed', edit_chat.actor_id, changes,
			changes ? 'title');
	END IF;
	RETURN chat.get_chat(edit_chat.actor_id, edit_chat.chat_id);
END
$$;
COMMENT ON FUNCTION chat.edit_chat IS 'Changes a group or room; for its owner and admins. NULL leaves a value, '''' or 0 or {} clears it. title: at most 128 characters, a room needs one; description: at most 1,024; posting: all or admins may send. A new title stands in the timeline. MC400 invalid_argument; MC403 not_permitted, direct_chat; MC404 no_such_chat, no_such_file; MC413 too_large.';
GRANT EXECUTE ON FUNCTION chat.edit_chat TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.delete_chat(actor_id bigint, chat_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(delete_chat.actor_id);
	IF EXISTS (SELECT FROM chat.chats c JOIN chat.members m ON m.chat_id = c.id
		WHERE c.id = delete_chat.chat_id AND c.deleted_id IS NOT NULL AND m.user_id = delete_chat.actor_id AND m.role = 'owner') THEN
		RETURN;
	END IF;
	PERFORM chat.lock_chat(delete_chat.chat_id);
	PERFORM chat.check_member(delete_chat.chat_id, delete_chat.actor_id);
	UPDATE chat.members m SET hidden_id = c.last_event_id, prefs_version = chat.take_id(m.prefs_version)
	  FROM chat.chats c
	 WHERE c.id = delete_chat.chat_id AND c.kind = 'direct' AND m.chat_id = c.id AND m.user_id = delete_chat.actor_id;
	IF NOT FOUND THEN
		PERFORM chat.check_member(delete_chat.chat_id, delete_chat.actor_id, ARRAY['owner']);
		PERFORM chat.end_chat(delete_chat.chat_id, delete_chat.actor_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.delete_chat IS 'Deletes a group or room for everybody; for its owner. A direct chat is only taken off the actor''s own list until its next message, or until he opens it. Again is no error. MC403 not_permitted; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.delete_chat TO chat_user, chat_app; -- since 0.2.0
-- Who may let others in, by adding them or by links.
CREATE FUNCTION chat.inviting_roles()
RETURNS text[] LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN NOT chat.setting_boolean('anyone_adds_members') THEN ARRAY['owner', 'admin'] END
$$;
COMMENT ON FUNCTION chat.inviting_roles IS 'The roles that may let others in; NULL = any.';

CREATE FUNCTION chat.add_members(actor_id bigint, chat_id bigint, user_ids bigint[])
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(add_members.actor_id);
	PERFORM chat.lock_group(add_members.chat_id, add_members.actor_id, chat.inviting_roles());
	PERFORM chat.admit_members(add_members.chat_id, add_members.actor_id, add_members.user_ids);
	RETURN chat.get_chat(add_members.actor_id, add_members.chat_id);
END
$$;
COMMENT ON FUNCTION chat.add_members IS 'Lets these users into a group or room; who is in already stays so. For owner and admins, for every member by the setting anyone_adds_members. All or none. user_ids: at most the setting members_per_call_max. MC400 invalid_argument; MC403 not_permitted, direct_chat, banned, blocked, not_accepting; MC404 no_such_chat, no_such_user; MC429 chat_full.';
GRANT EXECUTE ON FUNCTION chat.add_members TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.check_rank(chat_id bigint, actor_id bigint, user_id bigint)
RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
	ranks constant text[] := ARRAY['member', 'admin', 'owner'];
BEGIN
	IF EXISTS (SELECT FROM chat.members a JOIN chat.members u ON u.chat_id = a.chat_id
		WHERE a.chat_id = check_rank.chat_id AND a.user_id = check_rank.actor_id AND u.user_id = check_rank.user_id
		  AND u.left_id IS NULL AND array_position(ranks, a.role) <= array_position(ranks, u.role)) THEN
		PERFORM chat.fail('not_permitted');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_rank IS 'Raises MC403 not_permitted unless the present member user_id ranks below actor_id: owner, admin, member.';

CREATE FUNCTION chat.remove_member(actor_id bigint, chat_id bigint, user_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(remove_member.actor_id);
	PERFORM chat.lock_group(remove_member.chat_id, remove_member.actor_id, ARRAY['owner', 'admin']);
	PERFORM chat.check_rank(remove_member.chat_id, remove_member.actor_id, remove_member.user_id);
	IF chat.is_member(remove_member.chat_id, remove_member.user_id) THEN
		PERFORM chat.drop_member(remove_member.chat_id, remove_member.user_id, remove_member.actor_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.remove_member IS 'Takes somebody out of a group or room: the owner anybody else, admins members only. He keeps reading up to there, and may come back by invitation. Who is not in is no error. MC403 not_permitted, direct_chat; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.remove_member TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.ban_member(actor_id bigint, chat_id bigint, user_id bigint, until timestamptz DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(ban_member.actor_id);
	IF ban_member.until <= now() THEN
		PERFORM chat.fail('invalid_argument', 'until is not acceptable', 'Give a time to come, or none for good.');
	END IF;
	PERFORM chat.lock_group(ban_member.chat_id, ban_member.actor_id, ARRAY['owner', 'admin']);
	PERFORM chat.check_users(ARRAY[ban_member.user_id]);
	PERFORM chat.check_rank(ban_member.chat_id, ban_member.actor_id, ban_member.user_id);
	INSERT INTO chat.bans AS b (chat_id, user_id, until, actor_id)
	VALUES (ban_member.chat_id, ban_member.user_id, chat.to_json_years(nullif(ban_member.until, 'infinity')), ban_member.actor_id)
	ON CONFLICT ON CONSTRAINT bans_pkey DO UPDATE SET until = excluded.until, actor_id = excluded.actor_id;
	DELETE FROM chat.invite_links l WHERE l.chat_id = ban_member.chat_id AND l.creator_id = ban_member.user_id;
	IF chat.is_member(ban_member.chat_id, ban_member.user_id) THEN
		PERFORM chat.drop_member(ban_member.chat_id, ban_member.user_id, ban_member.actor_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.ban_member IS 'Takes somebody out of a group or room, as remove_member does, and keeps him out until then (NULL: for good): he cannot join, be added, or use an invite link, and those that he has made end. Works for who is not in, too; again changes the time. MC400 invalid_argument; MC403 not_permitted, direct_chat; MC404 no_such_chat, no_such_user.';
GRANT EXECUTE ON FUNCTION chat.ban_member TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.unban_member(actor_id bigint, chat_id bigint, user_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(unban_member.actor_id);
	PERFORM chat.lock_group(unban_member.chat_id, unban_member.actor_id, ARRAY['owner', 'admin']);
	DELETE FROM chat.bans b WHERE b.chat_id = unban_member.chat_id AND b.user_id = unban_member.user_id;
END
$$;
COMMENT ON FUNCTION chat.unban_member IS 'Lifts a ban; that does not bring him back. For owner and admins; again is no error. MC403 not_permitted, direct_chat; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.unban_member TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.list_bans(actor_id bigint, chat_id bigint, after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, user_name text, display_name text, until timestamptz, banned_by_id bigint, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_bans.page_size);
BEGIN
	PERFORM chat.check_actor(list_bans.actor_id);
	PERFORM chat.check_member(list_bans.chat_id, list_bans.actor_id, ARRAY['owner', 'admin']);
	RETURN QUERY
	WITH found AS (
		SELECT b.* FROM chat.bans b
		 WHERE b.chat_id = list_bans.chat_id AND b.user_id > coalesce(list_bans.after_id, 0) AND (b.until IS NULL OR b.until > now())
		 ORDER BY b.user_id LIMIT size + 1
	)
	SELECT u.id, u.user_name, u.display_name, f.until, f.actor_id, (SELECT count(*) > size FROM found)
	  FROM found f JOIN chat.v_users u ON u.id = f.user_id
	 ORDER BY f.user_id LIMIT size;
END
$$;
COMMENT ON FUNCTION chat.list_bans IS 'Who is banned from a group or room, and until when (NULL: for good); for owner and admins. id is the user''s; after_id: that of the last row seen. MC400 invalid_argument; MC403 not_permitted; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_bans TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.set_member_role(actor_id bigint, chat_id bigint, user_id bigint, role text)
RETURNS chat.member_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	present chat.member_row;
BEGIN
	PERFORM chat.check_actor(set_member_role.actor_id);
	IF set_member_role.role NOT IN ('owner', 'admin', 'member') OR set_member_role.role IS NULL THEN
		PERFORM chat.fail('invalid_argument', 'role is not acceptable', 'Use owner, admin or member.');
	END IF;
	PERFORM chat.lock_group(set_member_role.chat_id, set_member_role.actor_id);
	SELECT d.* INTO present FROM chat.describe_members(set_member_role.chat_id, ARRAY[set_member_role.user_id]) d;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_member');
	ELSIF present.role = set_member_role.role THEN
		RETURN present;
	END IF;
	PERFORM chat.check_member(set_member_role.chat_id, set_member_role.actor_id, ARRAY['owner']);
	IF present.role = 'owner' THEN
		PERFORM chat.fail('not_permitted', 'a chat has an owner', 'Make somebody else the owner.');
	END IF;
	PERFORM chat.change_role(set_member_role.chat_id, set_member_role.user_id, set_member_role.role, set_member_role.actor_id);
	IF set_member_role.role = 'owner' THEN
		PERFORM chat.change_role(set_member_role.chat_id, set_member_role.actor_id, 'admin', set_member_role.actor_id);
	END IF;
	present.role := set_member_role.role;
	RETURN present;
END
$$;
COMMENT ON FUNCTION chat.set_member_role IS 'Makes a member of a group or room owner, admin or member; for its owner, who becomes an admin when he makes somebody else the owner. MC400 invalid_argument; MC403 not_permitted, direct_chat; MC404 no_such_chat, no_such_member.';
GRANT EXECUTE ON FUNCTION chat.set_member_role TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.describe_members(chat_id bigint, user_ids bigint[])
RETURNS SETOF chat.member_row LANGUAGE sql STABLE AS $$
	SELECT u.id, u.user_name, u.display_name, u.avatar_file_id, m.role, chat.id_time(greatest(m.joined_id, m.chat_id))
	  FROM chat.members m JOIN chat.v_users u ON u.id = m.user_id
	 WHERE m.chat_id = describe_members.chat_id AND m.user_id = ANY (describe_members.user_ids) AND m.left_id IS NULL
$$;
COMMENT ON FUNCTION chat.describe_members IS 'Present members as list_members shows them.';

CREATE FUNCTION chat.list_members(actor_id bigint, chat_id bigint, after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, user_name text, display_name text, avatar_file_id bigint, role text, joined_at timestamptz, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_members.page_size);
	page bigint[];
BEGIN
	PERFORM chat.check_actor(list_members.actor_id);
	PERFORM chat.check_member(list_members.chat_id, list_members.actor_id);
	page := ARRAY(
		SELECT m.user_id FROM chat.members m
		 WHERE m.chat_id = list_members.chat_id AND m.user_id > coalesce(list_members.after_id, 0) AND m.left_id IS NULL
		 ORDER BY m.user_id LIMIT size + 1);
	RETURN QUERY
	SELECT d.*, cardinality(page) > size FROM chat.describe_members(list_members.chat_id, page[1:size]) d ORDER BY d.id;
END
$$;
COMMENT ON FUNCTION chat.list_members IS 'Who is in the chat; for its members. id is the user''s; after_id: that of the last row seen. MC400 invalid_argument (page_size); MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_members TO chat_user, chat_app; -- since 0.2.0
-- Invite links. All that counts or ends one is done under the lock of its chat.
CREATE FUNCTION chat.create_invite_link(actor_id bigint, chat_id bigint, expires_at timestamptz DEFAULT NULL,
	max_uses integer DEFAULT NULL, client_key text DEFAULT NULL)
RETURNS chat.invite_links LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	request jsonb := jsonb_build_object('chat_id', chat_id, 'expires_at', expires_at, 'max_uses', max_uses);
	link chat.invite_links;
	link_id bigint;
BEGIN
	PERFORM chat.check_actor(create_invite_link.actor_id);
	IF create_invite_link.expires_at <= now() THEN
		PERFORM chat.fail('invalid_argument', 'expires_at is not acceptable', 'Give a time to come, or none.');
	ELSIF create_invite_link.max_uses < 1 THEN
		PERFORM chat.fail('invalid_argument', 'max_uses is not acceptable', 'Use 1 or more, or none.');
	END IF;
	link_id := chat.client_key_result(actor_id, 'create_invite_link', client_key, request);
	PERFORM chat.lock_group(create_invite_link.chat_id, create_invite_link.actor_id, chat.inviting_roles());
	IF link_id IS NULL THEN
		link_id := chat.take_id();
		INSERT INTO chat.invite_links (chat_id, id, code, creator_id, expires_at, max_uses)
		VALUES (create_invite_link.chat_id, link_id, left(chat.new_token(), 32), create_invite_link.actor_id,
			chat.to_json_years(nullif(create_invite_link.expires_at, 'infinity')), create_invite_link.max_uses);
		PERFORM chat.save_client_key(actor_id, 'create_invite_link', client_key, request, link_id);
	END IF;
	SELECT l.* INTO link FROM chat.invite_links l WHERE l.chat_id = create_invite_link.chat_id AND l.id = link_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_link');
	END IF;
	RETURN link;
END
$$;
COMMENT ON FUNCTION chat.create_invite_link IS 'Makes a secret code by which whoever has it can join a group or room (redeem_invite_link), until expires_at and max_uses times (NULL: without end). For whom add_members is. client_key: as in create_group. MC400 invalid_argument; MC403 not_permitted, direct_chat; MC404 no_such_chat, no_such_link when what the key stands for was revoked; MC409 client_key_reused.';
GRANT EXECUTE ON FUNCTION chat.create_invite_link TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.list_invite_links(actor_id bigint, chat_id bigint)
RETURNS SETOF chat.invite_links LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(list_invite_links.actor_id);
	PERFORM chat.check_member(list_invite_links.chat_id, list_invite_links.actor_id, chat.inviting_roles());
	RETURN QUERY
	SELECT l.* FROM chat.invite_links l WHERE l.chat_id = list_invite_links.chat_id AND chat.is_open_link(l) ORDER BY l.id;
END
$$;
COMMENT ON FUNCTION chat.list_invite_links IS 'The links by which one can still join; for whom add_members is. MC403 not_permitted; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_invite_links TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.is_open_link(link chat.invite_links)
RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT (link.expires_at IS NULL OR link.expires_at > now()) AND (link.max_uses IS NULL OR link.uses < link.max_uses)
$$;
COMMENT ON FUNCTION chat.is_open_link IS 'Whether one can still join by it.';

CREATE FUNCTION chat.revoke_invite_link(actor_id bigint, code text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	of_chat bigint := (SELECT l.chat_id FROM chat.invite_links l WHERE l.code = revoke_invite_link.code);
BEGIN
	PERFORM chat.check_actor(revoke_invite_link.actor_id);
	IF of_chat IS NOT NULL THEN
		PERFORM chat.lock_group(of_chat, revoke_invite_link.actor_id, chat.inviting_roles());
		DELETE FROM chat.invite_links l WHERE l.code = revoke_invite_link.code;
	END IF;
END
$$;
COMMENT ON FUNCTION chat.revoke_invite_link IS 'Ends an invite link; for whom add_members is. One that is not there is no error. MC403 not_permitted; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.revoke_invite_link TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.redeem_invite_link(actor_id bigint, code text)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	of_chat bigint := (SELECT l.chat_id FROM chat.invite_links l WHERE l.code = redeem_invite_link.code);
BEGIN
	PERFORM chat.check_actor(redeem_invite_link.actor_id);
	IF of_chat IS NULL THEN
		PERFORM chat.fail('no_such_link');
	END IF;
	PERFORM chat.lock_chat(of_chat);
	IF NOT chat.is_member(of_chat, redeem_invite_link.actor_id) THEN
		UPDATE chat.invite_links l SET uses = l.uses + 1 WHERE l.code = redeem_invite_link.code AND chat.is_open_link(l);
		IF NOT FOUND THEN
			PERFORM chat.fail('no_such_link');
		END IF;
		PERFORM chat.admit_members(of_chat, redeem_invite_link.actor_id, ARRAY[redeem_invite_link.actor_id]);
	END IF;
	RETURN chat.get_chat(redeem_invite_link.actor_id, of_chat);
END
$$;
COMMENT ON FUNCTION chat.redeem_invite_link IS 'Joins the chat that the link is for; who is in already uses nothing up. MC404 no_such_link, the same for one that never was, has expired, was used up or revoked; MC403 banned; MC429 chat_full.';
GRANT EXECUTE ON FUNCTION chat.redeem_invite_link TO chat_user, chat_app; -- since 0.2.0

-- For run_maintenance
CREATE FUNCTION chat.expire_invite_links(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	expired integer;
BEGIN
	WITH old AS (
		SELECT l.chat_id, l.id FROM chat.invite_links l WHERE NOT chat.is_open_link(l) LIMIT expire_invite_links.batch FOR UPDATE SKIP LOCKED
	)
	DELETE FROM chat.invite_links l USING old WHERE l.chat_id = old.chat_id AND l.id = old.id;
	GET DIAGNOSTICS expired = ROW_COUNT;
	RETURN expired;
END
$$;
COMMENT ON FUNCTION chat.expire_invite_links IS 'For run_maintenance: removes at most batch invite links that let nobody in any more, and answers how many.';
CREATE VIEW chat.v_messages AS
SELECT m.chat_id, m.id, CASE m.kind WHEN 'user' THEN m.number END AS number, m.kind, m.sender_id, m.body, chat.id_time(m.id) AS sent_at,
	m.reply_to_id, m.attributes, chat.id_time(m.edited_id) AS edited_at, chat.id_time(m.deleted_id) AS deleted_at, m.expires_at,
	m.mention_ids, m.file_ids, m.reactions, m.pinned, m.forwarded_from
  FROM chat.messages m;
COMMENT ON VIEW chat.v_messages IS 'All messages; of a deleted one only the row. number is NULL for kind system.';
GRANT SELECT ON chat.v_messages TO chat_app; -- since 0.1.0
GRANT REFERENCES (chat_id, id) ON chat.messages TO chat_app; -- since 0.1.0

CREATE FUNCTION chat.message_json(message chat.messages, reader_id bigint)
RETURNS json LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_message_json';
COMMENT ON FUNCTION chat.message_json IS 'A message as it stands in events and lists: one row of list_messages, as reader_id sees it (0: as nobody in particular).';

-- The parts of a message that other tables hold; one home for events (event.c) and lists.
CREATE FUNCTION chat.reply_json(chat_id bigint, reply_to_id bigint, reader_id bigint)
RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
	quoted chat.messages;
	shown boolean;
	left_id bigint;
BEGIN
	SELECT m.* INTO quoted FROM chat.messages m WHERE m.chat_id = reply_json.chat_id AND m.id = reply_json.reply_to_id;
	IF NOT FOUND THEN
		RETURN NULL;
	ELSIF reader_id = 0 THEN
		shown := NOT chat.has_newcomers(reply_json.chat_id, reply_json.reply_to_id);
	ELSE
		SELECT m.visible_from < quoted.id AND NOT EXISTS (SELECT FROM chat.hidden_messages h
				WHERE h.user_id = m.user_id AND h.chat_id = m.chat_id AND h.message_id = quoted.id), m.left_id
		  INTO shown, left_id FROM chat.members m WHERE m.chat_id = reply_json.chat_id AND m.user_id = reply_json.reader_id;
	END IF;
	RETURN json_build_object('id', quoted.id::text, 'sender_id', quoted.sender_id::text,
		'body', CASE WHEN shown THEN left((chat.message_then(quoted, left_id)).body, 100) ELSE '' END);
END
$$;
COMMENT ON FUNCTION chat.reply_json IS 'The quoted message: id, sender_id and the first 100 characters that reader_id sees of it (0: that all members do), none of a deleted one.';

CREATE FUNCTION chat.has_newcomers(chat_id bigint, message_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.members m
		WHERE m.chat_id = has_newcomers.chat_id AND m.visible_from > 0 AND m.visible_from >= has_newcomers.message_id AND m.left_id IS NULL);
END
$$;
COMMENT ON FUNCTION chat.has_newcomers IS 'Whether somebody is in the chat who has joined later and does not see the message (setting history_for_new_members).';

CREATE FUNCTION chat.message_event(message chat.messages)
RETURNS json LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_message_event';
COMMENT ON FUNCTION chat.message_event IS 'The message event of a message at its present state.';

CREATE FUNCTION chat.check_message(body text, file_ids bigint[], attributes jsonb, client_key text, expires_in interval)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF coalesce(body, '') = '' AND attributes IS NULL AND coalesce(cardinality(file_ids), 0) = 0 THEN
		PERFORM chat.fail('empty_message');
	ELSIF char_length(body) > chat.setting_integer('body_max_length') THEN
		PERFORM chat.fail('message_too_long', NULL, format('Use at most %s characters.', chat.setting_integer('body_max_length')));
	END IF;
	IF attributes IS NOT NULL THEN
		PERFORM chat.check_attributes(attributes);
	END IF;
	IF char_length(client_key) NOT BETWEEN 1 AND 64 THEN
		PERFORM chat.check_length(client_key, 'client_key', 1, 64);
	END IF;
	IF expires_in NOT BETWEEN '1 second' AND '10 years' THEN
		PERFORM chat.fail('invalid_argument', 'expires_in is not acceptable', 'Use 1 second to 10 years.');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_message IS 'Raises MC400 or MC413 for what send_message does not accept.';

-- What only some messages have, kept off the path of the others.
CREATE FUNCTION chat.check_mentions(chat_id bigint, mention_ids bigint[])
RETURNS bigint[] LANGUAGE plpgsql STABLE AS $$
DECLARE
	ids bigint[] := ARRAY(SELECT DISTINCT m.user_id FROM chat.members m
		WHERE m.chat_id = check_mentions.chat_id AND m.user_id = ANY (check_mentions.mention_ids) AND m.left_id IS NULL ORDER BY 1);
BEGIN
	IF cardinality(check_mentions.mention_ids) > chat.setting_integer('mentions_max') THEN
		PERFORM chat.fail('invalid_argument', 'there are too many mention_ids', format('Mention at most %s.', chat.setting_integer('mentions_max')));
	ELSIF cardinality(ids) < (SELECT count(DISTINCT u) FROM unnest(check_mentions.mention_ids) u) THEN
		PERFORM chat.fail('invalid_argument', 'mention_ids has somebody who is not in the chat', 'Mention members only.');
	END IF;
	RETURN nullif(ids, '{}');
END
$$;
COMMENT ON FUNCTION chat.check_mentions IS 'The mentioned users, each once. MC400 invalid_argument for others than members and for more than the setting mentions_max.';

CREATE FUNCTION chat.add_mentions(chat_id bigint, message_id bigint, mention_ids bigint[], sender_id bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO chat.mentions (user_id, chat_id, message_id)
	SELECT u, add_mentions.chat_id, add_mentions.message_id FROM unnest(add_mentions.mention_ids) u WHERE u <> add_mentions.sender_id;
	UPDATE chat.members m SET mentions = m.mentions + 1
	 WHERE m.chat_id = add_mentions.chat_id AND m.user_id = ANY (add_mentions.mention_ids) AND m.user_id <> add_mentions.sender_id;
END
$$;
COMMENT ON FUNCTION chat.add_mentions IS 'Notes and counts the mentions of a new message.';

CREATE FUNCTION chat.check_block(chat_id bigint, user_id bigint)
RETURNS void LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_check_block';
COMMENT ON FUNCTION chat.check_block IS 'Whether a member of this chat may reach the others: MC403 blocked, not_accepting in direct chats.';

CREATE FUNCTION chat.check_posting(chat_id bigint, user_id bigint)
RETURNS void LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_check_posting';
COMMENT ON FUNCTION chat.check_posting IS 'Whether a member may send to this chat: MC403 not_permitted where posting is for admins; blocked, not_accepting in direct chats.';

CREATE FUNCTION chat.send_message(actor_id bigint, chat_id bigint, body text DEFAULT NULL, reply_to_id bigint DEFAULT NULL,
	file_ids bigint[] DEFAULT NULL, mention_ids bigint[] DEFAULT NULL, attributes jsonb DEFAULT NULL, client_key text DEFAULT NULL,
	expires_in interval DEFAULT NULL,
	OUT id bigint, OUT prev_id bigint, OUT number integer, OUT sent_at timestamptz, OUT duplicate boolean)
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_send_message';
COMMENT ON FUNCTION chat.send_message IS 'Sends a message; when it has answered and committed, the message is durable. body: at most the setting body_max_length characters, empty only with files or attributes. mention_ids: members. file_ids: files the sender can read. client_key: 1 to 64 characters of the caller''s own; the same key in the same chat answers the first message again with duplicate true, and publishes nothing. expires_in: 1 second to 10 years, after which it is deleted for everyone. prev_id: the chat''s event before it. number: dense count of the chat''s messages. The sender''s read cursor moves to it. Locks the chat''s row until the transaction ends. MC400 empty_message, invalid_argument; MC403 not_permitted, blocked, not_accepting; MC404 no_such_chat, no_such_message (reply_to_id), no_such_file; MC409 client_key_reused; MC413 message_too_long, too_large; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.send_message TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.send_direct_message(actor_id bigint, user_id bigint, body text DEFAULT NULL, reply_to_id bigint DEFAULT NULL,
	file_ids bigint[] DEFAULT NULL, mention_ids bigint[] DEFAULT NULL, attributes jsonb DEFAULT NULL, client_key text DEFAULT NULL,
	expires_in interval DEFAULT NULL,
	OUT chat_id bigint, OUT id bigint, OUT prev_id bigint, OUT number integer, OUT sent_at timestamptz, OUT duplicate boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(send_direct_message.actor_id);
	IF send_direct_message.user_id IS NULL THEN	-- least and greatest would make oneself of it
		PERFORM chat.fail('no_such_user');
	END IF;
	SELECT d.chat_id INTO chat_id FROM chat.direct_chats d
	 WHERE d.low_user_id = least(send_direct_message.actor_id, send_direct_message.user_id)
	   AND d.high_user_id = greatest(send_direct_message.actor_id, send_direct_message.user_id);
	IF NOT FOUND THEN
		chat_id := (SELECT o.id FROM chat.open_direct_chat(send_direct_message.actor_id, send_direct_message.user_id) o);
	END IF;
	SELECT s.* INTO id, prev_id, number, sent_at, duplicate
	  FROM chat.send_message(send_direct_message.actor_id, chat_id, send_direct_message.body, send_direct_message.reply_to_id,
		send_direct_message.file_ids, send_direct_message.mention_ids, send_direct_message.attributes, send_direct_message.client_key,
		send_direct_message.expires_in) s;
END
$$;
COMMENT ON FUNCTION chat.send_direct_message IS 'send_message to the direct chat with this user, which is opened when there is none; answers its chat_id too. MC404 no_such_user, and what send_message answers.';
GRANT EXECUTE ON FUNCTION chat.send_direct_message TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.forward_message(actor_id bigint, chat_id bigint, message_id bigint, to_chat_id bigint, client_key text DEFAULT NULL,
	OUT id bigint, OUT prev_id bigint, OUT number integer, OUT sent_at timestamptz, OUT duplicate boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source chat.messages;
BEGIN
	PERFORM chat.check_actor(forward_message.actor_id);
	PERFORM chat.check_length(forward_message.client_key, 'client_key', 1, 64);
	source := chat.check_user_message(forward_message.chat_id, forward_message.message_id, forward_message.actor_id);
	source := chat.message_then(source, (SELECT m.left_id FROM chat.members m
		WHERE m.chat_id = forward_message.chat_id AND m.user_id = forward_message.actor_id));
	SELECT s.* INTO id, prev_id, number, sent_at, duplicate
	  FROM chat.add_message(forward_message.actor_id, forward_message.to_chat_id, source.body, NULL, source.file_ids, NULL,
		source.attributes, forward_message.client_key, greatest(source.expires_at - clock_timestamp(), interval '1 second'),
		coalesce(source.forwarded_from, source.sender_id)) s;
	-- The copy does not say of which message; an edit of either since does not make it another's.
	IF duplicate AND EXISTS (SELECT FROM chat.messages m
		 WHERE m.chat_id = forward_message.to_chat_id AND m.id = forward_message.id AND m.deleted_id IS NULL
		   AND (m.file_ids IS DISTINCT FROM source.file_ids OR m.attributes IS DISTINCT FROM source.attributes
			 OR m.body <> source.body AND m.edited_id IS NULL AND (source.edited_id > m.id) IS NOT TRUE)) THEN
		PERFORM chat.fail('client_key_reused');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.forward_message IS 'Sends a copy of a message that one can see to a chat where one may send: body, attributes and files; one that expires does so at the same time; forwarded_from tells who wrote it first. Result and client_key as with send_message. MC404 no_such_chat, no_such_message; MC403 not_permitted (a system message, or to_chat_id), blocked, not_accepting; MC409 message_deleted, client_key_reused; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.forward_message TO chat_user, chat_app; -- since 0.2.0

-- What the sender can have changed since does not count: an edit, a deletion; a forwarded copy stays as its source was.
CREATE FUNCTION chat.is_same_message(sent chat.messages, body text, reply_to_id bigint, file_ids bigint[], mention_ids bigint[],
	attributes jsonb, forwarded_from bigint, expires_in interval)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN sent.deleted_id IS NOT NULL OR sent.forwarded_from IS NOT DISTINCT FROM is_same_message.forwarded_from
		AND (sent.forwarded_from IS NOT NULL
			OR (sent.edited_id IS NOT NULL OR sent.body = coalesce(is_same_message.body, ''))
			AND sent.reply_to_id IS NOT DISTINCT FROM is_same_message.reply_to_id
			AND sent.attributes IS NOT DISTINCT FROM is_same_message.attributes
			AND sent.file_ids IS NOT DISTINCT FROM nullif(is_same_message.file_ids, '{}')
			AND (sent.expires_at IS NULL) = (is_same_message.expires_in IS NULL)
			AND coalesce(sent.mention_ids, '{}') = ARRAY(SELECT DISTINCT u FROM unnest(is_same_message.mention_ids) u WHERE u IS NOT NULL ORDER BY 1));
END
$$;
COMMENT ON FUNCTION chat.is_same_message IS 'Whether a message was sent with these arguments; of expires_in only whether there was one.';

-- The heart of sending (send.c), also for forwarded messages. Arguments are checked by the caller.
CREATE FUNCTION chat.add_message(sender_id bigint, chat_id bigint, body text, reply_to_id bigint, file_ids bigint[],
	mention_ids bigint[], attributes jsonb, client_key text, expires_in interval, forwarded_from bigint,
	OUT id bigint, OUT prev_id bigint, OUT number integer, OUT sent_at timestamptz, OUT duplicate boolean)
LANGUAGE c AS 'MODULE_PATHNAME', 'chat_add_message';
COMMENT ON FUNCTION chat.add_message IS 'Writes a message whose arguments are checked; the rest is send_message''s.';

CREATE FUNCTION chat.repeat_message(chat_id bigint, message_id bigint, body text, reply_to_id bigint, file_ids bigint[],
	mention_ids bigint[], attributes jsonb, forwarded_from bigint, expires_in interval, OUT id bigint, OUT prev_id bigint, OUT number integer)
LANGUAGE plpgsql AS $$
DECLARE
	sent chat.messages;
BEGIN
	SELECT m.* INTO sent FROM chat.messages m WHERE m.chat_id = repeat_message.chat_id AND m.id = repeat_message.message_id;
	IF NOT chat.is_same_message(sent, repeat_message.body, repeat_message.reply_to_id, repeat_message.file_ids, repeat_message.mention_ids,
		repeat_message.attributes, repeat_message.forwarded_from, repeat_message.expires_in) THEN
		PERFORM chat.fail('client_key_reused');
	END IF;
	UPDATE chat.chats c SET last_event_id = c.prev_event_id, message_count = c.message_count - 1 WHERE c.id = repeat_message.chat_id;
	id := sent.id;
	prev_id := sent.prev_id;
	number := sent.number;
END
$$;
COMMENT ON FUNCTION chat.repeat_message IS 'Answers a message that was sent before with this client_key, and takes back what next_event has just done for it. MC409 client_key_reused when it was another one.';

CREATE FUNCTION chat.check_visible_message(chat_id bigint, message_id bigint, user_id bigint)
RETURNS chat.messages LANGUAGE plpgsql STABLE AS $$
DECLARE
	visible record := chat.visible_range(check_visible_message.chat_id, check_visible_message.user_id);
	message chat.messages;
BEGIN
	SELECT m.* INTO message FROM chat.messages m
	 WHERE m.chat_id = check_visible_message.chat_id AND m.id = check_visible_message.message_id
	   AND m.id > visible.low AND m.id <= visible.high
	   AND NOT EXISTS (SELECT FROM chat.hidden_messages h
		WHERE h.user_id = check_visible_message.user_id AND h.chat_id = m.chat_id AND h.message_id = m.id);
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_message');
	END IF;
	RETURN message;
END
$$;
COMMENT ON FUNCTION chat.check_visible_message IS 'The message, if this user may see it. MC404 no_such_chat, no_such_message.';

CREATE FUNCTION chat.check_user_message(chat_id bigint, message_id bigint, user_id bigint)
RETURNS chat.messages LANGUAGE plpgsql STABLE AS $$
DECLARE
	message chat.messages := chat.check_visible_message(check_user_message.chat_id, check_user_message.message_id, check_user_message.user_id);
BEGIN
	IF message.kind <> 'user' THEN
		PERFORM chat.fail('not_permitted', 'this cannot be done with a system message');
	ELSIF message.deleted_id IS NOT NULL THEN
		PERFORM chat.fail('message_deleted');
	END IF;
	RETURN message;
END
$$;
COMMENT ON FUNCTION chat.check_user_message IS 'The message, if this user may see it, a user wrote it, and it is not deleted. MC403 not_permitted; MC404 no_such_chat, no_such_message; MC409 message_deleted.';

-- What is written after somebody's leaving is not for him, be it into a message of before.
CREATE FUNCTION chat.message_then(message chat.messages, left_id bigint)
RETURNS chat.messages LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF message.edited_id > message_then.left_id THEN
		message.body := coalesce((SELECT e.body FROM chat.message_edits e
			 WHERE e.chat_id = message.chat_id AND e.message_id = message.id AND e.id > message_then.left_id ORDER BY e.id LIMIT 1), '');
		message.edited_id := (SELECT max(e.id) FROM chat.message_edits e
			 WHERE e.chat_id = message.chat_id AND e.message_id = message.id AND e.id <= message_then.left_id);
	END IF;
	RETURN message;
END
$$;
COMMENT ON FUNCTION chat.message_then IS 'The message with the body that it had when its reader left (NULL: he is in, so the present one); an empty one when the setting keep_edits has not kept that.';

-- The generic plan: one for the ids at hand looks cheaper, by less than it takes to make it at every call.
CREATE FUNCTION chat.describe_messages(chat_id bigint, message_ids bigint[], reader_id bigint)
RETURNS SETOF chat.message_row LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	left_id bigint := (SELECT r.left_id FROM chat.members r WHERE r.chat_id = describe_messages.chat_id AND r.user_id = describe_messages.reader_id);
BEGIN
	RETURN QUERY
	SELECT m.id, m.chat_id, CASE m.kind WHEN 'user' THEN m.number END, m.kind, m.sender_id,
		CASE WHEN m.edited_id > left_id THEN (chat.message_then(m, left_id)).body ELSE m.body END, chat.id_time(m.id),
		chat.id_time(CASE WHEN m.edited_id > left_id THEN (chat.message_then(m, left_id)).edited_id ELSE m.edited_id END),
		chat.id_time(m.deleted_id), m.expires_at,
		CASE WHEN m.reply_to_id IS NOT NULL THEN chat.reply_json(m.chat_id, m.reply_to_id, describe_messages.reader_id) END,
		CASE WHEN m.file_ids IS NULL THEN '[]' ELSE chat.files_json(m.file_ids) END,
		coalesce(m.mention_ids, '{}'),
		CASE WHEN m.reactions IS NULL THEN '[]' ELSE chat.reactions_json(m.chat_id, m.id, m.reactions, describe_messages.reader_id) END,
		m.attributes, m.pinned, m.forwarded_from
	  FROM chat.messages m
	 WHERE m.chat_id = describe_messages.chat_id AND m.id = ANY (describe_messages.message_ids)
	 ORDER BY m.id;
END
$$;
COMMENT ON FUNCTION chat.describe_messages IS 'Messages as list_messages shows them, ascending by id. The caller has checked that the reader may see them.';

CREATE FUNCTION chat.describe_message(chat_id bigint, message_id bigint, reader_id bigint)
RETURNS chat.message_row LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT d FROM chat.describe_messages(describe_message.chat_id, ARRAY[describe_message.message_id], describe_message.reader_id) d);
END
$$;
COMMENT ON FUNCTION chat.describe_message IS 'One message as list_messages shows it.';

CREATE FUNCTION chat.get_message(actor_id bigint, chat_id bigint, message_id bigint)
RETURNS chat.message_row LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(get_message.actor_id);
	PERFORM chat.check_visible_message(get_message.chat_id, get_message.message_id, get_message.actor_id);
	RETURN chat.describe_message(get_message.chat_id, get_message.message_id, get_message.actor_id);
END
$$;
COMMENT ON FUNCTION chat.get_message IS 'One message as list_messages shows it. MC404 no_such_chat, no_such_message.';
GRANT EXECUTE ON FUNCTION chat.get_message TO chat_user, chat_app; -- since 0.2.0

-- One range scan down and one up from the anchor; which of them is needed, and how far, is all that the anchors differ in.
CREATE FUNCTION chat.list_messages(actor_id bigint, chat_id bigint, before_id bigint DEFAULT NULL, after_id bigint DEFAULT NULL,
	around_id bigint DEFAULT NULL, at timestamptz DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS SETOF chat.message_page LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_messages.page_size);
	anchor bigint := coalesce(around_id, chat.id_at(at));
	below bigint := coalesce(anchor, before_id, 9223372036854775807);	-- older ones: ids under it
	above bigint := coalesce(anchor, least(after_id, 9223372036854775806) + 1);	-- newer ones: from it on
	older integer := CASE WHEN anchor IS NOT NULL THEN size / 2 WHEN after_id IS NOT NULL THEN 0 ELSE size END;
	newer integer := CASE WHEN anchor IS NOT NULL THEN size - size / 2 WHEN after_id IS NOT NULL THEN size ELSE 0 END;
	visible record;
	down bigint[];
	up bigint[];
BEGIN
	PERFORM chat.check_actor(actor_id);
	IF num_nonnulls(before_id, after_id, around_id, at) > 1 THEN
		PERFORM chat.fail('more_than_one_anchor');
	END IF;
	visible := chat.visible_range(chat_id, actor_id);
	down := ARRAY(
		SELECT m.id FROM chat.messages m
		 WHERE m.chat_id = list_messages.chat_id AND m.id > visible.low AND m.id <= visible.high AND m.id < below
		   AND NOT EXISTS (SELECT FROM chat.hidden_messages h WHERE h.user_id = actor_id AND h.chat_id = m.chat_id AND h.message_id = m.id)
		 ORDER BY m.id DESC LIMIT CASE WHEN older > 0 THEN older + 1 ELSE 0 END);
	up := ARRAY(
		SELECT m.id FROM chat.messages m
		 WHERE m.chat_id = list_messages.chat_id AND m.id > visible.low AND m.id <= visible.high AND m.id >= above
		   AND NOT EXISTS (SELECT FROM chat.hidden_messages h WHERE h.user_id = actor_id AND h.chat_id = m.chat_id AND h.message_id = m.id)
		 ORDER BY m.id LIMIT CASE WHEN newer > 0 THEN newer + 1 ELSE 0 END);
	RETURN QUERY
	SELECT d.*, cardinality(down) > older OR cardinality(up) > newer
	  FROM chat.describe_messages(chat_id, down[1:older] || up[1:newer], actor_id) d;
END
$$;
COMMENT ON FUNCTION chat.list_messages IS 'A page of a chat''s history, ascending by id. Without an anchor the newest; before_id: those before it; after_id: those after it; around_id or at (a time): half before it, half from it on. has_more: there are more on the side asked for; with around_id and at, on either side. Who has left sees up to his leaving, and what was edited later as it was then. A deleted message stays as a row with deleted_at and nothing in it; what one has deleted for oneself is left out. MC400 more_than_one_anchor, invalid_argument (page_size); MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_messages TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.list_chat_files(actor_id bigint, chat_id bigint, before_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (message_id bigint, sender_id bigint, sent_at timestamptz, files json, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_chat_files.page_size);
	visible record;
BEGIN
	PERFORM chat.check_actor(list_chat_files.actor_id);
	visible := chat.visible_range(list_chat_files.chat_id, list_chat_files.actor_id);
	RETURN QUERY
	WITH page AS (
		SELECT m.id, m.sender_id, m.file_ids FROM chat.messages m
		 WHERE m.chat_id = list_chat_files.chat_id AND m.file_ids IS NOT NULL AND m.id > visible.low AND m.id <= visible.high
		   AND m.id < coalesce(list_chat_files.before_id, 9223372036854775807)
		   AND NOT EXISTS (SELECT FROM chat.hidden_messages h
			WHERE h.user_id = list_chat_files.actor_id AND h.chat_id = m.chat_id AND h.message_id = m.id)
		 ORDER BY m.id DESC LIMIT size + 1
	)
	SELECT s.id, s.sender_id, chat.id_time(s.id), chat.files_json(s.file_ids), (SELECT count(*) > size FROM page)
	  FROM (SELECT p.* FROM page p ORDER BY p.id DESC LIMIT size) s ORDER BY s.id;
END
$$;
COMMENT ON FUNCTION chat.list_chat_files IS 'The messages of a chat that carry files, with these: the newest page, or those before before_id (a message_id); ascending. MC400 invalid_argument; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_chat_files TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.edit_message(actor_id bigint, chat_id bigint, message_id bigint, body text)
RETURNS chat.message_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	message chat.messages;
	event record;
BEGIN
	PERFORM chat.check_actor(edit_message.actor_id);
	PERFORM chat.lock_chat(edit_message.chat_id);
	PERFORM chat.check_member(edit_message.chat_id, edit_message.actor_id);
	message := chat.check_user_message(edit_message.chat_id, edit_message.message_id, edit_message.actor_id);
	IF message.sender_id <> edit_message.actor_id THEN
		PERFORM chat.fail('not_permitted', 'only its sender can edit a message');
	END IF;
	PERFORM chat.check_posting(edit_message.chat_id, edit_message.actor_id);
	PERFORM chat.check_message(coalesce(edit_message.body, message.body), message.file_ids, message.attributes, NULL, NULL);
	IF message.body <> edit_message.body THEN
		event := chat.next_event(edit_message.chat_id, 0);
		PERFORM chat.keep_edit(message, event.id);
		UPDATE chat.messages m SET body = edit_message.body, edited_id = event.id
		 WHERE m.chat_id = edit_message.chat_id AND m.id = edit_message.message_id RETURNING m.* INTO message;
		PERFORM chat.index_message(message);
		-- Members hear the same event: who has joined later without the history must not read in it what he may not list.
		PERFORM chat.log_event(edit_message.chat_id, event.id, event.prev_id, event.number, 'message_edited', edit_message.actor_id,
			jsonb_build_object('message_id', message.id::text) || CASE WHEN chat.has_newcomers(message.chat_id, message.id)
				THEN '{}' ELSE jsonb_build_object('body', message.body) END);
	END IF;
	RETURN chat.describe_message(edit_message.chat_id, edit_message.message_id, edit_message.actor_id);
END
$$;
COMMENT ON FUNCTION chat.edit_message IS 'Replaces the body of one''s own message; NULL or the same body changes nothing. By the setting keep_edits the old body stays in list_message_edits. Mentions stay as they were. The event has no body while somebody is in the chat who has joined later and doesn''t see the message (setting history_for_new_members); then get_message tells. Answers the message. MC400 empty_message; MC403 not_permitted, blocked, not_accepting; MC404 no_such_chat, no_such_message; MC409 message_deleted; MC413 message_too_long; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.edit_message TO chat_user, chat_app; -- since 0.2.0

-- A body stands in one logged event at most, the last edit's: so that deleting the message can find it.
CREATE FUNCTION chat.keep_edit(message chat.messages, event_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF chat.setting_boolean('keep_edits') THEN
		INSERT INTO chat.message_edits (chat_id, message_id, id, body) VALUES (message.chat_id, message.id, keep_edit.event_id, message.body);
	END IF;
	UPDATE chat.events e SET payload = e.payload - 'body' WHERE e.chat_id = message.chat_id AND e.id = message.edited_id;
END
$$;
COMMENT ON FUNCTION chat.keep_edit IS 'What becomes of the body that an edit replaces: a row of message_edits by the setting keep_edits; the event of the edit before is logged without its body from now on.';

CREATE FUNCTION chat.list_message_edits(actor_id bigint, chat_id bigint, message_id bigint, after_id bigint DEFAULT NULL,
	page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, body text, replaced_at timestamptz, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_message_edits.page_size);
	visible record;
BEGIN
	PERFORM chat.check_actor(list_message_edits.actor_id);
	visible := chat.visible_range(list_message_edits.chat_id, list_message_edits.actor_id);
	PERFORM chat.check_visible_message(list_message_edits.chat_id, list_message_edits.message_id, list_message_edits.actor_id);
	RETURN QUERY
	WITH page AS (
		SELECT e.id, e.body FROM chat.message_edits e
		 WHERE e.chat_id = list_message_edits.chat_id AND e.message_id = list_message_edits.message_id
		   AND e.id > coalesce(list_message_edits.after_id, 0) AND e.id <= visible.high
		 ORDER BY e.id LIMIT size + 1
	)
	SELECT p.id, p.body, chat.id_time(p.id), (SELECT count(*) > size FROM page) FROM page p ORDER BY p.id LIMIT size;
END
$$;
COMMENT ON FUNCTION chat.list_message_edits IS 'The earlier bodies of a message, oldest first; id is that of the edit that replaced it. Empty where the setting keep_edits is off. MC400 invalid_argument; MC404 no_such_chat, no_such_message.';
GRANT EXECUTE ON FUNCTION chat.list_message_edits TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.delete_message(actor_id bigint, chat_id bigint, message_id bigint, for_everyone boolean DEFAULT NULL)
RETURNS chat.message_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	message chat.messages;
BEGIN
	PERFORM chat.check_actor(delete_message.actor_id);
	IF NOT delete_message.for_everyone THEN
		RETURN chat.hide_message(delete_message.actor_id, delete_message.chat_id, delete_message.message_id);
	END IF;
	PERFORM chat.lock_chat(delete_message.chat_id);
	PERFORM chat.check_member(delete_message.chat_id, delete_message.actor_id);
	message := chat.check_visible_message(delete_message.chat_id, delete_message.message_id, delete_message.actor_id);
	IF message.kind <> 'user' THEN
		PERFORM chat.fail('not_permitted', 'a system message cannot be deleted for everyone');
	ELSIF message.sender_id <> delete_message.actor_id THEN
		PERFORM chat.check_member(delete_message.chat_id, delete_message.actor_id, ARRAY['owner', 'admin']);
	END IF;
	IF message.deleted_id IS NULL THEN
		PERFORM chat.delete_messages_content(delete_message.chat_id, delete_message.message_id, delete_message.actor_id);
	END IF;
	RETURN chat.describe_message(delete_message.chat_id, delete_message.message_id, delete_message.actor_id);
END
$$;
COMMENT ON FUNCTION chat.delete_message IS 'for_everyone (the default): its sender, an admin or the owner deletes a message; a row without content stays. Otherwise only oneself does not see it any more, whoever sent it. Answers the message. MC403 not_permitted; MC404 no_such_chat, no_such_message; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.delete_message TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.delete_messages_content(chat_id bigint, message_id bigint, actor_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event record := chat.next_event(delete_messages_content.chat_id, 0);
	message chat.messages;
BEGIN
	SELECT m.* INTO message FROM chat.messages m WHERE m.chat_id = delete_messages_content.chat_id AND m.id = delete_messages_content.message_id;
	PERFORM chat.drop_message_parts(message);
	UPDATE chat.messages m
	   SET body = '', reply_to_id = NULL, attributes = NULL, edited_id = NULL, deleted_id = event.id, expires_at = NULL, mention_ids = NULL,
		file_ids = NULL, reactions = NULL, pinned = false, forwarded_from = NULL
	 WHERE m.chat_id = message.chat_id AND m.id = message.id;
	PERFORM chat.log_event(message.chat_id, event.id, event.prev_id, event.number, 'message_deleted', delete_messages_content.actor_id,
		jsonb_build_object('message_id', message.id::text));
END
$$;
COMMENT ON FUNCTION chat.delete_messages_content IS 'Deletes a message for everyone: all but its place in the timeline, its sender and his client_key. For callers who hold the chat''s lock and know that it is not deleted yet; actor_id NULL: nobody did, it has expired.';

CREATE FUNCTION chat.drop_message_parts(message chat.messages)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF message.mention_ids IS NOT NULL THEN
		PERFORM chat.drop_mentions(message.chat_id, message.id, message.mention_ids);
	END IF;
	IF message.file_ids IS NOT NULL THEN
		PERFORM chat.detach_files(message.chat_id, message.id);
	END IF;
	DELETE FROM chat.reactions r WHERE r.chat_id = message.chat_id AND r.message_id = message.id;
	DELETE FROM chat.message_edits e WHERE e.chat_id = message.chat_id AND e.message_id = message.id;
	DELETE FROM chat.message_words w WHERE w.chat_id = message.chat_id AND w.message_id = message.id;
	UPDATE chat.events e SET payload = e.payload - 'body' WHERE e.chat_id = message.chat_id AND e.id = message.edited_id;
	UPDATE chat.scheduled_messages s SET body = '', reply_to_id = NULL, file_ids = NULL, mention_ids = NULL, attributes = NULL
	 WHERE s.sender_id = message.sender_id AND s.chat_id = message.chat_id AND s.message_id = message.id;
END
$$;
COMMENT ON FUNCTION chat.drop_message_parts IS 'Deletes what other tables hold of a message that goes, under the chat''s lock.';

CREATE FUNCTION chat.drop_mentions(chat_id bigint, message_id bigint, mention_ids bigint[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	WITH dropped AS (
		DELETE FROM chat.mentions n
		 WHERE n.user_id = ANY (drop_mentions.mention_ids) AND n.chat_id = drop_mentions.chat_id AND n.message_id = drop_mentions.message_id
		RETURNING n.user_id
	)
	UPDATE chat.members m SET mentions = m.mentions - 1 FROM dropped d
	 WHERE m.chat_id = drop_mentions.chat_id AND m.user_id = d.user_id AND m.read_id < drop_mentions.message_id;
END
$$;
COMMENT ON FUNCTION chat.drop_mentions IS 'Takes back what add_mentions did.';

CREATE FUNCTION chat.hide_message(actor_id bigint, chat_id bigint, message_id bigint)
RETURNS chat.message_row LANGUAGE plpgsql AS $$
DECLARE
	message chat.message_row;
BEGIN
	PERFORM chat.check_visible_message(hide_message.chat_id, hide_message.message_id, hide_message.actor_id);
	message := chat.describe_message(hide_message.chat_id, hide_message.message_id, hide_message.actor_id);
	INSERT INTO chat.hidden_messages (user_id, chat_id, message_id, version)
	VALUES (hide_message.actor_id, hide_message.chat_id, hide_message.message_id, chat.take_id())
	ON CONFLICT ON CONSTRAINT hidden_messages_pkey DO NOTHING;
	RETURN message;
END
$$;
COMMENT ON FUNCTION chat.hide_message IS 'delete_message for oneself only.';

CREATE FUNCTION chat.hidden_message_event(hidden chat.hidden_messages)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('type', 'message_hidden', 'chat_id', hidden.chat_id::text, 'message_id', hidden.message_id::text,
		'version', hidden.version::text, 'at', chat.rfc3339(chat.id_time(hidden.version)))
$$;
COMMENT ON FUNCTION chat.hidden_message_event IS 'The message_hidden event, as it is published and as sync tells it.';

CREATE FUNCTION chat.publish_hidden_message()
RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF chat.took(new.version) THEN
		PERFORM chat.publish(chat.hidden_message_event(new), ARRAY[new.user_id]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_hidden_message IS 'Trigger: the message_hidden event, to one''s own sockets.';
CREATE TRIGGER publish_hidden_message AFTER INSERT ON chat.hidden_messages
FOR EACH ROW EXECUTE FUNCTION chat.publish_hidden_message();

-- Whoever gets a chat's lock looks again: what another session has deleted meanwhile is left alone.
CREATE FUNCTION chat.expire_messages(batch integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	due record;
	expired integer := 0;
BEGIN
	FOR due IN
		SELECT d.chat_id, d.id FROM (SELECT m.chat_id, m.id FROM chat.messages m JOIN chat.chats c ON c.id = m.chat_id
			WHERE m.expires_at <= clock_timestamp() AND c.deleted_id IS NULL ORDER BY m.expires_at LIMIT expire_messages.batch) d
		 ORDER BY d.chat_id, d.id
	LOOP
		PERFORM FROM chat.chats c WHERE c.id = due.chat_id AND c.deleted_id IS NULL FOR NO KEY UPDATE SKIP LOCKED;
		IF FOUND AND EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = due.chat_id AND m.id = due.id AND m.expires_at IS NOT NULL) THEN
			PERFORM chat.delete_messages_content(due.chat_id, due.id, NULL);
			expired := expired + 1;
		END IF;
	END LOOP;
	RETURN expired;
END
$$;
COMMENT ON FUNCTION chat.expire_messages IS 'Deletes for everyone at most batch messages whose expires_in is over, each once; answers how many. Chats that somebody holds wait for the next time. Part of run_maintenance.';

CREATE FUNCTION chat.drop_old_messages(batch integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	oldest_id bigint := chat.id_at(clock_timestamp() - chat.setting_interval('message_retention'));
	behind bigint;
	dropped integer := 0;
BEGIN
	IF chat.setting_interval('message_retention') = interval '0' THEN
		RETURN 0;
	END IF;
	FOR behind IN
		SELECT c.id FROM chat.chats c
		 WHERE c.id < oldest_id AND EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = c.id AND m.id < oldest_id)
		 ORDER BY c.id LIMIT drop_old_messages.batch
	LOOP
		PERFORM FROM chat.chats c WHERE c.id = behind FOR NO KEY UPDATE SKIP LOCKED;
		IF FOUND THEN
			dropped := dropped + chat.drop_messages(behind, oldest_id, drop_old_messages.batch - dropped);
		END IF;
		EXIT WHEN dropped >= drop_old_messages.batch;
	END LOOP;
	RETURN dropped;
END
$$;
COMMENT ON FUNCTION chat.drop_old_messages IS 'By the setting message_retention: removes at most batch timeline rows that are older, without a trace and without an event; answers how many. Numbers and unread counts stay. Part of run_maintenance.';

CREATE FUNCTION chat.drop_messages(chat_id bigint, before_id bigint, batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	ids bigint[] := ARRAY(SELECT m.id FROM chat.messages m
		WHERE m.chat_id = drop_messages.chat_id AND m.id < drop_messages.before_id ORDER BY m.id LIMIT drop_messages.batch);
BEGIN
	PERFORM chat.drop_message_parts(m) FROM chat.messages m WHERE m.chat_id = drop_messages.chat_id AND m.id = ANY (ids);
	DELETE FROM chat.hidden_messages h USING chat.members m
	 WHERE m.chat_id = drop_messages.chat_id AND h.user_id = m.user_id AND h.chat_id = m.chat_id AND h.message_id <= ids[cardinality(ids)];
	DELETE FROM chat.calls c WHERE c.chat_id = drop_messages.chat_id AND c.id = ANY (ids);
	DELETE FROM chat.messages m WHERE m.chat_id = drop_messages.chat_id AND m.id = ANY (ids);
	RETURN cardinality(ids);
END
$$;
COMMENT ON FUNCTION chat.drop_messages IS 'Removes at most batch of a chat''s oldest timeline rows before an id, with all that belongs to them; under the chat''s lock.';
CREATE FUNCTION chat.reactions_json(chat_id bigint, message_id bigint, reactions jsonb, reader_id bigint)
RETURNS json LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT coalesce(json_agg(json_build_object('emoji', r.emoji, 'count', r.count, 'mine', EXISTS (
			SELECT FROM chat.reactions own WHERE own.chat_id = reactions_json.chat_id AND own.message_id = reactions_json.message_id
				AND own.emoji = r.emoji AND own.user_id = reactions_json.reader_id))), '[]')
	  FROM jsonb_to_recordset(reactions_json.reactions) AS r (emoji text, count integer));
END
$$;
COMMENT ON FUNCTION chat.reactions_json IS 'The counts of a message''s reactions, and which of them are the reader''s own.';

CREATE FUNCTION chat.count_reaction(reactions jsonb, emoji text, change integer)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN (SELECT jsonb_agg(jsonb_build_object('emoji', s.emoji, 'count', s.count) ORDER BY s.position)
	  FROM (SELECT r.emoji, sum(r.count) AS count, min(r.position) AS position
			  FROM (SELECT o ->> 'emoji' AS emoji, (o ->> 'count')::integer AS count, position
					  FROM jsonb_array_elements(count_reaction.reactions) WITH ORDINALITY AS a (o, position)
					UNION ALL SELECT count_reaction.emoji, count_reaction.change, 1000) r
			 GROUP BY r.emoji) s
	 WHERE s.count > 0);
END
$$;
COMMENT ON FUNCTION chat.count_reaction IS 'messages.reactions with one more or less of an emoji; a new one comes last; NULL when none is left.';

-- Both ends of a reaction differ in one row and one sign.
CREATE FUNCTION chat.change_reaction(actor_id bigint, message chat.messages, emoji text, change integer)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event record := chat.next_event(message.chat_id, 0);
	counts jsonb := chat.count_reaction(message.reactions, change_reaction.emoji, change_reaction.change);
BEGIN
	IF change_reaction.change > 0 THEN
		INSERT INTO chat.reactions (chat_id, message_id, emoji, user_id, id)
		VALUES (message.chat_id, message.id, change_reaction.emoji, change_reaction.actor_id, event.id);
	ELSE
		DELETE FROM chat.reactions r
		 WHERE r.chat_id = message.chat_id AND r.message_id = message.id AND r.emoji = change_reaction.emoji AND r.user_id = change_reaction.actor_id;
	END IF;
	UPDATE chat.messages m SET reactions = counts WHERE m.chat_id = message.chat_id AND m.id = message.id;
	PERFORM chat.log_event(message.chat_id, event.id, event.prev_id, event.number,
		CASE WHEN change_reaction.change > 0 THEN 'reaction_added' ELSE 'reaction_removed' END, change_reaction.actor_id,
		jsonb_build_object('message_id', message.id::text, 'user_id', change_reaction.actor_id::text, 'emoji', change_reaction.emoji,
			'count', coalesce((SELECT r.count FROM jsonb_to_recordset(counts) AS r (emoji text, count integer)
				WHERE r.emoji = change_reaction.emoji), 0)));
END
$$;
COMMENT ON FUNCTION chat.change_reaction IS 'Adds (change 1) or removes (-1) a reaction that is not there, or is; under the chat''s lock.';

CREATE FUNCTION chat.has_reaction(actor_id bigint, chat_id bigint, message_id bigint, emoji text)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.reactions r WHERE r.chat_id = has_reaction.chat_id AND r.message_id = has_reaction.message_id
		AND r.emoji = has_reaction.emoji AND r.user_id = has_reaction.actor_id);
END
$$;
COMMENT ON FUNCTION chat.has_reaction IS 'Whether this user has reacted to the message with this emoji.';

CREATE FUNCTION chat.add_reaction(actor_id bigint, chat_id bigint, message_id bigint, emoji text)
RETURNS chat.message_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	message chat.messages;
BEGIN
	PERFORM chat.check_actor(add_reaction.actor_id);
	IF add_reaction.emoji IS NULL OR octet_length(add_reaction.emoji) NOT BETWEEN 1 AND 32 THEN
		PERFORM chat.fail('invalid_argument', 'emoji is not acceptable', 'Use 1 to 32 bytes.');
	END IF;
	PERFORM chat.lock_chat(add_reaction.chat_id);
	PERFORM chat.check_member(add_reaction.chat_id, add_reaction.actor_id);
	message := chat.check_user_message(add_reaction.chat_id, add_reaction.message_id, add_reaction.actor_id);
	PERFORM chat.check_block(add_reaction.chat_id, add_reaction.actor_id);
	IF NOT chat.has_reaction(add_reaction.actor_id, add_reaction.chat_id, add_reaction.message_id, add_reaction.emoji) THEN
		IF jsonb_array_length(message.reactions) >= chat.setting_integer('reactions_max')
			AND NOT message.reactions @> jsonb_build_array(jsonb_build_object('emoji', add_reaction.emoji)) THEN
			PERFORM chat.fail('too_many_reactions');
		END IF;
		PERFORM chat.change_reaction(add_reaction.actor_id, message, add_reaction.emoji, 1);
	END IF;
	RETURN chat.describe_message(add_reaction.chat_id, add_reaction.message_id, add_reaction.actor_id);
END
$$;
COMMENT ON FUNCTION chat.add_reaction IS 'Reacts to a message with an emoji (1 to 32 bytes); with several, if one likes; twice with the same changes nothing. Answers the message. MC400 invalid_argument; MC403 not_permitted (a system message), blocked, not_accepting; MC404 no_such_chat, no_such_message; MC409 message_deleted; MC429 too_many_reactions: more different ones than the setting reactions_max; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.add_reaction TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.remove_reaction(actor_id bigint, chat_id bigint, message_id bigint, emoji text)
RETURNS chat.message_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	message chat.messages;
BEGIN
	PERFORM chat.check_actor(remove_reaction.actor_id);
	PERFORM chat.lock_chat(remove_reaction.chat_id);
	PERFORM chat.check_member(remove_reaction.chat_id, remove_reaction.actor_id);
	message := chat.check_visible_message(remove_reaction.chat_id, remove_reaction.message_id, remove_reaction.actor_id);
	IF chat.has_reaction(remove_reaction.actor_id, remove_reaction.chat_id, remove_reaction.message_id, remove_reaction.emoji) THEN
		PERFORM chat.change_reaction(remove_reaction.actor_id, message, remove_reaction.emoji, -1);
	END IF;
	RETURN chat.describe_message(remove_reaction.chat_id, remove_reaction.message_id, remove_reaction.actor_id);
END
$$;
COMMENT ON FUNCTION chat.remove_reaction IS 'Takes back one''s own reaction; one that is not there changes nothing. Answers the message. MC404 no_such_chat, no_such_message; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.remove_reaction TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.list_reactions(actor_id bigint, chat_id bigint, message_id bigint, emoji text DEFAULT NULL,
	after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS SETOF chat.reaction_page LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_reactions.page_size);
BEGIN
	PERFORM chat.check_actor(list_reactions.actor_id);
	PERFORM chat.check_visible_message(list_reactions.chat_id, list_reactions.message_id, list_reactions.actor_id);
	RETURN QUERY
	WITH page AS (
		SELECT r.id, r.user_id, r.emoji FROM chat.reactions r
		 WHERE r.chat_id = list_reactions.chat_id AND r.message_id = list_reactions.message_id
		   AND (list_reactions.emoji IS NULL OR r.emoji = list_reactions.emoji) AND r.id > coalesce(list_reactions.after_id, 0)
		 ORDER BY r.id LIMIT size + 1
	)
	SELECT p.id, p.user_id, p.emoji, chat.id_time(p.id), (SELECT count(*) > size FROM page) FROM page p ORDER BY p.id LIMIT size;
END
$$;
COMMENT ON FUNCTION chat.list_reactions IS 'Who has reacted to a message, with one emoji or with any, oldest first. MC400 invalid_argument; MC404 no_such_chat, no_such_message.';
GRANT EXECUTE ON FUNCTION chat.list_reactions TO chat_user, chat_app; -- since 0.2.0
CREATE FUNCTION chat.cursor_event(member chat.members, type text, message_count integer DEFAULT NULL)
RETURNS json LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'chat_cursor_event';
COMMENT ON FUNCTION chat.cursor_event IS 'The event of this type, read or delivered, as the others hear it, and sync tells it; with the chat''s message_count: the read event as the reader himself does, with unread and mentions.';

CREATE FUNCTION chat.publish_cursor()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'chat_publish_cursor';
COMMENT ON FUNCTION chat.publish_cursor IS 'Trigger: the read event, to the members of chats of at most receipts_max_members, and with the unread count to the reader''s own sockets.';
-- By column, not by WHEN: PostgreSQL would parse the condition's tree again at every send, which moves a cursor too.
CREATE TRIGGER publish_cursor AFTER UPDATE OF read_version ON chat.members
FOR EACH ROW EXECUTE FUNCTION chat.publish_cursor('read');
CREATE TRIGGER publish_delivered AFTER UPDATE OF delivered_version ON chat.members
FOR EACH ROW EXECUTE FUNCTION chat.publish_cursor('delivered');

-- members.moved says when a cursor last moved, coarsely (4.4 minutes): sync finds by it, in one index probe for each chat, whose
-- did, and most moves still change no indexed column.
CREATE FUNCTION chat.moved(version bigint)
RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT (moved.version >> 40)::integer $$;
COMMENT ON FUNCTION chat.moved IS 'members.moved of a cursor that has this version.';

-- Reading and delivery lock one's own member row alone, never the chat: a reader does not hold up a sender. What is counted is
-- counted after that lock, in a statement of its own: a sender who mentions the reader meanwhile has either been counted, or
-- waits for the row and counts himself.
CREATE FUNCTION chat.lock_member(chat_id bigint, user_id bigint)
RETURNS chat.members LANGUAGE plpgsql AS $$
DECLARE
	member chat.members;
BEGIN
	SELECT m.* INTO member FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
	 WHERE m.chat_id = lock_member.chat_id AND m.user_id = lock_member.user_id AND m.left_id IS NULL AND c.deleted_id IS NULL
	   FOR NO KEY UPDATE OF m;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_chat');
	END IF;
	RETURN member;
END
$$;
COMMENT ON FUNCTION chat.lock_member IS 'Locks the row of who is in the chat. MC404 no_such_chat.';

CREATE FUNCTION chat.move_delivery_cursor(actor_id bigint, chat_id bigint, message_id bigint,
	OUT delivered_id bigint, OUT version bigint)
LANGUAGE plpgsql AS $$
DECLARE
	member chat.members;
	reached bigint;
	moved_id bigint;
BEGIN
	member := chat.lock_member(move_delivery_cursor.chat_id, move_delivery_cursor.actor_id);
	SELECT m.id INTO reached FROM chat.messages m
	 WHERE m.chat_id = move_delivery_cursor.chat_id AND m.id <= move_delivery_cursor.message_id ORDER BY m.id DESC LIMIT 1;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_message');
	END IF;
	IF reached > member.delivered_id THEN
		moved_id := chat.take_id(member.delivered_version);
		UPDATE chat.members m SET delivered_id = reached, delivered_version = moved_id, moved = greatest(m.moved, chat.moved(moved_id))
		 WHERE m.chat_id = move_delivery_cursor.chat_id AND m.user_id = move_delivery_cursor.actor_id RETURNING m.* INTO member;
	END IF;
	delivered_id := member.delivered_id;
	version := member.delivered_version;
END
$$;
COMMENT ON FUNCTION chat.move_delivery_cursor IS 'mark_delivered, for every case.';

CREATE FUNCTION chat.mark_delivered(actor_id bigint, chat_id bigint, message_id bigint,
	OUT delivered_id bigint, OUT version bigint)
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_mark_delivered';
COMMENT ON FUNCTION chat.mark_delivered IS 'Moves one''s delivery cursor to this message, or the last one before it: a device of one''s own has it; never back. Answers where it stands. MC404 no_such_chat, no_such_message.';
GRANT EXECUTE ON FUNCTION chat.mark_delivered TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.move_read_cursor(actor_id bigint, chat_id bigint, message_id bigint,
	OUT read_id bigint, OUT unread integer, OUT version bigint, OUT mentions integer)
LANGUAGE plpgsql AS $$
DECLARE
	member chat.members;
	reached record;
	moved_id bigint;
BEGIN
	member := chat.lock_member(move_read_cursor.chat_id, move_read_cursor.actor_id);
	SELECT m.id, m.number INTO reached FROM chat.messages m
	 WHERE m.chat_id = move_read_cursor.chat_id AND m.id <= move_read_cursor.message_id ORDER BY m.id DESC LIMIT 1;
	IF NOT FOUND THEN	-- Where no message is, or none is left, the end of the chat is all that can be read.
		SELECT c.last_event_id AS id, c.message_count AS number INTO reached FROM chat.chats c
		 WHERE c.id = move_read_cursor.chat_id AND c.last_event_id <= move_read_cursor.message_id
		   AND NOT EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = c.id);
		IF NOT FOUND THEN
			PERFORM chat.fail('no_such_message');
		END IF;
	END IF;
	IF member.marked_unread THEN
		PERFORM chat.mark_unread(move_read_cursor.actor_id, move_read_cursor.chat_id, false);
	END IF;
	IF reached.id > member.read_id THEN
		moved_id := chat.take_id(member.read_version);
		UPDATE chat.members m
		   SET read_id = reached.id, read_count = reached.number, read_version = moved_id, moved = greatest(m.moved, chat.moved(moved_id)),
			mentions = (SELECT count(*) FROM chat.mentions n
				WHERE n.user_id = move_read_cursor.actor_id AND n.chat_id = move_read_cursor.chat_id AND n.message_id > reached.id)
		 WHERE m.chat_id = move_read_cursor.chat_id AND m.user_id = move_read_cursor.actor_id RETURNING m.* INTO member;
	END IF;
	read_id := member.read_id;
	unread := (SELECT c.message_count FROM chat.chats c WHERE c.id = move_read_cursor.chat_id) - member.read_count;
	version := member.read_version;
	mentions := member.mentions;
END
$$;
COMMENT ON FUNCTION chat.move_read_cursor IS 'mark_read, for every case.';

CREATE FUNCTION chat.mark_read(actor_id bigint, chat_id bigint, message_id bigint,
	OUT read_id bigint, OUT unread integer, OUT version bigint, OUT mentions integer)
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_mark_read';
COMMENT ON FUNCTION chat.mark_read IS 'Moves one''s read cursor to this message, or the last one before it, in a chat without any to its end; never back. Answers where it stands, how many messages lie behind it, and how many of these mention one; version orders the read events of one reader. Takes back mark_unread. Locks only one''s own member row. MC404 no_such_chat, no_such_message.';
GRANT EXECUTE ON FUNCTION chat.mark_read TO chat_user, chat_app; -- since 0.1.0

CREATE FUNCTION chat.mark_all_read(actor_id bigint, chat_id bigint DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	unread_chat record;
	marked integer := 0;
BEGIN
	PERFORM chat.check_actor(mark_all_read.actor_id);
	IF mark_all_read.chat_id IS NOT NULL THEN
		PERFORM chat.check_member(mark_all_read.chat_id, mark_all_read.actor_id);
	END IF;
	FOR unread_chat IN
		SELECT c.id, CASE WHEN EXISTS (SELECT FROM chat.messages g WHERE g.chat_id = c.id) THEN c.last_event_id
				ELSE 9223372036854775807 END AS last_id
		  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
		 WHERE m.user_id = mark_all_read.actor_id AND m.left_id IS NULL AND c.deleted_id IS NULL
		   AND (mark_all_read.chat_id IS NULL OR m.chat_id = mark_all_read.chat_id)
		   AND (m.read_count < c.message_count OR m.marked_unread)
		 ORDER BY c.id
	LOOP
		PERFORM chat.mark_read(mark_all_read.actor_id, unread_chat.id, unread_chat.last_id);
		marked := marked + 1;
	END LOOP;
	RETURN marked;
END
$$;
COMMENT ON FUNCTION chat.mark_all_read IS 'mark_read to the last message of one chat, or of all; answers in how many chats there was something unread. MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.mark_all_read TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.mark_unread(actor_id bigint, chat_id bigint, marked boolean DEFAULT NULL,
	OUT marked_unread boolean, OUT version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	member chat.members;
BEGIN
	PERFORM chat.check_actor(mark_unread.actor_id);
	member := chat.lock_member(mark_unread.chat_id, mark_unread.actor_id);
	IF member.marked_unread <> coalesce(mark_unread.marked, true) THEN
		UPDATE chat.members m SET marked_unread = NOT m.marked_unread, prefs_version = chat.take_id(m.prefs_version)
		 WHERE m.chat_id = mark_unread.chat_id AND m.user_id = mark_unread.actor_id RETURNING m.* INTO member;
	END IF;
	marked_unread := member.marked_unread;
	version := member.prefs_version;
END
$$;
COMMENT ON FUNCTION chat.mark_unread IS 'Marks a chat as unread for oneself (marked, by default true), or not any more; a private flag that moves no cursor. The next mark_read takes it back. version is that of the chat''s prefs. MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.mark_unread TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.check_small_chat(chat_id bigint)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF (SELECT c.member_count FROM chat.chats c WHERE c.id = check_small_chat.chat_id) > chat.setting_integer('receipts_max_members') THEN
		PERFORM chat.fail('chat_too_large', NULL, format('It may have %s.', chat.setting_integer('receipts_max_members')));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_small_chat IS 'MC403 chat_too_large for what is only done in chats of at most receipts_max_members.';

CREATE FUNCTION chat.list_receipts(actor_id bigint, chat_id bigint, message_id bigint, after_id bigint DEFAULT NULL,
	page_size integer DEFAULT NULL)
RETURNS TABLE (user_id bigint, delivered_id bigint, read_id bigint, has_read boolean, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_receipts.page_size);
	message chat.messages;
BEGIN
	PERFORM chat.check_actor(list_receipts.actor_id);
	message := chat.check_visible_message(list_receipts.chat_id, list_receipts.message_id, list_receipts.actor_id);
	PERFORM chat.check_member(list_receipts.chat_id, list_receipts.actor_id);
	PERFORM chat.check_small_chat(list_receipts.chat_id);
	RETURN QUERY
	WITH page AS (
		SELECT m.user_id, greatest(m.delivered_id, m.read_id) AS delivered_id, m.read_id FROM chat.members m
		 WHERE m.chat_id = message.chat_id AND m.left_id IS NULL AND m.user_id <> message.sender_id AND m.joined_id < message.id
		   AND greatest(m.delivered_id, m.read_id) >= message.id AND m.user_id > coalesce(list_receipts.after_id, 0)
		 ORDER BY m.user_id LIMIT size + 1
	)
	SELECT p.user_id, p.delivered_id, p.read_id, p.read_id >= message.id, (SELECT count(*) > size FROM page)
	  FROM page p ORDER BY p.user_id LIMIT size;
END
$$;
COMMENT ON FUNCTION chat.list_receipts IS 'Which other members a message has reached (delivered_id, read_id: how far each has got; reading is delivery too) and who has read it (has_read), of those who were in the chat when it came; ascending by user_id; after_id: the last one seen. MC400 invalid_argument; MC403 chat_too_large; MC404 no_such_chat, no_such_message.';
GRANT EXECUTE ON FUNCTION chat.list_receipts TO chat_user, chat_app; -- since 0.2.0
-- Both ends of a pin differ in one word.
CREATE FUNCTION chat.change_pin(actor_id bigint, chat_id bigint, message_id bigint, pinned boolean)
RETURNS chat.message_row LANGUAGE plpgsql AS $$
DECLARE
	message chat.messages;
	event record;
BEGIN
	PERFORM chat.check_actor(change_pin.actor_id);
	PERFORM chat.lock_chat(change_pin.chat_id);
	PERFORM chat.check_member(change_pin.chat_id, change_pin.actor_id,
		CASE (SELECT c.kind FROM chat.chats c WHERE c.id = change_pin.chat_id) WHEN 'direct' THEN NULL ELSE ARRAY['owner', 'admin'] END);
	message := chat.check_user_message(change_pin.chat_id, change_pin.message_id, change_pin.actor_id);
	IF message.pinned <> change_pin.pinned THEN
		PERFORM chat.check_block(change_pin.chat_id, change_pin.actor_id);
		event := chat.next_event(change_pin.chat_id, 0);
		UPDATE chat.messages m SET pinned = change_pin.pinned WHERE m.chat_id = change_pin.chat_id AND m.id = change_pin.message_id;
		PERFORM chat.log_event(change_pin.chat_id, event.id, event.prev_id, event.number,
			CASE WHEN change_pin.pinned THEN 'message_pinned' ELSE 'message_unpinned' END, change_pin.actor_id,
			jsonb_build_object('message_id', message.id::text));
	END IF;
	RETURN chat.describe_message(change_pin.chat_id, change_pin.message_id, change_pin.actor_id);
END
$$;
COMMENT ON FUNCTION chat.change_pin IS 'pin_message and unpin_message.';

CREATE FUNCTION chat.pin_message(actor_id bigint, chat_id bigint, message_id bigint)
RETURNS chat.message_row LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT chat.change_pin(pin_message.actor_id, pin_message.chat_id, pin_message.message_id, true)
$$;
COMMENT ON FUNCTION chat.pin_message IS 'Pins a message for all members: an admin or the owner may, in a direct chat both. A pinned one stays so. Answers the message. MC403 not_permitted, blocked, not_accepting; MC404 no_such_chat, no_such_message; MC409 message_deleted; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.pin_message TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.unpin_message(actor_id bigint, chat_id bigint, message_id bigint)
RETURNS chat.message_row LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT chat.change_pin(unpin_message.actor_id, unpin_message.chat_id, unpin_message.message_id, false)
$$;
COMMENT ON FUNCTION chat.unpin_message IS 'Takes back pin_message, whoever pinned it; one that is not pinned stays so. Rights, answer and errors as with pin_message.';
GRANT EXECUTE ON FUNCTION chat.unpin_message TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.list_pins(actor_id bigint, chat_id bigint, before_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS SETOF chat.message_page LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_pins.page_size);
	visible record;
	page bigint[];
BEGIN
	PERFORM chat.check_actor(list_pins.actor_id);
	visible := chat.visible_range(list_pins.chat_id, list_pins.actor_id);
	page := ARRAY(
		SELECT m.id FROM chat.messages m
		 WHERE m.chat_id = list_pins.chat_id AND m.pinned AND m.id > visible.low AND m.id <= visible.high
		   AND m.id < coalesce(list_pins.before_id, 9223372036854775807)
		   AND NOT EXISTS (SELECT FROM chat.hidden_messages h
			WHERE h.user_id = list_pins.actor_id AND h.chat_id = m.chat_id AND h.message_id = m.id)
		 ORDER BY m.id DESC LIMIT size + 1);
	RETURN QUERY
	SELECT d.*, cardinality(page) > size FROM chat.describe_messages(list_pins.chat_id, page[1:size], list_pins.actor_id) d;
END
$$;
COMMENT ON FUNCTION chat.list_pins IS 'The pinned messages of a chat: the newest page, or those before before_id; ascending by id, as list_messages shows them. MC400 invalid_argument; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_pins TO chat_user, chat_app; -- since 0.2.0
CREATE VIEW chat.v_scheduled_messages AS
SELECT s.id, s.chat_id, s.send_at, s.body, s.reply_to_id, s.file_ids, s.mention_ids, s.attributes, s.client_key, s.expires_in, s.failure
  FROM chat.scheduled_messages s WHERE s.message_id IS NULL;
COMMENT ON VIEW chat.v_scheduled_messages IS 'What list_scheduled_messages shows: messages still to be sent, and those that could not be.';

CREATE FUNCTION chat.schedule_message(actor_id bigint, send_at timestamptz, chat_id bigint, body text DEFAULT NULL,
	reply_to_id bigint DEFAULT NULL, file_ids bigint[] DEFAULT NULL, mention_ids bigint[] DEFAULT NULL, attributes jsonb DEFAULT NULL,
	client_key text DEFAULT NULL, expires_in interval DEFAULT NULL,
	OUT id bigint, OUT duplicate boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted chat.scheduled_messages;
BEGIN
	PERFORM chat.check_actor(schedule_message.actor_id);
	PERFORM chat.check_message(schedule_message.body, schedule_message.file_ids, schedule_message.attributes, schedule_message.client_key,
		schedule_message.expires_in);
	PERFORM chat.check_schedule(schedule_message.actor_id, schedule_message.send_at, schedule_message.chat_id);
	IF schedule_message.reply_to_id IS NOT NULL THEN
		PERFORM chat.check_visible_message(schedule_message.chat_id, schedule_message.reply_to_id, schedule_message.actor_id);
	END IF;
	PERFORM chat.check_mentions(schedule_message.chat_id, schedule_message.mention_ids);
	wanted := ROW(chat.take_id(), schedule_message.actor_id, schedule_message.chat_id, schedule_message.send_at, coalesce(schedule_message.body, ''),
		schedule_message.reply_to_id, schedule_message.file_ids, schedule_message.mention_ids, schedule_message.attributes,
		schedule_message.client_key, schedule_message.expires_in, NULL, NULL);
	PERFORM FROM chat.users u WHERE u.id = schedule_message.actor_id FOR NO KEY UPDATE; -- two at once must not pass the limit
	INSERT INTO chat.scheduled_messages SELECT wanted.* ON CONFLICT ON CONSTRAINT scheduled_messages_client_key DO NOTHING;
	duplicate := NOT FOUND;
	id := wanted.id;
	IF duplicate THEN
		SELECT s.id INTO id FROM chat.scheduled_messages s
		 WHERE s.sender_id = schedule_message.actor_id AND s.chat_id = schedule_message.chat_id AND s.client_key = schedule_message.client_key
		   AND (to_jsonb(s) - ARRAY['id', 'message_id', 'failure'] = to_jsonb(wanted) - ARRAY['id', 'message_id', 'failure']
			-- What was sent and deleted since has left no more of itself.
			OR s.send_at = wanted.send_at AND s.body = '' AND s.attributes IS NULL AND s.file_ids IS NULL AND s.message_id IS NOT NULL);
		IF NOT FOUND THEN
			PERFORM chat.fail('client_key_reused');
		END IF;
	ELSIF (SELECT count(*) FROM chat.list_scheduled_messages(schedule_message.actor_id)) > chat.setting_integer('scheduled_messages_max') THEN
		PERFORM chat.fail('too_many_scheduled');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.schedule_message IS 'send_message at a later time: once, with the run of maintenance that follows send_at, if the sender may send then; list_scheduled_messages shows why not. One in the past goes with the next run; at most 10 years ahead. At most the setting scheduled_messages_max a user. client_key is that of this call, not of the message to be. MC400 empty_message, invalid_argument; MC403 not_permitted, blocked, not_accepting; MC404 no_such_chat, no_such_message (reply_to_id); MC409 client_key_reused; MC413 message_too_long, too_large; MC429 too_many_scheduled.';
GRANT EXECUTE ON FUNCTION chat.schedule_message TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.check_schedule(actor_id bigint, send_at timestamptz, chat_id bigint)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF check_schedule.send_at IS NULL OR NOT isfinite(check_schedule.send_at) OR check_schedule.send_at > clock_timestamp() + interval '10 years' THEN
		PERFORM chat.fail('invalid_argument', 'send_at is not acceptable', 'Use a time within the next 10 years.');
	END IF;
	PERFORM chat.visible_range(check_schedule.chat_id, check_schedule.actor_id);
	PERFORM chat.check_member(check_schedule.chat_id, check_schedule.actor_id);
	PERFORM chat.check_posting(check_schedule.chat_id, check_schedule.actor_id);
END
$$;
COMMENT ON FUNCTION chat.check_schedule IS 'Raises what schedule_message does not accept, besides what send_message does not.';

CREATE FUNCTION chat.list_scheduled_messages(actor_id bigint, chat_id bigint DEFAULT NULL)
RETURNS SETOF chat.v_scheduled_messages LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(list_scheduled_messages.actor_id);
	RETURN QUERY
	SELECT v.* FROM chat.v_scheduled_messages v JOIN chat.scheduled_messages s ON s.id = v.id
	 WHERE s.sender_id = list_scheduled_messages.actor_id
	   AND (list_scheduled_messages.chat_id IS NULL OR s.chat_id = list_scheduled_messages.chat_id)
	 ORDER BY v.id;
END
$$;
COMMENT ON FUNCTION chat.list_scheduled_messages IS 'One''s own messages that are still to be sent, in one chat or all, by id. failure: the word of the error for which one was not sent and never will be; it is shown for 30 days or until it is cancelled.';
GRANT EXECUTE ON FUNCTION chat.list_scheduled_messages TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.cancel_scheduled_message(actor_id bigint, scheduled_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sent_id bigint;
BEGIN
	PERFORM chat.check_actor(cancel_scheduled_message.actor_id);
	-- A run that is just sending it holds the row.
	SELECT s.message_id INTO sent_id FROM chat.scheduled_messages s
	 WHERE s.id = cancel_scheduled_message.scheduled_id AND s.sender_id = cancel_scheduled_message.actor_id FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_scheduled_message');
	ELSIF sent_id IS NOT NULL THEN
		PERFORM chat.fail('already_sent');
	END IF;
	DELETE FROM chat.scheduled_messages s WHERE s.id = cancel_scheduled_message.scheduled_id;
END
$$;
COMMENT ON FUNCTION chat.cancel_scheduled_message IS 'Takes back schedule_message, or clears away one that failed. MC404 no_such_scheduled_message; MC409 already_sent.';
GRANT EXECUTE ON FUNCTION chat.cancel_scheduled_message TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.send_scheduled(batch integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	due chat.scheduled_messages;
	handled integer := 0;
BEGIN
	DELETE FROM chat.scheduled_messages s WHERE s.id IN (
		SELECT o.id FROM chat.scheduled_messages o
		 WHERE o.send_at < clock_timestamp() - interval '30 days' AND (o.message_id IS NOT NULL OR o.failure IS NOT NULL)
		 LIMIT send_scheduled.batch FOR UPDATE SKIP LOCKED);
	-- Chats in ascending id, as everybody who locks several.
	FOR due IN
		WITH claimed AS (
			SELECT s.* FROM chat.scheduled_messages s
			 WHERE s.send_at <= clock_timestamp() AND s.message_id IS NULL AND s.failure IS NULL
			 ORDER BY s.send_at, s.id LIMIT send_scheduled.batch FOR UPDATE SKIP LOCKED
		) SELECT c.* FROM claimed c ORDER BY c.chat_id, c.send_at, c.id
	LOOP
		PERFORM chat.send_due(due);
		handled := handled + 1;
	END LOOP;
	RETURN handled;
END
$$;
COMMENT ON FUNCTION chat.send_scheduled IS 'Sends at most batch scheduled messages whose time has come, each once however many sessions run this; answers how many it has dealt with. Part of run_maintenance.';

CREATE FUNCTION chat.send_due(due chat.scheduled_messages)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	sent_id bigint;
	state text;
	word text;
BEGIN
	IF EXISTS (SELECT FROM chat.users u WHERE u.id = due.sender_id AND u.suspended_until > clock_timestamp()) THEN
		PERFORM chat.fail('user_suspended');
	END IF;
	-- Who has left meanwhile is mentioned no more; that keeps nobody else from being told.
	SELECT s.id INTO sent_id FROM chat.send_message(due.sender_id, due.chat_id, due.body, due.reply_to_id, due.file_ids,
		ARRAY(SELECT m.user_id FROM chat.members m WHERE m.chat_id = due.chat_id AND m.user_id = ANY (due.mention_ids) AND m.left_id IS NULL),
		due.attributes, NULL, due.expires_in) s;
	UPDATE chat.scheduled_messages s SET message_id = sent_id WHERE s.id = due.id;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, word = PG_EXCEPTION_DETAIL;
	IF state = 'MC503' THEN
		RETURN;
	ELSIF state NOT LIKE 'MC4%' THEN
		RAISE;
	END IF;
	UPDATE chat.scheduled_messages s SET failure = word WHERE s.id = due.id;
END
$$;
COMMENT ON FUNCTION chat.send_due IS 'Sends one scheduled message as its sender would now, or notes why it cannot be; a busy chat leaves it for the next time.';
-- Sending does not touch the search index: maintenance brings it up to date (index_messages), and search reads the messages
-- that it has not reached yet themselves. So search is exact at any time, and fast as long as maintenance runs.
-- client_min_messages: that a word is too long for the index is no news to whoever runs these.

CREATE FUNCTION chat.chat_word(chat_id bigint)
RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT E'\x01' || chat_word.chat_id $$;
COMMENT ON FUNCTION chat.chat_word IS 'The word that stands for a chat in the search index: none that a text can have.';

CREATE FUNCTION chat.sender_word(sender_id bigint)
RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT E'\x02' || sender_word.sender_id $$;
COMMENT ON FUNCTION chat.sender_word IS 'The word that stands for a sender in the search index: none that a text can have.';

CREATE FUNCTION chat.words_of(message chat.messages)
RETURNS tsvector LANGUAGE sql STABLE AS $$
	SELECT array_to_tsvector(ARRAY[chat.chat_word(message.chat_id), chat.sender_word(message.sender_id)])
		|| to_tsvector(chat.setting_text('search_language')::regconfig, message.body)
$$;
COMMENT ON FUNCTION chat.words_of IS 'What the search index holds of a message.';

CREATE FUNCTION chat.index_message(message chat.messages)
RETURNS void LANGUAGE plpgsql VOLATILE SET client_min_messages = warning AS $$
BEGIN
	UPDATE chat.message_words w SET words = chat.words_of(message) WHERE w.chat_id = message.chat_id AND w.message_id = message.id;
END
$$;
COMMENT ON FUNCTION chat.index_message IS 'An edited message, if the search index has it already; under the chat''s lock, which index_messages takes too.';

CREATE FUNCTION chat.index_messages(batch integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
	behind bigint;
	indexed integer := 0;
BEGIN
	FOR behind IN
		SELECT c.id FROM chat.chats c LEFT JOIN chat.search_cursors s ON s.chat_id = c.id
		 WHERE c.deleted_id IS NULL
		   AND (s.chat_id IS NULL OR s.indexed_id < c.last_event_id OR s.language <> chat.setting_text('search_language'))
		 ORDER BY c.id LIMIT index_messages.batch
	LOOP
		PERFORM FROM chat.chats c WHERE c.id = behind AND c.deleted_id IS NULL FOR NO KEY UPDATE SKIP LOCKED;
		IF FOUND THEN
			indexed := indexed + chat.index_chat(behind, index_messages.batch - indexed);
		END IF;
		EXIT WHEN indexed >= index_messages.batch;
	END LOOP;
	RETURN indexed;
END
$$;
COMMENT ON FUNCTION chat.index_messages IS 'Brings at most batch timeline rows of chats that have changed into the search index; answers how many. Holds the chats meanwhile: small batches. A chat that somebody holds waits for the next time. Part of run_maintenance.';

CREATE FUNCTION chat.index_chat(chat_id bigint, batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	present_language text := chat.setting_text('search_language');
	found_rows integer;
	reached bigint;
BEGIN
	DELETE FROM chat.search_cursors s WHERE s.chat_id = index_chat.chat_id AND s.language <> present_language;
	IF FOUND THEN
		DELETE FROM chat.message_words w WHERE w.chat_id = index_chat.chat_id;
	END IF;
	INSERT INTO chat.search_cursors (chat_id, indexed_id, language) VALUES (index_chat.chat_id, 0, present_language) ON CONFLICT DO NOTHING;
	WITH next AS (
		SELECT m.* FROM chat.messages m JOIN chat.search_cursors s ON s.chat_id = m.chat_id
		 WHERE m.chat_id = index_chat.chat_id AND m.id > s.indexed_id ORDER BY m.id LIMIT index_chat.batch
	), added AS (
		INSERT INTO chat.message_words (chat_id, message_id, words)
		SELECT n.chat_id, n.id, chat.words_of(ROW(n.*)::chat.messages) FROM next n WHERE n.kind = 'user' AND n.deleted_id IS NULL
	)
	SELECT count(*), max(n.id) INTO found_rows, reached FROM next n;
	UPDATE chat.search_cursors s
	   SET indexed_id = CASE WHEN found_rows < index_chat.batch THEN (SELECT c.last_event_id FROM chat.chats c WHERE c.id = s.chat_id) ELSE reached END
	 WHERE s.chat_id = index_chat.chat_id;
	RETURN found_rows;
END
$$;
COMMENT ON FUNCTION chat.index_chat IS 'index_messages for one chat, whose lock the caller holds.';

CREATE FUNCTION chat.search_messages(actor_id bigint, query text, chat_id bigint DEFAULT NULL, from_user_id bigint DEFAULT NULL,
	before_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS SETOF chat.message_page LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
	size integer := chat.page_size(search_messages.page_size);
	wanted tsquery := websearch_to_tsquery(chat.setting_text('search_language')::regconfig, search_messages.query);
BEGIN
	PERFORM chat.check_actor(search_messages.actor_id);
	IF search_messages.chat_id IS NOT NULL THEN
		PERFORM chat.visible_range(search_messages.chat_id, search_messages.actor_id);
	END IF;
	IF coalesce(numnode(wanted), 0) = 0 THEN
		PERFORM chat.fail('empty_query');
	END IF;
	IF search_messages.from_user_id IS NOT NULL THEN
		wanted := wanted && chat.exactly(chat.sender_word(search_messages.from_user_id));
	END IF;
	RETURN QUERY
	WITH page AS (
		SELECT f.chat_id, f.id FROM chat.find_messages(search_messages.actor_id, wanted, search_messages.chat_id,
			coalesce(search_messages.before_id, 9223372036854775807), size + 1) f
	)
	SELECT d.*, (SELECT count(*) > size FROM page)
	  FROM (SELECT p.* FROM page p ORDER BY p.id DESC LIMIT size) s,
		LATERAL chat.describe_messages(s.chat_id, ARRAY[s.id], search_messages.actor_id) d
	 ORDER BY d.id DESC;
END
$$;
COMMENT ON FUNCTION chat.search_messages IS 'Messages that match a query in the manner of web search engines (words, "a phrase", or, -without), in one chat or all of one''s own, of one sender or all; newest first, as list_messages shows them; before_id: the last one seen. Only what one could list. Words are those of the setting search_language. MC400 empty_query, invalid_argument; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.search_messages TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.exactly(word text)
RETURNS tsquery LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT ('''' || exactly.word || '''')::tsquery $$;
COMMENT ON FUNCTION chat.exactly IS 'The query for a word of the search index that needs no quoting.';

CREATE FUNCTION chat.searched_chats(actor_id bigint, only_chat_id bigint)
RETURNS TABLE (chat_id bigint, low bigint, high bigint, indexed_id bigint, last_id bigint, message_count integer) LANGUAGE sql STABLE AS $$
	SELECT m.chat_id, m.visible_from, coalesce(m.left_id, 9223372036854775807), coalesce(s.indexed_id, 0), least(c.last_event_id, m.left_id), c.message_count
	  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id LEFT JOIN chat.search_cursors s ON s.chat_id = m.chat_id
	 WHERE m.user_id = searched_chats.actor_id AND c.deleted_id IS NULL
	   AND (searched_chats.only_chat_id IS NULL OR m.chat_id = searched_chats.only_chat_id)
$$;
COMMENT ON FUNCTION chat.searched_chats IS 'Where this user may find something: ids above low, up to high; how far the search index is; the last id there can be.';

-- Words that came into a message after one has left tell nothing.
CREATE FUNCTION chat.is_edited_after(chat_id bigint, message_id bigint, left_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.messages m
		WHERE m.chat_id = is_edited_after.chat_id AND m.id = is_edited_after.message_id AND m.edited_id > is_edited_after.left_id);
END
$$;
COMMENT ON FUNCTION chat.is_edited_after IS 'Whether the message reads otherwise than it did at the event left_id.';

CREATE FUNCTION chat.find_in_tails(actor_id bigint, wanted tsquery, only_chat_id bigint, before_id bigint, size integer)
RETURNS TABLE (chat_id bigint, id bigint) LANGUAGE sql STABLE AS $$
	SELECT m.chat_id, m.id
	  FROM chat.searched_chats(find_in_tails.actor_id, find_in_tails.only_chat_id) s
	  JOIN chat.messages m ON m.chat_id = s.chat_id AND m.id > greatest(s.low, s.indexed_id)
	 WHERE m.id <= s.high AND m.id < find_in_tails.before_id AND m.kind = 'user' AND m.deleted_id IS NULL
	   AND chat.words_of(m) @@ find_in_tails.wanted AND NOT coalesce(m.edited_id > s.high, false)
	   AND NOT EXISTS (SELECT FROM chat.hidden_messages h WHERE h.user_id = find_in_tails.actor_id AND h.chat_id = m.chat_id AND h.message_id = m.id)
	 ORDER BY m.id DESC LIMIT find_in_tails.size
$$;
COMMENT ON FUNCTION chat.find_in_tails IS 'The newest matches among the messages that the search index has not reached.';

CREATE FUNCTION chat.find_in_index(actor_id bigint, wanted tsquery, only_chat_id bigint, before_id bigint, size integer)
RETURNS TABLE (chat_id bigint, id bigint) LANGUAGE sql STABLE AS $$
	SELECT w.chat_id, w.message_id
	  FROM chat.searched_chats(find_in_index.actor_id, find_in_index.only_chat_id) s
	  JOIN chat.message_words w ON w.words @@ (find_in_index.wanted && chat.exactly(chat.chat_word(s.chat_id)))
	 WHERE w.message_id > s.low AND w.message_id <= s.high AND w.message_id < find_in_index.before_id
	   AND NOT EXISTS (SELECT FROM chat.hidden_messages h WHERE h.user_id = find_in_index.actor_id AND h.chat_id = w.chat_id AND h.message_id = w.message_id)
	   AND NOT (s.high < 9223372036854775807 AND chat.is_edited_after(w.chat_id, w.message_id, s.high))
	 ORDER BY w.message_id DESC LIMIT find_in_index.size
$$;
COMMENT ON FUNCTION chat.find_in_index IS 'The newest matches that the search index has; it collects all there are.';

-- Chat by chat, the latest event first: once the page is full, a chat without anything newer than its end need not be looked at.
CREATE FUNCTION chat.find_by_looking(actor_id bigint, wanted tsquery, only_chat_id bigint, before_id bigint, size integer, budget integer,
	INOUT chat_ids bigint[], INOUT ids bigint[], OUT matches integer, OUT complete boolean)
LANGUAGE plpgsql STABLE AS $$
DECLARE
	place record;
	seen record;
	unspent integer := find_by_looking.budget;
BEGIN
	matches := 0;
	complete := true;
	FOR place IN SELECT s.* FROM chat.searched_chats(find_by_looking.actor_id, find_by_looking.only_chat_id) s ORDER BY s.last_id DESC LOOP
		EXIT WHEN ids[size] >= place.last_id;
		IF unspent = 0 THEN
			complete := false;
			EXIT;
		END IF;
		SELECT count(*) AS rows, min(w.message_id) AS lowest,
				array_agg(w.message_id) FILTER (WHERE w.words @@ wanted AND NOT EXISTS (SELECT FROM chat.hidden_messages h
					WHERE h.user_id = find_by_looking.actor_id AND h.chat_id = place.chat_id AND h.message_id = w.message_id)
					AND NOT (place.high < 9223372036854775807 AND chat.is_edited_after(place.chat_id, w.message_id, place.high))) AS found
		  INTO seen
		  FROM (SELECT w.message_id, w.words FROM chat.message_words w
				 WHERE w.chat_id = place.chat_id AND w.message_id > greatest(place.low, ids[size])
				   AND w.message_id <= place.high AND w.message_id < find_by_looking.before_id
				 ORDER BY w.message_id DESC LIMIT unspent) w;
		IF seen.found IS NOT NULL THEN
			matches := matches + cardinality(seen.found);
			SELECT array_agg(p.chat_id ORDER BY p.id DESC), array_agg(p.id ORDER BY p.id DESC) INTO chat_ids, ids
			  FROM (SELECT u.chat_id, u.id FROM unnest(chat_ids, ids) AS u (chat_id, id)
					UNION ALL SELECT place.chat_id, f FROM unnest(seen.found) f
					ORDER BY id DESC LIMIT size) p;
		END IF;
		unspent := unspent - seen.rows;
		IF unspent = 0 AND (ids[size] >= seen.lowest) IS NOT TRUE THEN
			complete := false;
			EXIT;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION chat.find_by_looking IS 'Adds to a page (chat_ids and ids, newest first) the newest matches that the search index has, by looking at its rows, at most budget of them; complete: nothing newer is left out. matches: how many of the rows did match.';

-- A word that is in every other message is found at once by looking at the newest ones, a rare one by the index, which collects
-- all there are. Which it is, the first 1,000 rows tell. A match from the index costs what four rows cost to look at.
CREATE FUNCTION chat.find_messages(actor_id bigint, wanted tsquery, only_chat_id bigint, before_id bigint, size integer)
RETURNS TABLE (chat_id bigint, id bigint) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	tail record;
	page record;
	budget double precision := 1000;
	messages double precision;
BEGIN
	SELECT coalesce(array_agg(t.chat_id ORDER BY t.id DESC), '{}') AS chat_ids, coalesce(array_agg(t.id ORDER BY t.id DESC), '{}') AS ids INTO tail
	  FROM chat.find_in_tails(find_messages.actor_id, wanted, only_chat_id, before_id, size) t;
	LOOP
		page := chat.find_by_looking(find_messages.actor_id, wanted, only_chat_id, before_id, size, budget::integer, tail.chat_ids, tail.ids);
		EXIT WHEN page.complete OR page.matches = 0 OR budget > 1000000;
		messages := coalesce(messages, (SELECT sum(s.message_count) FROM chat.searched_chats(find_messages.actor_id, only_chat_id) s));
		EXIT WHEN budget * size / page.matches > 4 * messages * page.matches / budget;
		budget := greatest(4 * budget, 2 * budget * size / page.matches);
	END LOOP;
	IF page.complete THEN
		RETURN QUERY SELECT p.chat_id, p.id FROM unnest(page.chat_ids, page.ids) AS p (chat_id, id);
	ELSE
		RETURN QUERY
		SELECT p.chat_id, p.id FROM unnest(tail.chat_ids, tail.ids) AS p (chat_id, id)
		UNION ALL
		SELECT i.chat_id, i.id FROM chat.find_in_index(find_messages.actor_id, wanted, only_chat_id, before_id, size) i
		 ORDER BY id DESC LIMIT size;
	END IF;
END
$$;
COMMENT ON FUNCTION chat.find_messages IS 'The newest messages that match and that this user may see: those in the search index, and those behind it.';
CREATE VIEW chat.v_calls AS
SELECT c.id AS call_id, c.chat_id, c.starter_id, c.media, chat.id_time(c.id) AS started_at, chat.id_time(c.ended_id) AS ended_at
  FROM chat.calls c;
COMMENT ON VIEW chat.v_calls IS 'Calls as start_call and end_call answer them.';

CREATE FUNCTION chat.start_call(actor_id bigint, chat_id bigint, media text DEFAULT NULL, client_key text DEFAULT NULL)
RETURNS chat.v_calls LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted text := coalesce(start_call.media, 'audio');
	call chat.calls;
	event record;
BEGIN
	PERFORM chat.check_actor(start_call.actor_id);
	IF wanted NOT IN ('audio', 'video') THEN
		PERFORM chat.fail('invalid_argument', 'media is not acceptable', 'Use audio or video.');
	END IF;
	PERFORM chat.check_length(start_call.client_key, 'client_key', 1, 64);
	PERFORM chat.lock_chat(start_call.chat_id);
	SELECT c.* INTO call FROM chat.calls c
	 WHERE c.chat_id = start_call.chat_id AND c.starter_id = start_call.actor_id AND c.client_key = start_call.client_key;
	IF NOT FOUND THEN
		PERFORM chat.check_member(start_call.chat_id, start_call.actor_id);
		PERFORM chat.check_posting(start_call.chat_id, start_call.actor_id);
		event := chat.next_event(start_call.chat_id, 0);
		INSERT INTO chat.calls (chat_id, id, starter_id, media, client_key)
		VALUES (start_call.chat_id, event.id, start_call.actor_id, wanted, start_call.client_key) RETURNING * INTO call;
		PERFORM chat.log_event(start_call.chat_id, event.id, event.prev_id, event.number, 'call_started', start_call.actor_id,
			jsonb_build_object('call_id', call.id::text, 'media', call.media), true);
	ELSIF call.media <> wanted THEN
		PERFORM chat.fail('client_key_reused');
	END IF;
	RETURN (SELECT v FROM chat.v_calls v WHERE v.chat_id = call.chat_id AND v.call_id = call.id);
END
$$;
COMMENT ON FUNCTION chat.start_call IS 'Tells the members of a call (media audio, the default, or video) and notes it in the timeline; the clients connect by send_signal. Answers the call. MC400 invalid_argument; MC403 not_permitted, blocked, not_accepting; MC404 no_such_chat; MC409 client_key_reused; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.start_call TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.end_call(actor_id bigint, chat_id bigint, call_id bigint)
RETURNS chat.v_calls LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	call chat.calls;
	event record;
BEGIN
	PERFORM chat.check_actor(end_call.actor_id);
	PERFORM chat.lock_chat(end_call.chat_id);
	PERFORM chat.check_member(end_call.chat_id, end_call.actor_id);
	SELECT c.* INTO call FROM chat.calls c WHERE c.chat_id = end_call.chat_id AND c.id = end_call.call_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_call');
	ELSIF call.starter_id <> end_call.actor_id AND (SELECT c.kind FROM chat.chats c WHERE c.id = end_call.chat_id) <> 'direct' THEN
		PERFORM chat.check_member(end_call.chat_id, end_call.actor_id, ARRAY['owner', 'admin']);
	END IF;
	IF call.ended_id IS NULL THEN
		event := chat.next_event(end_call.chat_id, 0);
		UPDATE chat.calls c SET ended_id = event.id WHERE c.chat_id = call.chat_id AND c.id = call.id;
		PERFORM chat.log_event(end_call.chat_id, event.id, event.prev_id, event.number, 'call_ended', end_call.actor_id,
			jsonb_build_object('call_id', call.id::text, 'media', call.media, 'started_at', chat.rfc3339(chat.id_time(call.id))), true);
	END IF;
	RETURN (SELECT v FROM chat.v_calls v WHERE v.chat_id = call.chat_id AND v.call_id = call.id);
END
$$;
COMMENT ON FUNCTION chat.end_call IS 'Ends a call: who started it may, an admin or the owner, in a direct chat both; one that has ended stays so. Answers the call. MC403 not_permitted; MC404 no_such_chat, no_such_call; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.end_call TO chat_user, chat_app; -- since 0.2.0

-- What is stored nowhere: an event to the members who are there.
CREATE FUNCTION chat.publish_ephemeral(actor_id bigint, chat_id bigint, event jsonb)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'chat_publish_ephemeral';
COMMENT ON FUNCTION chat.publish_ephemeral IS 'An event of send_signal, as set_typing makes its own: to the members, of who may send to them. The actor is checked.';

CREATE FUNCTION chat.send_signal(actor_id bigint, chat_id bigint, payload jsonb)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(send_signal.actor_id);
	IF send_signal.payload IS NULL THEN
		PERFORM chat.fail('invalid_argument', 'payload is missing');
	ELSIF octet_length(send_signal.payload::text) > 6144 THEN
		PERFORM chat.fail('signal_too_large');
	END IF;
	PERFORM chat.publish_ephemeral(send_signal.actor_id, send_signal.chat_id, jsonb_build_object('type', 'signal', 'payload', send_signal.payload));
END
$$;
COMMENT ON FUNCTION chat.send_signal IS 'Passes a payload (offer, answer, ice; at most 6,144 bytes as JSON) to the members who are connected now, one''s own other sockets too; stored nowhere. MC400 invalid_argument; MC403 not_permitted, blocked, not_accepting, chat_too_large by the setting receipts_max_members; MC404 no_such_chat; MC413 signal_too_large.';
GRANT EXECUTE ON FUNCTION chat.send_signal TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.set_typing(actor_id bigint, chat_id bigint, typing boolean DEFAULT NULL)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_set_typing';
COMMENT ON FUNCTION chat.set_typing IS 'Tells the members who are connected now that one is typing, or (typing false) not any more; receivers let it lapse 6 s after its time. Stored nowhere. MC403 not_permitted, blocked, not_accepting, chat_too_large by the setting receipts_max_members; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.set_typing TO chat_user, chat_app; -- since 0.2.0
-- Files: content stands in chunks, once for all files with the same bytes; a file is a name and an owner of content, or a
-- link to a document elsewhere. Locks: chat, then file, then the owner's file_usage, then content.

CREATE VIEW chat.v_files AS
SELECT f.id, f.owner_id, f.name, f.mime_type, f.size, encode(c.sha256, 'hex') AS sha256, f.url, chat.id_time(f.id) AS created_at,
	ARRAY(SELECT s.user_id FROM chat.file_shares s WHERE s.file_id = f.id AND s.shared ORDER BY s.user_id) AS shared_with, f.deleted, f.version
  FROM chat.files f LEFT JOIN chat.contents c ON c.id = f.content_id;
COMMENT ON VIEW chat.v_files IS 'Files as their owners see them; shared_with is nobody else''s business.';

CREATE VIEW chat.v_uploads AS
SELECT u.id, u.name, u.mime_type, u.size, u.received, chat.id_time(u.id) + chat.setting_interval('upload_lifetime') AS expires_at
  FROM chat.uploads u
UNION ALL
SELECT f.id, f.name, f.mime_type, f.size, f.size, NULL FROM chat.files f WHERE f.content_id IS NOT NULL;
COMMENT ON VIEW chat.v_uploads IS 'Uploads as their owners see them; a finished one is a file, and has received all.';

-- What a message or an event shows of files.
CREATE FUNCTION chat.files_json(file_ids bigint[])
RETURNS json LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT coalesce(json_agg(json_build_object('id', f.id::text, 'name', f.name, 'mime_type', f.mime_type, 'size', f.size::text,
			'url', f.url, 'deleted', f.deleted) ORDER BY i.position), '[]')
	  FROM unnest(files_json.file_ids) WITH ORDINALITY AS i (id, position) JOIN chat.files f ON f.id = i.id);
END
$$;
COMMENT ON FUNCTION chat.files_json IS 'The files of a message: [{id, name, mime_type, size, url, deleted}], in the order of file_ids.';

-- Who may read

CREATE FUNCTION chat.can_read_file(file_id bigint, user_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.files f WHERE f.id = can_read_file.file_id AND f.owner_id = can_read_file.user_id)
		OR EXISTS (SELECT FROM chat.file_shares s
			WHERE s.file_id = can_read_file.file_id AND s.user_id = can_read_file.user_id AND s.shared)
		OR EXISTS (SELECT FROM chat.attachments a
			  JOIN chat.members m ON m.chat_id = a.chat_id AND m.user_id = can_read_file.user_id
			  JOIN chat.chats c ON c.id = a.chat_id AND c.deleted_id IS NULL
			 WHERE a.file_id = can_read_file.file_id AND a.message_id > m.visible_from
			   AND (m.left_id IS NULL OR a.message_id <= m.left_id))
		OR EXISTS (SELECT FROM chat.users u WHERE u.avatar_file_id = can_read_file.file_id)
		OR EXISTS (SELECT FROM chat.chats c WHERE c.avatar_file_id = can_read_file.file_id AND c.deleted_id IS NULL);
END
$$;
COMMENT ON FUNCTION chat.can_read_file IS 'Whether he owns the file, it was shared with him, stands in a message that he sees, or is an avatar.';

CREATE FUNCTION chat.check_readable_file(file_id bigint, user_id bigint)
RETURNS chat.files LANGUAGE plpgsql STABLE AS $$
DECLARE
	file chat.files;
BEGIN
	SELECT f.* INTO file FROM chat.files f
	 WHERE f.id = check_readable_file.file_id AND NOT f.deleted AND chat.can_read_file(f.id, check_readable_file.user_id);
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_file');
	END IF;
	RETURN file;
END
$$;
COMMENT ON FUNCTION chat.check_readable_file IS 'The file, if this user may read it. MC404 no_such_file.';

CREATE FUNCTION chat.lock_own_file(file_id bigint, user_id bigint)
RETURNS chat.files LANGUAGE plpgsql AS $$
DECLARE
	file chat.files;
BEGIN
	SELECT f.* INTO file FROM chat.files f WHERE f.id = lock_own_file.file_id FOR NO KEY UPDATE;
	IF file.owner_id IS DISTINCT FROM lock_own_file.user_id THEN
		PERFORM chat.check_readable_file(lock_own_file.file_id, lock_own_file.user_id);
		PERFORM chat.fail('not_owner');
	END IF;
	RETURN file;
END
$$;
COMMENT ON FUNCTION chat.lock_own_file IS 'The file, locked, also when it is deleted. MC404 no_such_file for what this user cannot read, MC403 not_owner for what is another''s.';

-- Names, types, quota

CREATE FUNCTION chat.check_file_name(name text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF name IS NULL OR char_length(name) NOT BETWEEN 1 AND 255 OR name ~ '[/\\[:cntrl:]]' OR name IN ('.', '..') THEN
		PERFORM chat.fail('invalid_argument', 'name is not acceptable', 'Use 1 to 255 characters without slashes and control characters.');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_file_name IS 'Raises MC400 invalid_argument for what is no file name.';

CREATE FUNCTION chat.check_mime_type(mime_type text)
RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	bare text := coalesce(lower(btrim(split_part(check_mime_type.mime_type, ';', 1))), 'application/octet-stream');
BEGIN
	IF bare !~ '^[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}$' THEN
		PERFORM chat.fail('invalid_mime_type');
	ELSIF NOT EXISTS (SELECT FROM string_to_table(chat.setting_text('file_types'), ',') AS t (allowed)
		 WHERE btrim(t.allowed) IN (bare, split_part(bare, '/', 1) || '/*', '*/*')) THEN
		PERFORM chat.fail('file_type_not_allowed', NULL, format('Accepted are %s.', chat.setting_text('file_types')));
	END IF;
	RETURN bare;
END
$$;
COMMENT ON FUNCTION chat.check_mime_type IS 'The type in lower case, without parameters; NULL is application/octet-stream. MC400 invalid_mime_type; file_type_not_allowed by the setting file_types.';

-- What files of a type begin with: bytes at an offset.
CREATE FUNCTION chat.file_signatures()
RETURNS TABLE (mime_type text, byte_offset integer, bytes bytea)
LANGUAGE sql IMMUTABLE AS $$
	VALUES
	('image/png', 0, '\x89504e470d0a1a0a'::bytea),
	('image/jpeg', 0, '\xffd8ff'),
	('image/gif', 0, 'GIF87a'),
	('image/gif', 0, 'GIF89a'),
	('image/webp', 8, 'WEBPVP8'),
	('image/bmp', 0, 'BM'),
	('image/tiff', 0, '\x49492a00'),
	('image/tiff', 0, '\x4d4d002a'),
	('image/x-icon', 0, '\x00000100'),
	('image/vnd.microsoft.icon', 0, '\x00000100'),
	('image/avif', 4, 'ftypavi'),
	('image/heic', 4, 'ftyphei'),
	('image/heic', 4, 'ftypmif1'),
	('image/heif', 4, 'ftypmif1'),
	('image/heif', 4, 'ftyphei'),
	('video/mp4', 4, 'ftyp'),
	('video/quicktime', 4, 'ftypqt'),
	('video/quicktime', 4, 'moov'),
	('video/3gpp', 4, 'ftyp3g'),
	('video/webm', 0, '\x1a45dfa3'),
	('video/x-matroska', 0, '\x1a45dfa3'),
	('video/ogg', 0, 'OggS'),
	('video/x-msvideo', 8, 'AVI '),
	('audio/ogg', 0, 'OggS'),
	('audio/opus', 0, 'OggS'),
	('audio/webm', 0, '\x1a45dfa3'),
	('audio/mp4', 4, 'ftyp'),
	('audio/x-m4a', 4, 'ftyp'),
	('audio/3gpp', 4, 'ftyp3g'),
	('audio/mpeg', 0, 'ID3'),
	('audio/mpeg', 0, '\xfffb'),
	('audio/mpeg', 0, '\xfff3'),
	('audio/mpeg', 0, '\xfff2'),
	('audio/mpeg', 0, '\xfffa'),
	('audio/aac', 0, '\xfff1'),
	('audio/aac', 0, '\xfff9'),
	('audio/flac', 0, 'fLaC'),
	('audio/wav', 8, 'WAVE'),
	('audio/x-wav', 8, 'WAVE'),
	('audio/amr', 0, '#!AMR'),
	('audio/midi', 0, 'MThd'),
	('application/pdf', 0, '%PDF-'),
	('application/zip', 0, '\x504b0304'),
	('application/zip', 0, '\x504b0506'),
	('application/gzip', 0, '\x1f8b'),
	('application/x-7z-compressed', 0, '\x377abcaf271c'),
	('application/vnd.openxmlformats-officedocument.wordprocessingml.document', 0, '\x504b0304'),
	('application/vnd.openxmlformats-officedocument.spreadsheetml.sheet', 0, '\x504b0304'),
	('application/vnd.openxmlformats-officedocument.presentationml.presentation', 0, '\x504b0304'),
	('application/vnd.oasis.opendocument.text', 0, '\x504b0304'),
	('application/vnd.oasis.opendocument.spreadsheet', 0, '\x504b0304'),
	('application/vnd.oasis.opendocument.presentation', 0, '\x504b0304')
$$;
COMMENT ON FUNCTION chat.file_signatures IS 'The bytes that files of a type have near their beginning; one of a type''s rows has to match.';

CREATE FUNCTION chat.is_of_type(first_bytes bytea, is_text boolean, mime_type text)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE
		WHEN is_of_type.mime_type LIKE 'text/%' OR is_of_type.mime_type LIKE '%+xml'
			OR is_of_type.mime_type IN ('application/json', 'application/xml') THEN is_of_type.is_text
		-- Nobody shows these without knowing them; what else is an application's is its own matter.
		WHEN is_of_type.mime_type ~ '^(image|audio|video)/' OR EXISTS (SELECT FROM chat.file_signatures() s WHERE s.mime_type = is_of_type.mime_type)
			THEN EXISTS (SELECT FROM chat.file_signatures() s WHERE s.mime_type = is_of_type.mime_type
				AND substring(is_of_type.first_bytes FROM s.byte_offset + 1 FOR octet_length(s.bytes)) = s.bytes)
		ELSE true
	END
$$;
COMMENT ON FUNCTION chat.is_of_type IS 'Whether content can be what it is said to be: text/* and the like by is_text (UTF-8 without NUL), images, sounds, videos and what else has a signature by its first bytes. Other types say nothing about their bytes.';

CREATE FUNCTION chat.take_quota(user_id bigint, bytes bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO chat.file_usage AS u (user_id, bytes) VALUES (take_quota.user_id, 0) ON CONFLICT ON CONSTRAINT file_usage_pkey DO NOTHING;
	UPDATE chat.file_usage u SET bytes = u.bytes + take_quota.bytes
	 WHERE u.user_id = take_quota.user_id AND (take_quota.bytes <= 0 OR u.bytes + take_quota.bytes <= chat.setting_integer('file_quota'));
	IF NOT FOUND THEN
		PERFORM chat.fail('quota_exceeded', NULL, format('All together may have %s bytes.', chat.setting_integer('file_quota')));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.take_quota IS 'Counts bytes (negative: given back) against the user''s quota; locks his row of file_usage till the transaction ends. MC429 quota_exceeded.';

-- Contents

CREATE FUNCTION chat.release_content(content_id bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE chat.contents c SET use_count = c.use_count - 1 WHERE c.id = release_content.content_id;
END
$$;
COMMENT ON FUNCTION chat.release_content IS 'One file or upload less has this content; maintenance collects what nobody has.';

-- A hash alone proves nothing: it finds content only among what its user can read, so it tells nothing about others'. A hundred
-- files are looked at, his own first: as many may have the same content as there are users.
CREATE FUNCTION chat.use_readable_content(user_id bigint, sha256 bytea, size bigint)
RETURNS bigint LANGUAGE sql VOLATILE AS $$
	UPDATE chat.contents c SET use_count = c.use_count + 1
	 WHERE c.sha256 = use_readable_content.sha256 AND c.size = use_readable_content.size
	   AND EXISTS (SELECT FROM (
			SELECT f.id FROM chat.files f WHERE f.content_id = c.id
			 ORDER BY f.owner_id = use_readable_content.user_id DESC LIMIT 100) f
		 WHERE chat.can_read_file(f.id, use_readable_content.user_id))
	RETURNING c.id
$$;
COMMENT ON FUNCTION chat.use_readable_content IS 'The content with this hash and size, counted as used once more, if the user can read it already; else NULL.';

-- Whose bytes they are first keeps them; who brings the same ones later has shown that he has them, and shares those.
CREATE FUNCTION chat.keep_content(upload_id bigint, sha256 bytea, size bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	kept_id bigint;
BEGIN
	INSERT INTO chat.contents AS c (id, sha256, size, use_count) VALUES (keep_content.upload_id, keep_content.sha256, keep_content.size, 1)
	ON CONFLICT ON CONSTRAINT contents_sha256 DO UPDATE SET use_count = c.use_count + 1
	RETURNING c.id INTO kept_id;
	IF kept_id <> keep_content.upload_id THEN
		DELETE FROM chat.chunks k WHERE k.content_id = keep_content.upload_id;
	END IF;
	RETURN kept_id;
END
$$;
COMMENT ON FUNCTION chat.keep_content IS 'Makes the chunks of an upload content, or drops them for the content that is there already; answers its id, counted as used once more.';

CREATE FUNCTION chat.check_content(content_id bigint, OUT size bigint, OUT sha256 bytea, OUT is_text boolean)
RETURNS record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_check_content';
COMMENT ON FUNCTION chat.check_content IS 'Reads all chunks: how many bytes they are, their hash, and whether they are UTF-8 without NUL.';

CREATE FUNCTION chat.read_content(content_id bigint, byte_offset bigint, byte_count integer)
RETURNS bytea LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT coalesce(string_agg(substring(k.bytes FROM greatest(read_content.byte_offset - k.number * 262144::bigint, 0)::integer + 1
			FOR least(read_content.byte_offset + read_content.byte_count - k.number * 262144::bigint, 262144)::integer
				- greatest(read_content.byte_offset - k.number * 262144::bigint, 0)::integer), '' ORDER BY k.number), '')
	  FROM chat.chunks k
	 WHERE k.content_id = read_content.content_id
	   AND k.number BETWEEN read_content.byte_offset / 262144 AND (read_content.byte_offset + read_content.byte_count - 1) / 262144);
END
$$;
COMMENT ON FUNCTION chat.read_content IS 'A range of bytes; shorter at the end, empty behind it.';

-- Uploading

CREATE FUNCTION chat.get_upload(upload_id bigint)
RETURNS chat.v_uploads LANGUAGE plpgsql STABLE AS $$
DECLARE
	upload chat.v_uploads;
BEGIN
	SELECT u.* INTO upload FROM chat.v_uploads u WHERE u.id = get_upload.upload_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_upload');
	END IF;
	RETURN upload;
END
$$;
COMMENT ON FUNCTION chat.get_upload IS 'An upload as its owner sees it. MC404 no_such_upload.';

CREATE FUNCTION chat.begin_upload(actor_id bigint, name text, mime_type text DEFAULT NULL, size bigint DEFAULT NULL,
	sha256 text DEFAULT NULL, client_key text DEFAULT NULL)
RETURNS chat.v_uploads LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	request jsonb := jsonb_build_array(begin_upload.name, begin_upload.mime_type, begin_upload.size, begin_upload.sha256);
	upload_id bigint;
	known_id bigint;
BEGIN
	PERFORM chat.check_actor(begin_upload.actor_id);
	PERFORM chat.check_file_name(begin_upload.name);
	begin_upload.mime_type := chat.check_mime_type(begin_upload.mime_type);
	IF begin_upload.size IS NULL OR begin_upload.size < 0 THEN
		PERFORM chat.fail('invalid_argument', 'size is not acceptable', 'Tell how many bytes will come.');
	ELSIF begin_upload.size > chat.setting_integer('file_max_bytes') THEN
		PERFORM chat.fail('too_large', 'the file is too large', format('Use at most %s bytes.', chat.setting_integer('file_max_bytes')));
	ELSIF begin_upload.sha256 !~* '^[0-9a-f]{64}$' THEN
		PERFORM chat.fail('invalid_argument', 'sha256 is not acceptable', 'Write it as 64 hexadecimal digits.');
	END IF;
	upload_id := chat.client_key_result(begin_upload.actor_id, 'begin_upload', begin_upload.client_key, request);
	IF upload_id IS NULL THEN
		upload_id := chat.take_id();
		PERFORM chat.take_quota(begin_upload.actor_id, begin_upload.size);
		known_id := chat.use_readable_content(begin_upload.actor_id, decode(begin_upload.sha256, 'hex'), begin_upload.size);
		INSERT INTO chat.uploads (id, owner_id, name, mime_type, size, sha256, received, content_id)
		VALUES (upload_id, begin_upload.actor_id, begin_upload.name, begin_upload.mime_type, begin_upload.size,
			decode(begin_upload.sha256, 'hex'), CASE WHEN known_id IS NULL THEN 0 ELSE begin_upload.size END, known_id);
		PERFORM chat.save_client_key(begin_upload.actor_id, 'begin_upload', begin_upload.client_key, request, upload_id);
	END IF;
	RETURN chat.get_upload(upload_id);
END
$$;
COMMENT ON FUNCTION chat.begin_upload IS 'Announces a file: its name (1 to 255 characters, no slashes), type (by default application/octet-stream), size in bytes and, if known, sha256 in hex. append_upload sends the bytes, finish_upload makes a file with the same id of it, until expires_at (setting upload_lifetime). received = how many bytes are there: all at once when the actor can already read a file with this hash. client_key: the same key answers the same upload, so that an interrupted one goes on at received. Counts against the setting file_quota. MC400 invalid_argument, invalid_mime_type, file_type_not_allowed; MC404 no_such_upload: the key''s upload has expired; MC409 client_key_reused; MC413 too_large by the setting file_max_bytes; MC429 quota_exceeded.';
GRANT EXECUTE ON FUNCTION chat.begin_upload TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.lock_upload(upload_id bigint, user_id bigint)
RETURNS chat.uploads LANGUAGE plpgsql AS $$
DECLARE
	upload chat.uploads;
BEGIN
	SELECT u.* INTO upload FROM chat.uploads u
	 WHERE u.id = lock_upload.upload_id AND u.owner_id = lock_upload.user_id FOR UPDATE;
	RETURN upload;
END
$$;
COMMENT ON FUNCTION chat.lock_upload IS 'One''s own upload, locked; NULL when there is none, or a file has been made of it.';

CREATE FUNCTION chat.append_upload(actor_id bigint, upload_id bigint, byte_offset bigint, bytes bytea)
RETURNS chat.v_uploads LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	upload chat.uploads;
	news bytea;
BEGIN
	PERFORM chat.check_actor(append_upload.actor_id);
	upload := chat.lock_upload(append_upload.upload_id, append_upload.actor_id);
	IF upload.id IS NULL THEN
		PERFORM chat.fail('no_such_upload');
	ELSIF append_upload.bytes IS NULL OR append_upload.byte_offset IS NULL OR append_upload.byte_offset < 0 THEN
		PERFORM chat.fail('invalid_argument', 'byte_offset or bytes is missing', NULL);
	ELSIF octet_length(append_upload.bytes) > 1048576 THEN
		PERFORM chat.fail('too_large', 'too many bytes at once', 'Send at most 1048576 bytes at once.');
	ELSIF append_upload.byte_offset > upload.received THEN
		PERFORM chat.fail('wrong_offset', NULL, format('Go on at %s.', upload.received));
	ELSIF append_upload.byte_offset + octet_length(append_upload.bytes) > upload.size THEN
		PERFORM chat.fail('too_large', 'there are more bytes than were announced', format('Send %s bytes in all.', upload.size));
	END IF;
	IF append_upload.byte_offset = 0 AND upload.received = upload.size AND upload.content_id IS NULL THEN
		DELETE FROM chat.chunks k WHERE k.content_id = upload.id;
		UPDATE chat.uploads u SET received = 0 WHERE u.id = upload.id;
		upload.received := 0;
	END IF;
	news := substring(append_upload.bytes FROM least(upload.received - append_upload.byte_offset, octet_length(append_upload.bytes))::integer + 1);
	IF octet_length(news) > 0 THEN
		PERFORM chat.write_chunks(upload.id, upload.received, news);
		UPDATE chat.uploads u SET received = u.received + octet_length(news) WHERE u.id = upload.id;
	END IF;
	RETURN chat.get_upload(upload.id);
END
$$;
COMMENT ON FUNCTION chat.append_upload IS 'Sends the next bytes of an upload, at most 1 MiB at once; multiples of 256 KiB from its beginning are stored fastest. byte_offset: where they begin; what was received already is skipped, so sending again is safe; but what is complete begins anew at byte_offset 0, should finish_upload have found it wrong. Answers the upload; received = where to go on. MC400 invalid_argument; MC404 no_such_upload; MC409 wrong_offset for a gap; MC413 too_large.';
GRANT EXECUTE ON FUNCTION chat.append_upload TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.write_chunks(content_id bigint, byte_offset bigint, bytes bytea)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO chat.chunks AS k (content_id, number, bytes)
	SELECT write_chunks.content_id, n,
		substring(write_chunks.bytes FROM greatest(n * 262144 - write_chunks.byte_offset, 0)::integer + 1
			FOR (least((n + 1) * 262144, write_chunks.byte_offset + octet_length(write_chunks.bytes))
				- greatest(n * 262144, write_chunks.byte_offset))::integer)
	  FROM generate_series(write_chunks.byte_offset / 262144,
		(write_chunks.byte_offset + octet_length(write_chunks.bytes) - 1) / 262144) n
	ON CONFLICT ON CONSTRAINT chunks_pkey DO UPDATE SET bytes = k.bytes || excluded.bytes;
END
$$;
COMMENT ON FUNCTION chat.write_chunks IS 'Appends bytes at byte_offset, which is the end of what is there: fills up the last chunk, then adds others.';

CREATE FUNCTION chat.finish_upload(actor_id bigint, upload_id bigint)
RETURNS chat.v_files LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	upload chat.uploads;
	content record;
BEGIN
	PERFORM chat.check_actor(finish_upload.actor_id);
	upload := chat.lock_upload(finish_upload.upload_id, finish_upload.actor_id);
	IF upload.id IS NULL THEN -- it was finished before, or is not there
		IF NOT EXISTS (SELECT FROM chat.files f
			WHERE f.id = finish_upload.upload_id AND f.owner_id = finish_upload.actor_id AND f.content_id IS NOT NULL) THEN
			PERFORM chat.fail('no_such_upload');
		END IF;
		RETURN chat.get_file(finish_upload.actor_id, finish_upload.upload_id);
	ELSIF upload.received < upload.size THEN
		PERFORM chat.fail('upload_incomplete', NULL, format('Go on at %s.', upload.received));
	END IF;
	SELECT c.* INTO content FROM chat.check_content(coalesce(upload.content_id, upload.id)) c;
	IF content.sha256 <> upload.sha256 THEN
		PERFORM chat.fail('file_hash_mismatch');
	ELSIF NOT chat.is_of_type(chat.read_content(coalesce(upload.content_id, upload.id), 0, 64), content.is_text, upload.mime_type) THEN
		PERFORM chat.fail('file_type_mismatch');
	END IF;
	DELETE FROM chat.uploads u WHERE u.id = upload.id;
	INSERT INTO chat.files (id, owner_id, name, mime_type, size, content_id, version)
	VALUES (upload.id, upload.owner_id, upload.name, upload.mime_type, upload.size,
		coalesce(upload.content_id, chat.keep_content(upload.id, content.sha256, content.size)), chat.take_id(upload.id));
	RETURN chat.get_file(upload.owner_id, upload.id);
END
$$;
COMMENT ON FUNCTION chat.finish_upload IS 'Makes a file of an upload that is complete, with the upload''s id; again answers the same file. Reads all of it once: the sha256 must be the announced one, and the type be true: text is UTF-8 without NUL, images, sounds and videos begin as they do. MC400 file_hash_mismatch, file_type_mismatch; MC404 no_such_upload; MC409 upload_incomplete, with the offset to go on at in HINT.';
GRANT EXECUTE ON FUNCTION chat.finish_upload TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.add_file_link(actor_id bigint, name text, mime_type text DEFAULT NULL, size bigint DEFAULT NULL, url text DEFAULT NULL)
RETURNS chat.v_files LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	new_id bigint := chat.take_id();
BEGIN
	PERFORM chat.check_actor(add_file_link.actor_id);
	PERFORM chat.check_file_name(add_file_link.name);
	add_file_link.mime_type := chat.check_mime_type(add_file_link.mime_type);
	IF add_file_link.url IS NULL OR add_file_link.url !~ '^https?://[^[:space:][:cntrl:]]+$' OR octet_length(add_file_link.url) > 2048 THEN
		PERFORM chat.fail('invalid_argument', 'url is not acceptable', 'Use an http or https URL of at most 2048 bytes.');
	ELSIF add_file_link.size < 0 THEN
		PERFORM chat.fail('invalid_argument', 'size is not acceptable', 'Give the bytes of the document, or nothing.');
	END IF;
	INSERT INTO chat.files (id, owner_id, name, mime_type, size, url, version)
	VALUES (new_id, add_file_link.actor_id, add_file_link.name, add_file_link.mime_type, add_file_link.size, add_file_link.url, new_id);
	RETURN chat.get_file(add_file_link.actor_id, new_id);
END
$$;
COMMENT ON FUNCTION chat.add_file_link IS 'A file whose content lies elsewhere, at url (http or https, at most 2048 bytes; nobody fetches or checks it); for the rest it is like any other. size in bytes, NULL = unknown; it counts against no quota. MC400 invalid_argument, invalid_mime_type, file_type_not_allowed.';
GRANT EXECUTE ON FUNCTION chat.add_file_link TO chat_user, chat_app; -- since 0.2.0

-- Reading

CREATE FUNCTION chat.get_file(actor_id bigint, file_id bigint)
RETURNS chat.v_files LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	file chat.v_files;
BEGIN
	PERFORM chat.check_actor(get_file.actor_id);
	PERFORM chat.check_readable_file(get_file.file_id, get_file.actor_id);
	SELECT f.* INTO file FROM chat.v_files f WHERE f.id = get_file.file_id;
	IF file.owner_id <> get_file.actor_id THEN
		file.shared_with := NULL;
	END IF;
	RETURN file;
END
$$;
COMMENT ON FUNCTION chat.get_file IS 'A file''s name, type, size in bytes, sha256 in hex (NULL for a link, which has url) and owner; shared_with: users that share_file let in, only for the owner. For its owner, those it was shared with, who sees a message that carries it, and for avatars everybody. MC404 no_such_file.';
GRANT EXECUTE ON FUNCTION chat.get_file TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.read_file(actor_id bigint, file_id bigint, byte_offset bigint DEFAULT NULL, byte_count integer DEFAULT NULL)
RETURNS bytea LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	file chat.files;
BEGIN
	PERFORM chat.check_actor(read_file.actor_id);
	file := chat.check_readable_file(read_file.file_id, read_file.actor_id);
	IF file.url IS NOT NULL THEN
		PERFORM chat.fail('file_is_link');
	ELSIF read_file.byte_offset NOT BETWEEN 0 AND 1125899906842624 OR read_file.byte_count < 1 THEN
		PERFORM chat.fail('invalid_argument', 'the range is not acceptable', 'Use byte_offset from 0 on and byte_count from 1 on.');
	END IF;
	RETURN chat.read_content(file.content_id, coalesce(read_file.byte_offset, 0), least(coalesce(read_file.byte_count, 262144), 1048576));
END
$$;
COMMENT ON FUNCTION chat.read_file IS 'A range of a file''s content: byte_count bytes (by default 262144, at most 1048576 whatever is asked) from byte_offset (by default 0) on; fewer at the end, none behind it. MC400 invalid_argument; MC404 no_such_file; MC409 file_is_link.';
GRANT EXECUTE ON FUNCTION chat.read_file TO chat_user, chat_app; -- since 0.2.0

-- One's list of files: one's own, and what others have shared. Its rows change when files come, are shared, unshared, deleted.
CREATE VIEW chat.v_listed_files AS
SELECT f.owner_id AS user_id, f.id, f.owner_id, f.name, f.mime_type, f.size, f.sha256, f.url, f.deleted, f.version FROM chat.v_files f
UNION ALL
SELECT s.user_id, s.file_id, f.owner_id, coalesce(f.name, ''), f.mime_type, f.size, f.sha256, f.url, NOT s.shared, s.version
  FROM chat.file_shares s LEFT JOIN chat.v_files f ON f.id = s.file_id AND s.shared;
COMMENT ON VIEW chat.v_listed_files IS 'list_files by user; version is that of the row, deleted: it has gone from his list, and nothing but the id is left.';

CREATE FUNCTION chat.list_files(actor_id bigint, changed_after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, owner_id bigint, name text, mime_type text, size bigint, sha256 text, url text, deleted boolean, version bigint, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	rows_wanted integer := chat.page_size(list_files.page_size);
BEGIN
	PERFORM chat.check_actor(list_files.actor_id);
	RETURN QUERY
	WITH found AS (
		SELECT f.*, row_number() OVER (ORDER BY f.version) AS rank FROM (
			SELECT l.* FROM chat.v_listed_files l
			 WHERE l.user_id = list_files.actor_id AND l.version > coalesce(list_files.changed_after_id, 0)
			   AND (list_files.changed_after_id IS NOT NULL OR NOT l.deleted)
			 ORDER BY l.version LIMIT rows_wanted + 1) f
	)
	SELECT f.id, f.owner_id, f.name, f.mime_type, f.size, f.sha256, f.url, f.deleted, f.version, (SELECT count(*) > rows_wanted FROM found)
	  FROM found f WHERE f.rank <= rows_wanted ORDER BY f.version;
END
$$;
COMMENT ON FUNCTION chat.list_files IS 'One''s own files and those that others have shared with one, ascending by version; files that only stand in chats are list_chat_files''. changed_after_id: version of the last row seen; then the list has also, with deleted = true, what has gone from it: deleted files and those no longer shared. MC400 invalid_argument (page_size).';
GRANT EXECUTE ON FUNCTION chat.list_files TO chat_user, chat_app; -- since 0.2.0

-- Sharing and deleting

CREATE FUNCTION chat.set_file_share(file_id bigint, user_id bigint, shared boolean)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF set_file_share.shared THEN
		INSERT INTO chat.file_shares AS s (file_id, user_id, shared, version)
		VALUES (set_file_share.file_id, set_file_share.user_id, true, chat.take_id())
		ON CONFLICT ON CONSTRAINT file_shares_pkey DO UPDATE SET shared = true, version = chat.take_id(s.version) WHERE NOT s.shared;
	ELSE
		UPDATE chat.file_shares s SET shared = false, version = chat.take_id(s.version)
		 WHERE s.file_id = set_file_share.file_id AND s.user_id = set_file_share.user_id AND s.shared;
	END IF;
END
$$;
COMMENT ON FUNCTION chat.set_file_share IS 'Shares or unshares; nothing happens where it is so already. The caller has locked the file.';

CREATE FUNCTION chat.share_file(actor_id bigint, file_id bigint, user_id bigint)
RETURNS chat.v_files LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	file chat.files;
BEGIN
	PERFORM chat.check_actor(share_file.actor_id);
	file := chat.lock_own_file(share_file.file_id, share_file.actor_id);
	IF file.deleted THEN
		PERFORM chat.fail('no_such_file');
	ELSIF NOT EXISTS (SELECT FROM chat.users u WHERE u.id = share_file.user_id AND NOT u.deleted) THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	PERFORM chat.check_direct(share_file.actor_id, share_file.user_id);
	IF share_file.user_id <> share_file.actor_id THEN
		PERFORM chat.set_file_share(file.id, share_file.user_id, true);
	END IF;
	RETURN chat.get_file(share_file.actor_id, file.id);
END
$$;
COMMENT ON FUNCTION chat.share_file IS 'Lets another user read one''s own file; he hears of it and finds it in list_files. Again is no error. MC403 not_owner, blocked, not_accepting; MC404 no_such_file, no_such_user.';
GRANT EXECUTE ON FUNCTION chat.share_file TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.unshare_file(actor_id bigint, file_id bigint, user_id bigint)
RETURNS chat.v_files LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	file chat.files;
BEGIN
	PERFORM chat.check_actor(unshare_file.actor_id);
	file := chat.lock_own_file(unshare_file.file_id, unshare_file.actor_id);
	IF file.deleted THEN
		PERFORM chat.fail('no_such_file');
	END IF;
	PERFORM chat.set_file_share(file.id, unshare_file.user_id, false);
	RETURN chat.get_file(unshare_file.actor_id, file.id);
END
$$;
COMMENT ON FUNCTION chat.unshare_file IS 'Takes share_file back; messages that carry the file, and avatars, stay readable. Again is no error. MC403 not_owner; MC404 no_such_file.';
GRANT EXECUTE ON FUNCTION chat.unshare_file TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.delete_file(actor_id bigint, file_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	file chat.files;
BEGIN
	PERFORM chat.check_actor(delete_file.actor_id);
	IF EXISTS (SELECT FROM chat.users u WHERE u.id = delete_file.actor_id AND u.avatar_file_id = delete_file.file_id) THEN
		PERFORM chat.edit_profile(delete_file.actor_id, avatar_file_id => 0);
	END IF;
	file := chat.lock_own_file(delete_file.file_id, delete_file.actor_id);
	IF NOT file.deleted THEN
		PERFORM chat.drop_file(file);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.delete_file IS 'Deletes one''s own file for everybody: messages that carry it show it as deleted, shares end, a profile''s avatar is none any more. Its quota is free at once, its content goes with the next run_maintenance unless other files have the same. Again is no error. MC403 not_owner; MC404 no_such_file.';
GRANT EXECUTE ON FUNCTION chat.delete_file TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.drop_file(file chat.files)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE chat.files f SET deleted = true, name = '', mime_type = 'application/octet-stream', size = NULL, content_id = NULL, url = NULL,
		version = chat.take_id(f.version) WHERE f.id = drop_file.file.id;
	PERFORM chat.set_file_share(s.file_id, s.user_id, false)
	   FROM chat.file_shares s WHERE s.file_id = drop_file.file.id AND s.shared ORDER BY s.user_id;
	IF drop_file.file.content_id IS NOT NULL THEN
		PERFORM chat.take_quota(drop_file.file.owner_id, -drop_file.file.size);
		PERFORM chat.release_content(drop_file.file.content_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.drop_file IS 'Deletes a file that the caller has locked and found not deleted.';

CREATE FUNCTION chat.drop_files(owner_id bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	-- Two who have the same files may be erased at the same time: contents in the order of their ids, in the place that they have
	-- among the locks.
	PERFORM count(*) FROM (SELECT FROM chat.files f WHERE f.owner_id = drop_files.owner_id AND NOT f.deleted ORDER BY f.id FOR NO KEY UPDATE) locked;
	PERFORM count(*) FROM (SELECT FROM chat.uploads u WHERE u.owner_id = drop_files.owner_id ORDER BY u.id FOR UPDATE) locked;
	PERFORM FROM chat.file_usage u WHERE u.user_id = drop_files.owner_id FOR NO KEY UPDATE;
	PERFORM count(*) FROM (SELECT FROM chat.contents c WHERE c.id IN (
			SELECT f.content_id FROM chat.files f WHERE f.owner_id = drop_files.owner_id
			UNION ALL SELECT u.content_id FROM chat.uploads u WHERE u.owner_id = drop_files.owner_id)
		 ORDER BY c.id FOR NO KEY UPDATE) locked;
	PERFORM chat.drop_file(own.file) FROM (
		SELECT f AS file FROM chat.files f WHERE f.owner_id = drop_files.owner_id AND NOT f.deleted ORDER BY f.id FOR NO KEY UPDATE) own;
	PERFORM chat.drop_upload(own.upload) FROM (
		SELECT u AS upload FROM chat.uploads u WHERE u.owner_id = drop_files.owner_id ORDER BY u.id FOR UPDATE) own;
	UPDATE chat.file_shares s SET shared = false, version = chat.take_id(s.version) WHERE s.user_id = drop_files.owner_id AND s.shared;
END
$$;
COMMENT ON FUNCTION chat.drop_files IS 'For erasing a user: deletes all his files and uploads, and what others have shared with him is shared no more.';

CREATE FUNCTION chat.drop_upload(upload chat.uploads)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM chat.uploads u WHERE u.id = drop_upload.upload.id;
	DELETE FROM chat.chunks k WHERE k.content_id = drop_upload.upload.id;
	PERFORM chat.take_quota(drop_upload.upload.owner_id, -drop_upload.upload.size);
	PERFORM chat.release_content(drop_upload.upload.content_id);
END
$$;
COMMENT ON FUNCTION chat.drop_upload IS 'Drops an upload that the caller has locked.';

-- Where others use files

CREATE FUNCTION chat.attach_files(chat_id bigint, message_id bigint, file_ids bigint[], sender_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	wanted bigint[] := ARRAY(SELECT DISTINCT i FROM unnest(attach_files.file_ids) i ORDER BY i);
BEGIN
	IF cardinality(attach_files.file_ids) > chat.setting_integer('message_files_max') THEN
		PERFORM chat.fail('invalid_argument', 'there are too many file_ids', format('Use at most %s.', chat.setting_integer('message_files_max')));
	ELSIF cardinality(wanted) < cardinality(attach_files.file_ids) THEN
		PERFORM chat.fail('invalid_argument', 'file_ids names a file twice', 'Name each once.');
	END IF;
	-- The lock keeps delete_file out until the message is there, or finds the file deleted.
	PERFORM FROM chat.files f WHERE f.id = ANY (wanted) ORDER BY f.id FOR SHARE;
	PERFORM chat.check_readable_file(i, attach_files.sender_id) FROM unnest(wanted) i;
	INSERT INTO chat.attachments (chat_id, message_id, file_id) SELECT attach_files.chat_id, attach_files.message_id, i FROM unnest(wanted) i;
END
$$;
COMMENT ON FUNCTION chat.attach_files IS 'Makes the files readable for the members of the chat, as parts of this message. MC404 no_such_file for what the sender cannot read; MC400 invalid_argument for a file named twice and for more than the setting message_files_max.';

CREATE FUNCTION chat.detach_files(chat_id bigint, message_id bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	DELETE FROM chat.attachments a WHERE a.chat_id = detach_files.chat_id AND a.message_id = detach_files.message_id;
END
$$;
COMMENT ON FUNCTION chat.detach_files IS 'The message carries no files any more. The files stay their owners'' until they delete them.';

CREATE FUNCTION chat.check_avatar(actor_id bigint, file_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	file chat.files;
BEGIN
	SELECT f.* INTO file FROM chat.files f WHERE f.id = check_avatar.file_id FOR SHARE;
	PERFORM chat.check_readable_file(check_avatar.file_id, check_avatar.actor_id);
	IF file.owner_id <> check_avatar.actor_id THEN
		PERFORM chat.fail('not_owner');
	ELSIF file.mime_type NOT LIKE 'image/%' THEN
		PERFORM chat.fail('invalid_argument', 'an avatar is an image', 'Use a file of type image/*.');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_avatar IS 'Whether actor_id may make this file an avatar, which everybody can read: his own image. Nobody deletes it before the transaction ends. MC400 invalid_argument; MC403 not_owner; MC404 no_such_file.';

-- What is published: each change of a row of somebody's list_files.
CREATE FUNCTION chat.file_event(listed chat.v_listed_files)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('type', 'file_shared', 'version', listed.version::text, 'at', chat.rfc3339(chat.id_time(listed.version)),
		'id', listed.id::text, 'owner_id', listed.owner_id::text, 'name', listed.name, 'mime_type', listed.mime_type,
		'size', listed.size::text, 'sha256', listed.sha256, 'url', listed.url, 'deleted', listed.deleted)
$$;
COMMENT ON FUNCTION chat.file_event IS 'The file_shared event, as it is published and as sync tells it.';

CREATE FUNCTION chat.publish_file()
RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF chat.took(NEW.version) THEN
		PERFORM chat.publish(chat.file_event(l), ARRAY[l.user_id])
		   FROM chat.v_listed_files l WHERE l.version = NEW.version AND l.id = CASE TG_TABLE_NAME
			WHEN 'files' THEN (to_jsonb(NEW) ->> 'id')::bigint ELSE (to_jsonb(NEW) ->> 'file_id')::bigint END;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_file IS 'Trigger: the file_shared event, one''s changed row of list_files, to the one whose list it is.';
CREATE TRIGGER publish_file AFTER INSERT OR UPDATE ON chat.files
FOR EACH ROW EXECUTE FUNCTION chat.publish_file();
CREATE TRIGGER publish_file AFTER INSERT OR UPDATE ON chat.file_shares
FOR EACH ROW EXECUTE FUNCTION chat.publish_file();

-- Large objects: PostgreSQL has them, YSQL does not.

CREATE FUNCTION chat.check_large_objects()
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF version() LIKE '%-YB-%' THEN
		PERFORM chat.fail('no_large_objects');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_large_objects IS 'Raises MC400 no_large_objects where there are none.';

-- These functions run as the extension's owner: whoever calls them gets no further than his own rights on large objects.
CREATE FUNCTION chat.caller()
RETURNS name LANGUAGE sql STABLE AS $$ SELECT coalesce(nullif(current_setting('role'), 'none'), session_user)::name $$;
COMMENT ON FUNCTION chat.caller IS 'The role that a SECURITY DEFINER function was called by.';

CREATE FUNCTION chat.import_large_object(oid oid, name text, mime_type text, owner_id bigint)
RETURNS chat.v_files LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	upload chat.v_uploads;
	length bigint;
	handle integer;
BEGIN
	PERFORM chat.check_large_objects();
	IF NOT EXISTS (SELECT FROM pg_largeobject_metadata o WHERE o.oid = import_large_object.oid
		AND (pg_has_role(chat.caller(), o.lomowner, 'USAGE') OR EXISTS (SELECT FROM aclexplode(o.lomacl) a
			WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(chat.caller(), a.grantee, 'USAGE'))))) THEN
		PERFORM chat.fail('no_such_file', 'no such large object, or not readable for you');
	ELSIF NOT EXISTS (SELECT FROM chat.users u WHERE u.id = import_large_object.owner_id AND NOT u.deleted) THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	handle := lo_open(import_large_object.oid, 262144); -- INV_READ
	length := lo_lseek64(handle, 0, 2);
	PERFORM lo_close(handle);
	upload := chat.begin_upload(import_large_object.owner_id, import_large_object.name, import_large_object.mime_type, length);
	PERFORM chat.append_upload(import_large_object.owner_id, upload.id, at, lo_get(import_large_object.oid, at, 1048576))
	   FROM generate_series(0, length - 1, 1048576) at;
	RETURN chat.finish_upload(import_large_object.owner_id, upload.id);
END
$$;
COMMENT ON FUNCTION chat.import_large_object IS 'Makes a file of a large object that the caller may read; the large object stays. Limits and errors are begin_upload''s and finish_upload''s; MC400 no_large_objects where the database has none; MC404 no_such_file for the large object, no_such_user.';
GRANT EXECUTE ON FUNCTION chat.import_large_object TO chat_app; -- since 0.2.0

CREATE FUNCTION chat.export_large_object(file_id bigint)
RETURNS oid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	file chat.files;
	made oid;
BEGIN
	PERFORM chat.check_large_objects();
	SELECT f.* INTO file FROM chat.files f WHERE f.id = export_large_object.file_id AND NOT f.deleted FOR SHARE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_file');
	ELSIF file.url IS NOT NULL THEN
		PERFORM chat.fail('file_is_link');
	END IF;
	made := lo_create(0);
	PERFORM lo_put(made, k.number * 262144::bigint, k.bytes) FROM chat.chunks k WHERE k.content_id = file.content_id ORDER BY k.number;
	EXECUTE format('ALTER LARGE OBJECT %s OWNER TO %I', made, chat.caller());
	RETURN made;
END
$$;
COMMENT ON FUNCTION chat.export_large_object IS 'Copies a file into a new large object, which is the caller''s to read and to remove. MC400 no_large_objects where the database has none; MC404 no_such_file; MC409 file_is_link.';
GRANT EXECUTE ON FUNCTION chat.export_large_object TO chat_app; -- since 0.2.0

-- For run_maintenance

CREATE FUNCTION chat.expire_uploads(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	expired integer;
BEGIN
	WITH old AS MATERIALIZED (
		SELECT u AS upload FROM chat.uploads u WHERE u.id < chat.id_at(now() - chat.setting_interval('upload_lifetime'))
		 ORDER BY u.owner_id, u.id LIMIT expire_uploads.batch FOR UPDATE SKIP LOCKED
	)
	SELECT count(chat.drop_upload(o.upload)) INTO expired FROM old o;
	RETURN expired;
END
$$;
COMMENT ON FUNCTION chat.expire_uploads IS 'For run_maintenance: drops at most batch uploads older than the setting upload_lifetime, and answers how many.';

CREATE FUNCTION chat.collect_contents(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	collected bigint[];
BEGIN
	-- A finish_upload with the same bytes has the row locked, or waits here and then makes it anew.
	WITH unused AS (
		SELECT c.id FROM chat.contents c WHERE c.use_count = 0 ORDER BY c.id LIMIT collect_contents.batch FOR UPDATE SKIP LOCKED
	), gone AS (
		DELETE FROM chat.contents c USING unused u WHERE c.id = u.id RETURNING c.id
	)
	SELECT coalesce(array_agg(g.id), '{}') INTO collected FROM gone g;
	DELETE FROM chat.chunks k WHERE k.content_id = ANY (collected);
	RETURN cardinality(collected);
END
$$;
COMMENT ON FUNCTION chat.collect_contents IS 'For run_maintenance: deletes at most batch contents that no file has any more, and answers how many.';

CREATE FUNCTION chat.forget_files(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	forgotten bigint[];
BEGIN
	WITH old AS (
		SELECT f.id FROM chat.files f
		 WHERE f.deleted AND f.version < chat.id_at(now() - chat.setting_interval('event_retention'))
		   AND NOT EXISTS (SELECT FROM chat.attachments a WHERE a.file_id = f.id)
		   AND NOT EXISTS (SELECT FROM chat.users u WHERE u.avatar_file_id = f.id)
		   AND NOT EXISTS (SELECT FROM chat.chats c WHERE c.avatar_file_id = f.id)
		 ORDER BY f.version LIMIT forget_files.batch FOR UPDATE SKIP LOCKED
	), gone AS (
		DELETE FROM chat.files f USING old o WHERE f.id = o.id RETURNING f.id
	)
	SELECT coalesce(array_agg(g.id), '{}') INTO forgotten FROM gone g;
	DELETE FROM chat.file_shares s WHERE s.file_id = ANY (forgotten);
	RETURN cardinality(forgotten);
END
$$;
COMMENT ON FUNCTION chat.forget_files IS 'For run_maintenance: removes at most batch rows of files that were deleted before the setting event_retention and that nothing names, and answers how many.';
-- Push: a message to somebody who is not there is one row of push_queue. Workers make rows for each device of it, take them
-- under a lease, hand them to the platforms' services and finish or retry them. Locks: push_users before pushes.

CREATE FUNCTION chat.register_push(actor_id bigint, platform text, token text, actor_session_id bigint DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(register_push.actor_id);
	IF register_push.platform IS NULL OR register_push.platform !~ '^[a-z0-9_-]{1,32}$' THEN
		PERFORM chat.fail('invalid_argument', 'platform is not acceptable', 'Use 1 to 32 of a-z, 0-9, underscore and hyphen.');
	ELSIF register_push.token IS NULL OR octet_length(register_push.token) NOT BETWEEN 1 AND 2048 THEN
		PERFORM chat.fail('invalid_argument', 'token is not acceptable', 'Use 1 to 2048 bytes.');
	END IF;
	PERFORM FROM chat.users u WHERE u.id = register_push.actor_id FOR NO KEY UPDATE; -- two at once must not pass the limit
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	ELSIF (SELECT count(*) FROM chat.push_tokens t WHERE t.user_id = register_push.actor_id AND t.token <> register_push.token)
		>= chat.setting_integer('push_tokens_max') THEN
		PERFORM chat.fail('too_many_push_tokens');
	END IF;
	DELETE FROM chat.pushes p USING chat.push_tokens t
	 WHERE t.token = register_push.token AND t.user_id <> register_push.actor_id AND p.user_id = t.user_id AND p.token = t.token;
	INSERT INTO chat.push_tokens (token, user_id, platform, session_id)
	VALUES (register_push.token, register_push.actor_id, register_push.platform,
		(SELECT s.id FROM chat.sessions s WHERE s.id = register_push.actor_session_id AND s.user_id = register_push.actor_id))
	ON CONFLICT ON CONSTRAINT push_tokens_pkey DO UPDATE
	   SET user_id = excluded.user_id, platform = excluded.platform, session_id = excluded.session_id;
END
$$;
COMMENT ON FUNCTION chat.register_push IS 'This device gets pushes for the actor while he has no live session. platform: a word that the operator''s push workers know (1 to 32 of a-z 0-9 _ -); token: by which the platform''s service knows the device, 1 to 2048 bytes. A token that was another user''s becomes the actor''s. It ends with the session that registered it. Again is no error. MC400 invalid_argument; MC404 no_such_user; MC429 too_many_push_tokens by the setting push_tokens_max.';
GRANT EXECUTE ON FUNCTION chat.register_push TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.unregister_push(actor_id bigint, token text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(unregister_push.actor_id);
	DELETE FROM chat.push_tokens t WHERE t.token = unregister_push.token AND t.user_id = unregister_push.actor_id;
	DELETE FROM chat.pushes p WHERE p.user_id = unregister_push.actor_id AND p.token = unregister_push.token;
END
$$;
COMMENT ON FUNCTION chat.unregister_push IS 'This device gets no more pushes. Again is no error. Push workers call it for tokens that the platform does not know any more.';
GRANT EXECUTE ON FUNCTION chat.unregister_push TO chat_user, chat_app, chat_push; -- since 0.2.0

-- On the path of each message (send.c): its audience in one look, and a row of push_queue when somebody is away. OFFSET 0 keeps the
-- lookups by user, however small the tables are when the plan is made.
CREATE VIEW chat.v_audience AS
SELECT m.chat_id, m.user_id, (m.muted_until IS NULL OR m.muted_until <= now())
	AND EXISTS (SELECT FROM chat.push_tokens t WHERE t.user_id = m.user_id OFFSET 0)
	AND NOT EXISTS (SELECT FROM chat.v_live_users v WHERE v.user_id = m.user_id OFFSET 0) AS away
  FROM chat.members m WHERE m.left_id IS NULL;
COMMENT ON VIEW chat.v_audience IS 'Who hears what happens in a chat, its members, and to whom a new message is pushed: away is who has a device, no live session, and has not muted the chat.';

CREATE FUNCTION chat.wants_push(user_id bigint, chat_id bigint, message_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.members m JOIN chat.messages g ON g.chat_id = m.chat_id AND g.id = wants_push.message_id
		  JOIN chat.chats c ON c.id = m.chat_id
		 WHERE m.chat_id = wants_push.chat_id AND m.user_id = wants_push.user_id AND m.left_id IS NULL AND c.deleted_id IS NULL
		   AND (m.muted_until IS NULL OR m.muted_until <= now()) AND m.read_id < g.id AND g.deleted_id IS NULL AND g.sender_id <> m.user_id
		   AND (g.expires_at IS NULL OR g.expires_at > now())
		   AND NOT EXISTS (SELECT FROM chat.hidden_messages h
			WHERE h.user_id = m.user_id AND h.chat_id = m.chat_id AND h.message_id = g.id)
		   AND NOT (c.kind = 'direct' AND chat.are_blocked(m.user_id, g.sender_id)))
		AND NOT EXISTS (SELECT FROM chat.users u WHERE u.id = wants_push.user_id AND u.suspended_until > now())
		AND NOT chat.is_live(wants_push.user_id);
END
$$;
COMMENT ON FUNCTION chat.wants_push IS 'Whether the message is still to be pushed to him: he is in the chat, which is not deleted, has neither muted it nor read or hidden the message, which is neither deleted nor expired, in a direct chat nobody of the two has blocked the other, he is not suspended, and has no live session.';

-- One worker at a time: rows of a user come in the order of messages.
CREATE FUNCTION chat.expand_pushes(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	expanded integer;
BEGIN
	IF NOT EXISTS (SELECT FROM chat.push_queue) OR chat.claim_job('expand_pushes') IS NULL THEN
		RETURN 0;
	END IF;
	WITH queued AS (
		DELETE FROM chat.push_queue q
		 USING (SELECT o.message_id FROM chat.push_queue o ORDER BY o.message_id LIMIT expand_pushes.batch) o
		 WHERE q.message_id = o.message_id RETURNING q.message_id, q.chat_id
	), made AS (
		INSERT INTO chat.pushes (id, user_id, token, chat_id, message_id)
		SELECT chat.take_id(), w.user_id, w.token, w.chat_id, w.message_id FROM (
			SELECT t.user_id, t.token, q.chat_id, q.message_id
			  FROM queued q JOIN chat.members m ON m.chat_id = q.chat_id JOIN chat.push_tokens t ON t.user_id = m.user_id
			 WHERE chat.wants_push(m.user_id, q.chat_id, q.message_id)
			 ORDER BY q.message_id, t.user_id, t.token) w
		RETURNING user_id
	), known AS (
		INSERT INTO chat.push_users AS u (user_id, due_at)
		SELECT DISTINCT m.user_id, now() FROM made m ORDER BY m.user_id
		ON CONFLICT ON CONSTRAINT push_users_pkey DO UPDATE SET due_at = least(u.due_at, excluded.due_at) WHERE u.worker IS NULL
	)
	SELECT count(*) INTO expanded FROM queued;
	RETURN expanded;
END
$$;
COMMENT ON FUNCTION chat.expand_pushes IS 'Makes a push for each device of those who are away, from at most batch queued messages, and answers of how many; nothing while another worker does.';

-- What a user's row says after something about his pushes has changed. A push waits for earlier ones of its device.
CREATE FUNCTION chat.settle_push_user(user_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	next_at timestamptz;
BEGIN
	IF EXISTS (SELECT FROM chat.pushes p WHERE p.user_id = settle_push_user.user_id AND p.taken) THEN
		RETURN;
	END IF;
	SELECT min(f.due_at) INTO next_at FROM (
		SELECT DISTINCT ON (p.token) p.due_at FROM chat.pushes p WHERE p.user_id = settle_push_user.user_id ORDER BY p.token, p.id) f;
	IF next_at IS NULL THEN
		DELETE FROM chat.push_users u WHERE u.user_id = settle_push_user.user_id;
	ELSE
		UPDATE chat.push_users u SET due_at = next_at, worker = NULL WHERE u.user_id = settle_push_user.user_id;
	END IF;
END
$$;
COMMENT ON FUNCTION chat.settle_push_user IS 'Ends the lease of a user none of whose pushes is taken; the caller has locked his row.';

CREATE FUNCTION chat.lease_push_users(worker text, batch integer)
RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
	leased bigint[];
BEGIN
	WITH due AS (
		SELECT u.user_id FROM chat.push_users u WHERE u.due_at <= now() ORDER BY u.due_at LIMIT lease_push_users.batch FOR UPDATE SKIP LOCKED
	), taken AS (
		UPDATE chat.push_users u SET worker = lease_push_users.worker, due_at = now() + chat.setting_interval('push_lease')
		  FROM due d WHERE u.user_id = d.user_id RETURNING u.user_id
	)
	SELECT array_agg(t.user_id) INTO leased FROM taken t;
	-- What a worker took and let lapse, and what is not wanted any more
	UPDATE chat.pushes p SET taken = false WHERE p.user_id = ANY (leased) AND p.taken;
	DELETE FROM chat.pushes p
	 WHERE p.user_id = ANY (leased) AND NOT (chat.wants_push(p.user_id, p.chat_id, p.message_id)
		AND EXISTS (SELECT FROM chat.push_tokens t WHERE t.token = p.token AND t.user_id = p.user_id));
	RETURN leased;
END
$$;
COMMENT ON FUNCTION chat.lease_push_users IS 'Users with pushes whom no other worker has, now this worker''s for the setting push_lease, cleared of what is not to be pushed any more.';

CREATE FUNCTION chat.take_pushes(worker text, batch_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, user_id bigint, platform text, token text, chat_id bigint, message_id bigint, title text, preview text, badge integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(take_pushes.batch_size, 'batch_size');
	expanded integer;
	leased bigint[];
	ids bigint[];
BEGIN
	PERFORM chat.check_length(coalesce(take_pushes.worker, ''), 'worker', 1, 128);
	FOR round IN 1 .. 100 LOOP -- what is not wanted any more must not hide what is; within limits, as users are locked meanwhile
		expanded := chat.expand_pushes(size);
		leased := chat.lease_push_users(take_pushes.worker, size);
		WITH ready AS (
			SELECT p.id FROM chat.pushes p
			 WHERE p.user_id = ANY (leased) AND NOT EXISTS (SELECT FROM chat.pushes before
				WHERE before.user_id = p.user_id AND before.token = p.token AND before.id <= p.id AND before.due_at > now())
			 ORDER BY p.id LIMIT size
		), taken AS (
			UPDATE chat.pushes p SET taken = true FROM ready r WHERE p.id = r.id RETURNING p.id
		)
		SELECT array_agg(t.id) INTO ids FROM taken t;
		PERFORM chat.settle_push_user(u) FROM unnest(leased) u;
		EXIT WHEN ids IS NOT NULL OR expanded = 0 AND leased IS NULL;
	END LOOP;
	RETURN QUERY
	SELECT p.id, p.user_id, t.platform, p.token, p.chat_id, p.message_id, chat.push_title(p.chat_id, p.message_id),
		CASE WHEN chat.setting_boolean('push_preview') THEN chat.push_preview(p.chat_id, p.message_id) END, chat.push_badge(p.user_id)
	  FROM chat.pushes p JOIN chat.push_tokens t ON t.token = p.token AND t.user_id = p.user_id
	 WHERE p.id = ANY (ids) ORDER BY p.id;
END
$$;
COMMENT ON FUNCTION chat.take_pushes IS 'For push workers: at most batch_size pushes (settings page_size, page_size_max), this worker''s (1 to 128 characters) for the setting push_lease; then others may take what it has neither finished nor retried. A user''s pushes go to one worker at a time, in the order of id. What was read, muted, hidden, blocked or deleted meanwhile or has expired, or whose user has come back or is suspended, does not come up any more. title: the chat''s, or the sender''s name; preview: the beginning of the message, unless the setting push_preview says no; badge: all that the user has not read. Wait for NOTIFY chat_push, and look every few seconds for what is to be tried again. MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.take_pushes TO chat_push, chat_app; -- since 0.2.0

CREATE FUNCTION chat.push_title(chat_id bigint, message_id bigint)
RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT coalesce(c.title, u.display_name, '')
	  FROM chat.chats c JOIN chat.messages m ON m.chat_id = c.id LEFT JOIN chat.users u ON u.id = m.sender_id
	 WHERE c.id = push_title.chat_id AND m.id = push_title.message_id);
END
$$;
COMMENT ON FUNCTION chat.push_title IS 'The chat''s title; the sender''s name where it has none.';

CREATE FUNCTION chat.push_preview(chat_id bigint, message_id bigint)
RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT CASE WHEN c.kind <> 'direct' THEN coalesce(u.display_name || ': ', '') ELSE '' END
		|| CASE WHEN m.body <> '' THEN left(m.body, 100)
			ELSE coalesce((SELECT string_agg(f.name, ', ' ORDER BY f.id) FROM chat.files f WHERE f.id = ANY (m.file_ids)), '') END
	  FROM chat.chats c JOIN chat.messages m ON m.chat_id = c.id LEFT JOIN chat.users u ON u.id = m.sender_id
	 WHERE c.id = push_preview.chat_id AND m.id = push_preview.message_id);
END
$$;
COMMENT ON FUNCTION chat.push_preview IS 'The first 100 characters of a message, or the names of its files; outside direct chats with who has sent it.';

CREATE FUNCTION chat.push_badge(user_id bigint)
RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT coalesce(sum(c.message_count - m.read_count), 0)::integer
	  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
	 WHERE m.user_id = push_badge.user_id AND m.left_id IS NULL AND c.deleted_id IS NULL
	   AND (m.muted_until IS NULL OR m.muted_until <= now()));
END
$$;
COMMENT ON FUNCTION chat.push_badge IS 'Unread messages in all chats that he has not muted.';

CREATE FUNCTION chat.lock_push(id bigint)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN (SELECT u.user_id FROM chat.push_users u
	 WHERE u.user_id = (SELECT p.user_id FROM chat.pushes p WHERE p.id = lock_push.id) FOR UPDATE);
END
$$;
COMMENT ON FUNCTION chat.lock_push IS 'Whose push this is, with his row locked; NULL when it is there no more.';

CREATE FUNCTION chat.finish_push(id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	user_id bigint := chat.lock_push(finish_push.id);
BEGIN
	DELETE FROM chat.pushes p WHERE p.id = finish_push.id;
	PERFORM chat.settle_push_user(user_id);
END
$$;
COMMENT ON FUNCTION chat.finish_push IS 'The platform has accepted the push. Again is no error.';
GRANT EXECUTE ON FUNCTION chat.finish_push TO chat_push, chat_app; -- since 0.2.0

CREATE FUNCTION chat.retry_push(id bigint, error text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	user_id bigint := chat.lock_push(retry_push.id);
BEGIN
	UPDATE chat.pushes p SET attempts = p.attempts + 1, taken = false, error = left(retry_push.error, 1000),
		due_at = now() + least(chat.setting_interval('push_retry_delay') * 2 ^ p.attempts, interval '1 hour')
	 WHERE p.id = retry_push.id;
	DELETE FROM chat.pushes p WHERE p.id = retry_push.id AND p.attempts >= chat.setting_integer('push_attempts');
	PERFORM chat.settle_push_user(user_id);
END
$$;
COMMENT ON FUNCTION chat.retry_push IS 'The push failed: it comes up again after the setting push_retry_delay, twice that the next time, and so on up to an hour; after push_attempts failures it is given up. Later pushes to the same device wait for it. error: why, at most 1,000 characters, kept beside the push in chat.pushes for the operator.';
GRANT EXECUTE ON FUNCTION chat.retry_push TO chat_push, chat_app; -- since 0.2.0

-- For run_maintenance
CREATE FUNCTION chat.expire_pushes(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	before_id bigint := chat.id_at(now() - chat.setting_interval('push_lifetime'));
	users bigint[];
	expired integer;
	unqueued integer;
BEGIN
	DELETE FROM chat.push_queue q USING (
		SELECT o.message_id FROM chat.push_queue o WHERE o.message_id < before_id
		 ORDER BY o.message_id LIMIT expire_pushes.batch FOR UPDATE SKIP LOCKED) o WHERE q.message_id = o.message_id;
	GET DIAGNOSTICS unqueued = ROW_COUNT;
	-- Users in no worker's hands who have old pushes, or none
	users := ARRAY(SELECT u.user_id FROM chat.push_users u
		 WHERE u.due_at <= now() AND (EXISTS (SELECT FROM chat.pushes p WHERE p.user_id = u.user_id AND p.message_id < before_id)
			OR NOT EXISTS (SELECT FROM chat.pushes p WHERE p.user_id = u.user_id))
		 ORDER BY u.user_id LIMIT expire_pushes.batch FOR UPDATE SKIP LOCKED);
	DELETE FROM chat.pushes p WHERE p.user_id = ANY (users) AND p.message_id < before_id;
	GET DIAGNOSTICS expired = ROW_COUNT;
	PERFORM chat.settle_push_user(u) FROM unnest(users) u;
	RETURN unqueued + expired;
END
$$;
COMMENT ON FUNCTION chat.expire_pushes IS 'For run_maintenance: drops pushes of at most batch messages and users that are older than the setting push_lifetime, and answers how many.';
-- A user's whole account, over all nouns: taking it along (export), and ending it (erasure).
--
-- What belongs to a user is found by the names of columns, so that a new table is exported without anybody's doing. What erasure does
-- with a table is one of three: its rows go (erased_rows); the noun's own function empties them, with events for those who see them
-- (messages, members, files); or they say nothing but ids, and stay for the others' history.

CREATE FUNCTION chat.owned_rows(OUT table_name name, OUT condition text, OUT columns text)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
	SELECT c.relname,
		CASE c.relname WHEN 'message_edits' THEN -- its rows are the message's
			'EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = t.chat_id AND m.id = t.message_id AND m.sender_id = $1)'
			ELSE '(' || string_agg(format('t.%I = $1', a.attname), ' OR ') FILTER (WHERE a.is_owner) || ')' END
			-- These are found by chat: a user has been a member wherever he left anything.
			|| CASE WHEN c.relname IN ('messages', 'message_edits', 'events', 'reactions') THEN
				' AND t.chat_id IN (SELECT m.chat_id FROM chat.members m WHERE m.user_id = $1)' ELSE '' END,
		string_agg(format('%L, t.%I%s', a.attname, a.attname, a.cast), ', ' ORDER BY a.attnum) FILTER (WHERE a.is_told)
	  FROM pg_class c
	 CROSS JOIN LATERAL (
		SELECT a.attname, a.attnum,
			a.atttypid = 'bigint'::regtype AND (c.relname = 'users' AND a.attname = 'id'
				OR a.attname IN ('user_id', 'owner_id', 'sender_id', 'creator_id', 'starter_id', 'actor_id', 'blocker_id', 'low_user_id', 'high_user_id')) AS is_owner,
			a.attname <> 'password_hash' AND a.atttypid NOT IN ('bytea'::regtype, 'tsvector'::regtype) AS is_told,
			CASE a.atttypid WHEN 'bigint'::regtype THEN '::text' WHEN 'bigint[]'::regtype THEN '::text[]' ELSE '' END AS cast
		  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) a
	 WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind = 'r'
	 GROUP BY c.oid, c.relname HAVING bool_or(a.is_owner) OR c.relname = 'message_edits'
$$;
COMMENT ON FUNCTION chat.owned_rows IS 'Every table with rows that belong to a user: how to find them (t, $1 = his id), and their columns as arguments of jsonb_build_object, without secrets.';

CREATE FUNCTION chat.export_user(user_id bigint)
RETURNS jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
	result jsonb := '{}';
	owned record;
	found_rows jsonb;
BEGIN
	IF NOT EXISTS (SELECT FROM chat.users u WHERE u.id = export_user.user_id) THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	FOR owned IN SELECT o.* FROM chat.owned_rows() o ORDER BY o.table_name LOOP
		EXECUTE format('SELECT jsonb_agg(jsonb_build_object(%s)) FROM chat.%I t WHERE %s', owned.columns, owned.table_name, owned.condition)
		   INTO found_rows USING export_user.user_id;
		result := result || jsonb_build_object(owned.table_name, coalesce(found_rows, '[]'));
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION chat.export_user IS 'Everything that belongs to a user, by table: {"users": [row], "messages": [row, …], …}, ids as strings, times in UTC, without hashes of secrets. The content of files comes with read_file. MC404 no_such_user.';
GRANT EXECUTE ON FUNCTION chat.export_user TO chat_app; -- since 0.2.0

CREATE FUNCTION chat.erased_rows(OUT table_name name, OUT column_name name)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
	SELECT c.relname, a.attname
	  FROM (VALUES ('sessions', 'user_id'), ('live_sessions', 'user_id'), ('blocks', 'blocker_id'), ('blocks', 'blocked_id'),
			('client_keys', 'user_id'), ('drafts', 'user_id'), ('invite_links', 'creator_id'), ('scheduled_messages', 'sender_id'),
			('push_tokens', 'user_id'), ('pushes', 'user_id'), ('push_users', 'user_id')) AS e (table_name, column_name)
	  JOIN pg_class c ON c.relnamespace = 'chat'::regnamespace AND c.relname = e.table_name
	  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = e.column_name
$$;
COMMENT ON FUNCTION chat.erased_rows IS 'Tables whose rows nobody but the user himself has an interest in.';

CREATE FUNCTION chat.erase_user(user_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account chat.users;
	erased record;
BEGIN
	SELECT u.* INTO account FROM chat.users u WHERE u.id = erase_user.user_id FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	ELSIF account.deleted THEN
		RETURN;
	END IF;
	FOR erased IN SELECT e.* FROM chat.erased_rows() e LOOP
		EXECUTE format('DELETE FROM chat.%I t WHERE t.%I = $1', erased.table_name, erased.column_name) USING account.id;
	END LOOP;
	DELETE FROM chat.login_failures f WHERE f.subject = 'user:' || account.user_name;
	UPDATE chat.connections c SET state = 'none', target_user_id = NULL, version = chat.take_id(c.version)
	 WHERE account.id IN (c.low_user_id, c.high_user_id) AND c.state <> 'none';
	PERFORM chat.erase_messages(account.id);
	PERFORM chat.drop_files(account.id);
	UPDATE chat.users u
	   SET user_name = 'deleted.' || u.id, display_name = 'Deleted user', password_hash = NULL, email = NULL, phone = NULL,
		   external_issuer = NULL, external_subject = NULL, attributes = '{}', suspended_until = NULL, avatar_file_id = NULL,
		   status = 'online', status_text = NULL, status_until = NULL, last_seen_at = NULL, deleted = true,
		   version = chat.take_id(u.version), status_version = chat.take_id(u.status_version)
	 WHERE u.id = account.id;
END
$$;
COMMENT ON FUNCTION chat.erase_user IS 'Ends an account and leaves no personal data: sessions end; he leaves groups and rooms, and owners hand over; connections end; the content of his messages, his files, drafts and everything else of his is deleted. What stays is a user without name or properties (deleted), for the rows that name his id: others'' history stays complete, with deleted messages where his were. His user name and external identity are free again. Locks each chat that he was ever in until the transaction ends, and takes about a second for 1,000 messages, more where there are tens of thousands in one chat. Again is no error. MC404 no_such_user; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.erase_user TO chat_app; -- since 0.2.0

CREATE FUNCTION chat.erase_messages(user_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	part record;
BEGIN
	-- Deleted chats are emptied by maintenance.
	FOR part IN
		SELECT m.chat_id, m.left_id IS NULL AND c.kind <> 'direct' AS leaves
		  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
		 WHERE m.user_id = erase_messages.user_id AND c.deleted_id IS NULL ORDER BY m.chat_id
	LOOP
		PERFORM chat.lock_chat(part.chat_id);
		PERFORM chat.delete_messages_content(m.chat_id, m.id, erase_messages.user_id)
		   FROM (SELECT m.chat_id, m.id FROM chat.messages m
				  WHERE m.chat_id = part.chat_id AND m.sender_id = erase_messages.user_id AND m.kind = 'user' AND m.deleted_id IS NULL
				  ORDER BY m.id) m;
		UPDATE chat.messages m SET client_key = NULL
		 WHERE m.chat_id = part.chat_id AND m.sender_id = erase_messages.user_id AND m.client_key IS NOT NULL;
		UPDATE chat.calls c SET client_key = NULL
		 WHERE c.chat_id = part.chat_id AND c.starter_id = erase_messages.user_id AND c.client_key IS NOT NULL;
		IF part.leaves THEN
			PERFORM chat.drop_member(part.chat_id, erase_messages.user_id, erase_messages.user_id);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION chat.erase_messages IS 'Deletes the content of all messages of a user, and takes him out of groups and rooms.';

CREATE FUNCTION chat.delete_account(actor_id bigint, password text DEFAULT NULL, OUT user_id bigint, OUT error jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account chat.users;
BEGIN
	PERFORM chat.check_actor(delete_account.actor_id);
	SELECT u.* INTO account FROM chat.users u WHERE u.id = delete_account.actor_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	error := chat.try_password(account, delete_account.password);
	IF error IS NULL THEN
		PERFORM chat.erase_user(delete_account.actor_id);
		user_id := delete_account.actor_id;
	END IF;
END
$$;
COMMENT ON FUNCTION chat.delete_account IS 'Ends one''s own account for good, as erase_user tells. password: one''s own; not looked at for users who have none because the app or an identity provider logs them in. A wrong one is answered in error, as by log_in, and counts as a failed attempt there: MC401 bad_credentials, MC429 too_many_attempts. MC404 no_such_user; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.delete_account TO chat_user, chat_app; -- since 0.2.0
-- The feed of everything, for bots, indexers, webhooks, a data lake.

-- Events have no index over all chats: a write would pay for it. Instead each chat in question names its first event; only the
-- earliest of those chats, as many as events are wanted, can have one among these, and none beyond the last one's first event need be
-- read when there are as many.
CREATE FUNCTION chat.find_events(ranges chat.event_range[], high bigint, wanted integer)
RETURNS TABLE (id bigint, chat_id bigint, type text)
LANGUAGE sql STABLE AS $$
	WITH early AS (
		SELECT r.* FROM unnest(find_events.ranges) r WHERE r.first_id <= find_events.high ORDER BY r.first_id LIMIT find_events.wanted
	), bound AS (
		SELECT CASE WHEN count(*) >= find_events.wanted THEN max(e.first_id) ELSE find_events.high END AS id FROM early e
	)
	SELECT f.id, e.chat_id, f.type FROM early e CROSS JOIN bound b CROSS JOIN LATERAL (
		(SELECT m.id, 'message' AS type FROM chat.messages m
		  WHERE m.chat_id = e.chat_id AND m.id > e.low AND m.id <= least(b.id, e.high) AND m.kind = 'user'
		  ORDER BY m.id LIMIT find_events.wanted)
		UNION ALL
		(SELECT v.id, v.type FROM chat.events v
		  WHERE v.chat_id = e.chat_id AND v.id > e.low AND v.id <= least(b.id, e.high) ORDER BY v.id LIMIT find_events.wanted)) f
	 ORDER BY f.id LIMIT find_events.wanted
$$;
COMMENT ON FUNCTION chat.find_events IS 'The first wanted (NULL: all) durable events of these chats up to high, in one order.';

CREATE FUNCTION chat.describe_events(ranges chat.event_range[], high bigint, wanted integer)
RETURNS TABLE (id bigint, chat_id bigint, type text, event json)
LANGUAGE sql STABLE AS $$
	SELECT f.id, f.chat_id, f.type,
		CASE f.type
			WHEN 'message' THEN (SELECT chat.message_event(m) FROM chat.messages m WHERE m.chat_id = f.chat_id AND m.id = f.id)
			ELSE (SELECT chat.logged_event(e) FROM chat.events e WHERE e.chat_id = f.chat_id AND e.id = f.id)
		END
	  FROM chat.find_events(describe_events.ranges, describe_events.high, describe_events.wanted) f
$$;
COMMENT ON FUNCTION chat.describe_events IS 'find_events'' with the events themselves, as published; messages at their present state.';

CREATE FUNCTION chat.read_events(after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, chat_id bigint, type text, event json, has_more boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := least(coalesce(read_events.page_size, 100), 1000);
	-- In a statement of its own: what is read afterwards sees all that the horizon promises.
	high bigint := chat.horizon();
	ranges chat.event_range[];
BEGIN
	read_events.after_id := coalesce(read_events.after_id, 0);
	IF size < 1 THEN
		PERFORM chat.fail('invalid_argument', 'page_size is not acceptable', 'Use 1 or more.');
	ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
		PERFORM chat.fail('isolation_level');
	END IF;
	ranges := ARRAY(
		SELECT ROW(c.id, read_events.after_id, c.last_event_id, least(
				(SELECT m.id FROM chat.messages m WHERE m.chat_id = c.id AND m.id > read_events.after_id AND m.kind = 'user' ORDER BY m.id LIMIT 1),
				(SELECT e.id FROM chat.events e WHERE e.chat_id = c.id AND e.id > read_events.after_id ORDER BY e.id LIMIT 1)),
			NULL)::chat.event_range
		  FROM chat.chats c WHERE c.last_event_id > read_events.after_id AND c.id < high);
	RETURN QUERY
	WITH found AS MATERIALIZED (
		SELECT f.*, row_number() OVER (ORDER BY f.id) AS rank FROM chat.describe_events(ranges, high, size + 1) f
	)
	SELECT f.id, f.chat_id, f.type, f.event, (SELECT count(*) > size FROM found)
	  FROM found f WHERE f.rank <= size ORDER BY f.id;
END
$$;
COMMENT ON FUNCTION chat.read_events IS 'Durable events of all chats in one order, ascending by id, page_size (by default 100, at most 1000) after after_id: the id of the last row seen is the one cursor to keep; no row, keep the one you have. event: as it was published, a message at its present state. Only events up to chat.horizon() come, so none is missed. Events are kept for the setting event_retention, messages until they are removed. Cost grows with the number of chats that something has happened in since after_id: after a long absence, read large pages. MC400 invalid_argument; isolation_level in any but READ COMMITTED.';
GRANT EXECUTE ON FUNCTION chat.read_events TO chat_app; -- since 0.2.0
-- What somebody has missed, behind one scalar cursor: sync for all his chats and contacts, list_events for one chat.
--
-- Nothing is missed. chat.horizon() is such that every transaction with an id at or below it has ended, and is seen by whatever
-- statement begins later: hence sync is VOLATILE, asks for the horizon first, and reads in later statements, each with a snapshot of
-- its own. A cursor is never above the horizon of the call that gave it, so whatever a later call finds below it was told.
--	 Events: an id up to the cursor was committed when that page was read, and in the page or an earlier one. Ids above the horizon are
--	 told at the last page as far as they are visible, and again at the next call: a transaction that is still open may commit between
--	 them. Receivers drop what they have by id. As the last page takes all of them, a horizon that stands still can repeat events, but
--	 the pages end.
--	 State records are told when their version is above the cursor, each on the page into which its version falls. A version is an id,
--	 taken under the record's lock: one at or below the cursor belonged to a transaction that had ended, so this value or a later one was
--	 visible, and told. One that was taken by a transaction still open then is above the horizon, hence above every cursor given so far,
--	 and comes once it commits; the older value that was told meanwhile is replaced by it, as receivers keep the greatest version. A
--	 record that changes between two pages moves to a later one.
--	 What is read in one call is read in several snapshots; one of the first (find_missed) decides how far each chat goes, so that
--	 somebody who is being removed meanwhile gets nothing beyond his removal.
--
-- A chat with more than sync_chat_limit missed events is told as chat_reset. Pages know nothing of each other, so the place of chat_reset
-- must be such that each page before it comes to the same decision: it stands at the newest event that still has as many events
-- above it (reset_id). Any cursor below that has more than the limit before it, and the chat is passed over until its chat_reset comes; any
-- cursor at or above has at most the limit, and they are told one by one. The page that tells chat_reset leaves them out too: who
-- reloads after it has them. So a chat costs at most one reload and as many events as the limit, whatever happened in it. chat_reset does
-- not count for the page's size: there are at most as many as chats. (An operator who raises the limit, or message_retention that
-- reaches the newest events, between two pages can make a chat fall under it that was passed over before: prev_id shows the gap.)
--
-- Cost: one pass over one's own rows of members, with the chat of each; a probe of members_moved for each chat that is small enough for
-- receipts; the rest grows with what was missed, never with the history.

CREATE VIEW chat.v_heard_chats AS
SELECT m.user_id, m.chat_id,
	CASE WHEN c.deleted_id IS NULL THEN greatest(m.visible_from, m.joined_id - 1) ELSE coalesce(m.left_id, c.deleted_id) - 1 END AS low,
	coalesce(m.left_id, c.deleted_id, c.last_event_id) AS high,
	coalesce(m.left_count, c.message_count) AS message_count,
	m.left_id IS NOT NULL AS has_left, c.deleted_id IS NOT NULL AS deleted, c.member_count,
	greatest(m.read_version, m.delivered_version, m.prefs_version) AS version
	-- OFFSET 0: never by reading all chats there are
  FROM chat.members m CROSS JOIN LATERAL (SELECT c.* FROM chat.chats c WHERE c.id = m.chat_id OFFSET 0) c;
COMMENT ON VIEW chat.v_heard_chats IS 'Which events of which chat a user hears: above low, up to high. Those from his joining on, to his leaving; of a deleted chat only its end, or his own. message_count: how many messages there are up to high.';

-- A message's number counts the user messages up to it, a timeline entry's too: so it need not be counted how many came since.
CREATE FUNCTION chat.find_missed(actor_id bigint, since bigint, chat_ids bigint[], chat_limit integer)
RETURNS SETOF chat.event_range LANGUAGE sql STABLE AS $$
	SELECT h.chat_id,
		CASE WHEN n.missed <= find_missed.chat_limit THEN h.low ELSE h.high - 1 END,
		h.high,
		-- Whoever has left hears that in any case.
		CASE WHEN n.missed <= find_missed.chat_limit THEN least(fm.id, fe.id) WHEN h.has_left THEN h.high END,
		CASE WHEN n.missed > find_missed.chat_limit THEN (
			SELECT t.id FROM (
				(SELECT m.id FROM chat.messages m WHERE m.chat_id = h.chat_id AND m.id > h.low AND m.id <= h.high
				  ORDER BY m.id DESC LIMIT find_missed.chat_limit + 1)
				UNION
				(SELECT e.id FROM chat.events e WHERE e.chat_id = h.chat_id AND e.id > h.low AND e.id <= h.high
				  ORDER BY e.id DESC LIMIT find_missed.chat_limit + 1)) t
			 ORDER BY t.id DESC OFFSET find_missed.chat_limit LIMIT 1) END
	  FROM unnest(find_missed.chat_ids) wanted (id)
	 CROSS JOIN LATERAL (SELECT v.chat_id, greatest(v.low, find_missed.since) AS low, v.high, v.message_count, v.has_left
		  FROM chat.v_heard_chats v WHERE v.chat_id = wanted.id AND v.user_id = find_missed.actor_id OFFSET 0) h
	  LEFT JOIN LATERAL (SELECT m.id, m.number - (m.kind = 'user')::integer AS before FROM chat.messages m
		 WHERE m.chat_id = h.chat_id AND m.id > h.low AND m.id <= h.high ORDER BY m.id LIMIT 1) fm ON true
	 CROSS JOIN LATERAL (SELECT min(e.id) AS id, count(*) AS count FROM (SELECT e.id FROM chat.events e
		 WHERE e.chat_id = h.chat_id AND e.id > h.low AND e.id <= h.high ORDER BY e.id LIMIT find_missed.chat_limit + 1) e) fe
	 CROSS JOIN LATERAL (SELECT coalesce(h.message_count - fm.before, 0) + fe.count AS missed) n
$$;
COMMENT ON FUNCTION chat.find_missed IS 'What the actor is to be told of these chats of his since then.';

-- Everything that is published as a state event with a version, by the function that its trigger publishes it by; but not presence,
-- which watch_presence tells at once.
CREATE FUNCTION chat.find_state(actor_id bigint, since bigint, high bigint, own_ids bigint[], small_ids bigint[])
RETURNS TABLE (version bigint, event json) LANGUAGE sql STABLE AS $$
	SELECT v.version, chat.cursor_event(o.member, v.type, CASE v.type WHEN 'read' THEN o.message_count END)
	  FROM unnest(find_state.own_ids) own (id)
	 CROSS JOIN LATERAL (SELECT m AS member, m.read_version, m.delivered_version, coalesce(m.left_count, c.message_count) AS message_count
		  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
		 WHERE m.chat_id = own.id AND m.user_id = find_state.actor_id AND c.deleted_id IS NULL OFFSET 0) o
	 CROSS JOIN LATERAL (VALUES ('read', o.read_version), ('delivered', o.delivered_version)) v (type, version)
	 WHERE v.version > find_state.since AND v.version <= find_state.high
	UNION ALL
	SELECT m.prefs_version, chat.prefs_event(m)::json
	  FROM unnest(find_state.own_ids) own (id) JOIN chat.members m ON m.chat_id = own.id AND m.user_id = find_state.actor_id
	 WHERE m.prefs_version > find_state.since AND m.prefs_version <= find_state.high
	UNION ALL
	SELECT v.version, chat.cursor_event(o.member, v.type)
	  FROM unnest(find_state.small_ids) small (id)
	 CROSS JOIN LATERAL (SELECT m AS member, m.read_version, m.delivered_version FROM chat.members m
		 WHERE m.chat_id = small.id AND m.moved >= chat.moved(find_state.since) AND m.user_id <> find_state.actor_id
		   AND (m.read_version > find_state.since AND m.read_version <= find_state.high
			 OR m.delivered_version > find_state.since AND m.delivered_version <= find_state.high) OFFSET 0) o
	 CROSS JOIN LATERAL (VALUES ('read', o.read_version), ('delivered', o.delivered_version)) v (type, version)
	 WHERE v.version > find_state.since AND v.version <= find_state.high
	UNION ALL
	SELECT c.version, chat.connection_event(c)::json FROM chat.v_connections c
	 WHERE c.owner_id = find_state.actor_id AND c.version > find_state.since AND c.version <= find_state.high
	UNION ALL
	SELECT u.version, chat.profile_event(u.id, u.version)::json FROM chat.users u
	 WHERE u.id = find_state.actor_id AND u.version > find_state.since AND u.version <= find_state.high
	UNION ALL
	SELECT d.version, chat.draft_event(d)::json FROM chat.drafts d
	 WHERE d.user_id = find_state.actor_id AND d.version > find_state.since AND d.version <= find_state.high
	UNION ALL
	SELECT l.version, chat.file_event(l)::json FROM chat.v_listed_files l
	 WHERE l.user_id = find_state.actor_id AND l.version > find_state.since AND l.version <= find_state.high
	UNION ALL
	SELECT h.version, chat.hidden_message_event(h)::json FROM chat.hidden_messages h
	 WHERE h.user_id = find_state.actor_id AND h.version > find_state.since AND h.version <= find_state.high
$$;
COMMENT ON FUNCTION chat.find_state IS 'State records of which the actor hears, whose version is above since, up to high. own_ids: chats with news of his own row; small_ids: chats in which he hears of the others'' cursors.';

CREATE FUNCTION chat.message_event_then(chat_id bigint, message_id bigint, reader_id bigint)
RETURNS json LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT chat.message_event(chat.message_then(m, r.left_id)) FROM chat.messages m
		  JOIN chat.members r ON r.chat_id = m.chat_id AND r.user_id = message_event_then.reader_id
		 WHERE m.chat_id = message_event_then.chat_id AND m.id = message_event_then.message_id);
END
$$;
COMMENT ON FUNCTION chat.message_event_then IS 'message_event for who has left: with the body that the message had then.';

CREATE FUNCTION chat.read_missed(actor_id bigint, since bigint, horizon bigint, size integer,
	OUT events json, OUT state json, OUT bound bigint)
LANGUAGE plpgsql AS $$
DECLARE
	state_size integer := chat.setting_integer('sync_page_size_max');
	changed bigint[];	-- chats with events
	own bigint[];	-- chats with state of one's own
	small bigint[];	-- chats that may have state of others
	left_chats bigint[];
	missed chat.event_range[];
	page bigint[];
BEGIN
	SELECT array_agg(h.chat_id) FILTER (WHERE h.high > read_missed.since), array_agg(h.chat_id) FILTER (WHERE h.version > read_missed.since),
		array_agg(h.chat_id) FILTER (WHERE NOT h.has_left AND NOT h.deleted AND h.member_count <= m.receipts_max),
		array_agg(h.chat_id) FILTER (WHERE h.has_left AND h.high > read_missed.since)
	  INTO changed, own, small, left_chats
	  FROM (SELECT chat.setting_integer('receipts_max_members') AS receipts_max) m CROSS JOIN chat.v_heard_chats h
	 WHERE h.user_id = read_missed.actor_id;
	missed := ARRAY(SELECT f FROM chat.find_missed(read_missed.actor_id, read_missed.since, changed, chat.setting_integer('sync_chat_limit')::integer) f);
	page := ARRAY(SELECT f.id FROM chat.find_events(missed, read_missed.horizon, read_missed.size + 1) f ORDER BY f.id);
	IF cardinality(page) > read_missed.size THEN
		bound := page[read_missed.size];
	END IF;

	-- State has pages too, far larger ones.
	WITH found AS MATERIALIZED (
		SELECT s.version, s.event FROM chat.find_state(read_missed.actor_id, read_missed.since, coalesce(bound, 9223372036854775807), own, small) s
	), cut AS (
		SELECT min(c.version) AS version FROM (SELECT f.version FROM found f WHERE f.version <= read_missed.horizon
			 ORDER BY f.version OFFSET state_size - 1 LIMIT 2) c HAVING count(*) = 2
	)
	SELECT coalesce(json_agg(f.event ORDER BY f.version), '[]'), coalesce((SELECT c.version FROM cut c), bound) INTO state, bound
	  FROM found f WHERE f.version <= coalesce((SELECT c.version FROM cut c), 9223372036854775807);

	SELECT coalesce(json_agg(e.event ORDER BY e.id), '[]') INTO events FROM (
		SELECT d.id, CASE WHEN d.type = 'message' AND d.chat_id = ANY (left_chats)
				THEN chat.message_event_then(d.chat_id, d.id, read_missed.actor_id) ELSE d.event END AS event
		  FROM chat.describe_events(missed, coalesce(bound, 9223372036854775807), NULL) d
		UNION ALL
		SELECT r.reset_id, json_build_object('type', 'chat_reset', 'chat_id', r.chat_id::text) FROM unnest(missed) r
		 WHERE r.reset_id <= coalesce(bound, 9223372036854775807)) e;
END
$$;
COMMENT ON FUNCTION chat.read_missed IS 'One page of sync; the caller has taken the horizon in a statement before. bound: id with which a page ends that is not the last; NULL: all that is visible is in it.';

-- Or nothing has happened since: on a quiet server the horizon itself may be as old.
CREATE FUNCTION chat.is_logged(since bigint)
RETURNS boolean LANGUAGE sql VOLATILE AS $$
	SELECT is_logged.since > 0
		AND is_logged.since >= least(chat.id_at(clock_timestamp() - chat.setting_interval('event_retention')), chat.last_id())
$$;
COMMENT ON FUNCTION chat.is_logged IS 'Whether the event log has all events after this id (setting event_retention).';

CREATE FUNCTION chat.check_since(since bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	IF check_since.since < 0 THEN
		PERFORM chat.fail('invalid_id');
	-- The clock of ids may be ahead of the wall's, and a cursor with it.
	ELSIF check_since.since > greatest(chat.last_id(), chat.id_at(clock_timestamp() + interval '60 seconds')) THEN
		PERFORM chat.fail('id_in_future', 'since is more than 60 seconds ahead of the clock', 'Pass a cursor that sync has given.');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_since IS 'Raises MC400 invalid_id, id_in_future for what sync can never have given.';

CREATE FUNCTION chat.sync(actor_id bigint, since bigint DEFAULT NULL, page_size integer DEFAULT NULL,
	OUT events json, OUT state json, OUT cursor bigint, OUT has_more boolean, OUT reset boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
-- One plan for everybody, made once: the statements are large, and go by keys, also when a table was small when they were planned.
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
	size integer := least(coalesce(sync.page_size, chat.setting_integer('sync_page_size')), chat.setting_integer('sync_page_size_max'));
	horizon bigint;
	bound bigint;
BEGIN
	PERFORM chat.check_actor(sync.actor_id);
	IF size < 1 THEN
		PERFORM chat.fail('invalid_argument', 'page_size is not acceptable', 'Use 1 or more.');
	ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
		PERFORM chat.fail('isolation_level');
	END IF;
	horizon := chat.horizon();
	PERFORM chat.check_since(sync.since);
	IF chat.is_logged(sync.since) THEN
		SELECT m.events, m.state, m.bound INTO events, state, bound FROM chat.read_missed(sync.actor_id, sync.since, horizon, size) m;
	END IF;
	-- Asked again, for maintenance may have deleted something before it was read.
	reset := chat.is_logged(sync.since) IS NOT TRUE;
	IF reset THEN
		events := '[]'; state := '[]'; bound := NULL;
	END IF;
	has_more := bound IS NOT NULL;
	sync.cursor := coalesce(bound, greatest(sync.since, horizon));
END
$$;
COMMENT ON FUNCTION chat.sync IS 'What one has missed since a cursor that an earlier call gave. events: durable events of all one''s chats in one order, as published, messages at their present state; {"type":"chat_reset","chat_id"} stands for a chat with more than the setting sync_chat_limit of them: reload its last page and its get_chat. state: the events of records with a version, at their present value, that have changed since, in the order of their versions. cursor: the since of the next call; durable: keep it once the page is processed. has_more: call again at once. The last page goes on beyond the horizon, up to now: what it has there, and state, may come again; drop events by id, keep of each record the greatest version. page_size: events (setting sync_page_size, at most sync_page_size_max); the last page may have more. Who has left a chat gets its events up to member_left, who has joined one those from member_joined on, of a deleted one only chat_deleted comes. reset: since is NULL, 0, or older than the event log (setting event_retention): begin anew with list_chats, list_connections, list_files, then sync from this cursor. MC400 invalid_argument, invalid_id, id_in_future, isolation_level (in any but READ COMMITTED); 25006 on a standby.';
GRANT EXECUTE ON FUNCTION chat.sync TO chat_user, chat_app; -- since 0.2.0

CREATE FUNCTION chat.list_events(actor_id bigint, chat_id bigint, after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, type text, event json, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
	size integer := chat.page_size(list_events.page_size);
	heard chat.v_heard_chats;
BEGIN
	PERFORM chat.check_actor(list_events.actor_id);
	SELECT h.* INTO heard FROM chat.v_heard_chats h
	 WHERE h.user_id = list_events.actor_id AND h.chat_id = list_events.chat_id AND NOT h.deleted;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_chat');
	END IF;
	RETURN QUERY
	WITH found AS MATERIALIZED (
		SELECT d.*, row_number() OVER (ORDER BY d.id) AS rank FROM chat.describe_events(
			ARRAY[ROW(heard.chat_id, greatest(heard.low, list_events.after_id), heard.high, 0, NULL)::chat.event_range], heard.high, size + 1) d
	)
	SELECT f.id, f.type, CASE WHEN heard.has_left AND f.type = 'message'
			THEN chat.message_event_then(f.chat_id, f.id, list_events.actor_id) ELSE f.event END, (SELECT count(*) > size FROM found)
	  FROM found f WHERE f.rank <= size ORDER BY f.id;
END
$$;
COMMENT ON FUNCTION chat.list_events IS 'The durable events of one chat after after_id (NULL: from the beginning), as sync would tell them, up to now; ascending by id. For a gap: when an event''s prev_id is not the id of the one before it, ask from that on, and take the last row, or the event itself, for the last one seen, whatever was deleted between (settings event_retention, message_retention). Who has left gets those up to member_left, who has joined those from member_joined on. MC400 invalid_argument (page_size); MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_events TO chat_user, chat_app; -- since 0.2.0
-- Maintenance: jobs that each do one small batch, whoever calls them and however often.

CREATE FUNCTION chat.claim_job(job text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	reached bigint;
BEGIN
	INSERT INTO chat.maintenance (job, position) VALUES (claim_job.job, 0) ON CONFLICT ON CONSTRAINT maintenance_pkey DO NOTHING;
	SELECT m.position INTO reached FROM chat.maintenance m WHERE m.job = claim_job.job FOR UPDATE SKIP LOCKED;
	RETURN reached;
END
$$;
COMMENT ON FUNCTION chat.claim_job IS 'For work that one session does at a time: how far it has come, and nobody else gets it before this transaction ends; NULL: somebody else has it.';

-- Events have no index on time: their chats are gone round, a batch of chats each time.
CREATE FUNCTION chat.expire_events(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	reached bigint := chat.claim_job('expire_events');
	last_chat bigint;
	expired integer;
BEGIN
	SELECT max(c.id) INTO last_chat FROM (SELECT o.id FROM chat.chats o WHERE o.id > reached ORDER BY o.id LIMIT expire_events.batch) c;
	DELETE FROM chat.events e USING (
		SELECT o.chat_id, o.id FROM chat.chats c JOIN chat.events o ON o.chat_id = c.id
		 WHERE c.id > reached AND c.id <= last_chat AND o.id < chat.id_at(now() - chat.setting_interval('event_retention'))
		 LIMIT expire_events.batch) old
	 WHERE e.chat_id = old.chat_id AND e.id = old.id;
	GET DIAGNOSTICS expired = ROW_COUNT;
	IF expired < expire_events.batch THEN -- else these chats have more of them
		UPDATE chat.maintenance m SET position = coalesce(last_chat, 0) WHERE m.job = 'expire_events' AND reached IS NOT NULL;
	END IF;
	RETURN expired;
END
$$;
COMMENT ON FUNCTION chat.expire_events IS 'For run_maintenance: deletes at most batch events older than the setting event_retention from the next batch of chats, and answers how many.';

-- Users are locked before chats, chats before files: the order of the jobs.
CREATE FUNCTION chat.maintenance_jobs()
RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
	SELECT ARRAY['expire_sessions', 'expire_presence', 'send_scheduled', 'expire_messages', 'drop_old_messages', 'index_messages', 'drop_deleted_chats', 'count_members',
		'expire_uploads', 'collect_contents', 'forget_files', 'expire_pushes', 'expire_events', 'expire_invite_links', 'expire_client_keys', 'expire_outbox']
$$;
COMMENT ON FUNCTION chat.maintenance_jobs IS 'The functions that run_maintenance calls, in this order: name(batch integer), which answers how much it has done.';

CREATE FUNCTION chat.run_maintenance(batch_size integer DEFAULT NULL)
RETURNS TABLE (job text, done integer, error text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	batch integer := coalesce(run_maintenance.batch_size, chat.setting_integer('maintenance_batch')::integer);
BEGIN
	IF batch < 1 THEN
		PERFORM chat.fail('invalid_argument', 'batch_size is not acceptable', 'Use 1 or more.');
	END IF;
	IF chat.claim_job('run_maintenance') IS NOT NULL THEN
		UPDATE chat.maintenance m SET position = chat.id_at(clock_timestamp()) WHERE m.job = 'run_maintenance';
	END IF;
	-- A NOTIFY queue that was full stays so until somebody asks, though it has been read: nobody can NOTIFY who would advance it.
	PERFORM pg_notification_queue_usage();
	FOREACH job IN ARRAY chat.maintenance_jobs() LOOP
		BEGIN -- one that fails must not keep the others from their work
			error := NULL;
			EXECUTE format('SELECT chat.%I($1)', job) USING batch INTO done;
		EXCEPTION WHEN OTHERS THEN
			done := 0;
			error := SQLERRM;
			RAISE WARNING 'maintenance job % failed: %', job, error;
		END;
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION chat.run_maintenance IS 'Does what is due: scheduled messages, expired messages, sessions, presence, uploads, pushes and events, deleted chats, unused contents; of each at most batch_size rows (setting maintenance_batch), in the caller''s transaction. Call it every minute, and at once again while something was done; chat-gateway does (maintenance_interval). Nothing is done twice, however many sessions call it and however long nobody did. done: rows handled; error: why a job has done nothing, the others go on. schedule_maintenance() has pg_cron do it. MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.run_maintenance TO chat_app; -- since 0.2.0
GRANT EXECUTE ON FUNCTION chat.run_maintenance TO chat_gateway; -- since 0.3.0

CREATE FUNCTION chat.schedule_maintenance()
RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'pg_cron') THEN
		RETURN false;
	END IF;
	-- Batch by batch, each committed before the next, until nothing is left.
	EXECUTE $cron$SELECT cron.schedule('chat_maintenance', '* * * * *', $job$
		DO $$
		BEGIN
			WHILE (SELECT pg_catalog.bool_or(m.done > 0) FROM chat.run_maintenance() m) LOOP
				COMMIT;
			END LOOP;
		END
		$$$job$)$cron$;
	EXECUTE $cron$SELECT cron.schedule('chat_maintenance_log', '17 3 * * *', $job$
		DELETE FROM cron.job_run_details d USING cron.job j
		 WHERE j.jobid = d.jobid AND j.jobname IN ('chat_maintenance', 'chat_maintenance_log') AND d.end_time < now() - interval '7 days'
		$job$)$cron$;
	RETURN true;
END
$body$;
COMMENT ON FUNCTION chat.schedule_maintenance IS 'Has pg_cron, where it is installed in this database, call run_maintenance() every minute as the present user, until nothing is left to do, and keep a week of its log: jobs chat_maintenance and chat_maintenance_log. Again replaces them; cron.unschedule(name) ends one. false: there is no pg_cron here, so something else has to call run_maintenance(). For the extension''s owner.';
-- Checks of the whole database: counters against counts, cursors, references, orphans. Each row of these functions is a check and the
-- first damage that it finds.

CREATE FUNCTION chat.verify_chats()
RETURNS TABLE ("check" text, damage text)
LANGUAGE sql STABLE AS $$
	VALUES
	('chat: member_count', (SELECT min(format('chat %s has %s, counted %s', c.id, c.member_count, n.count)) FROM chat.chats c
		LEFT JOIN (SELECT m.chat_id, count(*) FROM chat.members m WHERE m.left_id IS NULL GROUP BY 1) n ON n.chat_id = c.id
		WHERE c.deleted_id IS NULL AND c.member_count <> coalesce(n.count, 0))),
	('chat: message_count', (SELECT min(format('chat %s has %s, last number %s', c.id, c.message_count, n.last)) FROM chat.chats c
		JOIN (SELECT m.chat_id, max(m.number) AS last FROM chat.messages m GROUP BY 1) n ON n.chat_id = c.id
		WHERE c.message_count <> n.last)),
	('chat: last_event_id', (SELECT min(format('chat %s has %s, last event %s', c.id, c.last_event_id, n.last)) FROM chat.chats c
		CROSS JOIN LATERAL (SELECT greatest((SELECT max(m.id) FROM chat.messages m WHERE m.chat_id = c.id),
			(SELECT max(e.id) FROM chat.events e WHERE e.chat_id = c.id)) AS last) n
		WHERE c.last_event_id < n.last OR c.last_event_id < c.id)),
	('chat: direct', (SELECT min(format('chat %s: a direct chat has one pair of users, who are its members', coalesce(c.id, d.chat_id)))
		FROM (SELECT k.id FROM chat.chats k WHERE k.kind = 'direct') c FULL JOIN chat.direct_chats d ON d.chat_id = c.id
		WHERE c.id IS NULL OR d.chat_id IS NULL OR (SELECT count(*) FROM chat.members m
			WHERE m.chat_id = c.id AND m.user_id IN (d.low_user_id, d.high_user_id))
			<> CASE WHEN d.low_user_id = d.high_user_id THEN 1 ELSE 2 END)),
	('chat: owner', (SELECT min(format('chat %s has %s owners', c.id, n.owners)) FROM chat.chats c
		CROSS JOIN LATERAL (SELECT count(*) AS members, count(*) FILTER (WHERE m.role = 'owner') AS owners
			FROM chat.members m WHERE m.chat_id = c.id AND m.left_id IS NULL) n
		WHERE c.kind <> 'direct' AND c.deleted_id IS NULL AND n.members > 0 AND n.owners <> 1)),
	('member: user and chat', (SELECT min(format('member %s of chat %s', m.user_id, m.chat_id)) FROM chat.members m
		LEFT JOIN chat.chats c ON c.id = m.chat_id LEFT JOIN chat.users u ON u.id = m.user_id WHERE c.id IS NULL OR u.id IS NULL)),
	('member: read cursor', (SELECT min(format('member %s of chat %s', m.user_id, m.chat_id))
		FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id LEFT JOIN chat.messages g ON g.chat_id = m.chat_id AND g.id = m.read_id
		WHERE m.read_count > c.message_count OR m.read_id > c.last_event_id OR m.delivered_id > c.last_event_id OR m.read_count <> g.number)),
	('member: mentions', (SELECT min(format('member %s of chat %s has %s, counted %s', m.user_id, m.chat_id, m.mentions, n.count))
		FROM chat.members m CROSS JOIN LATERAL (SELECT count(*) FROM chat.mentions a
			WHERE a.user_id = m.user_id AND a.chat_id = m.chat_id AND a.message_id > m.read_id) n
		WHERE m.left_id IS NULL AND m.mentions <> n.count))
$$;
COMMENT ON FUNCTION chat.verify_chats IS 'Checks of chats and members; damage NULL = none.';

-- What came before event_retention or message_retention (0: messages are kept) may have lost its predecessor.
CREATE FUNCTION chat.verify_messages()
RETURNS TABLE ("check" text, damage text)
LANGUAGE sql STABLE AS $$
	VALUES
	('message: chat and sender', (SELECT min(format('message %s of chat %s', m.id, m.chat_id)) FROM chat.messages m
		LEFT JOIN chat.chats c ON c.id = m.chat_id LEFT JOIN chat.users u ON u.id = m.sender_id
		WHERE c.id IS NULL OR u.id IS NULL)),
	('message: kind', (SELECT min(format('message %s of chat %s is of kind %s', m.id, m.chat_id, m.kind)) FROM chat.messages m
		WHERE m.kind NOT IN ('user', 'system'))),
	('message: number', (SELECT min(format('message %s of chat %s', m.id, m.chat_id)) FROM (
		SELECT g.id, g.chat_id, g.kind, g.number, lag(g.number) OVER (PARTITION BY g.chat_id ORDER BY g.id) AS before FROM chat.messages g) m
		WHERE m.number <> m.before + CASE WHEN m.kind = 'user' THEN 1 ELSE 0 END)),
	('message: mentions', (SELECT min(format('mention of %s in message %s of chat %s', a.user_id, a.message_id, a.chat_id)) FROM chat.mentions a
		LEFT JOIN chat.messages m ON m.chat_id = a.chat_id AND m.id = a.message_id
		WHERE m.id IS NULL OR NOT a.user_id = ANY (coalesce(m.mention_ids, '{}')))),
	('message: reactions', (SELECT min(format('message %s of chat %s: %s %s, counted %s', coalesce(s.id, r.message_id), coalesce(s.chat_id, r.chat_id),
			coalesce(s.emoji, r.emoji), coalesce(s.count, 0), coalesce(r.count, 0)))
		FROM (SELECT m.chat_id, m.id, j.emoji, j.count FROM chat.messages m
			CROSS JOIN jsonb_to_recordset(m.reactions) AS j (emoji text, count integer)) s
		FULL JOIN (SELECT o.chat_id, o.message_id, o.emoji, count(*) FROM chat.reactions o GROUP BY 1, 2, 3) r
			ON r.chat_id = s.chat_id AND r.message_id = s.id AND r.emoji = s.emoji
		WHERE s.count IS DISTINCT FROM r.count)),
	('message: files', (SELECT min(format('message %s of chat %s: file %s', coalesce(s.id, a.message_id), coalesce(s.chat_id, a.chat_id), coalesce(s.file_id, a.file_id)))
		FROM (SELECT m.chat_id, m.id, i AS file_id FROM chat.messages m CROSS JOIN unnest(m.file_ids) i) s
		FULL JOIN chat.attachments a ON a.chat_id = s.chat_id AND a.message_id = s.id AND a.file_id = s.file_id
		LEFT JOIN chat.files f ON f.id = a.file_id
		WHERE s.id IS NULL OR f.id IS NULL)),
	('event: chat', (SELECT min(format('event %s of chat %s', e.id, e.chat_id)) FROM chat.events e
		LEFT JOIN chat.chats c ON c.id = e.chat_id WHERE c.id IS NULL)),
	('event: prev_id', (SELECT min(format('event %s of chat %s', e.id, e.chat_id)) FROM (
		SELECT o.chat_id, o.id, o.prev_id, lag(o.id, 1, o.chat_id) OVER (PARTITION BY o.chat_id ORDER BY o.id) AS before
		  FROM (SELECT m.chat_id, m.id, m.prev_id FROM chat.messages m UNION SELECT v.chat_id, v.id, v.prev_id FROM chat.events v) o
		  JOIN chat.chats c ON c.id = o.chat_id AND c.deleted_id IS NULL) e -- a deleted one's messages go before its events
		WHERE e.prev_id <> e.before AND e.prev_id > (
			SELECT max(CASE WHEN l.value::interval > interval '0' THEN chat.id_at(now() - l.value::interval) END)
			  FROM chat.list_settings() l WHERE l.name IN ('event_retention', 'message_retention')))),
	('id: ceiling', (SELECT min(format('event %s of chat %s', c.last_event_id, c.id)) FROM chat.chats c, chat.id_ceiling s
		WHERE (c.last_event_id >> 22) * 4096 + (c.last_event_id & 4095) >= s.last_value))
$$;
COMMENT ON FUNCTION chat.verify_messages IS 'Checks of messages, events and ids; damage NULL = none.';

CREATE FUNCTION chat.verify_files(deep boolean)
RETURNS TABLE ("check" text, damage text)
LANGUAGE sql STABLE AS $$
	VALUES
	('file: owner and content', (SELECT min(format('file %s', f.id)) FROM chat.files f LEFT JOIN chat.users u ON u.id = f.owner_id
		LEFT JOIN chat.contents c ON c.id = f.content_id
		WHERE u.id IS NULL OR f.content_id IS NOT NULL AND (c.id IS NULL OR c.size <> f.size))),
	('file: shares', (SELECT min(format('share of file %s with %s', s.file_id, s.user_id)) FROM chat.file_shares s
		LEFT JOIN chat.files f ON f.id = s.file_id LEFT JOIN chat.users u ON u.id = s.user_id
		WHERE f.id IS NULL OR u.id IS NULL OR s.shared AND f.deleted)),
	('file: avatars', (SELECT min(format('avatar %s', a.file_id)) FROM (
		SELECT u.avatar_file_id AS file_id FROM chat.users u UNION SELECT c.avatar_file_id FROM chat.chats c) a
		LEFT JOIN chat.files f ON f.id = a.file_id WHERE a.file_id IS NOT NULL AND f.id IS NULL)),
	('file: usage', (SELECT min(format('user %s has %s bytes, counted %s', coalesce(g.user_id, n.user_id), coalesce(g.bytes, 0), coalesce(n.bytes, 0)))
		FROM chat.file_usage g FULL JOIN (SELECT o.owner_id AS user_id, sum(o.size) AS bytes FROM (
			SELECT f.owner_id, f.size FROM chat.files f WHERE f.content_id IS NOT NULL
			UNION ALL SELECT u.owner_id, u.size FROM chat.uploads u) o GROUP BY 1) n ON n.user_id = g.user_id
		WHERE coalesce(g.bytes, 0) <> coalesce(n.bytes, 0))),
	('content: use_count', (SELECT min(format('content %s has %s, counted %s', c.id, c.use_count, n.count)) FROM chat.contents c
		CROSS JOIN LATERAL (SELECT (SELECT count(*) FROM chat.files f WHERE f.content_id = c.id)
			+ (SELECT count(*) FROM chat.uploads u WHERE u.content_id = c.id) AS count) n
		WHERE c.use_count <> n.count)),
	('content: chunks', (SELECT min(format('content %s has %s bytes in %s chunks', o.id, n.bytes, n.chunks)) FROM (
		SELECT c.id, c.size FROM chat.contents c UNION ALL SELECT u.id, u.received FROM chat.uploads u WHERE u.content_id IS NULL) o
		CROSS JOIN LATERAL (SELECT count(*) AS chunks, coalesce(sum(octet_length(k.bytes)), 0) AS bytes,
			coalesce(bool_and(octet_length(k.bytes) = least(262144, o.size - k.number * 262144::bigint)), true) AS whole
			FROM chat.chunks k WHERE k.content_id = o.id) n
		WHERE n.bytes <> o.size OR NOT n.whole OR n.chunks <> (o.size + 262143) / 262144)),
	('content: orphans', (SELECT min(format('chunk %s of %s', k.number, k.content_id)) FROM chat.chunks k
		WHERE NOT EXISTS (SELECT FROM chat.contents c WHERE c.id = k.content_id)
		  AND NOT EXISTS (SELECT FROM chat.uploads u WHERE u.id = k.content_id AND u.content_id IS NULL))),
	('content: sha256', CASE WHEN verify_files.deep THEN (SELECT min(format('content %s', c.id)) FROM chat.contents c
		WHERE (chat.check_content(c.id)).sha256 <> c.sha256) END)
$$;
COMMENT ON FUNCTION chat.verify_files IS 'Checks of files and contents; damage NULL = none. deep: all content is read and hashed.';

CREATE FUNCTION chat.verify_push()
RETURNS TABLE ("check" text, damage text)
LANGUAGE sql STABLE AS $$
	VALUES
	('push: tokens', (SELECT min(format('user %s', t.user_id)) FROM chat.push_tokens t
		LEFT JOIN chat.users u ON u.id = t.user_id WHERE u.id IS NULL)),
	('push: users', (SELECT min(format('push %s of user %s', p.id, p.user_id)) FROM chat.pushes p
		LEFT JOIN chat.push_users u ON u.user_id = p.user_id WHERE u.user_id IS NULL OR p.taken AND u.worker IS NULL)),
	('session: user', (SELECT min(format('session %s', s.id)) FROM chat.sessions s LEFT JOIN chat.users u ON u.id = s.user_id WHERE u.id IS NULL))
$$;
COMMENT ON FUNCTION chat.verify_push IS 'Checks of pushes and sessions; damage NULL = none.';

CREATE FUNCTION chat.verify(deep boolean DEFAULT NULL)
RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT c."check", c.damage IS NULL, coalesce(c.damage, '') FROM (
		SELECT * FROM chat.verify_chats() UNION ALL SELECT * FROM chat.verify_messages()
		UNION ALL SELECT * FROM chat.verify_files(coalesce(verify.deep, false)) UNION ALL SELECT * FROM chat.verify_push()) c
	 ORDER BY c."check"
$$;
COMMENT ON FUNCTION chat.verify IS 'Checks counters against counts, cursors, references and orphans in the whole database, in one snapshot; reads all tables, so run it at a quiet time. detail: the first damage found. deep: all files are read and hashed too.';
GRANT EXECUTE ON FUNCTION chat.verify TO chat_app, chat_monitor; -- since 0.2.0
CREATE VIEW chat.stats AS
SELECT 'horizon_lag_seconds' AS name, CASE WHEN NOT pg_is_in_recovery() THEN greatest(extract(epoch FROM chat.id_time(chat.last_id()) - chat.id_time(chat.horizon())), 0) END AS value,
	'how far read_events and the cursors of sync stay behind the last id: an open transaction holds them back' AS description
UNION ALL
SELECT 'ids_made', chat.delivery_stat('ids'), 'ids taken since the server''s start, in all its databases; this and the next eight are NULL where the library is not preloaded or has no ring yet'
UNION ALL
SELECT 'notifications_queued', chat.delivery_stat('queued'), 'put into the ring by committed transactions'
UNION ALL
SELECT 'notifications_published', chat.delivery_stat('published'), 'of these, sent by the notifier'
UNION ALL
SELECT 'ring_bytes', chat.delivery_stat('bytes'), 'waiting in the ring'
UNION ALL
SELECT 'ring_use', round(chat.delivery_stat('bytes') / (pg_size_bytes(current_setting('chat.ring_size', true))), 4), 'share of the ring that is full'
UNION ALL
SELECT 'ring_overflows', chat.delivery_stat('overflowed'), 'transactions whose notifications found no room or were too many'
UNION ALL
SELECT 'resyncs', chat.delivery_stat('resyncs'), 'times that listeners were told to look for themselves'
UNION ALL
SELECT 'notifier_batches', chat.delivery_stat('batches'), 'transactions of the notifier'
UNION ALL
SELECT 'notifier_starts', chat.delivery_stat('notifiers'), 'notifiers started'
UNION ALL
SELECT 'maintenance_age_seconds', (SELECT greatest(extract(epoch FROM now() - chat.id_time(m.position)), 0) FROM chat.maintenance m WHERE m.job = 'run_maintenance'),
	'since run_maintenance was last called; NULL: never. It is due once a minute'
UNION ALL
SELECT 'outbox_rows', (SELECT count(*) FROM chat.outbox), 'rows of the outbox'
UNION ALL
SELECT 'notify_queue_use', pg_notification_queue_usage()::numeric, 'share of PostgreSQL''s NOTIFY queue that is full; at 1 nobody can commit'
UNION ALL
SELECT 'pushes_queued', (SELECT count(*) FROM chat.push_queue), 'messages to be pushed, not yet given to devices'
UNION ALL
SELECT 'pushes_pending', (SELECT count(*) FROM chat.pushes), 'pushes waiting, taken, or to be tried again'
UNION ALL
SELECT 'pushes_failing', (SELECT count(*) FROM chat.pushes p WHERE p.attempts > 0), 'of these, those that have failed before'
UNION ALL
SELECT 'uploads', (SELECT count(*) FROM chat.uploads), 'uploads that are not finished'
UNION ALL
SELECT 'content_bytes', (SELECT coalesce(sum(c.size), 0) FROM chat.contents c), 'bytes of all contents, once each'
UNION ALL
SELECT 'contents_unused', (SELECT count(*) FROM chat.contents c WHERE c.use_count = 0), 'contents that maintenance will collect'
UNION ALL
SELECT 'sessions', (SELECT count(*) FROM chat.sessions s WHERE s.expires_at > now()), 'logins that have not expired';
COMMENT ON VIEW chat.stats IS 'What an operator watches: name, value, description. Releases add rows.';
GRANT SELECT ON chat.stats TO chat_monitor, chat_app; -- since 0.2.0
GRANT EXECUTE ON FUNCTION chat.id_time TO chat_monitor; -- since 0.2.0
GRANT EXECUTE ON FUNCTION chat.last_id TO chat_monitor, chat_app; -- since 0.2.0
GRANT EXECUTE ON FUNCTION chat.delivery_stat TO chat_monitor, chat_app; -- since 0.2.0
-- The wire surface, from the catalog: a function is a method when chat_user or chat_anonymous is itself named in its
-- ACL. There is no other list.

CREATE FUNCTION chat.list_methods(schemas text[] DEFAULT ARRAY['chat'])
RETURNS TABLE (method text, call text, anonymous boolean, groupable boolean, parameters jsonb, result text, columns jsonb,
	description text, problem text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	WITH granted AS (
		SELECT p.oid, p.proname, n.nspname, p.prokind, p.provariadic, p.proretset, p.prorettype, p.pronargs, p.pronargdefaults,
			CASE WHEN n.nspname = 'chat' THEN '' ELSE n.nspname || '.' END || p.proname AS method,
			coalesce(p.proallargtypes, string_to_array(p.proargtypes::text, ' ')::oid[]) AS types,
			coalesce(p.proargnames, '{}') AS names,
			coalesce(p.proargmodes::text[], array_fill('i'::text, ARRAY[p.pronargs])) AS modes,
			bool_or(r.rolname = 'chat_anonymous') AS anonymous, bool_or(r.rolname = 'chat_user') AS for_users
		  FROM pg_proc p
		  JOIN pg_namespace n ON n.oid = p.pronamespace
		 CROSS JOIN aclexplode(p.proacl) a
		  JOIN pg_roles r ON r.oid = a.grantee
		 WHERE n.nspname = ANY (list_methods.schemas) AND a.privilege_type = 'EXECUTE' AND r.rolname IN ('chat_user', 'chat_anonymous')
		 GROUP BY p.oid, n.nspname
	), arguments AS (
		SELECT g.oid, a.position, a.mode, g.names[a.position] AS name, g.types[a.position] AS type,
			row_number() OVER (PARTITION BY g.oid, a.mode IN ('i', 'b', 'v') ORDER BY a.position) AS number
		  FROM granted g CROSS JOIN LATERAL unnest(g.modes) WITH ORDINALITY AS a (mode, position)
	), outputs AS (
		SELECT a.oid, a.position, a.name, a.type FROM arguments a WHERE a.mode IN ('o', 't')
		UNION ALL
		SELECT g.oid, c.attnum, c.attname, c.atttypid
		  FROM granted g JOIN pg_type t ON t.oid = g.prorettype JOIN pg_attribute c ON c.attrelid = t.typrelid
		 WHERE c.attnum > 0 AND NOT c.attisdropped
	), described AS (
		SELECT g.*,
			(SELECT coalesce(jsonb_agg(jsonb_build_object('name', a.name, 'type', format_type(a.type, NULL),
					'optional', a.number > g.pronargs - g.pronargdefaults) ORDER BY a.position), '[]')
			   FROM arguments a WHERE a.oid = g.oid AND a.mode IN ('i', 'b', 'v')) AS parameters,
			(SELECT jsonb_agg(jsonb_build_object('name', o.name, 'type', format_type(o.type, NULL)) ORDER BY o.position)
			   FROM outputs o WHERE o.oid = g.oid) AS columns,
			(SELECT a.name = 'actor_id' AND a.type = 'bigint'::regtype FROM arguments a WHERE a.oid = g.oid AND a.mode = 'i' AND a.number = 1) AS has_actor,
			(SELECT bool_and(coalesce(a.name, '') <> '') FROM arguments a WHERE a.oid = g.oid) AS all_named,
			(SELECT bool_or(t.typtype = 'p' AND t.typname <> 'void') FROM pg_type t
			  WHERE t.oid = ANY (g.types) OR t.oid = g.prorettype AND t.typname <> 'record') AS polymorphic
		  FROM granted g
	)
	SELECT d.method, format('%I.%I', d.nspname, d.proname), d.anonymous,
		EXISTS (SELECT FROM chat.groupable b WHERE b.method = d.method),
		d.parameters,
		CASE
			WHEN d.prorettype = 'void'::regtype THEN 'void'
			WHEN d.proretset AND d.columns -> -1 = '{"name": "has_more", "type": "boolean"}' THEN 'page'
			WHEN d.proretset THEN 'rows'
			WHEN d.columns IS NOT NULL AND (d.prorettype = 'record'::regtype OR t.typtype = 'c') THEN 'row'
			ELSE 'scalar'
		END,
		CASE
			WHEN d.prorettype = 'void'::regtype THEN '[]'
			ELSE coalesce(d.columns, jsonb_build_array(jsonb_build_object('name', NULL, 'type', format_type(d.prorettype, NULL))))
		END,
		obj_description(d.oid, 'pg_proc'),
		CASE
			WHEN count(*) OVER (PARTITION BY d.proname) > 1 THEN 'its name is not unique among the exposed schemas'
			WHEN d.prokind <> 'f' THEN 'it is no plain function'
			WHEN d.provariadic <> 0 OR 'b' = ANY (d.modes) OR d.polymorphic THEN 'it has VARIADIC, INOUT or polymorphic parameters'
			WHEN d.all_named IS FALSE THEN 'not all its parameters are named'
			WHEN d.anonymous AND d.for_users THEN 'it is granted to both chat_anonymous and chat_user'
			WHEN d.anonymous AND d.parameters @? '$[*].name ? (@ == "actor_id" || @ == "actor_session_id")' THEN 'it is granted to chat_anonymous and has actor_id'
			WHEN d.for_users AND d.has_actor IS NOT TRUE THEN 'its first parameter is not actor_id bigint'
		END
	  FROM described d JOIN pg_type t ON t.oid = d.prorettype
	 ORDER BY d.method COLLATE "C", d.oid
$$;
COMMENT ON FUNCTION chat.list_methods IS 'The functions of these schemas that chat_user or chat_anonymous is itself granted EXECUTE on (PUBLIC does not count), as a gateway needs them: method is the wire name, call the qualified name; anonymous: callable before login; groupable: chat.groupable lists it; parameters [{name, type, optional}] with those that the gateway fills (actor_id, actor_session_id, actor_address); result void, scalar, row, rows or page (a set whose last column is has_more boolean); columns [{name, type}], for scalar one without name; description its COMMENT; problem not NULL: it cannot be a method, and why.';
GRANT EXECUTE ON FUNCTION chat.list_methods TO chat_gateway, chat_app; -- since 0.1.0

CREATE FUNCTION chat.read_event(chat_id bigint, id bigint)
RETURNS json LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'chat_read_event';
COMMENT ON FUNCTION chat.read_event IS 'A durable event of a chat, whole: what a notification marked "partial" left out. NULL when there is none. For gateways: whoever calls it may read everything.';
GRANT EXECUTE ON FUNCTION chat.read_event TO chat_gateway; -- since 0.1.0

-- Where the installer may: gateways read the wire surface again after any change of functions, of grants, or of the
-- types and relations whose columns functions return. A new table or type is not one: no function returns it yet.
CREATE FUNCTION chat.announce_schema()
RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NOTIFY chat_schema;
END
$$;
COMMENT ON FUNCTION chat.announce_schema IS 'Event trigger: tells gateways to read list_methods() again.';
DO $trigger$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger t WHERE t.evtname = 'chat_schema')
		AND (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN
		CREATE EVENT TRIGGER chat_schema ON ddl_command_end
			WHEN TAG IN ('CREATE FUNCTION', 'ALTER FUNCTION', 'DROP FUNCTION', 'CREATE PROCEDURE', 'ALTER PROCEDURE', 'DROP PROCEDURE',
				'ALTER ROUTINE', 'DROP ROUTINE', 'CREATE VIEW', 'ALTER VIEW', 'DROP VIEW', 'ALTER MATERIALIZED VIEW', 'ALTER TABLE', 'DROP TABLE',
				'ALTER TYPE', 'DROP TYPE', 'ALTER DOMAIN', 'ALTER SCHEMA', 'DROP SCHEMA', 'CREATE EXTENSION', 'ALTER EXTENSION', 'DROP EXTENSION',
				'DROP OWNED', 'GRANT', 'REVOKE', 'COMMENT')
			EXECUTE FUNCTION chat.announce_schema();
	END IF;
END
$trigger$;

CREATE FUNCTION chat.announce_groupable()
RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NOTIFY chat_schema;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.announce_groupable IS 'Trigger: tells gateways to read list_methods() again.';
CREATE TRIGGER announce_groupable AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON chat.groupable
FOR EACH STATEMENT EXECUTE FUNCTION chat.announce_groupable();
-- New functions are executable by PUBLIC; none of ours stays so. Behind everything else, so that none is forgotten.
DO $privileges$
DECLARE
	function regprocedure;
BEGIN
	FOR function IN
		SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p
		  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		  JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND e.oid = d.refobjid
		 WHERE e.extname = 'chat'
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
	END LOOP;
END
$privileges$;

-- Functions that an upgrade had to drop get their grants back, no more and no fewer.
DO $grants$
DECLARE
	kept record;
BEGIN
	IF pg_catalog.to_regclass('chat.kept_grants') IS NOT NULL THEN
		FOR kept IN EXECUTE 'SELECT function_name, role_name FROM chat.kept_grants' LOOP
			EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION chat.%I TO %I', kept.function_name, kept.role_name);
		END LOOP;
		DROP TABLE chat.kept_grants;
	END IF;
END
$grants$;

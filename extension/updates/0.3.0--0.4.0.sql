-- State of 0.4.0 for a database made by 0.3.0. Functions of our own whose arguments or results have changed are dropped here
-- and made again by what follows, and keep what they were granted (keep.sql, restore.sql).
DROP FUNCTION IF EXISTS chat.caller;

-- rights: with REFERENCES one had functions of his own run as the tables' owner, by a column type that is cast to ours.
DELETE FROM chat.kept_grants k
 WHERE k.grantee = 'chat_app' AND (k.object, k.privilege) IN (('TABLE chat.users', 'REFERENCES (id)'), ('TABLE chat.chats', 'REFERENCES (id)'),
	('TABLE chat.messages', 'REFERENCES (chat_id)'), ('TABLE chat.messages', 'REFERENCES (id)'));

-- member: who shows presence where. What is not known of rows of before says chat.shows_presence.
ALTER TABLE chat.members ADD COLUMN wrote boolean NOT NULL DEFAULT false, ADD COLUMN added_by bigint;
COMMENT ON COLUMN chat.members.wrote IS 'They have sent a message here since they came in.';
COMMENT ON COLUMN chat.members.added_by IS 'Who let them in: they themselves, or a member. NULL: it is a direct chat, or a release before 0.4.0 did not note it.';

-- message: what was pinned after somebody's leaving is not for them.
ALTER TABLE chat.messages ADD COLUMN pinned_id bigint;
COMMENT ON COLUMN chat.messages.pinned_id IS 'Event that pinned it; NULL: it is not pinned, or a release before 0.4.0 did not note it.';

-- Limits
CREATE TABLE chat.budgets (
	subject text PRIMARY KEY,
	spent integer NOT NULL,
	window_ends_at timestamptz NOT NULL
);
CREATE INDEX budgets_window_ends_at ON chat.budgets (window_ends_at);
COMMENT ON TABLE chat.budgets IS 'How often somebody has done today what has a limit a day (chat.spend): sign_ups:NETWORK, approaches:USER, approaches:USER:STRANGER OR CHAT. A day begins with the first time. Never dumped.';
CREATE INDEX connections_inviter ON chat.connections ((low_user_id # high_user_id # target_user_id)) WHERE state = 'pending';
CREATE INDEX chats_creator ON chat.chats (creator_id) WHERE kind <> 'direct';
CREATE INDEX uploads_owner ON chat.uploads (owner_id);

-- Sessions and passwords
DROP FUNCTION chat.register_user, chat.login_wait, chat.count_login_failure;
CREATE INDEX login_failures_window_ends_at ON chat.login_failures (window_ends_at);
COMMENT ON TABLE chat.login_failures IS 'Failed attempts within the setting login_failure_window: for a user name from one network ("pair:NAME NETWORK"), for the name ("user:…") and from the network ("address:…") in all, and inside a user''s sessions ("session:USER").';
CREATE TABLE chat.login_networks (
	user_id bigint NOT NULL,
	network text NOT NULL,
	last_at timestamptz NOT NULL,
	PRIMARY KEY (user_id, network)
);
COMMENT ON TABLE chat.login_networks IS 'Where users have logged in (chat.network): the last 20 of each, for a year. Attempts from elsewhere do not lock them out there.';
SELECT pg_catalog.pg_extension_config_dump('chat.login_networks', '');
-- Where they are logged in now. As chat.network would say, which is not there yet.
INSERT INTO chat.login_networks (user_id, network, last_at)
SELECT s.user_id, n.network, max(s.last_seen_at)
  FROM chat.sessions s CROSS JOIN LATERAL (SELECT CASE WHEN s.address IS NULL THEN ''
		WHEN family(s.address) = 4 OR s.address <<= '::ffff:0:0/96' THEN regexp_replace(host(s.address), '^::ffff:', '')
		ELSE host(network(set_masklen(s.address, 64))) || '/64' END AS network) n
 GROUP BY s.user_id, n.network;
CREATE INDEX users_password_cost ON chat.users (substr(password_hash, 5, 2)) WHERE password_hash IS NOT NULL;

-- Gateways have to know who sees what of a large chat
DROP FUNCTION IF EXISTS chat.list_large_chats, chat.message_event_then;

-- Avatars: those that are links are none any more, since whoever looked at one was sent to its owner's server.
UPDATE chat.users u SET avatar_file_id = NULL FROM chat.files f WHERE f.id = u.avatar_file_id AND f.url IS NOT NULL;
UPDATE chat.chats c SET avatar_file_id = NULL FROM chat.files f WHERE f.id = c.avatar_file_id AND f.url IS NOT NULL;

-- Maintenance, one call a job and batch
ALTER TABLE chat.maintenance ADD COLUMN ran_at timestamptz, ADD COLUMN error text, ADD COLUMN failing_since timestamptz;
COMMENT ON TABLE chat.maintenance IS 'The jobs of maintenance. A row''s lock is what lets one session at a time do a job.';
COMMENT ON COLUMN chat.maintenance.position IS 'How far a job has come that goes round a table in turns.';
COMMENT ON COLUMN chat.maintenance.ran_at IS 'When its last batch was.';
COMMENT ON COLUMN chat.maintenance.error IS 'Why that one failed; NULL = it did not.';
COMMENT ON COLUMN chat.maintenance.failing_since IS 'When the first of the failures in a row was.';
DELETE FROM chat.maintenance WHERE job = 'run_maintenance';

-- Erasing in batches
CREATE TABLE chat.erasures (
	user_id bigint PRIMARY KEY,
	id bigint NOT NULL,
	chat_id bigint NOT NULL DEFAULT 0,
	message_id bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE chat.erasures IS 'Accounts that are gone and of which maintenance (erase_users) still removes what is left; nobody can read any of it. Nearly always empty.';
COMMENT ON COLUMN chat.erasures.id IS 'When the account ended.';
COMMENT ON COLUMN chat.erasures.chat_id IS 'How far it is: chats before this one are done.';
COMMENT ON COLUMN chat.erasures.message_id IS 'In this chat, messages up to this one are done.';
SELECT pg_catalog.pg_extension_config_dump('chat.erasures', '');
CREATE INDEX hidden_messages_message ON chat.hidden_messages (chat_id, message_id);
DROP FUNCTION IF EXISTS chat.drop_files, chat.drop_messages, chat.erase_messages, chat.erased_rows, chat.index_chat;

-- publish: the name of a channel tells the key's generation; markers of all gateways come on one channel.
ALTER TABLE chat.channel_key
	ADD COLUMN former_key bytea CHECK (octet_length(former_key) = 16),
	ADD COLUMN generation smallint NOT NULL DEFAULT 0 CHECK (generation BETWEEN 0 AND 15);
COMMENT ON COLUMN chat.channel_key.former_key IS 'The key of the generation before: its names are still heard, as a transaction may notify there that began before the key was changed.';
COMMENT ON COLUMN chat.channel_key.generation IS 'Stands in each name, so that it is known by which key it was made.';
DROP FUNCTION IF EXISTS chat.publish_horizon;
DROP FUNCTION chat.read_event; -- events come in parts now, and nobody reads them back

-- Gateway
-- Passwords and tokens are parameters of what a gateway calls; it keeps them out of the server's log by these, where it may set
-- them. Only a superuser can grant that. auto_explain's verbose plans show them, and from PostgreSQL 16 on so do all of its plans.
DO $parameters$
BEGIN
	IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN
		GRANT SET ON PARAMETER log_parameter_max_length, log_parameter_max_length_on_error, auto_explain.log_verbose TO chat_gateway;
		IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 160000 THEN
			EXECUTE 'GRANT SET ON PARAMETER auto_explain.log_parameter_max_length TO chat_gateway';
		END IF;
	END IF;
END
$parameters$;

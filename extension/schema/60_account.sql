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

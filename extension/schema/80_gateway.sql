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

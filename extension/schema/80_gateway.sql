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

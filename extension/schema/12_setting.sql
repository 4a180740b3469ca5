CREATE TABLE chat.settings (
	name text PRIMARY KEY,
	value text NOT NULL,
	version bigint NOT NULL
);
COMMENT ON TABLE chat.settings IS 'What an operator has changed of chat.setting_defaults(); written by set_setting().';
COMMENT ON COLUMN chat.settings.version IS 'Id of the last change.';
SELECT pg_catalog.pg_extension_config_dump('chat.settings', '');

CREATE OR REPLACE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON chat.channel_key
FOR EACH STATEMENT EXECUTE FUNCTION chat.invalidate_cache();

CREATE OR REPLACE FUNCTION chat.user_channel(user_id bigint)
RETURNS text LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'chat_user_channel';
COMMENT ON FUNCTION chat.user_channel IS 'The NOTIFY channel that carries what this user may hear, as {"to":["user id",…],"event":{…}}; with "chat":"id" beside it, it is the copy for those who come into that large chat or leave it. Shared with other users when chat.user_channels = bucket: an event is for those in "to". Whoever knows the name can listen.';
GRANT EXECUTE ON FUNCTION chat.user_channel TO chat_app, chat_gateway; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.chat_channel(chat_id bigint)
RETURNS text LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'chat_chat_channel';
COMMENT ON FUNCTION chat.chat_channel IS 'The NOTIFY channel that carries what happens in this chat once it is large, as {"chat":"id","event":{…}}; one of 256, shared with other chats. Whoever knows the name can listen.';
GRANT EXECUTE ON FUNCTION chat.chat_channel TO chat_app, chat_gateway; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.list_chat_channels()
RETURNS SETOF text LANGUAGE c STABLE ROWS 256 SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'chat_list_chat_channels';
COMMENT ON FUNCTION chat.list_chat_channels IS 'All names that chat_channel can answer: who listens to them hears every large chat.';
GRANT EXECUTE ON FUNCTION chat.list_chat_channels TO chat_gateway; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.publish(event jsonb, user_ids bigint[], chat_id bigint DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'chat_publish';
COMMENT ON FUNCTION chat.publish IS 'Publishes an event that no table logs: to the members of chat_id, or to these users. ids in it are strings. At most 7,900 bytes with its envelope.';

CREATE OR REPLACE FUNCTION chat.took(id bigint)
RETURNS boolean LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'chat_took';
COMMENT ON FUNCTION chat.took IS 'Whether this very transaction took the id: triggers publish only such rows, so that a restore or replication publishes nothing.';

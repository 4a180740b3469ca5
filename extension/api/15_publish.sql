CREATE OR REPLACE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON chat.channel_key
FOR EACH STATEMENT EXECUTE FUNCTION chat.invalidate_cache();

CREATE OR REPLACE FUNCTION chat.user_channel(user_id bigint)
RETURNS text LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'chat_user_channel';
COMMENT ON FUNCTION chat.user_channel IS 'The NOTIFY channel that carries what this user may hear, as {"to":["user id",…],"event":{…}}; with "chat":"id" beside it, it is the copy for those who come into that large chat or leave it. More than 7,900 bytes come in parts, "part 2/5 of TAG:" and then as much of the text as fits: in order, one right behind the other, cut between characters; TAG is 16 hexadecimal digits that no other text has. An event with "partial":true is one that found no room: ask sync for it. The same channel for all users when chat.user_channels = shared: an event is for those in "to". Whoever knows the name can listen, so keep it out of statements: subscribe_user listens without it.';
GRANT EXECUTE ON FUNCTION chat.user_channel TO chat_app, chat_gateway; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.chat_channel(chat_id bigint)
RETURNS text LANGUAGE c STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'chat_chat_channel';
COMMENT ON FUNCTION chat.chat_channel IS 'The NOTIFY channel that carries what happens in this chat once it is large, as {"chat":"id","event":{…}}, in parts and partial as user_channel says; one of 256, shared with other chats. Whoever knows the name can listen: subscribe_chat does without it.';
GRANT EXECUTE ON FUNCTION chat.chat_channel TO chat_app, chat_gateway; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.list_chat_channels()
RETURNS SETOF text LANGUAGE c STABLE ROWS 257 SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'chat_list_chat_channels';
COMMENT ON FUNCTION chat.list_chat_channels IS 'All names that chat_channel can answer: who listens to them hears every large chat; and the one that markers come on (publish_horizon).';
GRANT EXECUTE ON FUNCTION chat.list_chat_channels TO chat_gateway; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.publish(event jsonb, user_ids bigint[], chat_id bigint DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'chat_publish';
COMMENT ON FUNCTION chat.publish IS 'Publishes an event that no table logs: to the members of chat_id, or to these users. ids in it are strings. MC400 invalid_argument for what is no object with a type.';

CREATE OR REPLACE FUNCTION chat.took(id bigint)
RETURNS boolean LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'chat_took';
COMMENT ON FUNCTION chat.took IS 'Whether this very transaction took the id: triggers publish only such rows, so that a restore or replication publishes nothing.';

CREATE OR REPLACE FUNCTION chat.publish_signal(channel text)
RETURNS void LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'chat_publish_signal';
COMMENT ON FUNCTION chat.publish_signal IS 'An empty notification on one of the fixed channels, sent as events are: never with NOTIFY''s lock in a busy writer''s transaction. MC400 invalid_argument unless the name has 1 to 63 bytes.';

CREATE OR REPLACE FUNCTION chat.publish_resync()
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'chat_publish_resync';
COMMENT ON FUNCTION chat.publish_resync IS 'Tells all listeners on channel chat_resync that they may have missed something.';

CREATE OR REPLACE FUNCTION chat.publish_horizon(OUT horizon bigint, OUT delivery text)
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_publish_horizon';
COMMENT ON FUNCTION chat.publish_horizon IS 'Sends {"horizon":"id"} with the present chat.horizon() to the channel of list_chat_channels that begins with chat_g_, behind all that was published before: when it arrives, all events up to that horizon have. It is lost, and to be asked for again, when notifications are. delivery: the value of chat.delivery; with outbox it comes as a row of read_outbox, with none it does not come. 25006 on a standby.';
GRANT EXECUTE ON FUNCTION chat.publish_horizon TO chat_gateway; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.read_outbox(after_id bigint, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, payload text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT o.id, o.payload FROM chat.outbox o WHERE o.id > coalesce(read_outbox.after_id, 0) ORDER BY o.id
	 LIMIT least(greatest(coalesce(read_outbox.page_size, 1000), 1), 10000)
$$;
COMMENT ON FUNCTION chat.read_outbox IS 'What was published with chat.delivery = outbox, ascending by id, page_size (1,000, at most 10,000) after after_id: the payloads that would be notified, whole and once each, for whatever channels. Up to chat.horizon() rows are complete; above it rows may still appear between those already seen: read again from a horizon taken before the last reading, and drop what was seen.';
GRANT EXECUTE ON FUNCTION chat.read_outbox TO chat_gateway; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.expire_outbox(batch integer)
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
COMMENT ON FUNCTION chat.expire_outbox IS 'A job: deletes at most batch rows of the outbox that are older than the setting outbox_retention, and answers how many.';

CREATE OR REPLACE FUNCTION chat.rotate_channel_key()
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE chat.channel_key SET generation = (generation + 1) % 16, former_key = key,
		key = substring(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')) FOR 16);
	PERFORM chat.publish_resync();
END
$$;
COMMENT ON FUNCTION chat.rotate_channel_key IS 'Renames all channels: whoever has learnt a name of user_channel or chat_channel hears nothing on it any more. Gateways read the names again and then what they missed meanwhile; other listeners have to ask for theirs again when they hear chat_resync.';
GRANT EXECUTE ON FUNCTION chat.rotate_channel_key TO chat_app; -- since 0.2.0

-- LISTEN and UNLISTEN without a statement that has the name: statements stand in pg_stat_activity and in logs.

CREATE OR REPLACE FUNCTION chat.listen(handles text[])
RETURNS void LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_listen';
COMMENT ON FUNCTION chat.listen IS 'For gateways: LISTENs to channels in the session that calls it, as LISTEN does from the end of the transaction on. handles: the first 23 characters of each channel''s name, which say nothing to others, as the rest is added here; those of a key before the last rotate_channel_key but one are passed over; chat_resync, chat_schema, chat_settings and chat_push as they are. MC400 invalid_argument; 25006 on a standby.';
GRANT EXECUTE ON FUNCTION chat.listen TO chat_gateway; -- since 0.4.0

CREATE OR REPLACE FUNCTION chat.unlisten(handles text[])
RETURNS void LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_unlisten';
COMMENT ON FUNCTION chat.unlisten IS 'For gateways: undoes listen. MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.unlisten TO chat_gateway; -- since 0.4.0

CREATE OR REPLACE FUNCTION chat.subscribe_user(user_id bigint)
RETURNS text LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_subscribe_user';
COMMENT ON FUNCTION chat.subscribe_user IS 'LISTENs to what this user may hear, and to chat_resync, in the session that calls it; answers the channel. What is heard there is for the users in "to"; large chats have channels of their own (subscribe_chat). 25006 on a standby.';
GRANT EXECUTE ON FUNCTION chat.subscribe_user TO chat_app, chat_gateway; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.unsubscribe_user(user_id bigint)
RETURNS void LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_unsubscribe_user';
COMMENT ON FUNCTION chat.unsubscribe_user IS 'UNLISTENs the channel of this user, with chat.user_channels = shared that of all; not one that had another name before rotate_channel_key.';
GRANT EXECUTE ON FUNCTION chat.unsubscribe_user TO chat_app, chat_gateway; -- since 0.4.0

CREATE OR REPLACE FUNCTION chat.subscribe_chat(chat_id bigint)
RETURNS text LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_subscribe_chat';
COMMENT ON FUNCTION chat.subscribe_chat IS 'LISTENs to what happens in this chat once it is large, and to chat_resync, in the session that calls it; answers the channel, which other chats share. 25006 on a standby.';
GRANT EXECUTE ON FUNCTION chat.subscribe_chat TO chat_app, chat_gateway; -- since 0.4.0

CREATE OR REPLACE FUNCTION chat.unsubscribe_chat(chat_id bigint)
RETURNS void LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_unsubscribe_chat';
COMMENT ON FUNCTION chat.unsubscribe_chat IS 'UNLISTENs the channel of this chat, and of those that share it.';
GRANT EXECUTE ON FUNCTION chat.unsubscribe_chat TO chat_app, chat_gateway; -- since 0.4.0

CREATE OR REPLACE FUNCTION chat.delivery_stat(name text)
RETURNS bigint LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'chat_delivery_stat';
COMMENT ON FUNCTION chat.delivery_stat IS 'A counter for chat.stats, of this database since the server''s start, of ids of all databases; NULL where there is no ring.';

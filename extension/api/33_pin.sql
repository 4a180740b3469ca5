-- Both ends of a pin differ in one word.
CREATE OR REPLACE FUNCTION chat.change_pin(actor_id bigint, chat_id bigint, message_id bigint, pinned boolean)
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
		IF change_pin.pinned THEN
			PERFORM chat.check_limit('pins_max', (SELECT count(*) FROM (SELECT FROM chat.messages m
				WHERE m.chat_id = change_pin.chat_id AND m.pinned LIMIT chat.setting_integer('pins_max')) m), 'too_many_pins');
		END IF;
		event := chat.next_event(change_pin.chat_id, 0);
		UPDATE chat.messages m SET pinned = change_pin.pinned, pinned_id = CASE WHEN change_pin.pinned THEN event.id END
		 WHERE m.chat_id = change_pin.chat_id AND m.id = change_pin.message_id;
		PERFORM chat.log_event(change_pin.chat_id, event.id, event.prev_id, event.number,
			CASE WHEN change_pin.pinned THEN 'message_pinned' ELSE 'message_unpinned' END, change_pin.actor_id,
			jsonb_build_object('message_id', message.id::text));
	END IF;
	RETURN chat.describe_message(change_pin.chat_id, change_pin.message_id, change_pin.actor_id);
END
$$;
COMMENT ON FUNCTION chat.change_pin IS 'pin_message and unpin_message.';

CREATE OR REPLACE FUNCTION chat.pin_message(actor_id bigint, chat_id bigint, message_id bigint)
RETURNS chat.message_row LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT chat.change_pin(pin_message.actor_id, pin_message.chat_id, pin_message.message_id, true)
$$;
COMMENT ON FUNCTION chat.pin_message IS 'Pins a message for all members: an admin or the owner may, in a direct chat both. A pinned one stays so. Answers the message. MC403 not_permitted, blocked, not_accepting; MC404 no_such_chat, no_such_message; MC409 message_deleted; MC429 too_many_pins by the setting pins_max; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.pin_message TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.unpin_message(actor_id bigint, chat_id bigint, message_id bigint)
RETURNS chat.message_row LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT chat.change_pin(unpin_message.actor_id, unpin_message.chat_id, unpin_message.message_id, false)
$$;
COMMENT ON FUNCTION chat.unpin_message IS 'Takes back pin_message, whoever pinned it; one that is not pinned stays so. Rights, answer and errors as with pin_message.';
GRANT EXECUTE ON FUNCTION chat.unpin_message TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.list_pins(actor_id bigint, chat_id bigint, before_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS SETOF chat.message_page LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_pins.page_size);
	visible record;
	page bigint[];
BEGIN
	PERFORM chat.check_actor(list_pins.actor_id);
	visible := chat.visible_range(list_pins.chat_id, list_pins.actor_id);
	page := ARRAY(
		SELECT m.id FROM chat.v_readable_messages m
		 WHERE m.chat_id = list_pins.chat_id AND m.pinned AND m.id > visible.low AND m.id <= visible.high
		   AND coalesce(m.pinned_id, 0) <= visible.high
		   AND m.id < coalesce(list_pins.before_id, 9223372036854775807)
		   AND NOT EXISTS (SELECT FROM chat.hidden_messages h
			WHERE h.user_id = list_pins.actor_id AND h.chat_id = m.chat_id AND h.message_id = m.id)
		 ORDER BY m.id DESC LIMIT size + 1);
	RETURN QUERY
	SELECT d.*, cardinality(page) > size FROM chat.describe_messages(list_pins.chat_id, page[1:size], list_pins.actor_id) d;
END
$$;
COMMENT ON FUNCTION chat.list_pins IS 'The pinned messages of a chat: the newest page, or those before before_id; ascending by id, as list_messages shows them; to who has left, those that were pinned by then. MC400 invalid_argument; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_pins TO chat_user, chat_app; -- since 0.2.0

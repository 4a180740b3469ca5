CREATE OR REPLACE FUNCTION chat.reactions_json(chat_id bigint, message_id bigint, reactions jsonb, reader_id bigint)
RETURNS json LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT coalesce(json_agg(json_build_object('emoji', r.emoji, 'count', r.count, 'mine', EXISTS (
			SELECT FROM chat.reactions own WHERE own.chat_id = reactions_json.chat_id AND own.message_id = reactions_json.message_id
				AND own.emoji = r.emoji AND own.user_id = reactions_json.reader_id))), '[]')
	  FROM jsonb_to_recordset(reactions_json.reactions) AS r (emoji text, count integer));
END
$$;
COMMENT ON FUNCTION chat.reactions_json IS 'The counts of a message''s reactions, and which of them are the reader''s own.';

CREATE OR REPLACE FUNCTION chat.count_reaction(reactions jsonb, emoji text, change integer)
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
CREATE OR REPLACE FUNCTION chat.change_reaction(actor_id bigint, message chat.messages, emoji text, change integer)
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

CREATE OR REPLACE FUNCTION chat.has_reaction(actor_id bigint, chat_id bigint, message_id bigint, emoji text)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.reactions r WHERE r.chat_id = has_reaction.chat_id AND r.message_id = has_reaction.message_id
		AND r.emoji = has_reaction.emoji AND r.user_id = has_reaction.actor_id);
END
$$;
COMMENT ON FUNCTION chat.has_reaction IS 'Whether this user has reacted to the message with this emoji.';

CREATE OR REPLACE FUNCTION chat.add_reaction(actor_id bigint, chat_id bigint, message_id bigint, emoji text)
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

CREATE OR REPLACE FUNCTION chat.remove_reaction(actor_id bigint, chat_id bigint, message_id bigint, emoji text)
RETURNS chat.message_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	message chat.messages;
BEGIN
	PERFORM chat.check_actor(remove_reaction.actor_id);
	PERFORM chat.lock_chat(remove_reaction.chat_id);
	PERFORM chat.check_member(remove_reaction.chat_id, remove_reaction.actor_id);
	message := chat.check_visible_message(remove_reaction.chat_id, remove_reaction.message_id, remove_reaction.actor_id);
	IF message.deleted_id IS NULL AND chat.has_reaction(remove_reaction.actor_id, remove_reaction.chat_id, remove_reaction.message_id, remove_reaction.emoji) THEN
		PERFORM chat.change_reaction(remove_reaction.actor_id, message, remove_reaction.emoji, -1);
	END IF;
	RETURN chat.describe_message(remove_reaction.chat_id, remove_reaction.message_id, remove_reaction.actor_id);
END
$$;
COMMENT ON FUNCTION chat.remove_reaction IS 'Takes back one''s own reaction; one that is not there changes nothing. Answers the message. MC404 no_such_chat, no_such_message; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.remove_reaction TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.list_reactions(actor_id bigint, chat_id bigint, message_id bigint, emoji text DEFAULT NULL,
	after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS SETOF chat.reaction_page LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_reactions.page_size);
	visible record;
	message chat.messages;
BEGIN
	PERFORM chat.check_actor(list_reactions.actor_id);
	visible := chat.visible_range(list_reactions.chat_id, list_reactions.actor_id);
	message := chat.check_visible_message(list_reactions.chat_id, list_reactions.message_id, list_reactions.actor_id);
	RETURN QUERY
	WITH page AS (
		SELECT r.id, r.user_id, r.emoji FROM chat.reactions r
		 WHERE message.deleted_id IS NULL AND r.chat_id = list_reactions.chat_id AND r.message_id = list_reactions.message_id
		   AND (list_reactions.emoji IS NULL OR r.emoji = list_reactions.emoji) AND r.id > coalesce(list_reactions.after_id, 0)
		   AND r.id <= visible.high
		 ORDER BY r.id LIMIT size + 1
	)
	SELECT p.id, p.user_id, p.emoji, chat.id_time(p.id), (SELECT count(*) > size FROM page) FROM page p ORDER BY p.id LIMIT size;
END
$$;
COMMENT ON FUNCTION chat.list_reactions IS 'Who has reacted to a message, with one emoji or with any, oldest first; to who has left the chat, who had by then. MC400 invalid_argument; MC404 no_such_chat, no_such_message.';
GRANT EXECUTE ON FUNCTION chat.list_reactions TO chat_user, chat_app; -- since 0.2.0

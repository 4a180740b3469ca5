-- Whose account has ended has deleted all messages with it, though maintenance may not have come to them yet (erase_users). What shows
-- messages takes them from here; event.c does the same to what becomes JSON.
CREATE OR REPLACE VIEW chat.v_readable_messages AS
SELECT m.chat_id, m.id, m.prev_id, m.number, m.kind, m.sender_id, CASE WHEN e.id IS NULL THEN m.body ELSE '' END AS body,
	CASE WHEN e.id IS NULL THEN m.reply_to_id END AS reply_to_id, CASE WHEN e.id IS NULL THEN m.attributes END AS attributes,
	CASE WHEN e.id IS NULL THEN m.client_key END AS client_key, CASE WHEN e.id IS NULL THEN m.edited_id END AS edited_id,
	coalesce(m.deleted_id, e.id) AS deleted_id, CASE WHEN e.id IS NULL THEN m.expires_at END AS expires_at,
	CASE WHEN e.id IS NULL THEN m.mention_ids END AS mention_ids, CASE WHEN e.id IS NULL THEN m.file_ids END AS file_ids,
	CASE WHEN e.id IS NULL THEN m.reactions END AS reactions, m.pinned AND e.id IS NULL AS pinned,
	CASE WHEN e.id IS NULL THEN m.forwarded_from END AS forwarded_from, CASE WHEN e.id IS NULL THEN m.pinned_id END AS pinned_id
  FROM chat.messages m LEFT JOIN chat.erasures e ON e.user_id = m.sender_id AND m.kind = 'user';
COMMENT ON VIEW chat.v_readable_messages IS 'The rows of chat.messages; those of users whose account has ended as those of deleted messages.';

CREATE OR REPLACE VIEW chat.v_messages AS
SELECT m.chat_id, m.id, CASE m.kind WHEN 'user' THEN m.number END AS number, m.kind, m.sender_id, m.body, chat.id_time(m.id) AS sent_at,
	m.reply_to_id, m.attributes, chat.id_time(m.edited_id) AS edited_at, chat.id_time(m.deleted_id) AS deleted_at, m.expires_at,
	m.mention_ids, m.file_ids, m.reactions, m.pinned, m.forwarded_from
  FROM chat.v_readable_messages m;
COMMENT ON VIEW chat.v_messages IS 'All messages; of a deleted one only the row. number is NULL for kind system.';
GRANT SELECT ON chat.v_messages TO chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.message_json(message chat.messages, reader_id bigint)
RETURNS json LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_message_json';
COMMENT ON FUNCTION chat.message_json IS 'A message as it stands in events and lists: one row of list_messages, as reader_id sees it (0: as nobody in particular).';

-- The parts of a message that other tables hold; one home for events (event.c) and lists.
CREATE OR REPLACE FUNCTION chat.reply_json(chat_id bigint, reply_to_id bigint, reader_id bigint)
RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
	quoted chat.messages;
	shown boolean;
	left_id bigint;
BEGIN
	SELECT m.* INTO quoted FROM chat.v_readable_messages m WHERE m.chat_id = reply_json.chat_id AND m.id = reply_json.reply_to_id;
	IF NOT FOUND THEN
		RETURN NULL;
	ELSIF reader_id = 0 THEN
		shown := NOT chat.has_newcomers(reply_json.chat_id, reply_json.reply_to_id);
	ELSE
		SELECT m.visible_from < quoted.id AND NOT EXISTS (SELECT FROM chat.hidden_messages h
				WHERE h.user_id = m.user_id AND h.chat_id = m.chat_id AND h.message_id = quoted.id), m.left_id
		  INTO shown, left_id FROM chat.members m WHERE m.chat_id = reply_json.chat_id AND m.user_id = reply_json.reader_id;
	END IF;
	RETURN json_build_object('id', quoted.id::text, 'sender_id', CASE WHEN shown THEN quoted.sender_id::text END,
		'body', CASE WHEN shown THEN left((chat.message_then(quoted, left_id)).body, 100) ELSE '' END);
END
$$;
COMMENT ON FUNCTION chat.reply_json IS 'The quoted message: its id and, if reader_id sees it (0: if all members do), sender_id and the first 100 characters, none of a deleted one.';

CREATE OR REPLACE FUNCTION chat.has_newcomers(chat_id bigint, message_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.members m
		WHERE m.chat_id = has_newcomers.chat_id AND m.visible_from > 0 AND m.visible_from >= has_newcomers.message_id AND m.left_id IS NULL);
END
$$;
COMMENT ON FUNCTION chat.has_newcomers IS 'Whether somebody is in the chat who has joined later and does not see the message (setting history_for_new_members).';

CREATE OR REPLACE FUNCTION chat.message_event(message chat.messages)
RETURNS json LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_message_event';
COMMENT ON FUNCTION chat.message_event IS 'The message event of a message at its present state.';

CREATE OR REPLACE FUNCTION chat.check_message(body text, file_ids bigint[], attributes jsonb, client_key text, expires_in interval)
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
CREATE OR REPLACE FUNCTION chat.check_mentions(chat_id bigint, mention_ids bigint[])
RETURNS bigint[] LANGUAGE plpgsql STABLE AS $$
DECLARE
	ids bigint[];
BEGIN
	IF cardinality(check_mentions.mention_ids) > chat.setting_integer('mentions_max') THEN
		PERFORM chat.fail('invalid_argument', 'there are too many mention_ids', format('Mention at most %s.', chat.setting_integer('mentions_max')));
	END IF;
	ids := ARRAY(SELECT DISTINCT m.user_id FROM chat.members m
		WHERE m.chat_id = check_mentions.chat_id AND m.user_id = ANY (check_mentions.mention_ids) AND m.left_id IS NULL ORDER BY 1);
	IF cardinality(ids) < (SELECT count(DISTINCT u) FROM unnest(check_mentions.mention_ids) u) THEN
		PERFORM chat.fail('invalid_argument', 'mention_ids has somebody who is not in the chat', 'Mention members only.');
	END IF;
	RETURN nullif(ids, '{}');
END
$$;
COMMENT ON FUNCTION chat.check_mentions IS 'The mentioned users, each once. MC400 invalid_argument for others than members and for more than the setting mentions_max.';

CREATE OR REPLACE FUNCTION chat.add_mentions(chat_id bigint, message_id bigint, mention_ids bigint[], sender_id bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO chat.mentions (user_id, chat_id, message_id)
	SELECT u, add_mentions.chat_id, add_mentions.message_id FROM unnest(add_mentions.mention_ids) u WHERE u <> add_mentions.sender_id;
	UPDATE chat.members m SET mentions = m.mentions + 1
	 WHERE m.chat_id = add_mentions.chat_id AND m.user_id = ANY (add_mentions.mention_ids) AND m.user_id <> add_mentions.sender_id;
END
$$;
COMMENT ON FUNCTION chat.add_mentions IS 'Notes and counts the mentions of a new message.';

CREATE OR REPLACE FUNCTION chat.check_block(chat_id bigint, user_id bigint)
RETURNS void LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'chat_check_block';
COMMENT ON FUNCTION chat.check_block IS 'Whether a member of this chat may reach the others: MC403 blocked, not_accepting in direct chats.';

CREATE OR REPLACE FUNCTION chat.check_posting(chat_id bigint, user_id bigint)
RETURNS void LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'chat_check_posting';
COMMENT ON FUNCTION chat.check_posting IS 'Whether a member may send to this chat: MC403 not_permitted where posting is for admins; blocked, not_accepting in direct chats.';

CREATE OR REPLACE FUNCTION chat.send_message(actor_id bigint, chat_id bigint, body text DEFAULT NULL, reply_to_id bigint DEFAULT NULL,
	file_ids bigint[] DEFAULT NULL, mention_ids bigint[] DEFAULT NULL, attributes jsonb DEFAULT NULL, client_key text DEFAULT NULL,
	expires_in interval DEFAULT NULL,
	OUT id bigint, OUT prev_id bigint, OUT number integer, OUT sent_at timestamptz, OUT duplicate boolean)
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_send_message';
COMMENT ON FUNCTION chat.send_message IS 'Sends a message; when it has answered and committed, the message is durable. body: at most the setting body_max_length characters, empty only with files or attributes. mention_ids: members. file_ids: files the sender can read. client_key: 1 to 64 characters of the caller''s own; the same key in the same chat answers the first message again with duplicate true, and publishes nothing. expires_in: 1 second to 10 years, after which it is deleted for everyone. prev_id: the chat''s event before it. number: dense count of the chat''s messages. The sender''s read cursor moves to it. Locks the chat''s row until the transaction ends. MC400 empty_message, invalid_argument; MC403 not_permitted, blocked, not_accepting; MC404 no_such_chat, no_such_message (reply_to_id), no_such_file; MC409 client_key_reused; MC413 message_too_long, too_large; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.send_message TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.send_direct_message(actor_id bigint, user_id bigint, body text DEFAULT NULL, reply_to_id bigint DEFAULT NULL,
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
COMMENT ON FUNCTION chat.send_direct_message IS 'send_message to the direct chat with this user, which is opened when there is none; answers its chat_id too. MC404 no_such_user, and what open_direct_chat and send_message answer.';
GRANT EXECUTE ON FUNCTION chat.send_direct_message TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.forward_message(actor_id bigint, chat_id bigint, message_id bigint, to_chat_id bigint, client_key text DEFAULT NULL,
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
CREATE OR REPLACE FUNCTION chat.is_same_message(sent chat.messages, body text, reply_to_id bigint, file_ids bigint[], mention_ids bigint[],
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
CREATE OR REPLACE FUNCTION chat.add_message(sender_id bigint, chat_id bigint, body text, reply_to_id bigint, file_ids bigint[],
	mention_ids bigint[], attributes jsonb, client_key text, expires_in interval, forwarded_from bigint,
	OUT id bigint, OUT prev_id bigint, OUT number integer, OUT sent_at timestamptz, OUT duplicate boolean)
LANGUAGE c AS 'MODULE_PATHNAME', 'chat_add_message';
COMMENT ON FUNCTION chat.add_message IS 'Writes a message whose arguments are checked; the rest is send_message''s.';

CREATE OR REPLACE FUNCTION chat.repeat_message(chat_id bigint, message_id bigint, body text, reply_to_id bigint, file_ids bigint[],
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

CREATE OR REPLACE FUNCTION chat.check_visible_message(chat_id bigint, message_id bigint, user_id bigint)
RETURNS chat.messages LANGUAGE plpgsql STABLE AS $$
DECLARE
	visible record := chat.visible_range(check_visible_message.chat_id, check_visible_message.user_id);
	message chat.messages;
BEGIN
	SELECT m.* INTO message FROM chat.v_readable_messages m
	 WHERE m.chat_id = check_visible_message.chat_id AND m.id = check_visible_message.message_id
	   AND m.id > visible.low AND m.id <= visible.high AND chat.is_kept(m.deleted_id, visible.high)
	   AND NOT EXISTS (SELECT FROM chat.hidden_messages h
		WHERE h.user_id = check_visible_message.user_id AND h.chat_id = m.chat_id AND h.message_id = m.id);
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_message');
	END IF;
	RETURN message;
END
$$;
COMMENT ON FUNCTION chat.check_visible_message IS 'The message, if this user may see it. MC404 no_such_chat, no_such_message.';

CREATE OR REPLACE FUNCTION chat.check_user_message(chat_id bigint, message_id bigint, user_id bigint)
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

-- What is written after somebody's leaving is not for them, be it into a message of before, nor who reacted to it or pinned it since.
-- There is no history of what was deleted or taken back since: it is simply not there. So lists leave out what was deleted after
-- the leaving (chat.is_kept), and events, which stand in a chain, tell it as deleted by then.
CREATE OR REPLACE FUNCTION chat.is_kept(deleted_id bigint, high bigint)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT (deleted_id > high) IS NOT TRUE $$;
COMMENT ON FUNCTION chat.is_kept IS 'Whether who sees ids up to high (NULL: all) finds a message in lists: it is not deleted, or was so by then, and they see the row that is left.';

CREATE OR REPLACE FUNCTION chat.message_then(message chat.messages, left_id bigint)
RETURNS chat.messages LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF message.deleted_id > message_then.left_id THEN
		message.deleted_id := message_then.left_id; -- when it was does not matter to them
	END IF;
	IF message.pinned_id > message_then.left_id THEN
		message.pinned := false;
	END IF;
	IF message.reactions IS NOT NULL AND message_then.left_id IS NOT NULL THEN
		message.reactions := (SELECT jsonb_agg(jsonb_build_object('emoji', r.emoji, 'count', r.count) ORDER BY r.first_id)
			  FROM (SELECT r.emoji, count(*) AS count, min(r.id) AS first_id FROM chat.reactions r
				 WHERE r.chat_id = message.chat_id AND r.message_id = message.id AND r.id <= message_then.left_id GROUP BY r.emoji) r);
	END IF;
	IF message.edited_id > message_then.left_id THEN
		message.body := coalesce((SELECT e.body FROM chat.message_edits e
			 WHERE e.chat_id = message.chat_id AND e.message_id = message.id AND e.id > message_then.left_id ORDER BY e.id LIMIT 1), '');
		message.edited_id := (SELECT max(e.id) FROM chat.message_edits e
			 WHERE e.chat_id = message.chat_id AND e.message_id = message.id AND e.id <= message_then.left_id);
	END IF;
	RETURN message;
END
$$;
COMMENT ON FUNCTION chat.message_then IS 'The message as it was when its reader left (NULL: they are in, so as it is), as far as is known: the body of then, an empty one when the setting keep_edits has not kept that; of reactions and pins those that were there and are; deleted, when it has been since.';

-- The generic plan: one for the ids at hand looks cheaper, by less than it takes to make it at every call.
CREATE OR REPLACE FUNCTION chat.describe_messages(chat_id bigint, message_ids bigint[], reader_id bigint)
RETURNS SETOF chat.message_row LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	left_id bigint := (SELECT r.left_id FROM chat.members r WHERE r.chat_id = describe_messages.chat_id AND r.user_id = describe_messages.reader_id);
BEGIN
	RETURN QUERY
	SELECT m.id, m.chat_id, CASE m.kind WHEN 'user' THEN m.number END, m.kind, m.sender_id,
		m.body, chat.id_time(m.id), chat.id_time(m.edited_id), chat.id_time(m.deleted_id), m.expires_at,
		CASE WHEN m.reply_to_id IS NOT NULL THEN chat.reply_json(m.chat_id, m.reply_to_id, describe_messages.reader_id) END,
		CASE WHEN m.file_ids IS NULL THEN '[]' ELSE chat.files_json(m.file_ids) END,
		coalesce(m.mention_ids, '{}'),
		CASE WHEN m.reactions IS NULL THEN '[]' ELSE chat.reactions_json(m.chat_id, m.id, m.reactions, describe_messages.reader_id) END,
		m.attributes, m.pinned, m.forwarded_from
	  FROM (SELECT o.* FROM chat.v_readable_messages o
			 WHERE left_id IS NULL AND o.chat_id = describe_messages.chat_id AND o.id = ANY (describe_messages.message_ids)
			UNION ALL
			SELECT t.* FROM chat.v_readable_messages o CROSS JOIN LATERAL chat.message_then(ROW(o.*)::chat.messages, left_id) t
			 WHERE left_id IS NOT NULL AND o.chat_id = describe_messages.chat_id AND o.id = ANY (describe_messages.message_ids)) m
	 ORDER BY m.id;
END
$$;
COMMENT ON FUNCTION chat.describe_messages IS 'Messages as list_messages shows them, ascending by id. The caller has checked that the reader may see them.';

CREATE OR REPLACE FUNCTION chat.describe_message(chat_id bigint, message_id bigint, reader_id bigint)
RETURNS chat.message_row LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT d FROM chat.describe_messages(describe_message.chat_id, ARRAY[describe_message.message_id], describe_message.reader_id) d);
END
$$;
COMMENT ON FUNCTION chat.describe_message IS 'One message as list_messages shows it.';

CREATE OR REPLACE FUNCTION chat.get_message(actor_id bigint, chat_id bigint, message_id bigint)
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
CREATE OR REPLACE FUNCTION chat.list_messages(actor_id bigint, chat_id bigint, before_id bigint DEFAULT NULL, after_id bigint DEFAULT NULL,
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
		SELECT m.id FROM chat.v_readable_messages m
		 WHERE m.chat_id = list_messages.chat_id AND m.id > visible.low AND m.id <= visible.high AND chat.is_kept(m.deleted_id, visible.high) AND m.id < below
		   AND NOT EXISTS (SELECT FROM chat.hidden_messages h WHERE h.user_id = actor_id AND h.chat_id = m.chat_id AND h.message_id = m.id)
		 ORDER BY m.id DESC LIMIT CASE WHEN older > 0 THEN older + 1 ELSE 0 END);
	up := ARRAY(
		SELECT m.id FROM chat.v_readable_messages m
		 WHERE m.chat_id = list_messages.chat_id AND m.id > visible.low AND m.id <= visible.high AND chat.is_kept(m.deleted_id, visible.high) AND m.id >= above
		   AND NOT EXISTS (SELECT FROM chat.hidden_messages h WHERE h.user_id = actor_id AND h.chat_id = m.chat_id AND h.message_id = m.id)
		 ORDER BY m.id LIMIT CASE WHEN newer > 0 THEN newer + 1 ELSE 0 END);
	RETURN QUERY
	SELECT d.*, cardinality(down) > older OR cardinality(up) > newer
	  FROM chat.describe_messages(chat_id, down[1:older] || up[1:newer], actor_id) d;
END
$$;
COMMENT ON FUNCTION chat.list_messages IS 'A page of a chat''s history, ascending by id. Without an anchor the newest; before_id: those before it; after_id: those after it; around_id or at (a time): half before it, half from it on. has_more: there are more on the side asked for; with around_id and at, on either side. Who has left sees up to their leaving, and that as it was then: what was edited later with the body of then, nothing of later reactions and pins; what was deleted since is not there. A deleted message stays as a row with deleted_at and nothing in it; what one has deleted for oneself is left out. MC400 more_than_one_anchor, invalid_argument (page_size); MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_messages TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.list_chat_files(actor_id bigint, chat_id bigint, before_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
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
		   AND NOT EXISTS (SELECT FROM chat.erasures e WHERE e.user_id = m.sender_id)
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

CREATE OR REPLACE FUNCTION chat.edit_message(actor_id bigint, chat_id bigint, message_id bigint, body text)
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
		PERFORM chat.log_event(edit_message.chat_id, event.id, event.prev_id, event.number, 'message_edited', edit_message.actor_id,
			jsonb_build_object('message_id', message.id::text, 'body', message.body));
	END IF;
	RETURN chat.describe_message(edit_message.chat_id, edit_message.message_id, edit_message.actor_id);
END
$$;
COMMENT ON FUNCTION chat.edit_message IS 'Replaces the body of one''s own message; NULL or the same body changes nothing. By the setting keep_edits the old body stays in list_message_edits. Mentions stay as they were. Answers the message. MC400 empty_message; MC403 not_permitted, blocked, not_accepting; MC404 no_such_chat, no_such_message; MC409 message_deleted; MC413 message_too_long; MC429 too_many_edits: more than the setting edits_max are kept; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.edit_message TO chat_user, chat_app; -- since 0.2.0

-- A body stands in one logged event at most, the last edit's: so that deleting the message can find it.
CREATE OR REPLACE FUNCTION chat.keep_edit(message chat.messages, event_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF chat.setting_boolean('keep_edits') THEN
		PERFORM chat.check_limit('edits_max', (SELECT count(*) FROM (SELECT FROM chat.message_edits e
			WHERE e.chat_id = message.chat_id AND e.message_id = message.id LIMIT chat.setting_integer('edits_max')) e), 'too_many_edits');
		INSERT INTO chat.message_edits (chat_id, message_id, id, body) VALUES (message.chat_id, message.id, keep_edit.event_id, message.body);
	END IF;
	UPDATE chat.events e SET payload = e.payload - 'body' WHERE e.chat_id = message.chat_id AND e.id = message.edited_id;
END
$$;
COMMENT ON FUNCTION chat.keep_edit IS 'What becomes of the body that an edit replaces: a row of message_edits by the setting keep_edits; the event of the edit before is logged without its body from now on. MC429 too_many_edits by the setting edits_max.';

CREATE OR REPLACE FUNCTION chat.list_message_edits(actor_id bigint, chat_id bigint, message_id bigint, after_id bigint DEFAULT NULL,
	page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, body text, replaced_at timestamptz, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_message_edits.page_size);
	visible record;
	message chat.messages;
BEGIN
	PERFORM chat.check_actor(list_message_edits.actor_id);
	visible := chat.visible_range(list_message_edits.chat_id, list_message_edits.actor_id);
	message := chat.check_visible_message(list_message_edits.chat_id, list_message_edits.message_id, list_message_edits.actor_id);
	RETURN QUERY
	WITH page AS (
		SELECT e.id, e.body FROM chat.message_edits e
		 WHERE message.deleted_id IS NULL AND e.chat_id = list_message_edits.chat_id AND e.message_id = list_message_edits.message_id
		   AND e.id > coalesce(list_message_edits.after_id, 0) AND e.id <= visible.high
		 ORDER BY e.id LIMIT size + 1
	)
	SELECT p.id, p.body, chat.id_time(p.id), (SELECT count(*) > size FROM page) FROM page p ORDER BY p.id LIMIT size;
END
$$;
COMMENT ON FUNCTION chat.list_message_edits IS 'The earlier bodies of a message, oldest first; id is that of the edit that replaced it. Empty where the setting keep_edits is off. MC400 invalid_argument; MC404 no_such_chat, no_such_message.';
GRANT EXECUTE ON FUNCTION chat.list_message_edits TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.delete_message(actor_id bigint, chat_id bigint, message_id bigint, for_everyone boolean DEFAULT NULL)
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
COMMENT ON FUNCTION chat.delete_message IS 'for_everyone (the default): its sender, an admin or the owner deletes a message; a row without content stays. Otherwise only oneself does not see it any more, whoever sent it. Answers the message. MC403 not_permitted; MC404 no_such_chat, no_such_message; MC429 too_many_hidden_messages by the setting hidden_messages_max; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.delete_message TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.delete_messages_content(chat_id bigint, message_id bigint, actor_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event record := chat.next_event(delete_messages_content.chat_id, 0);
	message chat.messages;
BEGIN
	SELECT m.* INTO message FROM chat.messages m WHERE m.chat_id = delete_messages_content.chat_id AND m.id = delete_messages_content.message_id;
	PERFORM chat.drop_message_parts(message);
	UPDATE chat.messages m
	   SET body = '', reply_to_id = NULL, attributes = NULL, edited_id = NULL, deleted_id = event.id, expires_at = NULL, mention_ids = NULL,
		file_ids = NULL, reactions = NULL, pinned = false, pinned_id = NULL, forwarded_from = NULL
	 WHERE m.chat_id = message.chat_id AND m.id = message.id;
	PERFORM chat.log_event(message.chat_id, event.id, event.prev_id, event.number, 'message_deleted', delete_messages_content.actor_id,
		jsonb_build_object('message_id', message.id::text));
END
$$;
COMMENT ON FUNCTION chat.delete_messages_content IS 'Deletes a message for everyone: all but its place in the timeline, its sender and his client_key. For callers who hold the chat''s lock and know that it is not deleted yet; actor_id NULL: nobody did, it has expired.';

CREATE OR REPLACE FUNCTION chat.drop_message_parts(message chat.messages)
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

CREATE OR REPLACE FUNCTION chat.drop_mentions(chat_id bigint, message_id bigint, mention_ids bigint[])
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

CREATE OR REPLACE FUNCTION chat.hide_message(actor_id bigint, chat_id bigint, message_id bigint)
RETURNS chat.message_row LANGUAGE plpgsql AS $$
DECLARE
	message chat.message_row;
BEGIN
	PERFORM chat.check_visible_message(hide_message.chat_id, hide_message.message_id, hide_message.actor_id);
	message := chat.describe_message(hide_message.chat_id, hide_message.message_id, hide_message.actor_id);
	PERFORM chat.check_limit('hidden_messages_max', (SELECT count(*) FROM (SELECT FROM chat.hidden_messages h
		WHERE h.user_id = hide_message.actor_id LIMIT chat.setting_integer('hidden_messages_max')) h), 'too_many_hidden_messages');
	INSERT INTO chat.hidden_messages (user_id, chat_id, message_id, version)
	VALUES (hide_message.actor_id, hide_message.chat_id, hide_message.message_id, chat.take_id())
	ON CONFLICT ON CONSTRAINT hidden_messages_pkey DO NOTHING;
	RETURN message;
END
$$;
COMMENT ON FUNCTION chat.hide_message IS 'delete_message for oneself only.';

CREATE OR REPLACE FUNCTION chat.hidden_message_event(hidden chat.hidden_messages)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('type', 'message_hidden', 'chat_id', hidden.chat_id::text, 'message_id', hidden.message_id::text,
		'version', hidden.version::text, 'at', chat.rfc3339(chat.id_time(hidden.version)))
$$;
COMMENT ON FUNCTION chat.hidden_message_event IS 'The message_hidden event, as it is published and as sync tells it.';

CREATE OR REPLACE FUNCTION chat.publish_hidden_message()
RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF chat.took(new.version) THEN
		PERFORM chat.publish(chat.hidden_message_event(new), ARRAY[new.user_id]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_hidden_message IS 'Trigger: the message_hidden event, to one''s own sockets.';
CREATE OR REPLACE TRIGGER publish_hidden_message AFTER INSERT ON chat.hidden_messages
FOR EACH ROW EXECUTE FUNCTION chat.publish_hidden_message();

-- Whoever gets a chat's lock looks again: what another session has deleted meanwhile is left alone.
CREATE OR REPLACE FUNCTION chat.expire_messages(batch integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ends_at timestamptz := chat.batch_end();
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
		EXIT WHEN clock_timestamp() > ends_at;
	END LOOP;
	RETURN expired;
END
$$;
COMMENT ON FUNCTION chat.expire_messages IS 'A job: deletes for everyone at most batch messages whose expires_in is over, each once; answers how many. Chats that somebody holds wait for the next time.';

CREATE OR REPLACE FUNCTION chat.drop_old_messages(batch integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	oldest_id bigint := chat.id_at(clock_timestamp() - chat.setting_interval('message_retention'));
	ends_at timestamptz := chat.batch_end();
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
			dropped := dropped + chat.drop_messages(behind, oldest_id, drop_old_messages.batch - dropped, ends_at);
		END IF;
		EXIT WHEN dropped >= drop_old_messages.batch OR clock_timestamp() > ends_at;
	END LOOP;
	RETURN dropped;
END
$$;
COMMENT ON FUNCTION chat.drop_old_messages IS 'A job, by the setting message_retention: removes at most batch timeline rows that are older, without a trace and without an event; answers how many. Numbers and unread counts stay.';

CREATE OR REPLACE FUNCTION chat.drop_messages(chat_id bigint, before_id bigint, batch integer, ends_at timestamptz)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	ids bigint[];
	dropped integer := 0;
BEGIN
	LOOP
		ids := ARRAY(SELECT m.id FROM chat.messages m
			WHERE m.chat_id = drop_messages.chat_id AND m.id < drop_messages.before_id ORDER BY m.id LIMIT least(drop_messages.batch - dropped, 20));
		EXIT WHEN ids = '{}';
		PERFORM chat.drop_message_parts(m) FROM chat.messages m WHERE m.chat_id = drop_messages.chat_id AND m.id = ANY (ids);
		DELETE FROM chat.hidden_messages h WHERE h.chat_id = drop_messages.chat_id AND h.message_id = ANY (ids);
		DELETE FROM chat.calls c WHERE c.chat_id = drop_messages.chat_id AND c.id = ANY (ids);
		DELETE FROM chat.messages m WHERE m.chat_id = drop_messages.chat_id AND m.id = ANY (ids);
		dropped := dropped + cardinality(ids);
		EXIT WHEN clock_timestamp() > drop_messages.ends_at;
	END LOOP;
	RETURN dropped;
END
$$;
COMMENT ON FUNCTION chat.drop_messages IS 'Removes at most batch of a chat''s oldest timeline rows before an id, with all that belongs to them, until ends_at; under the chat''s lock.';

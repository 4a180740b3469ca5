CREATE OR REPLACE FUNCTION chat.cursor_event(member chat.members, type text, message_count integer DEFAULT NULL)
RETURNS json LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'chat_cursor_event';
COMMENT ON FUNCTION chat.cursor_event IS 'The event of this type, read or delivered, as the others hear it, and sync tells it; with the chat''s message_count: the read event as the reader himself does, with unread and mentions.';

CREATE OR REPLACE FUNCTION chat.publish_cursor()
RETURNS trigger LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_publish_cursor';
COMMENT ON FUNCTION chat.publish_cursor IS 'Trigger: the read or delivered event, to the members of chats of at most receipts_max_members who may know of it (shows_cursor), and the read event with the unread count to the reader''s own sockets.';
-- By column, not by WHEN: PostgreSQL would parse the condition's tree again at every send, which moves a cursor too.
CREATE OR REPLACE TRIGGER publish_cursor AFTER UPDATE OF read_version ON chat.members
FOR EACH ROW EXECUTE FUNCTION chat.publish_cursor('read');
CREATE OR REPLACE TRIGGER publish_delivered AFTER UPDATE OF delivered_version ON chat.members
FOR EACH ROW EXECUTE FUNCTION chat.publish_cursor('delivered');

-- members.moved says when a cursor last moved, coarsely (4.4 minutes): sync finds by it, in one index probe for each chat, whose
-- did, and most moves still change no indexed column.
CREATE OR REPLACE FUNCTION chat.moved(version bigint)
RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT (moved.version >> 40)::integer $$;
COMMENT ON FUNCTION chat.moved IS 'members.moved of a cursor that has this version.';

-- Reading and delivery lock one's own member row alone, never the chat: a reader does not hold up a sender. What is counted is
-- counted after that lock, in a statement of its own: a sender who mentions the reader meanwhile has either been counted, or
-- waits for the row and counts himself.
CREATE OR REPLACE FUNCTION chat.lock_member(chat_id bigint, user_id bigint)
RETURNS chat.members LANGUAGE plpgsql AS $$
DECLARE
	member chat.members;
BEGIN
	SELECT m.* INTO member FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
	 WHERE m.chat_id = lock_member.chat_id AND m.user_id = lock_member.user_id AND m.left_id IS NULL AND c.deleted_id IS NULL
	   FOR NO KEY UPDATE OF m;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_chat');
	END IF;
	RETURN member;
END
$$;
COMMENT ON FUNCTION chat.lock_member IS 'Locks the row of who is in the chat. MC404 no_such_chat.';

CREATE OR REPLACE FUNCTION chat.move_delivery_cursor(actor_id bigint, chat_id bigint, message_id bigint,
	OUT delivered_id bigint, OUT version bigint)
LANGUAGE plpgsql AS $$
DECLARE
	member chat.members;
	reached bigint;
	moved_id bigint;
BEGIN
	member := chat.lock_member(move_delivery_cursor.chat_id, move_delivery_cursor.actor_id);
	SELECT m.id INTO reached FROM chat.messages m
	 WHERE m.chat_id = move_delivery_cursor.chat_id AND m.id <= move_delivery_cursor.message_id ORDER BY m.id DESC LIMIT 1;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_message');
	END IF;
	IF reached > member.delivered_id THEN
		moved_id := chat.take_id(member.delivered_version);
		UPDATE chat.members m SET delivered_id = reached, delivered_version = moved_id, moved = greatest(m.moved, chat.moved(moved_id))
		 WHERE m.chat_id = move_delivery_cursor.chat_id AND m.user_id = move_delivery_cursor.actor_id RETURNING m.* INTO member;
	END IF;
	delivered_id := member.delivered_id;
	version := member.delivered_version;
END
$$;
COMMENT ON FUNCTION chat.move_delivery_cursor IS 'mark_delivered, for every case.';

CREATE OR REPLACE FUNCTION chat.mark_delivered(actor_id bigint, chat_id bigint, message_id bigint,
	OUT delivered_id bigint, OUT version bigint)
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_mark_delivered';
COMMENT ON FUNCTION chat.mark_delivered IS 'Moves one''s delivery cursor to this message, or the last one before it: a device of one''s own has it; never back. Answers where it stands. MC404 no_such_chat, no_such_message.';
GRANT EXECUTE ON FUNCTION chat.mark_delivered TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.move_read_cursor(actor_id bigint, chat_id bigint, message_id bigint,
	OUT read_id bigint, OUT unread integer, OUT version bigint, OUT mentions integer)
LANGUAGE plpgsql AS $$
DECLARE
	member chat.members;
	reached record;
	moved_id bigint;
BEGIN
	member := chat.lock_member(move_read_cursor.chat_id, move_read_cursor.actor_id);
	SELECT m.id, m.number INTO reached FROM chat.messages m
	 WHERE m.chat_id = move_read_cursor.chat_id AND m.id <= move_read_cursor.message_id ORDER BY m.id DESC LIMIT 1;
	IF NOT FOUND THEN	-- Where no message is, or none is left, the end of the chat is all that can be read.
		SELECT c.last_event_id AS id, c.message_count AS number INTO reached FROM chat.chats c
		 WHERE c.id = move_read_cursor.chat_id AND c.last_event_id <= move_read_cursor.message_id
		   AND NOT EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = c.id);
		IF NOT FOUND THEN
			PERFORM chat.fail('no_such_message');
		END IF;
	END IF;
	IF member.marked_unread THEN
		PERFORM chat.mark_unread(move_read_cursor.actor_id, move_read_cursor.chat_id, false);
	END IF;
	IF reached.id > member.read_id THEN
		moved_id := chat.take_id(member.read_version);
		UPDATE chat.members m
		   SET read_id = reached.id, read_count = reached.number, read_version = moved_id, moved = greatest(m.moved, chat.moved(moved_id)),
			mentions = (SELECT count(*) FROM chat.mentions n
				WHERE n.user_id = move_read_cursor.actor_id AND n.chat_id = move_read_cursor.chat_id AND n.message_id > reached.id)
		 WHERE m.chat_id = move_read_cursor.chat_id AND m.user_id = move_read_cursor.actor_id RETURNING m.* INTO member;
	END IF;
	read_id := member.read_id;
	unread := (SELECT c.message_count FROM chat.chats c WHERE c.id = move_read_cursor.chat_id) - member.read_count;
	version := member.read_version;
	mentions := member.mentions;
END
$$;
COMMENT ON FUNCTION chat.move_read_cursor IS 'mark_read, for every case.';

CREATE OR REPLACE FUNCTION chat.mark_read(actor_id bigint, chat_id bigint, message_id bigint,
	OUT read_id bigint, OUT unread integer, OUT version bigint, OUT mentions integer)
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_mark_read';
COMMENT ON FUNCTION chat.mark_read IS 'Moves one''s read cursor to this message, or the last one before it, in a chat without any to its end; never back. Answers where it stands, how many messages lie behind it, and how many of these mention one; version orders the read events of one reader. Takes back mark_unread. Locks only one''s own member row. MC404 no_such_chat, no_such_message.';
GRANT EXECUTE ON FUNCTION chat.mark_read TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.mark_all_read(actor_id bigint, chat_id bigint DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	unread_chat record;
	marked integer := 0;
BEGIN
	PERFORM chat.check_actor(mark_all_read.actor_id);
	IF mark_all_read.chat_id IS NOT NULL THEN
		PERFORM chat.check_member(mark_all_read.chat_id, mark_all_read.actor_id);
	END IF;
	FOR unread_chat IN
		SELECT c.id, CASE WHEN EXISTS (SELECT FROM chat.messages g WHERE g.chat_id = c.id) THEN c.last_event_id
				ELSE 9223372036854775807 END AS last_id
		  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
		 WHERE m.user_id = mark_all_read.actor_id AND m.left_id IS NULL AND c.deleted_id IS NULL
		   AND (mark_all_read.chat_id IS NULL OR m.chat_id = mark_all_read.chat_id)
		   AND (m.read_count < c.message_count OR m.marked_unread)
		 -- Whoever mentions them meanwhile waits, with the chat locked; and each is two events.
		 ORDER BY c.id LIMIT chat.setting_integer('page_size_max')
	LOOP
		PERFORM chat.mark_read(mark_all_read.actor_id, unread_chat.id, unread_chat.last_id);
		marked := marked + 1;
	END LOOP;
	RETURN marked;
END
$$;
COMMENT ON FUNCTION chat.mark_all_read IS 'mark_read to the last message of one chat, or of all, at most the setting page_size_max of them in a call; answers in how many chats there was something unread: call again until that is 0. MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.mark_all_read TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.mark_unread(actor_id bigint, chat_id bigint, marked boolean DEFAULT NULL,
	OUT marked_unread boolean, OUT version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	member chat.members;
BEGIN
	PERFORM chat.check_actor(mark_unread.actor_id);
	member := chat.lock_member(mark_unread.chat_id, mark_unread.actor_id);
	IF member.marked_unread <> coalesce(mark_unread.marked, true) THEN
		UPDATE chat.members m SET marked_unread = NOT m.marked_unread, prefs_version = chat.take_id(m.prefs_version)
		 WHERE m.chat_id = mark_unread.chat_id AND m.user_id = mark_unread.actor_id RETURNING m.* INTO member;
	END IF;
	marked_unread := member.marked_unread;
	version := member.prefs_version;
END
$$;
COMMENT ON FUNCTION chat.mark_unread IS 'Marks a chat as unread for oneself (marked, by default true), or not any more; a private flag that moves no cursor. The next mark_read takes it back. version is that of the chat''s prefs. MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.mark_unread TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.check_small_chat(chat_id bigint)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF check_small_chat.chat_id IS NULL THEN
		PERFORM chat.fail('no_such_chat');
	ELSIF (SELECT c.member_count FROM chat.chats c WHERE c.id = check_small_chat.chat_id) > chat.setting_integer('receipts_max_members') THEN
		PERFORM chat.fail('chat_too_large', NULL, format('It may have %s.', chat.setting_integer('receipts_max_members')));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_small_chat IS 'MC403 chat_too_large for what is only done in chats of at most receipts_max_members.';

CREATE OR REPLACE FUNCTION chat.list_receipts(actor_id bigint, chat_id bigint, message_id bigint, after_id bigint DEFAULT NULL,
	page_size integer DEFAULT NULL)
RETURNS TABLE (user_id bigint, delivered_id bigint, read_id bigint, has_read boolean, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_receipts.page_size);
	message chat.messages;
BEGIN
	PERFORM chat.check_actor(list_receipts.actor_id);
	message := chat.check_visible_message(list_receipts.chat_id, list_receipts.message_id, list_receipts.actor_id);
	PERFORM chat.check_member(list_receipts.chat_id, list_receipts.actor_id);
	PERFORM chat.check_small_chat(list_receipts.chat_id);
	RETURN QUERY
	WITH page AS (
		SELECT m.user_id, c.delivered_id, m.read_id
		  FROM chat.members m
		 CROSS JOIN LATERAL (SELECT CASE WHEN m.user_id = list_receipts.actor_id OR chat.shows_cursor(m, 'delivered', list_receipts.actor_id)
				THEN greatest(m.delivered_id, m.read_id) ELSE m.read_id END AS delivered_id OFFSET 0) c
		 WHERE m.chat_id = message.chat_id AND m.left_id IS NULL AND m.user_id <> message.sender_id AND m.joined_id < message.id
		   AND greatest(m.delivered_id, m.read_id) >= message.id AND m.user_id > coalesce(list_receipts.after_id, 0)
		   AND c.delivered_id >= message.id AND (m.user_id = list_receipts.actor_id OR chat.shows_cursor(m, 'read', list_receipts.actor_id))
		 ORDER BY m.user_id LIMIT size + 1
	)
	SELECT p.user_id, p.delivered_id, p.read_id, p.read_id >= message.id, (SELECT count(*) > size FROM page)
	  FROM page p ORDER BY p.user_id LIMIT size;
END
$$;
COMMENT ON FUNCTION chat.list_receipts IS 'Which other members a message has reached (delivered_id, read_id: how far each has got; reading is delivery too) and who has read it (has_read), of those who were in the chat when it came; ascending by user_id; after_id: the last one seen. Of the other one of a direct chat nothing before they have written there or are connected, nor across a block; of who was put into a group by somebody they are not connected with, only reading, till they write. MC400 invalid_argument; MC403 chat_too_large; MC404 no_such_chat, no_such_message.';
GRANT EXECUTE ON FUNCTION chat.list_receipts TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE VIEW chat.v_chats AS
SELECT c.id, c.kind, c.creator_id, chat.id_time(c.id) AS created_at, c.last_event_id, c.message_count,
	c.title, c.description, c.avatar_file_id, c.attributes, c.posting, c.member_count
  FROM chat.chats c
 WHERE c.deleted_id IS NULL;
COMMENT ON VIEW chat.v_chats IS 'All chats.';
GRANT SELECT ON chat.v_chats TO chat_app; -- since 0.1.0
GRANT REFERENCES (id) ON chat.chats TO chat_app; -- since 0.1.0

CREATE OR REPLACE VIEW chat.v_members AS
SELECT m.chat_id, m.user_id, m.role, m.read_id, c.message_count - m.read_count AS unread,
	m.mentions, m.delivered_id, chat.id_time(greatest(m.joined_id, m.chat_id)) AS joined_at, m.muted_until
  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
 WHERE m.left_id IS NULL AND c.deleted_id IS NULL;
COMMENT ON VIEW chat.v_members IS 'Who is in which chat, with his cursors and unread count.';
GRANT SELECT ON chat.v_members TO chat_app; -- since 0.1.0

-- Not CHECK constraints: PostgreSQL parses those of a table again in every statement that writes to it, and a message writes to
-- both of these without touching what they are about. That took a sixth of its time.
CREATE OR REPLACE FUNCTION chat.refuse_row()
RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE check_violation USING MESSAGE = format('this row is not acceptable in %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME);
END
$$;
COMMENT ON FUNCTION chat.refuse_row IS 'Trigger: raises 23514 for a row that the trigger''s condition is about.';
CREATE OR REPLACE TRIGGER check_row AFTER INSERT OR UPDATE OF kind, title, description, posting ON chat.chats
FOR EACH ROW WHEN (NEW.kind NOT IN ('direct', 'group', 'room') OR char_length(NEW.title) NOT BETWEEN 1 AND 128
	OR char_length(NEW.description) > 1024 OR NEW.posting NOT IN ('all', 'admins'))
EXECUTE FUNCTION chat.refuse_row();
CREATE OR REPLACE TRIGGER check_row AFTER INSERT OR UPDATE OF role ON chat.members
FOR EACH ROW WHEN (NEW.role NOT IN ('owner', 'admin', 'member')) EXECUTE FUNCTION chat.refuse_row();

CREATE OR REPLACE FUNCTION chat.next_event(chat_id bigint, messages integer, OUT id bigint, OUT prev_id bigint, OUT number integer)
RETURNS record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'chat_next_event';
COMMENT ON FUNCTION chat.next_event IS 'Begins a durable change in a chat: locks its row, takes the change''s id above the chat''s last one, and counts messages (0 or 1) user messages. prev_id is the event before, number the count. MC404 no_such_chat; MC503 chat_busy when another transaction holds the chat longer than chat.lock_timeout.';

CREATE OR REPLACE FUNCTION chat.lock_chat(chat_id bigint)
RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'chat_lock_chat';
COMMENT ON FUNCTION chat.lock_chat IS 'Locks the chat''s row as next_event does, for functions that look before they change. MC404 no_such_chat, for a deleted one too; MC503 chat_busy.';

CREATE OR REPLACE FUNCTION chat.log_event(chat_id bigint, id bigint, prev_id bigint, number integer, type text, actor_id bigint,
	payload jsonb, is_entry boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	entry chat.messages;
BEGIN
	IF log_event.is_entry THEN
		INSERT INTO chat.messages (chat_id, id, prev_id, number, kind, sender_id, body, attributes)
		VALUES (log_event.chat_id, log_event.id, log_event.prev_id, log_event.number, 'system', log_event.actor_id, '',
			log_event.payload || jsonb_build_object('type', log_event.type))
		RETURNING * INTO entry;
		log_event.payload := log_event.payload || jsonb_build_object('message', chat.message_json(entry, 0)::jsonb);
	END IF;
	INSERT INTO chat.events (chat_id, id, prev_id, type, actor_id, payload)
	VALUES (log_event.chat_id, log_event.id, log_event.prev_id, log_event.type, log_event.actor_id, log_event.payload);
END
$$;
COMMENT ON FUNCTION chat.log_event IS 'Logs and publishes a durable event whose id next_event gave; last of all, when the rows it is about are written. payload: its own members, ids as strings. is_entry: it stands in the timeline too, as a message of kind system with the same id.';

CREATE OR REPLACE FUNCTION chat.logged_event(event chat.events)
RETURNS json LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'chat_logged_event';
COMMENT ON FUNCTION chat.logged_event IS 'A logged event as it is published.';

CREATE OR REPLACE FUNCTION chat.publish_event()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'chat_publish_event';
COMMENT ON FUNCTION chat.publish_event IS 'Trigger: a durable event, to the members and to whom it takes out of the chat.';
CREATE OR REPLACE TRIGGER publish_event AFTER INSERT ON chat.events
FOR EACH ROW EXECUTE FUNCTION chat.publish_event();

CREATE OR REPLACE FUNCTION chat.list_large_chats(user_ids bigint[])
RETURNS TABLE (user_id bigint, chat_id bigint, joined_id bigint, last_event_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT m.user_id, m.chat_id, m.joined_id, c.last_event_id
	  FROM unnest(list_large_chats.user_ids) AS wanted (id)
	  JOIN chat.members m ON m.user_id = wanted.id AND m.left_id IS NULL
	  JOIN chat.chats c ON c.id = m.chat_id AND c.large AND c.deleted_id IS NULL
$$;
COMMENT ON FUNCTION chat.list_large_chats IS 'Which large chats these users are in, hence whose chat_channel they hear; joined_id is the event that let them in: earlier ones were not for them; last_event_id the chat''s last one when this was so. For gateways.';
GRANT EXECUTE ON FUNCTION chat.list_large_chats TO chat_gateway; -- since 0.2.0

-- Who is in, and what he may see. The writers' check comes after lock_chat or next_event, so that nobody acts who is just being
-- removed.
CREATE OR REPLACE FUNCTION chat.check_member(chat_id bigint, user_id bigint, roles text[] DEFAULT NULL)
RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
	role text := (SELECT m.role FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
		WHERE m.chat_id = check_member.chat_id AND m.user_id = check_member.user_id AND m.left_id IS NULL AND c.deleted_id IS NULL);
BEGIN
	IF role IS NULL THEN
		PERFORM chat.fail('no_such_chat');
	ELSIF role <> ALL (check_member.roles) THEN
		PERFORM chat.fail('not_permitted');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_member IS 'Raises MC404 no_such_chat for who is not in the chat, MC403 not_permitted for who has none of the roles.';

CREATE OR REPLACE FUNCTION chat.is_member(chat_id bigint, user_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.members m WHERE m.chat_id = is_member.chat_id AND m.user_id = is_member.user_id AND m.left_id IS NULL);
END
$$;
COMMENT ON FUNCTION chat.is_member IS 'Whether he is in the chat.';

CREATE OR REPLACE FUNCTION chat.visible_range(chat_id bigint, user_id bigint, OUT low bigint, OUT high bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
	SELECT m.visible_from, coalesce(m.left_id, 9223372036854775807) INTO low, high
	  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id
	 WHERE m.chat_id = visible_range.chat_id AND m.user_id = visible_range.user_id AND c.deleted_id IS NULL;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_chat');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.visible_range IS 'What a member, or who has left, may see of a chat: ids above low, up to high. MC404 no_such_chat.';

-- What list_chats and get_chat show of chats, for the chats of one page: "seen" is the chat's row, or what it was when the
-- actor left.
CREATE OR REPLACE FUNCTION chat.describe_chats(actor_id bigint, chat_ids bigint[])
RETURNS SETOF chat.chat_row LANGUAGE sql STABLE AS $$
	SELECT c.id, c.kind, chat.id_time(c.id), c.creator_id, seen.title, seen.description, seen.avatar_file_id, seen.attributes,
		seen.posting, seen.member_count, CASE WHEN own.left_id IS NULL THEN own.role END, chat.id_time(own.left_id),
		(SELECT jsonb_build_object('id', u.id::text, 'user_name', u.user_name, 'display_name', u.display_name,
				'avatar_file_id', u.avatar_file_id::text)
		   FROM chat.v_users u WHERE u.id = other.user_id),
		seen.last_event_id,
		(SELECT chat.message_json(m, describe_chats.actor_id) FROM chat.messages m
		  WHERE m.chat_id = c.id AND m.id > own.visible_from AND m.id <= coalesce(own.left_id, 9223372036854775807)
			AND NOT EXISTS (SELECT FROM chat.hidden_messages h
				WHERE h.user_id = own.user_id AND h.chat_id = m.chat_id AND h.message_id = m.id)
		  ORDER BY m.id DESC LIMIT 1),
		seen.message_count, seen.message_count - own.read_count, own.mentions, own.read_id, own.delivered_id,
		other.read_id, other.delivered_id, own.muted_until, own.archived, own.pinned, own.marked_unread, own.prefs_version,
		(SELECT jsonb_build_object('body', d.body, 'reply_to_id', d.reply_to_id::text, 'version', d.version::text)
		   FROM chat.drafts d
		  WHERE d.user_id = own.user_id AND d.chat_id = c.id AND (d.body <> '' OR d.reply_to_id IS NOT NULL))
	  FROM unnest(describe_chats.chat_ids) AS wanted (id)
	  JOIN chat.chats c ON c.id = wanted.id
	-- OFFSET 0: looked up by both columns, not found among all of the actor's chats
	 CROSS JOIN LATERAL (SELECT m.* FROM chat.members m
		WHERE m.chat_id = c.id AND m.user_id = describe_chats.actor_id OFFSET 0) AS own
	 CROSS JOIN LATERAL jsonb_populate_record(c, own.left_chat) AS seen
	  LEFT JOIN chat.direct_chats pair ON pair.chat_id = c.id
	  LEFT JOIN chat.members other ON other.chat_id = pair.chat_id
		AND other.user_id = CASE pair.low_user_id WHEN describe_chats.actor_id THEN pair.high_user_id ELSE pair.low_user_id END
	 WHERE c.deleted_id IS NULL
$$;
COMMENT ON FUNCTION chat.describe_chats IS 'Chats as list_chats shows them, to who is or was in them.';

CREATE OR REPLACE FUNCTION chat.get_chat(actor_id bigint, chat_id bigint)
RETURNS chat.chat_row LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found_chat chat.chat_row;
BEGIN
	PERFORM chat.check_actor(get_chat.actor_id);
	SELECT d.* INTO found_chat FROM chat.describe_chats(get_chat.actor_id, ARRAY[get_chat.chat_id]) d;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_chat');
	END IF;
	RETURN found_chat;
END
$$;
COMMENT ON FUNCTION chat.get_chat IS 'One chat as list_chats shows it. MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.get_chat TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.list_chats(actor_id bigint, page_size integer DEFAULT NULL, before_id bigint DEFAULT NULL,
	include_archived boolean DEFAULT NULL, include_left boolean DEFAULT NULL)
RETURNS SETOF chat.chat_page LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_chats.page_size);
	page bigint[];
BEGIN
	PERFORM chat.check_actor(list_chats.actor_id);
	page := ARRAY(	-- OFFSET 0: never by reading all chats there are
		SELECT c.id
		  FROM chat.members m CROSS JOIN LATERAL (SELECT c.* FROM chat.chats c WHERE c.id = m.chat_id OFFSET 0) c
		 WHERE m.user_id = list_chats.actor_id AND c.deleted_id IS NULL
		   AND (m.left_id IS NULL OR list_chats.include_left)
		   AND (NOT m.archived OR list_chats.include_archived)
		   AND (c.kind <> 'direct' OR c.message_count > 0 OR c.creator_id = list_chats.actor_id)
		   AND (m.hidden_id = 0 OR EXISTS (SELECT FROM chat.messages n
				WHERE n.chat_id = c.id AND n.id > m.hidden_id AND n.kind = 'user'))
		   AND least(c.last_event_id, m.left_id) < coalesce(list_chats.before_id, 9223372036854775807)
		 ORDER BY least(c.last_event_id, m.left_id) DESC
		 LIMIT size + 1);
	RETURN QUERY
	SELECT d.*, cardinality(page) > size
	  FROM chat.describe_chats(list_chats.actor_id, page[1:size]) d
	 ORDER BY d.last_event_id DESC;
END
$$;
COMMENT ON FUNCTION chat.list_chats IS 'One''s own chats, the latest event first. before_id: last_event_id of the last row seen. include_archived, include_left: those too; by default neither. A left chat (left_at, no role) is shown as it was then. other_user, other_read_id and other_delivered_id: in direct chats. last_message: what one may see of it. unread and mentions: messages above one''s read cursor. draft: {body, reply_to_id, version}. A direct chat that somebody else has opened, or that one has hidden, shows up with its next message. MC400 invalid_argument (page_size).';
GRANT EXECUTE ON FUNCTION chat.list_chats TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.open_direct_chat(actor_id bigint, user_id bigint)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	low bigint := least(open_direct_chat.actor_id, open_direct_chat.user_id);
	high bigint := greatest(open_direct_chat.actor_id, open_direct_chat.user_id);
	new_id bigint;
	open_id bigint;
BEGIN
	PERFORM chat.check_actor(open_direct_chat.actor_id);
	IF open_direct_chat.user_id IS NULL THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	SELECT d.chat_id INTO open_id FROM chat.direct_chats d WHERE d.low_user_id = low AND d.high_user_id = high;
	IF NOT FOUND THEN
		PERFORM chat.check_users(ARRAY[open_direct_chat.actor_id, open_direct_chat.user_id]);
		PERFORM chat.check_direct(open_direct_chat.actor_id, open_direct_chat.user_id);
		-- Whoever inserts the pair makes the chat; who comes second waits for him here.
		new_id := chat.take_id();
		INSERT INTO chat.direct_chats AS d (low_user_id, high_user_id, chat_id) VALUES (low, high, new_id)
		ON CONFLICT (low_user_id, high_user_id) DO NOTHING RETURNING d.chat_id INTO open_id;
		IF FOUND THEN
			INSERT INTO chat.chats (id, kind, creator_id, last_event_id, member_count)
			VALUES (new_id, 'direct', open_direct_chat.actor_id, new_id, CASE WHEN low = high THEN 1 ELSE 2 END);
			INSERT INTO chat.members (chat_id, user_id) SELECT DISTINCT new_id, u.id FROM unnest(ARRAY[low, high]) AS u (id);
		ELSE
			SELECT d.chat_id INTO STRICT open_id FROM chat.direct_chats d WHERE d.low_user_id = low AND d.high_user_id = high;
		END IF;
	END IF;
	UPDATE chat.members m SET hidden_id = 0, prefs_version = chat.take_id(m.prefs_version)
	 WHERE m.chat_id = open_id AND m.user_id = open_direct_chat.actor_id AND m.hidden_id > 0;
	RETURN chat.get_chat(open_direct_chat.actor_id, open_id);
END
$$;
COMMENT ON FUNCTION chat.open_direct_chat IS 'The direct chat with this user, made when there is none; with oneself it holds one''s notes. Again and at the same time from both sides gives the same chat. MC404 no_such_user; MC403 blocked, not_accepting when it would have to be made.';
GRANT EXECUTE ON FUNCTION chat.open_direct_chat TO chat_user, chat_app; -- since 0.1.0

-- Groups and rooms. Whoever changes one begins with this: the row lock, then what the actor may.
CREATE OR REPLACE FUNCTION chat.lock_group(chat_id bigint, actor_id bigint, roles text[] DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chat.lock_chat(lock_group.chat_id);
	PERFORM chat.check_member(lock_group.chat_id, lock_group.actor_id);
	IF (SELECT c.kind FROM chat.chats c WHERE c.id = lock_group.chat_id) = 'direct' THEN
		PERFORM chat.fail('direct_chat');
	END IF;
	PERFORM chat.check_member(lock_group.chat_id, lock_group.actor_id, lock_group.roles);
END
$$;
COMMENT ON FUNCTION chat.lock_group IS 'Locks a group or room for a member with one of the roles. MC404 no_such_chat; MC403 direct_chat, not_permitted; MC503 chat_busy.';

CREATE OR REPLACE FUNCTION chat.check_users(user_ids bigint[])
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF EXISTS (SELECT FROM unnest(check_users.user_ids) AS wanted (id)
		WHERE NOT EXISTS (SELECT FROM chat.users u WHERE u.id = wanted.id AND NOT u.deleted)) THEN
		PERFORM chat.fail('no_such_user');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_users IS 'Raises MC404 no_such_user unless all of them have an account.';

CREATE OR REPLACE FUNCTION chat.check_newcomers(chat_id bigint, actor_id bigint, user_ids bigint[])
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF cardinality(check_newcomers.user_ids) > chat.setting_integer('members_per_call_max') THEN
		PERFORM chat.fail('invalid_argument', 'there are too many users',
			format('Add at most %s at a time.', chat.setting_integer('members_per_call_max')));
	END IF;
	PERFORM chat.check_users(check_newcomers.user_ids);
	PERFORM chat.check_direct(check_newcomers.actor_id, u) FROM unnest(check_newcomers.user_ids) u;
	IF EXISTS (SELECT FROM chat.bans b WHERE b.chat_id = check_newcomers.chat_id
		AND b.user_id = ANY (check_newcomers.user_ids) AND (b.until IS NULL OR b.until > now())) THEN
		PERFORM chat.fail('banned');
	ELSIF (SELECT c.member_count FROM chat.chats c WHERE c.id = check_newcomers.chat_id) + cardinality(check_newcomers.user_ids)
		> chat.setting_integer('members_max') THEN
		PERFORM chat.fail('chat_full');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_newcomers IS 'Whether actor_id may let these users in (himself: whether he may come in): MC400 invalid_argument, MC404 no_such_user, MC403 blocked, not_accepting, banned, MC429 chat_full.';

-- All ways in end here, with the chat locked and the actor's right checked.
CREATE OR REPLACE FUNCTION chat.admit_members(chat_id bigint, actor_id bigint, user_ids bigint[], role text DEFAULT 'member')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	coming bigint[] := ARRAY(SELECT DISTINCT u FROM unnest(admit_members.user_ids) u
		WHERE NOT chat.is_member(admit_members.chat_id, u) ORDER BY u);
	event record;
BEGIN
	IF cardinality(coming) = 0 THEN
		RETURN;
	END IF;
	PERFORM chat.check_newcomers(admit_members.chat_id, admit_members.actor_id, coming);
	event := chat.next_event(admit_members.chat_id, 0);
	INSERT INTO chat.members AS m (chat_id, user_id, role, joined_id, visible_from, read_id, read_count, delivered_id)
	SELECT admit_members.chat_id, u, admit_members.role, event.id,
		CASE chat.setting_text('history_for_new_members') WHEN 'none' THEN event.id - 1 ELSE 0 END, event.id, event.number, event.id
	  FROM unnest(coming) u
	ON CONFLICT ON CONSTRAINT members_pkey DO UPDATE
	   SET role = excluded.role, joined_id = excluded.joined_id, visible_from = excluded.visible_from, read_id = excluded.read_id,
		   read_count = excluded.read_count, delivered_id = excluded.delivered_id, mentions = 0,
		   left_id = NULL, left_count = NULL, left_chat = NULL;
	UPDATE chat.chats c SET member_count = c.member_count + cardinality(coming) WHERE c.id = admit_members.chat_id;
	PERFORM chat.log_event(admit_members.chat_id, event.id, event.prev_id, event.number, 'member_joined', admit_members.actor_id,
		jsonb_build_object('user_ids', coming::text[], 'role', admit_members.role), true);
	PERFORM chat.grow_chat(admit_members.chat_id, admit_members.actor_id);
END
$$;
COMMENT ON FUNCTION chat.admit_members IS 'Lets in those of the users who are not in yet: the member_joined event, counters, cursors at the present end, history by the setting history_for_new_members. Errors: check_newcomers''.';

CREATE OR REPLACE FUNCTION chat.grow_chat(chat_id bigint, actor_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event record;
BEGIN
	IF NOT EXISTS (SELECT FROM chat.chats c WHERE c.id = grow_chat.chat_id AND NOT c.large
		AND c.member_count > current_setting('chat.user_fanout_limit')::integer) THEN
		RETURN;
	END IF;
	event := chat.next_event(grow_chat.chat_id, 0);
	PERFORM chat.log_event(grow_chat.chat_id, event.id, event.prev_id, event.number, 'chat_changed', grow_chat.actor_id, '{"large": true}');
	UPDATE chat.chats c SET large = true WHERE c.id = grow_chat.chat_id;
END
$$;
COMMENT ON FUNCTION chat.grow_chat IS 'Once the chat has more than chat.user_fanout_limit members: says so on their own channels, for the last time; from here on its events go to its channel.';

-- All ways out end here, with the chat locked and the actor's right checked.
CREATE OR REPLACE FUNCTION chat.drop_member(chat_id bigint, user_id bigint, actor_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event record := chat.next_event(drop_member.chat_id, 0);
	was_owner boolean := (SELECT m.role = 'owner' FROM chat.members m
		WHERE m.chat_id = drop_member.chat_id AND m.user_id = drop_member.user_id);
	remains chat.chats;
BEGIN
	UPDATE chat.chats c SET member_count = c.member_count - 1 WHERE c.id = drop_member.chat_id RETURNING c.* INTO remains;
	UPDATE chat.members m
	   SET role = 'member', left_id = event.id, left_count = event.number, left_chat = to_jsonb(remains),
		   read_id = event.id, read_count = event.number, mentions = 0
	 WHERE m.chat_id = drop_member.chat_id AND m.user_id = drop_member.user_id;
	PERFORM chat.log_event(drop_member.chat_id, event.id, event.prev_id, event.number, 'member_left', drop_member.actor_id,
		jsonb_build_object('user_ids', ARRAY[drop_member.user_id::text]), true);
	IF remains.member_count = 0 THEN
		PERFORM chat.end_chat(drop_member.chat_id, drop_member.actor_id);
	ELSIF was_owner THEN
		PERFORM chat.change_role(drop_member.chat_id, chat.find_heir(drop_member.chat_id), 'owner', drop_member.actor_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.drop_member IS 'Takes a present member out: the member_left event, the last one that he gets; an owner''s heir takes over, and with the last one the chat ends. For leaving, removal, ban and the deletion of an account. actor_id: who does it.';

CREATE OR REPLACE FUNCTION chat.find_heir(chat_id bigint)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT m.user_id FROM chat.members m
	 WHERE m.chat_id = find_heir.chat_id AND m.left_id IS NULL
	 ORDER BY m.role = 'admin' DESC, m.joined_id, m.user_id LIMIT 1);
END
$$;
COMMENT ON FUNCTION chat.find_heir IS 'Who owns a chat when its owner has left: the admin who has been in it longest, else the member.';

CREATE OR REPLACE FUNCTION chat.change_role(chat_id bigint, user_id bigint, role text, actor_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event record := chat.next_event(change_role.chat_id, 0);
BEGIN
	UPDATE chat.members m SET role = change_role.role WHERE m.chat_id = change_role.chat_id AND m.user_id = change_role.user_id;
	PERFORM chat.log_event(change_role.chat_id, event.id, event.prev_id, event.number, 'member_changed', change_role.actor_id,
		jsonb_build_object('user_ids', ARRAY[change_role.user_id::text], 'role', change_role.role), true);
END
$$;
COMMENT ON FUNCTION chat.change_role IS 'Gives a present member another role: the member_changed event. The chat is locked and the right checked.';

CREATE OR REPLACE FUNCTION chat.end_chat(chat_id bigint, actor_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event record := chat.next_event(end_chat.chat_id, 0);
BEGIN
	UPDATE chat.chats c SET deleted_id = event.id WHERE c.id = end_chat.chat_id;
	DELETE FROM chat.invite_links l WHERE l.chat_id = end_chat.chat_id;
	PERFORM chat.log_event(end_chat.chat_id, event.id, event.prev_id, event.number, 'chat_deleted', end_chat.actor_id, '{}');
END
$$;
COMMENT ON FUNCTION chat.end_chat IS 'Deletes a chat for everybody: the chat_deleted event. drop_deleted_chats removes what it held.';

CREATE OR REPLACE FUNCTION chat.check_chat(title text, description text, attributes jsonb, posting text)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	PERFORM chat.check_length(title, 'title', 0, 128);
	PERFORM chat.check_length(description, 'description', 0, 1024);
	PERFORM chat.check_attributes(attributes);
	IF posting NOT IN ('all', 'admins') THEN
		PERFORM chat.fail('invalid_argument', 'posting is not acceptable', 'Use all or admins.');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_chat IS 'Raises MC400 or MC413 for what no chat accepts; NULL passes.';

CREATE OR REPLACE FUNCTION chat.create_chat(actor_id bigint, kind text, title text, description text, member_ids bigint[],
	attributes jsonb, client_key text)
RETURNS chat.chat_row LANGUAGE plpgsql AS $$
DECLARE
	request jsonb := jsonb_build_object('title', title, 'description', description, 'member_ids', member_ids, 'attributes', attributes);
	new_id bigint := chat.client_key_result(actor_id, 'create_' || kind, client_key, request);
BEGIN
	IF new_id IS NULL THEN
		PERFORM chat.check_chat(create_chat.title, create_chat.description, create_chat.attributes, NULL);
		new_id := chat.take_id();
		INSERT INTO chat.chats (id, kind, creator_id, last_event_id, title, description, attributes)
		VALUES (new_id, create_chat.kind, create_chat.actor_id, new_id, nullif(create_chat.title, ''),
			nullif(create_chat.description, ''), nullif(create_chat.attributes, '{}'));
		PERFORM chat.admit_members(new_id, create_chat.actor_id, ARRAY[create_chat.actor_id], 'owner');
		PERFORM chat.admit_members(new_id, create_chat.actor_id, create_chat.member_ids);
		PERFORM chat.save_client_key(actor_id, 'create_' || kind, client_key, request, new_id);
	END IF;
	RETURN chat.get_chat(create_chat.actor_id, new_id);
END
$$;
COMMENT ON FUNCTION chat.create_chat IS 'What create_group and create_room share.';

CREATE OR REPLACE FUNCTION chat.create_group(actor_id bigint, title text DEFAULT NULL, member_ids bigint[] DEFAULT NULL,
	attributes jsonb DEFAULT NULL, client_key text DEFAULT NULL)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(create_group.actor_id);
	RETURN chat.create_chat(create_group.actor_id, 'group', create_group.title, NULL, create_group.member_ids,
		create_group.attributes, create_group.client_key);
END
$$;
COMMENT ON FUNCTION chat.create_group IS 'Makes a group that the actor owns, with these members; others come in by invitation. title: at most 128 characters, may be missing. member_ids: at most the setting members_per_call_max. client_key: 1 to 64 characters; the same key answers the same group again. MC400 invalid_argument; MC403 blocked, not_accepting; MC404 no_such_user; MC409 client_key_reused; MC413 too_large; MC429 chat_full.';
GRANT EXECUTE ON FUNCTION chat.create_group TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.create_room(actor_id bigint, title text, description text DEFAULT NULL, attributes jsonb DEFAULT NULL,
	client_key text DEFAULT NULL)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(create_room.actor_id);
	PERFORM chat.check_length(coalesce(create_room.title, ''), 'title', 1, 128);
	RETURN chat.create_chat(create_room.actor_id, 'room', create_room.title, create_room.description, NULL,
		create_room.attributes, create_room.client_key);
END
$$;
COMMENT ON FUNCTION chat.create_room IS 'Makes a room that the actor owns; anyone can find and join it. title: 1 to 128 characters; description: at most 1,024. client_key: as in create_group. MC400 invalid_argument; MC409 client_key_reused; MC413 too_large.';
GRANT EXECUTE ON FUNCTION chat.create_room TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.search_rooms(actor_id bigint, pattern text DEFAULT NULL, page_size integer DEFAULT NULL,
	after_id bigint DEFAULT NULL)
RETURNS TABLE (id bigint, title text, description text, avatar_file_id bigint, attributes jsonb, created_at timestamptz,
	member_count integer, is_member boolean, has_more boolean)
-- A plan for any pattern, or none, could not use the trigram indexes.
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	words text := nullif(lower(btrim(search_rooms.pattern)), '');
	-- A trigram index finds substrings of 3 characters and more; 2 are looked for at the beginning only.
	anywhere text := CASE WHEN char_length(words) > 2 THEN '%' ELSE '' END
		|| replace(replace(replace(words, '\', '\\'), '%', '\%'), '_', '\_') || '%';
	size integer := chat.page_size(search_rooms.page_size);
BEGIN
	PERFORM chat.check_actor(search_rooms.actor_id);
	IF char_length(words) < 2 THEN
		PERFORM chat.fail('pattern_too_short');
	END IF;
	PERFORM chat.check_length(words, 'pattern', 2, 64);
	RETURN QUERY
	WITH found AS (
		SELECT c.* FROM chat.chats c
		 WHERE c.kind = 'room' AND c.deleted_id IS NULL AND c.id > coalesce(search_rooms.after_id, 0)
		   AND (anywhere IS NULL OR lower(c.title) LIKE anywhere OR lower(c.description) LIKE anywhere)
		   AND NOT EXISTS (SELECT FROM chat.bans b WHERE b.chat_id = c.id AND b.user_id = search_rooms.actor_id
				AND (b.until IS NULL OR b.until > now()))
		 ORDER BY c.id LIMIT size + 1
	)
	SELECT f.id, f.title, f.description, f.avatar_file_id, f.attributes, chat.id_time(f.id), f.member_count,
		chat.is_member(f.id, search_rooms.actor_id), (SELECT count(*) > size FROM found)
	  FROM found f ORDER BY f.id LIMIT size;
END
$$;
COMMENT ON FUNCTION chat.search_rooms IS 'Rooms whose title or description contains pattern, whatever the case, the oldest first; all rooms without a pattern, with just 2 characters only beginnings. Not those from which the actor is banned. after_id: id of the last row seen. MC400 pattern_too_short (under 2 characters), invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.search_rooms TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.join_room(actor_id bigint, chat_id bigint)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(join_room.actor_id);
	PERFORM chat.lock_chat(join_room.chat_id);
	IF (SELECT c.kind FROM chat.chats c WHERE c.id = join_room.chat_id) <> 'room' THEN
		PERFORM chat.check_member(join_room.chat_id, join_room.actor_id);
	END IF;
	PERFORM chat.admit_members(join_room.chat_id, join_room.actor_id, ARRAY[join_room.actor_id]);
	RETURN chat.get_chat(join_room.actor_id, join_room.chat_id);
END
$$;
COMMENT ON FUNCTION chat.join_room IS 'Joins a room; again is no error. MC404 no_such_chat, for groups that one is not in, too; MC403 banned; MC429 chat_full.';
GRANT EXECUTE ON FUNCTION chat.join_room TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.leave_chat(actor_id bigint, chat_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(leave_chat.actor_id);
	IF EXISTS (SELECT FROM chat.members m
		WHERE m.chat_id = leave_chat.chat_id AND m.user_id = leave_chat.actor_id AND m.left_id IS NOT NULL) THEN
		RETURN;
	END IF;
	PERFORM chat.lock_group(leave_chat.chat_id, leave_chat.actor_id);
	PERFORM chat.drop_member(leave_chat.chat_id, leave_chat.actor_id, leave_chat.actor_id);
END
$$;
COMMENT ON FUNCTION chat.leave_chat IS 'Leaves a group or room, which stays readable up to there; again is no error. An owner hands over to the admin who has been in it longest, else the member; with the last one the chat is deleted. MC404 no_such_chat; MC403 direct_chat.';
GRANT EXECUTE ON FUNCTION chat.leave_chat TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.chat_json(of_chat chat.chats)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('title', of_chat.title, 'description', of_chat.description,
		'avatar_file_id', of_chat.avatar_file_id::text, 'attributes', of_chat.attributes, 'posting', of_chat.posting)
$$;
COMMENT ON FUNCTION chat.chat_json IS 'What edit_chat can change, as it stands in chat_changed.';

CREATE OR REPLACE FUNCTION chat.edit_chat(actor_id bigint, chat_id bigint, title text DEFAULT NULL, description text DEFAULT NULL,
	avatar_file_id bigint DEFAULT NULL, attributes jsonb DEFAULT NULL, posting text DEFAULT NULL)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old chat.chats;
	new chat.chats;
	changes jsonb;
	event record;
BEGIN
	PERFORM chat.check_actor(edit_chat.actor_id);
	PERFORM chat.check_chat(edit_chat.title, edit_chat.description, edit_chat.attributes, edit_chat.posting);
	PERFORM chat.lock_group(edit_chat.chat_id, edit_chat.actor_id, ARRAY['owner', 'admin']);
	SELECT c.* INTO old FROM chat.chats c WHERE c.id = edit_chat.chat_id;
	new := old;
	new.title := nullif(coalesce(edit_chat.title, old.title), '');
	new.description := nullif(coalesce(edit_chat.description, old.description), '');
	new.avatar_file_id := nullif(coalesce(edit_chat.avatar_file_id, old.avatar_file_id), 0);
	new.attributes := nullif(coalesce(edit_chat.attributes, old.attributes), '{}');
	new.posting := coalesce(edit_chat.posting, old.posting);
	IF new.kind = 'room' THEN
		PERFORM chat.check_length(coalesce(new.title, ''), 'title', 1, 128);
	END IF;
	SELECT jsonb_object_agg(n.key, n.value) INTO changes
	  FROM jsonb_each(chat.chat_json(new)) n WHERE n.value <> chat.chat_json(old) -> n.key;
	IF changes ->> 'avatar_file_id' IS NOT NULL THEN	-- avatars are readable for everyone
		PERFORM chat.check_avatar(edit_chat.actor_id, new.avatar_file_id);
	END IF;
	IF changes IS NOT NULL THEN
		event := chat.next_event(edit_chat.chat_id, 0);
		UPDATE chat.chats c
		   SET title = new.title, description = new.description, avatar_file_id = new.avatar_file_id,
			   attributes = new.attributes, posting = new.posting
		 WHERE c.id = edit_chat.chat_id;
		PERFORM chat.log_event(edit_chat.chat_id, event.id, event.prev_id, event.number, 'chat_changed', edit_chat.actor_id, changes,
			changes ? 'title');
	END IF;
	RETURN chat.get_chat(edit_chat.actor_id, edit_chat.chat_id);
END
$$;
COMMENT ON FUNCTION chat.edit_chat IS 'Changes a group or room; for its owner and admins. NULL leaves a value, '''' or 0 or {} clears it. title: at most 128 characters, a room needs one; description: at most 1,024; posting: all or admins may send. A new title stands in the timeline. MC400 invalid_argument; MC403 not_permitted, direct_chat; MC404 no_such_chat, no_such_file; MC413 too_large.';
GRANT EXECUTE ON FUNCTION chat.edit_chat TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.delete_chat(actor_id bigint, chat_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(delete_chat.actor_id);
	IF EXISTS (SELECT FROM chat.chats c JOIN chat.members m ON m.chat_id = c.id
		WHERE c.id = delete_chat.chat_id AND c.deleted_id IS NOT NULL AND m.user_id = delete_chat.actor_id AND m.role = 'owner') THEN
		RETURN;
	END IF;
	PERFORM chat.lock_chat(delete_chat.chat_id);
	PERFORM chat.check_member(delete_chat.chat_id, delete_chat.actor_id);
	UPDATE chat.members m SET hidden_id = c.last_event_id, prefs_version = chat.take_id(m.prefs_version)
	  FROM chat.chats c
	 WHERE c.id = delete_chat.chat_id AND c.kind = 'direct' AND m.chat_id = c.id AND m.user_id = delete_chat.actor_id;
	IF NOT FOUND THEN
		PERFORM chat.check_member(delete_chat.chat_id, delete_chat.actor_id, ARRAY['owner']);
		PERFORM chat.end_chat(delete_chat.chat_id, delete_chat.actor_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.delete_chat IS 'Deletes a group or room for everybody; for its owner. A direct chat is only taken off the actor''s own list until its next message, or until he opens it. Again is no error. MC403 not_permitted; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.delete_chat TO chat_user, chat_app; -- since 0.2.0

-- Who may let others in, by adding them or by links.
CREATE OR REPLACE FUNCTION chat.inviting_roles()
RETURNS text[] LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN NOT chat.setting_boolean('anyone_adds_members') THEN ARRAY['owner', 'admin'] END
$$;
COMMENT ON FUNCTION chat.inviting_roles IS 'The roles that may let others in; NULL = any.';

CREATE OR REPLACE FUNCTION chat.add_members(actor_id bigint, chat_id bigint, user_ids bigint[])
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(add_members.actor_id);
	PERFORM chat.lock_group(add_members.chat_id, add_members.actor_id, chat.inviting_roles());
	PERFORM chat.admit_members(add_members.chat_id, add_members.actor_id, add_members.user_ids);
	RETURN chat.get_chat(add_members.actor_id, add_members.chat_id);
END
$$;
COMMENT ON FUNCTION chat.add_members IS 'Lets these users into a group or room; who is in already stays so. For owner and admins, for every member by the setting anyone_adds_members. All or none. user_ids: at most the setting members_per_call_max. MC400 invalid_argument; MC403 not_permitted, direct_chat, banned, blocked, not_accepting; MC404 no_such_chat, no_such_user; MC429 chat_full.';
GRANT EXECUTE ON FUNCTION chat.add_members TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.check_rank(chat_id bigint, actor_id bigint, user_id bigint)
RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
	ranks constant text[] := ARRAY['member', 'admin', 'owner'];
BEGIN
	IF EXISTS (SELECT FROM chat.members a JOIN chat.members u ON u.chat_id = a.chat_id
		WHERE a.chat_id = check_rank.chat_id AND a.user_id = check_rank.actor_id AND u.user_id = check_rank.user_id
		  AND u.left_id IS NULL AND array_position(ranks, a.role) <= array_position(ranks, u.role)) THEN
		PERFORM chat.fail('not_permitted');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_rank IS 'Raises MC403 not_permitted unless the present member user_id ranks below actor_id: owner, admin, member.';

CREATE OR REPLACE FUNCTION chat.remove_member(actor_id bigint, chat_id bigint, user_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(remove_member.actor_id);
	PERFORM chat.lock_group(remove_member.chat_id, remove_member.actor_id, ARRAY['owner', 'admin']);
	PERFORM chat.check_rank(remove_member.chat_id, remove_member.actor_id, remove_member.user_id);
	IF chat.is_member(remove_member.chat_id, remove_member.user_id) THEN
		PERFORM chat.drop_member(remove_member.chat_id, remove_member.user_id, remove_member.actor_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.remove_member IS 'Takes somebody out of a group or room: the owner anybody else, admins members only. He keeps reading up to there, and may come back by invitation. Who is not in is no error. MC403 not_permitted, direct_chat; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.remove_member TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.ban_member(actor_id bigint, chat_id bigint, user_id bigint, until timestamptz DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(ban_member.actor_id);
	IF ban_member.until <= now() THEN
		PERFORM chat.fail('invalid_argument', 'until is not acceptable', 'Give a time to come, or none for good.');
	END IF;
	PERFORM chat.lock_group(ban_member.chat_id, ban_member.actor_id, ARRAY['owner', 'admin']);
	PERFORM chat.check_users(ARRAY[ban_member.user_id]);
	PERFORM chat.check_rank(ban_member.chat_id, ban_member.actor_id, ban_member.user_id);
	INSERT INTO chat.bans AS b (chat_id, user_id, until, actor_id)
	VALUES (ban_member.chat_id, ban_member.user_id, nullif(ban_member.until, 'infinity'), ban_member.actor_id)
	ON CONFLICT ON CONSTRAINT bans_pkey DO UPDATE SET until = excluded.until, actor_id = excluded.actor_id;
	IF chat.is_member(ban_member.chat_id, ban_member.user_id) THEN
		PERFORM chat.drop_member(ban_member.chat_id, ban_member.user_id, ban_member.actor_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.ban_member IS 'Takes somebody out of a group or room, as remove_member does, and keeps him out until then (NULL: for good): he cannot join, be added, or use an invite link. Works for who is not in, too; again changes the time. MC400 invalid_argument; MC403 not_permitted, direct_chat; MC404 no_such_chat, no_such_user.';
GRANT EXECUTE ON FUNCTION chat.ban_member TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.unban_member(actor_id bigint, chat_id bigint, user_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(unban_member.actor_id);
	PERFORM chat.lock_group(unban_member.chat_id, unban_member.actor_id, ARRAY['owner', 'admin']);
	DELETE FROM chat.bans b WHERE b.chat_id = unban_member.chat_id AND b.user_id = unban_member.user_id;
END
$$;
COMMENT ON FUNCTION chat.unban_member IS 'Lifts a ban; that does not bring him back. For owner and admins; again is no error. MC403 not_permitted, direct_chat; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.unban_member TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.list_bans(actor_id bigint, chat_id bigint, after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, user_name text, display_name text, until timestamptz, banned_by_id bigint, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_bans.page_size);
BEGIN
	PERFORM chat.check_actor(list_bans.actor_id);
	PERFORM chat.check_member(list_bans.chat_id, list_bans.actor_id, ARRAY['owner', 'admin']);
	RETURN QUERY
	WITH found AS (
		SELECT b.* FROM chat.bans b
		 WHERE b.chat_id = list_bans.chat_id AND b.user_id > coalesce(list_bans.after_id, 0) AND (b.until IS NULL OR b.until > now())
		 ORDER BY b.user_id LIMIT size + 1
	)
	SELECT u.id, u.user_name, u.display_name, f.until, f.actor_id, (SELECT count(*) > size FROM found)
	  FROM found f JOIN chat.v_users u ON u.id = f.user_id
	 ORDER BY f.user_id LIMIT size;
END
$$;
COMMENT ON FUNCTION chat.list_bans IS 'Who is banned from a group or room, and until when (NULL: for good); for owner and admins. id is the user''s; after_id: that of the last row seen. MC400 invalid_argument; MC403 not_permitted; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_bans TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.set_member_role(actor_id bigint, chat_id bigint, user_id bigint, role text)
RETURNS chat.member_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	present chat.member_row;
BEGIN
	PERFORM chat.check_actor(set_member_role.actor_id);
	IF set_member_role.role NOT IN ('owner', 'admin', 'member') OR set_member_role.role IS NULL THEN
		PERFORM chat.fail('invalid_argument', 'role is not acceptable', 'Use owner, admin or member.');
	END IF;
	PERFORM chat.lock_group(set_member_role.chat_id, set_member_role.actor_id);
	SELECT d.* INTO present FROM chat.describe_members(set_member_role.chat_id, ARRAY[set_member_role.user_id]) d;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_member');
	ELSIF present.role = set_member_role.role THEN
		RETURN present;
	END IF;
	PERFORM chat.check_member(set_member_role.chat_id, set_member_role.actor_id, ARRAY['owner']);
	IF present.role = 'owner' THEN
		PERFORM chat.fail('not_permitted', 'a chat has an owner', 'Make somebody else the owner.');
	END IF;
	PERFORM chat.change_role(set_member_role.chat_id, set_member_role.user_id, set_member_role.role, set_member_role.actor_id);
	IF set_member_role.role = 'owner' THEN
		PERFORM chat.change_role(set_member_role.chat_id, set_member_role.actor_id, 'admin', set_member_role.actor_id);
	END IF;
	present.role := set_member_role.role;
	RETURN present;
END
$$;
COMMENT ON FUNCTION chat.set_member_role IS 'Makes a member of a group or room owner, admin or member; for its owner, who becomes an admin when he makes somebody else the owner. MC400 invalid_argument; MC403 not_permitted, direct_chat; MC404 no_such_chat, no_such_member.';
GRANT EXECUTE ON FUNCTION chat.set_member_role TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.describe_members(chat_id bigint, user_ids bigint[])
RETURNS SETOF chat.member_row LANGUAGE sql STABLE AS $$
	SELECT u.id, u.user_name, u.display_name, u.avatar_file_id, m.role, chat.id_time(greatest(m.joined_id, m.chat_id))
	  FROM chat.members m JOIN chat.v_users u ON u.id = m.user_id
	 WHERE m.chat_id = describe_members.chat_id AND m.user_id = ANY (describe_members.user_ids) AND m.left_id IS NULL
$$;
COMMENT ON FUNCTION chat.describe_members IS 'Present members as list_members shows them.';

CREATE OR REPLACE FUNCTION chat.list_members(actor_id bigint, chat_id bigint, after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, user_name text, display_name text, avatar_file_id bigint, role text, joined_at timestamptz, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := chat.page_size(list_members.page_size);
	page bigint[];
BEGIN
	PERFORM chat.check_actor(list_members.actor_id);
	PERFORM chat.check_member(list_members.chat_id, list_members.actor_id);
	page := ARRAY(
		SELECT m.user_id FROM chat.members m
		 WHERE m.chat_id = list_members.chat_id AND m.user_id > coalesce(list_members.after_id, 0) AND m.left_id IS NULL
		 ORDER BY m.user_id LIMIT size + 1);
	RETURN QUERY
	SELECT d.*, cardinality(page) > size FROM chat.describe_members(list_members.chat_id, page[1:size]) d ORDER BY d.id;
END
$$;
COMMENT ON FUNCTION chat.list_members IS 'Who is in the chat; for its members. id is the user''s; after_id: that of the last row seen. MC400 invalid_argument (page_size); MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_members TO chat_user, chat_app; -- since 0.2.0

-- Invite links. All that counts or ends one is done under the lock of its chat.
CREATE OR REPLACE FUNCTION chat.create_invite_link(actor_id bigint, chat_id bigint, expires_at timestamptz DEFAULT NULL,
	max_uses integer DEFAULT NULL, client_key text DEFAULT NULL)
RETURNS chat.invite_links LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	request jsonb := jsonb_build_object('chat_id', chat_id, 'expires_at', expires_at, 'max_uses', max_uses);
	link chat.invite_links;
	link_id bigint;
BEGIN
	PERFORM chat.check_actor(create_invite_link.actor_id);
	IF create_invite_link.expires_at <= now() THEN
		PERFORM chat.fail('invalid_argument', 'expires_at is not acceptable', 'Give a time to come, or none.');
	ELSIF create_invite_link.max_uses < 1 THEN
		PERFORM chat.fail('invalid_argument', 'max_uses is not acceptable', 'Use 1 or more, or none.');
	END IF;
	link_id := chat.client_key_result(actor_id, 'create_invite_link', client_key, request);
	PERFORM chat.lock_group(create_invite_link.chat_id, create_invite_link.actor_id, chat.inviting_roles());
	IF link_id IS NULL THEN
		link_id := chat.take_id();
		INSERT INTO chat.invite_links (chat_id, id, code, creator_id, expires_at, max_uses)
		VALUES (create_invite_link.chat_id, link_id, left(chat.new_token(), 32), create_invite_link.actor_id,
			nullif(create_invite_link.expires_at, 'infinity'), create_invite_link.max_uses);
		PERFORM chat.save_client_key(actor_id, 'create_invite_link', client_key, request, link_id);
	END IF;
	SELECT l.* INTO link FROM chat.invite_links l WHERE l.chat_id = create_invite_link.chat_id AND l.id = link_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_link');
	END IF;
	RETURN link;
END
$$;
COMMENT ON FUNCTION chat.create_invite_link IS 'Makes a secret code by which whoever has it can join a group or room (redeem_invite_link), until expires_at and max_uses times (NULL: without end). For whom add_members is. client_key: as in create_group. MC400 invalid_argument; MC403 not_permitted, direct_chat; MC404 no_such_chat, no_such_link when what the key stands for was revoked; MC409 client_key_reused.';
GRANT EXECUTE ON FUNCTION chat.create_invite_link TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.list_invite_links(actor_id bigint, chat_id bigint)
RETURNS SETOF chat.invite_links LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(list_invite_links.actor_id);
	PERFORM chat.check_member(list_invite_links.chat_id, list_invite_links.actor_id, chat.inviting_roles());
	RETURN QUERY
	SELECT l.* FROM chat.invite_links l WHERE l.chat_id = list_invite_links.chat_id AND chat.is_open_link(l) ORDER BY l.id;
END
$$;
COMMENT ON FUNCTION chat.list_invite_links IS 'The links by which one can still join; for whom add_members is. MC403 not_permitted; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.list_invite_links TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.is_open_link(link chat.invite_links)
RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT (link.expires_at IS NULL OR link.expires_at > now()) AND (link.max_uses IS NULL OR link.uses < link.max_uses)
$$;
COMMENT ON FUNCTION chat.is_open_link IS 'Whether one can still join by it.';

CREATE OR REPLACE FUNCTION chat.revoke_invite_link(actor_id bigint, code text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	of_chat bigint := (SELECT l.chat_id FROM chat.invite_links l WHERE l.code = revoke_invite_link.code);
BEGIN
	PERFORM chat.check_actor(revoke_invite_link.actor_id);
	IF of_chat IS NOT NULL THEN
		PERFORM chat.lock_group(of_chat, revoke_invite_link.actor_id, chat.inviting_roles());
		DELETE FROM chat.invite_links l WHERE l.code = revoke_invite_link.code;
	END IF;
END
$$;
COMMENT ON FUNCTION chat.revoke_invite_link IS 'Ends an invite link; for whom add_members is. One that is not there is no error. MC403 not_permitted; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.revoke_invite_link TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.redeem_invite_link(actor_id bigint, code text)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	of_chat bigint := (SELECT l.chat_id FROM chat.invite_links l WHERE l.code = redeem_invite_link.code);
BEGIN
	PERFORM chat.check_actor(redeem_invite_link.actor_id);
	IF of_chat IS NULL THEN
		PERFORM chat.fail('no_such_link');
	END IF;
	PERFORM chat.lock_chat(of_chat);
	IF NOT chat.is_member(of_chat, redeem_invite_link.actor_id) THEN
		UPDATE chat.invite_links l SET uses = l.uses + 1 WHERE l.code = redeem_invite_link.code AND chat.is_open_link(l);
		IF NOT FOUND THEN
			PERFORM chat.fail('no_such_link');
		END IF;
		PERFORM chat.admit_members(of_chat, redeem_invite_link.actor_id, ARRAY[redeem_invite_link.actor_id]);
	END IF;
	RETURN chat.get_chat(redeem_invite_link.actor_id, of_chat);
END
$$;
COMMENT ON FUNCTION chat.redeem_invite_link IS 'Joins the chat that the link is for; who is in already uses nothing up. MC404 no_such_link, the same for one that never was, has expired, was used up or revoked; MC403 banned; MC429 chat_full.';
GRANT EXECUTE ON FUNCTION chat.redeem_invite_link TO chat_user, chat_app; -- since 0.2.0

-- What a chat is to oneself alone
CREATE OR REPLACE FUNCTION chat.set_chat_prefs(actor_id bigint, chat_id bigint, muted_until timestamptz DEFAULT NULL,
	archived boolean DEFAULT NULL, pinned boolean DEFAULT NULL)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(set_chat_prefs.actor_id);
	PERFORM chat.visible_range(set_chat_prefs.chat_id, set_chat_prefs.actor_id);
	-- JSON has no infinity
	set_chat_prefs.muted_until := least(set_chat_prefs.muted_until, '9999-12-31 00:00:00+00');
	UPDATE chat.members m
	   SET muted_until = CASE WHEN set_chat_prefs.muted_until IS NULL THEN m.muted_until
				WHEN set_chat_prefs.muted_until > now() THEN set_chat_prefs.muted_until END,
		   archived = coalesce(set_chat_prefs.archived, m.archived), pinned = coalesce(set_chat_prefs.pinned, m.pinned),
		   prefs_version = chat.take_id(m.prefs_version)
	 WHERE m.chat_id = set_chat_prefs.chat_id AND m.user_id = set_chat_prefs.actor_id
	   AND (m.archived <> set_chat_prefs.archived OR m.pinned <> set_chat_prefs.pinned
		 OR set_chat_prefs.muted_until > now() AND m.muted_until IS DISTINCT FROM set_chat_prefs.muted_until
		 OR set_chat_prefs.muted_until <= now() AND m.muted_until IS NOT NULL);
	RETURN chat.get_chat(set_chat_prefs.actor_id, set_chat_prefs.chat_id);
END
$$;
COMMENT ON FUNCTION chat.set_chat_prefs IS 'One''s own view of a chat: no push until muted_until (a time gone by unmutes, infinity is the year 9999), archived (off the list until asked for), pinned (a flag). NULL leaves a value. MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.set_chat_prefs TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.prefs_event(member chat.members)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('type', 'chat_prefs_changed', 'chat_id', member.chat_id::text, 'version', member.prefs_version::text,
		'muted_until', chat.rfc3339(member.muted_until), 'archived', member.archived, 'pinned', member.pinned,
		'marked_unread', member.marked_unread, 'hidden', member.hidden_id > 0)
$$;
COMMENT ON FUNCTION chat.prefs_event IS 'The chat_prefs_changed event, as it is published and as sync tells it.';

CREATE OR REPLACE FUNCTION chat.publish_prefs()
RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF chat.took(NEW.prefs_version) THEN
		PERFORM chat.publish(chat.prefs_event(NEW), ARRAY[NEW.user_id]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_prefs IS 'Trigger: the chat_prefs_changed event, to one''s own sockets.';
CREATE OR REPLACE TRIGGER publish_prefs AFTER UPDATE OF prefs_version ON chat.members
FOR EACH ROW EXECUTE FUNCTION chat.publish_prefs();

CREATE OR REPLACE FUNCTION chat.save_draft(actor_id bigint, chat_id bigint, body text DEFAULT NULL, reply_to_id bigint DEFAULT NULL)
RETURNS chat.drafts LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	draft chat.drafts;
BEGIN
	PERFORM chat.check_actor(save_draft.actor_id);
	PERFORM chat.check_member(save_draft.chat_id, save_draft.actor_id);
	IF char_length(save_draft.body) > chat.setting_integer('body_max_length') THEN
		PERFORM chat.fail('message_too_long', NULL, format('Use at most %s characters.', chat.setting_integer('body_max_length')));
	END IF;
	save_draft.reply_to_id := nullif(save_draft.reply_to_id, 0);
	IF save_draft.reply_to_id IS NOT NULL THEN
		PERFORM chat.check_visible_message(save_draft.chat_id, save_draft.reply_to_id, save_draft.actor_id);
	END IF;
	INSERT INTO chat.drafts AS d (user_id, chat_id, body, reply_to_id, version)
	VALUES (save_draft.actor_id, save_draft.chat_id, coalesce(save_draft.body, ''), save_draft.reply_to_id, chat.take_id())
	ON CONFLICT ON CONSTRAINT drafts_pkey DO UPDATE
	   SET body = excluded.body, reply_to_id = excluded.reply_to_id, version = chat.take_id(d.version)
	 WHERE d.body <> excluded.body OR d.reply_to_id IS DISTINCT FROM excluded.reply_to_id;
	SELECT d.* INTO draft FROM chat.drafts d WHERE d.user_id = save_draft.actor_id AND d.chat_id = save_draft.chat_id;
	RETURN draft;
END
$$;
COMMENT ON FUNCTION chat.save_draft IS 'Keeps what one has begun to write in a chat for one''s other devices, in place of the draft before; without body and reply_to_id it is cleared. Sending does not clear it. MC404 no_such_chat, no_such_message (reply_to_id); MC413 message_too_long.';
GRANT EXECUTE ON FUNCTION chat.save_draft TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.draft_event(draft chat.drafts)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('type', 'draft_changed', 'chat_id', draft.chat_id::text, 'version', draft.version::text,
		'body', draft.body, 'reply_to_id', draft.reply_to_id::text)
$$;
COMMENT ON FUNCTION chat.draft_event IS 'The draft_changed event, as it is published and as sync tells it.';

CREATE OR REPLACE FUNCTION chat.publish_draft()
RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	event jsonb := chat.draft_event(NEW);
BEGIN
	IF octet_length(event::text) > 7800 THEN	-- 7,900 with its envelope
		event := event - 'body' || '{"partial": true}';
	END IF;
	IF chat.took(NEW.version) THEN
		PERFORM chat.publish(event, ARRAY[NEW.user_id]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_draft IS 'Trigger: the draft_changed event, to one''s own sockets; a long one without its body, marked partial.';
CREATE OR REPLACE TRIGGER publish_draft AFTER INSERT OR UPDATE ON chat.drafts
FOR EACH ROW EXECUTE FUNCTION chat.publish_draft();

-- For run_maintenance
CREATE OR REPLACE FUNCTION chat.expire_invite_links(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	expired integer;
BEGIN
	WITH old AS (
		SELECT l.chat_id, l.id FROM chat.invite_links l WHERE NOT chat.is_open_link(l) LIMIT expire_invite_links.batch FOR UPDATE SKIP LOCKED
	)
	DELETE FROM chat.invite_links l USING old WHERE l.chat_id = old.chat_id AND l.id = old.id;
	GET DIAGNOSTICS expired = ROW_COUNT;
	RETURN expired;
END
$$;
COMMENT ON FUNCTION chat.expire_invite_links IS 'For run_maintenance: removes at most batch invite links that let nobody in any more, and answers how many.';

CREATE OR REPLACE FUNCTION chat.count_members(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	counted integer;
BEGIN
	UPDATE chat.chats c
	   SET member_count = (SELECT count(*) FROM chat.members m WHERE m.chat_id = c.id AND m.left_id IS NULL)
	 WHERE c.id IN (SELECT o.id FROM chat.chats o WHERE o.member_count = 0 AND o.deleted_id IS NULL LIMIT count_members.batch FOR NO KEY UPDATE SKIP LOCKED)
	   AND EXISTS (SELECT FROM chat.members m WHERE m.chat_id = c.id AND m.left_id IS NULL);
	GET DIAGNOSTICS counted = ROW_COUNT;
	RETURN counted;
END
$$;
COMMENT ON FUNCTION chat.count_members IS 'For run_maintenance: counts the members of at most batch chats that a dump of 0.1.0 has brought, which knew no member_count.';

CREATE OR REPLACE FUNCTION chat.drop_deleted_chats(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	dead bigint;
	dropped integer;
BEGIN
	SELECT c.id INTO dead FROM chat.chats c
	 WHERE c.deleted_id IS NOT NULL
	   AND (c.deleted_id < chat.id_at(now() - chat.setting_interval('event_retention'))
		 OR EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = c.id))
	 LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	dropped := chat.drop_messages(dead, 9223372036854775807, drop_deleted_chats.batch);
	IF dropped > 0 THEN
		RETURN dropped;
	END IF;
	DELETE FROM chat.drafts d USING chat.members m WHERE m.chat_id = dead AND d.user_id = m.user_id AND d.chat_id = dead;
	DELETE FROM chat.bans b WHERE b.chat_id = dead;
	DELETE FROM chat.events e WHERE e.chat_id = dead;
	DELETE FROM chat.members m WHERE m.chat_id = dead;
	DELETE FROM chat.chats c WHERE c.id = dead;
	RETURN 1;
END
$$;
COMMENT ON FUNCTION chat.drop_deleted_chats IS 'For run_maintenance: removes at most batch messages of one deleted chat, or, when none is left and it has been deleted for the setting event_retention, the chat itself; till then those who were in it can learn of its end. Answers how many rows; 0 = there is nothing to do.';


CREATE OR REPLACE VIEW chat.v_chats AS
SELECT c.id, c.kind, c.creator_id, chat.id_time(c.id) AS created_at, c.last_event_id, c.message_count,
	c.title, c.description, c.avatar_file_id, c.attributes, c.posting, c.member_count
  FROM chat.chats c
 WHERE c.deleted_id IS NULL;
COMMENT ON VIEW chat.v_chats IS 'All chats.';
GRANT SELECT ON chat.v_chats TO chat_app; -- since 0.1.0

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
RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
RETURNS json LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_logged_event';
COMMENT ON FUNCTION chat.logged_event IS 'A logged event as it is published.';

CREATE OR REPLACE FUNCTION chat.hidden_event(event chat.events)
RETURNS json LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'chat_hidden_event';
COMMENT ON FUNCTION chat.hidden_event IS 'What members are told of a logged event who do not see the message that it is about: event_hidden, with no more than its id, prev_id and time.';

CREATE OR REPLACE FUNCTION chat.publish_event()
RETURNS trigger LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_publish_event';
COMMENT ON FUNCTION chat.publish_event IS 'Trigger: a durable event, to the members and to whom it takes out of the chat; as hidden_event to those who do not see the message that it is about.';
CREATE OR REPLACE TRIGGER publish_event AFTER INSERT ON chat.events
FOR EACH ROW EXECUTE FUNCTION chat.publish_event();

CREATE OR REPLACE FUNCTION chat.list_large_chats(user_ids bigint[])
RETURNS TABLE (user_id bigint, chat_id bigint, joined_id bigint, last_event_id bigint, visible_from bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT m.user_id, m.chat_id, m.joined_id, c.last_event_id, m.visible_from
	  FROM unnest(list_large_chats.user_ids) AS wanted (id)
	  JOIN chat.members m ON m.user_id = wanted.id AND m.left_id IS NULL
	  JOIN chat.chats c ON c.id = m.chat_id AND c.large AND c.deleted_id IS NULL
$$;
COMMENT ON FUNCTION chat.list_large_chats IS 'Which large chats these users are in, hence whose chat_channel they hear; joined_id is the event that let them in: earlier ones were not for them; last_event_id the chat''s last one when this was so; visible_from: they see messages above it. For gateways.';
GRANT EXECUTE ON FUNCTION chat.list_large_chats TO chat_gateway; -- since 0.2.0

-- Who is in, and what he may see. The writers' check comes after lock_chat or next_event, so that nobody acts who is just being
-- removed.
CREATE OR REPLACE FUNCTION chat.check_member(chat_id bigint, user_id bigint, roles text[] DEFAULT NULL)
RETURNS void LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'chat_check_member';
COMMENT ON FUNCTION chat.check_member IS 'Raises MC404 no_such_chat for who is not in the chat, MC403 not_permitted for who has none of the roles.';

CREATE OR REPLACE FUNCTION chat.is_member(chat_id bigint, user_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.members m WHERE m.chat_id = is_member.chat_id AND m.user_id = is_member.user_id AND m.left_id IS NULL);
END
$$;
COMMENT ON FUNCTION chat.is_member IS 'Whether he is in the chat.';

CREATE OR REPLACE FUNCTION chat.visible_range(chat_id bigint, user_id bigint, OUT low bigint, OUT high bigint)
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'chat_visible_range';
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
		(SELECT chat.message_json(CASE WHEN own.left_id IS NULL THEN m ELSE chat.message_then(m, own.left_id) END, describe_chats.actor_id)
		   FROM chat.messages m
		  WHERE m.chat_id = c.id AND m.id > own.visible_from AND m.id <= coalesce(own.left_id, 9223372036854775807)
			AND chat.is_kept(m.deleted_id, own.left_id)
			AND NOT EXISTS (SELECT FROM chat.hidden_messages h
				WHERE h.user_id = own.user_id AND h.chat_id = m.chat_id AND h.message_id = m.id)
		  ORDER BY m.id DESC LIMIT 1),
		seen.message_count, seen.message_count - own.read_count, own.mentions, own.read_id, own.delivered_id,
		CASE WHEN shown.cursors THEN other.read_id END, CASE WHEN shown.cursors THEN other.delivered_id END,
		own.muted_until, own.archived, own.pinned, own.marked_unread, own.prefs_version,
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
	-- chat.shows_cursor, without a call for each chat
	 CROSS JOIN LATERAL (SELECT other.user_id IS NOT NULL AND NOT b.obstructed
			AND (other.wrote OR other.user_id = describe_chats.actor_id OR chat.are_connected(describe_chats.actor_id, other.user_id)) AS cursors
		  FROM chat.between_users(describe_chats.actor_id, other.user_id) b) shown
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

-- The generic plan: PostgreSQL would else make one at every call, which takes three times what running it does.
CREATE OR REPLACE FUNCTION chat.list_chats(actor_id bigint, page_size integer DEFAULT NULL, before_id bigint DEFAULT NULL,
	include_archived boolean DEFAULT NULL, include_left boolean DEFAULT NULL)
RETURNS SETOF chat.chat_page LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
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
COMMENT ON FUNCTION chat.list_chats IS 'One''s own chats, the latest event first. before_id: last_event_id of the last row seen. include_archived, include_left: those too; by default neither. A left chat (left_at, no role) is shown as it was then. other_user, other_read_id and other_delivered_id: in direct chats; the latter two once the other one has written or is connected, and not across a block (block_user). last_message: what one may see of it. unread and mentions: messages above one''s read cursor. draft: {body, reply_to_id, version}. A direct chat that somebody else has opened, or that one has hidden, shows up with its next message. MC400 invalid_argument (page_size).';
GRANT EXECUTE ON FUNCTION chat.list_chats TO chat_user, chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.check_chats(user_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	most bigint := chat.setting_integer('chats_max');
BEGIN
	PERFORM chat.check_actor(check_chats.user_id);
	IF NOT chat.is_app() THEN
		PERFORM chat.lock_users(ARRAY[check_chats.user_id]); -- two at once must not pass the limit
		PERFORM chat.check_limit('chats_max', (SELECT count(*) FROM (SELECT FROM chat.members m
			WHERE m.user_id = check_chats.user_id AND m.left_id IS NULL LIMIT most) m), 'too_many_chats');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_chats IS 'Whether the user may come into one more chat of their own accord; locks them. MC401 not_authenticated; MC429 too_many_chats by the setting chats_max.';

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
		PERFORM chat.check_chats(open_direct_chat.actor_id);
		-- Whoever inserts the pair makes the chat; who comes second waits for him here.
		new_id := chat.take_id();
		INSERT INTO chat.direct_chats AS d (low_user_id, high_user_id, chat_id) VALUES (low, high, new_id)
		ON CONFLICT (low_user_id, high_user_id) DO NOTHING RETURNING d.chat_id INTO open_id;
		IF FOUND THEN
			INSERT INTO chat.chats (id, kind, creator_id, last_event_id, member_count)
			VALUES (new_id, 'direct', open_direct_chat.actor_id, new_id, CASE WHEN low = high THEN 1 ELSE 2 END);
			INSERT INTO chat.members (chat_id, user_id) SELECT DISTINCT new_id, u.id FROM unnest(ARRAY[low, high]) AS u (id);
			PERFORM chat.approach_users(open_direct_chat.actor_id, ARRAY[open_direct_chat.user_id]);
		ELSE
			SELECT d.chat_id INTO STRICT open_id FROM chat.direct_chats d WHERE d.low_user_id = low AND d.high_user_id = high;
		END IF;
	END IF;
	UPDATE chat.members m SET hidden_id = 0, prefs_version = chat.take_id(m.prefs_version)
	 WHERE m.chat_id = open_id AND m.user_id = open_direct_chat.actor_id AND m.hidden_id > 0;
	RETURN chat.get_chat(open_direct_chat.actor_id, open_id);
END
$$;
COMMENT ON FUNCTION chat.open_direct_chat IS 'The direct chat with this user, made when there is none; with oneself it holds one''s notes. Again and at the same time from both sides gives the same chat. MC404 no_such_user; when it would have to be made MC403 blocked, not_accepting, and MC429 too_many_chats by the setting chats_max, too_many_approaches with a stranger by approaches_max.';
GRANT EXECUTE ON FUNCTION chat.open_direct_chat TO chat_user, chat_app; -- since 0.1.0

-- What a chat is to oneself alone
CREATE OR REPLACE FUNCTION chat.set_chat_prefs(actor_id bigint, chat_id bigint, muted_until timestamptz DEFAULT NULL,
	archived boolean DEFAULT NULL, pinned boolean DEFAULT NULL)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(set_chat_prefs.actor_id);
	PERFORM chat.visible_range(set_chat_prefs.chat_id, set_chat_prefs.actor_id);
	set_chat_prefs.muted_until := chat.to_json_years(set_chat_prefs.muted_until);
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
RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF chat.took(NEW.version) THEN
		PERFORM chat.publish(chat.draft_event(NEW), ARRAY[NEW.user_id]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_draft IS 'Trigger: the draft_changed event, to one''s own sockets.';
CREATE OR REPLACE TRIGGER publish_draft AFTER INSERT OR UPDATE ON chat.drafts
FOR EACH ROW EXECUTE FUNCTION chat.publish_draft();

-- Jobs of maintenance

CREATE OR REPLACE FUNCTION chat.count_members(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	ends_at timestamptz := chat.batch_end();
	uncounted bigint;
	counted integer := 0;
BEGIN
	FOR uncounted IN
		SELECT c.id FROM chat.chats c
		 WHERE c.member_count = 0 AND c.deleted_id IS NULL AND EXISTS (SELECT FROM chat.members m WHERE m.chat_id = c.id AND m.left_id IS NULL)
		 LIMIT count_members.batch FOR NO KEY UPDATE SKIP LOCKED
	LOOP
		UPDATE chat.chats c
		   SET member_count = (SELECT count(*) FROM chat.members m WHERE m.chat_id = c.id AND m.left_id IS NULL)
		 WHERE c.id = uncounted;
		counted := counted + 1;
		EXIT WHEN clock_timestamp() > ends_at;
	END LOOP;
	RETURN counted;
END
$$;
COMMENT ON FUNCTION chat.count_members IS 'A job: counts the members of at most batch chats that a dump of 0.1.0 has brought, which knew no member_count.';

CREATE OR REPLACE FUNCTION chat.drop_deleted_chats(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	dead bigint;
BEGIN
	SELECT c.id INTO dead FROM chat.chats c
	 WHERE c.deleted_id IS NOT NULL
	   AND (c.deleted_id < chat.id_at(now() - chat.setting_interval('event_retention'))
		 OR EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = c.id))
	 LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	RETURN coalesce(nullif(chat.drop_messages(dead, 9223372036854775807, drop_deleted_chats.batch, chat.batch_end()), 0),
		nullif(chat.drop_chat_rows(dead, drop_deleted_chats.batch), 0), chat.drop_chat(dead));
END
$$;
COMMENT ON FUNCTION chat.drop_deleted_chats IS 'A job: removes at most batch messages of one deleted chat, or, when none is left and it has been deleted for the setting event_retention, its other rows and then the chat itself; till then those who were in it can learn of its end. Answers how many rows; 0 = there is nothing to do.';

CREATE OR REPLACE FUNCTION chat.drop_chat_rows(chat_id bigint, batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	ids bigint[] := ARRAY(SELECT e.id FROM chat.events e WHERE e.chat_id = drop_chat_rows.chat_id ORDER BY e.id LIMIT drop_chat_rows.batch);
	user_ids bigint[];
BEGIN
	DELETE FROM chat.events e WHERE e.chat_id = drop_chat_rows.chat_id AND e.id = ANY (ids);
	user_ids := ARRAY(SELECT b.user_id FROM chat.bans b WHERE b.chat_id = drop_chat_rows.chat_id
		 ORDER BY b.user_id LIMIT drop_chat_rows.batch - cardinality(ids));
	DELETE FROM chat.bans b WHERE b.chat_id = drop_chat_rows.chat_id AND b.user_id = ANY (user_ids);
	ids := ids || user_ids;
	user_ids := ARRAY(SELECT m.user_id FROM chat.members m WHERE m.chat_id = drop_chat_rows.chat_id
		 ORDER BY m.user_id LIMIT drop_chat_rows.batch - cardinality(ids));
	DELETE FROM chat.drafts d WHERE d.user_id = ANY (user_ids) AND d.chat_id = drop_chat_rows.chat_id;
	DELETE FROM chat.members m WHERE m.chat_id = drop_chat_rows.chat_id AND m.user_id = ANY (user_ids);
	RETURN cardinality(ids || user_ids);
END
$$;
COMMENT ON FUNCTION chat.drop_chat_rows IS 'Removes at most batch events, bans and members (with their drafts) of a deleted chat; answers how many.';

CREATE OR REPLACE FUNCTION chat.drop_chat(chat_id bigint)
RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM chat.search_cursors s WHERE s.chat_id = drop_chat.chat_id;
	DELETE FROM chat.chats c WHERE c.id = drop_chat.chat_id;
	RETURN 1;
END
$$;
COMMENT ON FUNCTION chat.drop_chat IS 'Removes a chat of which nothing else is left; answers 1.';

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
	IF check_users.user_ids IS NULL OR EXISTS (SELECT FROM unnest(check_users.user_ids) AS wanted (id)
		WHERE NOT EXISTS (SELECT FROM chat.users u WHERE u.id = wanted.id AND NOT u.deleted)) THEN
		PERFORM chat.fail('no_such_user');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_users IS 'Raises MC404 no_such_user unless all of them have an account.';

CREATE OR REPLACE FUNCTION chat.check_newcomers(chat_id bigint, actor_id bigint, user_ids bigint[])
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF check_newcomers.chat_id IS NULL OR check_newcomers.actor_id IS NULL THEN
		PERFORM chat.fail('no_such_chat');
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
COMMENT ON FUNCTION chat.check_newcomers IS 'Whether actor_id may let these users in (himself: whether he may come in): MC404 no_such_user, MC403 blocked, not_accepting, banned, MC429 chat_full.';

-- All ways in end here, with the chat locked and the actor's right checked.
CREATE OR REPLACE FUNCTION chat.admit_members(chat_id bigint, actor_id bigint, user_ids bigint[], role text DEFAULT 'member')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	coming bigint[];
	event record;
BEGIN
	IF cardinality(admit_members.user_ids) > chat.setting_integer('members_per_call_max') THEN
		PERFORM chat.fail('invalid_argument', 'there are too many users',
			format('Add at most %s at a time.', chat.setting_integer('members_per_call_max')));
	END IF;
	coming := ARRAY(SELECT DISTINCT u FROM unnest(admit_members.user_ids) u WHERE NOT chat.is_member(admit_members.chat_id, u) ORDER BY u);
	IF cardinality(coming) = 0 THEN
		RETURN;
	END IF;
	PERFORM chat.check_newcomers(admit_members.chat_id, admit_members.actor_id, coming);
	-- erase_user waits for this lock, and maintenance then leaves the chats that it finds him in; where it came first, nobody waits
	-- with the chat locked.
	IF (SELECT count(*) FROM (SELECT FROM chat.users u
		 WHERE u.id = ANY (coming) AND NOT u.deleted ORDER BY u.id FOR KEY SHARE SKIP LOCKED) held) < cardinality(coming) THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	event := chat.next_event(admit_members.chat_id, 0);
	INSERT INTO chat.members AS m (chat_id, user_id, role, joined_id, visible_from, read_id, read_count, delivered_id, added_by)
	SELECT admit_members.chat_id, u, admit_members.role, event.id,
		CASE chat.setting_text('history_for_new_members') WHEN 'none' THEN event.id - 1 ELSE 0 END, event.id, event.number, event.id,
		admit_members.actor_id
	  FROM unnest(coming) u
	ON CONFLICT ON CONSTRAINT members_pkey DO UPDATE
	   SET role = excluded.role, joined_id = excluded.joined_id, visible_from = excluded.visible_from, read_id = excluded.read_id,
		   read_count = excluded.read_count, delivered_id = excluded.delivered_id, mentions = 0, wrote = false, added_by = excluded.added_by,
		   left_id = NULL, left_count = NULL, left_chat = NULL;
	UPDATE chat.chats c SET member_count = c.member_count + cardinality(coming) WHERE c.id = admit_members.chat_id;
	PERFORM chat.log_event(admit_members.chat_id, event.id, event.prev_id, event.number, 'member_joined', admit_members.actor_id,
		jsonb_build_object('user_ids', coming::text[], 'role', admit_members.role), true);
	PERFORM chat.grow_chat(admit_members.chat_id, admit_members.actor_id);
	PERFORM chat.approach_users(admit_members.actor_id, coming);
END
$$;
COMMENT ON FUNCTION chat.admit_members IS 'Lets in those of the users who are not in yet: the member_joined event, counters, cursors at the present end, history by the setting history_for_new_members. MC400 invalid_argument for more than members_per_call_max, MC429 too_many_approaches, and check_newcomers'' errors.';

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
	DELETE FROM chat.invite_links l WHERE l.chat_id = drop_member.chat_id AND l.creator_id = drop_member.user_id;
	DELETE FROM chat.drafts d WHERE d.user_id = drop_member.user_id AND d.chat_id = drop_member.chat_id;
	PERFORM chat.log_event(drop_member.chat_id, event.id, event.prev_id, event.number, 'member_left', drop_member.actor_id,
		jsonb_build_object('user_ids', ARRAY[drop_member.user_id::text]), true);
	IF remains.member_count = 0 THEN
		PERFORM chat.end_chat(drop_member.chat_id, drop_member.actor_id);
	ELSIF was_owner THEN
		PERFORM chat.change_role(drop_member.chat_id, chat.find_heir(drop_member.chat_id), 'owner', drop_member.actor_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.drop_member IS 'Takes a present member out: the member_left event, the last one that they get; their draft goes and their invite links end; an owner''s heir takes over, and with the last one the chat ends. For leaving, removal, ban and the deletion of an account. actor_id: who does it.';

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
	IF change_role.role <> ALL (chat.inviting_roles()) THEN
		DELETE FROM chat.invite_links l WHERE l.chat_id = change_role.chat_id AND l.creator_id = change_role.user_id;
	END IF;
	PERFORM chat.log_event(change_role.chat_id, event.id, event.prev_id, event.number, 'member_changed', change_role.actor_id,
		jsonb_build_object('user_ids', ARRAY[change_role.user_id::text], 'role', change_role.role), true);
END
$$;
COMMENT ON FUNCTION chat.change_role IS 'Gives a present member another role: the member_changed event; who may not invite any more, whose links end. The chat is locked and the right checked.';

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
		PERFORM chat.check_chats(create_chat.actor_id);
		PERFORM chat.check_limit('chats_max', (SELECT count(*) FROM (SELECT FROM chat.chats c
			WHERE c.creator_id = create_chat.actor_id AND c.kind <> 'direct' LIMIT chat.setting_integer('chats_max')) c), 'too_many_chats');
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
COMMENT ON FUNCTION chat.create_group IS 'Makes a group that the actor owns, with these members; others come in by invitation. title: at most 128 characters, may be missing. member_ids: at most the setting members_per_call_max. client_key: 1 to 64 characters; the same key answers the same group again. MC400 invalid_argument; MC403 blocked, not_accepting; MC404 no_such_user; MC409 client_key_reused; MC413 too_large; MC429 chat_full, too_many_chats by the setting chats_max, too_many_approaches with strangers by approaches_max and approaches_to_one_max, too_many_client_keys.';
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
COMMENT ON FUNCTION chat.create_room IS 'Makes a room that the actor owns; anyone can find and join it. title: 1 to 128 characters; description: at most 1,024. client_key: as in create_group. MC400 invalid_argument; MC409 client_key_reused; MC413 too_large; MC429 too_many_chats, too_many_client_keys.';
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

CREATE OR REPLACE FUNCTION chat.admit_oneself(chat_id bigint, actor_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF NOT chat.is_member(admit_oneself.chat_id, admit_oneself.actor_id) THEN
		PERFORM chat.admit_members(admit_oneself.chat_id, admit_oneself.actor_id, ARRAY[admit_oneself.actor_id]);
		PERFORM chat.count_approaches(admit_oneself.actor_id, ARRAY[admit_oneself.chat_id]);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.admit_oneself IS 'What join_room and redeem_invite_link share: admit_members for who comes of their own accord, which counts as turning to strangers.';

CREATE OR REPLACE FUNCTION chat.join_room(actor_id bigint, chat_id bigint)
RETURNS chat.chat_row LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(join_room.actor_id);
	IF NOT chat.is_member(join_room.chat_id, join_room.actor_id) THEN
		PERFORM chat.check_chats(join_room.actor_id);
	END IF;
	PERFORM chat.lock_chat(join_room.chat_id);
	IF (SELECT c.kind FROM chat.chats c WHERE c.id = join_room.chat_id) <> 'room' THEN
		PERFORM chat.check_member(join_room.chat_id, join_room.actor_id);
	END IF;
	PERFORM chat.admit_oneself(join_room.chat_id, join_room.actor_id);
	RETURN chat.get_chat(join_room.actor_id, join_room.chat_id);
END
$$;
COMMENT ON FUNCTION chat.join_room IS 'Joins a room; again is no error. MC404 no_such_chat, for groups that one is not in, too; MC403 banned; MC429 chat_full, too_many_chats by the setting chats_max, too_many_approaches by approaches_max and approaches_to_one_max.';
GRANT EXECUTE ON FUNCTION chat.join_room TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.leave_chat(actor_id bigint, chat_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(leave_chat.actor_id);
	BEGIN
		PERFORM chat.lock_group(leave_chat.chat_id, leave_chat.actor_id);
	EXCEPTION WHEN SQLSTATE 'MC404' THEN	-- by a call before, whose answer was lost, or that this one has waited for
		IF EXISTS (SELECT FROM chat.members m
			WHERE m.chat_id = leave_chat.chat_id AND m.user_id = leave_chat.actor_id AND m.left_id IS NOT NULL) THEN
			RETURN;
		END IF;
		RAISE;
	END;
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
COMMENT ON FUNCTION chat.edit_chat IS 'Changes a group or room; for its owner and admins. NULL leaves a value, '''' or 0 or {} clears it. title: at most 128 characters, a room needs one; description: at most 1,024; posting: all or admins may send. avatar_file_id: an image of one''s own, uploaded. A new title stands in the timeline. MC400 invalid_argument; MC403 not_permitted, direct_chat; MC404 no_such_chat, no_such_file; MC409 file_is_link; MC413 too_large.';
GRANT EXECUTE ON FUNCTION chat.edit_chat TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.delete_chat(actor_id bigint, chat_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(delete_chat.actor_id);
	BEGIN
		PERFORM chat.lock_chat(delete_chat.chat_id);
	EXCEPTION WHEN SQLSTATE 'MC404' THEN	-- as in leave_chat
		IF EXISTS (SELECT FROM chat.chats c JOIN chat.members m ON m.chat_id = c.id
			WHERE c.id = delete_chat.chat_id AND c.deleted_id IS NOT NULL AND m.user_id = delete_chat.actor_id AND m.role = 'owner') THEN
			RETURN;
		END IF;
		RAISE;
	END;
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

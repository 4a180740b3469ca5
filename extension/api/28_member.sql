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
COMMENT ON FUNCTION chat.add_members IS 'Lets these users into a group or room; who is in already stays so. For owner and admins, for every member by the setting anyone_adds_members. All or none. user_ids: at most the setting members_per_call_max. MC400 invalid_argument; MC403 not_permitted, direct_chat, banned, blocked, not_accepting; MC404 no_such_chat, no_such_user; MC429 chat_full, too_many_approaches with strangers by approaches_max and approaches_to_one_max.';
GRANT EXECUTE ON FUNCTION chat.add_members TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.check_rank(chat_id bigint, actor_id bigint, user_id bigint)
RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
	ranks constant text[] := ARRAY['member', 'admin', 'owner'];
BEGIN
	IF num_nulls(check_rank.chat_id, check_rank.actor_id, check_rank.user_id) > 0
		OR EXISTS (SELECT FROM chat.members a JOIN chat.members u ON u.chat_id = a.chat_id
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
COMMENT ON FUNCTION chat.remove_member IS 'Takes somebody out of a group or room: the owner anybody else, admins members only. They keep reading up to there, and may come back by invitation, but not by a link of their own: those end. Who is not in is no error. MC403 not_permitted, direct_chat; MC404 no_such_chat.';
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
	IF NOT EXISTS (SELECT FROM chat.bans b WHERE b.chat_id = ban_member.chat_id AND b.user_id = ban_member.user_id) THEN
		PERFORM chat.check_limit('bans_max', (SELECT count(*) FROM (SELECT FROM chat.bans b
			WHERE b.chat_id = ban_member.chat_id LIMIT chat.setting_integer('bans_max')) b), 'too_many_bans');
	END IF;
	INSERT INTO chat.bans AS b (chat_id, user_id, until, actor_id)
	VALUES (ban_member.chat_id, ban_member.user_id, chat.to_json_years(nullif(ban_member.until, 'infinity')), ban_member.actor_id)
	ON CONFLICT ON CONSTRAINT bans_pkey DO UPDATE SET until = excluded.until, actor_id = excluded.actor_id;
	IF chat.is_member(ban_member.chat_id, ban_member.user_id) THEN
		PERFORM chat.drop_member(ban_member.chat_id, ban_member.user_id, ban_member.actor_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.ban_member IS 'Takes somebody out of a group or room, as remove_member does, and keeps them out until then (NULL: for good): they cannot join, be added, or use an invite link. Works for who is not in, too; again changes the time. MC400 invalid_argument; MC403 not_permitted, direct_chat; MC404 no_such_chat, no_such_user; MC429 too_many_bans by the setting bans_max.';
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
COMMENT ON FUNCTION chat.set_member_role IS 'Makes a member of a group or room owner, admin or member; for its owner, who becomes an admin when they make somebody else the owner. The invite links of who may not invite any more end. MC400 invalid_argument; MC403 not_permitted, direct_chat; MC404 no_such_chat, no_such_member.';
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

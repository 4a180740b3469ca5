-- Invite links. All that counts or ends one is done under the lock of its chat. A link is good as long as who made it may let
-- others in: it is deleted with a role or a membership that ends (drop_member, change_role), and whatever else takes the right away
-- (setting anyone_adds_members) closes it (is_open_link).
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
		PERFORM chat.check_limit('invite_links_max', (SELECT count(*) FROM (SELECT FROM chat.invite_links l
			WHERE l.chat_id = create_invite_link.chat_id LIMIT chat.setting_integer('invite_links_max')) l), 'too_many_links');
		link_id := chat.take_id();
		INSERT INTO chat.invite_links (chat_id, id, code, creator_id, expires_at, max_uses)
		VALUES (create_invite_link.chat_id, link_id, left(chat.new_token(), 32), create_invite_link.actor_id,
			chat.to_json_years(nullif(create_invite_link.expires_at, 'infinity')), create_invite_link.max_uses);
		PERFORM chat.save_client_key(actor_id, 'create_invite_link', client_key, request, link_id);
	END IF;
	SELECT l.* INTO link FROM chat.invite_links l WHERE l.chat_id = create_invite_link.chat_id AND l.id = link_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_link');
	END IF;
	RETURN link;
END
$$;
COMMENT ON FUNCTION chat.create_invite_link IS 'Makes a secret code by which whoever has it can join a group or room (redeem_invite_link), until expires_at and max_uses times (NULL: without end), and as long as one may let others in oneself: it ends with one''s role or membership. For whom add_members is. client_key: as in create_group. MC400 invalid_argument; MC403 not_permitted, direct_chat; MC404 no_such_chat, no_such_link when what the key stands for was revoked; MC409 client_key_reused; MC429 too_many_links by the setting invite_links_max, too_many_client_keys.';
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
		AND EXISTS (SELECT FROM chat.members m WHERE m.chat_id = link.chat_id AND m.user_id = link.creator_id AND m.left_id IS NULL
			AND (m.role = ANY (chat.inviting_roles())) IS NOT FALSE)
$$;
COMMENT ON FUNCTION chat.is_open_link IS 'Whether one can still join by it: it has not expired, is not used up, and who made it may still let others in.';

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
	IF NOT chat.is_member(of_chat, redeem_invite_link.actor_id) THEN
		PERFORM chat.check_chats(redeem_invite_link.actor_id);
	END IF;
	PERFORM chat.lock_chat(of_chat);
	IF NOT chat.is_member(of_chat, redeem_invite_link.actor_id) THEN
		UPDATE chat.invite_links l SET uses = l.uses + 1 WHERE l.code = redeem_invite_link.code AND chat.is_open_link(l);
		IF NOT FOUND THEN
			PERFORM chat.fail('no_such_link');
		END IF;
		PERFORM chat.admit_oneself(of_chat, redeem_invite_link.actor_id);
	END IF;
	RETURN chat.get_chat(redeem_invite_link.actor_id, of_chat);
END
$$;
COMMENT ON FUNCTION chat.redeem_invite_link IS 'Joins the chat that the link is for; who is in already uses nothing up. MC404 no_such_link, the same for one that never was, has expired, was used up or revoked, or whose maker may not let others in any more; MC403 banned; MC429 chat_full, and what join_room answers.';
GRANT EXECUTE ON FUNCTION chat.redeem_invite_link TO chat_user, chat_app; -- since 0.2.0

-- A job of maintenance
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
COMMENT ON FUNCTION chat.expire_invite_links IS 'A job: removes at most batch invite links that let nobody in any more, and answers how many.';

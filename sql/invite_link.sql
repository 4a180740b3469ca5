-- Invite links: they expire, run out, are revoked, and say nothing to who has none.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['il.sven', 'il.tina', 'il.udo', 'il.vera']) name) made;
SELECT test.user('il.sven') AS sven, test.user('il.tina') AS tina, test.user('il.udo') AS udo, test.user('il.vera') AS vera \gset
SELECT id AS chat FROM chat.create_group(:sven, 'Invited') \gset
SELECT code, code ~ '^[0-9a-f]{32}$' AS form, chat_id = :chat AS chat_id, creator_id = :sven AS creator, expires_at, max_uses, uses FROM chat.create_invite_link(:sven, :chat, client_key => 'key') \gset
SELECT :'form' AS form, :'chat_id' AS chat_id, :'creator' AS creator, :'uses' AS uses;
SELECT code = :'code' AS same FROM chat.create_invite_link(:sven, :chat, client_key => 'key');
SELECT code = :'code' AS same FROM chat.create_invite_link(:sven, :chat);
SELECT test.error(format('SELECT chat.create_invite_link(%s, %s, max_uses => 7, client_key => ''key'')', :sven, :chat)), test.error(format('SELECT chat.create_invite_link(%s, %s, max_uses => 0)', :sven, :chat)),
	test.error(format('SELECT chat.create_invite_link(%s, %s, now())', :sven, :chat));

SELECT id = :chat AS this_chat, role, member_count FROM chat.redeem_invite_link(:tina, :'code');
SELECT member_count FROM chat.redeem_invite_link(:tina, :'code');
SELECT max_uses, uses FROM chat.list_invite_links(:sven, :chat);
-- Run out: who is in already uses nothing up.
SELECT code AS once FROM chat.create_invite_link(:sven, :chat, now() + interval '1 day', 1) \gset
SELECT member_count FROM chat.redeem_invite_link(:tina, :'once');
SELECT member_count FROM chat.redeem_invite_link(:udo, :'once');
SELECT test.error(format('SELECT chat.redeem_invite_link(%s, %L)', :vera, :'once'));
SELECT max_uses, uses FROM chat.list_invite_links(:sven, :chat);
-- Expired
SELECT code AS old FROM chat.create_invite_link(:sven, :chat, now() + interval '1 day') \gset
UPDATE chat.invite_links SET expires_at = now() WHERE code = :'old';
SELECT test.error(format('SELECT chat.redeem_invite_link(%s, %L)', :vera, :'old'));
SELECT count(*) FROM chat.list_invite_links(:sven, :chat);
SELECT chat.expire_invite_links(10), chat.expire_invite_links(10);
SELECT count(*) FROM chat.invite_links WHERE chat_id = :chat;
-- Revoked; again is no error.
SELECT chat.revoke_invite_link(:sven, :'code'), chat.revoke_invite_link(:sven, :'code');
SELECT test.error(format('SELECT chat.redeem_invite_link(%s, %L)', :vera, :'code')), test.error(format('SELECT chat.redeem_invite_link(%s, ''x'')', :vera)), test.error(format('SELECT chat.redeem_invite_link(%s, NULL)', :vera));
SELECT test.error(format('SELECT chat.create_invite_link(%s, %s, client_key => ''key'')', :sven, :chat));
-- The banned cannot use one; who was removed can, and starts anew.
SELECT code FROM chat.create_invite_link(:sven, :chat, max_uses => 2) \gset
SELECT chat.ban_member(:sven, :chat, :tina), chat.remove_member(:sven, :chat, :udo);
SELECT test.error(format('SELECT chat.redeem_invite_link(%s, %L)', :tina, :'code'));
SELECT role, member_count, left_at FROM chat.redeem_invite_link(:udo, :'code');
SELECT uses FROM chat.list_invite_links(:sven, :chat);
-- The links of who is banned end; a time beyond those that JSON can write is the last of them.
SELECT role FROM chat.set_member_role(:sven, :chat, :udo, 'admin');
SELECT code AS banned_code, expires_at FROM chat.create_invite_link(:udo, :chat, expires_at => '290000-01-01') \gset
SELECT :'expires_at'::timestamptz = '9999-12-31 00:00:00+00' AS last;
SELECT chat.ban_member(:sven, :chat, :udo, '290000-01-01');
SELECT until = '9999-12-31 00:00:00+00' AS last FROM chat.list_bans(:sven, :chat) WHERE id = :udo;
SELECT test.error(format('SELECT chat.redeem_invite_link(%s, %L)', :vera, :'banned_code'));
-- A link ends with the right to make it: whose role is lost, who is removed or leaves does not come back by it, and nobody else.
SELECT id AS led FROM chat.create_group(:sven, 'Led', ARRAY[:tina]) \gset
CREATE FUNCTION test.make_link(of_chat bigint, owner bigint, maker bigint) RETURNS text LANGUAGE sql AS $$
	SELECT chat.add_members(owner, of_chat, ARRAY[maker]);
	SELECT chat.set_member_role(owner, of_chat, maker, 'admin');
	SELECT code FROM chat.create_invite_link(maker, of_chat);
$$;
SELECT test.make_link(:led, :sven, :tina) AS code \gset
SELECT chat.remove_member(:sven, :led, :tina);
SELECT test.error(format('SELECT chat.redeem_invite_link(%s, %L)', u, :'code')) FROM unnest(ARRAY[:tina, :vera]) u;
SELECT count(*) FROM chat.list_invite_links(:sven, :led);
SELECT test.make_link(:led, :sven, :tina) AS code \gset
SELECT chat.leave_chat(:tina, :led);
SELECT test.error(format('SELECT chat.redeem_invite_link(%s, %L)', :vera, :'code'));
SELECT test.make_link(:led, :sven, :tina) AS code \gset
SELECT role FROM chat.set_member_role(:sven, :led, :tina, 'member');
SELECT test.error(format('SELECT chat.redeem_invite_link(%s, %L)', :vera, :'code')), (SELECT count(*) FROM chat.list_invite_links(:sven, :led)) AS listed;
-- It does not come back with the role.
SELECT role FROM chat.set_member_role(:sven, :led, :tina, 'admin');
SELECT test.error(format('SELECT chat.redeem_invite_link(%s, %L)', :vera, :'code'));
-- Where every member may add others, so do their links, until the operator ends that.
SELECT role FROM chat.set_member_role(:sven, :led, :tina, 'member');
SELECT value FROM chat.set_setting('anyone_adds_members', 'true');
SELECT code FROM chat.create_invite_link(:tina, :led) \gset
SELECT count(*) FROM chat.list_invite_links(:sven, :led);
SELECT value FROM chat.set_setting('anyone_adds_members', 'false');
SELECT test.error(format('SELECT chat.redeem_invite_link(%s, %L)', :vera, :'code')), (SELECT count(*) FROM chat.list_invite_links(:sven, :led)) AS listed;
SELECT chat.expire_invite_links(100) > 0 AS removed;
SELECT count(*) FROM chat.invite_links WHERE chat_id = :led;
DROP FUNCTION test.make_link;
-- With the chat gone, so are they.
SELECT chat.delete_chat(:sven, :chat);
SELECT test.error(format('SELECT chat.redeem_invite_link(%s, %L)', :vera, :'code'));

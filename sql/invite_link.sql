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
-- With the chat gone, so are they.
SELECT chat.delete_chat(:sven, :chat);
SELECT test.error(format('SELECT chat.redeem_invite_link(%s, %L)', :vera, :'code'));

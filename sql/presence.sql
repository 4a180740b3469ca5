-- Presence: sessions under a gateway's lease, what the user wants shown, and to whom.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['piet', 'paula', 'petra', 'pavel']) name) made;
SELECT test.user('piet') AS piet, test.user('paula') AS paula, test.user('petra') AS petra, test.user('pavel') AS pavel \gset
-- Paula is a connection of Piet's, Petra is in a group with him, Pavel is nobody to him.
SELECT count(*) FROM chat.invite_user(:piet, :paula), chat.accept_connection(:paula, :piet);
SELECT id AS group FROM chat.create_group(:piet, 'Group', ARRAY[:petra]::bigint[]) \gset
-- How all of them see Piet.
CREATE FUNCTION test.seen(whom bigint) RETURNS TABLE (viewer text, status text, status_text text, seen boolean) LANGUAGE sql AS $$
	SELECT u.user_name, p.status, p.status_text, p.last_seen_at IS NOT NULL
	  FROM unnest(ARRAY['paula', 'pavel', 'petra', 'piet']) WITH ORDINALITY AS v (name, number) JOIN chat.users u ON u.user_name = v.name,
		LATERAL chat.get_presence(u.id, ARRAY[whom]) p ORDER BY number
$$;
SELECT * FROM test.seen(:piet);

-- Online is who has a session with a socket at a gateway whose lease is live.
SELECT session_id AS phone FROM chat.create_session(:piet, 'phone') \gset
SELECT session_id AS laptop FROM chat.create_session(:piet, 'laptop') \gset
SELECT chat.renew_presence(NULL, ARRAY[:phone]) AS lease \gset
SELECT * FROM test.seen(:piet);
SELECT user_name, status, status_text FROM chat.get_users(:paula, ARRAY[:piet, :pavel]);
SELECT status FROM chat.get_user(:pavel, :piet);
SELECT status FROM chat.search_users(:paula, 'piet');
SELECT chat.renew_presence(:lease) = :lease AS kept;
-- A second session at another gateway; he goes with the last one.
SELECT chat.renew_presence(NULL, ARRAY[:laptop, :phone]) AS other \gset
SELECT version AS version FROM chat.get_presence(:paula, ARRAY[:piet]) \gset
SELECT chat.renew_presence(:lease, NULL, ARRAY[:phone]) = :lease AS kept;
SELECT status, version = :version AS unchanged FROM chat.get_presence(:paula, ARRAY[:piet]);
SELECT chat.renew_presence(:other, NULL, ARRAY[:phone]) = :other AS kept;
SELECT status FROM chat.get_presence(:paula, ARRAY[:piet]);
SELECT chat.renew_presence(:other, NULL, ARRAY[:laptop]) = :other AS kept;
SELECT status, last_seen_at IS NOT NULL AS seen, version > :version AS newer FROM chat.get_presence(:paula, ARRAY[:piet]);
SELECT * FROM test.seen(:piet);
-- Sessions that are none, or twice
SELECT chat.renew_presence(:other, ARRAY[1, NULL, :phone], ARRAY[2, NULL]) = :other AS kept;
SELECT chat.renew_presence(:other, ARRAY[:phone]) = :other AS kept;
SELECT count(*) FROM chat.live_sessions WHERE user_id = :piet;

-- What he wants shown
SELECT status, status_text, shown_status FROM chat.set_presence(:piet, 'busy', 'in a meeting');
SELECT * FROM test.seen(:piet);
SELECT version AS version FROM chat.get_presence(:paula, ARRAY[:piet]) \gset
SELECT status, status_text, version = :version AS unchanged FROM chat.set_presence(:piet, 'busy');
SELECT status, status_text FROM chat.set_presence(:piet, 'away', '');
-- Invisible looks offline to others, and lies low: neither coming nor going changes what they see.
SELECT status, shown_status FROM chat.set_presence(:piet, 'invisible');
SELECT * FROM test.seen(:piet);
SELECT status, shown_status = status AS alike, version AS version, last_seen_at AS last_seen FROM chat.v_presence WHERE user_id = :piet \gset
SELECT chat.renew_presence(:other, NULL, ARRAY[:phone]) = :other AS kept;
SELECT chat.renew_presence(:other, ARRAY[:phone]) = :other AS kept;
SELECT version = :version AS unchanged, last_seen_at = :'last_seen' AS as_before, chat.is_live(user_id) AS live FROM chat.v_presence WHERE user_id = :piet;
SELECT status FROM chat.get_user(:piet, :piet);
SELECT status FROM chat.v_users WHERE id = :piet;
-- Until a time, then online again
SELECT status, status_until > now() AS until FROM chat.set_presence(:piet, 'busy', 'back soon', now() + interval '1 hour');
UPDATE chat.users SET status_until = now() - interval '1 second' WHERE id = :piet;
SELECT * FROM test.seen(:piet);
SELECT version AS version FROM chat.get_presence(:paula, ARRAY[:piet]) \gset
SELECT chat.expire_presence(100) AS ended, chat.expire_presence(100) AS again;
SELECT status, status_text, status_until, version > :version AS newer FROM chat.v_presence WHERE user_id = :piet;
SELECT test.error(format('SELECT chat.set_presence(%s, %s)', :piet, given)) FROM unnest(ARRAY['''offline''', 'status_text => repeat(''x'', 141)', 'until => now()', 'until => ''infinity''']) given;
SELECT test.error('SELECT chat.set_presence(NULL)'), test.error('SELECT chat.set_presence(1)');

-- A dead gateway's lease lapses: its users are offline for who asks, and maintenance tells who watches.
UPDATE chat.leases SET expires_at = now() - interval '1 minute' WHERE id = :other;
SELECT status FROM chat.get_presence(:paula, ARRAY[:piet]);
SELECT chat.expire_presence(1) AS batch, chat.expire_presence(1) AS rest;
SELECT now() - last_seen_at > interval '50 seconds' AS when_it_lapsed, version > :version AS newer FROM chat.v_presence WHERE user_id = :piet;
SELECT count(*) FROM chat.leases WHERE id = :other;
SELECT count(*) FROM chat.live_sessions WHERE lease_id = :other;
-- A lapsed lease is not renewed: the gateway gets a new one, and tells its sessions anew.
UPDATE chat.leases SET expires_at = now() WHERE id = :lease;
SELECT chat.renew_presence(:lease) AS new \gset
SELECT :new <> :lease AS new;
SELECT chat.renew_presence(:new, ARRAY[:phone]) = :new AS kept;
SELECT status FROM chat.get_presence(:paula, ARRAY[:piet]);
-- The old one's end is nothing to those who are under another.
SELECT version AS version FROM chat.get_presence(:paula, ARRAY[:piet]) \gset
INSERT INTO chat.live_sessions (session_id, lease_id, user_id) VALUES (:phone, :lease, :piet);
SELECT chat.expire_presence(100);
SELECT status, version = :version AS unchanged FROM chat.get_presence(:paula, ARRAY[:piet]);

-- Who may see it changes: a block, a chat left, a chat too large, a connection ended.
SELECT count(*) FROM chat.block_user(:petra, :piet);
SELECT viewer, status FROM test.seen(:piet);
SELECT chat.unblock_user(:petra, :piet);
UPDATE chat.chats SET member_count = 101 WHERE id = :group;
SELECT status FROM chat.get_presence(:petra, ARRAY[:piet]);
UPDATE chat.chats SET member_count = 100 WHERE id = :group;
SELECT status FROM chat.get_presence(:petra, ARRAY[:piet]);
UPDATE chat.members SET left_id = 1 WHERE chat_id = :group AND user_id = :petra;
SELECT status FROM chat.get_presence(:petra, ARRAY[:piet]);
SELECT version AS version FROM chat.get_presence(:paula, ARRAY[:piet]) \gset
SELECT state FROM chat.remove_connection(:paula, :piet);
-- Not even that there was a change
SELECT version FROM chat.get_presence(:paula, ARRAY[:piet]);
SELECT version > :version AS told FROM chat.v_presence WHERE user_id = :piet;
SELECT viewer, status FROM test.seen(:piet);

-- What a gateway reads for those who watch there: one event for all who see the same.
SELECT count(*) FROM chat.invite_user(:piet, :paula), chat.accept_connection(:paula, :piet);
SELECT ARRAY(SELECT user_name FROM chat.users u WHERE u.id = ANY (viewer_ids) ORDER BY 1) AS viewers, visible, event - 'user_id' - 'version' - 'at' - 'last_seen_at' AS event
  FROM chat.read_presence(ARRAY[:piet], ARRAY[:paula, :petra, :pavel, :piet]) ORDER BY 1;
SELECT key, jsonb_typeof(value) FROM jsonb_each((SELECT event FROM chat.read_presence(ARRAY[:piet], ARRAY[:paula]))) ORDER BY key;
-- Who may not see him is not told when he changed last
SELECT visible, event->>'status' AS status, event->'version' AS version, event->'at' AS at FROM chat.read_presence(ARRAY[:piet], ARRAY[:petra]) WHERE NOT visible;
-- A stranger who opens a direct chat, or puts somebody into a group, watches nobody: not before they have written there themselves.
SELECT status, status_text FROM chat.set_presence(:piet, 'busy', 'in a meeting');
SELECT id AS chat FROM chat.open_direct_chat(:pavel, :piet) \gset
SELECT id AS trap FROM chat.create_group(:pavel, 'Trap', ARRAY[:piet]) \gset
SELECT number FROM unnest(ARRAY[:chat, :trap]) c, chat.send_message(:pavel, c, 'hi');
SELECT * FROM test.seen(:piet) WHERE viewer = 'pavel';
SELECT visible, event ->> 'status' AS status, event ->> 'last_seen_at' AS last_seen_at FROM chat.read_presence(ARRAY[:piet], ARRAY[:pavel]);
SELECT status, status_text FROM chat.get_user(:pavel, :piet);
-- Nor does the stranger show anything by having come first.
SELECT status FROM chat.get_presence(:piet, ARRAY[:pavel]);
BEGIN;
SELECT number FROM chat.send_message(:piet, :chat, 'hello');
SELECT * FROM test.seen(:piet) WHERE viewer = 'pavel';
ROLLBACK;
BEGIN;
SELECT number FROM chat.send_message(:piet, :trap, 'hello');
SELECT * FROM test.seen(:piet) WHERE viewer = 'pavel';
-- Who has left and is put back has not written.
SELECT chat.leave_chat(:piet, :trap);
SELECT member_count FROM chat.add_members(:pavel, :trap, ARRAY[:piet]);
SELECT * FROM test.seen(:piet) WHERE viewer = 'pavel';
ROLLBACK;
-- A connection who puts them there is no stranger; who has come by a link has come by themselves.
SELECT id AS of_paula FROM chat.create_group(:paula, 'Of Paula', ARRAY[:pavel, :piet]) \gset
SELECT * FROM test.seen(:piet) WHERE viewer = 'pavel';
SELECT chat.leave_chat(:piet, :of_paula);
SELECT code FROM chat.create_invite_link(:pavel, :trap) \gset
SELECT chat.leave_chat(:piet, :trap);
SELECT count(*) FROM chat.redeem_invite_link(:piet, :'code');
SELECT * FROM test.seen(:piet) WHERE viewer = 'pavel';
-- Rows of a release that did not note who let them in: who made the chat, and by the timeline's entry who has joined.
UPDATE chat.members SET added_by = NULL WHERE chat_id IN (:trap, :group);
SELECT viewer, status FROM test.seen(:piet);
SELECT viewer, status FROM test.seen(:pavel) WHERE viewer = 'piet';
DELETE FROM chat.messages WHERE chat_id = :trap AND kind = 'system';
SELECT viewer, status FROM test.seen(:piet) WHERE viewer = 'pavel';
SELECT chat.leave_chat(:piet, :trap);
SELECT member_count FROM chat.add_members(:pavel, :trap, ARRAY[:piet]);
UPDATE chat.members SET added_by = NULL WHERE chat_id = :trap;
SELECT viewer, status FROM test.seen(:piet) WHERE viewer = 'pavel';
SELECT test.error('SELECT chat.get_presence(1, array_fill(1::bigint, ARRAY[1001]))'), test.error('SELECT chat.get_presence(NULL, ''{}'')');
SELECT chat.renew_presence(:new, NULL, ARRAY[:phone]) = :new AS kept;
DELETE FROM chat.leases;
DROP FUNCTION test.seen;
SELECT test.recount(:group);

-- Groups: who comes, who goes, and what each of them sees.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['mb.anna', 'mb.ben', 'mb.cora', 'mb.dirk', 'mb.emil', 'mb.fred']) name) made;
SELECT test.user('mb.anna') AS anna, test.user('mb.ben') AS ben, test.user('mb.cora') AS cora, test.user('mb.dirk') AS dirk, test.user('mb.emil') AS emil, test.user('mb.fred') AS fred \gset
CREATE FUNCTION test.names(ids jsonb) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(u.user_name, ' ' ORDER BY u.user_name) FROM chat.users u WHERE u.id::text IN (SELECT jsonb_array_elements_text(names.ids)) $$;
-- The whole log of a chat, messages and other events.
CREATE FUNCTION test.chat_log(of_chat bigint) RETURNS TABLE (type text, actor text, users text, role text, other jsonb, is_entry boolean, chained boolean) LANGUAGE sql AS $$
	SELECT l.type, u.user_name, test.names(l.payload -> 'user_ids'), l.payload ->> 'role', nullif(l.payload - 'user_ids' - 'role' - 'message', '{}'),
		l.is_entry, l.prev_id = lag(l.id, 1, of_chat) OVER (ORDER BY l.id)
	  FROM (SELECT e.id, e.prev_id, e.type, e.actor_id, e.payload, EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = e.chat_id AND m.id = e.id) AS is_entry
			  FROM chat.events e WHERE e.chat_id = of_chat
			UNION ALL
			SELECT m.id, m.prev_id, 'message', m.sender_id, jsonb_build_object('body', m.body), NULL FROM chat.messages m WHERE m.chat_id = of_chat AND m.kind = 'user') l
	  JOIN chat.users u ON u.id = l.actor_id ORDER BY l.id $$;
-- What somebody sees of a chat.
CREATE FUNCTION test.seen(actor bigint, of_chat bigint) RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(string_agg(coalesce(nullif(body, ''), '(' || (attributes ->> 'type') || ' ' || coalesce(test.names(attributes -> 'user_ids'), attributes ->> 'title', '') || ')'), ' ' ORDER BY id), 'nothing') FROM chat.list_messages(actor, of_chat) $$;
-- Counters that are not what counting gives: there are none.
CREATE VIEW test.miscounted AS
SELECT c.kind, c.title, u.user_name, c.member_count, c.message_count, m.read_count, m.mentions
  FROM chat.chats c LEFT JOIN chat.members m ON m.chat_id = c.id LEFT JOIN chat.users u ON u.id = m.user_id
 WHERE c.deleted_id IS NULL
   AND (c.member_count <> (SELECT count(*) FROM chat.members p WHERE p.chat_id = c.id AND p.left_id IS NULL)
	 OR c.message_count <> (SELECT count(*) FROM chat.messages n WHERE n.chat_id = c.id AND n.kind = 'user')
	 OR m.left_id IS NULL AND c.message_count - m.read_count <> (SELECT count(*) FROM chat.messages n WHERE n.chat_id = c.id AND n.kind = 'user' AND n.id > m.read_id)
	 OR m.mentions <> (SELECT count(*) FROM chat.mentions n WHERE n.chat_id = c.id AND n.user_id = m.user_id AND n.message_id > m.read_id)
	 OR c.kind <> 'direct' AND (SELECT count(*) FROM chat.members p WHERE p.chat_id = c.id AND p.role = 'owner' AND p.left_id IS NULL) <> 1);

-- A group and its first members
SELECT id AS chat, kind, title, description, posting, attributes, member_count, role, creator_id = :anna AS creator, other_user, message_count, unread, left_at
  FROM chat.create_group(:anna, 'The club', ARRAY[:ben, :anna, :ben], '{"colour": "red"}', 'key') \gset
SELECT :'kind' AS kind, :'title' AS title, :'posting' AS posting, :'attributes' AS attributes, :'member_count' AS members, :'role' AS role, :'creator' AS creator, :'unread' AS unread;
SELECT id = :chat AS same FROM chat.create_group(:anna, 'The club', ARRAY[:ben, :anna, :ben], '{"colour": "red"}', 'key');
SELECT test.error(format('SELECT chat.create_group(%s, ''Another'', client_key => ''key'')', :anna));
SELECT title, role, unread FROM chat.list_chats(:ben);
SELECT user_name, role, has_more FROM chat.list_members(:ben, :chat);
SELECT user_name, has_more FROM chat.list_members(:ben, :chat, page_size => 1);
SELECT user_name, has_more FROM chat.list_members(:ben, :chat, :anna, 1);
SELECT test.error(format('SELECT chat.create_group(%s, ''x'', ARRAY[1])', :anna)), test.error(format('SELECT chat.create_group(%s, ''x'', ARRAY[NULL]::bigint[])', :anna)),
	test.error(format('SELECT chat.create_group(%s, repeat(''x'', 129))', :anna)), test.error(format('SELECT chat.create_group(%s, ''x'', attributes => ''7'')', :anna));
-- A stranger sees nothing of it.
SELECT call, test.error(format('SELECT chat.%s', format(call, :cora, :chat)))
  FROM unnest(ARRAY['get_chat(%s, %s)', 'list_members(%s, %s)', 'list_messages(%s, %s)', 'leave_chat(%s, %s)', 'join_room(%s, %s)', 'edit_chat(%s, %s)', 'delete_chat(%s, %s)', 'add_members(%s, %s, ''{1}'')',
	'remove_member(%s, %s, 1)', 'ban_member(%s, %s, 1)', 'unban_member(%s, %s, 1)', 'list_bans(%s, %s)', 'set_member_role(%s, %s, 1, ''admin'')', 'create_invite_link(%s, %s)', 'list_invite_links(%s, %s)',
	'set_chat_prefs(%s, %s)', 'save_draft(%s, %s, ''x'')', 'send_message(%s, %s, ''x'')']) call;

-- Adding: the history is seen (setting history_for_new_members), nothing of it is unread, twice is once.
SELECT count(*) FROM unnest(ARRAY['one', 'two']) body, chat.send_message(:anna, :chat, body);
SELECT member_count FROM chat.add_members(:anna, :chat, ARRAY[:cora, :ben]);
SELECT member_count FROM chat.add_members(:anna, :chat, ARRAY[:cora]);
SELECT unread, mentions, read_id = last_event_id AS read_all, last_message ->> 'number' AS number, last_message ->> 'kind' AS kind FROM chat.get_chat(:cora, :chat);
SELECT test.seen(:cora, :chat);
SELECT unread FROM chat.get_chat(:ben, :chat);
SELECT number FROM chat.send_message(:anna, :chat, 'three', mention_ids => ARRAY[:cora]);
SELECT unread, mentions FROM chat.get_chat(:cora, :chat);
SELECT value FROM chat.set_setting('history_for_new_members', 'none');
SELECT member_count FROM chat.add_members(:anna, :chat, ARRAY[:dirk]);
SELECT test.seen(:dirk, :chat);
SELECT unread, message_count, last_message -> 'attributes' ->> 'type' AS last FROM chat.get_chat(:dirk, :chat);
SELECT number FROM chat.send_message(:anna, :chat, 'four');
SELECT test.seen(:dirk, :chat), unread FROM chat.get_chat(:dirk, :chat);
SELECT value FROM chat.set_setting('history_for_new_members', 'all');
-- All or none
SELECT test.error(format('SELECT chat.add_members(%s, %s, ARRAY[%s, 1])', :anna, :chat, :emil));
SELECT test.error(format('SELECT chat.add_members(%s, %s, ARRAY(SELECT generate_series(1, 101))::bigint[])', :anna, :chat)), member_count FROM chat.get_chat(:anna, :chat);
SELECT value FROM chat.set_setting('members_max', '4');
SELECT test.error(format('SELECT chat.add_members(%s, %s, ARRAY[%s])', :anna, :chat, :emil));
SELECT value FROM chat.set_setting('members_max', '100000');
SELECT * FROM test.miscounted;

-- A removed member reads on up to his removal and nothing beyond: messages, title, members, events.
SELECT chat.remove_member(:anna, :chat, :cora);
SELECT chat.remove_member(:anna, :chat, :cora);
SELECT number FROM chat.send_message(:anna, :chat, 'five');
SELECT title, description, posting FROM chat.edit_chat(:anna, :chat, 'The secret club', 'about five', posting => 'admins');
-- Editing: NULL leaves, '' and {} clear, what changes nothing is no event.
SELECT title, description, posting, attributes FROM chat.edit_chat(:anna, :chat, description => 'about five', attributes => '{"colour": "blue"}');
SELECT title, description, posting, attributes FROM chat.edit_chat(:anna, :chat, avatar_file_id => 0, attributes => '{}');
SELECT title, description, posting, attributes FROM chat.edit_chat(:anna, :chat, posting => 'admins');
SELECT test.error(format('SELECT chat.edit_chat(%s, %s, avatar_file_id => 1)', :anna, :chat)), test.error(format('SELECT chat.edit_chat(%s, %s, posting => ''some'')', :anna, :chat)),
	test.error(format('SELECT chat.edit_chat(%s, %s, repeat(''x'', 129))', :anna, :chat)), test.error(format('SELECT chat.edit_chat(%s, %s, attributes => ''[]'')', :anna, :chat));
SELECT test.seen(:cora, :chat);
SELECT title, description, posting, member_count, message_count, unread, mentions, role, left_at IS NOT NULL AS has_left, last_message -> 'attributes' ->> 'type' AS last,
	last_event_id = (SELECT max(id) FROM chat.list_messages(:cora, :chat)) AS ends_there FROM chat.get_chat(:cora, :chat);
SELECT title, member_count FROM chat.get_chat(:anna, :chat);
SELECT count(*) FROM chat.list_chats(:cora);
SELECT title, role FROM chat.list_chats(:cora, include_left => true);
SELECT call, test.error(format('SELECT chat.%s', format(call, :cora, :chat)))
  FROM unnest(ARRAY['list_members(%s, %s)', 'send_message(%s, %s, ''x'')', 'leave_chat(%s, %s)', 'edit_chat(%s, %s)', 'add_members(%s, %s, ''{1}'')', 'save_draft(%s, %s, ''x'')', 'mark_read(%s, %s, 1)', 'create_invite_link(%s, %s)']) call;
SELECT test.error(format('SELECT chat.check_visible_message(%s, %s, %s)', chat_id, id, :cora)) FROM chat.messages WHERE chat_id = :chat AND body IN ('four', 'five') ORDER BY id;
SELECT * FROM test.miscounted;

-- Coming back: a new start.
SELECT member_count FROM chat.add_members(:anna, :chat, ARRAY[:cora]);
SELECT title, unread, mentions, role, left_at FROM chat.get_chat(:cora, :chat);
SELECT test.seen(:cora, :chat);
SELECT chat.leave_chat(:cora, :chat);
SELECT chat.leave_chat(:cora, :chat);
SELECT value FROM chat.set_setting('history_for_new_members', 'none');
SELECT number FROM chat.send_message(:anna, :chat, 'six');
SELECT member_count FROM chat.add_members(:anna, :chat, ARRAY[:cora]);
SELECT number FROM chat.send_message(:anna, :chat, 'seven');
SELECT test.seen(:cora, :chat), unread FROM chat.get_chat(:cora, :chat);
SELECT value FROM chat.set_setting('history_for_new_members', 'all');
SELECT * FROM test.miscounted;

-- Bans keep out in every way, with or without having been in.
SELECT chat.ban_member(:anna, :chat, :cora), chat.ban_member(:anna, :chat, :emil, now() + interval '1 hour');
SELECT user_name, until IS NULL AS for_good, banned_by_id = :anna AS by_anna, has_more FROM chat.list_bans(:anna, :chat);
SELECT test.error(format('SELECT chat.add_members(%s, %s, ARRAY[%s])', :anna, :chat, u)) FROM unnest(ARRAY[:cora, :emil]) u;
SELECT test.error(format('SELECT chat.ban_member(%s, %s, %s, now())', :anna, :chat, :cora)), test.error(format('SELECT chat.ban_member(%s, %s, 1)', :anna, :chat));
SELECT test.seen(:cora, :chat);
SELECT chat.unban_member(:anna, :chat, :cora), chat.unban_member(:anna, :chat, :cora);
SELECT member_count FROM chat.get_chat(:anna, :chat);
SELECT member_count FROM chat.add_members(:anna, :chat, ARRAY[:cora]);
-- A ban that is over is none.
UPDATE chat.bans SET until = now() - interval '1 second' WHERE user_id = :emil;
SELECT count(*) FROM chat.list_bans(:anna, :chat);
SELECT member_count FROM chat.add_members(:anna, :chat, ARRAY[:emil]);
SELECT * FROM test.miscounted;

-- The log so far. Timeline entries have the id of their event; only a new title is one of chat_changed's.
SELECT * FROM test.chat_log(:chat);
SELECT kind, number, body FROM chat.list_messages(:anna, :chat) WHERE kind = 'system' GROUP BY 1, 2, 3;
SELECT e.type, e.payload -> 'message' ->> 'id' = e.id::text AS same_id, e.payload -> 'message' -> 'number' AS number FROM chat.events e WHERE e.chat_id = :chat AND e.payload ? 'message' GROUP BY 1, 2, 3 ORDER BY 1;

-- An owner who leaves hands over: to the admin who has been in longest, else to the member.
SELECT user_name, role FROM chat.set_member_role(:anna, :chat, :emil, 'admin');
SELECT user_name, role FROM chat.set_member_role(:anna, :chat, :cora, 'admin');
SELECT chat.leave_chat(:anna, :chat);
SELECT user_name, role FROM chat.list_members(:ben, :chat);
SELECT test.seen(:anna, :chat);
SELECT chat.leave_chat(:cora, :chat), chat.leave_chat(:emil, :chat);
SELECT user_name, role FROM chat.list_members(:ben, :chat);
SELECT * FROM test.miscounted;
-- Back in, but an owner no more.
SELECT member_count FROM chat.add_members(:ben, :chat, ARRAY[:anna]);
SELECT role FROM chat.get_chat(:anna, :chat);
-- The last one out deletes the chat, for those who left before, too.
SELECT chat.leave_chat(:ben, :chat), chat.leave_chat(:dirk, :chat);
SELECT role, member_count FROM chat.get_chat(:anna, :chat);
SELECT chat.leave_chat(:anna, :chat);
SELECT chat.leave_chat(:anna, :chat);
SELECT test.error(format('SELECT chat.get_chat(%s, %s)', u, :chat)), test.error(format('SELECT chat.list_messages(%s, %s)', u, :chat)) FROM unnest(ARRAY[:anna, :ben]) u;
SELECT count(*) FROM unnest(ARRAY[:anna, :ben, :cora]) u, chat.list_chats(u, include_left => true);
SELECT type, actor, users, role FROM test.chat_log(:chat) OFFSET 20;

-- Deleting: the owner's, for everybody.
SELECT id AS chat FROM chat.create_group(:anna, 'Short-lived', ARRAY[:ben]) \gset
SELECT count(*) FROM chat.send_message(:ben, :chat, 'x');
SELECT test.error(format('SELECT chat.delete_chat(%s, %s)', :ben, :chat));
SELECT chat.delete_chat(:anna, :chat);
SELECT chat.delete_chat(:anna, :chat);
SELECT call, test.error(format('SELECT chat.%s', format(call, :anna, :chat)))
  FROM unnest(ARRAY['get_chat(%s, %s)', 'list_members(%s, %s)', 'list_messages(%s, %s)', 'send_message(%s, %s, ''x'')', 'edit_chat(%s, %s)', 'add_members(%s, %s, ''{1}'')', 'set_chat_prefs(%s, %s)', 'save_draft(%s, %s)', 'mark_read(%s, %s, 1)']) call;
SELECT type FROM test.chat_log(:chat);

-- Direct chats are two people's, no more and no less.
SELECT id AS direct FROM chat.open_direct_chat(:anna, :ben) \gset
SELECT call, test.error(format('SELECT chat.%s', format(call, :anna, :direct)))
  FROM unnest(ARRAY['leave_chat(%s, %s)', 'edit_chat(%s, %s, ''x'')', 'add_members(%s, %s, ''{1}'')', 'remove_member(%s, %s, 1)', 'ban_member(%s, %s, 1)', 'unban_member(%s, %s, 1)', 'set_member_role(%s, %s, 1, ''admin'')', 'create_invite_link(%s, %s)']) call;
SELECT user_name, role FROM chat.list_members(:anna, :direct);

-- A chat of more than chat.user_fanout_limit (16) members is large and stays so; the last event on the members' own channels says it.
SELECT count(*) FROM generate_series(1, 16) n, chat.create_user('mb.many' || n);
SELECT id AS chat FROM chat.create_group(:anna, 'Many', ARRAY(SELECT test.user('mb.many' || n) FROM generate_series(1, 15) n)) \gset
SELECT c.large, c.member_count FROM chat.chats c WHERE c.id = :chat;
SELECT member_count FROM chat.add_members(:anna, :chat, ARRAY[test.user('mb.many16')]);
SELECT member_count FROM chat.add_members(:anna, :chat, ARRAY[:ben]);
SELECT chat.leave_chat(:ben, :chat), chat.leave_chat(test.user('mb.many1'), :chat);
SELECT c.large, c.member_count FROM chat.chats c WHERE c.id = :chat;
SELECT type, other, is_entry, chained FROM test.chat_log(:chat);
SELECT * FROM test.miscounted;

-- Maintenance removes what deleted chats held, in small steps, and themselves when nobody needs to learn of their end any more.
SELECT chat.drop_deleted_chats(2) > 0 AS some;
SELECT test.work('drop_deleted_chats') > 0 AS rest;
SELECT chat.drop_deleted_chats(100);
SELECT c.title, EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = c.id) AS messages, EXISTS (SELECT FROM chat.events e WHERE e.chat_id = c.id) AS events
  FROM chat.chats c WHERE c.deleted_id IS NOT NULL AND c.creator_id = :anna ORDER BY c.id;
INSERT INTO chat.search_cursors (chat_id, indexed_id, language) -- it had been indexed before
SELECT c.id, c.last_event_id, 'simple' FROM chat.chats c WHERE c.title = 'The secret club' AND c.creator_id = :anna ON CONFLICT DO NOTHING;
UPDATE chat.chats c SET deleted_id = chat.id_at(now() - interval '31 days') WHERE c.title = 'The secret club' AND c.creator_id = :anna;
-- Row by row, the chat itself last
SELECT chat.drop_deleted_chats(2), EXISTS (SELECT FROM chat.chats c WHERE c.title = 'The secret club') AS still_there;
SELECT test.work('drop_deleted_chats') > 0 AS rest;
SELECT c.title FROM chat.chats c WHERE c.deleted_id IS NOT NULL AND c.creator_id = :anna;
SELECT count(*) FROM chat.members m WHERE NOT EXISTS (SELECT FROM chat.chats c WHERE c.id = m.chat_id);
SELECT count(*) FROM chat.search_cursors s WHERE NOT EXISTS (SELECT FROM chat.chats c WHERE c.id = s.chat_id);
DROP FUNCTION test.names, test.chat_log, test.seen;
DROP VIEW test.miscounted;

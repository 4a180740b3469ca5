-- Direct chats and the list of chats.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['cleo', 'dave', 'eve', 'finn']) name) made;
SELECT test.user('cleo') AS cleo, test.user('dave') AS dave, test.user('eve') AS eve, test.user('finn') AS finn \gset
SELECT id AS chat FROM chat.open_direct_chat(:cleo, :dave) \gset
SELECT id = :chat AS same, kind, other_user ->> 'user_name' AS other, last_event_id = id AS nothing_yet, last_message, message_count, unread, read_id
  FROM chat.open_direct_chat(:dave, :cleo);
SELECT id = :chat AS same FROM chat.open_direct_chat(:cleo, :dave);
-- Notes to oneself
SELECT kind, other_user ->> 'user_name' AS other FROM chat.open_direct_chat(:cleo, :cleo);
SELECT count(*) FROM chat.members WHERE user_id = :cleo;
SELECT test.error(format('SELECT chat.open_direct_chat(%s, 1)', :cleo)), test.error(format('SELECT chat.open_direct_chat(1, %s)', :cleo));
SELECT test.error(format('SELECT chat.open_direct_chat(%s, NULL)', :cleo)), test.error(format('SELECT chat.open_direct_chat(NULL, %s)', :cleo));

-- A chat that somebody else opened shows up with its first message.
SELECT other_user ->> 'user_name' AS other FROM chat.list_chats(:cleo);
SELECT other_user ->> 'user_name' AS other FROM chat.list_chats(:dave);
SELECT number FROM chat.send_message(:cleo, :chat, 'hello');
SELECT other_user ->> 'user_name' AS other, last_message ->> 'body' AS last, unread, read_id, other_read_id = last_event_id AS sender_has_read FROM chat.list_chats(:dave);

-- Newest event first, page by page
SELECT id AS with_eve FROM chat.open_direct_chat(:cleo, :eve) \gset
SELECT id AS with_finn FROM chat.open_direct_chat(:cleo, :finn) \gset
SELECT number FROM chat.send_message(:eve, :with_eve, 'from eve');
SELECT number FROM chat.send_message(:cleo, :chat, 'to dave again');
SELECT other_user ->> 'user_name' AS other, last_message ->> 'body' AS last, message_count, unread, other_read_id = 0 AS other_unread, has_more FROM chat.list_chats(:cleo);
SELECT other_user ->> 'user_name' AS other, has_more FROM chat.list_chats(:cleo, 2);
SELECT other_user ->> 'user_name' AS other, has_more FROM chat.list_chats(:cleo, 2, (SELECT min(last_event_id) FROM chat.list_chats(:cleo, 2)));
SELECT count(*) FROM chat.list_chats(:cleo, 100, :cleo);
SELECT test.error(format('SELECT chat.list_chats(%s, 0)', :cleo)), test.error('SELECT chat.list_chats(NULL)');

-- get_chat shows the same row, and only to members.
SELECT to_jsonb(g) = to_jsonb(l) - 'has_more' AS same FROM chat.list_chats(:cleo) l, chat.get_chat(:cleo, l.id) g;
SELECT test.error(format('SELECT chat.get_chat(%s, %s)', :finn, :chat)), test.error(format('SELECT chat.get_chat(%s, 1)', :finn)),
	test.error(format('SELECT chat.get_chat(NULL, %s)', :chat));

-- The app's views
SET ROLE chat_app;
SELECT kind, message_count FROM chat.v_chats WHERE id = :chat;
SELECT u.user_name, m.role, m.unread FROM chat.v_members m JOIN chat.v_users u ON u.id = m.user_id WHERE m.chat_id = :chat ORDER BY 1;
SELECT * FROM chat.chats;
RESET ROLE;

-- Deleting a direct chat takes it off one's own list until the next message, or until one opens it.
SELECT chat.delete_chat(:cleo, :chat), chat.delete_chat(:cleo, :chat);
SELECT (SELECT count(*) FROM chat.list_chats(:cleo) WHERE id = :chat) AS own, (SELECT count(*) FROM chat.list_chats(:dave) WHERE id = :chat) AS others, last_message ->> 'body' AS last FROM chat.get_chat(:cleo, :chat);
SELECT number FROM chat.send_message(:dave, :chat, 'still there?');
SELECT other_user ->> 'user_name' AS other, unread FROM chat.list_chats(:cleo) WHERE id = :chat;
SELECT chat.delete_chat(:cleo, :chat);
SELECT count(*) FROM chat.list_chats(:cleo) WHERE id = :chat;
SELECT id = :chat AS same FROM chat.open_direct_chat(:cleo, :dave);
SELECT count(*) FROM chat.list_chats(:cleo) WHERE id = :chat;
SELECT test.error(format('SELECT chat.delete_chat(%s, %s)', :finn, :chat)), test.error(format('SELECT chat.delete_chat(%s, 1)', :finn));

-- One's own view: archived ones are listed when asked for, pinned is a flag, nobody else is concerned.
SELECT archived, pinned, muted_until, prefs_version > 0 AS versioned FROM chat.set_chat_prefs(:cleo, :chat, '2100-01-01 12:00+00', archived => true, pinned => true);
SELECT archived, pinned, muted_until, prefs_version FROM chat.get_chat(:dave, :chat);
SELECT count(*) FILTER (WHERE id = :chat), count(*) FROM chat.list_chats(:cleo);
SELECT count(*) FILTER (WHERE id = :chat), count(*) FROM chat.list_chats(:cleo, include_archived => true);
SELECT prefs_version AS before FROM chat.get_chat(:cleo, :chat) \gset
SELECT prefs_version = :before AS unchanged FROM chat.set_chat_prefs(:cleo, :chat, '2100-01-01 12:00+00', archived => true);
SELECT archived, pinned, muted_until, prefs_version > :before AS versioned FROM chat.set_chat_prefs(:cleo, :chat, now(), false);
SELECT muted_until FROM chat.set_chat_prefs(:cleo, :chat, 'infinity');
SELECT test.error(format('SELECT chat.set_chat_prefs(%s, %s)', :finn, :chat));

-- Drafts: one per chat, seen by nobody else, cleared by an empty one.
SELECT id AS quoted FROM chat.messages WHERE chat_id = :chat AND number = 1 \gset
SELECT body, reply_to_id = :quoted AS reply, version AS before FROM chat.save_draft(:cleo, :chat, 'I was about to', :quoted) \gset
SELECT draft ->> 'body' AS body, draft ->> 'reply_to_id' = :'quoted' AS reply, draft ->> 'version' = :'before' AS version FROM chat.list_chats(:cleo) WHERE id = :chat;
SELECT draft FROM chat.get_chat(:dave, :chat);
SELECT version = :before AS unchanged FROM chat.save_draft(:cleo, :chat, 'I was about to', :quoted);
SELECT body, reply_to_id, version > :before AS versioned FROM chat.save_draft(:cleo, :chat);
SELECT draft FROM chat.get_chat(:cleo, :chat);
SELECT length(body) FROM chat.save_draft(:cleo, :chat, repeat(E'\x01', 4096));
SELECT test.error(format('SELECT chat.save_draft(%s, %s, repeat(''x'', 4097))', :cleo, :chat)), test.error(format('SELECT chat.save_draft(%s, %s, ''x'', 1)', :cleo, :chat)),
	test.error(format('SELECT chat.save_draft(%s, %s, ''x'')', :finn, :chat));

-- Groups stand in the list from the beginning; a left one when asked for, at the time of leaving.
SELECT id AS group FROM chat.create_group(:cleo, 'Readers', ARRAY[:dave]) \gset
SELECT title, other_user, other_read_id, role FROM chat.list_chats(:dave, 1);
SELECT chat.leave_chat(:dave, :group);
SELECT number FROM chat.send_message(:cleo, :chat, 'later');
SELECT number FROM chat.send_message(:cleo, :group, 'latest');
SELECT coalesce(title, other_user ->> 'user_name') AS chat, left_at IS NOT NULL AS has_left, last_message -> 'attributes' ->> 'type' AS entry FROM chat.list_chats(:dave, include_left => true);
SELECT coalesce(title, other_user ->> 'user_name') AS chat FROM chat.list_chats(:dave, 1, (SELECT last_event_id FROM chat.list_chats(:dave, 1)), include_left => true);
SELECT coalesce(title, other_user ->> 'user_name') AS chat FROM chat.list_chats(:dave);

-- Rows that no function of ours writes
SELECT damage, test.error(damage || format(' WHERE %I = %s', CASE WHEN damage LIKE '%members%' THEN 'chat_id' ELSE 'id' END, :group))
  FROM unnest(ARRAY['UPDATE chat.chats SET kind = ''other''', 'UPDATE chat.chats SET title = ''''', 'UPDATE chat.chats SET title = repeat(''x'', 129)',
	'UPDATE chat.chats SET description = repeat(''x'', 1025)', 'UPDATE chat.chats SET posting = ''nobody''', 'UPDATE chat.members SET role = ''king''']) damage;
SELECT test.error('INSERT INTO chat.chats (id, kind, creator_id, last_event_id) VALUES (1, ''other'', 1, 1)'),
	test.error('INSERT INTO chat.members (chat_id, user_id, role) VALUES (1, 1, ''king'')');

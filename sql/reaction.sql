-- Reactions and pins.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['react-rosa', 'react-ruth', 'react-rolf']) name) made;
SELECT test.user('react-rosa') AS rosa, test.user('react-ruth') AS ruth, test.user('react-rolf') AS rolf \gset
SELECT id AS chat FROM chat.open_direct_chat(:rosa, :ruth) \gset
SELECT id AS message FROM chat.send_message(:rosa, :chat, 'react!') \gset

-- One's own are marked; the same twice changes nothing; order is that of first use.
SELECT reactions FROM chat.add_reaction(:ruth, :chat, :message, '👍');
SELECT key, json_typeof(value) FROM json_each(test.event(:chat, (SELECT last_event_id FROM chat.chats WHERE id = :chat)));
SELECT last_event_id AS before FROM chat.chats WHERE id = :chat \gset
SELECT reactions FROM chat.add_reaction(:ruth, :chat, :message, '👍');
SELECT last_event_id = :before AS unmoved FROM chat.chats WHERE id = :chat;
SELECT reactions FROM chat.add_reaction(:ruth, :chat, :message, '❤');
SELECT reactions FROM chat.add_reaction(:rosa, :chat, :message, '👍');
SELECT e ->> 'type' AS type, e ->> 'emoji' AS emoji, e ->> 'count' AS count, (e ->> 'user_id')::bigint = :rosa AS rosa, (e ->> 'message_id')::bigint = :message AS message
  FROM (SELECT test.event(:chat, last_event_id) AS e FROM chat.chats WHERE id = :chat) l;
SELECT reactions FROM chat.list_messages(:ruth, :chat);
SELECT u.user_name, r.emoji, r.reacted_at = chat.id_time(r.id) AS timed, r.has_more FROM chat.list_reactions(:rosa, :chat, :message) r JOIN chat.users u ON u.id = r.user_id ORDER BY r.id;
SELECT u.user_name, r.has_more FROM chat.list_reactions(:rosa, :chat, :message, '👍', page_size => 1) r JOIN chat.users u ON u.id = r.user_id;
SELECT u.user_name, r.has_more FROM chat.list_reactions(:rosa, :chat, :message, '👍', (SELECT min(id) FROM chat.list_reactions(:rosa, :chat, :message, '👍'))) r JOIN chat.users u ON u.id = r.user_id;
SELECT reactions FROM chat.remove_reaction(:ruth, :chat, :message, '👍');
SELECT reactions FROM chat.remove_reaction(:rosa, :chat, :message, '👍');
SELECT e ->> 'type' AS type, e ->> 'emoji' AS emoji, e ->> 'count' AS count FROM (SELECT test.event(:chat, last_event_id) AS e FROM chat.chats WHERE id = :chat) l;
SELECT last_event_id AS before FROM chat.chats WHERE id = :chat \gset
SELECT reactions FROM chat.remove_reaction(:rosa, :chat, :message, '👍');
SELECT reactions FROM chat.remove_reaction(:ruth, :chat, :message, NULL);
SELECT last_event_id = :before AS unmoved FROM chat.chats WHERE id = :chat;
SELECT reactions FROM chat.remove_reaction(:ruth, :chat, :message, '❤');
SELECT reactions FROM chat.messages WHERE chat_id = :chat;

-- 20 different ones, then a 21st; one of the 20 still goes.
SELECT max(json_array_length((chat.add_reaction(:ruth, :chat, :message, 'r' || n)).reactions)) FROM generate_series(1, 20) n;
SELECT test.error(format('SELECT chat.add_reaction(%s, %s, %s, ''r21'')', :ruth, :chat, :message)), test.error(format('SELECT chat.add_reaction(%s, %s, %s, ''r21'')', :rosa, :chat, :message));
SELECT json_array_length(reactions) FROM chat.add_reaction(:rosa, :chat, :message, 'r20');
SELECT json_array_length(reactions) FROM chat.remove_reaction(:ruth, :chat, :message, 'r1');
SELECT json_array_length(reactions) FROM chat.add_reaction(:rosa, :chat, :message, 'r21');
SELECT r.reactions = c.counts AS equal_rows FROM chat.messages r,
	(SELECT jsonb_agg(jsonb_build_object('emoji', e.emoji, 'count', e.count) ORDER BY e.first) AS counts FROM
		(SELECT emoji, count(*) AS count, min(id) AS first FROM chat.reactions WHERE message_id = :message GROUP BY emoji) e) c WHERE r.id = :message;

-- What is no emoji, and who may not.
SELECT test.error(format('SELECT chat.add_reaction(%s, %s, %s, '''')', :ruth, :chat, :message)), test.error(format('SELECT chat.add_reaction(%s, %s, %s, NULL)', :ruth, :chat, :message));
SELECT test.error(format('SELECT chat.add_reaction(%s, %s, %s, repeat(''x'', 33))', :ruth, :chat, :message));
SELECT test.error(format('SELECT chat.add_reaction(%s, %s, %s, ''x'')', :rolf, :chat, :message)), test.error(format('SELECT chat.remove_reaction(%s, %s, %s, ''x'')', :rolf, :chat, :message));
SELECT test.error(format('SELECT chat.list_reactions(%s, %s, %s)', :rolf, :chat, :message)), test.error(format('SELECT chat.add_reaction(NULL, %s, %s, ''x'')', :chat, :message));
SELECT test.error(format('SELECT chat.add_reaction(%s, %s, 1, ''x'')', :ruth, :chat)), test.error(format('SELECT chat.list_reactions(%s, %s, %s, page_size => 0)', :ruth, :chat, :message));

-- To a deleted message, or a system one
SELECT reactions FROM chat.delete_message(:rosa, :chat, :message);
SELECT test.error(format('SELECT chat.add_reaction(%s, %s, %s, ''x'')', :ruth, :chat, :message));
SELECT count(*) FROM chat.list_reactions(:ruth, :chat, :message);
SELECT call_id AS call FROM chat.start_call(:rosa, :chat) \gset
SELECT test.error(format('SELECT chat.add_reaction(%s, %s, %s, ''x'')', :ruth, :chat, :call)), test.error(format('SELECT chat.pin_message(%s, %s, %s)', :ruth, :chat, :call));

-- Pins: in a direct chat both, elsewhere admin and owner.
SELECT count(*) FROM generate_series(1, 5) n, LATERAL chat.send_message(:rosa, :chat, 'm' || n);
SELECT (chat.pin_message(:ruth, :chat, m.id)).pinned FROM chat.messages m WHERE m.chat_id = :chat AND m.body IN ('m1', 'm3', 'm5') ORDER BY m.id;
SELECT e ->> 'type' AS type, m.body FROM chat.chats c, LATERAL test.event(c.id, c.last_event_id) e JOIN chat.messages m ON m.id = (e ->> 'message_id')::bigint WHERE c.id = :chat;
SELECT last_event_id AS before FROM chat.chats WHERE id = :chat \gset
SELECT (chat.pin_message(:rosa, :chat, m.id)).pinned FROM chat.messages m WHERE m.chat_id = :chat AND m.body = 'm5';
SELECT (chat.unpin_message(:rosa, :chat, m.id)).pinned FROM chat.messages m WHERE m.chat_id = :chat AND m.body = 'm2';
SELECT last_event_id = :before AS unmoved FROM chat.chats WHERE id = :chat;
SELECT body, pinned, has_more FROM chat.list_pins(:rosa, :chat);
SELECT body, has_more FROM chat.list_pins(:rosa, :chat, page_size => 2);
SELECT body, has_more FROM chat.list_pins(:rosa, :chat, (SELECT min(id) FROM chat.list_pins(:rosa, :chat, page_size => 2)));
SELECT (chat.unpin_message(:rosa, :chat, m.id)).pinned FROM chat.messages m WHERE m.chat_id = :chat AND m.body = 'm3';
SELECT body FROM chat.list_pins(:ruth, :chat);
SELECT count(*) FROM (SELECT chat.delete_message(:ruth, :chat, m.id, false) FROM chat.messages m WHERE m.chat_id = :chat AND m.body = 'm5') hidden;
SELECT body FROM chat.list_pins(:ruth, :chat);
SELECT test.error(format('SELECT chat.list_pins(%s, %s)', :rolf, :chat)), test.error(format('SELECT chat.pin_message(%s, %s, 1)', :rolf, :chat)), test.error(format('SELECT chat.pin_message(%s, %s, 1)', :rosa, :chat));
UPDATE chat.chats SET kind = 'group' WHERE id = :chat;
DELETE FROM chat.direct_chats WHERE chat_id = :chat;
SELECT test.error(format('SELECT chat.pin_message(%s, %s, (SELECT id FROM chat.messages WHERE chat_id = %2$s AND body = ''m4''))', :rosa, :chat));
UPDATE chat.members SET role = 'admin' WHERE chat_id = :chat AND user_id = :rosa;
SELECT test.error(format('SELECT chat.pin_message(%s, %s, (SELECT id FROM chat.messages WHERE chat_id = %2$s AND body = ''m4''))', :rosa, :chat));
UPDATE chat.members m SET role = 'owner' FROM chat.chats c WHERE c.id = m.chat_id AND m.user_id = c.creator_id AND c.id = :chat;

-- Who has left sees what there was by then: nothing that was added later, and of what was taken back since nothing either.
SELECT id AS left_chat FROM chat.create_group(:rosa, 'Left', ARRAY[:ruth, :rolf]) \gset
SELECT id AS early FROM chat.send_message(:rosa, :left_chat, 'early') \gset
SELECT id AS doomed FROM chat.send_message(:ruth, :left_chat, 'doomed', reply_to_id => :early) \gset
SELECT id AS kept FROM chat.send_message(:ruth, :left_chat, 'kept', reply_to_id => :doomed) \gset
SELECT count(*) FROM (VALUES (1, :rosa, 'b'), (2, :rolf, 'b'), (3, :ruth, 'a')) v (n, actor, emoji), chat.add_reaction(v.actor, :left_chat, :early, v.emoji);
SELECT count(*) FROM unnest(ARRAY[:early, :doomed]) m, chat.pin_message(:rosa, :left_chat, m);
SELECT chat.leave_chat(:rolf, :left_chat);
CREATE FUNCTION test.left_view(reader bigint, of_chat bigint) RETURNS TABLE (body text, reply text, reactions json, pinned boolean, deleted boolean) LANGUAGE sql AS
$$ SELECT m.body, m.reply ->> 'body', m.reactions, m.pinned, m.deleted_at IS NOT NULL FROM chat.list_messages(reader, of_chat) m WHERE kind = 'user' $$;
SELECT * FROM test.left_view(:rolf, :left_chat);
SELECT count(*) FROM (VALUES (1, :early, 'b'), (2, :early, 'c'), (3, :kept, 'late')) v (n, message, emoji), chat.add_reaction(:ruth, :left_chat, v.message, v.emoji);
SELECT count(*) FROM chat.remove_reaction(:ruth, :left_chat, :early, 'a'), chat.pin_message(:rosa, :left_chat, :kept), chat.delete_message(:ruth, :left_chat, :doomed);
SELECT * FROM test.left_view(:rolf, :left_chat);
SELECT * FROM test.left_view(:rosa, :left_chat);
SELECT u.user_name, r.emoji FROM chat.list_reactions(:rolf, :left_chat, :early) r JOIN chat.users u ON u.id = r.user_id ORDER BY r.id;
SELECT count(*) FROM chat.list_reactions(:rolf, :left_chat, :kept);
SELECT reactions, pinned FROM chat.get_message(:rolf, :left_chat, :kept);
SELECT body FROM chat.list_pins(:rolf, :left_chat);
SELECT body FROM chat.list_pins(:rosa, :left_chat);
SELECT test.error(format('SELECT chat.%s(%s, %s, %s)', call, :rolf, :left_chat, :doomed)) FROM unnest(ARRAY['get_message', 'list_reactions', 'list_message_edits', 'list_receipts']) call;
SELECT body, reactions, pinned FROM chat.search_messages(:rolf, 'kept', :left_chat);
-- The chain of events has no hole: a message that was deleted since comes empty, as deleted by the leaving, and not later.
SELECT e ->> 'type' AS type, e -> 'message' ->> 'body' AS body, e -> 'message' -> 'reactions' AS reactions, e -> 'message' -> 'pinned' AS pinned,
	(e -> 'message' ->> 'deleted_at')::timestamptz = chat.id_time(m.left_id) AS deleted_then
  FROM chat.members m, chat.sync(:rolf, :left_chat) s, json_array_elements(s.events) e
 WHERE m.chat_id = :left_chat AND m.user_id = :rolf AND e ->> 'chat_id' = :'left_chat';
SELECT l.event::jsonb = e::jsonb AS same, count(*) FROM chat.sync(:rolf, :left_chat) s, json_array_elements(s.events) e
  JOIN chat.list_events(:rolf, :left_chat, page_size => 100) l ON e ->> 'id' = l.id::text GROUP BY 1;
-- The last message in the list of chats is one of then, too.
SELECT id AS left_too FROM chat.create_group(:rosa, 'Left, too', ARRAY[:rolf]) \gset
SELECT id AS doomed FROM chat.send_message(:rosa, :left_too, 'doomed') \gset
SELECT id AS said FROM chat.send_message(:rosa, :left_too, 'said') \gset
UPDATE chat.members SET left_id = :said, left_count = 2, left_chat = '{}' WHERE chat_id = :left_too AND user_id = :rolf;
UPDATE chat.chats SET member_count = 1 WHERE id = :left_too;
SELECT count(*) FROM chat.add_reaction(:rosa, :left_too, :said, 'late');
SELECT last_message ->> 'body' AS body, last_message -> 'reactions' AS reactions FROM chat.get_chat(:rolf, :left_too);
SELECT count(*) FROM chat.delete_message(:rosa, :left_too, :said);
SELECT last_message ->> 'body' AS body FROM chat.get_chat(:rolf, :left_too);
DROP FUNCTION test.left_view;

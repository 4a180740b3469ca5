-- What becomes of a message after it was sent: edits, deletion for oneself and for everyone, forwarding, expiry.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['edit-ella', 'edit-emil', 'edit-enno', 'edit-erik', 'edit-esra']) name) made;
SELECT test.user('edit-ella') AS ella, test.user('edit-emil') AS emil, test.user('edit-enno') AS enno, test.user('edit-erik') AS erik, test.user('edit-esra') AS esra \gset
-- A group: ella owns it, emil is an admin, enno and erik are members; esra is a stranger.
SELECT id AS chat FROM chat.open_direct_chat(:ella, :ella) \gset
UPDATE chat.chats SET kind = 'group', member_count = 4 WHERE id = :chat;
DELETE FROM chat.direct_chats WHERE chat_id = :chat;
UPDATE chat.members SET role = 'owner' WHERE chat_id = :chat;
INSERT INTO chat.members (chat_id, user_id, role) VALUES (:chat, :emil, 'admin'), (:chat, :enno, 'member'), (:chat, :erik, 'member');
-- The chat's last durable event, as a client hears it; ids as names.
CREATE FUNCTION test.last_event(chat_id bigint) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', e ->> 'type', 'by', coalesce(u.user_name, 'nobody'), 'chained', (e ->> 'prev_id')::bigint = (SELECT c.prev_event_id FROM chat.chats c WHERE c.id = last_event.chat_id),
		(SELECT string_agg(key || '=' || CASE WHEN key LIKE '%\_id' THEN 'id' ELSE value END, ' ') FROM json_each_text(e) WHERE key NOT IN ('type', 'chat_id', 'id', 'prev_id', 'actor_id', 'at')))
	  FROM (SELECT test.event(c.id, c.last_event_id) AS e FROM chat.chats c WHERE c.id = last_event.chat_id) l LEFT JOIN chat.users u ON u.id = (e ->> 'actor_id')::bigint
$$;

-- Editing: only one's own, the new body in the event, earlier ones kept.
SELECT id AS message FROM chat.send_message(:enno, :chat, 'frist', client_key => 'k') \gset
SELECT body, edited_at IS NOT NULL AS edited, number FROM chat.edit_message(:enno, :chat, :message, 'first');
SELECT test.last_event(:chat);
SELECT last_event_id AS before FROM chat.chats WHERE id = :chat \gset
SELECT body FROM chat.edit_message(:enno, :chat, :message, 'first');
SELECT body FROM chat.edit_message(:enno, :chat, :message, NULL);
SELECT last_event_id = :before AS unmoved FROM chat.chats WHERE id = :chat;
SELECT body FROM chat.edit_message(:enno, :chat, :message, 'First');
SELECT body FROM chat.edit_message(:enno, :chat, :message, 'First!');
SELECT body, replaced_at IS NOT NULL AS timed, has_more FROM chat.list_message_edits(:erik, :chat, :message);
SELECT body, has_more FROM chat.list_message_edits(:erik, :chat, :message, page_size => 2);
SELECT body, has_more FROM chat.list_message_edits(:erik, :chat, :message, (SELECT max(id) FROM chat.list_message_edits(:erik, :chat, :message, page_size => 2)));
-- Only the last edit is logged with its body.
SELECT payload ->> 'body' AS body FROM chat.events WHERE chat_id = :chat ORDER BY id;
SELECT body, edited_at IS NOT NULL AS edited FROM chat.get_message(:ella, :chat, :message);
SELECT test.error(format('SELECT chat.edit_message(%s, %s, %s, ''x'')', :emil, :chat, :message)), test.error(format('SELECT chat.edit_message(%s, %s, %s, ''x'')', :ella, :chat, :message));
SELECT test.error(format('SELECT chat.edit_message(%s, %s, %s, ''x'')', :esra, :chat, :message)), test.error(format('SELECT chat.edit_message(%s, %s, 1, ''x'')', :enno, :chat));
SELECT test.error(format('SELECT chat.edit_message(%s, %s, %s, '''')', :enno, :chat, :message));
SELECT test.error(format('SELECT chat.edit_message(%s, %s, %s, repeat(''x'', 4097))', :enno, :chat, :message));
SELECT test.error(format('SELECT chat.edit_message(NULL, %s, %s, ''x'')', :chat, :message)), test.error(format('SELECT chat.edit_message(%s, NULL, %s, ''x'')', :enno, :message));
-- A repeated send of an edited message is still the same message.
SELECT id = :message AS same, duplicate FROM chat.send_message(:enno, :chat, 'frist', client_key => 'k');
-- With attributes the body may go; with keep_edits off it leaves no trace.
SELECT name, value FROM chat.set_setting('keep_edits', 'false');
SELECT id AS other FROM chat.send_message(:erik, :chat, 'secret', attributes => '{"a": 1}') \gset
SELECT body, attributes FROM chat.edit_message(:erik, :chat, :other, '');
SELECT count(*) FROM chat.list_message_edits(:erik, :chat, :other);
SELECT name, value FROM chat.set_setting('keep_edits', 'true');
-- Who may not send may not edit either.
UPDATE chat.chats SET posting = 'admins' WHERE id = :chat;
SELECT test.error(format('SELECT chat.edit_message(%s, %s, %s, ''x'')', :enno, :chat, :message));
UPDATE chat.chats SET posting = 'all' WHERE id = :chat;

-- Deleting for oneself: gone from one's own list, get and search; the others do not notice.
SELECT id AS reply FROM chat.send_message(:emil, :chat, 'a reply', reply_to_id => :message) \gset
SELECT last_event_id AS before FROM chat.chats WHERE id = :chat \gset
SELECT body FROM chat.delete_message(:erik, :chat, :reply, false);
SELECT last_event_id = :before AS unmoved FROM chat.chats WHERE id = :chat;
SELECT body FROM chat.list_messages(:erik, :chat);
SELECT body FROM chat.list_messages(:enno, :chat);
SELECT test.error(format('SELECT chat.get_message(%s, %s, %s)', :erik, :chat, :reply)), test.error(format('SELECT chat.edit_message(%s, %s, %s, ''x'')', :erik, :chat, :reply));
SELECT test.error(format('SELECT chat.delete_message(%s, %s, %s, false)', :erik, :chat, :reply)), test.error(format('SELECT chat.delete_message(%s, %s, %s, false)', :esra, :chat, :reply));
SELECT (SELECT count(*) FROM chat.search_messages(:erik, 'reply', :chat)) AS erik, (SELECT count(*) FROM chat.search_messages(:enno, 'reply', :chat)) AS enno;

-- Deleting for everyone: its sender, an admin, the owner; of a message with everything nothing but the row stays.
SELECT id AS full FROM chat.send_message(:erik, :chat, 'passphrase one', reply_to_id => :message, mention_ids => ARRAY[:ella, :enno], attributes => '{"passphrase": "x"}', expires_in => '1 hour', client_key => 'full') \gset
UPDATE chat.messages SET file_ids = ARRAY[77] WHERE id = :full;
SELECT body FROM chat.edit_message(:erik, :chat, :full, 'passphrase two');
SELECT body FROM chat.edit_message(:erik, :chat, :full, 'passphrase three');
SELECT json_array_length(reactions) AS reactions FROM chat.add_reaction(:emil, :chat, :full, '👍');
SELECT pinned FROM chat.pin_message(:ella, :chat, :full);
SELECT chat.index_messages(1000) > 0 AS indexed;
SELECT message_id = :full AS is_full FROM chat.list_chat_files(:enno, :chat);
SELECT u.user_name, m.mentions FROM chat.members m JOIN chat.users u ON u.id = m.user_id WHERE m.chat_id = :chat AND m.mentions > 0 ORDER BY 1;
SELECT test.error(format('SELECT chat.delete_message(%s, %s, %s, true)', :enno, :chat, :full)), test.error(format('SELECT chat.delete_message(%s, %s, %s)', :esra, :chat, :full));
SELECT kind, body, deleted_at IS NOT NULL AS deleted, edited_at, expires_at, reply, files, mentions, reactions, attributes, pinned, forwarded_from FROM chat.delete_message(:emil, :chat, :full, true);
SELECT test.last_event(:chat);
SELECT body, reply_to_id, attributes, edited_id, expires_at, mention_ids, file_ids, reactions, pinned, forwarded_from FROM chat.messages WHERE chat_id = :chat AND id = :full;
SELECT (SELECT count(*) FROM chat.reactions WHERE message_id = :full) AS reactions, (SELECT count(*) FROM chat.mentions WHERE message_id = :full) AS mentions,
	(SELECT count(*) FROM chat.message_edits WHERE message_id = :full) AS edits, (SELECT count(*) FROM chat.message_words WHERE message_id = :full) AS words,
	(SELECT count(*) FROM chat.events WHERE payload::text LIKE '%passphrase%') AS logged, (SELECT sum(mentions) FROM chat.members WHERE chat_id = :chat) AS mentioned,
	(SELECT count(*) FROM chat.search_messages(:erik, 'passphrase')) AS found, (SELECT count(*) FROM chat.list_message_edits(:erik, :chat, :full)) AS listed_edits,
	(SELECT count(*) FROM chat.list_chat_files(:erik, :chat)) AS listed_files, (SELECT count(*) FROM chat.list_pins(:erik, :chat)) AS pins;
-- Again changes nothing; nothing can be done with it any more; the same client_key still answers it.
SELECT last_event_id AS before FROM chat.chats WHERE id = :chat \gset
SELECT deleted_at IS NOT NULL AS deleted FROM chat.delete_message(:erik, :chat, :full);
SELECT test.error(format('SELECT chat.edit_message(%s, %s, %s, ''x'')', :erik, :chat, :full)), test.error(format('SELECT chat.pin_message(%s, %s, %s)', :ella, :chat, :full));
SELECT test.error(format('SELECT chat.add_reaction(%s, %s, %s, ''x'')', :erik, :chat, :full)), test.error(format('SELECT chat.forward_message(%s, %s, %s, %s)', :erik, :chat, :full, :chat));
SELECT json_array_length(reactions) AS reactions FROM chat.remove_reaction(:emil, :chat, :full, '👍');
SELECT id = :full AS same, duplicate FROM chat.send_message(:erik, :chat, 'passphrase one', client_key => 'full');
SELECT last_event_id = :before AS unmoved FROM chat.chats WHERE id = :chat;
-- Numbers and unread counts do not move.
SELECT message_count, (SELECT max(number) FROM chat.list_messages(:ella, :chat)) AS last_number FROM chat.chats WHERE id = :chat;
-- The sender deletes his own; a member cannot delete others'; in a direct chat neither can the other.
SELECT deleted_at IS NOT NULL AS deleted FROM chat.delete_message(:emil, :chat, :reply);
SELECT id AS direct FROM chat.open_direct_chat(:ella, :emil) \gset
SELECT id AS to_emil FROM chat.send_message(:ella, :direct, 'between us') \gset
SELECT test.error(format('SELECT chat.delete_message(%s, %s, %s)', :emil, :direct, :to_emil));
SELECT deleted_at IS NOT NULL AS deleted FROM chat.delete_message(:ella, :direct, :to_emil);

-- A reply to a deleted message can be sent, and quotes nothing.
SELECT id AS late FROM chat.send_message(:enno, :chat, 'a late reply', reply_to_id => :full) \gset
SELECT (reply ->> 'id')::bigint = :full AS reply_to, reply ->> 'body' AS quoted FROM chat.get_message(:ella, :chat, :late);
SELECT (reply ->> 'id')::bigint = :full AS reply_to, reply ->> 'body' AS quoted FROM chat.list_messages(:ella, :chat, around_id => :late, page_size => 1);

-- Forwarding: what one sees, to where one may send; files go along, and who wrote it first.
BEGIN;
CREATE OR REPLACE FUNCTION chat.attach_files(chat_id bigint, message_id bigint, file_ids bigint[], sender_id bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'attached %', file_ids; END $$;
SELECT id AS source FROM chat.send_message(:enno, :chat, 'pass it on', file_ids => ARRAY[5, 6], attributes => '{"b": 2}', reply_to_id => :message, mention_ids => ARRAY[:ella]) \gset
SELECT id AS copy, number, duplicate FROM chat.forward_message(:emil, :chat, :source, :direct, client_key => 'f') \gset
SELECT :number AS number, :'duplicate' AS duplicate;
SELECT id = :copy AS same, duplicate FROM chat.forward_message(:emil, :chat, :source, :direct, client_key => 'f');
SELECT body, attributes, reply, mentions, forwarded_from = :enno AS from_enno FROM chat.get_message(:ella, :direct, :copy);
SELECT file_ids FROM chat.messages WHERE chat_id = :direct AND id = :copy;
-- A forwarded copy that is forwarded names the first sender; an edit of the source does not change the repeated call.
SELECT id AS second FROM chat.forward_message(:ella, :direct, :copy, :chat) \gset
SELECT forwarded_from = :enno AS from_enno, sender_id = :ella AS by_ella FROM chat.get_message(:enno, :chat, :second);
SELECT body FROM chat.edit_message(:enno, :chat, :source, 'pass it on, please');
SELECT id = :copy AS same, duplicate FROM chat.forward_message(:emil, :chat, :source, :direct, client_key => 'f');
ROLLBACK;
SELECT test.error(format('SELECT chat.forward_message(%s, %s, %s, %s)', :esra, :chat, :message, :direct)), test.error(format('SELECT chat.forward_message(%s, %s, %s, %s)', :enno, :chat, :message, :direct));
SELECT test.error(format('SELECT chat.forward_message(%s, %s, %s, %s)', :erik, :chat, :reply, :chat)), test.error(format('SELECT chat.forward_message(%s, %s, %s, NULL)', :ella, :chat, :message));
SELECT test.error(format('SELECT chat.forward_message(%s, %s, %s, %s, ''k'')', :enno, :chat, :message, :chat));

-- Who has left reads up to there and changes nothing.
UPDATE chat.members SET left_id = :late, left_count = 0 WHERE chat_id = :chat AND user_id = :erik;
SELECT id AS after FROM chat.send_message(:ella, :chat, 'erik is gone') \gset
SELECT max(id) = :late AS up_to_there FROM chat.list_messages(:erik, :chat);
SELECT test.error(format('SELECT chat.get_message(%s, %s, %s)', :erik, :chat, :after)), test.error(format('SELECT chat.edit_message(%s, %s, %s, ''x'')', :erik, :chat, :other)),
	test.error(format('SELECT chat.delete_message(%s, %s, %s)', :erik, :chat, :other)), test.error(format('SELECT chat.add_reaction(%s, %s, %s, ''x'')', :erik, :chat, :other));
SELECT id AS notes FROM chat.open_direct_chat(:erik, :erik) \gset
SELECT number FROM chat.forward_message(:erik, :chat, :message, :notes);
-- Notes are there now: nobody is still nobody, not oneself.
SELECT test.error(format('SELECT chat.send_direct_message(%s, NULL, ''x'')', :erik));
SELECT body FROM chat.list_messages(:erik, :notes);
-- What came before one's time is not there, not even by its id.
INSERT INTO chat.members (chat_id, user_id, joined_id, visible_from) VALUES (:chat, :esra, :after, :after);
SELECT id AS seen FROM chat.send_message(:ella, :chat, 'welcome') \gset
SELECT body FROM chat.list_messages(:esra, :chat, around_id => :message);
SELECT test.error(format('SELECT chat.get_message(%s, %s, %s)', :esra, :chat, :after)), test.error(format('SELECT chat.forward_message(%s, %s, %s, %s)', :esra, :chat, :after, :chat)),
	test.error(format('SELECT chat.send_message(%s, %s, ''x'', reply_to_id => %s)', :esra, :chat, :after));

-- Expiry: once, for everyone, by nobody.
SELECT id AS brief FROM chat.send_message(:ella, :chat, 'for a moment', expires_in => '1 second') \gset
SELECT id AS long FROM chat.send_message(:ella, :chat, 'for a year', expires_in => '1 year') \gset
SELECT chat.expire_messages(100);
UPDATE chat.messages SET expires_at = expires_at - interval '1 minute' WHERE id = :brief;
SELECT chat.expire_messages(100);
SELECT test.last_event(:chat);
SELECT chat.expire_messages(100);
SELECT body, deleted_at IS NOT NULL AS deleted, expires_at FROM chat.get_message(:enno, :chat, :brief);
SELECT body, expires_at > now() + interval '360 days' AS later FROM chat.get_message(:enno, :chat, :long);

-- A message to somebody opens the chat when needed; after that it is the same one.
SELECT chat_id AS opened, number, duplicate FROM chat.send_direct_message(:enno, :esra, 'hi', client_key => 'd') \gset
SELECT :number AS number, :'duplicate' AS duplicate;
SELECT chat_id = :opened AS same, number, duplicate FROM chat.send_direct_message(:enno, :esra, 'hi', client_key => 'd');
SELECT chat_id = :opened AS same, number FROM chat.send_direct_message(:esra, :enno, 'hello');
SELECT test.error(format('SELECT chat.send_direct_message(%s, 1, ''x'')', :enno)), test.error(format('SELECT chat.send_direct_message(%s, NULL, ''x'')', :enno)),
	test.error(format('SELECT chat.send_direct_message(%s, %s, '''')', :enno, :ella));
SELECT count(*) FROM chat.direct_chats WHERE :enno IN (low_user_id, high_user_id) AND :ella IN (low_user_id, high_user_id);

-- Retention: what is older goes altogether, and nothing else; the counters stay right.
SELECT chat.id_at(now() - interval '100 days') AS old \gset
INSERT INTO chat.chats (id, kind, creator_id, last_event_id, message_count, member_count) VALUES (:old, 'group', :ella, :old, 0, 2);
INSERT INTO chat.members (chat_id, user_id, role) VALUES (:old, :ella, 'owner'), (:old, :emil, 'member');
INSERT INTO chat.messages (chat_id, id, prev_id, number, sender_id, body, mention_ids)
SELECT :old, chat.id_at(now() - n * interval '1 day'), 1, 100 - n, :ella, n || ' days ago', ARRAY[:emil]::bigint[] FROM generate_series(10, 90, 10) n;
INSERT INTO chat.mentions (user_id, chat_id, message_id) SELECT :emil, :old, id FROM chat.messages WHERE chat_id = :old;
UPDATE chat.members SET mentions = 9 WHERE chat_id = :old AND user_id = :emil;
SELECT body FROM chat.delete_message(:emil, :old, (SELECT id FROM chat.messages WHERE chat_id = :old AND body = '80 days ago'), false);
SELECT body FROM chat.delete_message(:emil, :old, (SELECT id FROM chat.messages WHERE chat_id = :old AND body = '20 days ago'), false);
SELECT chat.drop_old_messages(100);
SELECT name, value FROM chat.set_setting('message_retention', '45 days');
SELECT chat.drop_old_messages(3), chat.drop_old_messages(100), chat.drop_old_messages(100);
SELECT body FROM chat.list_messages(:ella, :old);
SELECT mentions, (SELECT count(*) FROM chat.mentions WHERE chat_id = :old) AS counted, (SELECT count(*) FROM chat.hidden_messages WHERE chat_id = :old) AS hidden FROM chat.members WHERE chat_id = :old AND user_id = :emil;
SELECT name, value FROM chat.set_setting('message_retention', '0 days');
DELETE FROM chat.messages WHERE chat_id = :old;
DELETE FROM chat.mentions WHERE chat_id = :old;
DELETE FROM chat.hidden_messages WHERE chat_id = :old;
DELETE FROM chat.members WHERE chat_id = :old;
DELETE FROM chat.chats WHERE id = :old;
-- No files are no files.
SELECT number FROM chat.send_message(:ella, :chat, 'plain', file_ids => '{}', mention_ids => '{}');
-- A NULL among the mentions is nobody, also when the call is repeated.
SELECT duplicate FROM chat.send_message(:ella, :chat, 'you', mention_ids => ARRAY[:emil, NULL], client_key => 'null') UNION ALL
SELECT duplicate FROM chat.send_message(:ella, :chat, 'all', mention_ids => ARRAY[NULL]::bigint[], client_key => 'nulls');
SELECT duplicate FROM chat.send_message(:ella, :chat, 'you', mention_ids => ARRAY[:emil, NULL], client_key => 'null') UNION ALL
SELECT duplicate FROM chat.send_message(:ella, :chat, 'all', mention_ids => ARRAY[NULL]::bigint[], client_key => 'nulls');
-- Another message of the same sender is not the one that was forwarded with this key.
SELECT id AS one FROM chat.send_message(:ella, :chat, 'one') \gset
SELECT id AS two FROM chat.send_message(:ella, :chat, 'two', attributes => '{"b": 3}') \gset
SELECT duplicate FROM chat.forward_message(:emil, :chat, :one, :direct, client_key => 'one');
SELECT duplicate FROM chat.forward_message(:emil, :chat, :one, :direct, client_key => 'one');
SELECT test.error(format('SELECT chat.forward_message(%s, %s, %s, %s, ''one'')', :emil, :chat, :two, :direct));
-- An edit tells those who have joined without the history nothing of a message that they do not see.
SELECT id AS club FROM chat.create_group(:ella, 'club', ARRAY[:emil]) \gset
SELECT id AS first FROM chat.send_message(:ella, :club, 'before her') \gset
SELECT value FROM chat.set_setting('history_for_new_members', 'none');
SELECT member_count FROM chat.add_members(:ella, :club, ARRAY[:enno]);
SELECT value FROM chat.set_setting('history_for_new_members', 'all');
SELECT id AS last FROM chat.send_message(:ella, :club, 'after her') \gset
SELECT body FROM chat.edit_message(:ella, :club, :first, 'before her, edited') UNION ALL SELECT body FROM chat.edit_message(:ella, :club, :last, 'after her, edited');
SELECT type, event ->> 'body' AS body FROM chat.list_events(:enno, :club);
SELECT string_agg(k, ' ') AS members FROM chat.list_events(:enno, :club), json_object_keys(event) k WHERE type = 'event_hidden';
SELECT body FROM chat.list_messages(:emil, :club) WHERE kind = 'user';
-- Nor do reactions, pins, deletions and others' cursors; of what she sees she hears all.
SELECT count(*) FROM unnest(ARRAY[:first, :last]) m, chat.add_reaction(:emil, :club, m, 'x'), chat.remove_reaction(:emil, :club, m, 'x'), chat.pin_message(:ella, :club, m), chat.unpin_message(:ella, :club, m),
	chat.mark_read(:emil, :club, m), chat.mark_delivered(:emil, :club, m);
SELECT count(*) FROM unnest(ARRAY[:first, :last]) m, chat.send_message(:ella, :club, 'gone', client_key => m::text) g, chat.delete_message(:ella, :club, g.id);
SELECT type, count(*), count(*) FILTER (WHERE event ->> 'message_id' = :'first') AS of_first FROM chat.list_events(:enno, :club, page_size => 100) GROUP BY type ORDER BY type;
SELECT bool_and(s.event::text = l.event::text) AS same FROM chat.sync(:enno, :first) y, json_array_elements(y.events) s (event) JOIN chat.list_events(:enno, :club, page_size => 100) l ON s.event ->> 'id' = l.id::text;
SELECT e ->> 'type' AS type, e ->> 'message_id' = :'last' AS last FROM chat.sync(:enno, :first) s, json_array_elements(s.state) e WHERE e ->> 'user_id' = :'emil';
BEGIN;
UPDATE chat.members SET read_id = :first, delivered_id = :first WHERE chat_id = :club AND user_id = :emil;
SELECT count(*) FROM chat.sync(:enno, :first) s, json_array_elements(s.state) e WHERE e ->> 'user_id' = :'emil';
ROLLBACK;
-- Nor does an answer to it quote it, to her or while she hears the event; what is hidden for oneself is not quoted to oneself.
SELECT id AS answer FROM chat.send_message(:emil, :club, 'answer', reply_to_id => :first) \gset
SELECT reply ->> 'id' = :'first' AS named, reply ->> 'sender_id' AS sender, reply ->> 'body' AS quoted FROM chat.get_message(:enno, :club, :answer);
SELECT reply ->> 'sender_id' = :'ella' AS sender, reply ->> 'body' AS quoted FROM chat.get_message(:emil, :club, :answer);
SELECT test.event(:club, :answer) #>> '{message,reply,body}' AS quoted, test.event(:club, :answer) #>> '{message,reply,sender_id}' AS sender;
SELECT id AS seen_answer FROM chat.send_message(:emil, :club, 'answer', reply_to_id => :last) \gset
SELECT reply ->> 'body' AS quoted, test.event(:club, :seen_answer) #>> '{message,reply,body}' AS event FROM chat.get_message(:enno, :club, :seen_answer);
SELECT deleted_at IS NULL AS there FROM chat.delete_message(:enno, :club, :last, false);
SELECT reply ->> 'body' AS quoted FROM chat.get_message(:enno, :club, :seen_answer);
-- When she has left, the others hear the whole event again.
SELECT count(*) FROM chat.leave_chat(:enno, :club);
SELECT body FROM chat.edit_message(:ella, :club, :first, 'before her, edited again');
SELECT event ->> 'body' AS body FROM chat.list_events(:emil, :club) WHERE type = 'message_edited' ORDER BY id DESC LIMIT 1;
-- Who has left sees messages as they were then, whatever is written into them later.
SELECT body FROM chat.edit_message(:ella, :club, :last, 'seen by her') UNION ALL SELECT body FROM chat.edit_message(:ella, :club, :first, 'not by her');
SELECT member_count FROM chat.add_members(:ella, :club, ARRAY[:enno]);
SELECT id AS newest FROM chat.send_message(:ella, :club, 'newest') \gset
SELECT body FROM chat.edit_message(:ella, :club, :newest, 'while she was in');
SELECT count(*) FROM chat.remove_member(:ella, :club, :enno);
SELECT body FROM chat.edit_message(:ella, :club, :newest, 'a later secret') UNION ALL SELECT body FROM chat.edit_message(:ella, :club, :newest, 'the latest secret');
SELECT id = :newest AS newest, body, edited_at = (SELECT chat.id_time(max(id)) FROM chat.list_message_edits(:enno, :club, :newest)) AS edited_then
  FROM chat.list_messages(:enno, :club) WHERE kind = 'user' ORDER BY id DESC LIMIT 1;
SELECT body FROM chat.list_message_edits(:enno, :club, :newest);
SELECT body FROM chat.list_message_edits(:ella, :club, :newest);
SELECT type, event #>> '{message,body}' AS body FROM chat.list_events(:enno, :club) WHERE id = :newest;
SELECT e ->> 'type' AS type, e #>> '{message,body}' AS body FROM chat.sync(:enno, :newest - 1), json_array_elements(events) e WHERE e ->> 'id' = :'newest';
SELECT count(*) FILTER (WHERE reader = :ella) AS by_ella, count(*) FILTER (WHERE reader = :enno) AS by_enno
  FROM unnest(ARRAY[:ella, :enno]) reader CROSS JOIN LATERAL chat.search_messages(reader, 'secret', :club);
SELECT id AS taken FROM chat.forward_message(:enno, :club, :newest, (SELECT id FROM chat.open_direct_chat(:enno, :enno))) \gset
SELECT body FROM chat.messages WHERE id = :taken;
SELECT kind FROM chat.delete_message(:enno, :club, (SELECT last_event_id FROM chat.get_chat(:enno, :club)), false);
SELECT last_message ->> 'body' AS body FROM chat.get_chat(:enno, :club);
SELECT body FROM chat.get_message(:ella, :club, :newest);
SELECT test.recount(:chat);
-- A copy of what expires does so too; the same key without an expiry is another message.
SELECT id AS brief FROM chat.send_message(:ella, :chat, 'brief', client_key => 'brief', expires_in => '1 hour') \gset
SELECT id AS copied FROM chat.forward_message(:ella, :chat, :brief, :direct) \gset
SELECT c.expires_at - b.expires_at BETWEEN '-1 second' AND '1 second' AS together FROM chat.messages c, chat.messages b WHERE c.chat_id = :direct AND c.id = :copied AND b.chat_id = :chat AND b.id = :brief;
SELECT duplicate FROM chat.send_message(:ella, :chat, 'brief', client_key => 'brief', expires_in => '2 hours');
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''brief'', client_key => ''brief'')', :ella, :chat));

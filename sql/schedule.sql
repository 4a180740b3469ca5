-- Scheduled messages. Their time is moved by hand, as an expected output cannot wait.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['later-sara', 'later-sven', 'later-saul']) name) made;
SELECT test.user('later-sara') AS sara, test.user('later-sven') AS sven, test.user('later-saul') AS saul \gset
SELECT id AS chat FROM chat.open_direct_chat(:sara, :sven) \gset
UPDATE chat.chats SET kind = 'group', member_count = 3 WHERE id = :chat;
UPDATE chat.members m SET role = 'owner' FROM chat.chats c WHERE c.id = m.chat_id AND m.user_id = c.creator_id AND c.id = :chat;
DELETE FROM chat.direct_chats WHERE chat_id = :chat;
INSERT INTO chat.members (chat_id, user_id) VALUES (:chat, :saul);

SELECT id AS first, duplicate FROM chat.schedule_message(:sara, '2027-01-01 12:00+00', :chat, 'happy new year', mention_ids => ARRAY[:sven, :saul], attributes => '{"a": 1}', client_key => 'k', expires_in => '1 day') \gset
SELECT :'duplicate' AS duplicate;
SELECT id = :first AS same, duplicate FROM chat.schedule_message(:sara, '2027-01-01 12:00+00', :chat, 'happy new year', mention_ids => ARRAY[:sven, :saul], attributes => '{"a": 1}', client_key => 'k', expires_in => '1 day');
SELECT test.error(format('SELECT chat.schedule_message(%s, ''2027-01-01 12:00+00'', %s, ''other'', client_key => ''k'')', :sara, :chat));
SELECT id = :first AS first, chat_id = :chat AS chat, send_at = '2027-01-01 12:00+00' AS at, body, attributes, expires_in, failure FROM chat.list_scheduled_messages(:sara, :chat);
SELECT count(*) FROM chat.list_scheduled_messages(:sven);
SELECT message_count FROM chat.chats WHERE id = :chat;
SELECT chat.send_scheduled(100);

-- What send_message would not take is not scheduled either.
SELECT test.error(format('SELECT chat.schedule_message(%s, NULL, %s, ''x'')', :sara, :chat)), test.error(format('SELECT chat.schedule_message(%s, ''infinity'', %s, ''x'')', :sara, :chat));
SELECT test.error(format('SELECT chat.schedule_message(%s, now(), %s, '''')', :sara, :chat)), test.error(format('SELECT chat.schedule_message(%s, now(), 1, ''x'')', :sara));
SELECT test.error(format('SELECT chat.schedule_message(%s, now(), %s, ''x'', reply_to_id => 1)', :sara, :chat)), test.error(format('SELECT chat.schedule_message(NULL, now(), %s, ''x'')', :chat));
SELECT name, value FROM chat.set_setting('scheduled_messages_max', '1');
SELECT test.error(format('SELECT chat.schedule_message(%s, now(), %s, ''x'')', :sara, :chat));
SELECT id = :first AS same FROM chat.schedule_message(:sara, '2027-01-01 12:00+00', :chat, 'happy new year', mention_ids => ARRAY[:sven, :saul], attributes => '{"a": 1}', client_key => 'k', expires_in => '1 day');
SELECT name, value FROM chat.set_setting('scheduled_messages_max', '100');

-- Due, a day late: sent once, as an ordinary message of its sender.
UPDATE chat.scheduled_messages SET send_at = now() - interval '1 day' WHERE id = :first;
SELECT chat.send_scheduled(100);
SELECT chat.send_scheduled(100);
SELECT number, sender_id = :sara AS by_sara, body, cardinality(mentions) AS mentions, attributes, expires_at > now() + interval '23 hours' AS expires FROM chat.list_messages(:sven, :chat);
SELECT count(*) FROM chat.list_scheduled_messages(:sara);
SELECT test.error(format('SELECT chat.cancel_scheduled_message(%s, %s)', :sara, :first));
-- In the order of their times
SELECT count(*) FROM generate_series(1, 5) n, LATERAL chat.schedule_message(:sara, now() - n * interval '1 minute', :chat, 'minute ' || n);
SELECT chat.send_scheduled(2), chat.send_scheduled(2), chat.send_scheduled(2), chat.send_scheduled(2);
SELECT body FROM chat.list_messages(:sven, :chat) WHERE body LIKE 'minute%';

-- Cancelling: one's own, before it is sent.
SELECT id AS second FROM chat.schedule_message(:sven, '2027-01-01 12:00+00', :chat, 'never') \gset
SELECT test.error(format('SELECT chat.cancel_scheduled_message(%s, %s)', :sara, :second)), test.error(format('SELECT chat.cancel_scheduled_message(%s, 1)', :sven));
SELECT chat.cancel_scheduled_message(:sven, :second);
SELECT count(*) FROM chat.list_scheduled_messages(:sven);
SELECT test.error(format('SELECT chat.cancel_scheduled_message(%s, %s)', :sven, :second)), test.error('SELECT chat.cancel_scheduled_message(NULL, 1)');

-- Looked at again when it is sent: who is no longer in, may no longer post, is suspended; the others go.
SELECT count(*) FROM unnest(ARRAY[:saul, :sven, :sara]::bigint[]) AS sender, LATERAL chat.schedule_message(sender, now(), :chat, 'by ' || (SELECT user_name FROM chat.users WHERE id = sender), mention_ids => ARRAY[:saul]);
SELECT id AS gone FROM chat.list_scheduled_messages(:saul) \gset
UPDATE chat.members SET left_id = (SELECT last_event_id FROM chat.chats WHERE id = :chat) WHERE chat_id = :chat AND user_id = :saul;
UPDATE chat.users SET suspended_until = 'infinity' WHERE id = :sven;
SELECT chat.send_scheduled(100);
SELECT body, failure FROM chat.list_scheduled_messages(:saul);
SELECT body, failure FROM chat.list_scheduled_messages(:sven);
SELECT count(*) FROM chat.list_scheduled_messages(:sara);
-- Who has left is mentioned no more.
SELECT body, mentions FROM chat.list_messages(:sara, :chat, page_size => 1);
UPDATE chat.users SET suspended_until = NULL WHERE id = :sven;
SELECT chat.send_scheduled(100);
SELECT id AS posting FROM chat.schedule_message(:sven, now(), :chat, 'may not') \gset
UPDATE chat.chats SET posting = 'admins' WHERE id = :chat;
SELECT chat.send_scheduled(100);
SELECT body, failure FROM chat.list_scheduled_messages(:sven);
SELECT chat.cancel_scheduled_message(:saul, :gone);
SELECT count(*) FROM chat.list_scheduled_messages(:saul);
-- A message that is deleted for everyone leaves its content here neither; the call can still be repeated.
SELECT id AS notes FROM chat.open_direct_chat(:sara, :sara) \gset
SELECT id AS secret FROM chat.schedule_message(:sara, '2025-02-01 12:00+00', :notes, 'secret', attributes => '{"secret": 1}', client_key => 's', expires_in => '1 hour') \gset
SELECT chat.send_scheduled(100);
SELECT id = :secret AS same, duplicate FROM chat.schedule_message(:sara, '2025-02-01 12:00+00', :notes, 'secret', attributes => '{"secret": 1}', client_key => 's', expires_in => '1 hour');
UPDATE chat.messages SET expires_at = now() WHERE chat_id = :notes;
SELECT chat.expire_messages(100);
SELECT body, attributes, message_id IS NOT NULL AS sent FROM chat.scheduled_messages WHERE chat_id = :notes;
SELECT id = :secret AS same, duplicate FROM chat.schedule_message(:sara, '2025-02-01 12:00+00', :notes, 'secret', attributes => '{"secret": 1}', client_key => 's', expires_in => '1 hour');
SELECT test.error(format('SELECT chat.schedule_message(%s, now(), %s, ''secret'', client_key => ''s'')', :sara, :notes));
-- 30 days later nothing is left of what was sent or could not be.
UPDATE chat.scheduled_messages SET send_at = send_at - interval '31 days' WHERE chat_id = :chat;
SELECT chat.send_scheduled(100);
SELECT count(*) FROM chat.scheduled_messages WHERE chat_id = :chat;
SELECT test.recount(:chat);

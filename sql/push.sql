-- Push: who is queued for it, and how workers take, finish and retry.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['jon', 'kim', 'lea', 'max']) name) made;
SELECT test.user('jon') AS jon, test.user('kim') AS kim, test.user('lea') AS lea, test.user('max') AS max \gset
SELECT id AS chat FROM chat.open_direct_chat(:jon, :kim) \gset
SELECT id AS notes FROM chat.open_direct_chat(:kim, :kim) \gset
CREATE FUNCTION test.taken(worker text, size integer DEFAULT NULL) RETURNS TABLE (name text, platform text, token text, title text, preview text, badge integer) LANGUAGE sql AS $$
	SELECT u.user_name, t.platform, t.token, t.title, t.preview, t.badge FROM chat.take_pushes(worker, size) t JOIN chat.users u ON u.id = t.user_id ORDER BY t.id $$;
CREATE VIEW test.queue AS SELECT (SELECT count(*) FROM chat.push_queue) AS queued, (SELECT count(*) FROM chat.pushes) AS pushes, (SELECT count(*) FROM chat.push_users) AS users;

-- Registering
SELECT test.error(format('SELECT chat.register_push(%s, %L, %L)', :kim, platform, token)) FROM (VALUES (NULL, 't'), ('Apns!', 't'), ('apns', NULL), ('apns', ''), ('apns', repeat('x', 2049))) v (platform, token);
SELECT test.error('SELECT chat.register_push(1, ''apns'', ''t'')');
-- Nobody has a device: nothing is queued.
SELECT number FROM chat.send_message(:jon, :chat, 'silent');
SELECT * FROM test.queue;
SELECT session_id AS session FROM chat.create_session(:kim) \gset
SELECT chat.register_push(:kim, 'apns', 'kim phone', :session), chat.register_push(:kim, 'apns', 'kim phone', :session), chat.register_push(:kim, 'web', 'kim laptop'), chat.register_push(:jon, 'fcm', 'jon phone');
SELECT token, platform, session_id = :session AS in_session FROM chat.push_tokens WHERE user_id IN (:jon, :kim) ORDER BY token;
BEGIN;
SELECT name, value FROM chat.set_setting('push_tokens_max', '2');
SELECT test.error(format('SELECT chat.register_push(%s, ''web'', ''kim tablet'')', :kim)), test.error(format('SELECT chat.register_push(%s, ''web'', ''kim laptop'')', :kim));
ROLLBACK;

-- One row a message; a worker gets one for each device, oldest first, with the badge.
SELECT number FROM chat.send_message(:jon, :chat, 'one');
SELECT number FROM chat.send_message(:jon, :chat, repeat('long ', 30));
SELECT number FROM chat.send_message(:kim, :notes, 'to oneself');
SELECT * FROM test.queue;
SELECT * FROM test.taken('w1');
-- No other worker, nor the same one again, gets them while the lease lasts; then another does.
SELECT * FROM test.taken('w2');
SELECT * FROM test.taken('w1');
UPDATE chat.push_users SET due_at = now() - interval '1 second';
SELECT preview, token FROM test.taken('w2', 1);
-- What is finished is gone; the rest of the user's comes when this worker has nothing of his any more.
SELECT count(*) FROM test.taken('w1');
SELECT chat.finish_push(id), chat.finish_push(id) FROM chat.pushes WHERE taken;
SELECT preview, token FROM test.taken('w1', 1);
SELECT chat.finish_push(id) FROM chat.pushes WHERE taken;
SELECT left(preview, 4), char_length(preview), token FROM test.taken('w1');
SELECT chat.finish_push(id) FROM chat.pushes;
SELECT * FROM test.queue;

-- Cancelled when read, muted, deleted, or back in time
CREATE FUNCTION test.next(jon bigint, chat_id bigint) RETURNS void LANGUAGE sql AS $$ SELECT chat.send_message(jon, chat_id, 'next') $$;
SELECT test.next(:jon, :chat);
SELECT read_id > 0 AS read FROM chat.mark_read(:kim, :chat, 9223372036854775807);
SELECT count(*) FROM test.taken('w1');
SELECT * FROM test.queue;
SELECT test.next(:jon, :chat), test.next(:jon, :chat);
SELECT count(*) FROM test.taken('w1');
SELECT read_id > 0 AS read FROM chat.mark_read(:kim, :chat, 9223372036854775807);
UPDATE chat.push_users SET due_at = now();
SELECT count(*) FROM test.taken('w1');
SELECT * FROM test.queue;
UPDATE chat.members SET muted_until = 'infinity' WHERE chat_id = :chat AND user_id = :kim;
SELECT test.next(:jon, :chat);
SELECT * FROM test.queue;
UPDATE chat.members SET muted_until = now() - interval '1 second' WHERE chat_id = :chat AND user_id = :kim;
SELECT test.next(:jon, :chat);
UPDATE chat.members SET muted_until = now() + interval '1 hour' WHERE chat_id = :chat AND user_id = :kim;
SELECT count(*) FROM test.taken('w1');
UPDATE chat.members SET muted_until = NULL WHERE chat_id = :chat AND user_id = :kim;
BEGIN;
SELECT test.next(:jon, :chat);
INSERT INTO chat.leases VALUES (1, now() + interval '1 hour');
INSERT INTO chat.live_sessions (session_id, lease_id, user_id) SELECT u.id, 1, u.id FROM chat.users u;
SELECT test.next(:jon, :chat);
SELECT * FROM test.queue;
SELECT count(*) FROM test.taken('w1');
ROLLBACK;
BEGIN;
SELECT test.next(:jon, :chat);
UPDATE chat.messages SET deleted_id = id WHERE chat_id = :chat AND id = (SELECT message_id FROM chat.push_queue);
SELECT count(*) FROM test.taken('w1');
ROLLBACK;
SELECT test.next(:jon, :chat);
UPDATE chat.members SET left_id = 9223372036854775807 WHERE chat_id = :chat AND user_id = :kim;
SELECT count(*) FROM test.taken('w1');
UPDATE chat.members SET left_id = NULL WHERE chat_id = :chat AND user_id = :kim;

-- Retried with a growing wait, which holds up the device and no other; given up in the end.
SELECT value FROM chat.set_setting('push_attempts', '3');
SELECT test.next(:jon, :chat);
SELECT count(*) FROM test.taken('w1');
SELECT chat.finish_push(id) FROM chat.pushes WHERE token = 'kim laptop';
SELECT chat.retry_push(id, 'no route') FROM chat.pushes;
SELECT attempts, error, taken, due_at - now() BETWEEN interval '9 seconds' AND interval '10 seconds' AS ten_seconds FROM chat.pushes;
SELECT test.next(:jon, :chat);
SELECT token FROM test.taken('w1');
SELECT chat.finish_push(id) FROM chat.pushes WHERE taken;
SELECT due_at > now() + interval '5 seconds' AS waits, worker FROM chat.push_users;
UPDATE chat.pushes SET due_at = now(); UPDATE chat.push_users SET due_at = now();
SELECT token FROM test.taken('w1');
SELECT chat.retry_push(min(id)) FROM chat.pushes;
SELECT chat.finish_push(max(id)) FROM chat.pushes;
SELECT attempts, due_at - now() BETWEEN interval '19 seconds' AND interval '20 seconds' AS twenty_seconds FROM chat.pushes;
UPDATE chat.pushes SET due_at = now(); UPDATE chat.push_users SET due_at = now();
SELECT token FROM test.taken('w1');
SELECT chat.retry_push(id) FROM chat.pushes;
SELECT * FROM test.queue;
SELECT value FROM chat.set_setting('push_attempts', '8');
SELECT chat.finish_push(1), chat.retry_push(1);

-- Devices: another user's become one's own; they end with their session, and by unregistering.
SELECT test.next(:jon, :chat);
SELECT count(*) FROM test.taken('w1');
SELECT chat.register_push(:lea, 'web', 'kim laptop');
SELECT token FROM chat.pushes;
SELECT chat.log_out(:kim, :session);
UPDATE chat.push_users SET due_at = now();
SELECT count(*) FROM test.taken('w1');
SELECT * FROM test.queue;
SELECT chat.register_push(:kim, 'web', 'kim tablet');
SELECT test.next(:jon, :chat);
SELECT token FROM test.taken('w1');
SET ROLE chat_push;
SELECT chat.unregister_push(:kim, 'kim tablet'), chat.unregister_push(:kim, 'jon phone');
RESET ROLE;
SELECT token FROM chat.push_tokens WHERE user_id IN (:jon, :kim);
SELECT done FROM chat.run_maintenance() WHERE job = 'expire_pushes';
UPDATE chat.push_users SET due_at = now();
SELECT done FROM chat.run_maintenance() WHERE job = 'expire_pushes';
SELECT * FROM test.queue;

-- No previews by setting; what nobody takes for push_lifetime is dropped, queued or not.
SELECT chat.register_push(:kim, 'web', 'kim tablet');
SELECT value FROM chat.set_setting('push_preview', 'false');
SELECT test.next(:jon, :chat);
SELECT title, preview FROM test.taken('w1');
SELECT value FROM chat.set_setting('push_preview', 'true');
SELECT test.next(:jon, :chat);
SELECT * FROM test.queue;
UPDATE chat.push_users SET due_at = now();
UPDATE chat.pushes SET message_id = message_id - (86400000::bigint * 2 << 22);
UPDATE chat.push_queue SET message_id = message_id - (86400000::bigint * 2 << 22);
SELECT done FROM chat.run_maintenance() WHERE job = 'expire_pushes';
SELECT * FROM test.queue;
SELECT test.error('SELECT chat.take_pushes(NULL)'), test.error('SELECT chat.take_pushes(''w'', 0)');
SELECT "check", detail FROM chat.verify() WHERE NOT ok;

-- Nor does what the user may not or would not see any more: a block, a suspension, a message hidden or expired, a deleted chat.
CREATE FUNCTION test.after(statement text, jon bigint, chat_id bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	previews text;
BEGIN
	PERFORM chat.send_message(jon, chat_id, 'seen?', expires_in => '1 hour');
	EXECUTE statement;
	SELECT string_agg(t.preview, '|') INTO previews FROM chat.take_pushes('w1') t;
	RAISE EXCEPTION USING MESSAGE = coalesce(previews, 'none'); -- and all is as it was
EXCEPTION WHEN raise_exception THEN
	RETURN SQLERRM;
END
$$;
SELECT id AS group FROM chat.create_group(:jon, NULL, ARRAY[:kim]) \gset
SELECT chat.register_push(:kim, 'apns', 'kim watch');
SELECT read_id > 0 AS read FROM chat.mark_read(:kim, :chat, 9223372036854775807);
SELECT test.after('SELECT 1', :jon, :chat), test.after('SELECT 1', :jon, :group);
SELECT test.after(format('SELECT chat.block_user(%s, %s)', :kim, :jon), :jon, :chat), test.after(format('SELECT chat.block_user(%s, %s)', :kim, :jon), :jon, :group);
SELECT test.after(format('SELECT chat.suspend_user(%s)', :kim), :jon, :chat);
SELECT test.after(format('SELECT chat.delete_message(%s, m.chat_id, m.id, false) FROM (SELECT chat_id, max(id) AS id FROM chat.messages WHERE chat_id = %s GROUP BY 1) m', :kim, :chat), :jon, :chat);
SELECT test.after('UPDATE chat.messages SET expires_at = now() WHERE expires_at > now()', :jon, :chat);
SELECT test.after(format('SELECT chat.delete_chat(%s, %s)', :jon, :group), :jon, :group);
-- Many that nobody wants any more don't hide the one that somebody does.
SELECT chat.register_push(:lea, 'apns', 'lea watch');
SELECT id AS busy FROM chat.create_group(:jon, 'Busy', ARRAY[:kim]) \gset
SELECT count(*) FROM generate_series(1, 70) n, LATERAL chat.send_message(:jon, :busy, 'more ' || n) s;
SELECT unread FROM chat.mark_read(:kim, :busy, 9223372036854775807);
SELECT number FROM chat.send_direct_message(:jon, :lea, 'for lea');
SELECT preview FROM chat.take_pushes('w1', 5);
SELECT preview FROM chat.take_pushes('w1', 5);
DROP VIEW test.queue;
DROP FUNCTION test.taken, test.next, test.after;

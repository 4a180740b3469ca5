-- Maintenance: one small batch of each job, a failing one alone, and without pg_cron somebody else has to call.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['ruth', 'rob']) name) made;
SELECT test.user('ruth') AS ruth, test.user('rob') AS rob \gset
-- Every job there is, does nothing when nothing is due, and says what it is.
SELECT count(*) > 0 AS jobs, bool_and(error IS NULL) AS fine FROM chat.run_maintenance();
SELECT sum(done) FROM chat.run_maintenance();
SELECT test.error('SELECT * FROM chat.run_maintenance(0)');
SELECT chat.schedule_maintenance();

-- Batches: as much as asked for at a time, until nothing is left.
SELECT count(*) FROM generate_series(1, 5) n, LATERAL chat.begin_upload(:ruth, 'f' || n, NULL, 10) u;
SELECT done FROM chat.run_maintenance() WHERE job = 'expire_uploads';
UPDATE chat.uploads SET id = id - (86400000::bigint * 2 << 22) WHERE owner_id = :ruth;
SELECT r.done FROM generate_series(1, 4) n, LATERAL chat.run_maintenance(2 + n * 0) r WHERE r.job = 'expire_uploads';
SELECT bytes FROM chat.file_usage WHERE user_id = :ruth;

-- Events are forgotten after event_retention, chat by chat; messages are not events.
SELECT id AS chat FROM chat.open_direct_chat(:ruth, :rob) \gset
INSERT INTO chat.events (chat_id, id, prev_id, type, payload)
SELECT :chat, id, 0, 'chat_changed', '{}' FROM (SELECT chat.id_at(now() - interval '31 days') + n AS id FROM generate_series(1, 5) n UNION ALL SELECT chat.id_at(now() - interval '29 days')) i;
CREATE FUNCTION test.round(batch integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	expired bigint := 0;
BEGIN
	FOR i IN 0 .. (SELECT count(*) FROM chat.chats) / batch + 6 LOOP
		expired := expired + chat.expire_events(batch);
	END LOOP;
	RETURN expired;
END
$$;
SELECT test.round(2), count(*) FROM chat.events WHERE chat_id = :chat;
SELECT test.round(1000), count(*) FROM chat.events WHERE chat_id = :chat;
DELETE FROM chat.events WHERE chat_id = :chat;

-- A job that fails says so, and the others go on.
BEGIN;
CREATE OR REPLACE FUNCTION chat.expire_uploads(batch integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no luck'; END $$;
SELECT job, done, error FROM chat.run_maintenance() WHERE error IS NOT NULL OR job = 'collect_contents' ORDER BY job;
ROLLBACK;
SET ROLE chat_app;
SELECT count(*) > 0 AS jobs FROM chat.run_maintenance();
SELECT chat.schedule_maintenance();
RESET ROLE;
SET ROLE chat_user;
SELECT chat.run_maintenance();
RESET ROLE;
DROP FUNCTION test.round;

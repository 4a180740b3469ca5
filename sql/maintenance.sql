-- Maintenance: jobs in small batches, a failing one alone, and without pg_cron somebody else has to call.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['ruth', 'rob']) name) made;
SELECT test.user('ruth') AS ruth, test.user('rob') AS rob \gset
-- Whatever is due is done batch by batch, each committed, whatever the caller's search_path has.
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.trap(interval, interval) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE FUNCTION hostile.trap(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR hostile.< (LEFTARG = interval, RIGHTARG = interval, FUNCTION = hostile.trap);
CREATE OPERATOR hostile.> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = hostile.trap);
CREATE FUNCTION hostile.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE FUNCTION hostile.cardinality(text[]) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
SELECT count(*) FROM chat.begin_upload(:ruth, 'old', NULL, 10);
UPDATE chat.uploads SET id = id - (86400000::bigint * 2 << 22) WHERE owner_id = :ruth;
SET search_path = hostile, pg_catalog;
CALL chat.maintain('5 minutes');
RESET search_path;
\set VERBOSITY terse
DROP SCHEMA hostile CASCADE;
\set VERBOSITY default
SELECT count(*) FROM chat.uploads WHERE owner_id = :ruth;
SET ROLE chat_user;
CALL chat.maintain();
SELECT chat.run_job('expire_uploads');
RESET ROLE;
BEGIN;
CALL chat.maintain();
ROLLBACK;
-- Every job there is, does nothing when nothing is due, and says what it is.
SELECT count(*) = cardinality(chat.maintenance_jobs()) AS jobs, bool_and(error IS NULL) AS fine, sum(done) FROM chat.run_maintenance();
SELECT test.error('SELECT * FROM chat.run_maintenance(0)'), test.error('SELECT chat.run_job(''expire_uploads'', 0)');
SELECT test.error('SELECT chat.run_job(''fail'')'), test.error('SELECT chat.run_job(NULL)');
SELECT chat.schedule_maintenance();
-- What earlier releases have scheduled goes on.
DO $$
BEGIN
	WHILE (SELECT pg_catalog.bool_or(m.done > 0) FROM chat.run_maintenance() m) LOOP
		COMMIT;
	END LOOP;
END
$$;

-- Batches: as much as asked for at a time, until nothing is left.
SELECT count(*) FROM generate_series(1, 5) n, LATERAL chat.begin_upload(:ruth, 'f' || n, NULL, 10) u;
SELECT done FROM chat.run_job('expire_uploads');
UPDATE chat.uploads SET id = id - (86400000::bigint * 2 << 22) WHERE owner_id = :ruth;
SELECT r.done FROM generate_series(1, 4) n, LATERAL chat.run_job('expire_uploads', 2 + n * 0) r;
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
-- It is remembered, and since when, until it works again.
SELECT failing_since AS since FROM chat.maintenance WHERE error IS NOT NULL \gset
SELECT done, error FROM chat.run_job('expire_uploads');
SELECT job, error, failing_since = :'since' AS since_then, ran_at > failing_since AS tried FROM chat.maintenance WHERE error IS NOT NULL;
SET ROLE chat_monitor;
SELECT value FROM chat.stats WHERE name = 'maintenance_jobs_failing';
SELECT job, error FROM chat.maintenance WHERE error IS NOT NULL;
RESET ROLE;
CREATE OR REPLACE FUNCTION chat.expire_uploads(batch integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN 0; END $$;
SELECT done, error FROM chat.run_job('expire_uploads');
SELECT count(*) FROM chat.maintenance WHERE error IS NOT NULL OR failing_since IS NOT NULL;
ROLLBACK;
SET ROLE chat_app;
SELECT count(*) > 0 AS jobs FROM chat.run_maintenance();
SELECT chat.schedule_maintenance();
RESET ROLE;
SET ROLE chat_user;
SELECT chat.run_maintenance();
RESET ROLE;
DROP FUNCTION test.round;

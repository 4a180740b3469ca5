-- Maintenance: jobs, done in batches. A batch is a transaction of its own, of so many rows (setting maintenance_batch) and so much time
-- (maintenance_batch_time) at most, so that whoever wants a chat that it holds, or one of its rows, waits no longer than that.
--
-- A job is a function name(batch integer), which does at most so many rows and answers how many: 0 = nothing is left to do now. One
-- session at a time does a job (claim_job). chat-gateway calls run_job() for one batch after the other; where there is none, pg_cron
-- calls maintain(), which commits between them.

CREATE OR REPLACE FUNCTION chat.batch_end()
RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT clock_timestamp() + chat.setting_interval('maintenance_batch_time') $$;
COMMENT ON FUNCTION chat.batch_end IS 'When a batch that begins now is to end, as it holds what others may want; setting maintenance_batch_time. Its rest is for the next one.';

CREATE OR REPLACE FUNCTION chat.claim_job(job text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	reached bigint;
BEGIN
	SELECT m.position INTO reached FROM chat.maintenance m WHERE m.job = claim_job.job FOR UPDATE SKIP LOCKED;
	IF NOT FOUND AND NOT EXISTS (SELECT FROM chat.maintenance m WHERE m.job = claim_job.job) THEN -- the first time
		INSERT INTO chat.maintenance AS m (job, position) VALUES (claim_job.job, 0)
		ON CONFLICT ON CONSTRAINT maintenance_pkey DO NOTHING RETURNING m.position INTO reached;
	END IF;
	RETURN reached;
END
$$;
COMMENT ON FUNCTION chat.claim_job IS 'For work that one session does at a time: how far it has come, and nobody else gets it before this transaction ends; NULL: somebody else has it.';

-- Events have no index on time: their chats are gone round, a batch of chats each time.
CREATE OR REPLACE FUNCTION chat.expire_events(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	reached bigint := chat.claim_job('expire_events');
	last_chat bigint;
	expired integer;
BEGIN
	SELECT max(c.id) INTO last_chat FROM (SELECT o.id FROM chat.chats o WHERE o.id > reached ORDER BY o.id LIMIT expire_events.batch) c;
	DELETE FROM chat.events e USING (
		SELECT o.chat_id, o.id FROM chat.chats c JOIN chat.events o ON o.chat_id = c.id
		 WHERE c.id > reached AND c.id <= last_chat AND o.id < chat.id_at(now() - chat.setting_interval('event_retention'))
		 LIMIT expire_events.batch) old
	 WHERE e.chat_id = old.chat_id AND e.id = old.id;
	GET DIAGNOSTICS expired = ROW_COUNT;
	IF expired < expire_events.batch THEN -- else these chats have more of them
		UPDATE chat.maintenance m SET position = coalesce(last_chat, 0) WHERE m.job = 'expire_events' AND reached IS NOT NULL;
	END IF;
	RETURN expired;
END
$$;
COMMENT ON FUNCTION chat.expire_events IS 'A job: deletes at most batch events older than the setting event_retention from the next batch of chats, and answers how many.';

-- Users are locked before chats, chats before files: the order of the jobs.
CREATE OR REPLACE FUNCTION chat.maintenance_jobs()
RETURNS text[] LANGUAGE sql IMMUTABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT ARRAY['expire_sessions', 'expire_budgets', 'expire_presence', 'erase_users', 'send_scheduled', 'expire_messages', 'drop_old_messages', 'index_messages', 'drop_deleted_chats', 'count_members',
		'expire_uploads', 'collect_contents', 'forget_files', 'expire_pushes', 'expire_events', 'expire_invite_links', 'expire_client_keys', 'expire_outbox']
$$;
COMMENT ON FUNCTION chat.maintenance_jobs IS 'The jobs of maintenance, for run_job(), in the order in which they are done.';
GRANT EXECUTE ON FUNCTION chat.maintenance_jobs TO chat_gateway, chat_app; -- since 0.4.0

-- The second runner finds the job taken, and goes on to the next.
CREATE OR REPLACE FUNCTION chat.run_job(job text, batch_size integer DEFAULT NULL, OUT done integer, OUT error text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF (run_job.job = ANY (chat.maintenance_jobs())) IS NOT TRUE THEN
		PERFORM chat.fail('invalid_argument', 'there is no such job', 'maintenance_jobs() has them all.');
	ELSIF run_job.batch_size < 1 THEN
		PERFORM chat.fail('invalid_argument', 'batch_size is not acceptable', 'Use 1 or more.');
	END IF;
	-- A NOTIFY queue that was full stays so until somebody asks, though it has been read: nobody can NOTIFY who would advance it.
	PERFORM pg_notification_queue_usage();
	done := 0;
	IF chat.claim_job(run_job.job) IS NULL THEN
		RETURN;
	END IF;
	BEGIN -- one that fails must not keep the others from their work
		EXECUTE format('SELECT chat.%I($1)', run_job.job) INTO done
		  USING coalesce(run_job.batch_size, chat.setting_integer('maintenance_batch')::integer);
	EXCEPTION WHEN OTHERS THEN
		done := 0;
		error := SQLERRM;
		RAISE WARNING 'maintenance job % failed: %', run_job.job, error;
	END;
	UPDATE chat.maintenance m
	   SET ran_at = clock_timestamp(), error = run_job.error,
		   failing_since = CASE WHEN run_job.error IS NOT NULL THEN coalesce(m.failing_since, clock_timestamp()) END
	 WHERE m.job = run_job.job;
END
$$;
COMMENT ON FUNCTION chat.run_job IS 'Does one batch of a job of maintenance_jobs(), in the caller''s transaction: commit before the next call, for a batch may hold chats. batch_size: rows at most (setting maintenance_batch); it ends sooner when its time is over (maintenance_batch_time). done: rows handled; while it is not 0 there may be more, so call again at once; else a minute later. 0 also while another session does the job. error: why it has done nothing; chat.maintenance keeps it. MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.run_job TO chat_gateway, chat_app; -- since 0.4.0

-- Not SECURITY DEFINER and without SET, which would forbid COMMIT: nothing in it may depend on the caller's search_path.
CREATE OR REPLACE PROCEDURE chat.maintain(time_limit interval DEFAULT '50 seconds')
LANGUAGE plpgsql AS $$
DECLARE
	began constant pg_catalog.timestamptz := pg_catalog.clock_timestamp();
	waiting pg_catalog.text[] := chat.maintenance_jobs();
	busy pg_catalog.text[];
	job pg_catalog.text;
	handled pg_catalog.int4;
BEGIN
	WHILE pg_catalog.cardinality(waiting) OPERATOR(pg_catalog.>) 0
		AND pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) began OPERATOR(pg_catalog.<) time_limit LOOP
		busy := '{}';
		FOREACH job IN ARRAY waiting LOOP
			handled := (SELECT r.done FROM chat.run_job(job) r);
			COMMIT;
			IF handled OPERATOR(pg_catalog.>) 0 THEN
				busy := pg_catalog.array_append(busy, job);
				PERFORM pg_catalog.pg_sleep(0.05); -- others want the machine, and what it held
				COMMIT;
			END IF;
		END LOOP;
		waiting := busy;
	END LOOP;
END
$$;
COMMENT ON PROCEDURE chat.maintain IS 'Does what is due, in batches by run_job(), each committed before the next: all jobs in turn until nothing is left, or time_limit is over. CALL it every minute, outside a transaction, where no chat-gateway does; schedule_maintenance() has pg_cron do it. Several at a time do no harm.';
GRANT EXECUTE ON PROCEDURE chat.maintain TO chat_app; -- since 0.4.0

CREATE OR REPLACE FUNCTION chat.run_maintenance(batch_size integer DEFAULT NULL)
RETURNS TABLE (job text, done integer, error text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT j.job, r.done, r.error
	  FROM unnest(chat.maintenance_jobs()) WITH ORDINALITY AS j (job, position) CROSS JOIN LATERAL chat.run_job(j.job, run_maintenance.batch_size) r
	 ORDER BY j.position
$$;
COMMENT ON FUNCTION chat.run_maintenance IS 'run_job() for each job once, all in the caller''s transaction: for tests, and for schedules made by earlier releases. Commit after each call. maintain() does the same in transactions of a batch each. MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.run_maintenance TO chat_app; -- since 0.2.0
GRANT EXECUTE ON FUNCTION chat.run_maintenance TO chat_gateway; -- since 0.3.0

CREATE OR REPLACE FUNCTION chat.schedule_maintenance()
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'pg_cron') THEN
		RETURN false;
	END IF;
	EXECUTE $cron$SELECT cron.schedule('chat_maintenance', '* * * * *', 'CALL chat.maintain()')$cron$;
	EXECUTE $cron$SELECT cron.schedule('chat_maintenance_log', '17 3 * * *', $job$
		DELETE FROM cron.job_run_details d USING cron.job j
		 WHERE j.jobid = d.jobid AND j.jobname IN ('chat_maintenance', 'chat_maintenance_log') AND d.end_time < now() - interval '7 days'
		$job$)$cron$;
	RETURN true;
END
$body$;
COMMENT ON FUNCTION chat.schedule_maintenance IS 'Has pg_cron, where it is installed in this database, CALL chat.maintain() every minute as the present user, and keep a week of its log: jobs chat_maintenance and chat_maintenance_log. Again replaces them; cron.unschedule(name) ends one. false: there is no pg_cron here, so something else has to call it. For the extension''s owner.';

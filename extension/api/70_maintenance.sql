-- Maintenance: jobs that each do one small batch, whoever calls them and however often.

CREATE OR REPLACE FUNCTION chat.claim_job(job text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	reached bigint;
BEGIN
	INSERT INTO chat.maintenance (job, position) VALUES (claim_job.job, 0) ON CONFLICT ON CONSTRAINT maintenance_pkey DO NOTHING;
	SELECT m.position INTO reached FROM chat.maintenance m WHERE m.job = claim_job.job FOR UPDATE SKIP LOCKED;
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
COMMENT ON FUNCTION chat.expire_events IS 'For run_maintenance: deletes at most batch events older than the setting event_retention from the next batch of chats, and answers how many.';

-- Users are locked before chats, chats before files: the order of the jobs.
CREATE OR REPLACE FUNCTION chat.maintenance_jobs()
RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
	SELECT ARRAY['expire_sessions', 'expire_budgets', 'expire_presence', 'send_scheduled', 'expire_messages', 'drop_old_messages', 'index_messages', 'drop_deleted_chats', 'count_members',
		'expire_uploads', 'collect_contents', 'forget_files', 'expire_pushes', 'expire_events', 'expire_invite_links', 'expire_client_keys', 'expire_outbox']
$$;
COMMENT ON FUNCTION chat.maintenance_jobs IS 'The functions that run_maintenance calls, in this order: name(batch integer), which answers how much it has done.';

CREATE OR REPLACE FUNCTION chat.run_maintenance(batch_size integer DEFAULT NULL)
RETURNS TABLE (job text, done integer, error text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	batch integer := coalesce(run_maintenance.batch_size, chat.setting_integer('maintenance_batch')::integer);
BEGIN
	IF batch < 1 THEN
		PERFORM chat.fail('invalid_argument', 'batch_size is not acceptable', 'Use 1 or more.');
	END IF;
	IF chat.claim_job('run_maintenance') IS NOT NULL THEN
		UPDATE chat.maintenance m SET position = chat.id_at(clock_timestamp()) WHERE m.job = 'run_maintenance';
	END IF;
	-- A NOTIFY queue that was full stays so until somebody asks, though it has been read: nobody can NOTIFY who would advance it.
	PERFORM pg_notification_queue_usage();
	FOREACH job IN ARRAY chat.maintenance_jobs() LOOP
		BEGIN -- one that fails must not keep the others from their work
			error := NULL;
			EXECUTE format('SELECT chat.%I($1)', job) USING batch INTO done;
		EXCEPTION WHEN OTHERS THEN
			done := 0;
			error := SQLERRM;
			RAISE WARNING 'maintenance job % failed: %', job, error;
		END;
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION chat.run_maintenance IS 'Does what is due: scheduled messages, expired messages, sessions, presence, uploads, pushes and events, deleted chats, unused contents; of each at most batch_size rows (setting maintenance_batch), in the caller''s transaction. Call it every minute, and at once again while something was done; chat-gateway does (maintenance_interval). Nothing is done twice, however many sessions call it and however long nobody did. done: rows handled; error: why a job has done nothing, the others go on. schedule_maintenance() has pg_cron do it. MC400 invalid_argument.';
GRANT EXECUTE ON FUNCTION chat.run_maintenance TO chat_app; -- since 0.2.0
GRANT EXECUTE ON FUNCTION chat.run_maintenance TO chat_gateway; -- since 0.3.0

CREATE OR REPLACE FUNCTION chat.schedule_maintenance()
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'pg_cron') THEN
		RETURN false;
	END IF;
	-- Batch by batch, each committed before the next, until nothing is left.
	EXECUTE $cron$SELECT cron.schedule('chat_maintenance', '* * * * *', $job$
		DO $$
		BEGIN
			WHILE (SELECT pg_catalog.bool_or(m.done > 0) FROM chat.run_maintenance() m) LOOP
				COMMIT;
			END LOOP;
		END
		$$$job$)$cron$;
	EXECUTE $cron$SELECT cron.schedule('chat_maintenance_log', '17 3 * * *', $job$
		DELETE FROM cron.job_run_details d USING cron.job j
		 WHERE j.jobid = d.jobid AND j.jobname IN ('chat_maintenance', 'chat_maintenance_log') AND d.end_time < now() - interval '7 days'
		$job$)$cron$;
	RETURN true;
END
$body$;
COMMENT ON FUNCTION chat.schedule_maintenance IS 'Has pg_cron, where it is installed in this database, call run_maintenance() every minute as the present user, until nothing is left to do, and keep a week of its log: jobs chat_maintenance and chat_maintenance_log. Again replaces them; cron.unschedule(name) ends one. false: there is no pg_cron here, so something else has to call run_maintenance(). For the extension''s owner.';

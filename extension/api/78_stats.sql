CREATE OR REPLACE VIEW chat.stats AS
SELECT 'horizon_lag_seconds' AS name, CASE WHEN NOT pg_is_in_recovery() THEN greatest(extract(epoch FROM chat.id_time(chat.last_id()) - chat.id_time(chat.horizon())), 0) END AS value,
	'how far read_events and the cursors of sync stay behind the last id: an open transaction holds them back' AS description
UNION ALL
SELECT 'ids_made', chat.delivery_stat('ids'), 'ids taken since the server''s start, in all its databases; this and the next nine are NULL where the library is not preloaded or has no ring yet'
UNION ALL
SELECT 'notifications_queued', chat.delivery_stat('queued'), 'put into the ring by committed transactions'
UNION ALL
SELECT 'notifications_published', chat.delivery_stat('published'), 'of these, sent by the notifier'
UNION ALL
SELECT 'notifications_dropped', chat.delivery_stat('dropped'), 'of these, not sent, as NOTIFY does not take such a name or payload; the log has each'
UNION ALL
SELECT 'ring_bytes', chat.delivery_stat('bytes'), 'waiting in the ring'
UNION ALL
SELECT 'ring_use', round(chat.delivery_stat('bytes') / (pg_size_bytes(current_setting('chat.ring_size', true))), 4), 'share of the ring that is full'
UNION ALL
SELECT 'ring_overflows', chat.delivery_stat('overflowed'), 'transactions whose notifications found no room or were too many'
UNION ALL
SELECT 'resyncs', chat.delivery_stat('resyncs'), 'times that listeners were told to look for themselves'
UNION ALL
SELECT 'notifier_batches', chat.delivery_stat('batches'), 'transactions of the notifier'
UNION ALL
SELECT 'notifier_starts', chat.delivery_stat('notifiers'), 'notifiers started'
UNION ALL
SELECT 'maintenance_age_seconds', (SELECT greatest(extract(epoch FROM now() - min(m.ran_at)), 0) FROM chat.maintenance m HAVING count(m.ran_at) > 0),
	'since the job that has waited longest was last done; NULL: none ever was. Each is due once a minute'
UNION ALL
SELECT 'maintenance_jobs_failing', (SELECT count(*) FROM chat.maintenance m WHERE m.error IS NOT NULL),
	'jobs whose last batch failed; chat.maintenance says why, and since when'
UNION ALL
SELECT 'erasures', (SELECT count(*) FROM chat.erasures), 'accounts that have ended and of which maintenance has not removed all yet'
UNION ALL
SELECT 'erasures_age_seconds', (SELECT greatest(extract(epoch FROM now() - chat.id_time(min(e.id))), 0) FROM chat.erasures e HAVING count(*) > 0),
	'since the first of them ended; NULL: there are none'
UNION ALL
SELECT 'outbox_rows', (SELECT count(*) FROM chat.outbox), 'rows of the outbox'
UNION ALL
SELECT 'notify_queue_use', pg_notification_queue_usage()::numeric, 'share of PostgreSQL''s NOTIFY queue that is full; at 1 nobody can commit'
UNION ALL
SELECT 'pushes_queued', (SELECT count(*) FROM chat.push_queue), 'messages to be pushed, not yet given to devices'
UNION ALL
SELECT 'pushes_pending', (SELECT count(*) FROM chat.pushes), 'pushes waiting, taken, or to be tried again'
UNION ALL
SELECT 'pushes_failing', (SELECT count(*) FROM chat.pushes p WHERE p.attempts > 0), 'of these, those that have failed before'
UNION ALL
SELECT 'uploads', (SELECT count(*) FROM chat.uploads), 'uploads that are not finished'
UNION ALL
SELECT 'content_bytes', (SELECT coalesce(sum(c.size), 0) FROM chat.contents c), 'bytes of all contents, once each'
UNION ALL
SELECT 'contents_unused', (SELECT count(*) FROM chat.contents c WHERE c.use_count = 0), 'contents that maintenance will collect'
UNION ALL
SELECT 'sessions', (SELECT count(*) FROM chat.sessions s WHERE s.expires_at > now()), 'logins that have not expired';
COMMENT ON VIEW chat.stats IS 'What an operator watches: name, value, description. Releases add rows.';
GRANT SELECT ON chat.stats TO chat_monitor, chat_app; -- since 0.2.0
GRANT SELECT ON chat.maintenance TO chat_monitor, chat_app; -- since 0.4.0
GRANT EXECUTE ON FUNCTION chat.id_time TO chat_monitor; -- since 0.2.0
GRANT EXECUTE ON FUNCTION chat.last_id TO chat_monitor, chat_app; -- since 0.2.0
GRANT EXECUTE ON FUNCTION chat.delivery_stat TO chat_monitor, chat_app; -- since 0.2.0

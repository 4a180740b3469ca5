CREATE OR REPLACE VIEW chat.stats AS
SELECT 'horizon_lag_seconds' AS name, extract(epoch FROM clock_timestamp() - chat.id_time(chat.horizon())) AS value,
	'how far read_events and sync stay behind' AS description
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
GRANT EXECUTE ON FUNCTION chat.id_time TO chat_monitor; -- since 0.2.0

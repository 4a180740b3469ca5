-- Checks of the whole database: counters against counts, cursors, references, orphans. Each row of these functions is a check and the
-- first damage that it finds.

CREATE OR REPLACE FUNCTION chat.verify_chats()
RETURNS TABLE ("check" text, damage text)
LANGUAGE sql STABLE AS $$
	VALUES
	('chat: member_count', (SELECT min(format('chat %s has %s, counted %s', c.id, c.member_count, n.count)) FROM chat.chats c
		LEFT JOIN (SELECT m.chat_id, count(*) FROM chat.members m WHERE m.left_id IS NULL GROUP BY 1) n ON n.chat_id = c.id
		WHERE c.deleted_id IS NULL AND c.member_count <> coalesce(n.count, 0))),
	('chat: message_count', (SELECT min(format('chat %s has %s, last number %s', c.id, c.message_count, n.last)) FROM chat.chats c
		JOIN (SELECT m.chat_id, max(m.number) AS last FROM chat.messages m GROUP BY 1) n ON n.chat_id = c.id
		WHERE c.message_count <> n.last)),
	('chat: last_event_id', (SELECT min(format('chat %s has %s, last event %s', c.id, c.last_event_id, n.last)) FROM chat.chats c
		CROSS JOIN LATERAL (SELECT greatest((SELECT max(m.id) FROM chat.messages m WHERE m.chat_id = c.id),
			(SELECT max(e.id) FROM chat.events e WHERE e.chat_id = c.id)) AS last) n
		WHERE c.last_event_id < n.last OR c.last_event_id < c.id)),
	('chat: direct', (SELECT min(format('chat %s: a direct chat has one pair of users, who are its members', coalesce(c.id, d.chat_id)))
		FROM (SELECT k.id FROM chat.chats k WHERE k.kind = 'direct') c FULL JOIN chat.direct_chats d ON d.chat_id = c.id
		WHERE c.id IS NULL OR d.chat_id IS NULL OR (SELECT count(*) FROM chat.members m
			WHERE m.chat_id = c.id AND m.user_id IN (d.low_user_id, d.high_user_id))
			<> CASE WHEN d.low_user_id = d.high_user_id THEN 1 ELSE 2 END)),
	('chat: owner', (SELECT min(format('chat %s has %s owners', c.id, n.owners)) FROM chat.chats c
		CROSS JOIN LATERAL (SELECT count(*) AS members, count(*) FILTER (WHERE m.role = 'owner') AS owners
			FROM chat.members m WHERE m.chat_id = c.id AND m.left_id IS NULL) n
		WHERE c.kind <> 'direct' AND c.deleted_id IS NULL AND n.members > 0 AND n.owners <> 1)),
	('member: user and chat', (SELECT min(format('member %s of chat %s', m.user_id, m.chat_id)) FROM chat.members m
		LEFT JOIN chat.chats c ON c.id = m.chat_id LEFT JOIN chat.users u ON u.id = m.user_id WHERE c.id IS NULL OR u.id IS NULL)),
	('member: read cursor', (SELECT min(format('member %s of chat %s', m.user_id, m.chat_id))
		FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id LEFT JOIN chat.messages g ON g.chat_id = m.chat_id AND g.id = m.read_id
		WHERE m.read_count > c.message_count OR m.read_id > c.last_event_id OR m.delivered_id > c.last_event_id OR m.read_count <> g.number)),
	('member: mentions', (SELECT min(format('member %s of chat %s has %s, counted %s', m.user_id, m.chat_id, m.mentions, n.count))
		FROM chat.members m CROSS JOIN LATERAL (SELECT count(*) FROM chat.mentions a
			WHERE a.user_id = m.user_id AND a.chat_id = m.chat_id AND a.message_id > m.read_id) n
		WHERE m.left_id IS NULL AND m.mentions <> n.count))
$$;
COMMENT ON FUNCTION chat.verify_chats IS 'Checks of chats and members; damage NULL = none.';

-- What came before event_retention or message_retention (0: messages are kept) may have lost its predecessor.
CREATE OR REPLACE FUNCTION chat.verify_messages()
RETURNS TABLE ("check" text, damage text)
LANGUAGE sql STABLE AS $$
	VALUES
	('message: chat and sender', (SELECT min(format('message %s of chat %s', m.id, m.chat_id)) FROM chat.messages m
		LEFT JOIN chat.chats c ON c.id = m.chat_id LEFT JOIN chat.users u ON u.id = m.sender_id
		WHERE c.id IS NULL OR u.id IS NULL)),
	('message: kind', (SELECT min(format('message %s of chat %s is of kind %s', m.id, m.chat_id, m.kind)) FROM chat.messages m
		WHERE m.kind NOT IN ('user', 'system'))),
	('message: number', (SELECT min(format('message %s of chat %s', m.id, m.chat_id)) FROM (
		SELECT g.id, g.chat_id, g.kind, g.number, lag(g.number) OVER (PARTITION BY g.chat_id ORDER BY g.id) AS before FROM chat.messages g) m
		WHERE m.number <> m.before + CASE WHEN m.kind = 'user' THEN 1 ELSE 0 END)),
	('message: mentions', (SELECT min(format('mention of %s in message %s of chat %s', a.user_id, a.message_id, a.chat_id)) FROM chat.mentions a
		LEFT JOIN chat.messages m ON m.chat_id = a.chat_id AND m.id = a.message_id
		WHERE m.id IS NULL OR NOT a.user_id = ANY (coalesce(m.mention_ids, '{}')))),
	('message: reactions', (SELECT min(format('message %s of chat %s: %s %s, counted %s', coalesce(s.id, r.message_id), coalesce(s.chat_id, r.chat_id),
			coalesce(s.emoji, r.emoji), coalesce(s.count, 0), coalesce(r.count, 0)))
		FROM (SELECT m.chat_id, m.id, j.emoji, j.count FROM chat.messages m
			CROSS JOIN jsonb_to_recordset(m.reactions) AS j (emoji text, count integer)) s
		FULL JOIN (SELECT o.chat_id, o.message_id, o.emoji, count(*) FROM chat.reactions o GROUP BY 1, 2, 3) r
			ON r.chat_id = s.chat_id AND r.message_id = s.id AND r.emoji = s.emoji
		WHERE s.count IS DISTINCT FROM r.count)),
	('message: files', (SELECT min(format('message %s of chat %s: file %s', coalesce(s.id, a.message_id), coalesce(s.chat_id, a.chat_id), coalesce(s.file_id, a.file_id)))
		FROM (SELECT m.chat_id, m.id, i AS file_id FROM chat.messages m CROSS JOIN unnest(m.file_ids) i) s
		FULL JOIN chat.attachments a ON a.chat_id = s.chat_id AND a.message_id = s.id AND a.file_id = s.file_id
		LEFT JOIN chat.files f ON f.id = a.file_id
		WHERE s.id IS NULL OR f.id IS NULL)),
	('event: chat', (SELECT min(format('event %s of chat %s', e.id, e.chat_id)) FROM chat.events e
		LEFT JOIN chat.chats c ON c.id = e.chat_id WHERE c.id IS NULL)),
	('event: prev_id', (SELECT min(format('event %s of chat %s', e.id, e.chat_id)) FROM (
		SELECT o.chat_id, o.id, o.prev_id, lag(o.id, 1, o.chat_id) OVER (PARTITION BY o.chat_id ORDER BY o.id) AS before
		  FROM (SELECT m.chat_id, m.id, m.prev_id FROM chat.messages m UNION SELECT v.chat_id, v.id, v.prev_id FROM chat.events v) o
		  JOIN chat.chats c ON c.id = o.chat_id AND c.deleted_id IS NULL) e -- a deleted one's messages go before its events
		WHERE e.prev_id <> e.before AND e.prev_id > (
			SELECT max(CASE WHEN l.value::interval > interval '0' THEN chat.id_at(now() - l.value::interval) END)
			  FROM chat.list_settings() l WHERE l.name IN ('event_retention', 'message_retention')))),
	('id: ceiling', (SELECT min(format('event %s of chat %s', c.last_event_id, c.id)) FROM chat.chats c, chat.id_ceiling s
		WHERE (c.last_event_id >> 22) * 4096 + (c.last_event_id & 4095) >= s.last_value))
$$;
COMMENT ON FUNCTION chat.verify_messages IS 'Checks of messages, events and ids; damage NULL = none.';

CREATE OR REPLACE FUNCTION chat.verify_files(deep boolean)
RETURNS TABLE ("check" text, damage text)
LANGUAGE sql STABLE AS $$
	VALUES
	('file: owner and content', (SELECT min(format('file %s', f.id)) FROM chat.files f LEFT JOIN chat.users u ON u.id = f.owner_id
		LEFT JOIN chat.contents c ON c.id = f.content_id
		WHERE u.id IS NULL OR f.content_id IS NOT NULL AND (c.id IS NULL OR c.size <> f.size))),
	('file: shares', (SELECT min(format('share of file %s with %s', s.file_id, s.user_id)) FROM chat.file_shares s
		LEFT JOIN chat.files f ON f.id = s.file_id LEFT JOIN chat.users u ON u.id = s.user_id
		WHERE f.id IS NULL OR u.id IS NULL OR s.shared AND f.deleted)),
	('file: avatars', (SELECT min(format('avatar %s', a.file_id)) FROM (
		SELECT u.avatar_file_id AS file_id FROM chat.users u UNION SELECT c.avatar_file_id FROM chat.chats c) a
		LEFT JOIN chat.files f ON f.id = a.file_id WHERE a.file_id IS NOT NULL AND f.id IS NULL)),
	('file: usage', (SELECT min(format('user %s has %s bytes, counted %s', coalesce(g.user_id, n.user_id), coalesce(g.bytes, 0), coalesce(n.bytes, 0)))
		FROM chat.file_usage g FULL JOIN (SELECT o.owner_id AS user_id, sum(o.size) AS bytes FROM (
			SELECT f.owner_id, f.size FROM chat.files f WHERE f.content_id IS NOT NULL
			UNION ALL SELECT u.owner_id, u.size FROM chat.uploads u) o GROUP BY 1) n ON n.user_id = g.user_id
		WHERE coalesce(g.bytes, 0) <> coalesce(n.bytes, 0))),
	('content: use_count', (SELECT min(format('content %s has %s, counted %s', c.id, c.use_count, n.count)) FROM chat.contents c
		CROSS JOIN LATERAL (SELECT (SELECT count(*) FROM chat.files f WHERE f.content_id = c.id)
			+ (SELECT count(*) FROM chat.uploads u WHERE u.content_id = c.id) AS count) n
		WHERE c.use_count <> n.count)),
	('content: chunks', (SELECT min(format('content %s has %s bytes in %s chunks', o.id, n.bytes, n.chunks)) FROM (
		SELECT c.id, c.size FROM chat.contents c UNION ALL SELECT u.id, u.received FROM chat.uploads u WHERE u.content_id IS NULL) o
		CROSS JOIN LATERAL (SELECT count(*) AS chunks, coalesce(sum(octet_length(k.bytes)), 0) AS bytes,
			coalesce(bool_and(octet_length(k.bytes) = least(262144, o.size - k.number * 262144::bigint)), true) AS whole
			FROM chat.chunks k WHERE k.content_id = o.id) n
		WHERE n.bytes <> o.size OR NOT n.whole OR n.chunks <> (o.size + 262143) / 262144)),
	('content: orphans', (SELECT min(format('chunk %s of %s', k.number, k.content_id)) FROM chat.chunks k
		WHERE NOT EXISTS (SELECT FROM chat.contents c WHERE c.id = k.content_id)
		  AND NOT EXISTS (SELECT FROM chat.uploads u WHERE u.id = k.content_id AND u.content_id IS NULL))),
	('content: sha256', CASE WHEN verify_files.deep THEN (SELECT min(format('content %s', c.id)) FROM chat.contents c
		WHERE (chat.check_content(c.id)).sha256 <> c.sha256) END)
$$;
COMMENT ON FUNCTION chat.verify_files IS 'Checks of files and contents; damage NULL = none. deep: all content is read and hashed.';

CREATE OR REPLACE FUNCTION chat.verify_push()
RETURNS TABLE ("check" text, damage text)
LANGUAGE sql STABLE AS $$
	VALUES
	('push: tokens', (SELECT min(format('user %s', t.user_id)) FROM chat.push_tokens t
		LEFT JOIN chat.users u ON u.id = t.user_id WHERE u.id IS NULL)),
	('push: users', (SELECT min(format('push %s of user %s', p.id, p.user_id)) FROM chat.pushes p
		LEFT JOIN chat.push_users u ON u.user_id = p.user_id WHERE u.user_id IS NULL OR p.taken AND u.worker IS NULL)),
	('session: user', (SELECT min(format('session %s', s.id)) FROM chat.sessions s LEFT JOIN chat.users u ON u.id = s.user_id WHERE u.id IS NULL)),
	('user: erasing', (SELECT min(format('user %s', e.user_id)) FROM chat.erasures e LEFT JOIN chat.users u ON u.id = e.user_id
		WHERE u.deleted IS NOT TRUE)),
	('user: erased', (SELECT min(format('user %s has left %s', u.id, o.what)) FROM chat.users u CROSS JOIN LATERAL (
			SELECT format('message %s of chat %s', m.id, m.chat_id) AS what FROM chat.members p JOIN chat.chats c ON c.id = p.chat_id AND c.deleted_id IS NULL
			  JOIN chat.messages m ON m.chat_id = p.chat_id AND m.sender_id = u.id AND m.kind = 'user' AND m.deleted_id IS NULL WHERE p.user_id = u.id
			UNION ALL SELECT format('file %s', f.id) FROM chat.files f WHERE f.owner_id = u.id AND NOT f.deleted
			UNION ALL SELECT format('chat %s', p.chat_id) FROM chat.members p JOIN chat.chats c ON c.id = p.chat_id AND c.deleted_id IS NULL AND c.kind <> 'direct'
			 WHERE p.user_id = u.id AND p.left_id IS NULL
			UNION ALL SELECT format('session %s', s.id) FROM chat.sessions s WHERE s.user_id = u.id) o
		WHERE u.deleted AND NOT EXISTS (SELECT FROM chat.erasures e WHERE e.user_id = u.id)))
$$;
COMMENT ON FUNCTION chat.verify_push IS 'Checks of pushes, sessions and accounts that have ended; damage NULL = none.';

CREATE OR REPLACE FUNCTION chat.verify(deep boolean DEFAULT NULL)
RETURNS TABLE ("check" text, ok boolean, detail text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT c."check", c.damage IS NULL, coalesce(c.damage, '') FROM (
		SELECT * FROM chat.verify_chats() UNION ALL SELECT * FROM chat.verify_messages()
		UNION ALL SELECT * FROM chat.verify_files(coalesce(verify.deep, false)) UNION ALL SELECT * FROM chat.verify_push()) c
	 ORDER BY c."check"
$$;
COMMENT ON FUNCTION chat.verify IS 'Checks counters against counts, cursors, references and orphans in the whole database, in one snapshot; reads all tables, so run it at a quiet time. detail: the first damage found. deep: all files are read and hashed too.';
GRANT EXECUTE ON FUNCTION chat.verify TO chat_app, chat_monitor; -- since 0.2.0

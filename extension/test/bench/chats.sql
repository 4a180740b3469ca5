-- So many direct chats (pairs) with nobody there. Chat n has id n << 22, its members n << 22 and (n + pairs) << 22: pgbench
-- computes them. Again makes nothing new.
SET client_min_messages = warning;
INSERT INTO chat.users (id, user_name, display_name, version)
SELECT n << 22, 'bench' || n, 'Bench', n << 22 FROM generate_series(1::bigint, 2 * :pairs) n ON CONFLICT DO NOTHING;
INSERT INTO chat.direct_chats (low_user_id, high_user_id, chat_id)
SELECT n << 22, (n + :pairs) << 22, n << 22 FROM generate_series(1::bigint, :pairs) n ON CONFLICT DO NOTHING;
INSERT INTO chat.chats (id, kind, creator_id, last_event_id, member_count)
SELECT n << 22, 'direct', n << 22, n << 22, 2 FROM generate_series(1::bigint, :pairs) n ON CONFLICT DO NOTHING;
INSERT INTO chat.members (chat_id, user_id, wrote)
SELECT n << 22, (n + k * :pairs) << 22, true FROM generate_series(1::bigint, :pairs) n, generate_series(0, 1) k ON CONFLICT DO NOTHING;
VACUUM ANALYZE;

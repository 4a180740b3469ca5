-- What bench.sh stands on, made by a role that is in chat_app and nothing more: 10,000 users, a session of each, chats of two for
-- the first 200 and more, a group of the first 1,001. bench_sessions holds what chat-bench reads.
\set QUIET on
SET client_min_messages = warning;
SELECT chat.set_setting('members_per_call_max', '1000') \g /dev/null
CREATE TEMP TABLE bench_users AS
SELECT n, (chat.create_user('bench' || lpad(n::text, 5, '0'))).id FROM generate_series(0, 9999) n;
CREATE TEMP TABLE bench_sessions AS
SELECT u.n, u.id, (chat.create_session(u.id, 'bench')).token FROM bench_users u;
CREATE TEMP TABLE bench_chats AS
SELECT a.n, (chat.open_direct_chat(a.id, b.id)).id
  FROM bench_users a JOIN bench_users b ON b.n = a.n + 1
 WHERE a.n < 200 AND a.n % 2 = 0;
-- As many other chats as make a plan that reads a table from end to end no good one.
SELECT count(chat.open_direct_chat(a.id, b.id)) FROM bench_users a JOIN bench_users b ON b.n = a.n + 3000 \g /dev/null
SELECT g.id AS room FROM bench_users u, chat.create_group(u.id, 'bench') g WHERE u.n = 0 \gset
SELECT count(*) FROM bench_users u,
	chat.add_members(u.id, :room, ARRAY(SELECT o.id FROM bench_users o WHERE o.n BETWEEN 1 AND 1000)) m
 WHERE u.n = 0 \g /dev/null

\pset tuples_only on
\pset format unaligned
\pset fieldsep ' '
\o pairs
SELECT s.id, s.token, c.id FROM bench_sessions s JOIN bench_chats c ON c.n = s.n - s.n % 2 ORDER BY s.n;
\o room
SELECT s.id, s.token, :room FROM bench_sessions s WHERE s.n <= 1000 ORDER BY s.n;
\o all
SELECT s.id, s.token, 0 FROM bench_sessions s ORDER BY s.n;
\o

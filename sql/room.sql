-- Rooms: found by their words, open to anyone.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['rm.olga', 'rm.paul', 'rm.rita']) name) made;
SELECT test.user('rm.olga') AS olga, test.user('rm.paul') AS paul, test.user('rm.rita') AS rita \gset
SELECT id AS chess, kind, title, description, member_count, role FROM chat.create_room(:olga, 'Chess 100%', 'openings and endgames', client_key => 'key') \gset
SELECT :'kind' AS kind, :'title' AS title, :'description' AS description, :'member_count' AS members, :'role' AS role;
SELECT id = :chess AS same FROM chat.create_room(:olga, 'Chess 100%', 'openings and endgames', client_key => 'key');
SELECT id AS go FROM chat.create_room(:olga, 'Go and chess variants') \gset
SELECT id AS garden FROM chat.create_room(:olga, 'Garden', 'not_games') \gset
SELECT count(*) FROM chat.create_group(:olga, 'Secret chess');
SELECT test.error(format('SELECT chat.create_room(%s, %L)', :olga, title)) FROM unnest(ARRAY[NULL, '', repeat('x', 129)]) title;
SELECT test.error(format('SELECT chat.create_room(%s, ''x'', repeat(''x'', 1025))', :olga)), test.error(format('SELECT chat.edit_chat(%s, %s, '''')', :olga, :chess));

-- Searching: title and description, any case, % and _ as such; groups are not found.
SELECT pattern, r.title, r.member_count, r.is_member, r.has_more
  FROM unnest(ARRAY['chess', 'ENDGAME', '100%', 'Chess_100', 'not_games', 'notagames', 'secret', ' go and ', 'GO', 'nd']) WITH ORDINALITY AS p (pattern, n), chat.search_rooms(:paul, pattern) r ORDER BY n, r.id;
SELECT title, has_more FROM chat.search_rooms(:paul, 'chess', 1);
SELECT title, has_more FROM chat.search_rooms(:paul, 'chess', 1, :chess);
SELECT title, is_member FROM chat.search_rooms(:olga) WHERE id >= :chess;
SELECT test.error(format('SELECT chat.search_rooms(%s, %L)', :paul, pattern)) FROM unnest(ARRAY['g', repeat('x', 65)]) pattern;

-- Joining: again is no error; a message comes in between.
SELECT count(*) FROM chat.send_message(:olga, :chess, 'e4');
SELECT title, role, member_count, unread, last_message -> 'attributes' ->> 'type' AS last FROM chat.join_room(:paul, :chess);
SELECT member_count FROM chat.join_room(:paul, :chess);
SELECT is_member, member_count FROM chat.search_rooms(:paul, 'Chess 100%');
SELECT number FROM chat.send_message(:paul, :chess, 'e5');
SELECT chat.leave_chat(:paul, :chess);
SELECT member_count FROM chat.join_room(:paul, :chess);
SELECT test.error(format('SELECT chat.join_room(%s, 1)', :paul)), test.error(format('SELECT chat.join_room(%s, NULL)', :paul));
-- Banned: neither found nor joined.
SELECT chat.ban_member(:olga, :chess, :paul);
SELECT title FROM chat.search_rooms(:paul, 'chess');
SELECT test.error(format('SELECT chat.join_room(%s, %s)', :paul, :chess));
SELECT chat.unban_member(:olga, :chess, :paul);
SELECT member_count FROM chat.join_room(:paul, :chess);
-- The owner leaves, then the last one; nothing is found any more.
SELECT chat.leave_chat(:olga, :chess);
SELECT role FROM chat.get_chat(:paul, :chess);
SELECT chat.leave_chat(:paul, :chess);
SELECT title FROM chat.search_rooms(:rita, 'chess');
SELECT test.error(format('SELECT chat.join_room(%s, %s)', :rita, :chess));

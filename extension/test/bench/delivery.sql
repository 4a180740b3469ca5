-- What delivery.sh stands on: chats of two for each of 64 pgbench clients, and groups of 20, 1,000 and 10,000. Their ids stand
-- in bench.chats, which pgbench's scripts read once a client. All users have a device and are there: who asks for each member
-- whether he is to get a push has to ask them all.
\set QUIET on
SET client_min_messages = warning;
CREATE SCHEMA bench;
CREATE TABLE bench.chats (client integer NOT NULL, members integer NOT NULL, chat_id bigint NOT NULL, sender_id bigint NOT NULL,
	PRIMARY KEY (members, client));
SELECT chat.set_setting('members_per_call_max', '1000') \g /dev/null
SELECT chat.set_setting('approaches_max', '1000000') \g /dev/null
SELECT chat.set_setting('presence_lease', '1 hour') \g /dev/null

CREATE FUNCTION bench.make_group(members integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	users bigint[] := ARRAY(SELECT u.id FROM chat.users u WHERE u.user_name ~ '^bench' ORDER BY u.id LIMIT make_group.members);
	made bigint := (SELECT g.id FROM chat.create_group(users[1], 'bench ' || make_group.members) g);
BEGIN
	FOR start IN 2 .. make_group.members BY 1000 LOOP
		PERFORM chat.add_members(users[1], made, users[start:least(start + 999, make_group.members)]);
	END LOOP;
	INSERT INTO bench.chats VALUES (0, make_group.members, made, users[1]);
END
$$;

SELECT count(chat.create_user('bench' || lpad(n::text, 5, '0'))) FROM generate_series(1, 10000) n \g /dev/null
SELECT count(chat.register_push(u.id, 'bench', 'device of ' || u.id)) FROM chat.users u \g /dev/null
SELECT chat.renew_presence(NULL, ARRAY(SELECT (chat.create_session(u.id)).session_id FROM chat.users u)) \g /dev/null
INSERT INTO bench.chats
SELECT p.client, 2, (chat.open_direct_chat(p.a, p.b)).id, p.a
  FROM (SELECT row_number() OVER (ORDER BY u.id) - 1 AS client, u.id AS a, lead(u.id, 100) OVER (ORDER BY u.id) AS b
		  FROM chat.users u WHERE u.user_name ~ '^bench' ORDER BY u.id LIMIT 64) p;
-- As many other chats as make a plan that reads a table from end to end no good one.
SELECT count(chat.open_direct_chat(p.a, p.b))
  FROM (SELECT u.id AS a, lead(u.id, 3000) OVER (ORDER BY u.id) AS b FROM chat.users u WHERE u.user_name ~ '^bench') p
 WHERE p.b IS NOT NULL \g /dev/null
SELECT bench.make_group(20), bench.make_group(1000), bench.make_group(10000) \g /dev/null
VACUUM ANALYZE;

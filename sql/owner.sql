-- What is reached by climbing: the extension's owner, who is nobody, and not even that.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT id AS ada FROM chat.create_user('ow.ada') \gset
-- An app that may make tables of its own: by a column whose type is cast to ours, a foreign key would run the app's code as the owner.
CREATE ROLE ow_app IN ROLE chat_app;
CREATE SCHEMA ow AUTHORIZATION ow_app;
SET ROLE ow_app;
CREATE TABLE ow.ran (by name);
GRANT ALL ON ow.ran TO PUBLIC;
GRANT USAGE ON SCHEMA ow TO PUBLIC;
CREATE TYPE ow.trojan AS (id bigint);
CREATE FUNCTION ow.open(trojan ow.trojan) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO ow.ran VALUES (current_user);
	RETURN trojan.id;
END
$$;
CREATE CAST (ow.trojan AS bigint) WITH FUNCTION ow.open AS IMPLICIT;
CREATE TABLE ow.horse (user_id ow.trojan REFERENCES chat.users (id));
CREATE TABLE ow.horse (chat_id ow.trojan REFERENCES chat.chats (id));
CREATE TABLE ow.horse (chat_id ow.trojan, id ow.trojan, FOREIGN KEY (chat_id, id) REFERENCES chat.messages (chat_id, id));
RESET ROLE;
-- Where the DBA makes the foreign key, or has granted the right to, it is checked as chat_owner, who is no superuser.
GRANT REFERENCES (id) ON chat.users TO ow_app;
SET ROLE ow_app;
CREATE TABLE ow.horse (user_id ow.trojan REFERENCES chat.users (id));
INSERT INTO ow.horse VALUES (ROW(:ada));
SELECT DISTINCT by FROM ow.ran;
RESET ROLE;
DROP TABLE ow.horse;
REVOKE REFERENCES (id) ON chat.users FROM ow_app;
-- A key that stands stays good without the right.
GRANT REFERENCES (id) ON chat.users TO ow_app;
SET ROLE ow_app;
CREATE TABLE ow.orders (user_id bigint REFERENCES chat.users (id));
RESET ROLE;
REVOKE REFERENCES (id) ON chat.users FROM ow_app;
SET ROLE ow_app;
INSERT INTO ow.orders VALUES (:ada);
INSERT INTO ow.orders VALUES (1);
RESET ROLE;

-- None of the roles may make anything in the schema or do more with tables than read the views.
SELECT r.rolname, has_schema_privilege(r.oid, 'chat', 'CREATE') AS creates,
	count(*) FILTER (WHERE has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') OR c.relkind <> 'S' AND has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE, REFERENCES')) AS writes
  FROM pg_roles r CROSS JOIN pg_class c
 WHERE r.rolname IN ('chat_anonymous', 'chat_user', 'chat_gateway', 'chat_app', 'chat_push', 'chat_monitor') AND c.relnamespace = 'chat'::regnamespace AND c.relkind IN ('r', 'v', 'S')
 GROUP BY 1, 2 ORDER BY 1;

-- The schema's owner gains nothing by it, and nothing stops.
CREATE ROLE ow_schema;
ALTER SCHEMA chat OWNER TO ow_schema;
SELECT id AS chat FROM chat.open_direct_chat(:ada, :ada) \gset
SET ROLE ow_app;
SELECT number FROM chat.send_message(:ada, :chat, 'with another schema''s owner');
SELECT chat.next_id() > 0 AS made;
RESET ROLE;
SET ROLE ow_schema;
SELECT count(*) FROM chat.users;
SELECT chat.create_user('ow.eve');
DROP TABLE chat.users;
RESET ROLE;
ALTER SCHEMA chat OWNER TO CURRENT_USER;
DROP ROLE ow_schema;

-- The owner itself, were somebody to become it: the tables, but no role, no schema, no file, no function of the server.
SET ROLE chat_owner;
SELECT count(*) > 0 AS reads FROM chat.users;
CREATE ROLE ow_eve;
CREATE SCHEMA ow_eve;
CREATE TABLE chat.ow_eve ();
CREATE OR REPLACE FUNCTION chat.announce_schema() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
ALTER FUNCTION chat.id_time OWNER TO chat_owner;
COPY chat.users TO PROGRAM 'true';
SELECT pg_read_file('postgresql.conf');
RESET ROLE;
DROP SCHEMA ow CASCADE;
DROP ROLE ow_app;

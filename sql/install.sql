-- Installing, and what is there then. First: the other files run in the database that this one prepares.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION chat;
CREATE EXTENSION chat CASCADE;
DROP EXTENSION chat;
CREATE EXTENSION chat;
SELECT chat.next_id() > 0 AS made;
DROP EXTENSION chat CASCADE;

-- A schema of that name is never adopted, and pgcrypto and pg_trgm may stand anywhere.
CREATE SCHEMA chat;
CREATE EXTENSION chat;
DROP SCHEMA chat;
DROP EXTENSION pgcrypto, pg_trgm;
CREATE SCHEMA elsewhere;
CREATE EXTENSION pgcrypto SCHEMA elsewhere;
CREATE EXTENSION pg_trgm SCHEMA elsewhere;
CREATE EXTENSION chat;
SELECT extversion FROM pg_extension WHERE extname = 'chat';
-- Ids of this session are below the new ceiling too.
SELECT chat.next_id() > 0 AS made;
SELECT last_value > 1 AS raised FROM chat.id_ceiling;

-- For these tests: the error that a statement ends with.
CREATE SCHEMA test;
CREATE FUNCTION test.error(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN state || ' ' || coalesce(nullif(detail, ''), message) || coalesce(' (' || nullif(hint, '') || ')', '');
END
$$;
CREATE FUNCTION test.user(name text) RETURNS bigint LANGUAGE sql AS $$ SELECT u.id FROM chat.users u WHERE u.user_name = name $$;
-- After a test has put members into a chat by hand.
CREATE FUNCTION test.recount(chat_id bigint) RETURNS void LANGUAGE sql AS $$
	UPDATE chat.chats c SET member_count = (SELECT count(*) FROM chat.members m WHERE m.chat_id = c.id AND m.left_id IS NULL) WHERE c.id = recount.chat_id
$$;
GRANT USAGE ON SCHEMA test TO PUBLIC;
-- Passwords are hashed as cheaply as can be.
SELECT name, value FROM chat.set_setting('password_cost', '4');

-- Nothing is PUBLIC's, every SECURITY DEFINER function has a pinned search_path, everything has a COMMENT.
SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(p.proacl) a WHERE p.pronamespace = 'chat'::regnamespace AND a.grantee = 0;
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'chat'::regnamespace AND p.proacl IS NULL;
SELECT p.oid::regprocedure FROM pg_proc p
 WHERE p.pronamespace = 'chat'::regnamespace AND p.prosecdef AND (p.proconfig IS NULL OR NOT 'search_path=pg_catalog, pg_temp' = ANY (p.proconfig));
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'chat'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.oid::regclass FROM pg_class c
 WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind IN ('r', 'v', 'S') AND obj_description(c.oid, 'pg_class') IS NULL;
-- Functions that a role may call run with their owner's rights.
SELECT p.oid::regprocedure FROM pg_proc p
 WHERE p.pronamespace = 'chat'::regnamespace AND NOT p.prosecdef
   AND EXISTS (SELECT FROM aclexplode(p.proacl) a JOIN pg_roles r ON r.oid = a.grantee WHERE r.rolname LIKE 'chat\_%')
 ORDER BY 1;
-- No table is readable for those who come through the gateway; the app has the views.
SELECT c.relname, r.rolname FROM pg_class c, pg_roles r
 WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind IN ('r', 'v', 'S') AND r.rolname LIKE 'chat\_%'
   AND has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE') ORDER BY 1, 2;
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'chat'::regnamespace AND has_column_privilege('chat_app', c.oid, a.attnum, 'REFERENCES') ORDER BY 1, a.attnum;
-- All data is dumped, but for the key of the channels, the search index and what comes with the extension.
SELECT c.relname, d.condition
  FROM pg_extension e CROSS JOIN unnest(e.extconfig, e.extcondition) AS d (table_id, condition) JOIN pg_class c ON c.oid = d.table_id
 WHERE e.extname = 'chat' ORDER BY 1;
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind IN ('r', 'S')
   AND c.oid <> ALL ((SELECT e.extconfig FROM pg_extension e WHERE e.extname = 'chat')::oid[]) ORDER BY 1;

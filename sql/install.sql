-- Installing, and what is there then. First: the other files run in the database that this one prepares.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION chat;
CREATE EXTENSION chat CASCADE;
DROP EXTENSION chat;
-- Roles are the cluster's, and stay: who has one already is said.
CREATE ROLE backend IN ROLE chat_app;
CREATE EXTENSION chat;
DROP ROLE backend;
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
-- For these tests: a durable event, as it was published.
CREATE FUNCTION test.event(chat_id bigint, id bigint) RETURNS json LANGUAGE sql AS $$
	SELECT coalesce((SELECT chat.logged_event(e) FROM chat.events e WHERE e.chat_id = event.chat_id AND e.id = event.id),
		(SELECT chat.message_event(m) FROM chat.messages m WHERE m.chat_id = event.chat_id AND m.id = event.id))
$$;
-- After a test has put members into a chat by hand.
CREATE FUNCTION test.recount(chat_id bigint) RETURNS void LANGUAGE sql AS $$
	UPDATE chat.chats c SET member_count = (SELECT count(*) FROM chat.members m WHERE m.chat_id = c.id AND m.left_id IS NULL) WHERE c.id = recount.chat_id
$$;
-- A job of maintenance, batch by batch until nothing is left; how many rows that were.
CREATE FUNCTION test.work(job text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	batch record;
	worked bigint := 0;
BEGIN
	LOOP
		batch := chat.run_job(work.job);
		IF batch.error IS NOT NULL THEN RAISE EXCEPTION '%', batch.error; END IF;
		EXIT WHEN batch.done = 0;
		worked := worked + batch.done;
	END LOOP;
	RETURN worked;
END
$$;
GRANT USAGE ON SCHEMA test TO PUBLIC;
-- Passwords are hashed as cheaply as can be.
SELECT name, value FROM chat.set_setting('password_cost', '4');
-- How much one batch does must not depend on the time of day.
SELECT name, value FROM chat.set_setting('maintenance_batch_time', '1 second');

-- Nothing is PUBLIC's, every SECURITY DEFINER function has a pinned search_path, everything has a COMMENT.
SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(p.proacl) a WHERE p.pronamespace = 'chat'::regnamespace AND a.grantee = 0;
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'chat'::regnamespace AND p.proacl IS NULL;
SELECT p.oid::regprocedure FROM pg_proc p
 WHERE p.pronamespace = 'chat'::regnamespace AND p.prosecdef AND (p.proconfig IS NULL OR NOT 'search_path=pg_catalog, pg_temp' = ANY (p.proconfig));
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'chat'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.oid::regclass FROM pg_class c
 WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind IN ('r', 'v', 'S') AND obj_description(c.oid, 'pg_class') IS NULL;
-- Relations, types and what runs with its owner's rights belong to chat_owner, who has nothing else; all else to who installed it.
SELECT c.oid::regclass, c.relowner::regrole FROM pg_class c WHERE c.relnamespace = 'chat'::regnamespace AND c.relowner <> 'chat_owner'::regrole;
SELECT t.oid::regtype, t.typowner::regrole FROM pg_type t WHERE t.typnamespace = 'chat'::regnamespace AND t.typowner <> 'chat_owner'::regrole;
SELECT p.oid::regprocedure, p.proowner::regrole FROM pg_proc p
 WHERE p.pronamespace = 'chat'::regnamespace AND p.proowner <> CASE WHEN p.prosecdef THEN 'chat_owner' ELSE current_user END::regrole;
SELECT n.nspowner = current_user::regrole AS installer FROM pg_namespace n WHERE n.nspname = 'chat';
SELECT t.evtowner = current_user::regrole AND t.evtfoid = 'chat.announce_schema'::regproc AS installer FROM pg_event_trigger t;
SELECT r.rolcanlogin OR r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls AS may_more,
	(SELECT count(*) FROM pg_auth_members m WHERE r.oid IN (m.roleid, m.member)) AS memberships FROM pg_roles r WHERE r.rolname = 'chat_owner';
-- It may call what the functions that it owns call, and that is all.
SELECT p.oid::regprocedure FROM pg_proc p
 WHERE p.pronamespace = 'chat'::regnamespace AND p.prorettype <> 'event_trigger'::regtype AND NOT has_function_privilege('chat_owner', p.oid, 'EXECUTE');
SELECT a.privilege_type FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) a WHERE n.nspname = 'chat' AND a.grantee = 'chat_owner'::regrole;
-- Functions that another role may call run with their owner's rights.
SELECT p.oid::regprocedure FROM pg_proc p
 WHERE p.pronamespace = 'chat'::regnamespace AND NOT p.prosecdef
   AND EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee NOT IN (p.proowner, 'chat_owner'::regrole))
 ORDER BY p.proname;
-- Where others run them, they run with our search_path: a caller's may hold what somebody has planted. Those in C name all they use.
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
 WHERE p.pronamespace = 'chat'::regnamespace AND p.prokind = 'f' AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
   AND (l.lanname <> 'c' AND EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee NOT IN (p.proowner, 'chat_owner'::regrole))
	OR p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) AND p.proname <> 'invalidate_cache'
	OR l.lanname <> 'c' AND EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid JOIN pg_class c ON c.oid = w.ev_class
		WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid AND c.relacl IS NOT NULL)
	OR l.lanname <> 'c' AND EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid AND d.classid IN ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_attrdef'::regclass)));
-- No table is open to any of the roles, not even to be referenced; the app reads the views, a monitor the figures.
SELECT c.oid::regclass AS relation, NULL AS column, a.grantee::regrole, a.privilege_type
  FROM pg_class c CROSS JOIN aclexplode(c.relacl) a WHERE c.relnamespace = 'chat'::regnamespace AND a.grantee <> c.relowner
UNION ALL
SELECT c.oid::regclass, t.attname, a.grantee::regrole, a.privilege_type
  FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid CROSS JOIN aclexplode(t.attacl) a WHERE c.relnamespace = 'chat'::regnamespace
 ORDER BY 1, 2, 3, 4;
-- All data is dumped, but for the key of the channels, the search index and what comes with the extension.
SELECT c.relname, d.condition
  FROM pg_extension e CROSS JOIN unnest(e.extconfig, e.extcondition) AS d (table_id, condition) JOIN pg_class c ON c.oid = d.table_id
 WHERE e.extname = 'chat' ORDER BY 1;
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind IN ('r', 'S')
   AND c.oid <> ALL ((SELECT e.extconfig FROM pg_extension e WHERE e.extname = 'chat')::oid[]) ORDER BY 1;

-- The schema and the roles. All roles are NOLOGIN; they survive DROP EXTENSION, as roles belong to the cluster.

DO $encoding$
BEGIN
	IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
		RAISE EXCEPTION 'chat needs a database with encoding UTF8, not %', pg_catalog.getdatabaseencoding()
			USING ERRCODE = 'feature_not_supported', HINT = 'Every character that clients may send must have a place in it: CREATE DATABASE … ENCODING ''UTF8'' TEMPLATE template0.';
	END IF;
END
$encoding$;

CREATE SCHEMA chat;
COMMENT ON SCHEMA chat IS 'Chat back end: every noun is a table that only the owner touches, every verb a function. Start at chat.list_methods().';

DO $roles$
DECLARE
	name text;
	adopted text;
	level text := pg_catalog.current_setting('client_min_messages');
BEGIN
	-- Roles belong to the cluster: what there is already keeps its members.
	SELECT pg_catalog.string_agg(pg_catalog.format('%I (%s)', r.rolname, coalesce('members: ' || (
			SELECT pg_catalog.string_agg(pg_catalog.quote_ident(o.rolname), ', ' ORDER BY o.rolname)
			  FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles o ON o.oid = m.member
			 WHERE m.roleid = r.oid AND o.rolname <> 'chat_gateway'), 'no members')), ', ' ORDER BY r.rolname)
	  INTO adopted
	  FROM pg_catalog.pg_roles r
	 WHERE r.rolname IN ('chat_anonymous', 'chat_user', 'chat_gateway', 'chat_app', 'chat_push', 'chat_monitor', 'chat_owner');
	IF adopted IS NOT NULL THEN
		SET LOCAL client_min_messages TO DEFAULT; -- CREATE EXTENSION hides notices
		RAISE NOTICE 'adopted roles that exist in this cluster: %', adopted
			USING HINT = 'Their members have the same rights in each database that has the extension chat and lets them connect: REVOKE CONNECT ON DATABASE … FROM PUBLIC separates databases.';
		PERFORM pg_catalog.set_config('client_min_messages', level, true);
	END IF;
	FOREACH name IN ARRAY ARRAY['chat_anonymous', 'chat_user', 'chat_gateway', 'chat_app', 'chat_push', 'chat_monitor'] LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = name) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', name);
		END IF;
	END LOOP;
END
$roles$;

-- chat_anonymous and chat_user mark the wire surface; only chat_gateway has them. Whoever has chat_user can act
-- as anybody.
GRANT chat_anonymous, chat_user TO chat_gateway;

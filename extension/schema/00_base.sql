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
BEGIN
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
GRANT USAGE ON SCHEMA chat TO chat_anonymous, chat_user, chat_gateway, chat_app, chat_push, chat_monitor;

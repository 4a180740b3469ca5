-- The roles: who owns what, and what each is for.
--
-- Relations, types and SECURITY DEFINER functions belong to chat_owner, which has no other right: whoever finds a way to run something as
-- their owner has gained these tables and nothing else. The schema, the event trigger, and the functions that run with their callers' rights
-- stay with the installer. 99_privileges.sql makes it so.
DO $owner$
DECLARE
	owner pg_catalog.pg_roles;
BEGIN
	SELECT r.* INTO owner FROM pg_catalog.pg_roles r WHERE r.rolname = 'chat_owner';
	IF NOT FOUND THEN
		CREATE ROLE chat_owner NOLOGIN;
	ELSIF EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass('chat.users') AND c.relowner = owner.oid) THEN
		NULL; -- since an earlier version
	ELSIF owner.rolcanlogin OR owner.rolsuper OR owner.rolcreaterole OR owner.rolcreatedb OR owner.rolreplication OR owner.rolbypassrls
		OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE owner.oid IN (m.roleid, m.member)) THEN
		RAISE EXCEPTION 'role chat_owner exists and is more than an owner'
			USING ERRCODE = 'invalid_role_specification', DETAIL = 'The tables of chat would be open to whoever has it.',
			HINT = 'It must have no LOGIN and no other attribute, be in no role, and have no members: see ALTER ROLE and REVOKE, or drop it.';
	END IF;
END
$owner$;

COMMENT ON ROLE chat_owner IS 'Owns the tables, views, types and SECURITY DEFINER functions of the extension chat, in each database that has it. Grant it to nobody.';
COMMENT ON ROLE chat_app IS 'For app backends: acts for any user of chat, in each database of the cluster that has the extension chat and lets it connect.';
COMMENT ON ROLE chat_gateway IS 'For the logins of chat-gateway: acts for any user of chat, in each database of the cluster that has the extension chat and lets it connect.';
COMMENT ON ROLE chat_push IS 'For push workers: takes the pushes of each database of the cluster that has the extension chat and lets it connect.';
COMMENT ON ROLE chat_monitor IS 'Reads chat.stats, in each database of the cluster that has the extension chat and lets it connect.';
COMMENT ON ROLE chat_user IS 'Marks the methods that clients may call after login in chat. Grant it functions, and grant it to nobody.';
COMMENT ON ROLE chat_anonymous IS 'Marks the methods that clients may call before login in chat. Grant it functions, and grant it to nobody.';

GRANT USAGE ON SCHEMA chat TO chat_anonymous, chat_user, chat_gateway, chat_app, chat_push, chat_monitor; -- since 0.1.0
GRANT USAGE ON SCHEMA chat TO chat_owner; -- since 0.4.0

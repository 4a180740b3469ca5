-- Behind everything else, so that nothing is forgotten: who owns what (02_role.sql says why), and that nobody but the owners may do
-- anything, not even PUBLIC, until the GRANTs of the other files follow.
DO $owners$
DECLARE
	statement text;
BEGIN
	FOR statement IN
		WITH members AS (
			SELECT d.classid, d.objid, e.extowner FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
			 WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'chat'
		), routines AS (
			SELECT p.oid::regprocedure AS name, CASE WHEN p.prosecdef THEN 'chat_owner' ELSE m.extowner::regrole::text END AS owner,
				NOT p.prosecdef AND p.prorettype <> 'event_trigger'::regtype AS needed
			  FROM members m JOIN pg_catalog.pg_proc p ON m.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = m.objid
		), relations AS (
			SELECT c.oid::regclass AS name, c.relacl FROM members m JOIN pg_catalog.pg_class c ON m.classid = 'pg_catalog.pg_class'::regclass AND c.oid = m.objid
			 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S')
		)
		SELECT format('ALTER ROUTINE %s OWNER TO %s; REVOKE ALL ON ROUTINE %1$s FROM PUBLIC', r.name, r.owner) FROM routines r
		UNION ALL
		-- What the SECURITY DEFINER functions call
		SELECT format('GRANT EXECUTE ON ROUTINE %s TO chat_owner', r.name) FROM routines r WHERE r.needed
		UNION ALL
		SELECT format('ALTER TABLE %s OWNER TO chat_owner', r.name) || CASE WHEN r.relacl IS NULL THEN '' ELSE format('; REVOKE ALL ON %s FROM PUBLIC', r.name) END FROM relations r
		UNION ALL
		SELECT format('ALTER TYPE %s OWNER TO chat_owner', t.oid::regtype)
		  FROM members m JOIN pg_catalog.pg_type t ON m.classid = 'pg_catalog.pg_type'::regclass AND t.oid = m.objid LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
		 WHERE t.typelem = 0 AND (t.typrelid = 0 OR c.relkind = 'c')
	LOOP
		EXECUTE statement;
	END LOOP;
	-- For what names operators of pg_trgm or functions of pgcrypto. It is no object of ours, so pg_dump has to tell of it.
	FOR statement IN
		SELECT format('GRANT USAGE ON SCHEMA %I TO chat_owner', n.nspname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
		 WHERE e.extname IN ('pgcrypto', 'pg_trgm') AND NOT has_schema_privilege('chat_owner', n.oid, 'USAGE')
	LOOP
		PERFORM chat.as_operator(statement);
	END LOOP;
END
$owners$;

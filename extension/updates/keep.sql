-- Begins each update: what everybody may do now. All of it is taken away, for owners change and functions are made anew before
-- anything is granted; restore.sql gives it back. A delta that takes a right of ours back for good deletes it from chat.kept_grants.
CREATE VIEW chat.present_grants AS
WITH members AS (
	SELECT d.classid, d.objid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
	 WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'chat'
), granted AS (
	SELECT format('ROUTINE chat.%I', p.proname) AS object, NULL AS column, p.proowner AS owner, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
	  FROM members m JOIN pg_catalog.pg_proc p ON m.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = m.objid
	UNION ALL
	SELECT format('%s chat.%I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.relname), NULL, c.relowner, c.relacl
	  FROM members m JOIN pg_catalog.pg_class c ON m.classid = 'pg_catalog.pg_class'::regclass AND c.oid = m.objid
	UNION ALL
	SELECT format('TABLE chat.%I', c.relname), format(' (%I)', a.attname), c.relowner, a.attacl
	  FROM members m JOIN pg_catalog.pg_class c ON m.classid = 'pg_catalog.pg_class'::regclass AND c.oid = m.objid JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
	UNION ALL
	SELECT format('SCHEMA %I', n.nspname), NULL, n.nspowner, n.nspacl
	  FROM members m JOIN pg_catalog.pg_namespace n ON m.classid = 'pg_catalog.pg_namespace'::regclass AND n.oid = m.objid
)
SELECT g.object, a.privilege_type || coalesce(g.column, '') AS privilege, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee,
	bool_or(a.is_grantable) AS grantable
  FROM granted g CROSS JOIN LATERAL aclexplode(g.acl) a
 WHERE a.grantee <> g.owner AND a.grantee::regrole::text <> 'chat_owner'
 GROUP BY 1, 2, 3;
CREATE TABLE chat.kept_grants AS TABLE chat.present_grants;
DO $revoke$
DECLARE
	statement text;
BEGIN
	FOR statement IN SELECT format('REVOKE %s ON %s FROM %s CASCADE', g.privilege, g.object, g.grantee) FROM chat.kept_grants g LOOP
		EXECUTE statement;
	END LOOP;
END
$revoke$;

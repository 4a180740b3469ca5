-- New functions are executable by PUBLIC; none of ours stays so. Behind everything else, so that none is forgotten.
DO $privileges$
DECLARE
	function regprocedure;
BEGIN
	FOR function IN
		SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p
		  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		  JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND e.oid = d.refobjid
		 WHERE e.extname = 'chat'
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
	END LOOP;
END
$privileges$;

-- Functions that an upgrade had to drop get their grants back, no more and no fewer.
DO $grants$
DECLARE
	kept record;
BEGIN
	IF pg_catalog.to_regclass('chat.kept_grants') IS NOT NULL THEN
		FOR kept IN EXECUTE 'SELECT function_name, role_name FROM chat.kept_grants' LOOP
			EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION chat.%I TO %I', kept.function_name, kept.role_name);
		END LOOP;
		DROP TABLE chat.kept_grants;
	END IF;
END
$grants$;

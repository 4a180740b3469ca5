-- Ends each update: where an operator granted or revoked something other than the old release (chat.old_grants), that holds.
DO $restore$
DECLARE
	statement text;
BEGIN
	FOR statement IN
		SELECT format('REVOKE %s ON %s FROM %s CASCADE', o.privilege, o.object, o.grantee) FROM chat.old_grants o
		 WHERE (o.object, o.privilege, o.grantee) NOT IN (SELECT k.object, k.privilege, k.grantee FROM chat.kept_grants k)
		UNION ALL
		SELECT format('GRANT %s ON %s TO %s', k.privilege, k.object, k.grantee) || CASE WHEN k.grantable THEN ' WITH GRANT OPTION' ELSE '' END
		  FROM (TABLE chat.kept_grants EXCEPT TABLE chat.old_grants) k CROSS JOIN LATERAL split_part(k.object, ' ', 2) name
		 WHERE CASE split_part(k.object, ' ', 1) WHEN 'ROUTINE' THEN to_regproc(name) IS NOT NULL WHEN 'SCHEMA' THEN to_regnamespace(name) IS NOT NULL
			ELSE to_regclass(name) IS NOT NULL END -- an object may be gone
	LOOP
		PERFORM chat.as_operator(statement);
	END LOOP;
END
$restore$;
DROP TABLE chat.kept_grants, chat.old_grants;
DROP VIEW chat.present_grants;

-- The wire surface, from the catalog: a function is a method when chat_user or chat_anonymous is itself named in its
-- ACL. There is no other list.

CREATE OR REPLACE FUNCTION chat.list_methods(schemas text[] DEFAULT ARRAY['chat'])
RETURNS TABLE (method text, call text, anonymous boolean, groupable boolean, parameters jsonb, result text, columns jsonb,
	description text, problem text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	WITH granted AS (
		SELECT p.oid, p.proname, n.nspname, p.prokind, p.provariadic, p.proretset, p.prorettype, p.pronargs, p.pronargdefaults,
			CASE WHEN n.nspname = 'chat' THEN '' ELSE n.nspname || '.' END || p.proname AS method,
			coalesce(p.proallargtypes, string_to_array(p.proargtypes::text, ' ')::oid[]) AS types,
			coalesce(p.proargnames, '{}') AS names,
			coalesce(p.proargmodes::text[], array_fill('i'::text, ARRAY[p.pronargs])) AS modes,
			bool_or(r.rolname = 'chat_anonymous') AS anonymous, bool_or(r.rolname = 'chat_user') AS for_users
		  FROM pg_proc p
		  JOIN pg_namespace n ON n.oid = p.pronamespace
		 CROSS JOIN aclexplode(p.proacl) a
		  JOIN pg_roles r ON r.oid = a.grantee
		 WHERE n.nspname = ANY (list_methods.schemas) AND a.privilege_type = 'EXECUTE' AND r.rolname IN ('chat_user', 'chat_anonymous')
		 GROUP BY p.oid, n.nspname
	), arguments AS (
		SELECT g.oid, a.position, a.mode, g.names[a.position] AS name, g.types[a.position] AS type,
			row_number() OVER (PARTITION BY g.oid, a.mode IN ('i', 'b', 'v') ORDER BY a.position) AS number
		  FROM granted g CROSS JOIN LATERAL unnest(g.modes) WITH ORDINALITY AS a (mode, position)
	), outputs AS (
		SELECT a.oid, a.position, a.name, a.type FROM arguments a WHERE a.mode IN ('o', 't')
		UNION ALL
		SELECT g.oid, c.attnum, c.attname, c.atttypid
		  FROM granted g JOIN pg_type t ON t.oid = g.prorettype JOIN pg_attribute c ON c.attrelid = t.typrelid
		 WHERE c.attnum > 0 AND NOT c.attisdropped
	), described AS (
		SELECT g.*,
			(SELECT coalesce(jsonb_agg(jsonb_build_object('name', a.name, 'type', format_type(a.type, NULL),
					'optional', a.number > g.pronargs - g.pronargdefaults) ORDER BY a.position), '[]')
			   FROM arguments a WHERE a.oid = g.oid AND a.mode IN ('i', 'b', 'v')) AS parameters,
			(SELECT jsonb_agg(jsonb_build_object('name', o.name, 'type', format_type(o.type, NULL)) ORDER BY o.position)
			   FROM outputs o WHERE o.oid = g.oid) AS columns,
			(SELECT a.name = 'actor_id' AND a.type = 'bigint'::regtype FROM arguments a WHERE a.oid = g.oid AND a.mode = 'i' AND a.number = 1) AS has_actor,
			(SELECT bool_and(coalesce(a.name, '') <> '') FROM arguments a WHERE a.oid = g.oid) AS all_named,
			(SELECT bool_or(t.typtype = 'p' AND t.typname <> 'void') FROM pg_type t
			  WHERE t.oid = ANY (g.types) OR t.oid = g.prorettype AND t.typname <> 'record') AS polymorphic
		  FROM granted g
	)
	SELECT d.method, format('%I.%I', d.nspname, d.proname), d.anonymous,
		EXISTS (SELECT FROM chat.groupable b WHERE b.method = d.method),
		d.parameters,
		CASE
			WHEN d.prorettype = 'void'::regtype THEN 'void'
			WHEN d.proretset AND d.columns -> -1 = '{"name": "has_more", "type": "boolean"}' THEN 'page'
			WHEN d.proretset THEN 'rows'
			WHEN d.columns IS NOT NULL AND (d.prorettype = 'record'::regtype OR t.typtype = 'c') THEN 'row'
			ELSE 'scalar'
		END,
		CASE
			WHEN d.prorettype = 'void'::regtype THEN '[]'
			ELSE coalesce(d.columns, jsonb_build_array(jsonb_build_object('name', NULL, 'type', format_type(d.prorettype, NULL))))
		END,
		obj_description(d.oid, 'pg_proc'),
		CASE
			WHEN count(*) OVER (PARTITION BY d.proname) > 1 THEN 'its name is not unique among the exposed schemas'
			WHEN d.prokind <> 'f' THEN 'it is no plain function'
			WHEN d.provariadic <> 0 OR 'b' = ANY (d.modes) OR d.polymorphic THEN 'it has VARIADIC, INOUT or polymorphic parameters'
			WHEN d.all_named IS FALSE THEN 'not all its parameters are named'
			WHEN d.anonymous AND d.for_users THEN 'it is granted to both chat_anonymous and chat_user'
			WHEN d.anonymous AND d.parameters @? '$[*].name ? (@ == "actor_id" || @ == "actor_session_id")' THEN 'it is granted to chat_anonymous and has actor_id'
			WHEN d.for_users AND d.has_actor IS NOT TRUE THEN 'its first parameter is not actor_id bigint'
		END
	  FROM described d JOIN pg_type t ON t.oid = d.prorettype
	 ORDER BY d.method COLLATE "C", d.oid
$$;
COMMENT ON FUNCTION chat.list_methods IS 'The functions of these schemas that chat_user or chat_anonymous is itself granted EXECUTE on (PUBLIC does not count), as a gateway needs them: method is the wire name, call the qualified name; anonymous: callable before login; groupable: chat.groupable lists it; parameters [{name, type, optional}] with those that the gateway fills (actor_id, actor_session_id, actor_address); result void, scalar, row, rows or page (a set whose last column is has_more boolean); columns [{name, type}], for scalar one without name; description its COMMENT; problem not NULL: it cannot be a method, and why.';
GRANT EXECUTE ON FUNCTION chat.list_methods TO chat_gateway, chat_app; -- since 0.1.0

-- Where the installer may: gateways read the wire surface again after any change of functions, of grants, or of the
-- types and relations whose columns functions return. A new table or type is not one: no function returns it yet.
CREATE OR REPLACE FUNCTION chat.announce_schema()
RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NOTIFY chat_schema;
END
$$;
COMMENT ON FUNCTION chat.announce_schema IS 'Event trigger: tells gateways to read list_methods() again.';
DO $trigger$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger t WHERE t.evtname = 'chat_schema')
		AND (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN
		CREATE EVENT TRIGGER chat_schema ON ddl_command_end
			WHEN TAG IN ('CREATE FUNCTION', 'ALTER FUNCTION', 'DROP FUNCTION', 'CREATE PROCEDURE', 'ALTER PROCEDURE', 'DROP PROCEDURE',
				'ALTER ROUTINE', 'DROP ROUTINE', 'CREATE VIEW', 'ALTER VIEW', 'DROP VIEW', 'ALTER MATERIALIZED VIEW', 'ALTER TABLE', 'DROP TABLE',
				'ALTER TYPE', 'DROP TYPE', 'ALTER DOMAIN', 'ALTER SCHEMA', 'DROP SCHEMA', 'CREATE EXTENSION', 'ALTER EXTENSION', 'DROP EXTENSION',
				'DROP OWNED', 'GRANT', 'REVOKE', 'COMMENT')
			EXECUTE FUNCTION chat.announce_schema();
	END IF;
END
$trigger$;

CREATE OR REPLACE FUNCTION chat.announce_groupable()
RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NOTIFY chat_schema;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.announce_groupable IS 'Trigger: tells gateways to read list_methods() again.';
CREATE OR REPLACE TRIGGER announce_groupable AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON chat.groupable
FOR EACH STATEMENT EXECUTE FUNCTION chat.announce_groupable();

-- The wire surface, as list_methods() reads it from the catalog.
\set SHOW_CONTEXT never
SELECT method, anonymous, groupable, result, problem FROM chat.list_methods();
SELECT method, string_agg(p ->> 'name' || CASE WHEN (p ->> 'optional')::boolean THEN '?' ELSE '' END || ' ' || (p ->> 'type'), ', ' ORDER BY ordinality) AS parameters
  FROM chat.list_methods() CROSS JOIN jsonb_array_elements(parameters) WITH ORDINALITY AS e (p) GROUP BY method ORDER BY method;
SELECT method, string_agg(coalesce(c ->> 'name', '') || ' ' || (c ->> 'type'), ', ' ORDER BY ordinality) AS columns
  FROM chat.list_methods() CROSS JOIN jsonb_array_elements(columns) WITH ORDINALITY AS e (c) GROUP BY method ORDER BY method;
SELECT method FROM chat.list_methods() WHERE description IS NULL;

-- PUBLIC does not count, nor what another role has; an explicit grant does.
CREATE SCHEMA wire;
CREATE FUNCTION wire.public_one(actor_id bigint) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION wire.app_one(actor_id bigint) RETURNS int LANGUAGE sql AS 'SELECT 1';
GRANT EXECUTE ON FUNCTION wire.app_one TO chat_app, chat_gateway;
CREATE FUNCTION wire.good(actor_id bigint, word text DEFAULT 'x') RETURNS text LANGUAGE sql AS 'SELECT good.word';
CREATE FUNCTION wire."Quoted Name"() RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION wire.no_actor(word text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION wire.unnamed(actor_id bigint, text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION wire.overloaded(actor_id bigint) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION wire.overloaded(actor_id bigint, n int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION wire.several(actor_id bigint, VARIADIC n int[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION wire.any_type(actor_id bigint, n anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION wire.both_ways(actor_id bigint, INOUT n int) LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION wire.impostor(actor_id bigint) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION wire.both_roles(actor_id bigint) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE wire.procedure_one(actor_id bigint) LANGUAGE sql AS 'SELECT 1';
GRANT EXECUTE ON FUNCTION wire.good, wire.no_actor, wire.unnamed, wire.overloaded(bigint), wire.overloaded(bigint, int), wire.several, wire.any_type, wire.both_ways, wire.both_roles TO chat_user;
GRANT EXECUTE ON FUNCTION wire."Quoted Name", wire.impostor, wire.both_roles TO chat_anonymous;
GRANT EXECUTE ON PROCEDURE wire.procedure_one TO chat_user;
SELECT method, call, anonymous, result, columns, problem FROM chat.list_methods(ARRAY['wire']);
SELECT count(*) FROM chat.list_methods() WHERE method LIKE 'wire.%';
-- An operator's own groupable function
INSERT INTO chat.groupable VALUES ('wire.good');
SELECT method, groupable FROM chat.list_methods(ARRAY['wire']) WHERE groupable;
SET client_min_messages = warning;
DROP SCHEMA wire CASCADE;
DELETE FROM chat.groupable WHERE NOT built_in;

-- Every method of a logged-in user refuses a NULL actor_id, whatever the rest is.
SELECT m.method, test.error(format('SELECT %s(%s)', m.call, (SELECT string_agg('NULL::' || (p ->> 'type'), ', ' ORDER BY ordinality) FROM jsonb_array_elements(m.parameters) WITH ORDINALITY AS e (p)))) AS error
  FROM chat.list_methods() m WHERE NOT m.anonymous;
-- Changes of functions and grants are announced.
SELECT evtname, evtevent FROM pg_event_trigger;

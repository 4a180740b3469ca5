# SPDX-License-Identifier: PostgreSQL
# The owner of a database, who is no superuser, plants operators, functions, types and casts that an expression of ours may prefer to
# those of pg_catalog, and waits for a superuser to install or to upgrade, or to do his work: none of them runs.

use strict;
use warnings;

use ChatTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chat_node('planted', extension => 0);
my $now = $node->safe_psql('postgres', "SELECT default_version FROM pg_available_extensions WHERE name = 'chat'");
my @origins = split /\n/, $node->safe_psql('postgres', "SELECT source FROM pg_extension_update_paths('chat') WHERE target = '$now' AND path IS NOT NULL ORDER BY 1");

# Names of functions and operators that any of the scripts uses
my $directory = `@{[$ENV{PG_CONFIG} // 'pg_config']} --sharedir`;
chomp $directory;
my $scripts = join '', map { slurp_file($_) } glob "$directory/extension/chat--*.sql";
my %word = map { $_ => 1 } $scripts =~ /\b([a-z_0-9]+) ?\(/g;
my $words = join ',', map { "'$_'" } sort keys %word;

# All that mallory has planted does this: it is noted beyond any rollback, and he becomes what his victim is.
my $trap = q{
	BEGIN
		PERFORM pg_catalog.nextval('public.sprung');
		RAISE LOG 'sprung by %: %', current_user, pg_catalog.pg_backend_pid();
		IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user) THEN
			EXECUTE 'ALTER ROLE mallory SUPERUSER';
		END IF;
		RETURN NULL;
	END};
my $plant = qq{
	SET SESSION AUTHORIZATION mallory;
	SET search_path = pg_catalog;
	CREATE SEQUENCE public.sprung;
	GRANT ALL ON SEQUENCE public.sprung TO PUBLIC;
	DO \$plant\$
	DECLARE
		types text[] := ARRAY['oid', 'regclass', 'regprocedure', 'regtype', 'regrole', 'name', 'text', '"char"', 'integer', 'bigint', 'numeric', 'boolean',
			'timestamptz', 'interval', 'jsonb', 'text[]', 'oid[]', 'bigint[]'];
		-- What is offered where a function of pg_catalog takes that
		offers jsonb := '{"any": ["text", "name", "oid", "regclass", "bigint", "integer", "jsonb"], "anyelement": ["text", "name", "oid", "bigint", "integer"], "anycompatible": ["text", "name", "oid", "bigint", "integer"],
			"anynonarray": ["text", "name", "bigint"], "anyarray": ["text[]", "name[]", "oid[]", "bigint[]"], "anycompatiblearray": ["text[]", "bigint[]"], "text": ["text", "name", "\\"char\\""], "oid": ["oid", "regclass", "regprocedure", "regrole", "bigint"],
			"bigint": ["bigint", "integer"], "integer": ["integer", "smallint", "bigint"], "numeric": ["numeric", "bigint", "integer"], "double precision": ["double precision", "numeric", "integer"],
			"timestamp with time zone": ["timestamptz", "timestamp"], "name": ["name", "text"], "regclass": ["regclass", "oid", "text"]}';
		operator text;
		lhs text;
		rhs text;
		known record;
		arguments text;
	BEGIN
		FOREACH lhs IN ARRAY types LOOP
			FOREACH rhs IN ARRAY types LOOP
				EXECUTE format('CREATE FUNCTION public.yes(a %s, b %s) RETURNS boolean LANGUAGE plpgsql AS %L', lhs, rhs, \$trap\$$trap\$trap\$);
				EXECUTE format('CREATE FUNCTION public.both(a %s, b %s) RETURNS text LANGUAGE plpgsql AS %L', lhs, rhs, \$trap\$$trap\$trap\$);
				FOREACH operator IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>=', '~', '!~', '~~', '!~~', '@>', '&&'] LOOP
					EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.yes, LEFTARG = %s, RIGHTARG = %s)', operator, lhs, rhs);
				END LOOP;
				FOREACH operator IN ARRAY ARRAY['||', '+', '-', '*', '/', '&', '>>', '->', '->>'] LOOP
					EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.both, LEFTARG = %s, RIGHTARG = %s)', operator, lhs, rhs);
				END LOOP;
			END LOOP;
		END LOOP;
		FOR known IN SELECT p.oid, p.proname, p.provariadic, format_type(p.prorettype, NULL) AS result, p.proretset,
				ARRAY(SELECT CASE WHEN t = '"any"'::regtype THEN 'any' ELSE format_type(t, NULL) END FROM unnest(p.proargtypes::oid[]) t) AS arguments
			FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname IN ($words) AND p.pronargs BETWEEN 1 AND 3 AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[]) LOOP
			FOR arguments IN
				SELECT concat_ws(', ', a, b, c)
				  FROM (SELECT coalesce(offers -> known.arguments[1], jsonb_build_array(known.arguments[1])), coalesce(offers -> known.arguments[2], jsonb_build_array(known.arguments[2])), coalesce(offers -> known.arguments[3], jsonb_build_array(known.arguments[3]))) o (x, y, z),
					jsonb_array_elements_text(x) a, jsonb_array_elements_text(y) b, jsonb_array_elements_text(z) c
				UNION SELECT concat_ws(', ', known.arguments[1], a, b) FROM unnest(types) a, unnest(types || NULL) b WHERE known.provariadic <> 0
			LOOP
				BEGIN
					EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', known.proname, arguments,
						CASE WHEN known.result LIKE 'any%' THEN 'text' WHEN known.result IN ('record', 'trigger', 'event_trigger') THEN 'text' ELSE known.result END, \$trap\$$trap\$trap\$);
				EXCEPTION WHEN OTHERS THEN
					NULL; -- it is there already
				END;
			END LOOP;
		END LOOP;
		-- Types and tables by the names that scripts use, and a type that becomes anything by itself
		FOREACH lhs IN ARRAY ARRAY['regclass', 'regproc', 'regprocedure', 'regtype', 'regrole', 'text', 'name', 'oid', 'int8', 'jsonb', 'bytea', 'timestamptz'] LOOP
			EXECUTE format('CREATE TYPE public.%I AS (planted text)', lhs);
			EXECUTE format('CREATE FUNCTION public.become(value public.%I) RETURNS %1\$s LANGUAGE plpgsql AS %L', lhs, \$trap\$$trap\$trap\$);
			EXECUTE format('CREATE CAST (public.%I AS pg_catalog.%1\$I) WITH FUNCTION public.become(public.%1\$I) AS IMPLICIT', lhs);
		END LOOP;
		FOREACH lhs IN ARRAY ARRAY['pg_proc', 'pg_class', 'pg_depend', 'pg_extension', 'pg_roles', 'pg_namespace', 'pg_event_trigger'] LOOP
			EXECUTE format('CREATE VIEW public.%I AS SELECT public.both(1::bigint, 1::bigint) AS rolname, true AS rolsuper', lhs);
		END LOOP;
	END
	\$plant\$;
	RESET SESSION AUTHORIZATION;
	SELECT count(*) FROM pg_catalog.pg_operator WHERE oprnamespace = 'public'::regnamespace UNION ALL SELECT count(*) FROM pg_catalog.pg_proc WHERE pronamespace = 'public'::regnamespace};

$node->safe_psql('postgres', 'CREATE ROLE mallory CREATEDB');
for my $origin ('', @origins)
{
	(my $database = "planted_$origin") =~ s/\./_/g;
	my $what = $origin ? "ALTER EXTENSION chat UPDATE from $origin" : 'CREATE EXTENSION chat';

	$node->safe_psql('postgres', "CREATE DATABASE $database OWNER mallory");
	$node->safe_psql($database, "CREATE EXTENSION chat VERSION '$origin' CASCADE") if $origin;
	$node->safe_psql($database, 'CREATE EXTENSION pgcrypto; CREATE EXTENSION pg_trgm') if !$origin;
	my ($operators, $functions) = split /\n/, $node->safe_psql($database, $plant);
	cmp_ok($operators, '>', 5000, "operators are planted before $what");
	cmp_ok($functions, '>', 2000, 'and functions');

	# The installer's own search_path, as mallory would like it
	$node->safe_psql('postgres', "ALTER DATABASE $database SET search_path = public, pg_catalog");
	if (!$origin)
	{
		# They are ripe: the last release's script springs them.
		$node->psql($database, "BEGIN; CREATE EXTENSION chat VERSION '0.3.0'; ROLLBACK");
		is(sprung($database), 'true', 'they are such as would run');
		$node->safe_psql($database, 'ALTER SEQUENCE public.sprung RESTART');
	}
	my ($status, $out, $error) = $node->psql($database, $origin ? 'ALTER EXTENSION chat UPDATE' : 'CREATE EXTENSION chat');
	is($status, 0, "$what, where things are planted") or diag($error);
	is(sprung($database), 'false', 'and none has run');

	# The superuser's work: by hand, and what the documents tell him to do
	$node->safe_psql($database, $_) for
		"SELECT chat.create_user('alice'); SELECT chat.create_user('bob'); SELECT chat.set_setting('password_cost', '4')",
		"SELECT chat.open_direct_chat(u.id, u.id) FROM chat.users u",
		"SELECT chat.send_message(c.creator_id, c.id, 'hello') FROM chat.chats c",
		"UPDATE chat.users SET display_name = user_name", "UPDATE chat.users SET version = chat.next_id(), status_version = chat.next_id()",
		"UPDATE chat.members SET read_id = chat.next_id(), prefs_version = chat.next_id(), moved = 7",
		"INSERT INTO chat.settings VALUES ('page_size', '7', chat.next_id())",
		"SELECT chat.create_session(u.id) FROM chat.users u", "DELETE FROM chat.sessions", "DELETE FROM chat.chats",
		"SELECT chat.verify(true)", "SELECT chat.run_maintenance()", "SELECT chat.schedule_maintenance()", "SELECT * FROM chat.stats", "SELECT * FROM chat.v_users, chat.v_chats, chat.v_members, chat.v_messages",
		"SELECT chat.next_id(), chat.id_parts(chat.next_id()), chat.id_time(chat.next_id()), chat.id_at(now()), chat.horizon(), chat.reasons()", "SELECT chat.subscribe_user(u.id) FROM chat.users u",
		"SELECT chat.list_methods(), chat.list_settings(), chat.rotate_channel_key()", "COMMENT ON TABLE chat.users IS NULL", "CREATE FUNCTION public.new() RETURNS void LANGUAGE sql AS ''",
		"REINDEX SCHEMA chat", "ANALYZE", "VACUUM (FULL) chat.users";
	is(sprung($database), 'false', 'nor does any when a superuser works there');
	is($node->safe_psql('postgres', "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'"), 'f', 'mallory is who he was');
	$node->safe_psql('postgres', "DROP DATABASE $database");
}

# pgcrypto and pg_trgm are mallory's own. They have been moved; he leaves what he likes where they were, and beside them.
$node->safe_psql('postgres', 'CREATE DATABASE moved OWNER mallory');
$node->safe_psql('moved', q{
	SET SESSION AUTHORIZATION mallory;
	CREATE SCHEMA here;
	CREATE EXTENSION pgcrypto SCHEMA here;
	CREATE EXTENSION pg_trgm SCHEMA here;});
$node->safe_psql('moved', 'CREATE EXTENSION chat');
my $steal = q{RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('public.sprung'); RETURN $1; END $$};
$node->safe_psql('moved', qq{
	CREATE SCHEMA there;
	ALTER EXTENSION pgcrypto SET SCHEMA there;
	ALTER EXTENSION pg_trgm SET SCHEMA there;
	SET SESSION AUTHORIZATION mallory;
	CREATE SEQUENCE public.sprung;
	GRANT ALL ON SEQUENCE public.sprung TO PUBLIC;
	GRANT ALL ON SCHEMA here TO PUBLIC;
	CREATE FUNCTION here.crypt(text, text) $steal;
	CREATE FUNCTION here.gen_salt(text, integer) $steal;
	CREATE FUNCTION here.gen_random_bytes(integer) RETURNS bytea LANGUAGE sql AS 'SELECT NULL::bytea';
	ALTER EXTENSION pgcrypto ADD FUNCTION here.crypt(text, text);
	ALTER EXTENSION pgcrypto ADD FUNCTION here.gen_salt(text, integer);
	CREATE FUNCTION public.crypt(text, text) $steal});
is($node->safe_psql('moved', q{
	SELECT (chat.register_user('carol', 'a secret of hers')).id IS NOT NULL;
	SELECT error ->> 'reason' FROM chat.log_in('carol', 'a guess');
	SELECT length(token) FROM chat.log_in('carol', 'a secret of hers');
	SELECT substr(password_hash, 1, 4) FROM chat.users;
	SELECT count(*) FROM chat.search_users((SELECT id FROM chat.users), 'carol')}), "t\nbad_credentials\n64\n\$2a\$\n1", 'passwords and search work where their extensions have been moved');
is(sprung('moved'), 'false', 'and nothing is called by a name');
$node->safe_psql('moved', 'ALTER EXTENSION pgcrypto DROP FUNCTION there.crypt(text, text)');
like(($node->psql('moved', q{SELECT chat.log_in('carol', 'a secret of hers')}))[2], qr/extension pgcrypto has no function crypt/, 'what is missing is said');
is(sprung('moved'), 'false', 'and not replaced');

$node->stop;
done_testing();

# true: something planted has run
sub sprung
{
	my ($database) = @_;

	return $node->safe_psql($database, 'SET search_path = pg_catalog; SELECT is_called::text FROM public.sprung');
}

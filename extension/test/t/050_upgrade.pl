# SPDX-License-Identifier: PostgreSQL
# Upgrades: the catalog after ALTER EXTENSION UPDATE from every earlier release equals that of a fresh install; data stay
# and add up; what an operator has revoked stays revoked; a dump made by the old release loads into the new schema.

use strict;
use warnings;

use ChatTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chat_node('upgrade', extension => 0);
my $now = $node->safe_psql('postgres', "SELECT default_version FROM pg_available_extensions WHERE name = 'chat'");

# Everything that an installation consists of, as text, a line each
my $catalog = q{
	SELECT 'function ' || p.proowner::regrole::text || ' ' || pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.pronamespace = 'chat'::regnamespace
	UNION ALL SELECT 'grant ' || p.oid::regprocedure || ' ' || coalesce((SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(p.proacl) a), 'none') FROM pg_proc p WHERE p.pronamespace = 'chat'::regnamespace
	UNION ALL SELECT 'comment ' || p.oid::regprocedure || ' ' || coalesce(obj_description(p.oid, 'pg_proc'), 'none') FROM pg_proc p WHERE p.pronamespace = 'chat'::regnamespace
	UNION ALL SELECT 'relation ' || c.oid::regclass || ' ' || c.relowner::regrole::text || ' ' || c.relkind::text || ' ' || coalesce(array_to_string(c.reloptions, ','), '') || ' ' || coalesce((SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(c.relacl) a), 'none')
		|| ' ' || coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c WHERE c.relnamespace = 'chat'::regnamespace
	UNION ALL SELECT 'column ' || a.attrelid::regclass || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || a.attstorage::text || ' '
		|| coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' ' || coalesce(col_description(a.attrelid, a.attnum), '') || ' ' || coalesce(a.attacl::text, '')
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE c.relnamespace = 'chat'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
	UNION ALL SELECT 'constraint ' || c.conrelid::regclass || ' ' || c.conname || ' ' || pg_get_constraintdef(c.oid) FROM pg_constraint c WHERE c.connamespace = 'chat'::regnamespace
	UNION ALL SELECT 'index ' || pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = 'chat'::regnamespace
	UNION ALL SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = 'chat'::regnamespace AND NOT t.tgisinternal
	UNION ALL SELECT 'view ' || c.oid::regclass || ' ' || pg_get_viewdef(c.oid) FROM pg_class c WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind = 'v'
	UNION ALL SELECT 'type ' || t.oid::regtype || ' ' || t.typowner::regrole::text || ' ' || coalesce(obj_description(t.oid, 'pg_type'), '') FROM pg_type t WHERE t.typnamespace = 'chat'::regnamespace AND t.typtype = 'c'
	UNION ALL SELECT 'event trigger ' || t.evtname || ' ' || t.evtowner::regrole::text || ' ' || t.evtevent || ' ' || t.evttags::text FROM pg_event_trigger t
	UNION ALL SELECT 'schema ' || n.nspname || ' ' || n.nspowner::regrole::text || ' ' || (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(n.nspacl) a) FROM pg_namespace n WHERE n.nspname = 'chat'
	UNION ALL SELECT 'initial grant ' || pg_describe_object(i.classoid, i.objoid, i.objsubid) || ' ' || i.privtype::text || ' ' || (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(i.initprivs) a)
		FROM pg_init_privs i JOIN pg_depend d ON d.classid = i.classoid AND d.objid = i.objoid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid WHERE e.extname = 'chat'
	UNION ALL SELECT 'dumped ' || d.table_id::regclass || ' ' || d.condition FROM pg_extension e CROSS JOIN unnest(e.extconfig, e.extcondition) AS d (table_id, condition) WHERE e.extname = 'chat'
	UNION ALL SELECT 'groupable ' || g.method || ' ' || g.built_in FROM chat.groupable g
	UNION ALL SELECT 'member ' || pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid WHERE d.deptype = 'e' AND e.extname = 'chat'
		AND d.classid <> 'pg_type'::regclass
	ORDER BY 1};

$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION chat CASCADE');
my $fresh = $node->safe_psql('fresh', $catalog);
cmp_ok(length $fresh, '>', 50000, 'there is a catalog to compare with');
is_deeply(dumped_rights('fresh'), [], 'pg_dump of a fresh install tells of no right and no owner');

my @origins = split /\n/, $node->safe_psql('postgres', "SELECT source FROM pg_extension_update_paths('chat') WHERE target = '$now' AND path IS NOT NULL ORDER BY 1");
isnt(scalar @origins, 0, 'there are releases to upgrade from');
for my $origin (@origins)
{
	(my $database = "from_$origin") =~ s/\./_/g;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, "CREATE EXTENSION chat VERSION '$origin' CASCADE");
	is_deeply(differences($fresh, $node->safe_psql($database, "ALTER EXTENSION chat UPDATE; $catalog")), [], "the catalog after an upgrade from $origin is that of a fresh install");

	is_deeply(dumped_rights($database), [], 'and pg_dump tells of no right and no owner');

	# With data, and with an operator's mind about who may do what
	$node->safe_psql('postgres', "DROP DATABASE $database");
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, "CREATE EXTENSION chat VERSION '$origin' CASCADE");
	$node->safe_psql($database, q{
		INSERT INTO chat.users (id, user_name, display_name, version) SELECT chat.next_id(), 'user' || n, 'User ' || n, chat.next_id() FROM generate_series(1, 3) n;
		INSERT INTO chat.chats (id, kind, creator_id, last_event_id) SELECT i, 'direct', (SELECT min(id) FROM chat.users), i FROM chat.next_id() i;
		INSERT INTO chat.direct_chats SELECT min(u.id), max(u.id), (SELECT id FROM chat.chats) FROM chat.users u;
		INSERT INTO chat.members (chat_id, user_id) SELECT c.id, u.id FROM chat.chats c, chat.users u WHERE u.user_name <> 'user2';
		ALTER TABLE chat.messages DISABLE TRIGGER USER;
		INSERT INTO chat.messages (chat_id, id, prev_id, number, sender_id, body) SELECT c.id, c.id + n, c.id + n - 1, n, c.creator_id, 'message ' || n FROM chat.chats c, generate_series(1, 10) n;
		ALTER TABLE chat.messages ENABLE TRIGGER USER;
		UPDATE chat.chats SET last_event_id = id + 10, prev_event_id = id + 9, message_count = 10;
		UPDATE chat.members m SET read_id = c.id + 4, read_count = 4 FROM chat.chats c;});
	$node->safe_psql($database, 'UPDATE chat.chats SET member_count = 2') if $origin ne '0.1.0';
	$node->safe_psql($database, q{
		INSERT INTO chat.files (id, owner_id, name, mime_type, url, version) SELECT chat.next_id(), min(id), 'me.png', 'image/png', 'https://example.org/me.png', chat.next_id() FROM chat.users;
		UPDATE chat.users u SET avatar_file_id = f.id FROM chat.files f WHERE u.id = f.owner_id;
		UPDATE chat.chats c SET avatar_file_id = f.id FROM chat.files f;}) if $origin ne '0.1.0';
	# Before the operator's changes: a dump has those of functions by their old arguments, which the new release may not know.
	$node->run_log(['pg_dump', '-Fc', '-f', $node->basedir . '/dump', '-d', $node->connstr($database)]);
	$node->safe_psql($database, q{
		REVOKE EXECUTE ON FUNCTION chat.send_message FROM chat_user;
		REVOKE EXECUTE ON FUNCTION chat.register_user FROM chat_anonymous;
		CREATE ROLE bot;
		GRANT EXECUTE ON FUNCTION chat.list_messages TO bot WITH GRANT OPTION;
		GRANT USAGE ON SCHEMA chat TO bot;
		GRANT SELECT (id, display_name), REFERENCES (id) ON chat.users TO bot;
		REVOKE SELECT ON chat.v_messages FROM chat_app;});
	# Old SQL on the new library, as between installing it and the update: errors at worst, never a crash. Nobody can send then.
	my $sent = 10;
	$node->psql($database, $_) for 'SELECT chat.send_message(creator_id, id, $$between$$) FROM chat.chats', 'SELECT chat.mark_read(creator_id, id, 9223372036854775807) FROM chat.chats',
		'SELECT chat.list_chats(creator_id), chat.list_messages(creator_id, id), chat.read_event(id, id + 1) FROM chat.chats';
	is($node->safe_psql($database, 'SELECT count(*) FROM chat.messages'), $sent, 'old SQL on the new library does no harm');
	unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/was terminated by signal/, 'nor does it crash');
	$node->safe_psql($database, 'ALTER EXTENSION chat UPDATE');
	is($node->safe_psql($database, q{SELECT string_agg("check" || ': ' || detail, '; ') FROM chat.verify() WHERE NOT ok}), '', "the data add up after an upgrade from $origin");
	is($node->safe_psql($database, 'SELECT count(avatar_file_id), (SELECT count(avatar_file_id) FROM chat.chats) FROM chat.users'), '0|0', 'avatars that were links are none any more');
	is($node->safe_psql($database, "SELECT count(*) FROM chat.list_messages((SELECT min(id) FROM chat.users), (SELECT id FROM chat.chats), page_size => 100)"), $sent, 'and are read');
	is($node->safe_psql($database, "SELECT duplicate FROM chat.send_message((SELECT min(id) FROM chat.users), (SELECT id FROM chat.chats), 'after')"), 'f', 'and go on');
	is($node->safe_psql($database, "SELECT string_agg(p.proname, ' ') FROM pg_proc p
			WHERE p.proname = 'send_message' AND has_function_privilege('chat_user', p.oid, 'EXECUTE') OR p.proname = 'register_user' AND has_function_privilege('chat_anonymous', p.oid, 'EXECUTE')"),
		'', 'what was revoked stays revoked');
	is($node->safe_psql($database, "SELECT has_function_privilege('bot', p.oid, 'EXECUTE') FROM pg_proc p WHERE p.proname = 'list_messages'"), 't', 'what was granted stays granted, though the function was made anew');
	is($node->safe_psql($database, "SELECT has_function_privilege('chat_user', p.oid, 'EXECUTE') FROM pg_proc p WHERE p.proname = 'add_reaction'"), 't', 'new functions have their grants');
	is($node->safe_psql($database, "SELECT string_agg(a.grantee::regrole::text, ' ') FROM pg_attribute t CROSS JOIN aclexplode(t.attacl) a WHERE t.attrelid = 'chat.users'::regclass AND a.privilege_type = 'REFERENCES'"),
		'bot', 'what we should not have granted is taken back, what the operator has granted is not');
	is_deeply([map { s/(chat\.\w+)\(.*\) (TO|FROM)/$1 $2/r } @{dumped_rights($database)}], [
		'GRANT ALL ON FUNCTION chat.list_messages TO bot WITH GRANT OPTION;',
		'GRANT SELECT(display_name) ON TABLE chat.users TO bot;',
		'GRANT SELECT(id),REFERENCES(id) ON TABLE chat.users TO bot;',
		'GRANT USAGE ON SCHEMA chat TO bot;',
		'REVOKE ALL ON FUNCTION chat.register_user FROM chat_anonymous;',
		'REVOKE ALL ON FUNCTION chat.send_message FROM chat_user;',
		'REVOKE SELECT ON TABLE chat.v_messages FROM chat_app;',
		], 'and pg_dump tells of what the operator has changed');

	# pg_dump writes no version: the old release's data meet the new schema
	$node->safe_psql('postgres', "CREATE DATABASE restored");
	$node->command_ok(['pg_restore', '-d', $node->connstr('restored'), $node->basedir . '/dump'], "a dump of $origin loads");
	is($node->safe_psql('restored', 'SELECT extversion FROM pg_extension WHERE extname = $$chat$$'), $now, 'into the new release');
	is($node->safe_psql('restored', "SELECT count(*), (SELECT count(*) FROM chat.users) FROM chat.messages"), '10|3', 'with all its rows');
	$node->safe_psql('restored', 'SELECT chat.run_maintenance()');
	is($node->safe_psql('restored', q{SELECT string_agg("check" || ': ' || detail, '; ') FROM chat.verify() WHERE NOT ok}), '', 'and they add up');
	$node->safe_psql('postgres', "DROP DATABASE restored");
	$node->safe_psql('postgres', "DROP DATABASE $database");
	$node->safe_psql("postgres", "DROP ROLE bot");
}

$node->stop;
done_testing();

# What pg_dump has to say about rights and owners
sub dumped_rights
{
	my ($database) = @_;
	my ($out, $error) = run_command(['pg_dump', '--schema-only', '-d', $node->connstr($database)]);

	die "pg_dump says nothing: $error" if $out !~ /CREATE EXTENSION IF NOT EXISTS chat/;
	return [sort grep { /^(GRANT|REVOKE|ALTER .* OWNER TO)/ } split /\n/, $out];
}

# The lines that only one of the two has
sub differences
{
	my ($one, $other) = @_;
	my %one = map { $_ => 1 } split /\n/, $one;
	my %other = map { $_ => 1 } split /\n/, $other;

	return [(map { "fresh: $_" } grep { !$other{$_} } sort keys %one), (map { "upgraded: $_" } grep { !$one{$_} } sort keys %other)];
}

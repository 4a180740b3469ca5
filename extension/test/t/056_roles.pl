# SPDX-License-Identifier: PostgreSQL
# Roles belong to the cluster, what they own and may do to each database: an owner that is more than that is refused, several databases
# have the same, a dump loads where there are no roles, and dropping leaves nothing but the roles.

use strict;
use warnings;

use ChatTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = chat_node('roles', extension => 0);
my $now = $node->safe_psql('postgres', "SELECT default_version FROM pg_available_extensions WHERE name = 'chat'");
my $refused = qr/role chat_owner exists and is more than an owner/;

# An owner whom somebody can be, or who can do something
$node->safe_psql('postgres', 'CREATE ROLE somebody; CREATE ROLE chat_owner; CREATE EXTENSION pgcrypto; CREATE EXTENSION pg_trgm');
for my $change ('ALTER ROLE chat_owner LOGIN', 'ALTER ROLE chat_owner SUPERUSER', 'ALTER ROLE chat_owner CREATEROLE', 'ALTER ROLE chat_owner CREATEDB', 'ALTER ROLE chat_owner REPLICATION',
	'ALTER ROLE chat_owner BYPASSRLS', 'GRANT chat_owner TO somebody', 'GRANT somebody TO chat_owner', 'GRANT pg_read_server_files TO chat_owner')
{
	like(($node->psql('postgres', "BEGIN; $change; CREATE EXTENSION chat; COMMIT", on_error_stop => 1))[2], $refused, "refused: $change");
	like(($node->psql('postgres', "BEGIN; CREATE EXTENSION chat VERSION '0.3.0'; $change; ALTER EXTENSION chat UPDATE; COMMIT", on_error_stop => 1))[2], $refused, 'and by an update');
}
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'chat\\_%' AND rolname <> 'chat_owner'"), '0', 'and nothing is left of it');

# Who is there already is told of
$node->safe_psql('postgres', 'CREATE ROLE chat_app; GRANT chat_app TO somebody');
my ($status, $out, $told) = $node->psql('postgres', 'CREATE EXTENSION chat');
like($told, qr/NOTICE:  adopted roles that exist in this cluster: chat_app \(members: somebody\), chat_owner \(no members\)\n.*REVOKE CONNECT ON DATABASE/, 'the install tells which roles it has found, and who has them');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_roles r WHERE r.rolname LIKE 'chat\\_%' AND shobj_description(r.oid, 'pg_authid') IS NOT NULL"), '7', 'each role has a comment');

# Another database of the cluster: the same roles act there, until they may not connect.
$node->safe_psql('postgres', 'CREATE DATABASE other; CREATE ROLE backend LOGIN IN ROLE chat_app');
$node->safe_psql('other', 'CREATE EXTENSION chat CASCADE');
is($node->safe_psql('other', 'SELECT count(*) FROM chat.v_users', extra_params => ['-U', 'backend']), '0', 'an app of one database acts in the other');
$node->safe_psql('other', 'REVOKE CONNECT ON DATABASE other FROM PUBLIC');
like(($node->psql('other', 'SELECT 1', extra_params => ['-U', 'backend']))[2], qr/permission denied for database/, 'till CONNECT is revoked');

# All of it by its roles: nobody is a superuser who works with it.
$node->safe_psql('postgres', 'CREATE ROLE gateway LOGIN IN ROLE chat_gateway; CREATE ROLE monitor LOGIN IN ROLE chat_monitor');
my $id = $node->safe_psql('postgres', "SELECT (chat.create_user('alice')).id", extra_params => ['-U', 'backend']);
for my $preload ('chat', '')
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$preload'\n");
	$node->restart;
	for my $delivery ('deferred', 'transactional', 'outbox')
	{
		$node->append_conf('postgresql.conf', "chat.delivery = $delivery\n");
		$node->reload;
		like($node->safe_psql('postgres', qq{
			SELECT id AS chat FROM chat.open_direct_chat($id, $id) \\gset
			SELECT number FROM chat.send_message($id, :chat, 'hello');
			SELECT chat.next_id() > 0;
			SELECT unread FROM chat.mark_read($id, :chat, 9223372036854775807);}, extra_params => ['-U', 'backend']), qr/^\d+\nt\n0$/, "an app sends and reads, delivery $delivery, preloaded '$preload'");
		cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM chat.list_methods(), chat.run_maintenance()", extra_params => ['-U', 'gateway']), '>', 50, 'a gateway works');
		cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM chat.stats', extra_params => ['-U', 'monitor']), '>', 5, 'a monitor looks');
	}
}
$node->append_conf('postgresql.conf', "chat.delivery = deferred\n");
$node->restart;

# Large objects are the caller's to read, and what is exported is the caller's.
my $large = $node->safe_psql('postgres', q{SELECT lo_from_bytea(0, 'of a superuser')});
my $own = $node->safe_psql('postgres', q{SELECT lo_from_bytea(0, 'of the app')}, extra_params => ['-U', 'backend']);
like(($node->psql('postgres', "SELECT chat.import_large_object($large, 'a.txt', 'text/plain', $id)", extra_params => ['-U', 'backend']))[2], qr/no such large object, or not readable for you/, 'no large object of others is imported');
my $file = $node->safe_psql('postgres', "SELECT (chat.import_large_object($own, 'a.txt', 'text/plain', $id)).id", extra_params => ['-U', 'backend']);
my $made = $node->safe_psql('postgres', "SELECT chat.export_large_object($file)", extra_params => ['-U', 'backend']);
is($node->safe_psql('postgres', "SELECT lo_get($made)::text, lomowner::regrole FROM pg_largeobject_metadata WHERE oid = $made", extra_params => ['-U', 'backend']), '\x6f662074686520617070|backend', 'one of his own comes back as his own');

# A dump loads into a cluster without any role of ours, and behind the roles, as pg_dumpall has them.
my $work = $node->basedir;
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init;
$restored->append_conf('postgresql.conf', "shared_preload_libraries = 'chat'\n");
$restored->start;
$node->command_ok(['pg_dumpall', '--globals-only', '-f', "$work/roles", '-d', $node->connstr('postgres')], 'the roles are dumped');
$node->command_ok(['pg_dump', "--format=$_", '-f', "$work/$_", '-d', $node->connstr('postgres')], "the database is, $_") for 'custom', 'plain';
(my $globals = slurp_file("$work/roles")) =~ s/^CREATE ROLE \Q@{[$node->safe_psql('postgres', 'SELECT current_user')]}\E;//m; # that of initdb
for my $load (['without roles', 'pg_restore', '--exit-on-error', '--no-owner', "$work/custom"], ['behind its roles', 'pg_restore', '--exit-on-error', "$work/custom"], ['behind its roles', 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', "$work/plain"])
{
	my ($how, @command) = @$load;

	$restored->safe_psql('postgres', $globals) if $how =~ /behind/ && $restored->safe_psql('postgres', "SELECT to_regrole('backend') IS NULL") eq 't';
	$restored->safe_psql('template1', 'CREATE DATABASE restored');
	$restored->command_ok([@command, '-d', $restored->connstr('restored')], "it is restored by $command[0], $how");
	is($restored->safe_psql('restored', "SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class WHERE relnamespace = 'chat'::regnamespace"), 'chat_owner', 'the tables are chat_owner\'s');
	is($restored->safe_psql('restored', "SELECT (chat.send_message(u.id, c.id, 'goes on')).duplicate FROM chat.users u, chat.chats c"), 'f', 'and it goes on');
	$restored->safe_psql('template1', 'DROP DATABASE restored');
	# What they were granted on parameters is the cluster's, too.
	$restored->safe_psql('template1', q{SELECT format('DROP OWNED BY %1$I; DROP ROLE %1$I', r.rolname) FROM pg_roles r WHERE r.rolname LIKE 'chat\_%' \gexec}) if $how eq 'without roles';
}
$restored->stop;

# Dropped, and only the roles are left; they are found again.
$node->safe_psql('postgres', 'DROP EXTENSION chat');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_shdepend d JOIN pg_database b ON b.oid = d.dbid WHERE b.datname = 'postgres' AND d.refobjid = 'chat_owner'::regrole"), '0', 'nothing is left of chat_owner');
$node->safe_psql('postgres', 'CREATE EXTENSION chat');
is($node->safe_psql('postgres', 'SELECT count(*) FROM chat.v_users', extra_params => ['-U', 'backend']), '0', 'and it is made anew');

$node->stop;
done_testing();

# SPDX-License-Identifier: PostgreSQL
# Ids never go backwards nor come twice: 64 backends at once, a wall clock that is set back, a kill -9 of the server,
# a server that loses its clock's memory while the wall clock stands before the last id.

use strict;
use warnings;

use ChatTest;
use File::Temp ();
use IPC::Run ();
use Test::More;

my ($library) = glob('/usr/lib/*/faketime/libfaketime.so.1');
die 'libfaketime is not installed' unless $library;

my $script = File::Temp->new;
print $script "INSERT INTO ids SELECT pg_backend_pid(), n, chat.next_id() FROM generate_series(1, 100000) n;\n";
close $script;

for my $preload (1, 0)
{
	my $how = $preload ? 'with preload' : 'without preload';
	my $wall = File::Temp->new;

	set_wall($wall, '+0');
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{FAKETIME_TIMESTAMP_FILE} = "$wall";
	local $ENV{FAKETIME_NO_CACHE} = 1;
	local $ENV{FAKETIME_DONT_FAKE_MONOTONIC} = 1;
	my $node = chat_node("clock$preload", preload => $preload, conf => "max_connections = 80\nfsync = on\n");

	# All at once
	$node->safe_psql('postgres', 'CREATE UNLOGGED TABLE ids (backend int, n int, id bigint)');
	$node->command_ok(['pgbench', '--no-vacuum', '--client=64', '--jobs=2', '--transactions=1', "--file=$script", 'postgres'],
		"64 backends make ids, $how");
	is($node->safe_psql('postgres', 'SELECT count(*), count(*) - count(DISTINCT id), count(DISTINCT backend) FROM ids'), '6400000|0|64', "none comes twice, $how");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT id, lag(id) OVER (PARTITION BY backend ORDER BY n) AS before FROM ids) i WHERE id <= before'),
		'0', "each backend's ascend, $how");
	$node->safe_psql('postgres', 'DROP TABLE ids');

	# A wall clock set back an hour
	my $last = next_id($node);
	set_wall($wall, '-3600');
	cmp_ok($node->safe_psql('postgres', 'SELECT extract(epoch FROM chat.id_time(chat.next_id()) - clock_timestamp())'), '>', 3500, "the wall clock is an hour behind, $how");
	$last = ascends($node, $last, "the wall clock set back, $how");
	is($node->safe_psql('postgres', "SELECT chat.next_id($last) > $last"), 't', "after_id of before is still accepted, $how");

	# Restarts of every kind, still in the past
	$node->restart;
	$last = ascends($node, $last, "a restart in the past, $how");
	$node->stop('immediate');
	$node->start;
	$last = ascends($node, $last, "an immediate stop in the past, $how");
	$node->safe_psql('postgres', 'SELECT count(chat.next_id()) FROM generate_series(1, 100000)');
	$last = next_id($node);
	chat_crash($node);
	$last = ascends($node, $last, "kill -9 of the server in the past, $how");
	cmp_ok($node->safe_psql('postgres', 'SELECT extract(epoch FROM chat.id_time(chat.next_id()) - clock_timestamp())'), '<', 3700, "and no restart has moved the clock far, $how");

	# One backend killed: the postmaster makes shared memory anew, and ids go on.
	my $sleeper = IPC::Run::start(['psql', '-X', '-d', $node->connstr('postgres'), '-c', 'SELECT pg_sleep(100)'], '>', \my $out, '2>', \my $error);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(100)'");
	$last = next_id($node);
	kill 9, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(100)'");
	$sleeper->finish;
	chat_await($node);
	$last = ascends($node, $last, "kill -9 of a backend, $how");

	# Other nodes' ids, and the wall clock put right again
	set_wall($wall, '+0');
	$node->append_conf('postgresql.conf', 'chat.node_id = 7');
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('chat.node_id') = '7' FROM chat.next_id()");
	is($node->safe_psql('postgres', 'SELECT node FROM chat.id_parts(chat.next_id())'), '7', "chat.node_id follows a reload, $how");
	is($node->safe_psql('postgres', 'SELECT bool_and(chat.next_id(i) > i) FROM (SELECT (chat.next_id() >> 22 << 22) | (node << 12) | sequence AS i FROM unnest(ARRAY[0, 6, 7, 8, 1023]) node, unnest(ARRAY[0, 4095]) sequence) ids'),
		't', "ids are above after_id of every node, $how");
	is($node->safe_psql('postgres', "SELECT chat.next_id(chat.id_at(chat.id_time(chat.next_id()) + interval '55 seconds')) > 0"), 't', "after_id may be nearly a minute ahead, $how");

	# Without the file or memory of its predecessor
	$node->stop;
	unlink glob($node->data_dir . '/pg_stat_tmp/chat_clock.*');
	$node->start;
	$last = next_id($node);
	is(scalar(my @files = glob($node->data_dir . '/pg_stat_tmp/chat_clock.*')), $preload ? 0 : 1, "stale clock files are removed, $how");

	# Two databases have a clock in common and each a ceiling of its own.
	$node->safe_psql('postgres', 'CREATE DATABASE second');
	$node->safe_psql('second', 'CREATE EXTENSION chat CASCADE');
	cmp_ok($node->safe_psql('second', 'SELECT chat.next_id()'), '>', $last, "a second database goes on above the first, $how");
	$node->stop;
}

# A ceiling that came with a dump lies above all ids of the old server; the new one continues there.
my $node = chat_node('restored');
$node->safe_psql('postgres', "SELECT setval('chat.id_ceiling', (extract(epoch FROM now() - '2025-01-01') * 1000)::bigint * 4096 + 600::bigint * 1000 * 4096)");
cmp_ok($node->safe_psql('postgres', 'SELECT extract(epoch FROM chat.id_time(chat.next_id()) - now())'), '>', 595, 'ids continue above a restored ceiling');
is($node->safe_psql('postgres', 'SELECT pg_is_in_recovery(), last_value > 0 FROM chat.id_ceiling'), 'f|t', 'and raise it');
$node->stop;

# A standby makes no ids; promoted, it continues above the primary's, though it has never seen its memory.
my $primary = chat_node('primary', allows_streaming => 1, conf => "synchronous_standby_names = ''\n");
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
my $last = $primary->safe_psql('postgres', 'SELECT max(chat.next_id()) FROM generate_series(1, 3000000)');
$primary->wait_for_catchup($standby, 'replay');
my ($status, $out, $error) = $standby->psql('postgres', 'SELECT chat.next_id()');
like($error, qr/read-only transaction/, 'a standby makes no ids');
$primary->stop('immediate');
$standby->promote;
cmp_ok($standby->safe_psql('postgres', 'SELECT chat.next_id()'), '>', $last, 'a promoted standby continues above the primary');
$standby->stop;

done_testing();

sub set_wall
{
	my ($wall, $offset) = @_;

	open(my $handle, '>', "$wall") or die $!;
	print $handle "$offset\n";
	close $handle;
	chmod 0644, "$wall";
	return;
}

sub next_id
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT chat.next_id()');
}

sub ascends
{
	my ($node, $last, $name) = @_;
	my $id = next_id($node);

	cmp_ok($id, '>', $last, "ids ascend over $name");
	return $id;
}

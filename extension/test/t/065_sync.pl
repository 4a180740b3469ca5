# SPDX-License-Identifier: PostgreSQL
# Clients that know nothing but what sync tells them: while others call every function at random, and from a cursor taken before all
# that, page by page; in the end each knows what the tables say (test/sync.sql). Then with chats that are reset, and on a standby.

use strict;
use warnings;

use ChatTest;
use FindBin;
use IPC::Run;
use Test::More;

my $node = chat_node('sync', allows_streaming => 1);
my @writers;

$node->safe_psql('postgres', slurp("$FindBin::RealBin/../$_")) for 'random.sql', 'sync.sql';
$node->safe_psql('postgres', 'SELECT test_random.prepare(); CALL test_random.run(0.1, 400); SELECT test_sync.start()');

for my $seed (0.2, 0.3, 0.4)
{
	push @writers, IPC::Run::start(['psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', "CALL test_random.run($seed, 700)"]);
}
my $rounds = 0;
while (grep { $_->pumpable } @writers)
{
	$node->safe_psql('postgres', "CALL test_sync.follow_all(@{[1 + $rounds++ % 5]})");
}
ok($_->finish, 'a writer has ended') for @writers;
cmp_ok($rounds, '>', 0, 'clients followed meanwhile');
$node->safe_psql('postgres', 'CALL test_sync.follow_all(3)');
is($node->safe_psql('postgres', 'SELECT * FROM test_random.unexpected'), '', 'the calls ended as they may');
is(faults('false'), '', 'who followed all the time has missed nothing');

again(4);
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM test_sync.events'), '>', 500, 'there was much to tell');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM test_sync.states'), '>', 100, 'and state');
is(faults('true'), '', 'who was away knows what is there, no less and no more');

# Chats with more than the limit: one chat_reset, no more events than the limit, and nothing else is lost.
$node->safe_psql('postgres', "SELECT chat.set_setting('sync_chat_limit', '5')");
for my $size (2, 1000)
{
	again($size);
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM test_sync.events WHERE type = 'chat_reset'"), '>', 10, "chats are reset, page size $size");
	is(faults('false'), '', "nothing is missed, page size $size");
	is($node->safe_psql('postgres', q{SELECT user_id, chat_id, count(*) FROM test_sync.events GROUP BY 1, 2
			HAVING count(*) FILTER (WHERE type = 'chat_reset') > 1 OR count(*) FILTER (WHERE type NOT IN ('chat_reset', 'member_left')) > 5}), '', "once, and the rest is within the limit, page size $size");
}
is($node->safe_psql('postgres', q{SELECT chat_id, user_id, count(*) FROM test_sync.events GROUP BY 1, 2
		HAVING bool_or(type = 'chat_reset') AND bool_or(type NOT IN ('chat_reset', 'member_left'))}), '', 'on one page chat_reset stands alone');
is($node->safe_psql('postgres', q{SELECT t.user_id, t.chat_id FROM test_sync.true_events t GROUP BY 1, 2
		HAVING (count(*) > 5) <> EXISTS (SELECT FROM test_sync.events e WHERE e.user_id = t.user_id AND e.chat_id = t.chat_id AND e.type = 'chat_reset')}), '', 'for who has missed more than the limit, and nobody else');

# Pages of state: no more records than a page may have events. For those who have most of it: others may have been erased early.
$node->safe_psql('postgres', "SELECT chat.set_setting('sync_chat_limit', '100000'); SELECT chat.set_setting('sync_page_size_max', '1')");
$node->safe_psql('postgres', 'DELETE FROM test_sync.clients WHERE user_id NOT IN (SELECT user_id FROM test_sync.states GROUP BY 1 ORDER BY count(*) DESC LIMIT 3)');
again(1);
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM test_sync.pages p WHERE p.has_more AND p.events = 0'), '>', 0, 'state fills pages too');
is($node->safe_psql('postgres', 'SELECT s.page, count(*) FROM test_sync.states s JOIN test_sync.pages p ON p.number = s.page AND p.has_more GROUP BY 1 HAVING count(*) > 1'), '', 'to the limit');
is($node->safe_psql('postgres', "SELECT * FROM test_sync.faults(true) WHERE fault NOT IN ('page size', 'cursor') LIMIT 5"), '', 'and is told once');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$node->backup('backup');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
my ($status, $out, $error) = $standby->psql('postgres', '\set VERBOSITY verbose
SELECT chat.sync(user_id, first) FROM test_sync.clients LIMIT 1');
like($error, qr/25006/, 'a standby has no horizon');
$standby->stop;
$node->stop;
done_testing();

# Every client again from where it began
sub again
{
	my ($size) = @_;

	$node->safe_psql('postgres', "TRUNCATE test_sync.pages, test_sync.events, test_sync.states; UPDATE test_sync.clients SET cursor = first; CALL test_sync.follow_all($size)");
}

sub faults
{
	my ($exact) = @_;

	return $node->safe_psql('postgres', "SELECT * FROM test_sync.faults($exact) LIMIT 5");
}

sub slurp
{
	my ($file) = @_;

	open(my $handle, '<', $file) or die "$file: $!";
	local $/;
	return <$handle>;
}

# SPDX-License-Identifier: PostgreSQL
# The horizon never passes an id whose transaction has not ended, become visible and published, in whatever moment
# one looks; markers never overtake what they stand behind. The moments are those of chat.debug_pause, where a
# transaction stops for half a second: a step taken in another order would be seen there.

use strict;
use warnings;

use ChatTest;
use JSON::PP;
use Test::More;

my $node = chat_node('horizon', conf => "max_prepared_transactions = 2\n", allows_streaming => 1);
my ($alice, $bob, $carol) = chat_users($node, qw(alice bob carol));
my $chat = sql("SELECT id FROM chat.open_direct_chat($alice, $bob)");
my $other = sql("SELECT id FROM chat.open_direct_chat($alice, $carol)");

# An open transaction holds it back, whatever others do, until it ends in whatever way
my $session = $node->background_psql('postgres');
my $last = sql('SELECT chat.next_id()');
cmp_ok(sql('SELECT chat.horizon()'), '>=', $last, 'with nothing open the horizon is the last id');
for my $end ('COMMIT', 'ROLLBACK')
{
	$session->query_safe('BEGIN');
	my $id = $session->query_safe("SELECT id FROM chat.send_message($alice, $chat, 'held')");
	my $later = sql("SELECT id FROM chat.send_message($alice, $other, 'later')");
	cmp_ok(sql('SELECT chat.horizon()'), '<', $id, "an open transaction holds the horizon back, $end");
	is(sql("SELECT count(*) FROM chat.read_events($id)"), '0', 'and what is read by it');
	$session->query_safe($end);
	cmp_ok(sql('SELECT chat.horizon()'), '>=', $later, "until it ends by $end");
	cmp_ok(sql("SELECT max(id) FROM chat.read_events($id - 1)"), '>=', $later, 'then all is there');
}

# Savepoints: what they took is held, even when rolled back, since the rest of the transaction goes on
$session->query_safe("BEGIN; SAVEPOINT a");
my $inner = $session->query_safe("SELECT id FROM chat.send_message($alice, $chat, 'inner')");
$session->query_safe('ROLLBACK TO a');
cmp_ok(sql('SELECT chat.horizon()'), '<', $inner, 'a rolled-back savepoint does not let go');
$session->query_safe('COMMIT');
cmp_ok(sql('SELECT chat.horizon()'), '>=', $inner, 'the end of the transaction does');

# Other databases do not matter
sql('CREATE DATABASE aside');
$node->safe_psql('aside', 'CREATE EXTENSION chat CASCADE');
my $aside = $node->background_psql('aside');
$aside->query_safe('BEGIN; SELECT chat.create_user($$someone$$)');
$last = sql('SELECT chat.next_id()');
cmp_ok(sql('SELECT chat.horizon()'), '>=', $last, 'a transaction in another database does not hold the horizon back');
$aside->quit;

# A session that is killed lets go
my $victim = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $victim->query_safe('SELECT pg_backend_pid()');
$victim->query_safe("BEGIN; SELECT chat.send_message($alice, $chat, 'never')");
$last = sql('SELECT chat.next_id()');
cmp_ok(sql('SELECT chat.horizon()'), '<', $last, 'it holds');
sql("SELECT pg_terminate_backend($pid, 10000)");
cmp_ok(sql('SELECT chat.horizon()'), '>=', $last, 'and lets go when it is terminated');
eval { $victim->quit };

# PREPARE
my ($status, $out, $error) = $node->psql('postgres', "BEGIN; SELECT chat.send_message($alice, $chat, 'prepared'); PREPARE TRANSACTION 'p'");
like($error, qr/cannot PREPARE a transaction that has changed or published something in chat/, 'PREPARE is refused after an id was taken');
sql("BEGIN; CREATE TABLE plain (a int); PREPARE TRANSACTION 'q'; COMMIT PREPARED 'q'");
cmp_ok(sql('SELECT chat.horizon()'), '>', 0, 'others may prepare');

# In each moment: a listener in a session of its own, a writer that is stopped, and markers meanwhile.
my $listener = $node->background_psql('postgres');
$listener->query_safe("SELECT chat.listen(ARRAY(SELECT left(name, 23) FROM chat.list_chat_channels() name WHERE name LIKE 'chat_g_%')); SELECT chat.subscribe_user($bob)");
for my $moment ('enter', 'push', 'leave')
{
	my $writer = $node->background_psql('postgres');

	$writer->query_safe("SET chat.debug_pause = $moment");
	my $before = sql('SELECT chat.next_id()');
	$writer->query_until(qr/started/, "\\echo started\nSELECT 'sent', id FROM chat.send_message($alice, $chat, '$moment');\n");
	my $horizons = sql(qq{
		DO \$\$
		BEGIN -- until the writer sleeps: its id is about to be taken, or its row is there
			WHILE (SELECT state FROM pg_stat_activity WHERE query LIKE '%sent%' AND pid <> pg_backend_pid()) IS DISTINCT FROM 'active'
				OR '$moment' <> 'enter' AND NOT EXISTS (SELECT FROM chat.messages WHERE body = '$moment') LOOP
				PERFORM pg_sleep(0.001);
				PERFORM pg_stat_clear_snapshot();
			END LOOP;
		END \$\$;
		SELECT id FROM chat.send_message($alice, $other, 'meanwhile');
		SELECT chat.publish_horizon();
		SELECT pg_sleep(0.05);
		SELECT chat.publish_horizon();});
	my ($id) = $writer->query_safe('SELECT max(id) FROM chat.messages') =~ /(\d+)/;
	$id = sql("SELECT id FROM chat.messages WHERE body = '$moment'");
	my @seen = $horizons =~ /\((\d+),/g;
	is(scalar @seen, 2, "$moment: two horizons were taken");
	cmp_ok($_, '<', $id, "$moment: below the id that is on its way") for @seen;
	sql("SELECT chat.publish_horizon()");
	sql(chat_settle());
	my $heard = $listener->query_safe('SELECT 1');
	my $event = index($heard, "\"id\":\"$id\"");
	cmp_ok($event, '>=', 0, "$moment: the event was heard");
	my %markers; # horizon → where it was heard last
	$markers{$1} = $-[0] while $heard =~ /\{"horizon":"(\d+)"\}/g;
	my @covering = grep { $_ >= $id } keys %markers;
	is(scalar @covering, 1, "$moment: one marker covers it");
	cmp_ok($markers{$_}, '>', $event, "$moment: and came after it") for @covering;
	$writer->quit;
}
$listener->quit;
$session->quit;

# A standby
$node->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('horizon_standby');
$standby->init_from_backup($node, 'b', has_streaming => 1);
$standby->start;
for my $call ('chat.horizon()', 'chat.next_id()', "chat.publish_horizon()")
{
	($status, $out, $error) = $standby->psql('postgres', "\\set VERBOSITY verbose\nSELECT $call");
	like($error, qr/ERROR:  25006/, "$call on a standby is 25006");
}
is($standby->safe_psql('postgres', "SELECT value IS NULL FROM chat.stats WHERE name = 'horizon_lag_seconds'"), 't', 'stats can be read there');
$standby->stop;

# After a crash the horizon starts above all ids of before
$last = sql("SELECT id FROM chat.send_message($alice, $chat, 'before the crash')");
chat_crash($node);
cmp_ok(sql('SELECT chat.horizon()'), '>=', $last, 'after a crash the horizon covers what was before, though no id was taken yet');
$node->stop;

# Without preload it is a matter of time
my $bare = chat_node('bare', preload => 0, conf => "session_preload_libraries = 'chat'\nchat.horizon_overlap = 1s\n");
($alice, $bob) = chat_users($bare, qw(alice bob));
$chat = $bare->safe_psql('postgres', "SELECT id FROM chat.open_direct_chat($alice, $bob)");
is($bare->safe_psql('postgres', 'SELECT extract(epoch FROM clock_timestamp() - chat.id_time(chat.horizon())) BETWEEN 0.9 AND 1.5'), 't', 'without preload the horizon is chat.horizon_overlap ago');
($status, $out, $error) = $bare->psql('postgres', "BEGIN; SELECT chat.send_message($alice, $chat, 'late'); SELECT pg_sleep(0.7); COMMIT", on_error_stop => 1);
like($error, qr/DETAIL:  transaction_too_old/, 'a transaction that goes on for more than half of that is refused');
is($bare->safe_psql('postgres', "SELECT count(*) FROM chat.messages WHERE body = 'late'"), '0', 'and has changed nothing');
$bare->safe_psql('postgres', "BEGIN; SELECT pg_sleep(0.7); SELECT chat.send_message($alice, $chat, 'short'); COMMIT");
is($bare->safe_psql('postgres', "SELECT count(*) FROM chat.messages WHERE body = 'short'"), '1', 'the time before the first id does not count');
$bare->stop;
done_testing();

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

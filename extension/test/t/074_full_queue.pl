# SPDX-License-Identifier: PostgreSQL
# A NOTIFY queue that is really full: writers go on, nothing is lost once somebody reads it again.
#
# It takes 8 GB of disk and some minutes, so it is run on demand: make test-full-queue.

use strict;
use warnings;

use ChatTest;
use Test::More;

plan skip_all => 'fills 8 GB; CHAT_FULL_QUEUE=1 runs it' unless $ENV{CHAT_FULL_QUEUE};

my $node = chat_node('full', conf => "chat.ring_size = 256kB\nfsync = off\n");
my ($alice, $bob) = chat_users($node, qw(alice bob));
my $chat = sql("SELECT id FROM chat.open_direct_chat($alice, $bob)");
my $usage = 'SELECT pg_notification_queue_usage()';

# Who listens and stays in a transaction holds back the queue's end.
my $listener = $node->background_psql('postgres');
$listener->query_safe("SELECT chat.subscribe_user($bob)");
sql("SELECT chat.send_message($alice, $chat, 'before')");
sql(chat_settle());
like($listener->query_safe('BEGIN; SELECT 1'), qr/"body":"before"/, 'a message is heard');

my ($status, $out, $error) = (0, '', '');
for (1 .. 100)
{
	($status, $out, $error) = $node->psql('postgres', "SELECT count(pg_notify('filler', repeat('x', 7900) || n)) FROM generate_series(1, 20000) n");
	last if $status;
}
like($error, qr/too many notifications/, 'the queue is full');
cmp_ok(sql($usage), '>', 0.9, 'by its own account');

my $from = -s $node->logfile;
sql("SELECT chat.send_message($alice, $chat, 'while full $_')") for 1 .. 10;
$node->wait_for_log(qr/too many notifications in the NOTIFY queue/, $from);
is(sql("SELECT count(*) FROM chat.messages WHERE body LIKE 'while full%'"), '10', 'writers go on');
cmp_ok(sql("SELECT chat.delivery_stat('bytes')"), '>', 0, 'the ring keeps what could not be notified');
sql("SELECT chat.send_message($alice, $chat, 'flood ' || n || repeat('x', 3000)) FROM generate_series(1, 10) n") for 1 .. 12;
cmp_ok(sql("SELECT value FROM chat.stats WHERE name = 'ring_overflows'"), '>', 0, 'until it is full too');
my $notifier = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'chat notifier'");

# The listener reads on.
my $heard = $listener->query_safe('COMMIT');
$node->poll_query_until('postgres', "SELECT chat.delivery_stat('bytes') = 0") or die 'the ring is not emptied';
sql("SELECT chat.send_message($alice, $chat, 'after')");
sql(chat_settle());
$heard .= $listener->query_safe('SELECT 1');
my @heard = map { /^Asynchronous notification "(chat_resync)"/ ? $1 : /"body":"([^"]{1,20})/ ? $1 : () } split /\n/, $heard;
is(scalar(grep { /^while full/ } @heard), 10, 'all that the ring had is heard');
is(scalar(grep { $_ eq 'chat_resync' } @heard), 1, 'and a resync for the rest');
is($heard[-1], 'after', 'and what comes later, behind it');
is(sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'chat notifier'"), $notifier, 'by the same notifier');
cmp_ok(sql($usage), '<', 0.1, 'the queue is empty again');
$listener->quit;
$node->stop;
done_testing();

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# SPDX-License-Identifier: PostgreSQL
# Deferred delivery: whatever becomes of the notifier or the ring, what was committed is heard, or one chat_resync before all
# that comes later; the notifier is in nobody's way. And the other ways of delivery, switched while all goes on.

use strict;
use warnings;

use ChatTest;
use Test::More;

my $node = chat_node('delivery', conf => "chat.ring_size = 64kB\nchat.ring_count = 2\n");
my $database = 'postgres';
my ($alice, $bob) = chat_users($node, qw(alice bob));
my $chat = sql("SELECT id FROM chat.open_direct_chat($alice, $bob)");
my $notifier = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'chat notifier' AND datname = current_database()";
my $listener = $node->background_psql('postgres');
$listener->query_safe("SELECT chat.subscribe_user($bob)");

# Its life
send_message('one');
is_deeply([heard()], ['one'], 'a message is heard');
my $pid = sql($notifier);
like($pid, qr/^\d+$/, 'there is a notifier');
send_message($_) for 'two', 'three';
is_deeply([heard()], ['two', 'three'], 'messages come in order');
is(sql($notifier), $pid, 'by the same notifier');
$node->poll_query_until('postgres', "SELECT state_change < clock_timestamp() FROM pg_stat_activity WHERE pid = $pid");
sleep 1;
is(sql("SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE pid = $pid"), 't', 'a second later it holds back no vacuum');
is(sql("SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype <> 'virtualxid'"), '0', 'and has no lock');
sql("BEGIN; SELECT chat.send_message($alice, $chat, 'kept'); SAVEPOINT a; SELECT chat.send_message($alice, $chat, 'undone'); SAVEPOINT b; SELECT chat.send_message($alice, $chat, 'undone'); RELEASE b; ROLLBACK TO a;
	SAVEPOINT c; SAVEPOINT d; SELECT chat.send_message($alice, $chat, 'released'); RELEASE d; RELEASE c; SAVEPOINT e; SELECT chat.send_message($alice, $chat, 'undone too'); ROLLBACK TO e; COMMIT");
is_deeply([heard()], ['kept', 'released'], 'what is rolled back with a savepoint is not heard');

# It is terminated: what lay in the ring comes after a resync
sql("SELECT pg_terminate_backend($pid, 10000)");
send_message('after a notifier was terminated');
is_deeply([heard()], ['chat_resync', 'after a notifier was terminated'], 'after a terminated notifier there is a resync, and nothing is missing');
isnt(sql($notifier), $pid, 'by another notifier');

# The ring is full: it is stopped meanwhile
$pid = sql($notifier);
kill 'STOP', $pid;
send_message("number $_ " . 'x' x 500) for 1 .. 100;
cmp_ok(stat_of('ring_overflows'), '>', 0, 'the ring has overflowed');
kill 'CONT', $pid;
send_message('after the flood');
my @heard = heard();
is($heard[0], 'chat_resync', 'a full ring means a resync, first of all');
is(scalar grep({ $_ eq 'chat_resync' } @heard), 1, 'one');
is($heard[-1], 'after the flood', 'and life goes on');
my @numbers = map { /^number (\d+)/ ? $1 : () } @heard;
cmp_ok(scalar @numbers, '>', 10, 'what found room is heard');
is_deeply(\@numbers, [sort { $a <=> $b } @numbers], 'in order');

# A transaction that is too large
sql("SELECT chat.send_message($alice, $chat, repeat('y', 1000)) FROM generate_series(1, 30)");
is_deeply([heard()], ['chat_resync'], 'a transaction of more than a quarter of the ring is one resync');

# A batch that fails, as with a full NOTIFY queue: here the queue's files cannot be written, and it grows beyond memory, as
# the listener is in a transaction.
$listener->query_safe('BEGIN');
send_message("filler $_ " . 'z' x 3000) for 1 .. 12;
sql(chat_settle());
my $queue = $node->data_dir . '/pg_notify';
my $moved = 0;
$moved = rename($queue, "$queue.away");
send_message("lost? $_ " . 'z' x 3000) for 1 .. 12;
$node->wait_for_log(qr/pg_notify/);
cmp_ok(sql("SELECT chat.delivery_stat('bytes')"), '>', 0, 'when NOTIFY fails the ring keeps what it has');
ok($moved && -d "$queue.away", 'the queue was away');
is(sql($notifier), $pid, 'the notifier survives that');
rename("$queue.away", $queue);
send_message('at last');
$node->poll_query_until('postgres', "SELECT chat.delivery_stat('bytes') = 0");
@heard = (bodies($listener->query_safe('COMMIT')), heard());
is($heard[-1], 'at last', 'and goes on when it can');
is(scalar(grep { /^lost\?/ } @heard), 12, 'with all that has waited');

# Commands that need a database without sessions, while its notifier is at work
sql('CREATE DATABASE busy');
$node->safe_psql('busy', 'CREATE EXTENSION chat CASCADE');
my ($carol) = split /\n/, $node->safe_psql('busy', "SELECT (chat.create_user('carol')).id");
my $notes = $node->safe_psql('busy', "SELECT id FROM chat.open_direct_chat($carol, $carol)");
for my $command ('CREATE DATABASE copy TEMPLATE busy', 'ALTER DATABASE busy RENAME TO renamed', 'ALTER DATABASE renamed RENAME TO busy', 'DROP DATABASE copy', 'DROP DATABASE busy')
{
	my ($name) = $command =~ /(busy|renamed|copy)(?= RENAME|$)/;
	my $started = time;

	$node->safe_psql($name, "SELECT chat.send_message($carol, $notes, repeat('x', 100)) FROM generate_series(1, 20)") for 1 .. 5;
	sql($command);
	cmp_ok(time - $started, '<', 5, "$command while the notifier is busy");
	next if $command =~ /^DROP/;
	$name = 'renamed' if $command =~ /TO renamed/;
	$name = 'busy' if $command =~ /TO busy/;
	is($node->safe_psql($name, "SELECT chat.send_message($carol, $notes, 'x'); " . chat_settle()) =~ /1$/, 1, 'and delivery goes on there');
}
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'chat notifier'"), '1', 'the notifiers of databases that are gone are gone');

# A statement that is refused leaves the notifier alone: in a loop it would stop delivery for everybody
sql("CREATE ROLE nobody LOGIN; CREATE ROLE creator LOGIN CREATEDB; CREATE DATABASE taken OWNER creator");
send_message('before the loop');
heard();
$pid = sql($notifier);
for my $refused (
	['nobody', 'DROP DATABASE postgres', 'must be owner'], ['nobody', 'CREATE DATABASE copy TEMPLATE postgres', 'permission denied to create'],
	['nobody', 'ALTER DATABASE postgres RENAME TO mine', 'must be owner'], ['nobody', 'ALTER DATABASE postgres SET TABLESPACE pg_default', 'must be owner'],
	['creator', 'CREATE DATABASE copy TEMPLATE postgres', 'permission denied to copy'], ['creator', 'DROP DATABASE postgres', 'must be owner'],
	['creator', 'ALTER DATABASE postgres RENAME TO mine', 'must be owner'], ['creator', 'CREATE DATABASE taken TEMPLATE postgres', 'permission denied to copy|already exists'],
	['postgres', 'CREATE DATABASE taken TEMPLATE postgres', 'already exists'], ['postgres', 'ALTER DATABASE postgres RENAME TO taken', 'already exists'],
	['postgres', 'BEGIN; CREATE DATABASE copy TEMPLATE postgres', 'cannot run inside a transaction block'])
{
	my ($role, $command, $why) = @$refused;
	my ($status, $out, $error) = $node->psql('template1', "SET ROLE $role;\n" . "$command;\nROLLBACK;\n" x 20, on_error_stop => 0);

	like($error, qr/$why/, "refused to $role: $command");
	send_message("after $command by $role");
	is_deeply([heard()], ["after $command by $role"], 'and events go on');
	is(sql($notifier), $pid, 'by the same notifier');
}
sql("DROP DATABASE taken");

# Who may copy a template, and no more, does so while its notifier is at work
sql('CREATE DATABASE model IS_TEMPLATE true');
$node->safe_psql('model', "CREATE EXTENSION chat CASCADE; SELECT chat.open_direct_chat(u.id, u.id) FROM chat.create_user('gail') u");
$node->safe_psql('model', "SELECT chat.send_message(u.id, (SELECT id FROM chat.chats), 'x') FROM chat.users u");
sql('SET ROLE creator; CREATE DATABASE copy TEMPLATE model');
is($node->safe_psql('copy', "SELECT count(*) FROM chat.messages"), '1', 'who may copy a template does');
sql($_) for 'ALTER DATABASE model IS_TEMPLATE false', 'DROP DATABASE model', 'DROP DATABASE copy';

# A record that NOTIFY does not take: refused where it is made, and should there be one, dropped, counted and logged
for my $name ('', 'x' x 64)
{
	my ($status, $out, $error) = $node->psql('postgres', "SELECT chat.publish_signal('$name')");
	like($error, qr/this is no name of a channel/, 'a name of ' . length($name) . ' bytes is refused');
}
$pid = sql($notifier);
my $seen = -s $node->logfile;
sql("SET chat.debug_unchecked = on; SELECT chat.publish_signal(repeat('x', 100)); SELECT chat.send_message($alice, $chat, 'with a bad one')");
send_message('behind a bad one');
is_deeply([heard()], ['with a bad one', 'behind a bad one'], 'a record that cannot be sent holds up nothing');
is(sql($notifier), $pid, 'nor does it end the notifier');
is(stat_of('notifications_dropped'), '1', 'it is counted');
ok($node->log_contains(qr/chat dropped a notification that NOTIFY does not take/, $seen), 'and logged');

# More databases than rings: the third publishes by itself
for my $name ('second', 'third')
{
	sql("CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION chat CASCADE');
	my $dave = $node->safe_psql($name, "SELECT (chat.create_user('dave')).id");
	my $out = $node->safe_psql($name, "SELECT chat.subscribe_user($dave); SELECT chat.send_message($dave, (SELECT id FROM chat.open_direct_chat($dave, $dave)), 'in $name'); " . chat_settle());
	like($out, qr/"body":"in $name"/, "a message in the $name database is heard");
	is($node->safe_psql($name, "SELECT chat.delivery_stat('queued') IS NULL"), $name eq 'third' ? 't' : 'f', "$name: " . ($name eq 'third' ? 'without a ring' : 'through its ring'));
}
sql("DROP DATABASE second");
$node->safe_psql('third', "SELECT chat.send_message(u.id, (SELECT id FROM chat.chats), 'again') FROM chat.users u");
is($node->safe_psql('third', "SELECT chat.delivery_stat('queued')"), '1', 'a ring that has become free is taken');
$node->safe_psql('third', 'DROP EXTENSION chat; CREATE EXTENSION chat');
is($node->safe_psql('third', "SELECT count(*) FROM chat.users"), '0', 'the extension can be dropped and made again beside a notifier');

# Delivery is switched while all goes on
for my $mode ('transactional', 'outbox', 'none', 'deferred')
{
	sql("ALTER SYSTEM SET chat.delivery = $mode");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT delivery = '$mode' FROM chat.publish_horizon()");
	send_message("by $mode");
	is_deeply([heard()], $mode =~ /^(transactional|deferred)$/ ? ["by $mode"] : [], "delivery = $mode: " . ($mode =~ /^(transactional|deferred)$/ ? 'heard' : 'not heard'));
	is(sql("SELECT count(*) FROM chat.read_outbox(0) WHERE payload LIKE '%by $mode%'"), $mode eq 'outbox' ? 1 : 0, 'a row of the outbox: ' . ($mode eq 'outbox' ? 'yes' : 'no'));
}
my ($id) = sql("SELECT id FROM chat.messages WHERE body = 'by outbox'");
is(sql("SELECT payload::jsonb -> 'to' ? '$bob' AND payload::jsonb -> 'event' ->> 'id' = '$id' AND o.id > $id AND o.id <= chat.horizon() FROM chat.read_outbox($id) o WHERE payload LIKE '%by outbox%'"), 't',
	'it has what would be notified, and an id behind the event\'s');
is(sql("SET ROLE chat_user; SELECT has_function_privilege('chat.read_outbox(bigint, integer)', 'EXECUTE')"), 'f', 'users do not read it');
sql("SELECT chat.set_setting('outbox_retention', '1 minute'); UPDATE chat.outbox SET id = id - (3600000::bigint << 22)");
is(sql("SELECT done FROM chat.run_maintenance() WHERE job = 'expire_outbox'") > 0, 1, 'maintenance removes old rows');

# The key of the channels is changed
my $channel = sql("SELECT chat.user_channel($bob)");
sql('SELECT chat.rotate_channel_key()');
isnt(sql("SELECT chat.user_channel($bob)"), $channel, 'a rotated key renames the channels');
is_deeply([heard()], ['chat_resync'], 'and listeners hear that they should look');
send_message('on the new channel');
is_deeply([heard()], [], 'the old name is silent');

# In the database that others are made from
$node->safe_psql('template1', "CREATE EXTENSION chat CASCADE; SELECT chat.open_direct_chat(u.id, u.id) FROM chat.create_user('gail') u;");
$node->safe_psql('template1', "SELECT chat.send_message(u.id, (SELECT id FROM chat.chats), 'x') FROM chat.users u");
sql('CREATE DATABASE plain');
is($node->safe_psql('plain', 'SELECT count(*) FROM chat.messages'), '1', 'a database can be made while template1 has a notifier');

# Without a place for a worker; and without preload
my $small = chat_node('small', conf => "max_worker_processes = 1\n");
my ($eve) = chat_users($small, 'eve');
like($small->safe_psql('postgres', "SELECT chat.subscribe_user($eve); SELECT chat.send_message($eve, (SELECT id FROM chat.open_direct_chat($eve, $eve)), 'alone'); SELECT 1"), qr/"body":"alone"/, 'without a place for a worker, writers notify');
$small->stop;

# kill -9 of the notifier is a crash of the server; what was committed is there, and delivery goes on
kill 'KILL', sql($notifier);
sql_patiently("SELECT chat.send_message($alice, $chat, 'after the crash')");
sql(chat_settle()); # the new notifier may take a while to start, and is heard by who listens by then
$listener = $node->background_psql('postgres');
$listener->query_safe("SELECT chat.subscribe_user($bob)");
send_message('heard after the crash');
is_deeply([heard()], ['heard after the crash'], 'after a killed notifier a new one is at work');
is(sql('SELECT string_agg("check", \' \') FROM chat.verify() WHERE NOT ok'), '', 'all adds up');
$listener->quit;
$node->stop;
done_testing();

sub sql
{
	return $node->safe_psql($database, $_[0]);
}

# The server may be on its way down or up.
sub sql_patiently
{
	for (1 .. 100)
	{
		my ($status) = $node->psql($database, $_[0]);
		return if $status == 0;
		select(undef, undef, undef, 0.1);
	}
	die 'the server does not come back';
}

sub send_message
{
	sql("SELECT chat.send_message($alice, $chat, '$_[0]')");
}

sub stat_of
{
	return sql("SELECT value FROM chat.stats WHERE name = '$_[0]'");
}

# Bodies of messages, or chat_resync, as the listener has heard them since the last time.
sub heard
{
	sql(chat_settle());
	return bodies($listener->query_safe('SELECT 1'));
}

sub bodies
{
	return map { /^Asynchronous notification "(chat_resync)"/ ? $1 : /"body":"([^"]*)"/ ? $1 : () } split /\n/, $_[0];
}

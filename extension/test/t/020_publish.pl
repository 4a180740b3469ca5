# SPDX-License-Identifier: PostgreSQL
# What listeners hear: committed events only, once on each channel, to those concerned; large ones in parts;
# a restore, a COPY and chat.delivery = none publish nothing.

use strict;
use warnings;

use ChatTest;
use Encode qw(decode);
use JSON::PP;
use Test::More;

my $node = chat_node('publish');
my ($alice, $bob, $carol) = chat_users($node, qw(alice bob carol));
my $chat = $node->safe_psql('postgres', "SELECT id FROM chat.open_direct_chat($alice, $bob)");

for my $mode ('own', 'shared')
{
	$node->safe_psql('postgres', "ALTER SYSTEM SET chat.user_channels = $mode");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT chat.user_channel(1) IS NOT NULL AND current_setting('chat.user_channels') = '$mode'");

	my @heard = heard([$alice, $bob, $carol], "SELECT chat.send_message($alice, $chat, 'hello \"bob\"', client_key => 'key $mode')");
	my %channels = map { $_->{channel} => 1 } @heard;
	my $event = $heard[0]{payload}{event};
	my $expected = $node->safe_psql('postgres', "SELECT count(DISTINCT chat.user_channel(id)) FROM chat.users WHERE id IN ($alice, $bob)");
	is(scalar @heard, $expected, "a message is heard once on each member's channel, $mode");
	is(scalar keys %channels, $expected, "and on no other, $mode");
	is_deeply([sort @{$heard[0]{payload}{to}}], [sort ($alice, $bob)], "it is for the members, $mode");
	is("$event->{type} $event->{actor_id} $event->{client_key} $event->{message}{body}", "message $alice key $mode hello \"bob\"", "it carries the message, $mode");
	like($event->{id}, qr/^\d+$/, "ids are strings, $mode");
}
$node->safe_psql('postgres', 'ALTER SYSTEM RESET chat.user_channels');
$node->reload;
$node->poll_query_until('postgres', "SELECT chat.user_channel(1) IS NOT NULL AND current_setting('chat.user_channels') = 'own'");

# Only what commits
my @heard = heard([$bob], qq{
	BEGIN;
	SELECT chat.send_message($alice, $chat, 'before');
	SAVEPOINT s;
	SELECT chat.send_message($alice, $chat, 'undone');
	ROLLBACK TO s;
	SELECT chat.send_message($alice, $chat, 'after');
	COMMIT;
	BEGIN;
	SELECT chat.send_message($alice, $chat, 'gone');
	ROLLBACK;});
is_deeply([map { $_->{payload}{event}{message}{body} } @heard], ['before', 'after'], 'a rolled-back savepoint or transaction is not heard');
is($heard[1]{payload}{event}{prev_id}, $heard[0]{payload}{event}{id}, 'and leaves no gap in the chain');
is(scalar heard([$bob], "SELECT chat.send_message($alice, $chat, 'once', client_key => 'x'); SELECT chat.send_message($alice, $chat, 'once', client_key => 'x');"),
	1, 'a repeated client_key is heard once');

# Too large for a notification
for my $body ("repeat('x', 4096)", "repeat(E'\\x01', 4096)", "repeat('😀', 4096)", "'x' || repeat('😀', 4095)", "repeat('€x', 2048)")
{
	my @heard = heard([$alice, $bob], "SELECT chat.send_message($alice, $chat, $body)");
	my $event = $heard[0]{payload}{event};

	is(length $event->{message}{body}, 4096, "whole: $body");
	is($event->{message}{body}, decode('UTF-8', $node->safe_psql('postgres', "SELECT $body")), 'and the same') if $body !~ /x01/;
	is_deeply([map { $_->{parts} > 1 ? 'parts' : 'one' } @heard], [($body =~ /^repeat\('x'/ ? 'one' : 'parts') x 2], 'in parts where it must be, to each');
	is_deeply($heard[0]{payload}, $heard[1]{payload}, 'the same to each');
}
is_deeply([map { length($_->{payload}{event}{message}{body}) } heard([$bob], "BEGIN; SELECT chat.send_message($alice, $chat, repeat('😀', 4096 - n)) FROM generate_series(1, 3) n; COMMIT")],
	[4095, 4094, 4093], 'several of one transaction do not mix');
for my $mode ('transactional', 'deferred')
{
	$node->safe_psql('postgres', "ALTER SYSTEM SET chat.delivery = $mode");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT chat.user_channel(1) IS NOT NULL AND current_setting('chat.delivery') = '$mode'");
	is_deeply([map { length($_->{payload}{event}{message}{body}) } heard([$bob], "SELECT chat.send_message($alice, $chat, repeat('😀', 4000))")], [4000], "delivery = $mode");
}
$node->safe_psql('postgres', "SELECT chat.set_setting('body_max_length', '65536')");
@heard = heard([$bob], "SELECT chat.send_message($alice, $chat, repeat('😀', 65536))");
is(length $heard[0]{payload}{event}{message}{body}, 65536, 'the longest of all');

# Where there is no room a large event is partial, and the small ones beside it are whole
@heard = heard([$bob], "BEGIN; SELECT chat.send_message($alice, $chat, repeat('😀', 65536)) FROM generate_series(1, 6); SELECT chat.send_message($alice, $chat, 'small'); COMMIT");
is_deeply([map { $_->{payload}{event}{partial} ? 'partial' : length $_->{payload}{event}{message}{body} } @heard],
	[65536, 65536, 65536, 'partial', 'partial', 'partial', 5], 'what finds no room in a transaction is told of');
is_deeply([grep { !exists $heard[3]{payload}{event}{$_} } qw(type chat_id id prev_id actor_id at)], [], 'with its common members');
@heard = heard([$bob], "BEGIN; SELECT chat.send_message($alice, $chat, repeat('😀', 65536)) FROM generate_series(1, 3); SELECT chat.send_message($alice, $chat, repeat('😀', 4096)) FROM generate_series(1, 20); SELECT chat.save_draft($bob, $chat, repeat('😀', 4096)); COMMIT");
is_deeply($heard[-1]{payload}{event}, {partial => JSON::PP::true}, 'what has none is only told of');
is($node->safe_psql('postgres', "SELECT value FROM chat.stats WHERE name = 'ring_overflows'"), '0', 'and nobody else has to look');
$node->safe_psql('postgres', "SELECT chat.set_setting('body_max_length', '4096')");

# Cursors: of a stranger's, who has not written, nothing is heard but by their own devices; nor of anybody's across a block
my $message = $node->safe_psql('postgres', "SELECT max(id) FROM chat.messages");
for my $direct ('on', 'off')
{
	@heard = heard([$alice, $bob], "SET chat.direct_tables = $direct; SELECT chat.send_message($alice, $chat, 'hi'); SELECT chat.mark_delivered($bob, $chat, 9223372036854775807); SELECT chat.mark_read($bob, $chat, 9223372036854775807)");
	is_deeply([map { $_->{payload}{to} } grep { $_->{payload}{event}{type} ne 'message' } @heard], [[$bob], [$bob]], "who has not written to a stranger is not heard to read, direct tables $direct");
}
$node->safe_psql('postgres', "SELECT chat.send_message($bob, $chat, 'hello'); SELECT chat.send_message($alice, $chat, 'hi again'); SELECT chat.block_user($alice, $bob)");
@heard = heard([$alice, $bob], "SELECT chat.mark_read($bob, $chat, 9223372036854775807)");
is_deeply([map { $_->{payload}{to} } @heard], [[$bob]], 'who has blocked is not heard to read, nor who is blocked');
$message = $node->safe_psql('postgres', "SELECT chat.unblock_user($alice, $bob); SELECT id FROM chat.send_message($alice, $chat, 'friends')") =~ s/^\s+//r;
@heard = heard([$alice, $bob, $carol], "SELECT chat.mark_read($bob, $chat, $message)");
my ($own) = grep { $_->{payload}{to}[0] == $bob } @heard;
my ($other) = grep { $_->{payload}{to}[0] == $alice } @heard;
is(scalar @heard, 2, 'a read cursor is heard by both members');
is($own->{payload}{event}{unread}, 0, 'the own sockets hear the unread count');
ok(!exists $other->{payload}{event}{unread}, 'others do not');
is("$other->{payload}{event}{type} $other->{payload}{event}{user_id} $other->{payload}{event}{message_id}", "read $bob $message", 'they hear who has read what');
is(scalar heard([$alice, $bob], "SELECT chat.mark_read($bob, $chat, $message)"), 0, 'a cursor that does not move is not heard');
my $group = $node->safe_psql('postgres', "SELECT id FROM chat.create_group($alice, 'Three', ARRAY[$bob, $carol])");
$node->safe_psql('postgres', "SELECT chat.set_setting('receipts_max_members', '2'); SELECT chat.send_message($alice, $group, 'more')");
@heard = heard([$alice, $bob, $carol], "SELECT chat.mark_read($bob, $group, 9223372036854775807)");
is_deeply([map { $_->{payload}{to}[0] } @heard], [$bob], 'above receipts_max_members only the own sockets hear it');

# What is about a message that some do not see (setting history_for_new_members): to them a link of the chain, and no more
my $club = $node->safe_psql('postgres', "SELECT id FROM chat.create_group($alice, 'Club', ARRAY[$bob])");
my $old = $node->safe_psql('postgres', "SELECT id FROM chat.send_message($alice, $club, 'old')");
$node->safe_psql('postgres', "SELECT chat.set_setting('receipts_max_members', '100'); SELECT chat.set_setting('history_for_new_members', 'none'); SELECT chat.add_members($alice, $club, ARRAY[$carol]); SELECT chat.set_setting('history_for_new_members', 'all')");
my $new = $node->safe_psql('postgres', "SELECT id FROM chat.send_message($alice, $club, 'new')");
for my $direct ('on', 'off')
{
	for my $call ("add_reaction($bob, $club, $old, 'x')", "remove_reaction($bob, $club, $old, 'x')", "edit_message($alice, $club, $old, 'old $direct')", "pin_message($alice, $club, $old)", "unpin_message($alice, $club, $old)")
	{
		my %told = map { my $event = $_->{payload}{event}; map { $_ => $event } @{$_->{payload}{to}} } heard([$alice, $bob, $carol], "SET chat.direct_tables = $direct; SELECT chat.$call");

		is($told{$bob}{message_id}, $old, "who sees the message hears it all: $call, direct tables $direct");
		is_deeply([$told{$carol}{type}, join(' ', sort keys %{$told{$carol}})], ['event_hidden', 'at chat_id id prev_id type'], 'who does not hears a link of the chain');
		is("$told{$carol}{id} $told{$carol}{prev_id}", "$told{$alice}{id} $told{$alice}{prev_id}", 'in its place');
		is_deeply(decode_json($node->safe_psql('postgres', "SELECT event FROM chat.list_events($carol, $club, $told{$carol}{prev_id}, 1)")), $told{$carol}, 'and reads the same later');
	}
}
for ([$old, $alice, $bob], [$new, $alice, $bob, $carol])
{
	my ($read, @concerned) = @$_;
	my %told = map { map { $_ => 1 } @{$_->{payload}{to}} } heard([$alice, $bob, $carol], "SELECT chat.mark_read($bob, $club, $read)");

	is_deeply([sort keys %told], [sort @concerned], 'who sees a message hears that somebody has read it, and nobody else');
}

# The same by rows and by statements (chat.direct_tables): plain moves, and those beside the rules of mentions and marks
sub told
{
	my ($direct, $call) = @_;
	my @events = map { $_->{payload}{event} } heard([$alice, $bob], "SET chat.direct_tables = $direct; $call");

	delete @$_{qw(version at message_id number)} for @events;
	return [sort map { JSON::PP->new->canonical->encode($_) } @events];
}
$node->safe_psql('postgres', "SELECT chat.set_setting('receipts_max_members', '100')");
for my $call (
	"SELECT chat.mark_delivered($bob, $chat, (SELECT last_event_id FROM chat.chats WHERE id = $chat))",
	"SELECT chat.mark_read($bob, $chat, (SELECT last_event_id FROM chat.chats WHERE id = $chat))",
	"SELECT chat.mark_read($bob, $chat, 9223372036854775807)",
	"SELECT chat.set_typing($bob, $chat); SELECT chat.set_typing($alice, $chat, false)")
{
	my %told;

	for my $direct ('on', 'off')
	{
		$node->safe_psql('postgres', "SELECT chat.send_message($alice, $chat, 'again')");
		$told{$direct} = told($direct, $call);
	}
	cmp_ok(scalar @{$told{on}}, '>=', 2, "it is told: $call");
	is_deeply($told{on}, $told{off}, 'alike by rows and by statements');
}
$node->safe_psql('postgres', "SELECT chat.send_message($alice, $chat, 'hey', mention_ids => ARRAY[$bob])");
my $counted = told('on', "SELECT chat.mark_read($bob, $chat, 9223372036854775807)");
like(join(' ', @$counted), qr/"mentions":0/, 'mentions are counted anew');
$node->safe_psql('postgres', "ALTER TABLE chat.members DISABLE TRIGGER publish_cursor; SELECT chat.send_message($alice, $chat, 'unheard')");
is_deeply(told('on', "SELECT chat.mark_read($bob, $chat, (SELECT last_event_id FROM chat.chats WHERE id = $chat))"), [], 'a trigger that an operator has switched off is off');
$node->safe_psql('postgres', 'ALTER TABLE chat.members ENABLE TRIGGER publish_cursor');

# Sessions
my ($token, $session) = split /\|/, $node->safe_psql('postgres', "SELECT token, session_id FROM chat.create_session($bob)");
@heard = heard([$alice, $bob], "SELECT chat.log_out($bob, $session)");
is_deeply([map { "$_->{payload}{event}{type} $_->{payload}{event}{session_id}" } @heard], ["session_ended $session"], 'the end of a session is heard by its user alone');

# Others' past is not news: rows whose id this transaction did not take
my $id = $message + 1000000;
is(scalar heard([$alice, $bob], "INSERT INTO chat.messages (chat_id, id, prev_id, number, sender_id, body) VALUES ($chat, $id, $message, 99, $alice, 'copied')"), 0, 'a copied row is not heard');
$node->safe_psql('postgres', "DELETE FROM chat.messages WHERE id = $id");
$node->run_log(['pg_dump', '-Fc', '-f', $node->basedir . '/dump', '-d', $node->connstr('postgres')]);
$node->safe_psql('template1', 'CREATE DATABASE restored');
$node->command_ok(['pg_restore', '-d', $node->connstr('restored'), $node->basedir . '/dump'], 'a dump can be restored');
is($node->safe_psql('restored', 'SELECT count(*), max(id) FROM chat.messages'), $node->safe_psql('postgres', 'SELECT count(*), max(id) FROM chat.messages'), 'with its messages');
cmp_ok($node->safe_psql('restored', 'SELECT chat.next_id()'), '>', $node->safe_psql('postgres', 'SELECT max(id) FROM chat.messages'), 'and ids that continue above them');
isnt($node->safe_psql('restored', 'SELECT chat.user_channel(1)'), $node->safe_psql('postgres', 'SELECT chat.user_channel(1)'), 'and channels of its own');

# Settings and the schema are announced
is_deeply([map { $_->{channel} } heard_on(['chat_settings'], "SELECT chat.set_setting('page_size', '31')")], ['chat_settings'], 'a changed setting is announced');
is_deeply([map { $_->{channel} } heard_on(['chat_schema'], 'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$')], ['chat_schema'], 'a new function is announced');
is(scalar heard_on(['chat_schema'], 'CREATE TABLE t (a int)'), 0, 'a new table is not');

# A setting changed in one session is followed by the others, open transactions included
my $result = $node->safe_psql('postgres', qq{
	SELECT chat.setting_integer('page_size');
	\\! psql -X -q -d "@{[$node->connstr('postgres')]}" -c "SELECT chat.set_setting('page_size', '30')" > /dev/null
	SELECT chat.setting_integer('page_size');
	BEGIN ISOLATION LEVEL REPEATABLE READ;
	SELECT chat.setting_integer('page_size');
	\\! psql -X -q -d "@{[$node->connstr('postgres')]}" -c "SELECT chat.set_setting('page_size', '29')" > /dev/null
	SELECT chat.setting_integer('page_size');
	COMMIT;
	SELECT chat.setting_integer('page_size');});
like($result, qr/^31\n30\n30\n(30|29)\n29$/, 'a changed setting is followed by every session');

$node->safe_psql('postgres', 'ALTER SYSTEM SET chat.delivery = none');
$node->reload;
$node->poll_query_until('postgres', "SELECT chat.user_channel(1) IS NOT NULL AND current_setting('chat.delivery') = 'none'");
is(scalar heard([$bob], "SELECT chat.send_message($alice, $chat, 'silent')"), 0, 'chat.delivery = none publishes nothing');

$node->stop;
done_testing();

# What a session that listens for these users hears of statements it runs itself.
sub heard
{
	my ($users, $sql) = @_;
	my $list = join ',', @$users;

	return heard_on([split /\n/, $node->safe_psql('postgres', "SELECT DISTINCT chat.user_channel(u) FROM unnest(ARRAY[$list]) u")], $sql);
}

sub heard_on
{
	return chat_heard($node, @_);
}

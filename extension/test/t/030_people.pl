# SPDX-License-Identifier: PostgreSQL
# What people hear of people: changed connections reach all sockets of both, profiles their owner's, ended sessions the gateways,
# and changed presence only those, as ids.

use strict;
use warnings;

use ChatTest;
use Test::More;

my $node = chat_node('people');
my ($alice, $bob, $carol) = chat_users($node, qw(alice bob carol));
my $lease = $node->safe_psql('postgres', 'SELECT chat.renew_presence(NULL)');

# Connections: each side hears his own row
for my $change (["invite_user($alice, $bob)", 'pending', $bob], ["accept_connection($bob, $alice)", 'connected', undef],
	["remove_connection($alice, $bob)", 'none', undef], ["invite_user($bob, $alice)", 'pending', $alice], ["block_user($alice, $bob)", 'none', undef])
{
	my ($call, $state, $target) = @$change;
	my %heard = map { $_->{to} => $_->{event} } grep { $_->{event}{type} eq 'connection_changed' } heard("SELECT chat.$call");
	my ($version) = $node->safe_psql('postgres', 'SELECT version FROM chat.connections');

	is_deeply([sort keys %heard], [sort ($alice, $bob)], "$call is heard by both, and nobody else");
	for my $side ([$alice, $bob], [$bob, $alice])
	{
		my ($own, $other) = @$side;
		my $event = $heard{$own};

		like(delete $event->{at}, qr/^20\d\d-.*Z$/, 'with its time');
		is_deeply($event, {type => 'connection_changed', user_id => $other, state => $state, target_user_id => $target, version => $version}, 'as it is for him');
	}
}
is(scalar heard("SELECT chat.block_user($alice, $bob)"), 0, 'a block that is one already is not heard');
is(scalar(grep { $_->{event}{type} eq 'connection_changed' } heard("SELECT chat.unblock_user($alice, $bob)")), 0, 'an unblocking changes no connection');
is(scalar heard("BEGIN; SELECT chat.invite_user($alice, $bob); ROLLBACK"), 0, 'what is rolled back is not heard');

# Profiles
my @heard = heard("SELECT chat.edit_profile($alice, display_name => 'Alice A.', attributes => '{\"a\": 1}')");
is_deeply([map { "$_->{to} $_->{event}{type} $_->{event}{id} $_->{event}{display_name} $_->{event}{attributes}{a}" } @heard],
	["$alice profile_changed $alice Alice A. 1"], 'a changed profile is heard by its owner');
@heard = heard("SELECT chat.edit_profile($alice, attributes => jsonb_build_object('a', repeat('x', 16000)))");
is(length $heard[0]{event}{attributes}{a}, 16000, 'large attributes too');
@heard = heard("SELECT chat.edit_profile($alice, attributes => jsonb_build_object('a', repeat(E'\\x01', 2700)))");
is(scalar @heard, 1, 'escaped ones too');
is(scalar heard("SELECT chat.edit_profile($alice)"), 0, 'no change is not heard');

# Sessions
my @sessions = map { $node->safe_psql('postgres', "SELECT session_id FROM chat.create_session($bob)") } 1 .. 3;
is_deeply([sort map { "$_->{to} $_->{event}{type} $_->{event}{session_id}" } heard("SELECT chat.revoke_other_sessions($bob, $sessions[0])")],
	[sort map { "$bob session_ended $_" } @sessions[1, 2]], 'the end of the others is heard');
is_deeply([sort map { "$_->{event}{type}" } heard("SELECT chat.suspend_user($bob)")], ['profile_changed', 'session_ended'], 'so is that of a suspended user');
$node->safe_psql('postgres', "SELECT chat.suspend_user($bob, now())");

# Presence goes to the gateways alone, and says only whose it is
my $session = $node->safe_psql('postgres', "SELECT session_id FROM chat.create_session($carol)");
my $presence = {to => 0, event => {type => 'presence_changed', user_id => $carol}};
is_deeply([heard("SELECT chat.renew_presence($lease, ARRAY[$session])")], [$presence], 'who comes is heard of');
is_deeply([heard("SELECT chat.renew_presence($lease, ARRAY[$session])")], [], 'but once');
is_deeply([heard("SELECT chat.set_presence($carol, 'busy')")], [$presence], 'so is a changed status');
is_deeply([heard("SELECT chat.set_presence($carol, 'invisible')")], [$presence], 'and hiding');
is_deeply([heard("SELECT chat.renew_presence($lease, NULL, ARRAY[$session])")], [], 'but not what the hidden does');
is_deeply([heard("SELECT chat.renew_presence($lease, ARRAY[$session])")], [], 'coming or going');
is_deeply([heard("SELECT chat.set_presence($carol, 'online')")], [$presence], 'showing up again is');
is_deeply([heard("SELECT chat.renew_presence($lease, NULL, ARRAY[$session])")], [$presence], 'who goes is heard of');
$node->safe_psql('postgres', "SELECT chat.renew_presence($lease, ARRAY[$session])");
$node->safe_psql('postgres', "UPDATE chat.leases SET expires_at = now() WHERE id = $lease");
is_deeply([heard("SELECT chat.expire_presence(100)")], [$presence], 'and whom a dead gateway leaves');
is_deeply([heard("SELECT chat.block_user($carol, $alice)"), heard("SELECT chat.unblock_user($carol, $alice)")], [], 'a block between two who do not see each other is none');
$node->safe_psql('postgres', "SELECT chat.invite_user($carol, $alice); SELECT chat.invite_user($alice, $carol)");
@heard = grep { $_->{event}{type} eq 'presence_changed' } heard("SELECT chat.block_user($carol, $alice)");
is_deeply([sort map { "$_->{to} $_->{event}{user_id}" } @heard], [sort ("0 $alice", "0 $carol")], 'else it is one for those who watch either');

$node->stop;
done_testing();

# What is heard by the three and by the gateways (user 0) when these statements run: once for each to whom it goes.
sub heard
{
	my ($sql) = @_;
	my @channels = split /\n/, $node->safe_psql('postgres', "SELECT chat.user_channel(u) FROM unnest(ARRAY[0, $alice, $bob, $carol]) u");

	return map { my $payload = $_->{payload}; map { {to => $_, event => {%{$payload->{event}}}} } @{$payload->{to}} } chat_heard($node, \@channels, $sql);
}

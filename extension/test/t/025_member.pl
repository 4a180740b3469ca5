# SPDX-License-Identifier: PostgreSQL
# What listeners hear of chats: who is taken out hears that last, who comes in hears it first, a chat that grows large changes
# channels once, and from then on costs one notification an event.

use strict;
use warnings;

use ChatTest;
use Test::More;

my $node = chat_node('member');
my ($alice, $bob, $carol) = chat_users($node, qw(alice bob carol));
my %name = ($alice => 'alice', $bob => 'bob', $carol => 'carol');
my $group = $node->safe_psql('postgres', "SELECT id FROM chat.create_group($alice, 'Group', ARRAY[$bob])");

# Coming and going in a small chat
is_deeply(heard("SELECT chat.add_members($alice, $group, ARRAY[$carol])"), ['member_joined carol: alice bob carol'], 'who is added and the others hear it');
is_deeply(heard("SELECT chat.send_message($alice, $group, 'x')"), ['message: alice bob carol'], 'then he hears messages');
is_deeply(heard("SELECT chat.remove_member($alice, $group, $carol); SELECT chat.send_message($alice, $group, 'y'); SELECT chat.edit_chat($alice, $group, 'z')"),
	['chat_changed: alice bob', 'member_left carol: alice bob carol', 'message: alice bob'], 'the removal is the last that he hears');
is_deeply(heard("SELECT chat.remove_member($alice, $group, $carol); SELECT chat.add_members($alice, $group, ARRAY[$bob]); SELECT chat.edit_chat($alice, $group, 'z')"),
	[], 'what changes nothing is not heard');
is_deeply(heard("SELECT chat.set_member_role($alice, $group, $bob, 'owner')"), ['member_changed alice: alice bob', 'member_changed bob: alice bob'], 'roles are heard by all');
is_deeply(heard("SELECT chat.leave_chat($bob, $group)"), ['member_changed alice: alice', 'member_left bob: alice bob'], 'a leaving owner hears no more of his heir');
is_deeply(heard("SELECT chat.leave_chat($alice, $group)"), ['member_left alice: alice'], 'the last one hears himself leave');
$group = $node->safe_psql('postgres', "SELECT id FROM chat.create_group($alice, 'Group', ARRAY[$bob])");
is_deeply(heard("SELECT chat.delete_chat($alice, $group)"), ['chat_deleted: alice bob'], 'a deleted chat is announced to all');

# One's own affairs
my $direct = $node->safe_psql('postgres', "SELECT id FROM chat.open_direct_chat($alice, $bob)");
is_deeply(heard("SELECT chat.set_chat_prefs($alice, $direct, pinned => true); SELECT chat.set_chat_prefs($alice, $direct, pinned => true)"), ['chat_prefs_changed: alice'], 'prefs are heard by their owner, once');
is_deeply(heard("SELECT chat.delete_chat($alice, $direct)"), ['chat_prefs_changed hidden: alice'], 'hiding too');
is_deeply(heard("SELECT chat.send_message($alice, $direct, 'x')"), ['message: alice bob'], 'sending changes no prefs');
is_deeply(heard("SELECT chat.save_draft($alice, $direct, 'x'); SELECT chat.save_draft($alice, $direct, 'x')"), ['draft_changed: alice'], 'drafts by their author');
is_deeply(heard("SELECT chat.save_draft($alice, $direct, repeat(E'\\x01', 4096))"), ['draft_changed: alice'], 'a long one too');

# Growing: 16 members and one more
$node->safe_psql('postgres', "SELECT chat.create_user('many' || n) FROM generate_series(1, 9999) n");
$node->safe_psql('postgres', "SELECT chat.set_setting('approaches_max', '1000000')");
$group = $node->safe_psql('postgres', "SELECT id FROM chat.create_group($alice, 'Large', ARRAY(SELECT id FROM chat.users WHERE user_name = 'bob' OR user_name ~ '^many[0-9]\$'))");
$node->safe_psql('postgres', "SELECT chat.add_members($alice, $group, ARRAY(SELECT id FROM chat.users WHERE user_name ~ '^many1[0-4]\$'))");
is_deeply(heard("SELECT chat.add_members($alice, $group, ARRAY[$carol]); SELECT chat.send_message($alice, $group, 'x')"),
	['chat_changed large: alice bob carol', 'member_joined carol: alice bob carol', 'message: chat'], 'the last that the own channels hear is that the chat has grown large');
is_deeply(heard("SELECT chat.remove_member($alice, $group, $carol)"), ['member_left carol: carol', 'member_left carol: chat'], 'who leaves a large chat hears it on his own channel');
is_deeply(heard("SELECT chat.add_members($alice, $group, ARRAY[$carol])"), ['member_joined carol: carol', 'member_joined carol: chat'], 'and who joins');
$node->safe_psql('postgres', "SELECT chat.add_members($alice, $group, ARRAY(SELECT test.id FROM (SELECT id, row_number() OVER () / 100 AS part FROM chat.users) test WHERE part = p)) FROM generate_series(0, 100) p");
is($node->safe_psql('postgres', "SELECT member_count FROM chat.get_chat($alice, $group)"), 10002, '10,002 members');
is(scalar chat_heard($node, [user_channels('LIMIT 500'), $node->safe_psql('postgres', "SELECT chat.chat_channel($group)")], "SELECT chat.send_message($alice, $group, 'x')"),
	1, 'one notification a message, whoever listens');

$node->stop;
done_testing();

sub user_channels
{
	return split /\n/, $node->safe_psql('postgres', "SELECT chat.user_channel(id) FROM chat.users $_[0]");
}

# "type whom or what: who hears it", sorted; 'chat' = on the group's channel.
sub heard
{
	my ($sql) = @_;
	my $chat_channel = $node->safe_psql('postgres', "SELECT chat.chat_channel($group)");
	my %heard;

	for my $heard (chat_heard($node, [user_channels("WHERE id IN ($alice, $bob, $carol)"), $chat_channel], $sql))
	{
		my $event = $heard->{payload}{event};
		my @marks = ((map { $name{$_} // () } @{$event->{user_ids} // []}), grep { $event->{$_} } qw(large hidden partial));

		$heard{join ' ', $event->{type}, @marks, $heard->{channel} eq $chat_channel ? 'chat' : ()} =
			$heard->{channel} eq $chat_channel ? 'chat' : join ' ', sort map { $name{$_} // () } @{$heard->{payload}{to}};
	}
	return [sort map { "$_: $heard{$_}" =~ s/ chat: chat$/: chat/r } keys %heard];
}

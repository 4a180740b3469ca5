# SPDX-License-Identifier: PostgreSQL
# What many sessions do at once in one chat: 1,000 reactions given and taken back by 8 of them, and sends, mentions and reads. Afterwards
# every counter equals the rows it counts, and the chain of events has no hole. Typing and signals are heard, and stored nowhere.

use strict;
use warnings;

use ChatTest;
use JSON::PP;
use Test::More;

my $node = chat_node('reaction');
my @users = chat_users($node, map { "user$_" } 1 .. 8);
my $chat = $node->safe_psql('postgres', "SELECT id FROM chat.open_direct_chat($users[0], $users[1])");
my $list = join ',', @users;

# A group of all eight
$node->safe_psql('postgres', qq{
	UPDATE chat.chats SET kind = 'group', member_count = 8 WHERE id = $chat;
	UPDATE chat.members m SET role = 'owner' FROM chat.chats c WHERE c.id = m.chat_id AND m.user_id = c.creator_id AND c.id = $chat;
	DELETE FROM chat.direct_chats;
	INSERT INTO chat.members (chat_id, user_id) SELECT $chat, u FROM unnest(ARRAY[$list]) u ON CONFLICT DO NOTHING;
	CREATE TABLE people AS SELECT u AS id, n FROM unnest(ARRAY[$list]) WITH ORDINALITY AS a (u, n);});
my $message = $node->safe_psql('postgres', "SELECT id FROM chat.send_message($users[0], $chat, 'react')");

# Each toggles at random; five emojis, so that sessions meet on the same ones, and sometimes on the same row.
$node->pgbench('--no-vacuum --client=8 --jobs=2 --transactions=125', 0, [qr{processed: 1000/1000}], [qr{^$}], 'toggles',
	{'toggle' => qq{
\\set who random(1, 8)
\\set what random(1, 5)
SELECT CASE WHEN EXISTS (SELECT FROM chat.reactions r, people p WHERE p.n = :who AND r.message_id = $message AND r.user_id = p.id AND r.emoji = 'e' || :what)
	THEN chat.remove_reaction(p.id, $chat, $message, 'e' || :what) ELSE chat.add_reaction(p.id, $chat, $message, 'e' || :what) END FROM people p WHERE p.n = :who;
}});
my $counted = q{SELECT coalesce(jsonb_object_agg(emoji, count), '{}') FROM (SELECT emoji, count(*) FROM chat.reactions GROUP BY emoji) r};
my $kept = q{SELECT coalesce(jsonb_object_agg(r ->> 'emoji', (r -> 'count')), '{}') FROM chat.messages m, jsonb_array_elements(m.reactions) r};
is($node->safe_psql('postgres', $kept), $node->safe_psql('postgres', $counted), 'after 1,000 concurrent toggles the counts on the message equal the rows');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM chat.events'), '>', 500, 'most of them changed something');
is($node->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE type = 'reaction_added') - count(*) FILTER (WHERE type = 'reaction_removed') FROM chat.events}),
	$node->safe_psql('postgres', 'SELECT count(*) FROM chat.reactions'), 'and the events add up to the rows');

# Sends that mention, reads up to anywhere, deletions
$node->pgbench('--no-vacuum --client=8 --jobs=2 --transactions=100', 0, [qr{processed: 800/800}], [qr{^$}], 'sends and reads',
	{'send@4' => qq{
\\set who random(1, 8)
\\set whom random(1, 8)
SELECT number FROM chat.send_message((SELECT id FROM people WHERE n = :who), $chat, 'x', mention_ids => ARRAY[(SELECT id FROM people WHERE n = :whom)]);
}, 'read@4' => qq{
\\set who random(1, 8)
SELECT unread FROM chat.mark_read((SELECT id FROM people WHERE n = :who), $chat, (SELECT id FROM chat.messages WHERE chat_id = $chat ORDER BY random() LIMIT 1));
}, 'delete@2' => qq{
SELECT count(*) FROM (SELECT chat.delete_message(m.sender_id, m.chat_id, m.id) FROM
	(SELECT * FROM chat.messages WHERE chat_id = $chat AND id <> $message ORDER BY random() LIMIT 1) m) d;
}});
is($node->safe_psql('postgres', qq{
	SELECT count(*) FROM chat.v_members v JOIN chat.members m USING (chat_id, user_id)
	 WHERE v.unread <> (SELECT count(*) FROM chat.messages s WHERE s.chat_id = m.chat_id AND s.kind = 'user' AND s.id > m.read_id)
		OR m.mentions <> (SELECT count(*) FROM chat.mentions n WHERE n.user_id = m.user_id AND n.chat_id = m.chat_id AND n.message_id > m.read_id)}), 0,
	'unread and mentions equal the messages above each cursor');
is($node->safe_psql('postgres', qq{
	SELECT count(*) FROM (SELECT prev_id, lag(id, 1, $chat) OVER (ORDER BY id) AS before
		FROM (SELECT id, prev_id FROM chat.messages UNION ALL SELECT id, prev_id FROM chat.events) e) c WHERE prev_id <> before}), 0, 'every event names the one before it');
is($node->safe_psql('postgres', 'SELECT count(*) = max(number) AND max(number) = (SELECT message_count FROM chat.chats) FROM chat.messages'), 't', 'numbers are dense');

# Ephemeral events
my $rows = 'SELECT (SELECT count(*) FROM chat.events) + (SELECT count(*) FROM chat.messages), (SELECT last_event_id FROM chat.chats)';
my $before = $node->safe_psql('postgres', $rows);
my @heard = heard($users[2], "SELECT chat.set_typing($users[0], $chat); SELECT chat.set_typing($users[0], $chat, false); SELECT chat.send_signal($users[1], $chat, '{\"ice\": 1}')");
is_deeply([map { "$_->{type} $_->{actor_id} $_->{chat_id}" } @heard], ["typing $users[0] $chat", "typing $users[0] $chat", "signal $users[1] $chat"], 'typing and signals are heard');
is_deeply([$heard[0]{typing}, $heard[1]{typing}, $heard[2]{payload}], [JSON::PP::true, JSON::PP::false, {ice => 1}], 'with what they carry');
@heard = heard($users[2], "SELECT chat.send_signal($users[1], $chat, to_jsonb(repeat('x', 6142)))");
is(length $heard[0]{payload}, 6142, 'the largest signal goes whole');
is($node->safe_psql('postgres', $rows), $before, 'they are stored nowhere');

# Delivery is heard by the others as reading is, without what is one's own.
@heard = heard($users[2], "SELECT chat.mark_delivered($users[4], $chat, $message)");
is_deeply([map { "$_->{type} $_->{user_id} $_->{message_id}" } @heard], ["delivered $users[4] $message"], 'a delivery cursor is heard');
is(scalar heard($users[2], "SELECT chat.mark_delivered($users[4], $chat, $message)"), 0, 'unless it does not move');
is(scalar heard($users[2], "SELECT chat.mark_unread($users[4], $chat)"), 0, 'a mark of one\'s own is not heard by others');

# What one hides is heard by oneself alone; a deletion by all, with its id in the chain.
@heard = heard($users[2], "SELECT chat.delete_message($users[2], $chat, $message, false)");
is_deeply([map { "$_->{type} $_->{message_id}" } @heard], ["message_hidden $message"], 'hiding is heard by oneself');
is(scalar heard($users[2], "SELECT chat.delete_message($users[3], $chat, $message, false)"), 0, 'and by nobody else');
@heard = heard($users[2], "SELECT chat.delete_message($users[0], $chat, $message)");
is_deeply([map { "$_->{type} $_->{message_id}" } @heard], ["message_deleted $message"], 'a deletion is heard by all');

$node->stop;
done_testing();

# What a session that listens for this user hears of statements it runs itself.
sub heard
{
	my ($user, $sql) = @_;

	return map { $_->{payload}{event} } chat_heard($node, [$node->safe_psql('postgres', "SELECT chat.user_channel($user)")], $sql);
}

# SPDX-License-Identifier: PostgreSQL
# What listeners hear of files and pushes: each change of one's list of files, by whom it concerns only, and that there is
# something to push; nothing of it when it is rolled back.

use strict;
use warnings;

use ChatTest;
use JSON::PP;
use Test::More;

my $node = chat_node('files');
my ($alice, $bob, $carol) = chat_users($node, qw(alice bob carol));
my %name = ($alice => 'alice', $bob => 'bob', $carol => 'carol');
my %channel = map { $_ => $node->safe_psql('postgres', "SELECT chat.user_channel($_)") } ($alice, $bob, $carol);

my @heard = heard("SELECT chat.add_file_link($alice, 'minutes', 'application/pdf', 1234, 'https://example.org/m.pdf')");
is_deeply([map { "$name{$_->{to}[0]}: $_->{event}{type} $_->{event}{name}" } @heard], ['alice: file_shared minutes'], 'a new file is heard by its owner');
my $file = $heard[0]{event}{id};
my $row = decode_json($node->safe_psql('postgres', "SELECT to_jsonb(l) - 'has_more' FROM chat.list_files($alice) l"));
is_deeply([sort grep { !/^(type|at)$/ } keys %{$heard[0]{event}}], [sort keys %$row], 'as a row of list_files');
is("$heard[0]{event}{version} $heard[0]{event}{url} $heard[0]{event}{size}", "$row->{version} $row->{url} $row->{size}", 'with its values');

@heard = heard("SELECT chat.share_file($alice, $file, $bob); SELECT chat.share_file($alice, $file, $bob)");
is_deeply([map { "$name{$_->{to}[0]}: $_->{event}{name} " . ($_->{event}{deleted} ? 'gone' : 'there') } @heard], ['bob: minutes there'], 'sharing is heard once, by the other');
@heard = heard("SELECT chat.unshare_file($alice, $file, $bob)");
is_deeply([map { "$name{$_->{to}[0]}: $_->{event}{id} " . ($_->{event}{deleted} ? 'gone' : 'there') } @heard], ["bob: $file gone"], 'so is its end');
ok(!defined $heard[0]{event}{url} && $heard[0]{event}{name} eq '', 'which tells nothing of the file');
$node->safe_psql('postgres', "SELECT chat.share_file($alice, $file, $carol)");
is(scalar heard("BEGIN; SELECT chat.delete_file($alice, $file); ROLLBACK"), 0, 'what is rolled back is not heard');
@heard = heard("SELECT chat.delete_file($alice, $file)");
is_deeply([sort map { "$name{$_->{to}[0]}: " . ($_->{event}{deleted} ? 'gone' : 'there') } @heard], ['alice: gone', 'carol: gone'], 'deleting is heard by all who had it');

# The longest that a file can be still fits
my $long = "repeat('😀', 255)";
@heard = heard("SELECT chat.add_file_link($alice, $long, 'application/' || repeat('x', 64), 9007199254740993, 'https://x/' || repeat('\"', 2038))");
is(length $heard[0]{event}{url}, 2048, 'the longest name and url go whole');

# Pushes
my $chat = $node->safe_psql('postgres', "SELECT id FROM chat.open_direct_chat($alice, $bob)");
is(scalar pushes("SELECT chat.send_message($alice, $chat, 'nobody has a device')"), 0, 'without devices workers are left alone');
$node->safe_psql('postgres', "SELECT chat.register_push($bob, 'web', 'token')");
is(scalar pushes("SELECT chat.send_message($alice, $chat, 'hello')"), 1, 'a queued push wakes the workers');
is(scalar pushes("SELECT chat.send_message($bob, $chat, 'hello')"), 0, 'the sender gets none');
is(scalar pushes("BEGIN; SELECT chat.send_message($alice, $chat, 'gone'); ROLLBACK"), 0, 'nor does what is rolled back wake them');

$node->safe_psql('postgres', "SELECT chat.send_message($alice, $chat, 'again')");

# Pushes, files and quota come back from a dump
$node->safe_psql('postgres', "SELECT received FROM chat.append_upload($alice, (SELECT id FROM chat.begin_upload($alice, 'half', NULL, 300000)), 0, convert_to(repeat('x', 280000), 'UTF8'))");
$node->run_log(['pg_dump', '-Fc', '-f', $node->basedir . '/dump', '-d', $node->connstr('postgres')]);
$node->safe_psql('template1', 'CREATE DATABASE restored');
$node->command_ok(['pg_restore', '-d', $node->connstr('restored'), $node->basedir . '/dump'], 'a dump can be restored');
is($node->safe_psql('restored', 'SELECT count(*) FROM chat.verify(true) WHERE NOT ok'), '0', 'and is whole');
is($node->safe_psql('restored', "SELECT token, preview FROM chat.take_pushes('worker')"), 'token|again', 'pushes go on');
my $upload = $node->safe_psql('restored', 'SELECT id FROM chat.uploads');
is($node->safe_psql('restored', "SELECT received FROM chat.append_upload($alice, $upload, 280000, convert_to(repeat('x', 20000), 'UTF8')); SELECT size FROM chat.finish_upload($alice, $upload)"),
	"300000\n300000", 'so do uploads');

$node->stop;
done_testing();

sub heard
{
	return map { $_->{payload} } chat_heard($node, [values %channel], $_[0]);
}

sub pushes
{
	return chat_heard($node, ['chat_push'], $_[0]);
}

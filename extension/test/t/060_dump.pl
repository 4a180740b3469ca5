# SPDX-License-Identifier: PostgreSQL
# Dump and restore with every table filled: all rows are there, verify() is clean, ids continue above, nothing is
# published while restoring, and the restored database goes on.

use strict;
use warnings;

use ChatTest;
use FindBin;
use Test::More;

my $node = chat_node('dump');
my $work = $node->basedir;

# Filled by random calls, and each table by hand too, for no call is sure to come
$node->safe_psql('postgres', slurp("$FindBin::RealBin/../random.sql"));
$node->safe_psql('postgres', 'SELECT test_random.prepare()');
$node->safe_psql('postgres', 'CALL test_random.run(0.5, 700)');
is($node->safe_psql('postgres', 'SELECT * FROM test_random.unexpected'), '', 'the calls ended as they may');
my ($one, $two) = split /\n/, $node->safe_psql('postgres', q{SELECT id FROM chat.users WHERE user_name LIKE 'random%' ORDER BY id LIMIT 2});
$node->safe_psql('postgres', qq{
	SELECT chat.unblock_user($one, $two), chat.unblock_user($two, $one); -- the calls may have come to that
	SELECT chat.log_in('nobody', 'wrong');
	SELECT chat.set_password($two, 'correct horse');
	SELECT chat.log_in((SELECT user_name FROM chat.users WHERE id = $two), 'correct horse', 'phone', '192.0.2.1');
	INSERT INTO chat.groupable VALUES ('app.mine');
	SELECT chat.renew_presence(NULL, ARRAY(SELECT id FROM chat.sessions WHERE user_id = $one), '{}');
	SELECT chat.register_push($two, 'test', 'token');
	SELECT chat.log_out(s.user_id, s.session_id) FROM chat.open_external_session('https://id.example', 'dumped', '{}', now() + interval '1 hour') s;
	SELECT chat.set_setting('page_size', '33');
	SELECT id AS file FROM chat.begin_upload($one, 'a.txt', 'text/plain', 5) \\gset
	SELECT chat.append_upload($one, :file, 0, 'hello');
	SELECT chat.finish_upload($one, :file);
	SELECT chat.share_file($one, :file, $two);
	SELECT id AS notes FROM chat.open_direct_chat($one, $one) \\gset
	SELECT id AS message FROM chat.send_message($one, :notes, 'with a file', file_ids => ARRAY[:file]) \\gset
	SELECT chat.edit_message($one, :notes, :message, 'edited');
	SELECT chat.save_draft($one, :notes, 'begun');
	SELECT chat.begin_upload($one, 'b.txt', 'text/plain', 500);
	SELECT id AS own_group FROM chat.create_group($one, 'Mine', '{}', client_key => 'key') \\gset
	SELECT chat.create_invite_link($one, :own_group);
	SELECT chat.ban_member($one, :own_group, $two);
	SELECT chat.start_call($one, :own_group);
	SELECT chat.schedule_message(actor_id => $one, send_at => now() + interval '1 day', chat_id => :own_group, body => 'later');
	SELECT chat.block_user($one, $two);
	SELECT (chat.create_user('dump_a')).id AS a \\gset
	SELECT (chat.create_user('dump_b')).id AS b \\gset
	SELECT chat.create_session(:b);
	SELECT chat.register_push(:b, 'test', 'token b');
	SELECT chat.send_message(:a, (SELECT id FROM chat.open_direct_chat(:a, :b)), 'are you there?');
	SELECT count(*) FROM chat.take_pushes('worker', 10);
	SELECT chat.send_message(:a, (SELECT id FROM chat.open_direct_chat(:a, :b)), 'hello?');
	SELECT id AS direct FROM chat.open_direct_chat(:a, :b) \\gset
	SELECT id AS greeting FROM chat.send_message(:a, :direct, 'this is for you', mention_ids => ARRAY[:b]::bigint[]) \\gset
	SELECT chat.add_reaction(:a, :direct, :greeting, 'thumb');
	SELECT chat.delete_message(:b, :direct, :greeting, for_everyone => false);
	SELECT chat.invite_user(:a, :b);
	SELECT chat.erase_user((chat.create_user('dump_gone')).id);});

my $tables = q{SELECT c.oid::regclass FROM pg_extension e CROSS JOIN unnest(e.extconfig) AS t (id) JOIN pg_class c ON c.oid = t.id WHERE e.extname = 'chat' AND c.relkind = 'r' ORDER BY 1};
my @tables = split /\n/, $node->safe_psql('postgres', $tables);
cmp_ok(scalar @tables, '>', 20, 'there are tables to dump');
my %rows = counts('postgres');
is(join(' ', grep { !$rows{$_} } @tables), '', 'and all have rows');
my $last = $node->safe_psql('postgres', 'SELECT chat.next_id()');

for my $format ('custom', 'plain')
{
	$node->command_ok(['pg_dump', "--format=$format", '--schema=chat', '--extension=chat', '--extension=pgcrypto', '--extension=pg_trgm', '-f', "$work/dump.$format", '-d', $node->connstr('postgres')], "pg_dump, $format");
	$node->safe_psql('template1', "CREATE DATABASE restored_$format");
	if ($format eq 'custom')
	{
		$node->command_ok(['pg_restore', '-d', $node->connstr("restored_$format"), "$work/dump.$format"], "restored, $format");
	}
	else
	{
		# A listener in the very session that restores
		my ($status, $out, $error) = $node->psql("restored_$format", "LISTEN chat_settings;\n" . slurp("$work/dump.$format") . "\nSELECT 1;", on_error_stop => 1);
		is($status, 0, "restored, $format") or diag($error);
		unlike($out, qr/Asynchronous notification/, 'nothing is published');
	}
	is_deeply({counts("restored_$format")}, \%rows, "all rows are there, $format");
	is($node->safe_psql("restored_$format", q{SELECT string_agg("check" || ': ' || detail, '; ') FROM chat.verify(true) WHERE NOT ok}), '', "they add up, $format");
	cmp_ok($node->safe_psql("restored_$format", 'SELECT chat.next_id()'), '>', $last, "ids continue above, $format");
	is($node->safe_psql("restored_$format", "SELECT chat.setting_integer('page_size')"), '33', "settings hold, $format");
	is($node->safe_psql("restored_$format", "SELECT duplicate FROM chat.send_message($one, (SELECT id FROM chat.open_direct_chat($one, $one)), 'after')"), 'f', "and it goes on, $format");
}

$node->stop;
done_testing();

sub counts
{
	my ($database) = @_;

	return map { split /\|/ } split /\n/, $node->safe_psql($database, join ' UNION ALL ', map { "SELECT '$_', count(*) FROM $_" . ($_ eq 'chat.groupable' ? ' WHERE NOT built_in' : '') } @tables);
}

sub slurp
{
	my ($file) = @_;

	open(my $handle, '<', $file) or die "$file: $!";
	local $/;
	return <$handle>;
}

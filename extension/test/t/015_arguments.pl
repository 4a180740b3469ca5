# SPDX-License-Identifier: PostgreSQL
# Whatever the arguments, the server goes on: each function of the extension is called with all arguments NULL, with each
# single one NULL, and with the extremes of each one's type beside plausible others. What they are stands in the catalog. An
# error is an answer, unless it is one that PostgreSQL calls internal. And guards let nobody through for want of an argument.

use strict;
use warnings;

use ChatTest;
use Test::More;

my $node = chat_node('arguments');
my ($alice, $bob) = chat_users($node, qw(alice bob));
my $chat = $node->safe_psql('postgres', "SELECT id FROM chat.open_direct_chat($alice, $bob)");
my $message = $node->safe_psql('postgres', "SELECT id FROM chat.send_message($alice, $chat, 'hello')");

# What is plausible, by name and else by type; rows are those that are there, or one of NULLs.
my %by_name = (actor_id => $alice, sender_id => $alice, user_id => $bob, viewer_id => $bob, other_id => $bob, reader_id => $bob, chat_id => $chat,
	message_id => $message, reply_to_id => $message, user_ids => "ARRAY[$alice, $bob]", file_ids => "'{}'", mention_ids => "ARRAY[$bob]");
my %by_type = (bigint => '1', integer => '1', oid => '1', text => q('x'), name => q('x'), boolean => 'true', bytea => q('\x00'), inet => q('::1'),
	'text[]' => q('{x}'), 'bigint[]' => q('{1}'), 'timestamp with time zone' => 'now()', interval => q('1 minute'), tsquery => q('x'), json => q('{}'), jsonb => q('{}'));
my %extremes = (
	bigint => ['-9223372036854775808', '-1', '0', '9223372036854775807'],
	integer => ['-2147483648', '-1', '0', '2147483647'],
	oid => ['0', '4294967295'],
	text => [q(''), q(' '), q(E'\x01'), q('😀'), q('a%_\\'), q(repeat('😀', 100000))],
	name => [q(''), q(repeat('x', 63))],
	boolean => ['false'],
	bytea => [q(''), q('\xff'), q(decode(repeat('00', 300000), 'hex'))],
	inet => [q('0.0.0.0/0'), q('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/1')],
	'text[]' => [q('{}'), q('{NULL}'), q('{x,NULL}'), q('{{a,b},{c,d}}'), q('[-5:-4]={a,b}'), q(array_fill('x'::text, ARRAY[10000]))],
	'bigint[]' => [q('{}'), q('{NULL}'), q('{1,NULL}'), q('{{1,2},{3,4}}'), q('[-5:-4]={1,2}'), q('{-9223372036854775808,9223372036854775807}'), q(array_fill(1::bigint, ARRAY[10000]))],
	'timestamp with time zone' => [q('infinity'), q('-infinity'), q('294276-12-31 23:59:59.999999+00'), q('4714-11-24 00:00:00+00 BC')],
	interval => [q('178000000 years'), q('-178000000 years'), q('0'), q('-1 second')],
	tsquery => [q(''), q('!x'), q(repeat('x & ', 1000) || 'x')],
	json => [q('null'), q('[]'), q('1'), q('"x"')],
	jsonb => [q('null'), q('[]'), q('1'), q('"x"'), q('{"version":"99999999999999999999","type":null}'), q(jsonb_build_object('x', repeat('😀', 100000))),
		q((repeat('[', 1000) || repeat(']', 1000))::jsonb)],
);

# Rows: of NULLs alone, and of the extremes of each column together.
my %columns = map { my ($type, $names) = split /\|/, $_, 2; $type => [split /;/, $names] } split /\n/, $node->safe_psql('postgres', q{
	SELECT c.oid::regtype, string_agg(format_type(a.atttypid, NULL), ';' ORDER BY a.attnum)
	  FROM pg_type c JOIN pg_attribute a ON a.attrelid = c.typrelid AND a.attnum > 0 AND NOT a.attisdropped
	 WHERE c.typnamespace = 'chat'::regnamespace AND c.typtype = 'c' GROUP BY c.oid});

sub row_of
{
	my ($type, $value) = @_;
	my @columns = map { 'NULL' } @{$columns{$type}};

	@columns = map { my $all = $extremes{$_} // ['NULL']; $value < @$all ? $all->[$value] : $all->[-1] } @{$columns{$type}} if defined $value;
	return '(ROW(' . join(', ', map { "($columns[$_])::$columns{$type}[$_]" } 0 .. $#columns) . ")::$type)";
}

sub plausible
{
	my ($name, $type) = @_;

	return "(SELECT r FROM $type r LIMIT 1)" if $columns{$type};
	return "'{}'" if $type =~ /^chat\..*\[\]$/;
	return $by_name{$name} // $by_type{$type} // die "no value is known for type $type";
}

sub extremes_of
{
	my ($type) = @_;

	return (row_of($type), map { row_of($type, $_) } 0 .. 3) if $columns{$type};
	return ("'{NULL}'", map { "ARRAY[$_]" } row_of($type =~ s/\[\]//r), row_of($type =~ s/\[\]//r, 3)) if $type =~ /^chat\..*\[\]$/;
	return @{$extremes{$type} // die "no extremes are known for type $type"};
}

# Calls of one function: each in a block of its own, undone in any case. What they end with, by arguments.
sub call_all
{
	my ($name, @calls) = @_;
	my $blocks = join '', map { "
	BEGIN
		EXECUTE \$call\$SELECT $name($_)\$call\$;
		RAISE EXCEPTION USING ERRCODE = 'ZZ000';
	EXCEPTION WHEN OTHERS OR ASSERT_FAILURE OR QUERY_CANCELED THEN
		RAISE NOTICE 'state %: %', SQLSTATE, SQLERRM;
	END;" } @calls;
	my ($status, $out, $error) = $node->psql('postgres', "SET statement_timeout = '60s'; SET client_min_messages = notice; SET lock_timeout = '5s';
		BEGIN; DO \$block\$ BEGIN $blocks END \$block\$; ROLLBACK;");
	my @states = $error =~ /NOTICE:  state (\w+: .*)/g;

	return $status == 0 && @states == @calls ? @states : ("ended with status $status: " . substr($error, -500));
}

my $functions = $node->safe_psql('postgres', q{
	SELECT p.oid::regproc, p.oid::regprocedure, p.prokind, p.proisstrict,
		(SELECT string_agg(coalesce(p.proargnames[a.number], '') || '=' || format_type(a.type, NULL), ';' ORDER BY a.number)
		   FROM unnest(p.proargtypes) WITH ORDINALITY a (type, number))
	  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'chat'
	 WHERE p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) ORDER BY 2});
my $postmaster = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'});

for (split /\n/, $functions)
{
	my ($name, $signature, $kind, $strict, $arguments) = split /\|/;
	my @arguments = map { [split /=/] } split /;/, $arguments;
	my @plausible = map { '(' . plausible(@$_) . ")::$_->[1]" } @arguments;
	my @calls;

	next if $kind ne 'f';
	push @calls, join ', ', map { "NULL::$_->[1]" } @arguments;
	for my $i (0 .. $#arguments)
	{
		my $type = $arguments[$i][1];

		for my $value ('NULL', extremes_of($type))
		{
			my @values = @plausible;

			$values[$i] = "($value)::$type";
			push @calls, join ', ', @values;
		}
	}
	my @states = call_all($name, @calls);
	my @bad = grep { $states[$_] !~ /^\w{5}: / || $states[$_] =~ /^XX/ } 0 .. $#states;
	is(join("\n", map { "$states[$_] by " . substr($calls[$_], 0, 300) } @bad), '', "$signature answers or refuses whatever it is given");
}
is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $postmaster, 'the server has not ended');
is($node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'}), $pid, 'nor has a crash restarted it');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/was terminated by signal|PANIC/, 'nor has a backend crashed');

# Guards: they are asked, and say no, when they are not told who or what; validators take NULL for not given
my %who = map { $_ => 1 } qw(actor_id user_id user_ids chat_id message_id file_id reason);
for (split /\n/, $functions)
{
	my ($name, $signature, $kind, $strict, $arguments) = split /\|/;
	next if $name !~ /^chat\.(check_|fail$)/ || $name eq 'chat.check_content'; # which answers what a content is
	my @arguments = map { [split /=/] } split /;/, $arguments;
	my @plausible = map { '(' . plausible(@$_) . ")::$_->[1]" } @arguments;

	is($strict, 'f', "$signature is not skipped for NULL");
	for my $i (grep { $who{$arguments[$_][0]} } 0 .. $#arguments)
	{
		my @values = @plausible;

		$values[$i] = "NULL::$arguments[$i][1]";
		my ($state) = call_all($name, join ', ', @values);
		unlike($state, qr/^ZZ000/, "$signature does not pass without $arguments[$i][0]");
	}
}

$node->stop;
done_testing();

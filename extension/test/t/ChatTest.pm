# SPDX-License-Identifier: PostgreSQL
# ChatTest: what the TAP tests share: nodes with the extension in them.
#
#   use ChatTest;
#   my $node = chat_node('name', preload => 1, conf => "chat.node_id = 3\n");   # started, extension created
#   my ($alice, $bob) = chat_users($node, qw(alice bob));                       # ids
#   my @heard = chat_heard($node, [@channels], "SELECT …");                     # notifications that follow: {channel, payload}
#   chat_crash($node);                                                          # kill -9, and up again
#   chat_await($node);                                                          # the server takes connections (again)
#
# The nodes are PostgreSQL::Test::Cluster's: everything it can do (backup, standby, stop('immediate'), kill9) holds.

package ChatTest;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(chat_node chat_users chat_heard chat_settle chat_crash chat_await);

# A running server; database postgres has the extension unless extension => 0.
sub chat_node
{
	my ($name, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => $option{allows_streaming} // 0);
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'chat'\n") if $option{preload} // 1;
	$node->append_conf('postgresql.conf', "restart_after_crash = on\n");
	$node->append_conf('postgresql.conf', $option{conf}) if $option{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION chat CASCADE') if $option{extension} // 1;
	return $node;
}

# Users of these names, without passwords.
sub chat_users
{
	my ($node, @names) = @_;

	return map { $node->safe_psql('postgres', "SELECT (chat.create_user('$_')).id") } @names;
}

# Statements after which all that was committed before is notified, however it is delivered.
sub chat_settle
{
	return 'DO $$ BEGIN WHILE chat.delivery_stat(\'bytes\') > 0 LOOP PERFORM pg_sleep(0.002); END LOOP; END $$; SELECT 1;';
}

# What is heard on these channels by a session that runs the statements itself; payload is decoded, undef when empty. What comes
# in parts is put together; parts => how many there were.
sub chat_heard
{
	my ($node, $channels, $sql) = @_;
	my $listen = join '', map { "LISTEN \"$_\";\n" } @$channels;
	my (@heard, %parts);

	my ($status, $out, $error) = $node->psql('postgres', "SET client_encoding = 'UTF8';\n$listen$sql;\n" . chat_settle());
	die $error if $status;
	while ($out =~ /^Asynchronous notification "([^"]+)" (?:with payload "(.*)" )?received from server process/mg)
	{
		my ($channel, $payload, $count) = ($1, $2, 1);

		if (defined $payload && $payload =~ m{^part (\d+)/(\d+) of ([0-9a-f]{16}):(.*)}s)
		{
			my ($number, $tag) = ($1, $3);

			die "part $number of $channel does not follow" if $number != 1 + @{$parts{$channel} // []};
			die 'another text has come between' if $number > 1 && $parts{tag} ne $tag;
			$parts{tag} = $tag;
			$count = $2;
			push @{$parts{$channel}}, $4;
			next if $number < $count;
			$payload = join '', @{delete $parts{$channel}};
		}
		push @heard, {channel => $channel, payload => defined $payload ? decode_json($payload) : undef, parts => $count};
	}
	return @heard;
}

# kill -9 of the postmaster and a start, which has to wait till its children have noticed.
sub chat_crash
{
	my ($node) = @_;

	$node->kill9;
	for (1 .. 100)
	{
		$node->{_pid} = undef;
		return if $node->start(fail_ok => 1);
		select(undef, undef, undef, 0.2);
	}
	die 'the server does not come up again';
}

# Until the server takes connections. Not poll_query_until: it writes its query to a psql that may have been refused and gone.
sub chat_await
{
	my ($node) = @_;

	for (1 .. 900)
	{
		return if system_log('pg_isready', '-q', '-h', $node->host, '-p', $node->port) == 0;
		select(undef, undef, undef, 0.2);
	}
	die 'the server takes no connections';
}

1;

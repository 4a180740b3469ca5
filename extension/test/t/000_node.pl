# SPDX-License-Identifier: PostgreSQL
# A node with the extension comes up, keeps its data over a crash, and ids go on above those before it.

use strict;
use warnings;

use ChatTest;
use Test::More;

for my $preload (1, 0)
{
	my $how = $preload ? 'with preload' : 'without preload';
	my $node = chat_node("node$preload", preload => $preload);
	my ($user) = chat_users($node, 'alice');
	my $id = $node->safe_psql('postgres', 'SELECT chat.next_id()');

	cmp_ok($id, '>', $user, "ids grow, $how");
	$node->stop('immediate');
	$node->start;
	is($node->safe_psql('postgres', "SELECT id FROM chat.users WHERE user_name = 'alice'"), $user, "the user is there after a crash, $how");
	cmp_ok($node->safe_psql('postgres', 'SELECT chat.next_id()'), '>', $id, "ids grow over a crash, $how");
	if ($preload)
	{
		$node->safe_psql('postgres', "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
		my ($status, $out, $error) = $node->psql('latin', 'CREATE EXTENSION chat CASCADE');
		like($error, qr/encoding UTF8, not LATIN1/, 'a database that cannot hold every character is refused');
	}
	$node->stop;
}

done_testing();

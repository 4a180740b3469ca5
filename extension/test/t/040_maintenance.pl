# SPDX-License-Identifier: PostgreSQL
# Maintenance by Debian's pg_cron, and without it: the jobs really run, each thing is done once although it was down for a
# day and sessions run at the same time. An account with 3,000 messages in a room is erased in batches: others send between any
# two of them, a crash in the middle changes nothing, and a dump takes it along.

use strict;
use warnings;

use ChatTest;
use IPC::Run;
use Test::More;

my $day = 'id = id - (86400000::bigint * 2 << 22)';

# Without preload, and without pg_cron: somebody else calls maintain(); ten sessions at once do each thing once.
my $plain = chat_node('plain', preload => 0);
my ($alice) = chat_users($plain, 'alice');
is($plain->safe_psql('postgres', 'SELECT abs(extract(epoch FROM clock_timestamp() - chat.id_time(chat.horizon())) - 10) < 1'), 't', 'without preload there is a horizon');
is($plain->safe_psql('postgres', 'SELECT chat.schedule_maintenance()'), 'f', 'without pg_cron nothing is scheduled');
$plain->safe_psql('postgres', "SELECT count(*) FROM generate_series(1, 500) n, LATERAL chat.begin_upload($alice, 'f' || n, NULL, 10) u; UPDATE chat.uploads SET $day");
# as if the server had been down meanwhile
$plain->stop('immediate');
$plain->start;
$plain->safe_psql('postgres', "SELECT chat.set_setting('maintenance_batch', '7')");
$plain->pgbench('-n -c 10 -t 1', 0, [qr/processed: 10\/10/], [qr/^$/], 'ten sessions run the maintenance', {maintain => "CALL chat.maintain();\n"});
$plain->safe_psql('postgres', "SELECT chat.set_setting('maintenance_batch', '1000')");
is($plain->safe_psql('postgres', 'SELECT count(*) FROM chat.uploads'), '0', 'everything was done');
is($plain->safe_psql('postgres', 'SELECT bytes FROM chat.file_usage'), '0', 'nothing twice');
is($plain->safe_psql('postgres', 'SELECT count(*) FROM chat.verify(true) WHERE NOT ok'), '0', 'and all counters are right');

# Erasing. Who is in the room sends in a loop, one message a transaction, while another session does maintenance.
my ($gone, $owner) = chat_users($plain, 'gone', 'owner');
my $room = $plain->safe_psql('postgres', "SELECT id FROM chat.create_room($owner, 'Room')");
$plain->safe_psql('postgres', "SELECT chat.join_room($gone, $room)");
$plain->pgbench('-n -c 1 -t 20', 0, [qr/processed: 20\/20/], [qr/^$/], 'one writes 3,000 messages',
	{write => "SELECT max(number) FROM generate_series(1, 150) n, LATERAL chat.send_message($gone, $room, 'mine ' || n, client_key => gen_random_uuid()::text) s;\n"});
my $bodies = "SELECT count(*) FROM chat.messages WHERE sender_id = $gone AND (body <> '' OR client_key IS NOT NULL)";
my $readable = "SELECT count(*) FROM chat.v_messages WHERE sender_id = $gone AND body <> ''";

is($plain->safe_psql('postgres', "SELECT user_id = $gone FROM chat.delete_account($gone)"), 't', 'an account with 3,000 messages ends');
is($plain->safe_psql('postgres', "$bodies; $readable"), "3000\n0", 'no message has been touched by that, and none is readable');
is($plain->safe_psql('postgres', "SELECT count(*) FROM chat.list_messages($owner, $room, page_size => 100) WHERE body <> ''"), '0', 'nor listed');
is($plain->safe_psql('postgres', "SELECT user_id = $gone FROM chat.delete_account($gone); SELECT count(*) FROM chat.erasures"), "t\n1", 'again begins nothing anew');
my $between = "SELECT count(*) FROM generate_series(1, 5) n, LATERAL chat.send_message($owner, $room, 'between ' || n) s";
my $sent = 0;
my $worker = IPC::Run::start(['psql', '-XAtq', '-d', $plain->connstr('postgres'), '-c', "CALL chat.maintain('10 minutes')"], '>', \my $worker_out, '2>', \my $worker_error);
while ($plain->safe_psql('postgres', $bodies) > 2700)
{
	$sent += $plain->safe_psql('postgres', $between);
}
chat_crash($plain);
$worker->finish;
isnt($worker_error, '', 'a crash interrupts it');
my $left = $plain->safe_psql('postgres', $bodies);
cmp_ok($left, '>', 0, 'with messages left');
is($plain->safe_psql('postgres', "$readable; SELECT count(*) FROM chat.erasures"), "0\n1", 'which nobody can read');

# Taken along by a dump, and finished there
$plain->safe_psql('postgres', 'CREATE DATABASE restored');
$plain->command_ok(['pg_dump', '-Fc', '-f', $plain->basedir . '/erasing', '-d', $plain->connstr('postgres')], 'a dump');
$plain->command_ok(['pg_restore', '-d', $plain->connstr('restored'), $plain->basedir . '/erasing'], 'is restored');
is($plain->safe_psql('restored', $readable), '0', 'and nothing is readable there');
$plain->safe_psql('restored', "SELECT chat.set_setting('maintenance_batch_time', '1 second'); CALL chat.maintain('10 minutes')");
is($plain->safe_psql('restored', "$bodies; SELECT count(*) FROM chat.erasures"), "0\n0", 'it is finished there');
is($plain->safe_psql('restored', q{SELECT string_agg("check" || ': ' || detail, '; ') FROM chat.verify() WHERE NOT ok}), '', 'and all counters are right');

# It goes on where it was, and others are served between any two batches.
$worker = IPC::Run::start(['psql', '-XAtq', '-d', $plain->connstr('postgres'), '-c', "CALL chat.maintain('10 minutes')"], '>', \$worker_out, '2>', \$worker_error);
while ($plain->safe_psql('postgres', 'SELECT count(*) FROM chat.erasures'))
{
	$sent += $plain->safe_psql('postgres', $between);
}
$worker->finish;
is($worker_error, '', 'after the crash it goes on to its end');
is($plain->safe_psql('postgres', "$bodies; SELECT count(*) FROM chat.messages WHERE chat_id = $room AND sender_id = $owner AND body LIKE 'between %'"), "0\n$sent", 'what was sent meanwhile is there');
# A batch is a transaction; how many messages of others stand between the first and the last event of one?
my $batches = $plain->safe_psql('postgres', qq{
	WITH batch AS (SELECT e.xmin::text AS batch, min(e.id) AS first, max(e.id) AS last, count(*) AS emptied FROM chat.events e WHERE e.chat_id = $room AND e.type = 'message_deleted' GROUP BY 1)
	SELECT count(*) > 30, max(b.emptied) <= 20, count(*) FILTER (WHERE EXISTS (SELECT FROM chat.messages m WHERE m.chat_id = $room AND m.id BETWEEN b.first AND b.last)),
		sum(b.emptied) FROM batch b});
is($batches, 't|t|0|3000', 'in many small batches, each in one piece');
cmp_ok($plain->safe_psql('postgres', qq{
	SELECT count(*) FROM chat.messages m WHERE m.chat_id = $room AND m.body LIKE 'between %' AND m.id < (SELECT max(e.id) FROM chat.events e WHERE e.chat_id = $room AND e.type = 'message_deleted')}),
	'>', 50, 'between which others have sent');
is($plain->safe_psql('postgres', q{SELECT string_agg("check" || ': ' || detail, '; ') FROM chat.verify() WHERE NOT ok}), '', 'and all counters are right');
$plain->stop;

SKIP:
{
	skip 'pg_cron is not installed', 8 unless -e $plain->config_data('--sharedir') . '/extension/pg_cron.control';

	my $node = chat_node('cron', preload => 0, conf => "shared_preload_libraries = 'chat,pg_cron'\ncron.database_name = 'postgres'\ncron.host = '" . $plain->host . "'\n");
	($alice) = chat_users($node, 'alice');
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');
	is($node->safe_psql('postgres', 'SELECT chat.schedule_maintenance(), chat.schedule_maintenance()'), 't|t', 'with pg_cron it is scheduled');
	is($node->safe_psql('postgres', "SELECT string_agg(jobname || ' ' || schedule, ', ' ORDER BY jobname) FROM cron.job"),
		'chat_maintenance * * * * *, chat_maintenance_log 17 3 * * *', 'once, however often it was asked for');

	# More than a batch: the job goes on until nothing is left.
	$node->safe_psql('postgres', "SELECT chat.set_setting('maintenance_batch', '10');
		SELECT count(*) FROM generate_series(1, 45) n, LATERAL chat.begin_upload($alice, 'f' || n, NULL, 10) u; UPDATE chat.uploads SET $day");
	ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM cron.job_run_details d JOIN cron.job j USING (jobid) WHERE j.jobname = 'chat_maintenance' AND d.status IN ('succeeded', 'failed')"),
		'it runs within a minute');
	is($node->safe_psql('postgres', "SELECT DISTINCT d.status FROM cron.job_run_details d JOIN cron.job j USING (jobid) WHERE d.end_time IS NOT NULL"), 'succeeded', 'and succeeds');
	is($node->safe_psql('postgres', 'SELECT count(*), (SELECT bytes FROM chat.file_usage) FROM chat.uploads'), '0|0', 'all that was due is done');

	# The log job, as written into the schedule
	$node->safe_psql('postgres', "UPDATE cron.job_run_details SET end_time = now() - interval '8 days'");
	my $command = $node->safe_psql('postgres', "SELECT command FROM cron.job WHERE jobname = 'chat_maintenance_log'");
	$node->safe_psql('postgres', $command);
	is($node->safe_psql('postgres', "SELECT count(*) FROM cron.job_run_details WHERE end_time < now() - interval '7 days'"), '0', 'its log is kept for a week');

	# Down over several due times, nothing piles up
	$node->safe_psql('postgres', "SELECT count(*) FROM generate_series(1, 25) n, LATERAL chat.begin_upload($alice, 'f' || n, NULL, 10) u; UPDATE chat.uploads SET $day");
	$node->restart;
	ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM chat.uploads'), 'after a restart it goes on');
	is($node->safe_psql('postgres', 'SELECT bytes FROM chat.file_usage'), '0', 'nothing twice');
	$node->stop;
}

done_testing();

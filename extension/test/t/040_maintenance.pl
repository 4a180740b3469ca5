# SPDX-License-Identifier: PostgreSQL
# Maintenance by Debian's pg_cron, and without it: the jobs really run, each thing is done once although it was down for a
# day and sessions run at the same time.

use strict;
use warnings;

use ChatTest;
use Test::More;

my $day = 'id = id - (86400000::bigint * 2 << 22)';

# Without preload, and without pg_cron: somebody else calls run_maintenance(); ten sessions at once do each thing once.
my $plain = chat_node('plain', preload => 0);
my ($alice) = chat_users($plain, 'alice');
is($plain->safe_psql('postgres', 'SELECT abs(extract(epoch FROM clock_timestamp() - chat.id_time(chat.horizon())) - 10) < 1'), 't', 'without preload there is a horizon');
is($plain->safe_psql('postgres', 'SELECT chat.schedule_maintenance()'), 'f', 'without pg_cron nothing is scheduled');
$plain->safe_psql('postgres', "SELECT count(*) FROM generate_series(1, 500) n, LATERAL chat.begin_upload($alice, 'f' || n, NULL, 10) u; UPDATE chat.uploads SET $day");
# as if the server had been down meanwhile
$plain->stop('immediate');
$plain->start;
$plain->pgbench('-n -c 10 -t 20', 0, [qr/processed: 200\/200/], [qr/^$/], 'ten sessions run the maintenance',
	{maintain => "SELECT sum(done) FROM chat.run_maintenance(7);\n"});
is($plain->safe_psql('postgres', 'SELECT count(*) FROM chat.uploads'), '0', 'everything was done');
is($plain->safe_psql('postgres', 'SELECT bytes FROM chat.file_usage'), '0', 'nothing twice');
is($plain->safe_psql('postgres', 'SELECT count(*) FROM chat.verify(true) WHERE NOT ok'), '0', 'and all counters are right');
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

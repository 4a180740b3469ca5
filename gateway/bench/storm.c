/* SPDX-License-Identifier: PostgreSQL */
/*
 * storm.c
 *	  All workers of the gateway are killed under sessions that then come back, each with the cursor it knew.
 *
 * 1. All log in; where the gateway names a cursor, they have one.
 * 2. The workers get SIGKILL; the parent starts new ones. Each session comes back at a random moment within --spread.
 * 3. Over when all are logged in again and, where they came with a cursor, have heard `synced`. Given up after LIMIT.
 *
 * Called from: main.c. Calls: fleet, usage.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <uv.h>

#include "bench/fleet.h"
#include "bench/modes.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/usage.h"

#define LIMIT 120000 /* milliseconds for all to come back */

static uv_timer_t limit;        /* from then on */
static int64_t killed;          /* fleet_now() when; 0: not yet */
static struct usage used_since; /* the readings then */

static int
count_replayed(void)
{
	int count = 0;

	for (int i = 0; i < fleet.count; i++)
		count += fleet.seats[i].cursor[0] == '\0' || fleet.seats[i].replayed;
	return count;
}

static void
on_limit(uv_timer_t *timer)
{
	(void) timer;
	give_up("of %d sessions %d came back and %d have heard all that they missed", fleet.count, fleet.ready,
			count_replayed());
}

static void
kill_workers(void)
{
	char path[64];
	FILE *children;
	long pid;

	snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", options.gateway, options.gateway);
	children = options.gateway == 0 ? NULL : fopen(path, "r");
	if (children == NULL)
		give_up("storm wants --gateway, the process id of its parent");
	killed = fleet_now();
	used_since = usage_read();
	while (fscanf(children, "%ld", &pid) == 1)
		kill((pid_t) pid, SIGKILL);
	fclose(children);
	uv_timer_init(uv_default_loop(), &limit);
	uv_timer_start(&limit, on_limit, LIMIT, 0);
}

static void
end_if_over(void)
{
	struct usage used;

	if (killed == 0 || fleet.ready < fleet.count || count_replayed() < fleet.count)
		return;
	used = usage_since(used_since);
	report("seconds_to_return", (double) (fleet_now() - killed) / 1e9);
	report("logins_put_off", fleet.refused);
	usage_report(used, "ms_per_session", fleet.count, 1000);
	fflush(stdout);
	exit(0);
}

static void
all_ready(void)
{
	if (killed == 0)
		kill_workers();
	else
	{
		report("seconds_to_log_in", (double) (fleet_now() - killed) / 1e9);
		end_if_over();
	}
}

static void
synced(struct seat *seat)
{
	(void) seat;
	end_if_over();
}

const struct mode storm_mode = {
	.name = "storm", .all_ready = all_ready, .synced = synced, .reopens = true, .resumes = true};

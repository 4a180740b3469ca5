/* SPDX-License-Identifier: PostgreSQL */
/*
 * idle.c
 *	  Sessions that are logged in and do nothing: memory and CPU of the gateway for each.
 *
 * Memory is the growth from no socket to the end of the measured time, by the number of sessions: what the gateway needed for
 * logging them in and did not give back is in it.
 *
 * Called from: main.c. Calls: fleet, stage, usage.
 */
#include "bench/fleet.h"
#include "bench/modes.h"
#include "bench/report.h"
#include "bench/stage.h"
#include "bench/usage.h"

static double memory_before; /* bytes, with no session */
static int64_t started;      /* fleet_now() of the first socket */

static void
begin(void)
{
	memory_before = usage_gateway_memory();
	started = fleet_now();
}

static void
finish(struct usage used, double seconds)
{
	report("sessions", fleet.ready);
	report("bytes_per_session", (usage_gateway_memory() - memory_before) / fleet.ready);
	usage_report(used, "percent_of_core", seconds, 100);
}

static void
all_ready(void)
{
	report("seconds_to_log_in", (double) (fleet_now() - started) / 1e9);
	stage_begin(NULL, finish);
}

const struct mode idle_mode = {.name = "idle", .begin = begin, .all_ready = all_ready};

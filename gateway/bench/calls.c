/* SPDX-License-Identifier: PostgreSQL */
/*
 * calls.c
 *	  One method without parameters, closed loop, --depth calls on their way per session: what a call costs that does little.
 *
 * Called from: main.c. Calls: fleet, histogram, stage.
 */
#include <string.h>

#include "bench/fleet.h"
#include "bench/histogram.h"
#include "bench/modes.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/stage.h"

static struct histogram latency; /* of calls answered in STAGE_MEASURED */
static int64_t failed;           /* answered with an error */

static void
call(struct seat *seat)
{
	fleet_call(seat, fleet_now(), options.method, "{}");
}

static void
finish(struct usage used, double seconds)
{
	report("calls_per_second", (double) latency.total / seconds);
	report("failed", (double) failed);
	histogram_report(&latency, "call");
	usage_report(used, "us_per_call", (double) latency.total, 1e6);
}

static void
all_ready(void)
{
	stage_begin(NULL, finish);
	for (int i = 0; i < fleet.active; i++)
	{
		for (long k = 0; k < options.depth; k++)
			call(&fleet.seats[i]);
	}
}

static void
answered(struct seat *seat, int64_t id, const char *text, size_t length)
{
	failed += memmem(text, length < 80 ? length : 80, ",\"error\":", 9) != NULL;
	if (stage == STAGE_MEASURED)
		histogram_add(&latency, fleet_now() - id);
	if (stage < STAGE_DRAINED)
		call(seat);
}

const struct mode calls_mode = {.name = "calls", .all_ready = all_ready, .answered = answered};

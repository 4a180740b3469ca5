/* SPDX-License-Identifier: PostgreSQL */
/*
 * room.c
 *	  Fan-out: all sessions are in one chat, the first one sends --rate messages a second (10 when not given).
 *
 * Called from: main.c. Calls: fleet, pace, stage, traffic.
 */
#include "bench/fleet.h"
#include "bench/modes.h"
#include "bench/options.h"
#include "bench/pace.h"
#include "bench/stage.h"
#include "bench/traffic.h"

#define USUAL_RATE 10 /* messages a second */

static int
sender_of(int index)
{
	(void) index;
	return 0;
}

static void
on_due(int64_t number, int64_t when)
{
	(void) number;
	if (stage < STAGE_DRAINED)
		traffic_send(&fleet.seats[0], when);
}

static void
begin(void)
{
	traffic_begin(sender_of);
}

static void
all_ready(void)
{
	stage_begin(traffic_quiet, traffic_report);
	pace_begin(options.rate > 0 ? options.rate : USUAL_RATE, on_due);
}

static void
heard(struct seat *seat, const char *text, size_t length)
{
	traffic_heard(seat, text, length);
}

const struct mode room_mode = {
	.name = "room", .begin = begin, .all_ready = all_ready, .answered = traffic_answered, .heard = heard};

/* SPDX-License-Identifier: PostgreSQL */
/*
 * pairs.c
 *	  Two by two, in chats of two: sessions 2n and 2n + 1.
 *
 * Closed loop: each has --depth messages on their way; one leaves when the peer's has arrived. So there are always as many as
 * connections × depth, and the rate is what the system makes of it.
 * Open loop: --rate messages a second of all, by turns.
 *
 * Called from: main.c. Calls: fleet, pace, stage, traffic.
 */
#include "bench/fleet.h"
#include "bench/modes.h"
#include "bench/options.h"
#include "bench/pace.h"
#include "bench/report.h"
#include "bench/stage.h"
#include "bench/traffic.h"

static int
peer_of(int index)
{
	return index ^ 1;
}

static void
on_due(int64_t number, int64_t when)
{
	if (stage < STAGE_DRAINED)
		traffic_send(&fleet.seats[number % fleet.active], when);
}

static void
begin(void)
{
	if (fleet.active % 2 != 0)
		give_up("pairs want an even number of sessions");
	traffic_begin(peer_of);
}

static void
all_ready(void)
{
	stage_begin(traffic_quiet, traffic_report);
	if (options.rate > 0)
	{
		pace_begin(options.rate, on_due);
		return;
	}
	for (int i = 0; i < fleet.active; i++)
	{
		for (long k = 0; k < options.depth; k++)
			traffic_send(&fleet.seats[i], fleet_now());
	}
}

static void
heard(struct seat *seat, const char *text, size_t length)
{
	if (traffic_heard(seat, text, length) == peer_of(seat->index) && options.rate == 0 &&
		stage < STAGE_DRAINED)
		traffic_send(seat, fleet_now());
}

const struct mode pairs_mode = {
	.name = "pairs", .begin = begin, .all_ready = all_ready, .answered = traffic_answered, .heard = heard};

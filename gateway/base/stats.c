/* SPDX-License-Identifier: PostgreSQL */
/*
 * stats.c
 *	  What happened in this worker, counted since its start; logged when it ends.
 *
 * Called from: everywhere. Calls: base/log.
 */
#include "base/stats.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

static const char *const names[STAT_COUNT] = {
	[STAT_SOCKETS_ACCEPTED] = "sockets_accepted",
	[STAT_SOCKETS_REFUSED] = "sockets_refused",
	[STAT_SESSIONS_CLOSED] = "sessions_closed",
	[STAT_CALLS] = "calls",
	[STAT_CALLS_FAILED] = "calls_failed",
	[STAT_CALLS_REPEATED] = "calls_repeated",
	[STAT_CALLS_LIMITED] = "calls_limited",
	[STAT_GROUPS] = "groups",
	[STAT_GROUPS_FAILED] = "groups_failed",
	[STAT_CONNECTIONS_LOST] = "connections_lost",
	[STAT_EVENTS_IN] = "events_in",
	[STAT_EVENTS_OUT] = "events_out",
	[STAT_EVENTS_DROPPED] = "events_dropped",
	[STAT_REPLAYS] = "replays",
	[STAT_REPLAYS_FAILED] = "replays_failed",
	[STAT_EVENTS_REPLAYED] = "events_replayed",
	[STAT_TOKENS_REFUSED] = "tokens_refused",
	[STAT_KEY_FETCHES] = "key_fetches",
	[STAT_KEY_FETCHES_FAILED] = "key_fetches_failed",
};
static unsigned long counts[STAT_COUNT]; /* since the worker's start */

void
stats_add(enum counter counter, unsigned long amount)
{
	counts[counter] += amount;
}

void
stats_log(void)
{
	char line[1000] = "";

	for (int i = 0; i < STAT_COUNT; i++)
		snprintf(line + strlen(line), sizeof line - strlen(line), "%s%s=%lu", i ? " " : "", names[i],
				 counts[i]);
	log_write(LEVEL_INFO, "stats", "%s", line);
}

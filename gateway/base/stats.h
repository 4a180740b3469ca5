/* SPDX-License-Identifier: PostgreSQL */
/* What happened, counted. See stats.c. */
#ifndef BASE_STATS_H
#define BASE_STATS_H

enum counter
{
	STAT_SOCKETS_ACCEPTED,
	STAT_SOCKETS_REFUSED,
	STAT_SESSIONS_CLOSED,
	STAT_CALLS,
	STAT_CALLS_FAILED,
	STAT_CALLS_REPEATED,
	STAT_CALLS_LIMITED,
	STAT_GROUPS,
	STAT_GROUPS_FAILED,
	STAT_CONNECTIONS_LOST,
	STAT_EVENTS_IN,
	STAT_EVENTS_OUT,
	STAT_EVENTS_DROPPED,
	STAT_REPLAYS,
	STAT_REPLAYS_FAILED,
	STAT_EVENTS_REPLAYED,
	STAT_TOKENS_REFUSED,
	STAT_KEY_FETCHES,
	STAT_KEY_FETCHES_FAILED,
	STAT_COUNT
};

extern void stats_add(enum counter counter, unsigned long amount);
extern void stats_log(void); /* all of them, in one line */

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of base/stats: two processes that count, one of which dies. */
#include "base/stats.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "test/unit/tap.h"

#define MILLISECOND UINT64_C(1000000)

static struct stats *sum; /* of the last stats_sum */

/* A value of the series with that name in the sum; -1: there is none. */
static long
value_of(enum series_set set, const char *name, int value)
{
	int count;
	const struct stats_series *series = stats_all_series(sum, set, &count);

	for (int i = 0; i < count; i++)
	{
		if (strcmp(series[i].name, name) == 0)
			return (long) series[i].values[value];
	}
	return -1;
}

static void
work(int worker)
{
	int first;
	int second;

	stats_join(worker);
	first = stats_series(SERIES_METHODS, worker ? "a" : "b", 1);
	second = stats_series(SERIES_METHODS, worker ? "b" : "a", 1);
	stats_add(STAT_EVENTS_OUT, 5);
	stats_move(GAUGE_SOCKETS, 3);
	stats_move(GAUGE_SOCKETS, -1);
	stats_observe(HISTOGRAM_GROUPS, 3, 1);
	stats_call(worker ? first : second, 0, 3 * MILLISECOND);
	stats_call(worker ? second : first, 404, MILLISECOND);
	stats_series_move(SERIES_LANES, stats_series(SERIES_LANES, "grouped", 7), LANE_IDLE, 4);
	stats_series_move(SERIES_LANES, stats_series(SERIES_LANES, "grouped", 7), LANE_CALLS, 4);
}

static void
run(int worker)
{
	pid_t pid = fork();

	if (pid == 0)
	{
		work(worker);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void
sets_are_bounded(void)
{
	char name[40];
	int last = 0;

	for (int i = 0; i < 1000; i++)
		last = stats_series(SERIES_METHODS, name, (size_t) snprintf(name, sizeof name, "method %d", i));
	ok(last == 0, "a name beyond the set's room is other");
	ok(stats_series(SERIES_METHODS, "method 7", 8) > 0, "one that had room is itself");
	ok(stats_series(SERIES_METHODS, "", 0) == 0, "no name");
	ok(stats_series(SERIES_EVENTS, name, STATS_NAME) == 0, "a long one");
	ok(stats_series(SERIES_EVENTS, "message", 7) == 1, "another set has its own room");
	stats_call(0, 7777, 1);
	stats_sum(sum);
	ok(value_of(SERIES_METHODS, "other", 12) == 1 && strcmp(stats_code(12), "other") == 0 &&
		   stats_code(13) == NULL,
	   "so has a code nobody knows");
}

int
main(void)
{
	sum = mem_alloc(sizeof *sum);
	stats_share(2);
	run(0);
	run(1);
	stats_sum(sum);
	ok(sum->counters[STAT_EVENTS_OUT] == 10 && sum->gauges[GAUGE_SOCKETS] == 4, "counters and gauges add up");
	ok(sum->gauges[GAUGE_WORKERS] == 2, "two workers");
	ok(sum->histograms[HISTOGRAM_GROUPS].buckets[2] == 2 && sum->histograms[HISTOGRAM_GROUPS].sum == 6,
	   "histograms do");
	ok(value_of(SERIES_METHODS, "a", 0) == 2 && value_of(SERIES_METHODS, "b", 6) == 2 &&
		   value_of(SERIES_METHODS, "b", 0) == 0,
	   "series do by their name, not by their place");
	ok(value_of(SERIES_METHODS, "c", 0) == -1, "there is no other");
	ok(strcmp(stats_code(6), "404") == 0, "the code's text");
	stats_part(1);
	stats_sum(sum);
	ok(sum->counters[STAT_EVENTS_OUT] == 10 && value_of(SERIES_LANES, "grouped", LANE_CALLS) == 8,
	   "a dead worker's counters stay");
	ok(sum->gauges[GAUGE_SOCKETS] == 2 && sum->gauges[GAUGE_WORKERS] == 1 &&
		   value_of(SERIES_LANES, "grouped", LANE_IDLE) == 4,
	   "its gauges do not");
	run(1);
	stats_sum(sum);
	ok(sum->counters[STAT_EVENTS_OUT] == 15 && sum->gauges[GAUGE_SOCKETS] == 4, "its successor counts on");
	stats_join(0);
	sets_are_bounded();
	mem_free(sum);
	return done();
}

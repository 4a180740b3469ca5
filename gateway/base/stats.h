/* SPDX-License-Identifier: PostgreSQL */
/* What happened, counted for all workers. See stats.c; the tables there say what each one means. */
#ifndef BASE_STATS_H
#define BASE_STATS_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define STATS_BUCKETS 16  /* of a histogram, the last one included, which has no bound */
#define STATS_VALUES  16  /* of a series */
#define STATS_NAME    104 /* bytes of a series' name, with its NUL */
#define STATS_SERIES  336 /* of all sets together */

enum counter
{
	STAT_SOCKETS_ACCEPTED,
	STAT_REFUSED_LIMIT,
	STAT_REFUSED_ADDRESS,
	STAT_REFUSED_DESCRIPTORS,
	STAT_REFUSED_ORIGIN,
	STAT_REFUSED_DRAINING,
	STAT_REFUSED_BROKEN,
	STAT_CALLS_REPEATED,
	STAT_CALLS_LIMITED,
	STAT_READS_PAUSED,
	STAT_GROUPS_FAILED,
	STAT_CONNECTIONS_LOST,
	STAT_LISTEN_LOST,
	STAT_EVENTS_OUT,
	STAT_EVENTS_DROPPED,
	STAT_RESYNCS,
	STAT_REPLAYS,
	STAT_REPLAYS_FAILED,
	STAT_EVENTS_REPLAYED,
	STAT_TOKENS_REFUSED,
	STAT_KEY_FETCHES,
	STAT_KEY_FETCHES_FAILED,
	STAT_SPANS_SENT,
	STAT_SPANS_DROPPED,
	STAT_COUNT
};

/* What is so now, in live workers. */
enum gauge
{
	GAUGE_WORKERS,
	GAUGE_SOCKETS,
	GAUGE_SESSIONS,
	GAUGE_CALLS,
	GAUGE_OUTBOUND,
	GAUGE_FEED,
	GAUGE_LISTENING,
	GAUGE_TRANSFERS,
	GAUGE_COUNT
};

enum histogram
{
	HISTOGRAM_GROUPS, /* calls of one transaction */
	HISTOGRAM_EVENTS, /* nanoseconds from an event's `at` to a socket */
	HISTOGRAM_COUNT
};

/* A set of things that have a name each. Number 0 of a set is "other": names beyond its size, and no name at all. */
enum series_set
{
	SERIES_METHODS, /* of calls; values by stats_code, times of calls */
	SERIES_EVENTS,  /* types; one value: how many came */
	SERIES_ENDS,    /* why sessions ended; one value: how many */
	SERIES_LANES,   /* of the pool; values by enum lane_value, times of waiting */
	SERIES_SETS
};

enum lane_value
{
	LANE_CONNECTING, /* connections, now, by state */
	LANE_IDLE,
	LANE_BUSY,
	LANE_WAITING, /* calls, now */
	LANE_CALLS,   /* calls, ever */
};

struct stats_histogram
{
	uint64_t buckets[STATS_BUCKETS]; /* each for itself */
	uint64_t sum;                    /* of what was observed, in its unit */
};

struct stats_series
{
	char name[STATS_NAME];         /* written once, before `used` counts it */
	uint64_t values[STATS_VALUES]; /* as the set says */
	struct stats_histogram times;  /* nanoseconds */
};

/* Of one worker, or the sum of all. */
struct stats
{
	uint64_t counters[STAT_COUNT];
	uint64_t gauges[GAUGE_COUNT];
	struct stats_histogram histograms[HISTOGRAM_COUNT];
	int used[SERIES_SETS];                    /* names in each set, "other" included once there is one */
	struct stats_series series[STATS_SERIES]; /* by set, each with its room */
};

/* How a counter, gauge or histogram is called where it is read. */
struct stats_metric
{
	const char *name;  /* behind chat_gateway_; neighbours may share it */
	const char *label; /* name of the label that tells these apart; NULL: none */
	const char *value; /* of the label */
	const char *help;  /* one line */
};

extern const struct stats_metric stats_counters[STAT_COUNT];
extern const struct stats_metric stats_gauges[GAUGE_COUNT];

/* The parent, before it forks; a worker, when it begins; the parent, when the worker is dead. */
extern void stats_share(int workers);
extern void stats_join(int worker);
extern void stats_part(int worker);

extern void stats_add(enum counter counter, unsigned long amount);
extern void stats_move(enum gauge gauge, int64_t change);
extern void stats_observe(enum histogram histogram, uint64_t value, unsigned long times);

/* The number of a name in its set, new or known; 0 when there is no room, or it is no name. */
extern int stats_series(enum series_set set, const char *name, size_t length);
extern void stats_series_move(enum series_set set, int number, int value, int64_t change);
extern void stats_series_time(enum series_set set, int number, uint64_t nanoseconds);

/* A call is over: its method's number, what it came to (0, or the error's code), how long it took. */
extern void stats_call(int method, int code, uint64_t nanoseconds);

/* For who writes it all down. Bounds of buckets: in nanoseconds, or calls. */
extern void stats_sum(struct stats *sum);
extern const struct stats_series *stats_all_series(const struct stats *stats, enum series_set set,
												   int *count);
extern const uint64_t *stats_time_bounds(int *count);
extern const uint64_t *stats_size_bounds(int *count);
extern const char *stats_code(int value); /* text of a method's value; NULL: there are no more */
extern time_t stats_started(void);        /* when stats_share was called */
extern void stats_log(void);              /* this worker's counters that moved, in one line */

#endif

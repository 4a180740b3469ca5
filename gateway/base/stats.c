/* SPDX-License-Identifier: PostgreSQL */
/*
 * stats.c
 *	  What happened, counted: in memory that all workers share, so that any of them can tell the sums of all.
 *
 * 1. The parent maps the memory before it forks: a struct stats for each worker. It lives as long as the parent, so what
 *	  a worker has counted outlives it, and its successor counts on.
 * 2. Each is written by one process: its worker, or, when that is dead, the parent, which clears what was so at the
 *	  time (gauges). Everybody reads all of them. So nothing is locked: a word is written and read whole, and what belongs
 *	  together may be read a moment apart.
 * 3. What has names that are not known beforehand (methods, types of events) is a series in a set of limited size.
 *	  A worker finds places for names by itself; the sum brings together what has the same name. Names are never taken
 *	  out, and those that find no room are counted as "other", so nobody can make the sets grow.
 *
 * To count is one or two additions; to find a series by its name a walk over its set, which methods do once a catalog.
 *
 * Before stats_join, and in programs that never share, a process counts for itself.
 *
 * Called from: everywhere; summed up by net/metrics. Calls: base/log, libc.
 */
#include "base/stats.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"

struct set
{
	int first; /* place of its "other" in struct stats' series */
	int size;  /* places */
};

const struct stats_metric stats_counters[STAT_COUNT] = {
	[STAT_SOCKETS_ACCEPTED] = {"connections_accepted_total", NULL, NULL, "Connections accepted."},
	[STAT_REFUSED_LIMIT] = {"connections_refused_total", "reason", "limit",
							"Connections and WebSocket upgrades refused, by reason."},
	[STAT_REFUSED_ADDRESS] = {"connections_refused_total", "reason", "address", NULL},
	[STAT_REFUSED_DESCRIPTORS] = {"connections_refused_total", "reason", "descriptors", NULL},
	[STAT_REFUSED_ORIGIN] = {"connections_refused_total", "reason", "origin", NULL},
	[STAT_REFUSED_DRAINING] = {"connections_refused_total", "reason", "draining", NULL},
	[STAT_REFUSED_BROKEN] = {"connections_refused_total", "reason", "broken", NULL},
	[STAT_CALLS_REPEATED] =
		{"calls_repeated_total", NULL, NULL,
		 "Calls sent to the database again, after their group failed or its connection broke."},
	[STAT_CALLS_LIMITED] = {"calls_limited_total", NULL, NULL, "Calls refused for their rate."},
	[STAT_READS_PAUSED] = {"reads_paused_total", NULL, NULL,
						   "Times that a WebSocket was read later for inbound_rate."},
	[STAT_GROUPS_FAILED] = {"groups_failed_total", NULL, NULL, "Transactions of the pool that failed."},
	[STAT_CONNECTIONS_LOST] = {"database_connections_lost_total", NULL, NULL,
							   "Connections to the database lost, or not made."},
	[STAT_LISTEN_LOST] = {"listen_lost_total", NULL, NULL, "Times that LISTEN connections were lost."},
	[STAT_EVENTS_OUT] = {"events_pushed_total", NULL, NULL, "Events written or queued to sockets."},
	[STAT_EVENTS_DROPPED] = {"events_dropped_total", NULL, NULL,
							 "Events not pushed: the socket was too slow, or the feed's queue full."},
	[STAT_RESYNCS] = {"resyncs_total", NULL, NULL,
					  "Times that clients were told to load again what they show."},
	[STAT_REPLAYS] = {"replays_total", NULL, NULL, "Replays begun of what sessions have missed."},
	[STAT_REPLAYS_FAILED] = {"replays_failed_total", NULL, NULL, "Replays that failed."},
	[STAT_EVENTS_REPLAYED] = {"events_replayed_total", NULL, NULL, "Events pushed by replays."},
	[STAT_TOKENS_REFUSED] = {"tokens_refused_total", NULL, NULL,
							 "Access tokens of the identity provider refused."},
	[STAT_KEY_FETCHES] = {"key_fetches_total", NULL, NULL, "Fetches of the identity provider's keys begun."},
	[STAT_KEY_FETCHES_FAILED] = {"key_fetches_failed_total", NULL, NULL,
								 "Fetches of the identity provider's keys that failed."},
	[STAT_SPANS_SENT] = {"spans_exported_total", NULL, NULL, "Spans that the collector took."},
	[STAT_SPANS_DROPPED] = {"spans_dropped_total", NULL, NULL,
							"Spans not exported: the collector was away, or the queue full."},
};

const struct stats_metric stats_gauges[GAUGE_COUNT] = {
	[GAUGE_WORKERS] = {"workers", NULL, NULL, "Worker processes that run."},
	[GAUGE_SOCKETS] = {"connections", NULL, NULL, "Open connections of clients."},
	[GAUGE_SESSIONS] = {"sessions", NULL, NULL, "Sessions: WebSockets, and HTTP requests for somebody."},
	[GAUGE_CALLS] = {"calls_in_flight", NULL, NULL, "Calls received and not answered."},
	[GAUGE_OUTBOUND] = {"outbound_queue_bytes", NULL, NULL, "Bytes queued for sockets that read slowly."},
	[GAUGE_FEED] = {"feed_queue_length", NULL, NULL, "Notifications that wait to be relayed."},
	[GAUGE_LISTENING] = {"listening_workers", NULL, NULL, "Workers whose LISTEN connection is up."},
	[GAUGE_TRANSFERS] = {"transfers", NULL, NULL, "Files on their way in or out."},
};

static const struct set sets[SERIES_SETS] = {
	[SERIES_METHODS] = {0, 256},
	[SERIES_EVENTS] = {256, 48},
	[SERIES_ENDS] = {304, 20},
	[SERIES_LANES] = {324, 12},
};

/* What calls end with, in the order of a method's values; all others are the last. */
static const struct
{
	int code;
	const char *text;
} codes[] = {{0, "ok"},    {-32601, "-32601"}, {-32602, "-32602"}, {400, "400"}, {401, "401"}, {403, "403"},
			 {404, "404"}, {409, "409"},       {413, "413"},       {429, "429"}, {500, "500"}, {503, "503"}};

#define CODE_COUNT  ((int) (sizeof codes / sizeof codes[0]))
#define MILLISECOND UINT64_C(1000000)

/* In nanoseconds: half a millisecond to ten seconds. */
static const uint64_t time_bounds[] = {
	MILLISECOND / 2,    MILLISECOND,        MILLISECOND * 5 / 2, 5 * MILLISECOND,    10 * MILLISECOND,
	25 * MILLISECOND,   50 * MILLISECOND,   100 * MILLISECOND,   250 * MILLISECOND,  500 * MILLISECOND,
	1000 * MILLISECOND, 2500 * MILLISECOND, 5000 * MILLISECOND,  10000 * MILLISECOND};
static const uint64_t size_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000};

#define TIME_BOUNDS ((int) (sizeof time_bounds / sizeof time_bounds[0]))
#define SIZE_BOUNDS ((int) (sizeof size_bounds / sizeof size_bounds[0]))

_Static_assert(TIME_BOUNDS < STATS_BUCKETS, "a bucket for each bound, and one more");
_Static_assert(CODE_COUNT < STATS_VALUES, "a value for each code, and one more");

static struct stats alone;         /* of a process that shares nothing */
static struct stats *all = &alone; /* one per worker; mapped, for the process's life */
static struct stats *own = &alone; /* what this process writes */
static int all_count = 1;          /* of all */
static time_t started;             /* when they were mapped */

/* Others read while we write; nobody else writes. */
static inline void
add(uint64_t *word, uint64_t amount)
{
	__atomic_store_n(word, *word + amount, __ATOMIC_RELAXED);
}

static inline uint64_t
read_word(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

void
stats_share(int workers)
{
	size_t size = (size_t) workers * sizeof *all;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	started = time(NULL);
	if (memory == MAP_FAILED)
	{
		log_write(LEVEL_WARN, "no_shared_memory", "each worker tells its own statistics only");
		return;
	}
	all = memory;
	all_count = workers;
}

/* What was so in a process is so no more. */
static void
clear_gauges(struct stats *stats)
{
	const struct set *lanes = &sets[SERIES_LANES];

	for (int i = 0; i < GAUGE_COUNT; i++)
		__atomic_store_n(&stats->gauges[i], 0, __ATOMIC_RELAXED);
	for (int i = 0; i < lanes->size; i++)
	{
		for (int value = LANE_CONNECTING; value <= LANE_WAITING; value++)
			__atomic_store_n(&stats->series[lanes->first + i].values[value], 0, __ATOMIC_RELAXED);
	}
}

void
stats_join(int worker)
{
	if (all != &alone)
		own = &all[worker];
	clear_gauges(own);
	stats_move(GAUGE_WORKERS, 1);
}

void
stats_part(int worker)
{
	if (all != &alone)
		clear_gauges(&all[worker]);
}

void
stats_add(enum counter counter, unsigned long amount)
{
	add(&own->counters[counter], amount);
}

void
stats_move(enum gauge gauge, int64_t change)
{
	add(&own->gauges[gauge], (uint64_t) change);
}

static void
observe(struct stats_histogram *histogram, const uint64_t *bounds, int count, uint64_t value, uint64_t times)
{
	int at = 0;

	while (at < count && value > bounds[at])
		at++;
	add(&histogram->buckets[at], times);
	add(&histogram->sum, value * times);
}

void
stats_observe(enum histogram histogram, uint64_t value, unsigned long times)
{
	bool is_size = histogram == HISTOGRAM_GROUPS;

	observe(&own->histograms[histogram], is_size ? size_bounds : time_bounds,
			is_size ? SIZE_BOUNDS : TIME_BOUNDS, value, times);
}

/* Its number in the set; `used` when it is not there. */
static int
find(const struct stats_series *series, int used, const char *name, size_t length)
{
	int number = 1;

	while (number < used &&
		   (memcmp(series[number].name, name, length) != 0 || series[number].name[length] != '\0'))
		number++;
	return number;
}

/* The same in any struct stats, adding it where it is new. */
static int
find_or_add(struct stats *stats, enum series_set set, const char *name, size_t length)
{
	struct stats_series *series = &stats->series[sets[set].first];
	int used = stats->used[set] > 0 ? stats->used[set] : 1;
	int number;

	if (length == 0 || length >= STATS_NAME || memchr(name, '\0', length) != NULL)
		return 0;
	number = find(series, used, name, length);
	if (number < used)
		return number;
	if (used == sets[set].size)
		return 0;
	memcpy(series[number].name, name, length);
	__atomic_store_n(&stats->used[set], used + 1, __ATOMIC_RELEASE);
	return number;
}

int
stats_series(enum series_set set, const char *name, size_t length)
{
	return find_or_add(own, set, name, length);
}

void
stats_series_move(enum series_set set, int number, int value, int64_t change)
{
	add(&own->series[sets[set].first + number].values[value], (uint64_t) change);
}

void
stats_series_time(enum series_set set, int number, uint64_t nanoseconds)
{
	observe(&own->series[sets[set].first + number].times, time_bounds, TIME_BOUNDS, nanoseconds, 1);
}

void
stats_call(int method, int code, uint64_t nanoseconds)
{
	int value = 0;

	while (value < CODE_COUNT && codes[value].code != code)
		value++;
	stats_series_move(SERIES_METHODS, method, value, 1);
	stats_series_time(SERIES_METHODS, method, nanoseconds);
}

const char *
stats_code(int value)
{
	return value < CODE_COUNT ? codes[value].text : value == CODE_COUNT ? "other" : NULL;
}

static void
sum_words(uint64_t *sum, const uint64_t *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sum[i] += read_word(&words[i]);
}

static void
sum_histogram(struct stats_histogram *sum, const struct stats_histogram *histogram)
{
	sum_words(sum->buckets, histogram->buckets, STATS_BUCKETS);
	sum->sum += read_word(&histogram->sum);
}

static void
sum_series(struct stats *sum, const struct stats *stats, enum series_set set)
{
	int used = __atomic_load_n(&stats->used[set], __ATOMIC_ACQUIRE);

	for (int i = 0; i < (used > 0 ? used : 1); i++)
	{
		const struct stats_series *from = &stats->series[sets[set].first + i];
		struct stats_series *to =
			&sum->series[sets[set].first + find_or_add(sum, set, from->name, strlen(from->name))];

		sum_words(to->values, from->values, STATS_VALUES);
		sum_histogram(&to->times, &from->times);
	}
}

void
stats_sum(struct stats *sum)
{
	memset(sum, 0, sizeof *sum);
	for (int i = 0; i < all_count; i++)
	{
		sum_words(sum->counters, all[i].counters, STAT_COUNT);
		sum_words(sum->gauges, all[i].gauges, GAUGE_COUNT);
		for (int k = 0; k < HISTOGRAM_COUNT; k++)
			sum_histogram(&sum->histograms[k], &all[i].histograms[k]);
		for (int set = 0; set < SERIES_SETS; set++)
			sum_series(sum, &all[i], (enum series_set) set);
	}
	for (int set = 0; set < SERIES_SETS; set++)
		strcpy(sum->series[sets[set].first].name, "other");
}

const struct stats_series *
stats_all_series(const struct stats *stats, enum series_set set, int *count)
{
	*count = stats->used[set] > 0 ? stats->used[set] : 1;
	return &stats->series[sets[set].first];
}

const uint64_t *
stats_time_bounds(int *count)
{
	*count = TIME_BOUNDS;
	return time_bounds;
}

const uint64_t *
stats_size_bounds(int *count)
{
	*count = SIZE_BOUNDS;
	return size_bounds;
}

time_t
stats_started(void)
{
	return started;
}

void
stats_log(void)
{
	char line[1000] = "";
	size_t used = 0;

	for (int i = 0; i < STAT_COUNT && used < sizeof line; i++)
	{
		const struct stats_metric *metric = &stats_counters[i];

		if (own->counters[i] > 0)
			used +=
				(size_t) snprintf(line + used, sizeof line - used, "%s%s%s%s=%llu", used ? " " : "",
								  metric->name, metric->value ? "_" : "", metric->value ? metric->value : "",
								  (unsigned long long) own->counters[i]);
	}
	log_write(LEVEL_INFO, "stats", "%s", line);
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * span.c
 *	  What becomes of a sampled call: told to a collector, in batches, and to the database's log.
 *
 *	  call ended --> queue, QUEUE_LIMIT spans --1 s, or BATCH of them--> one POST at a time --> taken | dropped, counted
 *
 * 1. Who calls says by traceparent whether his trace is sampled. That costs: a sampled call has a transaction to itself, and
 *	  a statement more. So at most trace_limit of a second are believed; the others are as if not sampled.
 * 2. The database hears of a sampled call by application_name, for its transaction only: `chat-gateway TRACE-SPAN`, which
 *	  log_line_prefix (%a) and pg_stat_activity show.
 * 3. A span is kept when it has ended. When the queue is full, or the collector does not take a batch, spans are dropped;
 *	  nothing ever waits for the collector.
 *
 * The collector is asked over libcurl on libuv's threads (io/fetch).
 *
 * Called from: chat/call, chat/errand, net/transfer. Calls: codec/otlp, io/fetch, io/timer.
 */
#include "chat/span.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "base/stats.h"
#include "io/fetch.h"
#include "io/loop.h"
#include "io/timer.h"

#define QUEUE_LIMIT 2048 /* spans that wait; more are dropped */
#define BATCH       512  /* spans of one request */
#define PAUSE       1000 /* milliseconds that a span waits for others at most */
#define AWAY_PAUSE  5000 /* milliseconds before a collector that has failed is asked again */
#define LAST_WAIT   1000 /* milliseconds for the last batch when the worker ends */

static struct otlp_span *queue; /* a ring of QUEUE_LIMIT; owned; NULL: there is no collector */
static int queue_first;         /* the oldest */
static int queue_length;        /* spans in it */
static int posted;              /* spans of the request under way; 0: none is */
static bool away;               /* the last request failed */
static struct timer gathering;  /* set while a batch gathers, or the collector is away */
static uint64_t second;         /* of loop_now(), that `sampled` counts */
static int sampled;             /* calls that were recorded in it */

static void send_batch(void);

static void
on_pause(struct timer *timer)
{
	(void) timer;
	send_batch();
}

static void
send_soon(void)
{
	if (posted > 0 || queue_length == 0)
		return;
	if (queue_length >= BATCH && !away)
		send_batch();
	else if (gathering.place == 0)
		timer_set(&gathering, away ? AWAY_PAUSE : PAUSE, on_pause);
}

static void
on_posted(const char *why, const char *text, size_t length)
{
	(void) text, (void) length;
	stats_add(why == NULL ? STAT_SPANS_SENT : STAT_SPANS_DROPPED, (unsigned long) posted);
	if (why != NULL && !away)
		log_write(LEVEL_WARN, "spans_not_exported", "%s: %s", config.otlp_endpoint, why);
	else if (why == NULL && away)
		log_write(LEVEL_INFO, "spans_exported", "%s takes them again", config.otlp_endpoint);
	away = why != NULL;
	posted = 0;
	send_soon();
}

static void
send_batch(void)
{
	size_t length = strlen(config.otlp_endpoint);
	struct buf body = {0};
	char url[1024];
	char who[32];

	timer_clear(&gathering);
	if (posted > 0 || queue_length == 0)
		return;
	snprintf(who, sizeof who, "%d", (int) getpid());
	otlp_begin(&body, GW_VERSION, who);
	for (; posted < BATCH && queue_length > 0; posted++)
	{
		otlp_add(&body, &queue[queue_first]);
		queue_first = (queue_first + 1) % QUEUE_LIMIT;
		queue_length--;
	}
	otlp_end(&body);
	snprintf(url, sizeof url, "%s%sv1/traces", config.otlp_endpoint,
			 config.otlp_endpoint[length - 1] == '/' ? "" : "/");
	fetch_post(url, "application/json", &body, on_posted);
}

void
span_open(void)
{
	if (config.otlp_endpoint[0] == '\0')
		return;
	fetch_open();
	queue = mem_alloc(QUEUE_LIMIT * sizeof *queue);
}

void
span_close(void)
{
	if (queue == NULL)
		return;
	if (!away)
	{
		send_batch();
		fetch_wait(LAST_WAIT);
	}
	timer_clear(&gathering);
	stats_add(STAT_SPANS_DROPPED, (unsigned long) (queue_length + posted));
	fetch_close();
	mem_free(queue);
	queue = NULL;
	queue_length = posted = 0;
}

/* From the loop's clock to nanoseconds since 1970. */
static uint64_t
wall_time(uint64_t clock)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec - (loop_clock() - clock);
}

static void
add(const struct otlp_span *span)
{
	if (queue == NULL)
		return;
	if (queue_length == QUEUE_LIMIT)
	{
		stats_add(STAT_SPANS_DROPPED, 1);
		return;
	}
	queue[(queue_first + queue_length++) % QUEUE_LIMIT] = *span;
	send_soon();
}

static bool
is_within_limit(void)
{
	if (second != loop_now() / 1000)
	{
		second = loop_now() / 1000;
		sampled = 0;
	}
	return sampled++ < config.trace_limit;
}

void
span_log(const struct span *span)
{
	log_set_trace(span != NULL && span->trace.id[0] != '\0' ? span->trace.id : NULL);
}

void
span_begin(struct span *span, const struct trace *trace)
{
	span->began = loop_clock();
	span->trace = *trace;
	if (trace->sampled && is_within_limit())
		trace_span_id(loop_random(UINT64_MAX), span->id);
}

void
span_end(const struct span *span, enum otlp_kind kind, const char *system, const char *name, int code)
{
	struct otlp_span told = {.kind = kind, .system = system, .code = code};

	if (span->id[0] == '\0')
		return;
	memcpy(told.trace, span->trace.id, sizeof told.trace);
	memcpy(told.id, span->id, sizeof told.id);
	memcpy(told.parent, span->trace.parent, sizeof told.parent);
	snprintf(told.name, sizeof told.name, "%s", name);
	told.start = wall_time(span->began);
	told.end = wall_time(loop_clock());
	add(&told);
}

void
span_mark(struct span *span, struct arena *arena, struct pg_call *pg)
{
	if (span->id[0] == '\0')
		return;
	trace_span_id(loop_random(UINT64_MAX), span->database);
	pg->alone = true;
	pg->application = arena_format(arena, "chat-gateway %s-%s", span->trace.id, span->database);
}

void
span_add_database(const struct span *span, const struct pg_call *pg, bool good)
{
	struct otlp_span told = {.kind = OTLP_INTERNAL, .name = "queue"};

	if (span->database[0] == '\0')
		return;
	memcpy(told.trace, span->trace.id, sizeof told.trace);
	memcpy(told.parent, span->id, sizeof told.parent);
	trace_span_id(loop_random(UINT64_MAX), told.id);
	told.start = wall_time(pg->submitted);
	told.end = wall_time(pg->sent ? pg->sent : loop_clock());
	add(&told);
	if (pg->sent == 0)
		return;
	told.start = told.end;
	told.end = wall_time(loop_clock());
	told.kind = OTLP_CLIENT;
	told.system = "postgresql";
	told.code = good ? 0 : 500;
	snprintf(told.name, sizeof told.name, "database");
	memcpy(told.id, span->database, sizeof told.id);
	add(&told);
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * outbox.c
 *	  With chat.delivery = outbox notifications are rows; they are read here and go the way of all notifications.
 *
 *	  round:  page --full--> page … --not full--> over; the next round after outbox_interval, from `after`
 *
 * 1. Rows up to a horizon are complete for whoever looks after it was asked for; above it new ones may appear between
 *	  those that are there. So each answer brings the horizon of its moment, and a round that came to its end moves
 *	  `after` to the horizon known before the round began. What lies above is read again by the next round, and what of it has been seen is
 *	  dropped by its id.
 * 2. Rows come in the order of ids. A chat's events commit in that order, so a page that has one has all before it. Only
 *	  between two pages of one round an event may appear below the first one's end: it comes with the next round, behind
 *	  its successors; clients see that by `prev_id`.
 * 3. A marker (cursor.c) is a row too. Its id is above its horizon H, and all rows up to H could be seen when it was
 *	  written: they lie before it, in this round or an earlier one.
 * 4. While the feed is full nothing is read: rows wait in the table. Only when they may have been pruned, because nothing
 *	  could be read for OUTAGE_LIMIT, everything is replayed and reading starts anew.
 * 5. When the mode changes to another one, reading goes on for LINGER.
 *
 * Called from: chat/cursor. Calls: chat/feed, chat/hub, pg/pool.
 */
#include "chat/outbox.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/hash.h"
#include "base/log.h"
#include "chat/feed.h"
#include "chat/hub.h"
#include "io/loop.h"
#include "io/timer.h"
#include "pg/pool.h"

#define PAGE_SIZE 1000 /* rows */
#define OUTAGE_LIMIT                                                                                         \
	60000 /* milliseconds without an answer after which rows may be gone; well below outbox_retention */
#define LINGER 30000 /* milliseconds of reading after the mode has changed */

static bool reading;       /* rounds are made */
static bool busy;          /* call is under way */
static bool restart;       /* it belongs to a reading that is over */
static uint64_t stop_at;   /* loop_now() when reading ends; 0: not yet */
static uint64_t heard_at;  /* loop_now() of the last good answer */
static int64_t after;      /* all rows up to here have been taken */
static int64_t page_after; /* the page under way begins behind this */
static int64_t known;      /* horizon of the last answer */
static int64_t next_after; /* `after` when this round ends */
static struct hash *seen;  /* rows above `after` that were taken, by id; the value is `seen` itself; owned */
static struct timer next;  /* set between rounds */
static char texts[2][24];  /* parameters: page_after, page size */
static const char *values[2];  /* the same */
static const int text_only[2]; /* lengths and formats of them */
static struct pg_call call;    /* for a page */

static const struct pg_statement read_outbox = {
	"read_outbox",
	"SELECT h.horizon, o.id, o.payload FROM (SELECT chat.horizon() AS horizon) h LEFT JOIN "
	"chat.read_outbox(after_id => $1::bigint, page_size => $2::integer) o ON true ORDER BY o.id",
	2};

static void ask(void);

static int64_t
id_value(const struct pg_result *result, int row, int column)
{
	const char *text = result_value(result, row, column, NULL);

	return text ? strtoll(text, NULL, 10) : 0;
}

static void
start_round(struct timer *timer)
{
	(void) timer;
	if (stop_at != 0 && loop_now() >= stop_at)
	{
		reading = false;
		return;
	}
	page_after = after;
	next_after = known;
	ask();
}

static void
wait_for_next(void)
{
	timer_set(&next, (uint64_t) config.outbox_interval, start_round);
}

/* What was seen and will not be read again. */
static void
forget_seen(void)
{
	struct hash *rest = hash_create();
	size_t cursor = 0;
	const char *id;

	while (hash_next(seen, &cursor, &id) != NULL)
	{
		if (strtoll(id, NULL, 10) > after)
			hash_put(rest, id, &seen);
	}
	hash_destroy(seen);
	seen = rest;
}

static void
end_round(void)
{
	if (next_after > after)
	{
		after = next_after;
		forget_seen();
	}
	wait_for_next();
}

static void
take(const struct pg_result *result, int row)
{
	const char *id = result_value(result, row, 1, NULL);

	page_after = id_value(result, row, 1);
	if (hash_get(seen, id) != NULL)
		return;
	hash_put(seen, id, &seen);
	feed_take(NULL, result_value(result, row, 2, NULL));
}

static void
take_page(const struct pg_result *result)
{
	int rows = result_value(result, 0, 1, NULL) != NULL ? result_rows(result) : 0;

	heard_at = loop_now();
	known = id_value(result, 0, 0);
	for (int row = 0; row < rows; row++)
		take(result, row);
	if (rows < PAGE_SIZE)
		end_round();
	else
		ask();
}

static void
on_failure(enum pg_verdict verdict, const struct pg_result *result)
{
	if (verdict == PG_FAILED)
		log_write(LEVEL_WARN, "outbox_not_read", "%s", result_failure(result).message);
	wait_for_next();
}

/* Rows may be gone that were not read. */
static void
start_anew(int64_t horizon)
{
	log_write(LEVEL_WARN, "outbox_late", "nothing was read for %" PRIu64 " ms", loop_now() - heard_at);
	outbox_start(horizon);
	hub_replay_all(INT64_MAX);
}

static void
on_page(struct pg_call *from, enum pg_verdict verdict, const struct pg_result *result)
{
	(void) from;
	busy = false;
	if (restart)
		wait_for_next();
	else if (verdict != PG_DONE || result_rows(result) == 0)
		on_failure(verdict, result);
	else if (loop_now() - heard_at > OUTAGE_LIMIT)
		start_anew(id_value(result, 0, 0));
	else
		take_page(result);
	restart = false;
}

static void
ask(void)
{
	if (feed_is_full())
	{
		wait_for_next();
		return;
	}
	busy = true;
	snprintf(texts[0], sizeof texts[0], "%" PRId64, page_after);
	snprintf(texts[1], sizeof texts[1], "%d", PAGE_SIZE);
	values[0] = texts[0];
	values[1] = texts[1];
	call = (struct pg_call){.statement = &read_outbox,
							.values = values,
							.lengths = text_only,
							.formats = text_only,
							.lane = LANE_OWN,
							.repeatable = true,
							.done = on_page};
	pool_submit(&call);
}

void
outbox_start(int64_t horizon)
{
	outbox_close();
	seen = hash_create();
	after = known = horizon;
	heard_at = loop_now();
	stop_at = 0;
	reading = true;
	restart = busy;
	if (!busy)
		wait_for_next();
}

void
outbox_stop(void)
{
	if (reading)
		stop_at = loop_now() + LINGER;
}

void
outbox_close(void)
{
	timer_clear(&next);
	if (seen != NULL)
		hash_destroy(seen);
	seen = NULL;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * upkeep.c
 *	  Has the database do what is due: chat.run_maintenance() sends scheduled messages, deletes what has expired, brings
 *	  the search index up to date.
 *
 *	  maintenance_interval --> a batch --something was done--> the next one, after a breath
 *	          ^                  |
 *	          +--- nothing, or it failed
 *
 * The first worker of each gateway does so, also where pg_cron does: the jobs know of each other, and a batch that finds
 * nothing to do costs a few milliseconds.
 *
 * Called from: main. Calls: pg/pool, io/timer.
 */
#include "chat/upkeep.h"

#include <string.h>

#include "base/config.h"
#include "base/log.h"
#include "pg/pool.h"

#define BREATH 200   /* milliseconds between batches that find something */
#define OFF    60000 /* milliseconds until it is looked whether it has been switched on */

static const struct pg_statement maintenance = {
	"run_maintenance", "SELECT coalesce(bool_or(m.done > 0), false) FROM chat.run_maintenance() m", 0};

static struct pg_call call; /* the batch under way */
static struct timer next;   /* to the next one; not set while one is under way */

static void run(struct timer *timer);

static void
on_answer(struct pg_call *done, enum pg_verdict verdict, const struct pg_result *result)
{
	bool more = verdict == PG_DONE && strcmp(result_value(result, 0, 0, NULL), "t") == 0;

	(void) done;
	if (verdict == PG_FAILED)
		log_write(LEVEL_WARN, "maintenance_failed", "%s", result_failure(result).message);
	timer_set(&next, more ? BREATH : (uint64_t) config.maintenance_interval, run);
}

static void
run(struct timer *timer)
{
	if (config.maintenance_interval == 0)
	{
		timer_set(timer, OFF, run);
		return;
	}
	call = (struct pg_call){
		.statement = &maintenance, .lane = LANE_UPKEEP, .repeatable = true, .done = on_answer};
	pool_submit(&call);
}

void
upkeep_open(void)
{
	timer_set(&next, (uint64_t) config.maintenance_interval, run);
}

void
upkeep_close(void)
{
	timer_clear(&next);
}

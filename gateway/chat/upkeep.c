/* SPDX-License-Identifier: PostgreSQL */
/*
 * upkeep.c
 *	  Has the database do what is due: the jobs of chat.maintenance_jobs(), which send scheduled messages, delete what has
 *	  expired, erase accounts, bring the search index up to date.
 *
 *	  maintenance_interval --> their list: all are due --> a batch of the next one that is due --> after a breath, the next
 *	          ^                                              |
 *	          +--- none is due ------------------------------+ one whose batch found nothing, or failed, is not due any more
 *
 * Each batch is a call and a transaction of its own, as whoever wants a chat that it holds waits for its end. A job that has
 * much to do takes turns with the others, and all are due again when the interval is over, so none waits for another's end.
 *
 * The first worker of each gateway does so, also where pg_cron does: a job that another session is doing is passed over,
 * and a batch that finds nothing to do costs a millisecond.
 *
 * Called from: main. Calls: pg/pool, io/timer.
 */
#include "chat/upkeep.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"
#include "io/loop.h"
#include "pg/pool.h"

#define JOBS 64 /* at most; there are a dozen and a half */
#define BREATH                                                                                               \
	50 /* milliseconds after a batch that has found something: others want the machine, and what it held */
#define OFF 60000 /* milliseconds until it is looked whether it has been switched on */

struct job
{
	char name[64];
	bool due;
};

static const struct pg_statement list_statement = {
	"maintenance_jobs", "SELECT j FROM pg_catalog.unnest(chat.maintenance_jobs()) j", 0};
static const struct pg_statement run_statement = {"run_job", "SELECT r.done, r.error FROM chat.run_job($1) r",
												  1};

static struct job jobs[JOBS];
static int job_count;         /* of them */
static int present;           /* the job of the last batch */
static uint64_t listed;       /* loop_now() of the list */
static struct pg_call call;   /* under way, of the list or of a batch */
static const char *values[1]; /* its parameter */
static struct timer next;     /* to the next one; not set while one is under way */

static void run(struct timer *timer);

static void
on_list(struct pg_call *done, enum pg_verdict verdict, const struct pg_result *result)
{
	(void) done;
	if (verdict == PG_FAILED)
		log_write(LEVEL_WARN, "maintenance_failed", "%s", result_failure(result).message);
	job_count = verdict == PG_DONE ? result_rows(result) : 0;
	if (job_count > JOBS)
		job_count = JOBS;
	for (int i = 0; i < job_count; i++)
	{
		snprintf(jobs[i].name, sizeof jobs[i].name, "%s", result_value(result, i, 0, NULL));
		jobs[i].due = true;
	}
	timer_set(&next, 0, run);
}

static void
on_batch(struct pg_call *done, enum pg_verdict verdict, const struct pg_result *result)
{
	struct job *job = &jobs[present];
	const char *error = verdict == PG_DONE ? result_value(result, 0, 1, NULL) : NULL;

	(void) done;
	if (verdict == PG_FAILED)
		error = result_failure(result).message;
	if (error != NULL)
		log_write(LEVEL_WARN, "maintenance_failed", "%s: %s", job->name, error);
	job->due = verdict == PG_DONE && strcmp(result_value(result, 0, 0, NULL), "0") != 0;
	timer_set(&next, job->due ? BREATH : 0, run);
}

/* The next one after the present that is due; false: none is. */
static bool
choose(void)
{
	for (int i = 1; i <= job_count; i++)
	{
		int other = (present + i) % job_count;

		if (jobs[other].due)
		{
			present = other;
			return true;
		}
	}
	return false;
}

static void
submit(const struct pg_statement *statement,
	   void (*done)(struct pg_call *, enum pg_verdict, const struct pg_result *))
{
	call = (struct pg_call){
		.statement = statement, .values = values, .lane = LANE_UPKEEP, .repeatable = true, .done = done};
	pool_submit(&call);
}

static void
run(struct timer *timer)
{
	uint64_t interval = (uint64_t) config.maintenance_interval;
	uint64_t age = loop_now() - listed;

	if (interval == 0)
		timer_set(timer, OFF, run);
	else if (age >= interval)
	{
		listed = loop_now();
		submit(&list_statement, on_list);
	}
	else if (choose())
	{
		values[0] = jobs[present].name;
		submit(&run_statement, on_batch);
	}
	else
		timer_set(timer, interval - age, run);
}

void
upkeep_open(void)
{
	listed = loop_now();
	timer_set(&next, (uint64_t) config.maintenance_interval, run);
}

void
upkeep_close(void)
{
	timer_clear(&next);
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * secrecy.c
 *	  Whether PostgreSQL's log may show what calls carry: passwords and tokens are their parameters.
 *
 * Each connection of the pool sets what keeps parameters out of the log, where it may (pg/pool). Roles are granted that
 * by the extension's install, if a superuser ran it. Here the first worker looks whether it has come to that,
 * and says once what to do if not.
 *
 * Called from: main. Calls: pg/pool, io/timer.
 */
#include "chat/secrecy.h"

#include "base/log.h"
#include "io/timer.h"
#include "pg/pool.h"

#define AGAIN 5000 /* milliseconds before it is looked again when there was no answer */

static const struct pg_statement look_statement = {
	"log_parameters",
	"SELECT string_agg(format('%s is %s', p.name, current_setting(p.name)), ', '), "
	"string_agg(format('ALTER ROLE %I SET %s = 0;', session_user, p.name), ' ') "
	"FROM (VALUES ('log_parameter_max_length'), ('log_parameter_max_length_on_error'), "
	"('auto_explain.log_parameter_max_length'), ('auto_explain.log_verbose')) p (name) "
	"WHERE current_setting(p.name, true) NOT IN ('0', 'off')",
	0};

static struct pg_call call; /* the question */
static struct timer next;   /* set while there was no answer */

static void look(struct timer *timer);

static void
on_answer(struct pg_call *done, enum pg_verdict verdict, const struct pg_result *result)
{
	const char *what = verdict == PG_DONE ? result_value(result, 0, 0, NULL) : NULL;

	(void) done;
	if (verdict != PG_DONE)
		timer_set(&next, AGAIN, look);
	else if (what != NULL)
		log_write(LEVEL_WARN, "parameters_logged",
				  "PostgreSQL's log may show passwords and tokens: %s; as a superuser: %s", what,
				  result_value(result, 0, 1, NULL));
}

static void
look(struct timer *timer)
{
	(void) timer;
	call = (struct pg_call){
		.statement = &look_statement, .lane = LANE_OWN, .repeatable = true, .done = on_answer};
	pool_submit(&call);
}

void
secrecy_open(void)
{
	look(&next);
}

void
secrecy_close(void)
{
	timer_clear(&next);
}

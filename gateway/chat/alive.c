/* SPDX-License-Identifier: PostgreSQL */
/*
 * alive.c
 *	  Whether logins are still good, where no notification says so: after a gap in what was heard, and at expiry.
 *
 *	  doubted --asked, at most BATCH_LIMIT in one call--> answered: alive until then | closed 4003, or 4009 at expiry
 *	     ^                                                   |
 *	     +---------- no answer: again after RETRY_PAUSE -----+
 *
 * A session stands in the list of the doubted until it is asked for. One that is doubted again while its call is
 * under way stands there anew, since the answer may be older than the new doubt. One call runs at a time.
 *
 * The database's clock alone says when a login expires; it tells how many milliseconds are left, and a timer of ours
 * asks again then, because refresh_session may have moved the end.
 *
 * Called from: chat/replay, chat/login, chat/session. Calls: pg/pool, chat/session, codec/array.
 */
#include "chat/alive.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/array.h"
#include "pg/pool.h"

#define BATCH_LIMIT 1000 /* sessions of one call */
#define RETRY_PAUSE 1000 /* milliseconds before the database is asked again after a failure */
#define LATE        10   /* milliseconds we ask later than it expires, so as not to ask twice */

/* A session that is asked for, and which login it had. */
struct asked
{
	uint64_t session; /* handle */
	int64_t login_id; /* at the time */
};

/* Infinity has no distance from now; after a year we ask again. */
static const struct pg_statement alive_statement = {
	"list_live_sessions",
	"SELECT session_id, ceil(extract(epoch FROM least(expires_at, now() + interval '1 year')"
	" - now()) * 1000)::bigint FROM chat.list_live_sessions($1::bigint[])",
	1};

static struct list doubted = {&doubted, &doubted}; /* struct session by doubt */
static struct asked asked[BATCH_LIMIT];            /* the call under way is for these */
static int asked_count;                            /* of them; 0: none is under way */
static struct buf ids;                             /* its parameter */
static const char *values[1];                      /* the same */
static const int text_only[1];                     /* lengths and formats */
static struct pg_call call;                        /* it */
static struct task ask_task;                       /* ask() at the end of the turn */
static struct timer pause;                         /* set while waiting after a failure */

static void on_answer(struct pg_call *call, enum pg_verdict verdict, const struct pg_result *result);

static void
add_to_call(struct session *session)
{
	char id[24];

	asked[asked_count++] = (struct asked){session_handle(session), session->login_id};
	array_add(&ids, id, (size_t) snprintf(id, sizeof id, "%lld", (long long) session->login_id));
}

static void
ask(struct task *task)
{
	struct list *node;

	(void) task;
	if (asked_count > 0 || pause.place != 0 || list_empty(&doubted))
		return;
	buf_clear(&ids);
	array_begin(&ids);
	while (asked_count < BATCH_LIMIT && (node = list_shift(&doubted)) != NULL)
		add_to_call(list_entry(node, struct session, doubt));
	array_end(&ids);
	values[0] = buf_text(&ids);
	call = (struct pg_call){.statement = &alive_statement,
							.values = values,
							.lengths = text_only,
							.formats = text_only,
							.lane = LANE_OWN,
							.repeatable = true,
							.done = on_answer};
	pool_submit(&call);
}

static void
ask_soon(void)
{
	ask_task.run = ask;
	loop_defer(&ask_task);
}

void
alive_doubt(struct session *session)
{
	if (session->user_id == 0 || session->closed)
		return;
	if (list_empty(&session->doubt))
		list_append(&doubted, &session->doubt);
	ask_soon();
}

static void
on_expiry(struct timer *timer)
{
	alive_doubt(list_entry(timer, struct session, expiry));
}

void
alive_until(struct session *session, int64_t milliseconds)
{
	uint64_t left = milliseconds > 0 ? (uint64_t) milliseconds : 0;

	session->expires = loop_now() + left;
	timer_set(&session->expiry, left + LATE, on_expiry);
}

void
alive_forget(struct session *session)
{
	list_remove(&session->doubt);
	timer_clear(&session->expiry);
}

static void
pause_over(struct timer *timer)
{
	(void) timer;
	ask_soon();
}

/* Nothing was learnt: all are as doubtful as before. */
static void
doubt_again(void)
{
	for (int i = 0; i < asked_count; i++)
	{
		struct session *session = session_find(asked[i].session);

		if (session != NULL)
			alive_doubt(session);
	}
	timer_set(&pause, RETRY_PAUSE, pause_over);
}

/* What the database said of one login: NULL, it is over. */
static void
judge(struct session *session, const char *left)
{
	if (left != NULL)
		alive_until(session, strtoll(left, NULL, 10));
	else
		session_finish(session, loop_now() >= session->expires ? SESSION_EXPIRED : SESSION_REVOKED);
}

static void
judge_all(const struct pg_result *result)
{
	struct hash *alive = hash_create();
	char id[24];

	for (int row = 0; row < result_rows(result); row++)
		hash_put(alive, result_value(result, row, 0, NULL), (void *) result_value(result, row, 1, NULL));
	for (int i = 0; i < asked_count; i++)
	{
		struct session *session = session_find(asked[i].session);

		snprintf(id, sizeof id, "%lld", (long long) asked[i].login_id);
		if (session != NULL && session->login_id == asked[i].login_id)
			judge(session, hash_get(alive, id));
	}
	hash_destroy(alive);
}

static void
on_answer(struct pg_call *done, enum pg_verdict verdict, const struct pg_result *result)
{
	(void) done;
	if (verdict == PG_DONE)
		judge_all(result);
	else
	{
		log_write(LEVEL_WARN, "sessions_not_checked", "%s",
				  verdict == PG_FAILED ? result_failure(result).message : "no connection to the database");
		doubt_again();
	}
	asked_count = 0;
	ask_soon();
}

void
alive_close(void)
{
	loop_forget(&ask_task);
	timer_clear(&pause);
	buf_free(&ids);
}

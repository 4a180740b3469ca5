/* SPDX-License-Identifier: PostgreSQL */
/*
 * presence.c
 *	  The worker's lease: which logins have a socket here, and that the worker lives.
 *
 *	  a login:	ABSENT --told it has come--> UNSURE --answered--> PRESENT --told it has gone--> UNSURE --answered--> ABSENT
 *
 * 1. Sockets are counted by login. A login whose first socket came or whose last one went is dirty; GATHER later one call
 *	  tells the database of all that are, at most BATCH_LIMIT: so a socket that comes back at once was never gone, and a
 *	  thousand logins cost one call. One call runs at a time.
 * 2. A third of the setting presence_lease after the last call the next one goes out, also with nothing to tell: that
 *	  keeps the lease. The worker dies, and it lapses.
 * 3. The answer is the lease's id. Another one than before: ours had lapsed, the database has forgotten all, and all that
 *	  have a socket here are told again.
 * 4. A call that fails may have happened: what it told is told again, RETRY_PAUSE later, and whoever went meanwhile too.
 *
 * What it means for others that somebody comes or goes says SQL alone (26_presence.sql).
 *
 * Called from: chat/login, chat/session, main.c. Calls: pg/pool, codec/array.
 */
#include "chat/presence.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/array.h"
#include "io/loop.h"
#include "io/timer.h"
#include "pg/pool.h"

#define GATHER      100  /* milliseconds between the first change and the call that tells it */
#define BATCH_LIMIT 1000 /* logins of one call */
#define RETRY_PAUSE 1000 /* milliseconds after a call that failed */
#define LEASE_PARTS 3    /* a lease is renewed so often while it lasts */
#define LEAST_PAUSE 100  /* milliseconds between two renewals, however short a lease is */

enum told
{
	TOLD_ABSENT,
	TOLD_UNSURE,
	TOLD_PRESENT
};

struct present
{
	struct list node; /* in dirty or asked, else alone */
	int sockets;      /* sessions here that are logged in with it */
	bool under_way;   /* the call under way tells of it */
	bool coming;      /* with that: that it has come, else that it has gone */
	enum told told;   /* what the database knows */
	char id[24];      /* the login's, decimal; its name in logins */
};

enum
{
	COLUMN_LEASE,
	COLUMN_LENGTH
};

static struct hash *logins;            /* struct present by id; owned */
static struct list dirty;              /* those whose `told` is not what is so */
static struct list asked;              /* those in the call under way */
static bool busy;                      /* call is under way */
static bool failed;                    /* the last one did, and the next waits for RETRY_PAUSE */
static int64_t lease;                  /* its id; 0: none yet */
static char lease_text[24];            /* the same, for the call */
static struct buf opened;              /* parameter of call */
static struct buf closed;              /* parameter of call */
static const char *values[3];          /* the parameters */
static const int text_only[3];         /* lengths and formats of them */
static struct pg_call call;            /* the one under way */
static struct timer next;              /* set for the next call */
static uint64_t renewal = LEAST_PAUSE; /* milliseconds from one call to the next, when nothing happens */

static const struct pg_statement renew = {"renew_presence",
										  "SELECT chat.renew_presence(lease_id => $1::bigint, opened_ids => "
										  "$2::bigint[], closed_ids => $3::bigint[]), "
										  "(extract(epoch FROM chat.presence_lease()) * 1000)::bigint",
										  3};

static void tell(struct timer *timer);

static bool
is_settled(const struct present *present)
{
	return present->told == (present->sockets > 0 ? TOLD_PRESENT : TOLD_ABSENT);
}

/* Put it where it belongs, unless it is in the call under way. */
static void
sort(struct present *present)
{
	if (present->under_way)
		return;
	list_remove(&present->node);
	if (!is_settled(present))
	{
		list_append(&dirty, &present->node);
		if (!busy && !failed && next.due > loop_now() + GATHER)
			timer_set(&next, GATHER, tell);
	}
	else if (present->sockets == 0)
	{
		hash_remove(logins, present->id);
		mem_free(present);
	}
}

static struct present *
find(int64_t login_id, bool make)
{
	char id[24];
	struct present *present;

	snprintf(id, sizeof id, "%" PRId64, login_id);
	present = hash_get(logins, id);
	if (present == NULL && make)
	{
		present = mem_alloc(sizeof *present);
		list_init(&present->node);
		snprintf(present->id, sizeof present->id, "%s", id);
		hash_put(logins, id, present);
	}
	return present;
}

void
presence_enter(struct session *session)
{
	struct present *present;

	if (session->user == NULL || session->present_id == session->login_id)
		return;
	presence_leave(session);
	session->present_id = session->login_id;
	present = find(session->login_id, true);
	present->sockets++;
	sort(present);
}

void
presence_leave(struct session *session)
{
	struct present *present = session->present_id != 0 ? find(session->present_id, false) : NULL;

	session->present_id = 0;
	if (present == NULL)
		return;
	present->sockets--;
	sort(present);
}

static void
add_to_call(struct present *present)
{
	struct buf *ids = present->sockets > 0 ? &opened : &closed;

	present->under_way = true;
	present->coming = present->sockets > 0;
	present->told = TOLD_UNSURE;
	list_append(&asked, &present->node);
	array_add(ids, present->id, strlen(present->id));
}

static void on_answer(struct pg_call *from, enum pg_verdict verdict, const struct pg_result *result);

static void
tell(struct timer *timer)
{
	struct list *node;

	(void) timer;
	busy = true;
	failed = false;
	buf_clear(&opened);
	buf_clear(&closed);
	array_begin(&opened);
	array_begin(&closed);
	for (int i = 0; i < BATCH_LIMIT && (node = list_shift(&dirty)) != NULL; i++)
		add_to_call(list_entry(node, struct present, node));
	array_end(&opened);
	array_end(&closed);
	snprintf(lease_text, sizeof lease_text, "%" PRId64, lease);
	values[0] = lease != 0 ? lease_text : NULL;
	values[1] = buf_text(&opened);
	values[2] = buf_text(&closed);
	call = (struct pg_call){.statement = &renew,
							.values = values,
							.lengths = text_only,
							.formats = text_only,
							.lane = LANE_OWN,
							.repeatable = true,
							.done = on_answer};
	pool_submit(&call);
}

/* The database knows of nobody any more. */
static void
forget_all(void)
{
	size_t cursor = 0;
	struct present *present;

	while ((present = hash_next(logins, &cursor, NULL)) != NULL)
	{
		if (present->under_way || present->sockets == 0)
			continue;
		present->told = TOLD_UNSURE;
		sort(present);
	}
}

static void
take_answer(const struct pg_result *result)
{
	int64_t answer = strtoll(result_value(result, 0, COLUMN_LEASE, NULL), NULL, 10);
	int64_t length = strtoll(result_value(result, 0, COLUMN_LENGTH, NULL), NULL, 10);

	renewal = length / LEASE_PARTS > LEAST_PAUSE ? (uint64_t) (length / LEASE_PARTS) : LEAST_PAUSE;
	if (answer == lease)
		return;
	if (lease != 0)
		log_write(LEVEL_WARN, "lease_lapsed", "%zu logins are told again", hash_count(logins));
	lease = answer;
	forget_all();
}

/* What the call told is known now, unless it failed: then perhaps. */
static void
end_call(bool good)
{
	struct list *node;

	while ((node = list_shift(&asked)) != NULL)
	{
		struct present *present = list_entry(node, struct present, node);

		present->under_way = false;
		if (good)
			present->told = present->coming ? TOLD_PRESENT : TOLD_ABSENT;
		sort(present);
	}
}

static void
on_answer(struct pg_call *from, enum pg_verdict verdict, const struct pg_result *result)
{
	bool good = verdict == PG_DONE && result_rows(result) == 1;

	(void) from;
	if (verdict == PG_FAILED)
		log_write(LEVEL_WARN, "presence_not_told", "%s", result_failure(result).message);
	if (good)
		take_answer(result);
	end_call(good);
	busy = false;
	failed = !good;
	timer_set(&next, failed ? RETRY_PAUSE : list_empty(&dirty) ? renewal : GATHER, tell);
}

bool
presence_is_settled(void)
{
	return list_empty(&dirty) && !busy;
}

void
presence_open(void)
{
	logins = hash_create();
	list_init(&dirty);
	list_init(&asked);
	tell(NULL);
}

void
presence_close(void)
{
	size_t cursor = 0;
	struct present *present;

	timer_clear(&next);
	while ((present = hash_next(logins, &cursor, NULL)) != NULL)
		mem_free(present);
	hash_destroy(logins);
	buf_free(&opened);
	buf_free(&closed);
}

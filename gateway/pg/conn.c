/* SPDX-License-Identifier: PostgreSQL */
/*
 * conn.c
 *	  A connection that runs groups of calls: sent in one go, one Sync behind them, one transaction.
 *
 * 1. conn_send writes the limits, when they are not those of the group before; for each call PREPARE when this
 *	  connection has not seen the statement, the name that the server's log is to show for it, if it has one, then the
 *	  execution; behind a transaction pooler (`transient`) nothing is prepared, and every group begins with its limits;
 *	  at last a Sync. Everything written is noted in `items`, in order, because libpq answers in that order.
 * 2. Results come back one by one. They are kept: until the Sync has come back nothing is committed.
 * 3. With the Sync the group is over, and the owner hears of all its calls at once.
 *
 * After every FLUSH_EVERY calls the server is asked to send what it has: that feeds the watchdog, which allows for as
 * many calls at a time. Else a group of many slow ones would look like a server that hangs. To ask after each call
 * would cost a third more CPU.
 *
 * One group at a time: the next one gathers meanwhile (that is the batching, it needs no timer), and when a call
 * spoils its group the others can be sent again before anything newer of the same chat has run.
 *
 * An error aborts what follows it and rolls back what went before. Statements that were prepared before the error
 * stay prepared; those behind it were never parsed. Limits that the group has set are gone with it. An error on the Sync itself is one at commit: nobody's fault in
 * particular.
 *
 * Called from: pg/pool. Calls: pg/link, libpq, io/timer.
 */
#include "pg/conn.h"

#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/timer.h"
#include "pg/link.h"

#define FLUSH_EVERY  8    /* calls */
#define ANSWER_GRACE 5000 /* milliseconds beyond what the calls may take before a mute server is given up */

enum item_kind
{
	ITEM_FORGET, /* DEALLOCATE ALL */
	ITEM_LIMITS,
	ITEM_PREPARE,
	ITEM_NAME, /* application_name, for this transaction */
	ITEM_CALL,
	ITEM_SYNC
};

struct item
{
	enum item_kind kind;  /* what libpq will answer to */
	struct pg_call *call; /* whose; NULL for FORGET, LIMITS and SYNC */
};

struct conn
{
	struct link *link;              /* owned */
	const struct conn_owner *owner; /* callbacks */
	void *arg;                      /* for them */
	bool transient;                 /* limits before each group, nothing is prepared */
	const struct conn_limits *set;  /* the server session's; NULL: not known, or another one each time */
	const struct conn_limits *now;  /* of the group on its way, or the last one */
	struct hash *prepared;   /* statements this server session has, by name; the value is the statement */
	bool forget;             /* DEALLOCATE ALL before the next group */
	struct list calls;       /* the group on its way */
	struct item *items;      /* what was sent, in order; owned, grows */
	int item_count;          /* items in use; 0: idle */
	int item_size;           /* items allocated */
	int sent_calls;          /* calls of the group that have been sent */
	int item_at;             /* the one whose results come now */
	bool idle_answer;        /* libpq said "no more" while the Sync is outstanding */
	struct pg_call *culprit; /* the call whose error aborted the group */
	PGresult *failure;       /* that error; owned until the group's end */
	struct timer watchdog;   /* runs while a group is on its way */
	struct task reap;        /* frees it after conn_close */
};

void
conn_release_result(struct pg_result *result)
{
	PQclear((PGresult *) result);
}

static void
add_item(struct conn *conn, enum item_kind kind, struct pg_call *call)
{
	if (conn->item_count == conn->item_size)
	{
		conn->item_size = conn->item_size ? 2 * conn->item_size : 32;
		conn->items = mem_resize(conn->items, (size_t) conn->item_size * sizeof *conn->items);
	}
	conn->items[conn->item_count++] = (struct item){kind, call};
}

/* Nothing is on its way any more; the calls move to the list. */
static void
take_group(struct conn *conn, struct list *calls)
{
	struct list *node;

	list_init(calls);
	while ((node = list_shift(&conn->calls)) != NULL)
		list_append(calls, node);
	conn->item_count = conn->item_at = 0;
	conn->idle_answer = false;
	timer_clear(&conn->watchdog);
}

static void
on_silence(struct timer *timer)
{
	link_lost(list_entry(timer, struct conn, watchdog)->link, "the server does not answer");
}

static void
watch(struct conn *conn)
{
	uint64_t calls = (uint64_t) (conn->sent_calls < FLUSH_EVERY ? conn->sent_calls : FLUSH_EVERY);

	timer_set(&conn->watchdog, calls * (uint64_t) conn->now->timeout + ANSWER_GRACE, on_silence);
}

static bool
send_forget(struct conn *conn)
{
	if (!conn->forget)
		return true;
	conn->forget = false;
	hash_destroy(conn->prepared);
	conn->prepared = hash_create();
	add_item(conn, ITEM_FORGET, NULL);
	return PQsendQueryParams(link_pg(conn->link), "DEALLOCATE ALL", 0, NULL, NULL, NULL, NULL, 0) == 1;
}

static bool
send_limits(struct conn *conn)
{
	if (conn->set == conn->now)
		return true;
	add_item(conn, ITEM_LIMITS, NULL);
	return PQsendQueryParams(link_pg(conn->link), conn->now->sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

/* As it stands, prepared by nobody. */
static bool
send_plain(struct conn *conn, struct pg_call *call)
{
	PGconn *pg = link_pg(conn->link);

	add_item(conn, ITEM_CALL, call);
	return PQsendQueryParams(pg, call->statement->sql, call->statement->params, NULL, call->values,
							 call->lengths, call->formats, call->binary) == 1 &&
		   (++conn->sent_calls % FLUSH_EVERY != 0 || PQsendFlushRequest(pg) == 1);
}

static bool
send_call(struct conn *conn, struct pg_call *call)
{
	const struct pg_statement *statement = call->statement;
	PGconn *pg = link_pg(conn->link);

	if (conn->transient)
		return send_plain(conn, call);
	if (hash_get(conn->prepared, statement->name) == NULL)
	{
		hash_put(conn->prepared, statement->name, (void *) statement);
		add_item(conn, ITEM_PREPARE, call);
		if (PQsendPrepare(pg, statement->name, statement->sql, 0, NULL) != 1)
			return false;
	}
	if (call->application != NULL)
	{
		add_item(conn, ITEM_NAME, call);
		if (PQsendQueryParams(pg, "SELECT pg_catalog.set_config('application_name', $1, true)", 1, NULL,
							  &call->application, NULL, NULL, 0) != 1)
			return false;
	}
	add_item(conn, ITEM_CALL, call);
	return PQsendQueryPrepared(pg, statement->name, statement->params, call->values, call->lengths,
							   call->formats, call->binary) == 1 &&
		   (++conn->sent_calls % FLUSH_EVERY != 0 || PQsendFlushRequest(pg) == 1);
}

void
conn_send(struct conn *conn, struct list *calls, const struct conn_limits *limits)
{
	struct list *node;
	bool good;

	conn->now = limits;
	conn->sent_calls = 0;
	good = send_forget(conn) && send_limits(conn);
	while ((node = list_shift(calls)) != NULL)
	{
		list_append(&conn->calls, node);
		good = good && send_call(conn, list_entry(node, struct pg_call, node));
	}
	add_item(conn, ITEM_SYNC, NULL);
	watch(conn);
	if (good && PQpipelineSync(link_pg(conn->link)) == 1)
		link_flush(conn->link);
	else
		link_lost(conn->link, "cannot send");
}

static void
end_group(struct conn *conn)
{
	struct list calls;
	struct pg_call *culprit = conn->culprit;
	PGresult *failure = conn->failure;

	conn->culprit = NULL;
	conn->failure = NULL;
	if (failure == NULL && !conn->transient)
		conn->set = conn->now;
	take_group(conn, &calls);
	conn->owner->finished(conn->arg, &calls, culprit, (struct pg_result *) failure);
	PQclear(failure);
}

/* A statement whose PREPARE did not run is not there. */
static void
not_run(struct conn *conn, const struct item *item)
{
	if (item->kind == ITEM_PREPARE)
		hash_remove(conn->prepared, item->call->statement->name);
}

static bool
is_fatal(const PGresult *result)
{
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

	return severity == NULL || strcmp(severity, "ERROR") != 0;
}

static void
on_error(struct conn *conn, const struct item *item, PGresult *result)
{
	if (is_fatal(result))
	{
		const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

		link_lost(conn->link, message ? message : "fatal error");
		PQclear(result);
		return;
	}
	not_run(conn, item);
	PQclear(conn->failure);
	conn->failure = result;
	conn->culprit = item->call;
}

/* libpq has no more for this item. The Sync's own result comes after such a word, when commit failed; once only. */
static void
on_item_end(struct conn *conn, const struct item *item)
{
	if (item->kind != ITEM_SYNC)
		conn->item_at++;
	else if (conn->idle_answer)
		link_lost(conn->link, "out of step with the server");
	else
		conn->idle_answer = true;
}

static void
on_result(struct conn *conn, PGresult *result)
{
	const struct item *item = &conn->items[conn->item_at];

	switch (PQresultStatus(result))
	{
		case PGRES_PIPELINE_SYNC:
			PQclear(result);
			end_group(conn);
			break;
		case PGRES_PIPELINE_ABORTED:
			PQclear(result);
			not_run(conn, item);
			break;
		case PGRES_COMMAND_OK:
		case PGRES_TUPLES_OK:
			if (item->kind == ITEM_CALL && item->call->result == NULL)
				item->call->result = (struct pg_result *) result;
			else
				PQclear(result);
			break;
		default:
			on_error(conn, item, result);
	}
}

static void
on_readable(void *arg)
{
	struct conn *conn = arg;

	if (conn->item_count > 0)
		watch(conn);
	while (conn->item_count > 0 && link_is_ready(conn->link) && !PQisBusy(link_pg(conn->link)))
	{
		PGresult *result = PQgetResult(link_pg(conn->link));

		if (result != NULL)
			on_result(conn, result);
		else
			on_item_end(conn, &conn->items[conn->item_at]);
	}
}

static void
on_ready(void *arg)
{
	struct conn *conn = arg;

	if (PQenterPipelineMode(link_pg(conn->link)) == 1)
		conn->owner->ready(conn->arg);
	else
		link_lost(conn->link, "no pipeline mode");
}

static void
on_lost(void *arg)
{
	struct conn *conn = arg;
	struct list calls;

	hash_destroy(conn->prepared);
	conn->prepared = hash_create();
	conn->forget = false;
	conn->set = NULL;
	PQclear(conn->failure);
	conn->failure = NULL;
	conn->culprit = NULL;
	take_group(conn, &calls);
	conn->owner->lost(conn->arg, &calls);
}

static const struct link_owner link_owner = {on_ready, on_readable, on_lost};

struct conn *
conn_open(const char *name, const char *dsn, const char *setup, bool transient,
		  const struct conn_owner *owner, void *arg)
{
	struct conn *conn = mem_alloc(sizeof *conn);

	conn->owner = owner;
	conn->arg = arg;
	conn->transient = transient;
	conn->prepared = hash_create();
	list_init(&conn->calls);
	conn->link = link_open(name, dsn, setup, &link_owner, conn);
	return conn;
}

static void
reap(struct task *task)
{
	struct conn *conn = list_entry(task, struct conn, reap);

	hash_destroy(conn->prepared);
	PQclear(conn->failure);
	mem_free(conn->items);
	mem_free(conn);
}

void
conn_close(struct conn *conn, struct list *calls)
{
	take_group(conn, calls);
	link_close(conn->link);
	conn->reap.run = reap;
	loop_defer(&conn->reap);
}

bool
conn_is_idle(const struct conn *conn)
{
	return conn->item_count == 0 && link_is_ready(conn->link);
}

void
conn_forget_statements(struct conn *conn)
{
	conn->forget = link_is_ready(conn->link) && !conn->transient;
}

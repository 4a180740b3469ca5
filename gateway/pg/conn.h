/* SPDX-License-Identifier: PostgreSQL */
/* A connection that runs groups of calls, pipelined, one group at a time. See conn.c. */
#ifndef PG_CONN_H
#define PG_CONN_H

#include <stdbool.h>

#include "base/list.h"
#include "pg/call.h"

struct conn;

/* What the server allows calls. With `transient` the SQL is for the transaction, else for the session. */
struct conn_limits
{
	int timeout;    /* milliseconds that one call may take */
	char sql[1536]; /* sets it, and what goes with it */
};

/* What the pool hears. The lists hold struct pg_call by node; the calls are the pool's again. */
struct conn_owner
{
	void (*ready)(void *arg); /* connected: conn_send may follow */

	/* The group is over. No failure: all committed. Else all rolled back; culprit NULL: it failed at commit. */
	void (*finished)(void *arg, struct list *calls, struct pg_call *culprit, struct pg_result *failure);

	/* The connection broke; what was on its way may have happened or not. Reconnects by itself. */
	void (*lost)(void *arg, struct list *calls);
};

/*
 * setup: SQL after each connect. transient: each group may have another server session, so nothing is prepared and nothing
 * set is relied on by the next one. All text is borrowed.
 */
extern struct conn *conn_open(const char *name, const char *dsn, const char *setup, bool transient,
							  const struct conn_owner *owner, void *arg);
extern void conn_close(struct conn *conn, struct list *calls); /* what was on its way is moved to the list */
extern bool conn_is_idle(const struct conn *conn);             /* connected and nothing on its way */
extern void conn_send(struct conn *conn, struct list *calls,
					  const struct conn_limits *limits); /* takes them all; only when idle */
extern void conn_forget_statements(struct conn *conn);   /* prepare anew: functions have changed */
extern void conn_release_result(struct pg_result *result);

#endif

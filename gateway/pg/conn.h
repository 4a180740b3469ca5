/* SPDX-License-Identifier: PostgreSQL */
/* A connection that runs groups of calls, pipelined, one group at a time. See conn.c. */
#ifndef PG_CONN_H
#define PG_CONN_H

#include <stdbool.h>

#include "base/list.h"
#include "pg/call.h"

struct conn;

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
 * setup: SQL after each connect. begin: NULL, or SQL at the beginning of each group; then nothing is prepared, since each
 * group may have another server session. timeout: milliseconds that one call may take. All text is borrowed.
 */
extern struct conn *conn_open(const char *name, const char *dsn, const char *setup, const char *begin,
							  int timeout, const struct conn_owner *owner, void *arg);
extern void conn_close(struct conn *conn, struct list *calls); /* what was on its way is moved to the list */
extern bool conn_is_idle(const struct conn *conn);             /* connected and nothing on its way */
extern void conn_send(struct conn *conn, struct list *calls);  /* takes them all; only when idle */
extern void conn_forget_statements(struct conn *conn);         /* prepare anew: functions have changed */
extern void conn_release_result(struct pg_result *result);

#endif

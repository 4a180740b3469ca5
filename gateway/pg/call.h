/* SPDX-License-Identifier: PostgreSQL */
/* One call of a SQL function on its way through the pool. */
#ifndef PG_CALL_H
#define PG_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "io/timer.h"
#include "pg/result.h"

/* SQL to be prepared once per connection. Its maker keeps it until every call of it is done. */
struct pg_statement
{
	char name[32];   /* unique in the process's life */
	const char *sql; /* $1…$n */
	int params;      /* n */
};

struct caller;

/* Which queue a call waits in. See pool.c. */
enum pg_lane
{
	LANE_GROUPED,   /* messages: keyed by chat, many in one transaction */
	LANE_OWN,       /* the gateway's own: logins, the catalog, what it has to know */
	LANE_SINGLE,    /* of users, each alone */
	LANE_SIGN_IN,   /* log_in: slow by design */
	LANE_ANONYMOUS, /* other calls before login: making accounts, as slow */
	LANE_REPLAY,    /* pages of replays */
	LANE_FILES,     /* pieces of files */
	LANE_UPKEEP,    /* maintenance */
	LANE_SIDE,      /* the pool's own: chats whose row is locked by somebody */
	LANE_COUNT
};

/* The maker fills the first part and keeps it in memory until `done`. */
struct pg_call
{
	const struct pg_statement *statement; /* what to run */
	const char *const *values;            /* statement->params of them; NULL: SQL NULL */
	const int *lengths;                   /* bytes, for binary ones */
	const int *formats;                   /* 0 text, 1 binary */
	int64_t
		user; /* whose turn it takes: a user's id; below 0: an address (network_key); 0: the gateway's own */
	int64_t chat;            /* the chat it names; 0: none */
	enum pg_lane lane;       /* where it runs */
	const char *application; /* its transaction's application_name; NULL: the connection's own; only alone */
	bool alone;              /* not in a group, though the lane is grouped */
	size_t weight;           /* bytes that its rows may come to, more or less */
	bool binary;             /* its rows are wanted in binary */
	bool repeatable;         /* may be sent again when the connection broke before the answer */

	/* Once, never from within pool_submit. `result` is NULL but for PG_DONE and PG_FAILED, and ends with the call. */
	void (*done)(struct pg_call *call, enum pg_verdict verdict, const struct pg_result *result);

	/* The pool's from here on. */
	struct list node;         /* in a queue, or in the group on its way */
	struct caller *caller;    /* queue.c's, while it is in a queue or taken from it */
	struct pg_result *result; /* rows, until the group's end */
	uint64_t queued;          /* loop_now() of pool_submit */
	uint64_t submitted;       /* the same as loop_clock() */
	uint64_t sent;            /* loop_clock() when it left its queue for the last time; 0: it has not */
	bool retried;             /* had its second chance */
	int aborted;              /* times that it met another one: 40001, 40P01 */
	struct timer again;       /* set while it waits to be sent again */
	bool uncertain;           /* its connection broke once: it may have happened */
	bool spoiled;             /* `done` may read it: its failure cost a whole group */
};

#endif

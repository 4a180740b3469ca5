/* SPDX-License-Identifier: PostgreSQL */
/* Calls that wait, served in turn: some of each caller's, and round again. See queue.c. */
#ifndef PG_QUEUE_H
#define PG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "pg/call.h"

#define QUEUE_LOADS 64 /* callers are told apart by how much waits up to so many calls */

struct queue
{
	int turn;          /* calls that a caller may have taken in one turn */
	int limit;         /* calls of one caller that may run at a time; may change at any time */
	int waiting;       /* calls in the queue */
	struct list turns; /* struct caller by turn: whose turn it is, first */
	struct list
		loads[QUEUE_LOADS]; /* struct caller by load: with so many calls waiting, or more in the last */
	int heaviest;           /* no load above this one has anybody */
	struct list *places;    /* struct caller by place: a table of lists, by key; owned */
	size_t place_count;     /* of places: a power of two */
	size_t caller_count;    /* in all of them */
};

extern void queue_open(struct queue *queue);
extern void queue_close(struct queue *queue); /* nothing waits or runs any more */

extern int queue_waiting(const struct queue *queue, int64_t key); /* of one caller */
extern void queue_append(struct queue *queue, struct pg_call *call);
extern void queue_return(struct queue *queue, struct pg_call *call); /* before all others, its turn too */

extern struct pg_call *queue_first(const struct queue *queue);     /* whose turn it is; NULL: nobody's */
extern void queue_take(struct queue *queue, struct pg_call *call); /* it runs, until queue_done */
extern void queue_done(struct queue *queue, struct pg_call *call);
extern void queue_drop(struct queue *queue,
					   struct pg_call *call); /* it does not wait any more, and never ran */

extern struct pg_call *
queue_newest(const struct queue *queue); /* of a caller with most; NULL: nothing waits */

/* Each that waits, in the order of each caller's; `visit` may drop it, and nothing else. */
extern void queue_each(struct queue *queue,
					   void (*visit)(struct queue *queue, struct pg_call *call, void *arg), void *arg);

#endif

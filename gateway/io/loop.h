/* SPDX-License-Identifier: PostgreSQL */
/* The worker's event loop, and work put off to the end of the turn. See loop.c. */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* Something to do once, at the end of this turn of the loop. Lies inside the thing concerned, zeroed at first. */
struct task
{
	struct list node; /* in the list of tasks due */
	void (*run)(
		struct task *task); /* may free the thing, may put off other tasks: they still run this turn */
	bool due;               /* in the list */
};

struct uv_loop_s;

extern void loop_open(void);
extern void loop_run(void);     /* until loop_stop and all that is left has closed */
extern void loop_stop(void);    /* also from a callback */
extern void loop_run_out(void); /* after loop_stop: a few turns more, for what closes in its own time */
extern bool loop_close(void);   /* false: something is still open */
extern struct uv_loop_s *loop_uv(void); /* for io/, net/ and pg/ */
extern uint64_t loop_now(void);         /* milliseconds, monotonic, of this turn */
extern uint64_t loop_clock(void);       /* nanoseconds, monotonic, of this instant */
extern int64_t loop_date(void); /* milliseconds since 1970, as all machines have them, of this instant */

extern void loop_defer(struct task *task);  /* harmless when it is due already */
extern void loop_settle(void);              /* run all that is due now; for the end, when no turn follows */
extern void loop_forget(struct task *task); /* not to run after all */

/* Call when the process gets the signal; for the life of the loop. */
extern void loop_on_signal(int signal, void (*handler)(int signal));

/* A random number below `bound`, for jitter. */
extern uint64_t loop_random(uint64_t bound);

#endif

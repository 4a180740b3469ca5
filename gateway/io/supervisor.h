/* SPDX-License-Identifier: PostgreSQL */
/* The parent process: starts workers, restarts dead ones, replaces them, ends them. See supervisor.c. */
#ifndef IO_SUPERVISOR_H
#define IO_SUPERVISOR_H

#include <stdbool.h>

/* What the supervisor asks of the rest. */
struct supervisor_owner
{
	int (*worker)(int index); /* the life of a worker, index from 0; its exit code */
	int (*patience)(void);    /* milliseconds that a worker may take to end */
	bool (*reload)(void); /* in the parent: SIGHUP; false: nothing has changed, workers just look around */

	/*
	 * In the parent: SIGUSR2. Become the next program, with these processes (`pids`, decimal, spaces between; those
	 * with a minus are leaving already). Returns only when that cannot be.
	 */
	void (*replace)(const char *pids);
};

/*
 * Run `count` workers until SIGTERM or SIGINT; each gets SIGTERM then, and time to end by itself.
 * `former`: what `replace` of the program before was told, or NULL: its workers leave one by one as ours are ready.
 * Returns the exit code of the whole.
 */
extern int supervise(int count, const struct supervisor_owner *owner, const char *former);

extern void supervisor_ready(void); /* in a worker: it serves */

#endif

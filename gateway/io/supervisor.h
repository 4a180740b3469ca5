/* SPDX-License-Identifier: PostgreSQL */
/* The parent process: starts workers, restarts dead ones, ends them. See supervisor.c. */
#ifndef IO_SUPERVISOR_H
#define IO_SUPERVISOR_H

/*
 * Run `count` processes of worker(index), index from 0, until SIGTERM or SIGINT. A worker gets SIGTERM then, and
 * `patience` milliseconds to end by itself. On SIGHUP `hangup` is called, and the workers get it too. Returns the exit code of the whole.
 */
extern int supervise(int count, int (*worker)(int index), int patience, void (*hangup)(void));

#endif

/* SPDX-License-Identifier: PostgreSQL */
/*
 * supervisor.c
 *	  The parent process: it starts the workers, restarts dead ones, and ends them all.
 *
 * 1. Every worker is forked with the parent's signal mask as it was, and is told by the kernel when the parent dies.
 * 2. A dead one is started again after a pause that doubles from 0.1 s to 10 s while it dies young. Its listening
 *	  socket is the parent's, so clients that connect meanwhile wait in its queue.
 * 3. SIGTERM or SIGINT: all workers get SIGTERM; those that are not gone in time get SIGKILL.
 * 4. SIGHUP: the parent reads its settings again, and passes it on to all workers.
 *
 * The parent sleeps in sigtimedwait and touches nothing else.
 *
 * Called from: main.c. Calls: libc, base/log.
 */
#include "io/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"

#define PAUSE_FIRST 100   /* milliseconds before the first restart */
#define PAUSE_LAST  10000 /* milliseconds, the longest pause */
#define OLD_ENOUGH  10000 /* milliseconds a worker lives before its death counts as the first again */

struct child
{
	pid_t pid;       /* 0: not running */
	int64_t started; /* milliseconds, monotonic */
	int64_t due;     /* when to start it again, while not running */
	int deaths;      /* in a row, each young */
};

static struct child *children; /* owned */
static int child_count;        /* of children */
static sigset_t watched;       /* signals the parent waits for */
static sigset_t inherited;     /* the mask a worker gets */

static int64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
start(int index, int (*worker)(int index))
{
	struct child *child = &children[index];
	pid_t parent = getpid();

	child->started = now();
	child->pid = fork();
	if (child->pid != 0)
	{
		if (child->pid < 0)
		{
			log_write(LEVEL_ERROR, "fork_failed", "worker=%d errno=%d", index + 1, errno);
			child->pid = 0;
			child->due = now() + PAUSE_LAST;
		}
		return;
	}
	signal(SIGHUP, SIG_IGN); /* until it has a handler of its own */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	mem_free(children);
	sigprocmask(SIG_SETMASK, &inherited, NULL);
	exit(worker(index));
}

static void
on_death(pid_t pid, int status)
{
	for (int i = 0; i < child_count; i++)
	{
		struct child *child = &children[i];
		int64_t pause = PAUSE_FIRST;

		if (child->pid != pid)
			continue;
		stats_part(i);
		child->deaths = now() - child->started > OLD_ENOUGH ? 1 : child->deaths + 1;
		for (int k = 1; k < child->deaths && pause < PAUSE_LAST; k++)
			pause *= 2;
		child->pid = 0;
		child->due = now() + (pause < PAUSE_LAST ? pause : PAUSE_LAST);
		log_write(LEVEL_WARN, "worker_died", "worker=%d pid=%d %s=%d restart_in_ms=%lld", i + 1, (int) pid,
				  WIFSIGNALED(status) ? "signal" : "exit",
				  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
				  (long long) (child->due - now()));
	}
}

static void
bury(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		on_death(pid, status);
}

/* Start whoever is due; milliseconds until the next one is, at most a minute. */
static int64_t
start_due(int (*worker)(int index))
{
	int64_t wait = 60000;

	for (int i = 0; i < child_count; i++)
	{
		struct child *child = &children[i];

		if (child->pid == 0 && child->due <= now())
			start(i, worker);
		if (child->pid == 0 && child->due - now() < wait)
			wait = child->due - now();
	}
	return wait > 0 ? wait : 0;
}

static int
wait_signal(int64_t milliseconds)
{
	struct timespec limit = {milliseconds / 1000, milliseconds % 1000 * 1000000};

	return sigtimedwait(&watched, NULL, &limit);
}

static int
running(void)
{
	int count = 0;

	for (int i = 0; i < child_count; i++)
		count += children[i].pid != 0;
	return count;
}

static void
signal_all(int signal)
{
	for (int i = 0; i < child_count; i++)
	{
		if (children[i].pid != 0)
			kill(children[i].pid, signal);
	}
}

/* End the workers; 0 when all of them ended by themselves. */
static int
end_all(int patience)
{
	int64_t deadline = now() + patience;
	int code = 0;

	signal_all(SIGTERM);
	while (running() > 0)
	{
		if (now() >= deadline)
		{
			signal_all(SIGKILL);
			code = 1;
			deadline = INT64_MAX;
		}
		wait_signal(100);
		for (int i = 0; i < child_count; i++)
		{
			if (children[i].pid != 0 && waitpid(children[i].pid, NULL, WNOHANG) == children[i].pid)
				children[i].pid = 0;
		}
	}
	return code;
}

int
supervise(int count, int (*worker)(int index), int patience, void (*hangup)(void))
{
	int signal = 0;

	children = mem_alloc((size_t) count * sizeof *children);
	child_count = count;
	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGINT);
	sigaddset(&watched, SIGHUP);
	sigprocmask(SIG_BLOCK, &watched, &inherited);
	while (signal != SIGTERM && signal != SIGINT)
	{
		signal = wait_signal(start_due(worker));
		if (signal == SIGHUP)
		{
			hangup();
			signal_all(SIGHUP);
		}
		bury();
	}
	log_write(LEVEL_INFO, "stopping", "signal=%d workers=%d", signal, running());
	signal = end_all(patience);
	mem_free(children);
	log_write(LEVEL_INFO, "stopped", "exit=%d", signal);
	return signal;
}

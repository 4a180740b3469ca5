/* SPDX-License-Identifier: PostgreSQL */
/*
 * supervisor.c
 *	  The parent process: it starts the workers, restarts dead ones, replaces them by the next program's, ends them all.
 *
 * 1. Every worker is forked without the parent's signal mask, and is told by the kernel when the parent dies.
 *	  It says when it serves (supervisor_ready: a queued signal).
 * 2. A dead one is started again after a pause that doubles from 0.1 s to 10 s while it dies young. Its listening
 *	  socket is the parent's, so clients that connect meanwhile wait in its queue.
 * 3. SIGTERM or SIGINT: all workers get SIGTERM; those that are not gone in time get SIGKILL. A second one is passed on,
 *	  and ends them at once. That a worker leaves then is worth a warning only when it does not do so in order.
 * 4. SIGHUP: the owner reloads, then it is passed on; when there was nothing to reload, as SIGUSR1.
 * 5. SIGUSR2: the owner has this process become the next program, in place: workers stay its children, listening sockets
 *	  stay open. There supervise() is given the former workers, and rolls: it starts one of its own, waits until that
 *	  serves, at most READY_PATIENCE, tells one of the former to leave, and goes on to the next.
 *
 * systemd is told (io/notify) when all serve, and of all of this. The parent sleeps in sigtimedwait and touches nothing
 * else.
 *
 * Called from: main.c. Calls: libc, io/notify, base/log.
 */
#include "io/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/notify.h"
#include "base/stats.h"

#define PAUSE_FIRST    100   /* milliseconds before the first restart */
#define PAUSE_LAST     10000 /* milliseconds, the longest pause */
#define OLD_ENOUGH     10000 /* milliseconds a worker lives before its death counts as the first again */
#define READY_PATIENCE 10000 /* milliseconds until one that does not serve yet is not waited for any more */
#define FORMER_LIMIT   1024  /* workers of programs before this one */
#define SIGNAL_READY   SIGRTMIN

struct child
{
	pid_t pid;       /* 0: not running */
	bool ready;      /* it has said that it serves */
	int64_t started; /* milliseconds, monotonic */
	int64_t due;     /* when to start it again, while not running */
	int deaths;      /* in a row, each young */
};

/* A worker of the program before. */
struct former
{
	pid_t pid;    /* 0: it has left */
	bool leaving; /* it was told to */
};

static const struct supervisor_owner *owner; /* for the life of the process */
static struct child *children;               /* owned */
static int child_count;                      /* of children */
static int settled;    /* children before this one have been waited for; rolling ends at child_count */
static bool announced; /* systemd knows that all serve */
static struct former formers[FORMER_LIMIT]; /* the first former_count are in use */
static int former_count;                    /* grows only at the start */
static int64_t alive_due;                   /* when systemd is to be told that we live */
static bool stopping;                       /* all are to end, and none is started again */
static sigset_t watched;                    /* signals the parent waits for */

static int64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
supervisor_ready(void)
{
	sigqueue(getppid(), SIGNAL_READY, (union sigval){0});
}

static void
start(int index)
{
	struct child *child = &children[index];
	pid_t parent = getpid();

	child->started = now();
	child->ready = false;
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
	signal(SIGHUP, SIG_IGN); /* until they have handlers of their own */
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	mem_free(children);
	sigprocmask(SIG_UNBLOCK, &watched, NULL);
	exit(owner->worker(index));
}

/* When it is to be started again. */
static void
plan_restart(struct child *child)
{
	int64_t pause = PAUSE_FIRST;

	child->deaths = now() - child->started > OLD_ENOUGH ? 1 : child->deaths + 1;
	for (int k = 1; k < child->deaths && pause < PAUSE_LAST; k++)
		pause *= 2;
	child->due = now() + (pause < PAUSE_LAST ? pause : PAUSE_LAST);
}

static void
on_death(pid_t pid, int status)
{
	const char *how = WIFSIGNALED(status) ? "signal" : "exit";
	int code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);

	for (int i = 0; i < former_count; i++)
	{
		if (formers[i].pid != pid)
			continue;
		formers[i].pid = 0;
		log_write(LEVEL_INFO, "worker_left", "pid=%d %s=%d", (int) pid, how, code);
	}
	for (int i = 0; i < child_count; i++)
	{
		struct child *child = &children[i];

		if (child->pid != pid)
			continue;
		stats_part(i);
		child->pid = 0;
		plan_restart(child);
		if (stopping)
			log_write(status == 0 ? LEVEL_INFO : LEVEL_WARN, "worker_left", "worker=%d pid=%d %s=%d", i + 1,
					  (int) pid, how, code);
		else
			log_write(LEVEL_WARN, "worker_died", "worker=%d pid=%d %s=%d restart_in_ms=%lld", i + 1,
					  (int) pid, how, code, (long long) (child->due - now()));
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

static void
dismiss(struct former *former)
{
	if (former->pid == 0 || former->leaving)
		return;
	former->leaving = true;
	kill(former->pid, SIGTERM);
}

/* One more serves, or will not soon: on to the next. Milliseconds until we look again. */
static int64_t
settle(void)
{
	while (settled < child_count)
	{
		const struct child *child = &children[settled];
		int64_t left = child->started + READY_PATIENCE - now();

		if (child->pid == 0)
			return child->due - now();
		if (!child->ready && left > 0)
			return left;
		if (!child->ready)
			log_write(LEVEL_WARN, "worker_not_ready", "worker=%d", settled + 1);
		settled++;
		if (settled <= former_count)
			dismiss(&formers[settled - 1]);
	}
	return INT64_MAX;
}

/* All have been waited for. */
static void
announce(void)
{
	if (announced || settled < child_count)
		return;
	announced = true;
	for (int i = 0; i < former_count; i++)
		dismiss(&formers[i]);
	log_write(LEVEL_INFO, "serving", "workers=%d", child_count);
	notify_ready();
}

/* Start whoever is due; milliseconds until the next one is. While there are formers it is one at a time. */
static int64_t
start_due(void)
{
	int64_t wait = INT64_MAX;

	for (int i = 0; i < child_count && (i <= settled || former_count == 0); i++)
	{
		struct child *child = &children[i];

		if (child->pid == 0 && child->due <= now())
			start(i);
		if (child->pid == 0 && child->due - now() < wait)
			wait = child->due - now();
	}
	return wait;
}

/* Tell systemd that we live, when it is time; milliseconds until the next time. */
static int64_t
live(void)
{
	int64_t interval = notify_interval();

	if (interval == 0)
		return INT64_MAX;
	if (alive_due <= now())
	{
		notify_alive();
		alive_due = now() + interval;
	}
	return alive_due - now();
}

/* Do what is due; milliseconds until more is, at most a minute. */
static int64_t
do_due(void)
{
	int64_t wait = 60000;
	int64_t waits[3];

	waits[0] = settle();
	announce();
	waits[1] = start_due();
	waits[2] = live();
	for (int i = 0; i < 3; i++)
		wait = waits[i] < wait ? waits[i] : wait;
	return wait > 0 ? wait : 0;
}

static void
on_ready(pid_t pid)
{
	for (int i = 0; i < child_count; i++)
	{
		if (children[i].pid == pid)
			children[i].ready = true;
	}
}

/* The next signal, or what sigtimedwait says when there was none in time. */
static int
wait_signal(int64_t milliseconds)
{
	struct timespec limit = {milliseconds / 1000, milliseconds % 1000 * 1000000};
	siginfo_t info;
	int signal = sigtimedwait(&watched, &info, &limit);

	if (signal == SIGNAL_READY)
		on_ready(info.si_pid);
	return signal;
}

static int
running(void)
{
	int count = 0;

	for (int i = 0; i < child_count; i++)
		count += children[i].pid != 0;
	for (int i = 0; i < former_count; i++)
		count += formers[i].pid != 0;
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

/* Those that leave have heard SIGTERM already; another one would end them at once. */
static void
signal_formers(int signal)
{
	for (int i = 0; i < former_count; i++)
	{
		if (formers[i].pid != 0)
			kill(formers[i].pid, signal);
	}
}

static bool
is_end(int signal)
{
	return signal == SIGTERM || signal == SIGINT;
}

/* End the workers; 0 when all of them ended by themselves. */
static int
end_all(void)
{
	int64_t deadline = now() + owner->patience();
	int code = 0;
	int status;
	pid_t pid;

	notify_stopping();
	signal_all(SIGTERM);
	for (int i = 0; i < former_count; i++)
		dismiss(&formers[i]);
	while (running() > 0)
	{
		if (now() >= deadline)
		{
			signal_all(SIGKILL);
			signal_formers(SIGKILL);
			code = 1;
			deadline = INT64_MAX;
		}
		if (is_end(wait_signal(100)))
		{
			signal_all(SIGTERM);
			signal_formers(SIGTERM);
		}
		live();
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			on_death(pid, status);
	}
	return code;
}

/* What `replace` is told, and supervise() in the next program. */
static void
write_pids(struct buf *out)
{
	for (int i = 0; i < child_count; i++)
	{
		if (children[i].pid != 0)
			buf_format(out, "%d ", (int) children[i].pid);
	}
	for (int i = 0; i < former_count; i++)
	{
		if (formers[i].pid != 0)
			buf_format(out, "-%d ", (int) formers[i].pid);
	}
}

static void
read_pids(const char *text)
{
	char *end;

	for (long pid = strtol(text, &end, 10); end != text && former_count < FORMER_LIMIT;
		 pid = strtol(text, &end, 10))
	{
		formers[former_count++] = (struct former){.pid = (pid_t) (pid < 0 ? -pid : pid), .leaving = pid < 0};
		text = end;
	}
}

static void
replace(void)
{
	struct buf pids = {0};

	notify_reloading();
	write_pids(&pids);
	owner->replace(buf_text(&pids));
	buf_free(&pids);
	notify_ready();
}

static void
reload(void)
{
	notify_reloading();
	signal_all(owner->reload() ? SIGHUP : SIGUSR1);
	notify_ready();
}

static void
watch_signals(void)
{
	static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

	sigemptyset(&watched);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigaddset(&watched, signals[i]);
	sigaddset(&watched, SIGNAL_READY);
	sigprocmask(SIG_BLOCK, &watched, NULL);
}

int
supervise(int count, const struct supervisor_owner *the_owner, const char *former)
{
	int signal = 0;

	owner = the_owner;
	children = mem_alloc((size_t) count * sizeof *children);
	child_count = count;
	watch_signals();
	if (former != NULL)
		read_pids(former);
	while (!is_end(signal))
	{
		signal = wait_signal(do_due());
		stopping = is_end(signal);
		if (signal == SIGHUP)
			reload();
		else if (signal == SIGUSR2)
			replace();
		bury();
	}
	log_write(LEVEL_INFO, "stopping", "signal=%d workers=%d", signal, running());
	signal = end_all();
	mem_free(children);
	log_write(LEVEL_INFO, "stopped", "exit=%d", signal);
	return signal;
}

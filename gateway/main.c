/* SPDX-License-Identifier: PostgreSQL */
/*
 * main.c
 *	  chat-gateway: configuration, listening sockets, workers; and what a worker is made of.
 *
 * The parent reads the configuration, opens one listening socket per worker and supervises them (io/supervisor).
 * A worker puts its parts together in the order of the layers, runs the loop, and takes them apart in reverse:
 *
 *	  net/server	accepts
 *	  net/http		requests that are no upgrade: net/route says whose; net/events is a stream like a WebSocket
 *	  net/ws		frame complete
 *	  codec/rpc		request
 *	  chat/session	logged in (chat/login, chat/oidc), within limits
 *	  chat/call		method from chat/catalog, arguments by name
 *	  pg/pool		the connection of this chat
 *	  pg/conn		sent, pipelined; answered after its Sync
 *	  pg/listener	notification
 *	  chat/feed		its users' sessions, from chat/hub and chat/large
 *	  chat/walk		to each of them, one shared buffer
 *	  net/ws		written when the socket takes it
 *
 * SIGTERM in a worker: no more accepts; over drain_seconds each socket's calls in flight are answered and it is closed
 * with 1001; what that means for presence is told; exit 0. A second one: exit at once. SIGHUP: the configuration, the catalog
 * and how events are delivered are looked at again. SIGUSR1: the latter two only.
 *
 * SIGUSR2 in the parent: if the program that stands now where we were started from approves of its configuration (--check),
 * it takes our place, in this process. What it needs to know stands in the environment: which address the listening sockets
 * are for, their descriptors, the workers.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "chat/account.h"
#include "chat/alive.h"
#include "chat/catalog.h"
#include "chat/cursor.h"
#include "chat/hub.h"
#include "chat/oidc.h"
#include "chat/openrpc.h"
#include "chat/presence.h"
#include "chat/rate.h"
#include "chat/secrecy.h"
#include "chat/session.h"
#include "chat/span.h"
#include "chat/ticket.h"
#include "chat/upkeep.h"
#include "io/loop.h"
#include "io/supervisor.h"
#include "io/timer.h"
#include "net/listen.h"
#include "net/server.h"
#include "pg/listener.h"
#include "pg/pool.h"

#define DRAIN_CHECK 20   /* milliseconds between looks at what is left */
#define DRAIN_GRACE 3000 /* milliseconds beyond drain_seconds and drain_timeout for close frames */

#define READY_CHECK 20 /* milliseconds between looks whether a new worker serves */
#define HANDOVER    "CHAT_GATEWAY_HANDOVER"

static int *listeners;                /* one per worker; the parent keeps all, a worker its own */
static int metrics_listener = -1;     /* one for all; -1: none */
static struct timer drain_timer;      /* set while draining */
static struct timer ready_timer;      /* set until the worker serves */
static uint64_t drain_deadline;       /* loop_now() when the worker ends whatever is left */
static const int exit_bad_config = 2; /* the usual code for bad usage */
static char **arguments;              /* main's */
static int argument_count;            /* of them */
static char program[PATH_MAX];        /* where we were started from */
static char who[32];                  /* in the log */

static void
open_log(void)
{
	log_open((enum log_level) config.log_level, (enum log_format) config.log_format, who);
}

static void
look_at_drain(struct timer *timer)
{
	bool done = session_count() == 0 && server_is_quiet() && presence_is_settled();

	if (done || loop_now() >= drain_deadline)
		loop_stop();
	else
		timer_set(timer, DRAIN_CHECK, look_at_drain);
}

static void
on_terminate(int signal)
{
	(void) signal;
	if (drain_timer.place != 0)
	{
		loop_stop();
		return;
	}
	log_write(LEVEL_INFO, "draining", "sessions=%u", session_count());
	timer_clear(&ready_timer);
	server_stop_accepting();
	session_drain();
	drain_deadline =
		loop_now() + (uint64_t) config.drain_seconds + (uint64_t) config.drain_timeout + DRAIN_GRACE;
	timer_set(&drain_timer, DRAIN_CHECK, look_at_drain);
}

static void
look_around(int signal)
{
	(void) signal;
	catalog_reload();
	cursor_ask();
}

/* Read the configuration again; `say` what has come of it. */
static bool
reload_config(bool say)
{
	struct buf changed = {0};
	struct buf waiting = {0};
	bool good = config_reload(argument_count, arguments, &changed, &waiting);

	open_log();
	if (say && !good)
		log_write(LEVEL_ERROR, "config_kept", "the new configuration is bad; the old one stays in force");
	else if (say)
		log_write(LEVEL_INFO, "config_reloaded", "changed: %s",
				  changed.length > 0 ? buf_text(&changed) : "nothing");
	if (say && waiting.length > 0)
		log_write(LEVEL_WARN, "config_waits", "changed, but needs SIGUSR2 or a restart: %s",
				  buf_text(&waiting));
	buf_free(&changed);
	buf_free(&waiting);
	return good;
}

static void
on_hangup(int signal)
{
	reload_config(false);
	look_around(signal);
}

static bool
reload_parent(void)
{
	return reload_config(true);
}

static void
look_if_ready(struct timer *timer)
{
	if (pool_is_ready() && hub_is_hearing() && catalog_is_ready())
		supervisor_ready();
	else
		timer_set(timer, READY_CHECK, look_if_ready);
}

/* Close the parent's other sockets: a worker must not keep a sibling's queue alive. */
static int
own_listener(int index)
{
	int own = listeners[index];

	for (int i = 0; i < config.workers; i++)
	{
		if (i != index)
			close(listeners[i]);
	}
	mem_free(listeners);
	return own;
}

static void
take_apart(void)
{
	server_close();
	span_close();
	oidc_close();
	pool_close();
	secrecy_close();
	upkeep_close();
	loop_settle();
	hub_close();
	alive_close();
	rate_close();
	openrpc_close();
	presence_close();
	catalog_close();
	account_close_all();
	session_tables_free();
	timer_close_all();
	if (!loop_close())
		log_write(LEVEL_WARN, "loop_not_empty", "something was left open");
	stats_log();
	config_free(&config);
}

static int
worker(int index)
{
	bool good;

	snprintf(who, sizeof who, "worker %d", index + 1);
	open_log();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* from a terminal; the parent sends SIGTERM */
	stats_join(index);
	loop_open();
	loop_on_signal(SIGTERM, on_terminate);
	loop_on_signal(SIGHUP, on_hangup);
	loop_on_signal(SIGUSR1, look_around);
	span_open();
	pool_open();
	hub_open();
	catalog_open();
	oidc_open();
	presence_open();
	if (index == 0)
	{
		secrecy_open();
		upkeep_open();
	}
	good = server_open(own_listener(index), metrics_listener);
	log_write(LEVEL_INFO, "worker_started", "listen=%s", config.listen);
	timer_set(&ready_timer, 0, look_if_ready);
	if (good)
		loop_run();
	take_apart();
	return good ? 0 : 1;
}

/* Whether a descriptor outlives the program. */
static void
set_inherited(int fd, bool inherited)
{
	fcntl(fd, F_SETFD, inherited ? 0 : FD_CLOEXEC);
}

/* The next one that the program before us left; -1: there is none. */
static int
inherited_listener(char **fds)
{
	char *end = NULL;
	long fd = *fds ? strtol(*fds, &end, 10) : -1;

	if (*fds == end)
		return -1;
	*fds = end;
	set_inherited((int) fd, false);
	return (int) fd;
}

static void
close_inherited(char *fds)
{
	int fd;

	while ((fd = inherited_listener(&fds)) >= 0)
		close(fd);
}

/*
 * One per worker: those that the program before us left, if they are for our address, and new ones. That for monitoring is
 * always new: a scrape that is lost is asked for again.
 */
static bool
open_listeners(const char *where, char *fds)
{
	if (where != NULL && strcmp(where, config.listen) != 0)
	{
		close_inherited(fds);
		fds = NULL;
	}
	listeners = mem_alloc((size_t) config.workers * sizeof *listeners);
	for (int i = 0; i < config.workers; i++)
	{
		listeners[i] = inherited_listener(&fds);
		if (listeners[i] < 0)
			listeners[i] = listen_open("listen", config.listen);
		if (listeners[i] < 0)
			return false;
	}
	close_inherited(fds);
	if (config.metrics_listen[0] == '\0')
		return true;
	metrics_listener = listen_open("metrics_listen", config.metrics_listen);
	return metrics_listener >= 0;
}

static int
patience(void)
{
	return config.drain_seconds + config.drain_timeout + 2 * DRAIN_GRACE;
}

/* Does the program that would take our place like its configuration? */
static bool
is_approved(void)
{
	char check[] = "--check";
	char **words = mem_alloc(((size_t) argument_count + 2) * sizeof *words);
	int status = -1;
	pid_t pid;

	memcpy(words, arguments, (size_t) argument_count * sizeof *words);
	words[argument_count] = check;
	pid = fork();
	if (pid == 0)
	{
		execv(program, words);
		_exit(127);
	}
	mem_free(words);
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Become the next program. */
static void
replace_parent(const char *pids)
{
	struct buf handover = {0};

	if (!is_approved())
	{
		log_write(LEVEL_ERROR, "not_replaced", "%s --check says no; we go on", program);
		return;
	}
	log_write(LEVEL_INFO, "replacing", "by %s; workers: %s", program, pids);
	buf_format(&handover, "%s|", config.listen);
	for (int i = 0; i < config.workers; i++)
	{
		set_inherited(listeners[i], true);
		buf_format(&handover, "%d ", listeners[i]);
	}
	buf_format(&handover, "|%s", pids);
	setenv(HANDOVER, buf_text(&handover), 1);
	buf_free(&handover);
	execv(program, arguments);
	log_write(LEVEL_ERROR, "not_replaced", "%s: %s", program, strerror(errno));
	unsetenv(HANDOVER);
	for (int i = 0; i < config.workers; i++)
		set_inherited(listeners[i], false);
}

/* Our own path, also when another file stands there later. */
static void
find_program(void)
{
	ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);

	program[length > 0 ? length : 0] = '\0';
}

/* What the program before us left, in three parts; the first is owned by the caller. NULL: there was none. */
static char *
take_handover(char **fds, char **pids)
{
	const char *text = getenv(HANDOVER);
	char *where = text ? mem_copy(text) : NULL;

	unsetenv(HANDOVER);
	*fds = where ? strchr(where, '|') : NULL;
	*pids = *fds ? strchr(*fds + 1, '|') : NULL;
	if (*pids == NULL)
	{
		mem_free(where);
		*fds = NULL;
		return NULL;
	}
	*(*fds)++ = '\0';
	*(*pids)++ = '\0';
	return where;
}

int
main(int argc, char **argv)
{
	static const struct supervisor_owner owner = {worker, patience, reload_parent, replace_parent};
	enum config_verdict verdict = config_load(argc, argv);
	char *where;
	char *fds;
	char *pids;
	int code = 1;

	if (verdict != CONFIG_RUN)
		return verdict == CONFIG_DONE ? 0 : exit_bad_config;
	arguments = argv;
	argument_count = argc;
	find_program();
	snprintf(who, sizeof who, "parent");
	open_log();
	where = take_handover(&fds, &pids);
	ticket_open();
	stats_share(config.workers);
	if (open_listeners(where, fds))
		code = supervise(config.workers, &owner, pids);
	mem_free(where);
	mem_free(listeners);
	config_free(&config);
	return code;
}

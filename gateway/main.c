/* SPDX-License-Identifier: PostgreSQL */
/*
 * main.c
 *	  chat-gateway: configuration, listening sockets, workers; and what a worker is made of.
 *
 * The parent reads the configuration, opens one listening socket per worker and supervises them (io/supervisor).
 * A worker puts its parts together in the order of the layers, runs the loop, and takes them apart in reverse:
 *
 *	  net/server	accepts
 *	  net/http		requests that are no upgrade: net/route says whose
 *	  net/ws		frame complete
 *	  codec/rpc		request
 *	  chat/session	logged in (chat/login, chat/oidc), within limits
 *	  chat/call		method from chat/catalog, arguments by name
 *	  pg/pool		the connection of this chat
 *	  pg/conn		sent, pipelined; answered after its Sync
 *	  pg/listener	notification
 *	  chat/feed		its users' sessions, from chat/hub and chat/large; one shared buffer
 *	  net/ws		written when the socket takes it
 *
 * SIGTERM in a worker: no more accepts, calls in flight are answered, sockets closed with 1001, exit 0. SIGHUP: the
 * catalog is read again, and how events are delivered, and the log's level.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "chat/alive.h"
#include "chat/catalog.h"
#include "chat/cursor.h"
#include "chat/hub.h"
#include "chat/oidc.h"
#include "chat/openrpc.h"
#include "chat/rate.h"
#include "chat/session.h"
#include "chat/span.h"
#include "chat/ticket.h"
#include "io/loop.h"
#include "io/supervisor.h"
#include "io/timer.h"
#include "net/listen.h"
#include "net/server.h"
#include "pg/pool.h"

#define DRAIN_CHECK 20   /* milliseconds between looks at what is left */
#define DRAIN_GRACE 3000 /* milliseconds beyond drain_timeout for close frames */

static int *listeners;                /* one per worker; the parent keeps all, a worker its own */
static struct timer drain_timer;      /* set while draining */
static uint64_t drain_deadline;       /* loop_now() when the worker ends whatever is left */
static const int exit_bad_config = 2; /* the usual code for bad usage */

static void
look_at_drain(struct timer *timer)
{
	if ((session_count() == 0 && server_is_quiet()) || loop_now() >= drain_deadline)
		loop_stop();
	else
		timer_set(timer, DRAIN_CHECK, look_at_drain);
}

static void
on_terminate(int signal)
{
	(void) signal;
	if (drain_timer.place != 0)
		return;
	log_write(LEVEL_INFO, "draining", "sessions=%u", session_count());
	server_stop_accepting();
	session_drain();
	drain_deadline = loop_now() + (uint64_t) config.drain_timeout + DRAIN_GRACE;
	timer_set(&drain_timer, DRAIN_CHECK, look_at_drain);
}

static void
on_hangup(int signal)
{
	(void) signal;
	config_reload();
	catalog_reload();
	cursor_ask();
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
	loop_settle();
	hub_close();
	alive_close();
	rate_close();
	openrpc_close();
	catalog_close();
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
	char who[32];
	bool good;

	snprintf(who, sizeof who, "worker %d", index + 1);
	log_open((enum log_level) config.log_level, (enum log_format) config.log_format, who);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* from a terminal; the parent sends SIGTERM */
	stats_join(index);
	loop_open();
	loop_on_signal(SIGTERM, on_terminate);
	loop_on_signal(SIGHUP, on_hangup);
	span_open();
	pool_open();
	hub_open();
	catalog_open();
	oidc_open();
	good = server_open(own_listener(index));
	log_write(LEVEL_INFO, "worker_started", "listen=%s", config.listen);
	if (good)
		loop_run();
	take_apart();
	return good ? 0 : 1;
}

static bool
open_listeners(void)
{
	listeners = mem_alloc((size_t) config.workers * sizeof *listeners);
	for (int i = 0; i < config.workers; i++)
	{
		listeners[i] = listen_open(config.listen);
		if (listeners[i] < 0)
			return false;
	}
	return true;
}

int
main(int argc, char **argv)
{
	enum config_verdict verdict = config_load(argc, argv);
	int code;

	if (verdict != CONFIG_RUN)
		return verdict == CONFIG_DONE ? 0 : exit_bad_config;
	log_open((enum log_level) config.log_level, (enum log_format) config.log_format, "parent");
	if (!open_listeners())
		return 1;
	ticket_open();
	stats_share(config.workers);
	code = supervise(config.workers, worker, config.drain_timeout + 2 * DRAIN_GRACE, config_reload);
	mem_free(listeners);
	config_free(&config);
	return code;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * link.c
 *	  One PostgreSQL connection on the loop: what the pool's connections and the listener have in common.
 *
 *	  WAITING --timer--> CONNECTING --PQconnectPoll OK--> SETTING_UP --setup done--> READY
 *	     ^                   |                                |                        |
 *	     +------- link_lost: failed, too slow, broken --------+------------------------+
 *
 * The pause before an attempt doubles from 0.2 s to 10 s and is drawn at random below that (full jitter), so that a
 * restarted server is not met by all connections of all workers at once. When one comes through, those of this worker that
 * wait for the same server begin with short pauses again: it is back.
 *
 * libpq tries the hosts of the string one after the other, but without blocking it waits for each as long as it takes.
 * So an attempt that took too long is followed by one that begins with the next host.
 *
 * libpq closes its socket whenever it likes (the next host, another SSL attempt), and a new one gets the same
 * number. So the loop watches a dup() of it, taken anew at each step of connecting. The watcher lives on its own
 * heap: libuv lets go of it a turn later than we do.
 *
 * Names in the connection string are resolved by libpq, which blocks: prefer a socket path or hostaddr.
 *
 * Called from: pg/conn, pg/listener. Calls: libpq, libuv, io/loop, io/timer.
 */
#include "pg/link.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "io/loop.h"
#include "io/timer.h"

#define CONNECT_TIMEOUT 5000  /* milliseconds from the first packet to READY */
#define BACKOFF_FIRST   200   /* milliseconds, upper end of the first pause */
#define BACKOFF_LAST    10000 /* milliseconds, upper end of any pause */
#define BACKOFF_LEAST   20    /* milliseconds, lower end of any pause */

enum link_state
{
	LINK_WAITING,
	LINK_CONNECTING,
	LINK_SETTING_UP,
	LINK_READY
};

/* libuv's watcher with the descriptor it watches; freed when libuv has let go. */
struct watch
{
	uv_poll_t poll;    /* libuv's */
	struct link *link; /* whose */
	int fd;            /* dup of libpq's, ours to close */
};

struct link
{
	struct list node;               /* in links */
	const char *name;               /* for the log; the owner's */
	const char *dsn;                /* connection string; the owner's */
	const char *setup;              /* SQL after connect; the owner's */
	const struct link_owner *owner; /* callbacks */
	void *arg;                      /* for them */
	enum link_state state;          /* see above */
	PGconn *pg;                     /* NULL in WAITING, else owned */
	struct watch *watch;            /* NULL in WAITING, else owned */
	struct timer timer;             /* the pause, or the limit on connecting */
	struct task reap;               /* frees it after link_close */
	unsigned failures;              /* attempts in a row that failed; bounds the pause */
	unsigned turn;                  /* which of several hosts is tried first */
};

static struct list links = {&links, &links}; /* struct link: all of this process */

static void attempt(struct timer *timer);

static void
watch_closed(uv_handle_t *handle)
{
	struct watch *watch = handle->data;

	close(watch->fd);
	mem_free(watch);
}

static void
unwatch(struct link *link)
{
	if (link->watch == NULL)
		return;
	link->watch->link = NULL;
	uv_poll_stop(&link->watch->poll);
	uv_close((uv_handle_t *) &link->watch->poll, watch_closed);
	link->watch = NULL;
}

void
link_lost(struct link *link, const char *reason)
{
	uint64_t bound = (uint64_t) BACKOFF_FIRST << (link->failures < 6 ? link->failures : 6);
	bool was_ready = link->state == LINK_READY;

	log_write(LEVEL_WARN, "conn_lost", "connection=%s reason=%s", link->name, reason);
	stats_add(STAT_CONNECTIONS_LOST, 1);
	unwatch(link);
	PQfinish(link->pg);
	link->pg = NULL;
	link->state = LINK_WAITING;
	link->failures++;
	bound = bound < BACKOFF_LAST ? bound : BACKOFF_LAST;
	timer_set(&link->timer, BACKOFF_LEAST + loop_random(bound), attempt);
	if (was_ready)
		link->owner->lost(link->arg);
}

/* With libpq's words, which die with the connection. */
static void
lost_with_words(struct link *link)
{
	char reason[256];

	snprintf(reason, sizeof reason, "%s", PQerrorMessage(link->pg));
	reason[strcspn(reason, "\n")] = '\0';
	link_lost(link, reason[0] ? reason : "closed by the server");
}

static void on_poll(uv_poll_t *handle, int status, int events);

/* Watch libpq's present socket for these events. */
static bool
watch_for(struct link *link, int events)
{
	struct watch *watch = link->watch;

	if (watch == NULL)
	{
		watch = mem_alloc(sizeof *watch);
		watch->fd = fcntl(PQsocket(link->pg), F_DUPFD_CLOEXEC, 0);
		if (watch->fd < 0 || uv_poll_init(loop_uv(), &watch->poll, watch->fd) != 0)
		{
			if (watch->fd >= 0)
				close(watch->fd);
			mem_free(watch);
			return false;
		}
		watch->poll.data = watch;
		watch->link = link;
		link->watch = watch;
	}
	return uv_poll_start(&watch->poll, events, on_poll) == 0;
}

void
link_flush(struct link *link)
{
	int more = PQflush(link->pg);

	if (more < 0)
		lost_with_words(link);
	else if (!watch_for(link, UV_READABLE | (more ? UV_WRITABLE : 0)))
		link_lost(link, "cannot watch the socket");
}

static void
set_up(struct link *link)
{
	link->state = LINK_SETTING_UP;
	unwatch(link);
	if (PQsetnonblocking(link->pg, 1) != 0 || PQsendQuery(link->pg, link->setup) != 1)
		lost_with_words(link);
	else
		link_flush(link);
}

static void
on_notice(void *arg, const char *message)
{
	struct link *link = arg;

	log_write(LEVEL_DEBUG, "notice", "connection=%s %s", link->name, message);
}

static void
connect_step(struct link *link)
{
	PostgresPollingStatusType status = PQconnectPoll(link->pg);

	if (status == PGRES_POLLING_OK)
		set_up(link);
	else if (status == PGRES_POLLING_FAILED)
		lost_with_words(link);
	else
	{
		unwatch(link);
		if (!watch_for(link, status == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE))
			link_lost(link, "cannot watch the socket");
	}
}

static void
wake_others(const struct link *link)
{
	struct list *node;
	struct list *after;

	list_each(node, after, &links)
	{
		struct link *other = list_entry(node, struct link, node);

		if (other->state != LINK_WAITING || other->failures == 0 || strcmp(other->dsn, link->dsn) != 0)
			continue;
		other->failures = 0;
		timer_set(&other->timer, BACKOFF_LEAST + loop_random(BACKOFF_FIRST), attempt);
	}
}

static void
set_up_step(struct link *link)
{
	while (!PQisBusy(link->pg))
	{
		PGresult *result = PQgetResult(link->pg);
		ExecStatusType status = PQresultStatus(result);

		PQclear(result);
		if (result == NULL)
		{
			link->state = LINK_READY;
			link->failures = 0;
			timer_clear(&link->timer);
			log_write(LEVEL_INFO, "conn_ready", "connection=%s backend=%d", link->name,
					  PQbackendPID(link->pg));
			wake_others(link);
			link->owner->ready(link->arg);
			return;
		}
		if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		{
			lost_with_words(link);
			return;
		}
	}
}

static void
on_input(struct link *link)
{
	if (PQconsumeInput(link->pg) != 1)
		lost_with_words(link);
	else if (link->state == LINK_SETTING_UP)
		set_up_step(link);
	else
		link->owner->readable(link->arg);
}

static void
on_poll(uv_poll_t *handle, int status, int events)
{
	struct watch *watch = handle->data;
	struct link *link = watch->link;

	if (link == NULL)
		return;
	if (link->state == LINK_CONNECTING)
	{
		connect_step(link);
		return;
	}
	if (status == 0 && (events & UV_WRITABLE))
		link_flush(link);
	if (link->pg != NULL && (status != 0 || (events & UV_READABLE)))
		on_input(link);
	if (status != 0 && watch->link != NULL)
		link_lost(link, "the connection was reset");
}

static void
too_slow(struct timer *timer)
{
	struct link *link = list_entry(timer, struct link, timer);

	link->turn++;
	link_lost(link, "connecting took too long");
}

/* A list with commas between, beginning with its turn-th item and going round; NULL when there is nothing to turn. Owned. */
static char *
rotate(const char *list, unsigned turn)
{
	unsigned count = 1;
	const char *from = list;
	char *out;

	for (const char *at = list; at != NULL && *at != '\0'; at++)
		count += *at == ',';
	if (list == NULL || turn % count == 0)
		return NULL;
	for (turn %= count; turn > 0; turn--)
		from = strchr(from, ',') + 1;
	out = mem_alloc(strlen(list) + 2);
	sprintf(out, "%s,%.*s", from, (int) (from - list - 1), list);
	return out;
}

/* Host, hostaddr and port of the connection string, as this attempt has them; NULL: as they stand there. Owned. */
static void
choose_hosts(const struct link *link, char *chosen[3])
{
	static const char *const names[] = {"host", "hostaddr", "port"};
	PQconninfoOption *options = PQconninfoParse(link->dsn, NULL);

	for (int i = 0; i < 3; i++)
	{
		chosen[i] = NULL;
		for (PQconninfoOption *at = options; at != NULL && at->keyword != NULL; at++)
		{
			if (strcmp(at->keyword, names[i]) == 0)
				chosen[i] = rotate(at->val, link->turn);
		}
	}
	PQconninfoFree(options);
}

/* A primary among several hosts, unless somebody said what it should be. */
static const char *
wanted_server(const char *dsn)
{
	PQconninfoOption *options = PQconninfoParse(dsn, NULL);
	bool several = false;
	bool said = getenv("PGTARGETSESSIONATTRS") != NULL;

	for (PQconninfoOption *at = options; at != NULL && at->keyword != NULL; at++)
	{
		if (at->val == NULL)
			continue;
		several = several || (strncmp(at->keyword, "host", 4) == 0 && strchr(at->val, ',') != NULL);
		said = said || strcmp(at->keyword, "target_session_attrs") == 0;
	}
	PQconninfoFree(options);
	return several && !said ? "read-write" : NULL;
}

/*
 * Our keywords stand before dbname, so that the connection string may say otherwise; where its hosts are tried in another
 * order, those stand behind. NULL is not said.
 */
static void
attempt(struct timer *timer)
{
	static const char *const keywords[] = {"application_name",
										   "client_encoding",
										   "tcp_user_timeout",
										   "keepalives_idle",
										   "keepalives_interval",
										   "keepalives_count",
										   "target_session_attrs",
										   "dbname",
										   "host",
										   "hostaddr",
										   "port",
										   NULL};
	struct link *link = list_entry(timer, struct link, timer);
	char *hosts[3];
	const char *values[12] = {"chat-gateway",           "UTF8",   "20000", "30", "5", "3",
							  wanted_server(link->dsn), link->dsn};

	choose_hosts(link, hosts);
	for (int i = 0; i < 3; i++)
		values[8 + i] = hosts[i];
	link->pg = PQconnectStartParams(keywords, values, 1);
	for (int i = 0; i < 3; i++)
		mem_free(hosts[i]);
	if (link->pg == NULL)
		link_lost(link, "out of memory");
	else if (PQstatus(link->pg) == CONNECTION_BAD)
		lost_with_words(link);
	else
	{
		link->state = LINK_CONNECTING;
		PQsetNoticeProcessor(link->pg, on_notice, link);
		timer_set(&link->timer, CONNECT_TIMEOUT, too_slow);
		if (!watch_for(link, UV_WRITABLE))
			link_lost(link, "cannot watch the socket");
	}
}

struct link *
link_open(const char *name, const char *dsn, const char *setup, const struct link_owner *owner, void *arg)
{
	struct link *link = mem_alloc(sizeof *link);

	link->name = name;
	link->dsn = dsn;
	link->setup = setup;
	link->owner = owner;
	link->arg = arg;
	list_append(&links, &link->node);
	timer_set(&link->timer, 0, attempt);
	return link;
}

static void
reap(struct task *task)
{
	mem_free(list_entry(task, struct link, reap));
}

void
link_close(struct link *link)
{
	list_remove(&link->node);
	timer_clear(&link->timer);
	unwatch(link);
	PQfinish(link->pg);
	link->pg = NULL;
	link->state = LINK_WAITING;
	link->reap.run = reap;
	loop_defer(&link->reap);
}

bool
link_is_ready(const struct link *link)
{
	return link->state == LINK_READY;
}

PGconn *
link_pg(struct link *link)
{
	return link->state == LINK_READY ? link->pg : NULL;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * listener.c
 *	  The worker's one LISTEN connection: channels counted, LISTENs batched, all of them renewed after a loss.
 *
 * 1. listener_add and listener_drop count who wants a channel and note those whose count left or reached zero as
 *	  dirty. At the end of the turn one query goes out for BATCH_LIMIT of them, unless one is on its way: then the next.
 * 2. The query has come back: its channels are heard (or no longer), the owner is told. A channel that was wanted
 *	  and dropped meanwhile is dirty again and goes with the next query.
 * 3. The connection was lost: the owner is told, all wanted channels are dirty, and he is told of each that is heard again.
 *
 *	  state of a channel: ABSENT --LISTEN sent--> ASKED --came back--> HEARD --UNLISTEN sent--> ABSENT
 *
 * A channel's name is a secret, so no statement has it, nor a parameter, which may be logged: chat.listen and chat.unlisten
 * take handles, the beginnings of names, and the server adds the rest.
 *
 * A NOTIFY that arrives for a channel nobody wants any more is passed on all the same; the owner knows its people.
 *
 * With `use_listen` off there is no connection: every channel counts as heard, and nothing ever comes.
 *
 * Called from: chat/hub, chat/channel, chat/cursor. Calls: pg/link, libpq, io/loop.
 */
#include "pg/listener.h"

#include <string.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "io/loop.h"
#include "pg/link.h"

#define BATCH_LIMIT   1000 /* channels of one query */
#define HANDLE_LENGTH 23   /* characters of a name; a shorter one is no secret and its own handle */

enum channel_state
{
	CHANNEL_ABSENT,
	CHANNEL_ASKED,
	CHANNEL_HEARD
};

struct channel
{
	struct list node;         /* in dirty or asked, else alone */
	int wanted;               /* listener_add minus listener_drop */
	enum channel_state state; /* what the server knows */
	char name[];              /* as given */
};

static struct link *link_to_server; /* owned, from listener_open to listener_close; NULL: use_listen is off */
static const struct listener_owner *owner; /* whom to tell */
static struct hash *channels;              /* struct channel by name; owned */
static struct list dirty;                  /* channels whose state is not what is wanted */
static struct list asked;                  /* channels of the LISTENs in the query on its way */
static bool busy;                          /* a query is on its way */
static struct task flush_task;             /* flush() at the end of the turn */

static bool
is_settled(const struct channel *channel)
{
	return channel->state == (channel->wanted > 0 ? CHANNEL_HEARD : CHANNEL_ABSENT);
}

static void
mark_dirty(struct channel *channel)
{
	list_remove(&channel->node);
	list_append(&dirty, &channel->node);
	loop_defer(&flush_task);
}

static void
forget(struct channel *channel)
{
	list_remove(&channel->node);
	hash_remove(channels, channel->name);
	mem_free(channel);
}

/* An element of an array literal: handles have nothing in them that would have to be quoted. */
static void
add_handle(struct buf *handles, const char *name)
{
	buf_add_char(handles, handles->length == 0 ? '{' : ',');
	buf_add(handles, name, strnlen(name, HANDLE_LENGTH));
}

/* In the query: to be listened to, or no longer. */
static void
add_channel(struct buf *listen, struct buf *unlisten, struct channel *channel)
{
	list_remove(&channel->node);
	if (channel->wanted > 0 && channel->state == CHANNEL_HEARD)
		return;
	if (channel->wanted > 0)
	{
		add_handle(listen, channel->name);
		channel->state = CHANNEL_ASKED;
		list_append(&asked, &channel->node);
		return;
	}
	if (channel->state == CHANNEL_HEARD)
		add_handle(unlisten, channel->name);
	forget(channel);
}

static void
send_query(struct buf *listen, struct buf *unlisten)
{
	const char *values[2];

	buf_add_text(listen, listen->length == 0 ? "{}" : "}");
	buf_add_text(unlisten, unlisten->length == 0 ? "{}" : "}");
	values[0] = buf_text(listen);
	values[1] = buf_text(unlisten);

	busy = true;
	if (PQsendQueryParams(link_pg(link_to_server),
						  "SELECT chat.listen($1::text[]), chat.unlisten($2::text[])", 2, NULL, values, NULL,
						  NULL, 0) == 1)
		link_flush(link_to_server);
	else
		link_lost(link_to_server, "cannot send");
}

static void
flush(struct task *task)
{
	struct buf listen = {0};
	struct buf unlisten = {0};

	(void) task;
	if (busy || !link_is_ready(link_to_server) || list_empty(&dirty))
		return;
	for (int i = 0; i < BATCH_LIMIT && !list_empty(&dirty); i++)
		add_channel(&listen, &unlisten, list_entry(dirty.next, struct channel, node));
	if (listen.length > 0 || unlisten.length > 0)
		send_query(&listen, &unlisten);
	else if (!list_empty(&dirty))
		loop_defer(&flush_task);
	buf_free(&listen);
	buf_free(&unlisten);
}

/* The query is over: what it asked for is heard. */
static void
on_query_end(void)
{
	struct list *node;

	busy = false;
	while ((node = list_shift(&asked)) != NULL)
	{
		struct channel *channel = list_entry(node, struct channel, node);

		channel->state = CHANNEL_HEARD;
		if (!is_settled(channel))
			mark_dirty(channel);
		else
			owner->listening(channel->name);
	}
	loop_defer(&flush_task);
}

static void
take_results(PGconn *pg)
{
	while (busy && !PQisBusy(pg))
	{
		PGresult *result = PQgetResult(pg);
		bool good = PQresultStatus(result) == PGRES_TUPLES_OK;

		PQclear(result);
		if (result == NULL)
			on_query_end();
		else if (!good)
		{
			link_lost(link_to_server, PQerrorMessage(pg));
			return;
		}
	}
}

static void
on_readable(void *arg)
{
	PGnotify *notify;

	(void) arg;
	take_results(link_pg(link_to_server));
	while (link_is_ready(link_to_server) && (notify = PQnotifies(link_pg(link_to_server))) != NULL)
	{
		owner->notified(notify->relname, notify->extra);
		PQfreemem(notify);
	}
}

static void
on_ready(void *arg)
{
	(void) arg;
	stats_move(GAUGE_LISTENING, 1);
	loop_defer(&flush_task);
}

static void
on_lost(void *arg)
{
	size_t cursor = 0;
	struct channel *channel;

	(void) arg;
	stats_move(GAUGE_LISTENING, -1);
	stats_add(STAT_LISTEN_LOST, 1);
	busy = false;
	while ((channel = hash_next(channels, &cursor, NULL)) != NULL)
	{
		channel->state = CHANNEL_ABSENT;
		mark_dirty(channel);
	}
	owner->lost();
}

void
listener_open(const struct listener_owner *the_owner)
{
	static const struct link_owner link_owner = {on_ready, on_readable, on_lost};
	const char *dsn = config.listen_database[0] ? config.listen_database : config.database;

	owner = the_owner;
	channels = hash_create();
	list_init(&dirty);
	list_init(&asked);
	flush_task.run = flush;
	if (config.use_listen)
		link_to_server = link_open(
			"listen", dsn, "SET search_path = pg_catalog; SET idle_session_timeout = 0", &link_owner, NULL);
}

void
listener_close(void)
{
	size_t cursor = 0;
	struct channel *channel;

	loop_forget(&flush_task);
	if (link_to_server != NULL)
		link_close(link_to_server);
	while ((channel = hash_next(channels, &cursor, NULL)) != NULL)
		mem_free(channel);
	hash_destroy(channels);
}

bool
listener_add(const char *name)
{
	struct channel *channel = hash_get(channels, name);

	if (link_to_server == NULL)
		return true;
	if (channel == NULL)
	{
		channel = mem_alloc(sizeof *channel + strlen(name) + 1);
		strcpy(channel->name, name);
		list_init(&channel->node);
		hash_put(channels, name, channel);
	}
	channel->wanted++;
	if (channel->state == CHANNEL_ABSENT)
		mark_dirty(channel);
	return channel->state == CHANNEL_HEARD;
}

void
listener_drop(const char *name)
{
	struct channel *channel = hash_get(channels, name);

	if (channel != NULL && --channel->wanted == 0 && channel->state != CHANNEL_ASKED)
		mark_dirty(channel);
}

bool
listener_hears(const char *name)
{
	const struct channel *channel = hash_get(channels, name);

	return link_to_server == NULL || (channel != NULL && channel->state == CHANNEL_HEARD);
}

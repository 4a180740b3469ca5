/* SPDX-License-Identifier: PostgreSQL */
/*
 * walk.c
 *	  An event on its way to all sessions it is for; or several of them, for the same sessions, in one go.
 *
 *	  sessions collected --walk_begin--> [the same ones collected again --walk_join-->] … walk_on, some a turn --> over
 *
 * 1. Receivers are kept as handles: sessions may go meanwhile. One in a replay is not pushed to: replay.c sees to the
 *	  event.
 * 2. The text of an event is relayed as it is, in one buffer that all share.
 * 3. To write to a socket costs more than all else, however little it is. So events that wait for the same receivers go to
 *	  each of them together, in their order, and leave in one write (net/ws.c). They are no more than WALK_TOGETHER, so that
 *	  a turn's work stays bounded. It is as if all of them had been walked at the moment when they were collected.
 *
 * Called from: chat/feed. Calls: chat/session, chat/replay, codec/rpc, codec/time.
 */
#include "chat/walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/stats.h"
#include "chat/hub.h"
#include "chat/replay.h"
#include "codec/rpc.h"
#include "codec/time.h"
#include "io/loop.h"

struct walked
{
	struct message *message; /* owned reference */
	struct event_key key;    /* of the event; type is not kept */
	int64_t happened;        /* when the event did, in milliseconds since 1970; 0: not known */
};

static struct walked events[WALK_TOGETHER]; /* the first event_count are on their way */
static int event_count;                     /* 0: none is */
static int64_t cursor;                      /* what the only one is; 0: an event */
static uint64_t *sessions;                  /* handles of the receivers; owned, kept for the next walk */
static size_t size;                         /* room in sessions */
static size_t collected;                    /* of sessions, with those for walk_join */
static size_t count;                        /* of sessions, once the walk has begun */
static size_t at;                           /* the next one */

void
walk_collect(struct session *session, void *arg)
{
	(void) arg;
	if (collected == size)
	{
		size = size ? 2 * size : 64;
		sessions = mem_resize(sessions, size * sizeof *sessions);
	}
	sessions[collected++] = session_handle(session);
}

void
walk_collect_user(struct roster_user *chats, void *arg)
{
	struct hub_user *user = list_entry(chats, struct hub_user, chats);
	struct list *node;
	struct list *after;

	list_each(node, after, &user->sessions)
	{
		walk_collect(list_entry(node, struct session, neighbours), arg);
	}
}

static struct walked *
add(const char *method, const char *params, size_t length)
{
	struct walked *walked = &events[event_count++];
	struct buf text = {0};

	rpc_write_notification(&text, method, params, length);
	*walked = (struct walked){.message = message_create(text.data, text.length)};
	buf_free(&text);
	return walked;
}

static void
add_event(const struct notification *notification)
{
	struct walked *walked = add("event", notification->event.text, notification->event.length);

	walked->key = (struct event_key){.chat_id = notification->chat_id, .id = notification->id};
	walked->happened = time_milliseconds(notification->at.text, notification->at.length);
}

void
walk_begin(const struct notification *notification)
{
	count = collected;
	if (count > 0)
		add_event(notification);
}

void
walk_begin_cursor(int64_t the_cursor)
{
	char params[48];
	int length = snprintf(params, sizeof params, "{\"cursor\":\"%" PRId64 "\"}", the_cursor);

	count = collected;
	cursor = the_cursor;
	if (count > 0)
		add("cursor", params, (size_t) length);
}

bool
walk_join(const struct notification *notification)
{
	bool same = event_count < WALK_TOGETHER && collected == 2 * count &&
				memcmp(sessions, sessions + count, count * sizeof *sessions) == 0;

	collected = count;
	if (same)
		add_event(notification);
	return same;
}

void
walk_cancel(void)
{
	collected = count = at = 0;
	cursor = 0;
}

void
walk_replay(void)
{
	for (size_t i = 0; i < collected; i++)
	{
		struct session *session = session_find(sessions[i]);

		if (session != NULL)
			replay_from_cursor(session, INT64_MAX);
	}
	walk_cancel();
}

static void
pass_on(struct session *session)
{
	for (int i = 0; i < event_count; i++)
	{
		if (cursor != 0)
			session_push_cursor(session, events[i].message, cursor);
		else if (!replay_takes(session, events[i].message, &events[i].key))
			session_push_event(session, events[i].message);
	}
}

/* So many sockets have them now. The database's clock is not ours: what seems to come from the future took no time. */
static void
count_pushes(int pushes)
{
	int64_t now;

	if (pushes == 0)
		return;
	now = loop_date();
	for (int i = 0; i < event_count; i++)
	{
		int64_t delay = now - events[i].happened;

		if (events[i].happened != 0)
			stats_observe(HISTOGRAM_EVENTS, delay > 0 ? (uint64_t) delay * 1000000 : 0,
						  (unsigned long) pushes);
	}
}

bool
walk_is_on(void)
{
	return event_count > 0;
}

static void
end(void)
{
	while (event_count > 0)
		message_release(events[--event_count].message);
	walk_cancel();
}

int
walk_on(int most)
{
	int pushes = 0;

	while (at < count && pushes < most)
	{
		struct session *session = session_find(sessions[at++]);

		if (session == NULL || session->user_id == 0)
			continue;
		pushes++;
		pass_on(session);
	}
	count_pushes(pushes);
	if (at == count)
		end();
	return pushes;
}

void
walk_close(void)
{
	end();
	mem_free(sessions);
	sessions = NULL;
	size = 0;
}

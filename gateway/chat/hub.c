/* SPDX-License-Identifier: PostgreSQL */
/*
 * hub.c
 *	  Who hears what: the users of this worker, with their sessions and their channels.
 *
 *	  users: id -> user -> its sessions, its channel (which several may share), the large chats he is in
 *
 *	  a user:	UNHEARD --LISTEN is back--> WAITING --asked--> ASKED --large chats read--> KNOWN
 *				   \__ connection lost: all __/		  ^____ changed meanwhile ____/
 *
 * 1. A session joins its user when its login was checked. The first one makes the user: his channel is listened to,
 *	  then the large chats he is in are read (large.c), then he is KNOWN and the login is answered, so that no event is
 *	  missed in between. It is done once for the user, not for each socket.
 * 2. What the LISTEN connection brings goes to feed.c, in its order.
 * 3. When the connection was lost, what is known of large chats is forgotten at once, since whom somebody took out of one
 *	  meanwhile must hear no more. When all is heard and read again everybody who is logged in gets `resync`.
 * 4. A user's channel is the one that his last login named: whoever changes chat.user_channels moves users as they come.
 *
 * Users and channels left by their last session go at the end of the turn: an overflowing socket may be closed in the
 * midst of a relay.
 *
 * Called from: chat/login, chat/session, chat/large, chat/feed, pg/listener. Calls: chat/large, chat/feed, pg/listener.
 */
#include "chat/hub.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "chat/catalog.h"
#include "chat/feed.h"
#include "chat/large.h"
#include "chat/login.h"
#include "pg/listener.h"

#define SCHEMA_CHANNEL "chat_schema" /* functions have changed */

struct hub_channel
{
	struct list users; /* struct hub_user by neighbours */
	char name[];       /* as the listener knows it */
};

static struct hash *users;    /* struct hub_user by id; owned */
static struct hash *channels; /* struct hub_channel by name; owned */

static struct hub_channel *
channel_named(const char *name)
{
	struct hub_channel *channel = hash_get(channels, name);

	if (channel == NULL)
	{
		channel = mem_alloc(sizeof *channel + strlen(name) + 1);
		strcpy(channel->name, name);
		list_init(&channel->users);
		hash_put(channels, name, channel);
	}
	return channel;
}

static void
leave_channel(struct hub_user *user)
{
	struct hub_channel *channel = user->channel;

	large_forget(user);
	if (channel == NULL)
		return;
	user->channel = NULL;
	list_remove(&user->neighbours);
	listener_drop(channel->name);
	if (!list_empty(&channel->users))
		return;
	hash_remove(channels, channel->name);
	mem_free(channel);
}

static void
join_channel(struct hub_user *user, const char *name)
{
	user->channel = channel_named(name);
	list_append(&user->channel->users, &user->neighbours);
	if (listener_add(name))
		large_read(user);
}

static void
reap_user(struct task *task)
{
	struct hub_user *user = list_entry(task, struct hub_user, reap);

	if (!list_empty(&user->sessions))
		return;
	leave_channel(user);
	hash_remove(users, user->id);
	mem_free(user);
}

static struct hub_user *
user_with_id(int64_t user_id)
{
	struct hub_user *user;
	char id[24];

	snprintf(id, sizeof id, "%" PRId64, user_id);
	user = hash_get(users, id);
	if (user == NULL)
	{
		user = mem_alloc(sizeof *user);
		list_init(&user->neighbours);
		list_init(&user->sessions);
		list_init(&user->reading);
		roster_init(&user->chats);
		user->reap.run = reap_user;
		memcpy(user->id, id, sizeof id);
		hash_put(users, id, user);
	}
	return user;
}

bool
hub_join(struct session *session, int64_t user_id, const char *channel)
{
	struct hub_user *user = user_with_id(user_id);

	if (user->channel == NULL || !hub_is_on(user, channel))
	{
		leave_channel(user);
		join_channel(user, channel);
	}
	session->user = user;
	list_append(&user->sessions, &session->neighbours);
	return user->state == USER_KNOWN;
}

void
hub_leave(struct session *session)
{
	struct hub_user *user = session->user;

	if (user == NULL)
		return;
	session->user = NULL;
	list_remove(&session->neighbours);
	if (list_empty(&user->sessions))
		loop_defer(&user->reap);
}

struct hub_user *
hub_find(const char *id)
{
	return hash_get(users, id);
}

bool
hub_is_on(const struct hub_user *user, const char *channel)
{
	return strcmp(user->channel->name, channel) == 0;
}

void
hub_known(struct hub_user *user)
{
	struct list *node;
	struct list *after;

	user->state = USER_KNOWN;
	list_each(node, after, &user->sessions)
	{
		login_heard(list_entry(node, struct session, neighbours));
	}
}

void
hub_each_session(hub_visit_fn visit, void *arg)
{
	size_t cursor = 0;
	struct hub_user *user;
	struct list *node;
	struct list *after;

	while ((user = hash_next(users, &cursor, NULL)) != NULL)
	{
		list_each(node, after, &user->sessions)
		{
			visit(list_entry(node, struct session, neighbours), arg);
		}
	}
}

void
hub_lose_track(void)
{
	size_t cursor = 0;
	struct hub_user *user;

	while ((user = hash_next(users, &cursor, NULL)) != NULL)
	{
		if (user->state != USER_UNHEARD)
			large_read(user);
	}
	large_resync();
}

static void
on_listening(const char *name)
{
	struct hub_channel *channel = hash_get(channels, name);
	struct list *node;
	struct list *after;

	if (strcmp(name, SCHEMA_CHANNEL) == 0)
		catalog_reload(); /* for what changed while nobody listened */
	if (channel == NULL)
	{
		large_heard(name);
		return;
	}
	list_each(node, after, &channel->users)
	{
		large_read(list_entry(node, struct hub_user, neighbours));
	}
}

static void
on_notified(const char *channel, const char *payload)
{
	if (strcmp(channel, SCHEMA_CHANNEL) == 0)
		catalog_reload();
	else
		feed_take(channel, payload);
}

static void
on_lost(void)
{
	size_t cursor = 0;
	struct hub_user *user;

	large_unheard();
	while ((user = hash_next(users, &cursor, NULL)) != NULL)
		large_forget(user);
}

void
hub_open(void)
{
	static const struct listener_owner owner = {on_listening, on_notified, on_lost, large_resync};

	users = hash_create();
	channels = hash_create();
	feed_open();
	listener_open(&owner);
	listener_add(SCHEMA_CHANNEL);
	large_open();
}

void
hub_close(void)
{
	listener_close();
	large_close();
	feed_close();
	hash_destroy(channels);
	hash_destroy(users);
}

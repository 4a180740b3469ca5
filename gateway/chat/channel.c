/* SPDX-License-Identifier: PostgreSQL */
/*
 * channel.c
 *	  The channels that users and large chats are heard on: what they are called, and who is on which.
 *
 *	  channels: name -> channel -> its users (one, or with chat.user_channels = shared all)
 *	  chats: the channels of all large chats, whoever is in them, and that of the markers (cursor.c)
 *
 *	  a user:	UNNAMED --name read--> UNHEARD --LISTEN is back--> large.c: WAITING …
 *
 * 1. A user's first name comes with his login, and is compared once more when he is heard (login.c).
 * 2. Names may change: rotate_channel_key() makes all of them new and publishes `chat_resync`. So after a loss, or a
 *	  chat_resync, all names are read again, and not before chat_resync itself is heard: what changes after the reading
 *	  is announced there. Names that stayed are heard already; new ones are listened to.
 * 3. A transaction that took a name before it changed may commit, and notify there, much later. So a former channel is
 *	  heard, and counts as the user's, until a marker has come back whose horizon is beyond the time when the new name was
 *	  read: every transaction begun before that has ended then, and what it published has arrived. And for FORMER_TIME: a
 *	  backend hears of a new key a moment after its commit, and may begin a transaction with the old one until then.
 *
 * With `use_listen` off there is no channel to be heard on, and everything counts as heard.
 *
 * Called from: chat/hub, chat/large, chat/feed, chat/cursor, chat/login. Calls: chat/large, pg/pool, pg/listener.
 */
#include "chat/channel.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "chat/hub.h"
#include "chat/large.h"
#include "io/loop.h"
#include "io/timer.h"
#include "pg/listener.h"
#include "pg/pool.h"

#define READ_LIMIT  1000 /* users of one query */
#define RETRY_AFTER 500  /* milliseconds after a query that failed */
#define FORMER_TIME 5000 /* milliseconds that a former channel is heard at least */

struct hub_channel
{
	struct list users; /* struct hub_user by neighbours */
	char name[];       /* as the listener knows it */
};

/* What a user was heard on before. */
struct former
{
	struct list of_user; /* in user->formers */
	char name[];         /* as the listener knows it */
};

/* The channel of some large chats. */
struct chat_channel
{
	bool present; /* in use; else a former one */
	char name[];  /* as the listener knows it */
};

static struct hash *channels;  /* struct hub_channel by name; owned */
static struct hash *chats;     /* struct chat_channel by name; owned */
static bool chats_due;         /* their names are to be read, or being read */
static bool chats_heard;       /* all present ones are */
static struct list unnamed;    /* struct hub_user by reading: USER_UNNAMED */
static struct list asked;      /* the same, in the query under way */
static int64_t former_until;   /* former channels are kept until a horizon passes this; 0: there are none */
static uint64_t former_since;  /* loop_now() when the last of them became one */
static bool busy;              /* `call` is under way */
static bool outdated;          /* it asks for the chats' names, which may have changed again since */
static struct pg_call call;    /* of either statement */
static struct buf asked_ids;   /* its parameter */
static const char *values[1];  /* the same */
static const int text_only[1]; /* length and format of it */
static struct timer retry;     /* set after a failure */

static const struct pg_statement list_chats = {
	"list_chat_channels", "SELECT name, " CHANNEL_NOW " FROM chat.list_chat_channels() AS name", 0};
static const struct pg_statement list_users = {
	"list_user_channels", "SELECT id, chat.user_channel(id), " CHANNEL_NOW " FROM unnest($1::bigint[]) AS id",
	1};

static void ask(void);

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

/* Off the list of his channel; the listener still hears it for him. */
static void
part(struct hub_user *user)
{
	struct hub_channel *channel = user->channel;

	user->channel = NULL;
	list_remove(&user->neighbours);
	if (!list_empty(&channel->users))
		return;
	hash_remove(channels, channel->name);
	mem_free(channel);
}

static void
drop_formers(struct hub_user *user)
{
	struct list *node;

	while ((node = list_shift(&user->formers)) != NULL)
	{
		struct former *former = list_entry(node, struct former, of_user);

		listener_drop(former->name);
		mem_free(former);
	}
}

void
channel_join(struct hub_user *user, const char *name)
{
	user->channel = channel_named(name);
	list_append(&user->channel->users, &user->neighbours);
	user->state = USER_UNHEARD;
	if (listener_add(name))
		large_read(user);
}

void
channel_leave(struct hub_user *user)
{
	large_forget(user);
	drop_formers(user);
	if (user->channel == NULL)
		return;
	listener_drop(user->channel->name);
	part(user);
}

bool
channel_is_now(const struct hub_user *user, const char *name)
{
	return user->channel != NULL && strcmp(user->channel->name, name) == 0;
}

bool
channel_is_of(const struct hub_user *user, const char *name)
{
	if (channel_is_now(user, name))
		return true;
	for (struct list *node = user->formers.next; node != &user->formers; node = node->next)
	{
		if (strcmp(list_entry(node, struct former, of_user)->name, name) == 0)
			return true;
	}
	return false;
}

/* There are some; `now` is when. */
static void
keep_formers(int64_t now)
{
	former_until = now > former_until ? now : former_until;
	former_since = loop_now();
}

void
channel_rename(struct hub_user *user, const char *name, int64_t now)
{
	const char *old = user->channel->name;
	struct former *former = mem_alloc(sizeof *former + strlen(old) + 1);

	strcpy(former->name, old);
	list_append(&user->formers, &former->of_user);
	keep_formers(now);
	part(user);
	large_forget(user);
	channel_join(user, name);
}

static void
retry_now(struct timer *timer)
{
	(void) timer;
	ask();
}

static void
submit(const struct pg_statement *statement,
	   void (*done)(struct pg_call *, enum pg_verdict, const struct pg_result *))
{
	busy = true;
	values[0] = buf_text(&asked_ids);
	call = (struct pg_call){.statement = statement,
							.values = values,
							.lengths = text_only,
							.formats = text_only,
							.lane = LANE_OWN,
							.repeatable = true,
							.done = done};
	pool_submit(&call);
}

static void
go_on(const struct pg_call *from, bool good)
{
	busy = false;
	if (good)
	{
		ask();
		return;
	}
	log_write(LEVEL_WARN, "channels_not_read", "%s failed, is tried again", from->statement->name);
	timer_set(&retry, RETRY_AFTER, retry_now);
}

static int64_t
id_value(const struct pg_result *result, int row, int column)
{
	return strtoll(result_value(result, row, column, NULL), NULL, 10);
}

/* The names of now: new ones are listened to, what is not among them is a former one. */
static void
take_chats(const struct pg_result *result, int count)
{
	size_t cursor = 0;
	struct chat_channel *chat;

	while ((chat = hash_next(chats, &cursor, NULL)) != NULL)
		chat->present = false;
	for (int i = 0; i < count; i++)
	{
		const char *name = result_value(result, i, 0, NULL);

		chat = hash_get(chats, name);
		if (chat == NULL)
		{
			chat = mem_alloc(sizeof *chat + strlen(name) + 1);
			strcpy(chat->name, name);
			hash_put(chats, name, chat);
			listener_add(name);
		}
		chat->present = true;
	}
	if (hash_count(chats) > (size_t) count)
		keep_formers(id_value(result, 0, 1));
}

static void
look_at_chats(void)
{
	size_t cursor = 0;
	struct chat_channel *chat;

	if (chats_due)
		return;
	while ((chat = hash_next(chats, &cursor, NULL)) != NULL)
	{
		if (chat->present && !listener_hears(chat->name))
			return;
	}
	chats_heard = true;
	large_go_on();
}

static void
on_chats(struct pg_call *from, enum pg_verdict verdict, const struct pg_result *result)
{
	int count = verdict == PG_DONE ? result_rows(result) : 0;

	if (count > 0)
	{
		chats_due = outdated;
		take_chats(result, count);
		look_at_chats();
	}
	go_on(from, count > 0);
}

/* His name is known: is it heard? */
static void
named(struct hub_user *user, const char *name, int64_t now)
{
	if (user->channel == NULL)
		channel_join(user, name);
	else if (!channel_is_now(user, name))
		channel_rename(user, name, now);
	else if (listener_hears(name))
		large_read(user);
	else
		user->state = USER_UNHEARD;
}

static void
on_users(struct pg_call *from, enum pg_verdict verdict, const struct pg_result *result)
{
	int count = verdict == PG_DONE ? result_rows(result) : 0;
	struct list *node;

	for (int i = 0; i < count; i++)
	{
		struct hub_user *user = hub_find(result_value(result, i, 0, NULL));

		if (user == NULL || user->state != USER_NAMING)
			continue;
		list_remove(&user->reading);
		named(user, result_value(result, i, 1, NULL), id_value(result, i, 2));
	}
	while ((node = list_shift(&asked)) != NULL)
		channel_doubt(list_entry(node, struct hub_user, reading));
	go_on(from, verdict == PG_DONE);
}

static void
ask_for_users(void)
{
	buf_clear(&asked_ids);
	for (int i = 0; i < READ_LIMIT && !list_empty(&unnamed); i++)
	{
		struct hub_user *user = list_entry(list_shift(&unnamed), struct hub_user, reading);

		user->state = USER_NAMING;
		list_append(&asked, &user->reading);
		buf_add_char(&asked_ids, i == 0 ? '{' : ',');
		buf_add_text(&asked_ids, user->id);
	}
	buf_add_char(&asked_ids, '}');
	submit(&list_users, on_users);
}

/* Do what is to be done next, if it can be done now. */
static void
ask(void)
{
	struct list *node;

	if (!config.use_listen)
	{
		while ((node = list_shift(&unnamed)) != NULL)
			large_read(list_entry(node, struct hub_user, reading));
		return;
	}
	if (busy || retry.place != 0 || !listener_hears(CHANNEL_RESYNC))
		return;
	if (chats_due)
	{
		outdated = false;
		submit(&list_chats, on_chats);
	}
	else if (!list_empty(&unnamed))
		ask_for_users();
}

void
channel_doubt(struct hub_user *user)
{
	large_forget(user);
	user->state = USER_UNNAMED;
	list_append(&unnamed, &user->reading);
}

void
channel_name(struct hub_user *user)
{
	channel_doubt(user);
	ask();
}

void
channel_read_again(void)
{
	chats_due = outdated = config.use_listen;
	chats_heard = !config.use_listen;
	ask();
}

bool
channel_chats_heard(void)
{
	return chats_heard;
}

void
channel_heard(const char *name)
{
	struct hub_channel *channel = hash_get(channels, name);
	struct list *node;
	struct list *after;

	if (strcmp(name, CHANNEL_RESYNC) == 0)
		ask();
	else if (channel == NULL)
		look_at_chats();
	else
		list_each(node, after, &channel->users)
		{
			struct hub_user *user = list_entry(node, struct hub_user, neighbours);

			if (user->state == USER_UNHEARD)
				large_read(user);
		}
}

static void
drop_former_chats(void)
{
	size_t cursor = 0;
	struct chat_channel *chat;

	while ((chat = hash_next(chats, &cursor, NULL)) != NULL)
	{
		if (chat->present)
			continue;
		listener_drop(chat->name);
		hash_remove(chats, chat->name);
		mem_free(chat);
		cursor = 0;
	}
}

static void
drop_formers_of(struct hub_user *user, void *arg)
{
	(void) arg;
	drop_formers(user);
}

void
channel_passed(int64_t horizon)
{
	if (former_until == 0 || horizon <= former_until || chats_due || loop_now() < former_since + FORMER_TIME)
		return;
	former_until = 0;
	drop_former_chats();
	hub_each_user(drop_formers_of, NULL);
}

void
channel_open(void)
{
	list_init(&unnamed);
	list_init(&asked);
	channels = hash_create();
	chats = hash_create();
	listener_add(CHANNEL_RESYNC);
	channel_read_again();
}

void
channel_close(void)
{
	size_t cursor = 0;
	struct chat_channel *chat;

	timer_clear(&retry);
	while ((chat = hash_next(chats, &cursor, NULL)) != NULL)
		mem_free(chat);
	hash_destroy(chats);
	hash_destroy(channels);
	buf_free(&asked_ids);
}

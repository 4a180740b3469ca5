/* SPDX-License-Identifier: PostgreSQL */
/*
 * hub.c
 *	  Who hears what: the users of this worker, with their sessions; and what is done when something was not heard.
 *
 *	  users: id -> user -> his sessions, his channel (channel.c), the large chats he is in (large.c)
 *
 *	  a user:	UNNAMED --name read--> UNHEARD --LISTEN is back--> WAITING --asked--> ASKED --chats read--> KNOWN
 *				   \__ connection lost, notifications lost, or dropped: all __________________________________/
 *
 * 1. A session joins its user when its login was checked. The first one makes the user: his channel is listened to,
 *	  then the large chats he is in are read, then he is KNOWN and the login is answered. It is done once for the user, not
 *	  for each socket.
 * 2. What the LISTEN connection brings goes to feed.c, in its order.
 * 3. Whenever something may not have been heard, users cease to be KNOWN at once, and each of their sessions enters a
 *	  replay (replay.c) from its own cursor; it begins when its user is KNOWN again. That is the case when
 *	    - the LISTEN connection was lost,
 *	    - `chat_resync` says that notifications were lost, or that channels have other names now,
 *	    - the feed's queue was dropped, or delivery has another mode (cursor.c),
 *	    - one user's channel turned out to have another name (login.c): for him alone.
 *	  What is known of large chats is forgotten with it, since whom somebody took out of one meanwhile must hear no more.
 * 4. Any login can send `chat_resync`. One round a RESYNC_PAUSE is begun for it, and none while replays wait for their
 *	  turn. While a round is put off, live events go on, but no cursor moves: when it begins, it begins from before the loss.
 *
 * Why nothing is lost: a session's cursor c says that all events up to c were pushed to it, or were to be seen when its
 * login was answered (login.c). A replay reads all events from c on that are to be seen when its last page is read, and
 * that is after the user was KNOWN; what becomes visible later is published later, hence heard, hence held or pushed live
 * (replay.c). Cursors move by answers, by replays, and by markers (cursor.c), which arrive behind all events they
 * stand for.
 *
 * Whoever watches presence (watch.c) has a user without sessions attended: he is heard, renamed and read again as all are.
 *
 * Users left by their last session go at the end of the turn: an overflowing socket may be closed in the midst of a relay.
 *
 * Called from: chat/login, chat/session, chat/channel, chat/large, chat/feed, chat/cursor, pg/listener. Calls: chat/channel,
 * chat/large, chat/feed, chat/cursor, chat/replay, chat/watch, pg/listener.
 */
#include "chat/hub.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "chat/catalog.h"
#include "chat/channel.h"
#include "chat/cursor.h"
#include "chat/feed.h"
#include "chat/large.h"
#include "chat/login.h"
#include "chat/outbox.h"
#include "chat/replay.h"
#include "chat/watch.h"
#include "pg/listener.h"

#define SCHEMA_CHANNEL "chat_schema" /* functions have changed */
#define RESYNC_PAUSE   5000          /* milliseconds between the rounds that chat_resync causes */
#define RESYNC_CHECK   500           /* milliseconds between looks whether the round before is over */
#define RESYNC_LATEST  60000         /* milliseconds a round is put off for replays that wait */

static struct hash *users;       /* struct hub_user by id; owned */
static bool round_due;           /* chat_resync has come, its round has not begun */
static uint64_t next_round;      /* loop_now() from which one may begin */
static struct timer round_timer; /* set while it is put off */

static void
reap_user(struct task *task)
{
	struct hub_user *user = list_entry(task, struct hub_user, reap);

	if (!list_empty(&user->sessions) || user->attended)
		return;
	channel_leave(user);
	hash_remove(users, user->id);
	mem_free(user);
}

static struct hub_user *
find_user(int64_t user_id)
{
	char id[24];

	snprintf(id, sizeof id, "%" PRId64, user_id);
	return hash_get(users, id);
}

static struct hub_user *
user_with_id(int64_t user_id)
{
	struct hub_user *user = find_user(user_id);
	char id[24];

	if (user == NULL)
	{
		user = mem_alloc(sizeof *user);
		list_init(&user->neighbours);
		list_init(&user->formers);
		list_init(&user->sessions);
		list_init(&user->reading);
		roster_init(&user->chats);
		user->reap.run = reap_user;
		snprintf(id, sizeof id, "%" PRId64, user_id);
		memcpy(user->id, id, sizeof id);
		hash_put(users, id, user);
	}
	return user;
}

bool
hub_join(struct session *session, int64_t user_id, const char *channel)
{
	struct hub_user *user = user_with_id(user_id);

	if (user->channel == NULL)
		channel_join(user, channel);
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

bool
hub_is_known(const struct session *session)
{
	return session->user != NULL && session->user->state == USER_KNOWN;
}

void
hub_attend(int64_t user_id)
{
	struct hub_user *user = user_with_id(user_id);

	if (user->attended)
		return;
	user->attended = true;
	if (user->channel == NULL)
		channel_name(user);
}

void
hub_neglect(int64_t user_id)
{
	struct hub_user *user = find_user(user_id);

	if (user == NULL)
		return;
	user->attended = false;
	loop_defer(&user->reap);
}

bool
hub_hears(int64_t user_id)
{
	const struct hub_user *user = find_user(user_id);

	return user != NULL && user->state == USER_KNOWN;
}

struct hub_user *
hub_find(const char *id)
{
	return hash_get(users, id);
}

/* What his sessions are about to miss is replayed, and logins under way are looked up again. */
static void
replay_user(struct hub_user *user, int64_t limit)
{
	struct list *node;
	struct list *after;

	list_each(node, after, &user->sessions)
	{
		struct session *session = list_entry(node, struct session, neighbours);

		login_doubt(session);
		replay_from_cursor(session, limit);
	}
}

bool
hub_confirm_channel(struct session *session, const char *channel, int64_t now)
{
	struct hub_user *user = session->user;

	if (!config.use_listen || channel_is_now(user, channel))
		return true;
	channel_rename(user, channel, now);
	replay_user(user, INT64_MAX);
	return false;
}

void
hub_known(struct hub_user *user)
{
	struct list *node;
	struct list *after;

	user->state = USER_KNOWN;
	if (user->attended)
		watch_heard();
	list_each(node, after, &user->sessions)
	{
		struct session *session = list_entry(node, struct session, neighbours);

		login_heard(session);
		replay_advance(session);
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
hub_each_user(hub_user_fn visit, void *arg)
{
	size_t cursor = 0;
	struct hub_user *user;

	while ((user = hash_next(users, &cursor, NULL)) != NULL)
		visit(user, arg);
}

static void
doubt_user(struct hub_user *user, void *arg)
{
	channel_doubt(user);
	replay_user(user, *(int64_t *) arg);
}

void
hub_replay_all(int64_t limit)
{
	round_due = false;
	timer_clear(&round_timer);
	next_round = loop_now() + RESYNC_PAUSE;
	hub_each_user(doubt_user, &limit);
	channel_read_again();
}

bool
hub_is_doubtful(void)
{
	return round_due;
}

static void
try_round(struct timer *timer)
{
	uint64_t now = loop_now();

	(void) timer;
	if (now >= next_round && (!replay_is_busy() || now >= next_round + RESYNC_LATEST))
	{
		log_write(LEVEL_INFO, "replaying", "notifications were lost");
		hub_replay_all(INT64_MAX);
	}
	else
		timer_set(&round_timer, now < next_round ? next_round - now : RESYNC_CHECK, try_round);
}

void
hub_resync(void)
{
	if (round_due)
		return;
	round_due = true;
	try_round(NULL);
}

static void
on_listening(const char *name)
{
	if (strcmp(name, SCHEMA_CHANNEL) == 0)
		catalog_reload(); /* for what changed while nobody listened */
	channel_heard(name);
}

static void
on_notified(const char *channel, const char *payload)
{
	if (strcmp(channel, SCHEMA_CHANNEL) == 0)
		catalog_reload();
	else if (strcmp(channel, CHANNEL_RESYNC) == 0)
		hub_resync();
	else
		feed_take(channel, payload);
}

static void
on_lost(void)
{
	feed_lost();
	hub_replay_all(INT64_MAX);
}

bool
hub_is_hearing(void)
{
	return listener_hears(SCHEMA_CHANNEL);
}

void
hub_open(void)
{
	static const struct listener_owner owner = {on_listening, on_notified, on_lost};

	users = hash_create();
	feed_open();
	watch_open();
	listener_open(&owner);
	listener_add(SCHEMA_CHANNEL);
	large_open();
	channel_open();
	cursor_open();
}

void
hub_close(void)
{
	timer_clear(&round_timer);
	cursor_close();
	outbox_close();
	listener_close();
	replay_close();
	channel_close();
	large_close();
	feed_close();
	watch_close();
	hash_destroy(users);
}

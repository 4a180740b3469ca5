/* SPDX-License-Identifier: PostgreSQL */
/*
 * feed.c
 *	  Notifications in, in the order of commits; each event out to all sessions of those it is for.
 *
 *	  [parts put together] --> queue --first--> receivers collected --> walk, a slice a turn --> next
 *
 * 1. What the one LISTEN connection brings is one stream, and so are the rows of the outbox; it is worked off one by
 *	  one, so nobody sees events out of order.
 * 2. Whom it is for: {"to":…} comes once on the channel of each of these users, and an arrival serves those whose
 *	  channel it came on; from the outbox it comes once for all of them. {"chat":…} comes once, for the users whom the roster
 *	  has in that chat; what is about a message that not all of them see comes twice, for either part.
 * 3. The event's text is relayed as it is, unparsed but checked to be one whole object.
 * 4. A walk (walk.c) pushes to at most SLICE sessions a turn, so that calls are answered in between however many hear an
 *	  event. Events of a large chat that wait one behind the other are walked together, while they are for the same
 *	  sessions.
 * 5. What is too long for a notification comes in parts (codec/parts.c), right behind each other, and is one of the queue when the
 *	  last of them has come. Nothing has to be read, so nobody waits for others' large events. One for which there was no
 *	  room, in the server or in the queue's QUEUE_BYTES, says "partial": its receivers are replayed from their cursors.
 * 6. A marker (cursor.c) is a notification too: when its turn comes, all before it have been walked, and `cursor` goes to
 *	  all sessions that have them.
 * 7. Overflow of QUEUE_LIMIT: the queue is dropped, and everybody is replayed at once (hub.c), before any later marker has its turn.
 * 8. session_ended is for the gateway: the sockets of that login are closed. With a replay logins are looked up: a
 *	  session_ended may be among what was lost.
 *
 * An event of a large chat that names another one before itself than was relayed last has overtaken it. Who left by that one
 * must not get this: so who is in the chat is asked first (large.c), and all later ones wait behind it. When that cannot
 * be found out, those in the chat are replayed, as for a partial event.
 *
 * Coming into a large chat and leaving it are told twice: {"chat":…} to those in it, and right behind it {"to":…,"chat":…}
 * on the channels of those concerned. Who is in the chat, for this event, has had it as one of them; only to the
 * others the copy is relayed. Then it changes the roster: so the copy of member_left is the last that one who leaves
 * gets, and who comes in hears all from member_joined on. A chat that has just grown large says so ("large": true) in its
 * last event on user channels: that one is relayed to all of `to`, and takes them in. The change happens, be the event
 * partial or not.
 *
 * Called from: chat/hub, chat/outbox. Calls: chat/hub, chat/channel, chat/large, chat/roster, chat/replay, chat/cursor,
 * chat/walk, chat/watch, chat/session, codec/notification, codec/parts.
 */
#include "chat/feed.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "chat/channel.h"
#include "chat/cursor.h"
#include "chat/hub.h"
#include "chat/large.h"
#include "chat/login.h"
#include "chat/walk.h"
#include "chat/watch.h"
#include "codec/notification.h"
#include "codec/parts.h"

#define QUEUE_LIMIT 10000              /* notifications waiting */
#define QUEUE_BYTES (64 * 1024 * 1024) /* of their texts, beyond which large events go partial */
#define LARGE       8000               /* bytes of an event that is so */
#define SLICE       256                /* sessions pushed to in one turn */

/* A notification that waits. */
struct notice
{
	struct list node; /* in queue */
	char *channel;    /* owned; NULL: it came from the outbox */
	char *payload;    /* owned */
};

static struct list queue;      /* struct notice; the first one waits for large_check when `checking` */
static int queue_length;       /* of queue */
static size_t queue_bytes;     /* of its payloads */
static struct parts parts;     /* of what comes next; owned */
static int slice;              /* pushes left in this slice */
static struct timer next_turn; /* set while the next slice is waited for */
static bool checking;          /* large_check is under way */

static void advance(void);

static void
start_slice(struct timer *timer)
{
	(void) timer;
	slice = SLICE;
	advance();
}

static void
push_slice(void)
{
	slice -= walk_on(slice);
	if (slice == 0)
		timer_set(&next_turn, 1, start_slice);
}

static void
end_login(struct hub_user *user, const struct slice *event)
{
	struct slice login_id = {NULL, 0};
	struct list *node;
	struct list *after;

	json_member(event->text, event->length, "session_id", &login_id);
	list_each(node, after, &user->sessions)
	{
		struct session *session = list_entry(node, struct session, neighbours);

		login_ended(session, notification_number(&login_id));
		if (session->user_id != 0 && session->login_id == notification_number(&login_id))
			session_finish(session, SESSION_REVOKED);
	}
}

/* What a notification on his own channel means for a user. */
static void
tell_user(struct hub_user *user, const struct notification *notification)
{
	int64_t since;

	if (notification_is(notification, "session_ended"))
		end_login(user, &notification->event);
	else if (user->attended && notification_is(notification, "presence_changed"))
		watch_changed(&notification->event);
	else if (notification->chat == 0 || !roster_has(&user->chats, notification->chat, &since))
		walk_collect_user(&user->chats, NULL);
	if (notification->chat != 0)
		large_change(user, notification->chat, notification->id, notification->from,
					 notification_is(notification, "member_left"));
	else if (notification->grown)
		large_change(user, notification->chat_id, notification->id, notification->from, false);
}

/* Collect the sessions of those in the large chat whom it is for. */
static void
collect_members(const struct notification *notification)
{
	struct roster_choice choice = {notification->id, notification->sees, notification->lacks};

	roster_each(notification->chat, &choice, walk_collect_user, NULL);
}

static void
relay(const char *channel, const struct notification *notification)
{
	struct hub_user *user;
	size_t at = 0;
	char id[24];

	cursor_came(notification->id);
	if (notification->to.text == NULL)
	{
		collect_members(notification);
		roster_saw(notification->chat, notification->id);
	}
	while (notification_receiver(notification, &at, id, sizeof id))
	{
		user = hub_find(id);
		if (user != NULL && (channel == NULL || channel_is_of(user, channel)))
			tell_user(user, notification);
	}
	if (notification->partial)
		walk_replay();
	else
		walk_begin(notification);
	if (!walk_is_on())
		walk_cancel();
}

/* Tell everybody who has it all; 0: there is nothing to be told. */
static void
relay_cursor(int64_t cursor)
{
	if (cursor == 0)
		return;
	hub_each_session(walk_collect, NULL);
	walk_begin_cursor(cursor);
	if (!walk_is_on())
		walk_cancel();
}

static void
free_notice(struct list *node)
{
	struct notice *notice = list_entry(node, struct notice, node);

	list_remove(node);
	queue_length--;
	queue_bytes -= strlen(notice->payload);
	stats_move(GAUGE_FEED, -1);
	mem_free(notice->channel);
	mem_free(notice->payload);
	mem_free(notice);
}

static void begin(struct notice *notice);

static void
on_checked(bool good)
{
	struct notice *notice = list_entry(queue.next, struct notice, node);
	struct notification notification;

	checking = false;
	if (notification_read(notice->payload, strlen(notice->payload), &notification))
		roster_saw(notification.chat, notification.id);
	if (good)
		begin(notice);
	else
	{
		log_write(LEVEL_WARN, "members_not_checked", "chat_id=%" PRId64, notification.chat);
		roster_each(notification.chat, NULL, walk_collect_user, NULL);
		walk_replay();
		free_notice(&notice->node);
		timer_set(&next_turn, 1, start_slice);
	}
	advance();
}

/* Types are ours, and few; whoever makes up others gets no further than the size of the set. */
static void
count_event(const struct slice *type)
{
	bool good = type->text != NULL && type->length > 0;

	for (size_t i = 0; good && i < type->length; i++)
		good = type->text[i] == '_' || (type->text[i] >= 'a' && type->text[i] <= 'z');
	stats_series_move(SERIES_EVENTS, good ? stats_series(SERIES_EVENTS, type->text, type->length) : 0, 0, 1);
}

/* The first of the queue goes along with the event of a large chat that is about to be walked; false: it has its own turn. */
static bool
join(struct notice *notice, int64_t chat)
{
	struct notification notification;

	if (!notification_read(notice->payload, strlen(notice->payload), &notification) ||
		notification.to.text != NULL || notification.chat != chat || notification.partial ||
		(notification.id != 0 && roster_gap(chat, notification.id, notification.prev_id)))
		return false;
	collect_members(&notification);
	if (!walk_join(&notification))
		return false;
	count_event(&notification.type);
	cursor_came(notification.id);
	roster_saw(chat, notification.id);
	free_notice(&notice->node);
	return true;
}

static void
join_all(int64_t chat)
{
	while (!list_empty(&queue) && join(list_entry(queue.next, struct notice, node), chat))
		continue;
}

/* The first of the queue: relayed, or at least begun to be looked into. */
static void
begin(struct notice *notice)
{
	int64_t chat = 0;
	struct notification notification = {0};
	int64_t horizon = 0;

	if (notice->channel == NULL || cursor_is_on(notice->channel))
		horizon = notification_horizon(notice->payload, strlen(notice->payload));
	if (horizon != 0)
		relay_cursor(cursor_passed(horizon));
	else if (!notification_read(notice->payload, strlen(notice->payload), &notification))
		log_write(LEVEL_WARN, "notification_malformed", "%zu bytes that are no notification",
				  strlen(notice->payload));
	else if (notification.to.text == NULL && notification.id != 0 &&
			 roster_gap(notification.chat, notification.id, notification.prev_id))
	{
		checking = true;
		large_check(notification.chat, on_checked);
		return;
	}
	else
	{
		count_event(&notification.type);
		relay(notice->channel, &notification);
		chat = notification.to.text == NULL ? notification.chat : 0;
	}
	free_notice(&notice->node);
	if (chat != 0 && walk_is_on())
		join_all(chat);
}

static void
advance(void)
{
	while (!checking && next_turn.place == 0)
	{
		if (walk_is_on())
			push_slice();
		else if (!list_empty(&queue))
			begin(list_entry(queue.next, struct notice, node));
		else
			return;
	}
}

/* Drop all but the first, which may be under way. */
static void
overflow(void)
{
	log_write(LEVEL_WARN, "events_dropped", "%d notifications were waiting", queue_length);
	stats_add(STAT_EVENTS_DROPPED, (unsigned long) queue_length - 1);
	while (queue_length > 1)
		free_notice(queue.prev);
	hub_replay_all(INT64_MAX);
}

/* What is known of a large event for which there is no room. Owned; NULL: it is no event. */
static char *
shorten(const char *payload)
{
	struct notification notification;
	struct buf text = {0};
	char *copy;

	if (!notification_read(payload, strlen(payload), &notification))
		return NULL;
	notification_write_partial(&notification, &text);
	copy = mem_copy(buf_text(&text));
	buf_free(&text);
	return copy;
}

static void
take(const char *channel, const char *payload, size_t length)
{
	struct notice *notice;
	char *text = NULL;

	if (queue_length >= QUEUE_LIMIT)
		overflow();
	if (length > LARGE && queue_bytes + length > QUEUE_BYTES)
		text = shorten(payload);
	notice = mem_alloc(sizeof *notice);
	notice->channel = channel ? mem_copy(channel) : NULL;
	notice->payload = text ? text : mem_copy(payload);
	if (channel == NULL ? notification_horizon(payload, length) == 0 : !cursor_is_on(channel))
		cursor_stir();
	list_append(&queue, &notice->node);
	queue_length++;
	queue_bytes += strlen(notice->payload);
	stats_move(GAUGE_FEED, 1);
	advance();
}

void
feed_take(const char *channel, const char *payload)
{
	switch (channel ? parts_take(&parts, payload, strlen(payload)) : PARTS_NONE)
	{
		case PARTS_NONE:
			take(channel, payload, strlen(payload));
			break;
		case PARTS_WHOLE:
			take(channel, buf_text(&parts.text), parts.text.length);
			break;
		case PARTS_LOST:
			log_write(LEVEL_WARN, "parts_lost", "an event has come without all of its parts");
			hub_resync();
			break;
		case PARTS_TAKEN:
			break;
	}
}

void
feed_lost(void)
{
	parts_clear(&parts);
}

bool
feed_is_full(void)
{
	return queue_length >= QUEUE_LIMIT / 4 || queue_bytes >= QUEUE_BYTES / 4;
}

void
feed_open(void)
{
	list_init(&queue);
	slice = SLICE;
}

void
feed_close(void)
{
	timer_clear(&next_turn);
	parts_clear(&parts);
	while (!list_empty(&queue))
		free_notice(queue.next);
	walk_close();
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * watch.c
 *	  Whose presence sockets watch: presence_changed out, to those who may know.
 *
 *	  watched: id -> watched user -> watches <- session
 *
 * 1. watch_set gives a session its list; each watch is fresh until it was told the present state.
 * 2. Changes are published on the channel of user 0, as no more than a user's id. While anybody watches, hub.c hears that
 *	  user's channel as it hears everybody's, under whatever name, and from the outbox too.
 * 3. A changed user whom nobody watches is nobody's business. Else one call asks the database what each of the watchers
 *	  may see of him now, and only that goes out, as the event that the database made of it.
 * 4. Nobody is told twice what he was told last; who may not see somebody, not even that there was a change. Whom the
 *	  database does not know is told of like one who may not be seen: nobody learns here who exists.
 * 5. One call runs at a time, and asks of as many users and watchers that their product stays below PAIR_LIMIT, or of one
 *	  user: answers never overtake each other, so whatever is told last is so.
 * 6. After a gap in what was heard (watch_heard), and for a session that has dropped events (watch_again), all is asked again.
 *	  Nothing is asked while changes are not heard: what changed between would stay unknown.
 *
 * Called from: chat/call, chat/session, chat/hub, chat/feed. Calls: pg/pool, chat/hub, chat/session, codec/.
 */
#include "chat/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "chat/hub.h"
#include "codec/array.h"
#include "codec/notification.h"
#include "codec/rpc.h"
#include "io/timer.h"
#include "pg/pool.h"

#define PAIR_LIMIT  2000 /* pairs of user and watcher in one call */
#define RETRY_PAUSE 1000 /* milliseconds after a call that failed */

/* Somebody whom a session here watches. */
struct watched
{
	struct list watches; /* struct watch by of_user */
	struct list node;    /* in dirty or asked, else alone */
	bool answered;       /* while asked: there was a row of him */
	char id[24];         /* decimal; his name in watched_users */
};

struct watch
{
	struct list of_user;     /* in watched->watches */
	struct list of_session;  /* in session->watches */
	struct watched *watched; /* whom */
	struct session *session; /* who */
	bool fresh;              /* to be told, whatever it is */
	bool hidden;             /* it was told last that he may not be seen */
	uint64_t told;           /* what it was told last, as a hash of the event */
};

enum
{
	COLUMN_USER,
	COLUMN_VIEWERS,
	COLUMN_VISIBLE,
	COLUMN_EVENT
};

static struct hash *watched_users; /* struct watched by id; owned */
static struct list dirty;          /* whom to ask for */
static struct list asked;          /* those in the call under way, unless they are dirty again */
static bool busy;                  /* call is under way */
static struct timer retry;         /* set after a failure */
static struct task ask_task;       /* ask() at the end of the turn */
static struct buf user_ids;        /* parameter of call */
static struct buf viewer_ids;      /* parameter of call */
static struct hash *viewers;       /* those in viewer_ids; NULL unless that is being written */
static const char *values[2];      /* the parameters */
static const int text_only[2];     /* lengths and formats of them */
static struct pg_call call;        /* the one under way */
static uint64_t *receivers;   /* handles of those who are to be told one thing; owned, kept for the next */
static size_t receivers_size; /* room in it */

static const struct pg_statement read_presence = {
	"read_presence",
	"SELECT user_id, viewer_ids, visible, event FROM chat.read_presence(user_ids => $1::bigint[], "
	"watcher_ids => "
	"$2::bigint[])",
	2};

static void
ask_soon(void)
{
	loop_defer(&ask_task);
}

static void
mark_dirty(struct watched *watched)
{
	list_remove(&watched->node);
	list_append(&dirty, &watched->node);
	ask_soon();
}

static struct watched *
watched_with_id(const char *id)
{
	struct watched *watched = hash_get(watched_users, id);

	if (watched == NULL)
	{
		watched = mem_alloc(sizeof *watched);
		list_init(&watched->watches);
		list_init(&watched->node);
		snprintf(watched->id, sizeof watched->id, "%s", id);
		hash_put(watched_users, id, watched);
	}
	return watched;
}

static void
end_watch(struct watch *watch)
{
	struct watched *watched = watch->watched;

	list_remove(&watch->of_user);
	list_remove(&watch->of_session);
	mem_free(watch);
	if (!list_empty(&watched->watches))
		return;
	list_remove(&watched->node);
	hash_remove(watched_users, watched->id);
	mem_free(watched);
}

static void
add_watch(struct session *session, int64_t user_id)
{
	struct watch *watch = mem_alloc(sizeof *watch);
	char id[24];

	snprintf(id, sizeof id, "%" PRId64, user_id);
	watch->watched = watched_with_id(id);
	watch->session = session;
	watch->fresh = true;
	list_append(&watch->watched->watches, &watch->of_user);
	list_append(&session->watches, &watch->of_session);
	mark_dirty(watch->watched);
}

static void
end_watches(struct session *session)
{
	while (!list_empty(&session->watches))
		end_watch(list_entry(session->watches.next, struct watch, of_session));
}

/* Hear changes as long as somebody watches. */
static void
listen_or_not(void)
{
	if (hash_count(watched_users) > 0)
		hub_attend(WATCH_EVERYBODY);
	else
		hub_neglect(WATCH_EVERYBODY);
}

/* A list may name somebody twice, but no two watches of a session are of the same user. */
static int
by_value(const void *a, const void *b)
{
	int64_t left = *(const int64_t *) a;
	int64_t right = *(const int64_t *) b;

	return left < right ? -1 : left > right;
}

void
watch_set(struct session *session, const int64_t *ids, size_t count)
{
	int64_t *sorted = mem_alloc((count + 1) * sizeof *sorted);

	end_watches(session);
	if (count > 0)
		memcpy(sorted, ids, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, by_value);
	for (size_t i = 0; i < count; i++)
	{
		if (i == 0 || sorted[i] != sorted[i - 1])
			add_watch(session, sorted[i]);
	}
	mem_free(sorted);
	listen_or_not();
}

void
watch_leave(struct session *session)
{
	if (list_empty(&session->watches))
		return;
	end_watches(session);
	listen_or_not();
}

void
watch_again(struct session *session)
{
	struct list *node;
	struct list *after;

	list_each(node, after, &session->watches)
	{
		struct watch *watch = list_entry(node, struct watch, of_session);

		watch->fresh = true;
		mark_dirty(watch->watched);
	}
}

void
watch_heard(void)
{
	size_t cursor = 0;
	struct watched *watched;

	while ((watched = hash_next(watched_users, &cursor, NULL)) != NULL)
		mark_dirty(watched);
}

void
watch_changed(const struct slice *event)
{
	struct slice user_id = {NULL, 0};
	struct watched *watched;
	char id[24];

	json_member(event->text, event->length, "user_id", &user_id);
	snprintf(id, sizeof id, "%" PRId64, notification_number(&user_id));
	watched = hash_get(watched_users, id);
	if (watched != NULL)
		mark_dirty(watched);
}

static void
add_viewers(const struct watched *watched)
{
	char id[24];

	for (struct list *node = watched->watches.next; node != &watched->watches; node = node->next)
	{
		const struct watch *watch = list_entry(node, struct watch, of_user);

		snprintf(id, sizeof id, "%" PRId64, watch->session->user_id);
		if (hash_get(viewers, id) != NULL)
			continue;
		hash_put(viewers, id, viewers);
		array_add(&viewer_ids, id, strlen(id));
	}
}

/* How many viewers the call would have with this user's. At most: some may be among the others already. */
static size_t
viewer_count(const struct watched *watched)
{
	size_t count = hash_count(viewers);

	for (struct list *node = watched->watches.next; node != &watched->watches; node = node->next)
		count++;
	return count;
}

/* Move from dirty to asked as many as one call should ask for. */
static void
gather(void)
{
	size_t count = 0;

	viewers = hash_create();
	while (!list_empty(&dirty))
	{
		struct watched *watched = list_entry(dirty.next, struct watched, node);

		if (count > 0 && (count + 1) * viewer_count(watched) > PAIR_LIMIT)
			break;
		list_remove(&watched->node);
		list_append(&asked, &watched->node);
		watched->answered = false;
		array_add(&user_ids, watched->id, strlen(watched->id));
		add_viewers(watched);
		count++;
	}
	hash_destroy(viewers);
	viewers = NULL;
}

static void on_answer(struct pg_call *from, enum pg_verdict verdict, const struct pg_result *result);

static void
ask(struct task *task)
{
	(void) task;
	if (busy || retry.place != 0 || list_empty(&dirty) || !hub_hears(WATCH_EVERYBODY))
		return;
	busy = true;
	buf_clear(&user_ids);
	buf_clear(&viewer_ids);
	array_begin(&user_ids);
	array_begin(&viewer_ids);
	gather();
	array_end(&user_ids);
	array_end(&viewer_ids);
	values[0] = buf_text(&user_ids);
	values[1] = buf_text(&viewer_ids);
	call = (struct pg_call){.statement = &read_presence,
							.values = values,
							.lengths = text_only,
							.formats = text_only,
							.lane = LANE_OWN,
							.repeatable = true,
							.done = on_answer};
	pool_submit(&call);
}

/* Those in an array of ids, as keys. */
static struct hash *
read_ids(const char *array)
{
	struct hash *ids = hash_create();
	struct notification list = {.to = {array, strlen(array)}};
	size_t at = 0;
	char id[24];

	while (notification_receiver(&list, &at, id, sizeof id))
		hash_put(ids, id, ids);
	return ids;
}

/* Whether there is anything to be told; it counts as told. */
static bool
is_news(struct watch *watch, bool visible, uint64_t event)
{
	bool news = watch->fresh || (visible ? watch->told != event : !watch->hidden);

	watch->fresh = false;
	watch->hidden = !visible;
	watch->told = event;
	return news;
}

/* Handles of those sessions of these viewers, NULL: all, for whom it is news; how many there are. They go to `receivers`. */
static size_t
collect(const struct watched *watched, const struct hash *ids, bool visible, uint64_t event)
{
	size_t count = 0;
	char id[24];

	for (struct list *node = watched->watches.next; node != &watched->watches; node = node->next)
	{
		struct watch *watch = list_entry(node, struct watch, of_user);

		snprintf(id, sizeof id, "%" PRId64, watch->session->user_id);
		if ((ids != NULL && hash_get(ids, id) == NULL) || !is_news(watch, visible, event))
			continue;
		if (count == receivers_size)
		{
			receivers_size = receivers_size ? 2 * receivers_size : 64;
			receivers = mem_resize(receivers, receivers_size * sizeof *receivers);
		}
		receivers[count++] = session_handle(watch->session);
	}
	return count;
}

/* A push may end a session, and with it watches; hence the handles. */
static void
push(size_t count, const char *event, size_t length)
{
	struct message *message;
	struct buf text = {0};

	rpc_write_notification(&text, "event", event, length);
	message = message_create(text.data, text.length);
	for (size_t i = 0; i < count; i++)
	{
		struct session *session = session_find(receivers[i]);

		if (session != NULL)
			session_push_event(session, message);
	}
	message_release(message);
	buf_free(&text);
}

/* One row: what all these viewers see of one user. */
static void
tell_viewers(const struct pg_result *result, int row)
{
	struct watched *watched = hash_get(watched_users, result_value(result, row, COLUMN_USER, NULL));
	bool visible = result_value(result, row, COLUMN_VISIBLE, NULL)[0] == 't';
	size_t length;
	const char *event = result_value(result, row, COLUMN_EVENT, &length);
	struct hash *ids;
	size_t count;

	if (watched == NULL)
		return;
	watched->answered = true;
	ids = read_ids(result_value(result, row, COLUMN_VIEWERS, NULL));
	count = collect(watched, ids, visible, hash_bytes(event, length));
	if (count > 0)
		push(count, event, length);
	hash_destroy(ids);
}

/* There is no such user: as the database tells of one who may not be seen. */
static void
tell_unknown(struct watched *watched)
{
	struct buf event = {0};
	size_t count = collect(watched, NULL, false, 0);

	buf_format(&event,
			   "{\"at\": null, \"type\": \"presence_changed\", \"status\": \"offline\", \"user_id\": \"%s\", "
			   "\"version\": null, \"status_text\": null, \"last_seen_at\": null}",
			   watched->id);
	if (count > 0)
		push(count, event.data, event.length);
	buf_free(&event);
}

static void
retry_now(struct timer *timer)
{
	(void) timer;
	ask_soon();
}

static void
on_answer(struct pg_call *from, enum pg_verdict verdict, const struct pg_result *result)
{
	struct list *node;

	(void) from;
	busy = false;
	for (int row = 0; verdict == PG_DONE && row < result_rows(result); row++)
		tell_viewers(result, row);
	while ((node = list_shift(&asked)) != NULL)
	{
		struct watched *watched = list_entry(node, struct watched, node);

		if (verdict != PG_DONE)
			list_append(&dirty, node);
		else if (!watched->answered)
			tell_unknown(watched);
	}
	if (verdict == PG_FAILED)
		log_write(LEVEL_WARN, "presence_not_read", "%s", result_failure(result).message);
	if (verdict == PG_DONE)
		ask_soon();
	else
		timer_set(&retry, RETRY_PAUSE, retry_now);
}

void
watch_open(void)
{
	watched_users = hash_create();
	list_init(&dirty);
	list_init(&asked);
	ask_task.run = ask;
}

void
watch_close(void)
{
	timer_clear(&retry);
	loop_forget(&ask_task);
	hash_destroy(watched_users);
	mem_free(receivers);
	buf_free(&user_ids);
	buf_free(&viewer_ids);
}

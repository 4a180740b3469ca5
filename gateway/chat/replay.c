/* SPDX-License-Identifier: PostgreSQL */
/*
 * replay.c
 *	  What sessions have missed: read from the database in pages, pushed, then `synced`, then live events again.
 *
 *	  PARKED --user known, queues short--> READY --its turn--> ASKED --page pushed--> READY, or over: `synced`
 *	     ^___ user not known any more, or a slow reader ______|         \__ no answer: after a pause
 *
 * 1. A session enters a replay with the id up to which it has everything: its `since` with authenticate, or, after a loss
 *	  (hub.c), its own cursor. Sessions of one user with the same cursor share a replay that has not begun: one query serves them.
 * 2. It waits until its user is KNOWN: whatever is published from then on reaches them. At most replay_share run at a time;
 *	  the others wait in line, and after each page a replay goes to the end of the line. Of a user's replays one at a time
 *	  stands there, and after its page it is another one's turn.
 * 3. A page is one call of chat.sync. Its events go out as they are, each with its own text: durable ones in the order of
 *	  their ids, then states; `chat_reset` and `reset` as pushes of their own. What a replay pushes is never dropped: the
 *	  next page is not asked for while more than half of outbound_limit waits for a session; one that is slow goes on alone.
 * 4. The last page reaches up to the moment it was read. Live events that come while it is being read are held, at most
 *	  HELD_LIMIT of them and outbound_limit bytes; more, or another loss: they are dropped, and one more page is read.
 * 5. `synced`, then what was held, without what was in the page, then live.
 *
 * Nothing is lost:
 * - An event that comes while its session waits for its turn, or for a page that is not the last, is dropped. It was
 *	  published after it could be seen, so every page asked for from now on sees it; and when its id is not above the page's
 *	  `since`, then it is not above a horizon either and was on an earlier page.
 * - An event that comes while the last page is being read is held, one that comes later is pushed.
 * - A notification that the feed has not got to yet, because others are read back or walked before it, is pushed when its
 *	  turn comes, whatever state the replay is in by then.
 * - A loss meanwhile (the user ceases to be KNOWN) makes the page under way one that is not the last.
 * - Ephemeral events (typing, signals) are stored nowhere and may be dropped here.
 *
 * Order: within a chat, what a session gets for the first time comes in the order of ids, to the extent that the page and
 * the notifications do; `prev_id` tells. An event above the horizon may come twice, in a replay and live: live events are
 * compared with the last page only while they are held, not for ever. Receivers drop what they have by id, and keep the
 * greatest version of a state. After `synced {cursor}` the session has had all up to the cursor.
 *
 * A database that is away is waited for. What it refuses for good, or FAILURES_LIMIT times, ends in `resync`: the client
 * calls sync itself.
 *
 * Called from: chat/hub, chat/feed, chat/walk, chat/login, chat/session. Calls: pg/pool, chat/session, chat/alive, chat/watch, codec/notification.
 */
#include "chat/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "chat/account.h"
#include "chat/alive.h"
#include "chat/hub.h"
#include "chat/walk.h"
#include "chat/watch.h"
#include "codec/rpc.h"
#include "pg/pool.h"

#define PAGE_SIZE      "100" /* events of a page below the horizon */
#define HELD_LIMIT     1000  /* live events held during one page */
#define RETRY_FIRST    250   /* milliseconds after a page that failed, doubled each time */
#define RETRY_LAST     8000  /* milliseconds, the longest pause */
#define FAILURES_LIMIT 5     /* answers in a row that say no */

/* A live event that came while a page was being read. */
struct held
{
	struct list node;        /* in replay->held, as they came */
	struct message *message; /* owned reference */
	int64_t chat_id;         /* of the event */
	int64_t id;              /* of the event; 0: not a durable one */
};

struct replay
{
	struct list node;      /* in ready when READY, else alone */
	struct list sessions;  /* struct session by replaying; empty: it is freed as soon as it is not ASKED */
	int64_t since;         /* all up to here was pushed */
	int64_t limit;         /* the page after the one under way begins here at the latest */
	bool asked;            /* ASKED */
	bool slow;             /* PARKED because of a session's queue; it is alone then */
	bool again;            /* the page under way cannot be the last one */
	bool lost;             /* something was not heard: the end of a login may be among it */
	int failures;          /* in a row */
	struct timer pause;    /* set after a failure */
	struct list held;      /* struct held */
	int held_count;        /* of them */
	size_t held_bytes;     /* of their text */
	char user_id[24];      /* parameters, this one since it was READY first */
	char since_text[24];   /* of the */
	const char *values[3]; /* call */
	struct pg_call call;   /* for a page */
};

enum
{
	COLUMN_EVENTS,
	COLUMN_STATE,
	COLUMN_CURSOR,
	COLUMN_MORE,
	COLUMN_RESET
};

static struct list ready = {&ready, &ready}; /* struct replay: waiting for their turn only */
static int running;                          /* replays that are ASKED */
static const int text_only[3];               /* lengths and formats of parameters */

static const struct pg_statement sync_statement = {"sync",
												   "SELECT events, state, cursor, has_more, reset FROM "
												   "chat.sync(actor_id => $1::bigint, since => $2::bigint, "
												   "page_size => $3::integer)",
												   3};

static void go_on(void);

static struct session *
first_session(const struct replay *replay)
{
	return list_entry(replay->sessions.next, struct session, replaying);
}

static void
drop_held(struct replay *replay)
{
	struct list *node;

	while ((node = list_shift(&replay->held)) != NULL)
	{
		struct held *held = list_entry(node, struct held, node);

		message_release(held->message);
		mem_free(held);
	}
	replay->held_count = 0;
	replay->held_bytes = 0;
}

/* Its user's turn is free for another one of theirs. NULL: it was not its turn, or the user is gone. */
static struct hub_user *
leave_line(struct replay *replay)
{
	struct hub_user *user = hub_find(replay->user_id);

	if (user == NULL || user->replaying != replay)
		return NULL;
	user->replaying = NULL;
	return user;
}

static void
replay_free(struct replay *replay)
{
	leave_line(replay);
	list_remove(&replay->node);
	timer_clear(&replay->pause);
	drop_held(replay);
	mem_free(replay);
}

static struct replay *
replay_create(int64_t since)
{
	struct replay *replay = mem_alloc(sizeof *replay);

	list_init(&replay->node);
	list_init(&replay->sessions);
	list_init(&replay->held);
	replay->since = since;
	replay->limit = INT64_MAX;
	stats_add(STAT_REPLAYS, 1);
	return replay;
}

static bool
is_slow(const struct session *session)
{
	return session->queued > (size_t) config.outbound_limit / 2 ||
		   (session->queued > 0 && account_is_full(session, 0));
}

static void
add(struct replay *replay, struct session *session)
{
	session->replay = replay;
	session->cursor = replay->since;
	list_append(&replay->sessions, &session->replaying);
}

/* PARKED to READY, if all is as it must be. */
static void
get_ready(struct replay *replay)
{
	struct session *session = first_session(replay);

	if (replay->asked || !list_empty(&replay->node) || replay->pause.place != 0 || !hub_is_known(session) ||
		session->user->replaying != NULL)
		return;
	replay->slow = replay->sessions.next == replay->sessions.prev && is_slow(session);
	if (replay->slow)
		return;
	memcpy(replay->user_id, session->user->id, sizeof replay->user_id);
	session->user->replaying = replay;
	list_append(&ready, &replay->node);
	go_on();
}

/* Slow readers go on by themselves; the last one left need not. */
static void
part_with_slow(struct replay *replay)
{
	struct list *node;
	struct list *after;

	list_each(node, after, &replay->sessions)
	{
		struct session *session = list_entry(node, struct session, replaying);
		struct replay *own;

		if (!is_slow(session) || replay->sessions.next == replay->sessions.prev)
			continue;
		list_remove(&session->replaying);
		own = replay_create(replay->since);
		own->lost = replay->lost;
		add(own, session);
		get_ready(own);
	}
}

static void
push(struct replay *replay, const char *method, const char *params, size_t length)
{
	struct buf text = {0};
	struct message *message;
	struct list *node;
	struct list *after;

	rpc_write_notification(&text, method, params, length);
	message = message_create(text.data, text.length);
	list_each(node, after, &replay->sessions)
	{
		struct session *session = list_entry(node, struct session, replaying);

		if (!session->deaf)
			session_push(session, message);
	}
	message_release(message);
	buf_free(&text);
}

static void
push_cursor(struct replay *replay, const char *method)
{
	char params[48];

	push(replay, method, params,
		 (size_t) snprintf(params, sizeof params, "{\"cursor\":\"%" PRId64 "\"}", replay->since));
}

static void
push_chat_reset(struct replay *replay, const struct event_key *key)
{
	char params[48];

	push(replay, "chat_reset", params,
		 (size_t) snprintf(params, sizeof params, "{\"chat_id\":\"%" PRId64 "\"}", key->chat_id));
}

/* It was in the page. */
static void
forget_held(struct replay *replay, const struct event_key *key)
{
	struct list *node;
	struct list *after;

	list_each(node, after, &replay->held)
	{
		struct held *held = list_entry(node, struct held, node);

		if (held->id != key->id || held->chat_id != key->chat_id)
			continue;
		list_remove(node);
		message_release(held->message);
		mem_free(held);
	}
}

static void
push_event(struct replay *replay, const struct slice *event)
{
	struct event_key key;

	notification_event(event, &key);
	if (key.id != 0)
		forget_held(replay, &key);
	if (event_is(&key, "chat_reset"))
		push_chat_reset(replay, &key);
	else
		push(replay, "event", event->text, event->length);
	stats_add(STAT_EVENTS_REPLAYED, 1);
}

/* False: it is no array. */
static bool
push_events(struct replay *replay, const struct pg_result *result, int column)
{
	struct slice event;
	size_t length;
	size_t at = 0;
	const char *text = result_value(result, 0, column, &length);

	if (text == NULL)
		return true;
	while (json_element(text, length, &at, &event))
		push_event(replay, &event);
	return at == length + 1;
}

/* The sessions are on their own again. */
static void
end(struct replay *replay)
{
	struct list *session_node;
	struct list *node;

	while ((session_node = list_shift(&replay->sessions)) != NULL)
	{
		struct session *session = list_entry(session_node, struct session, replaying);

		session->replay = NULL;
		for (node = replay->held.next; node != &replay->held && !session->closed; node = node->next)
			session_push_event(session, list_entry(node, struct held, node)->message);
	}
}

static void
give_up(struct replay *replay)
{
	stats_add(STAT_REPLAYS_FAILED, 1);
	stats_add(STAT_RESYNCS, 1);
	push(replay, "resync", "{}", 2);
	end(replay);
}

static void
pause_over(struct timer *timer)
{
	get_ready(list_entry(timer, struct replay, pause));
}

/* Away, or in a state that passes. */
static bool
may_pass(enum pg_verdict verdict, const struct pg_result *result)
{
	static const char *const classes[] = {"08", "25006", "40", "53", "55", "57", "MC503"};
	const char *state = verdict == PG_FAILED ? result_failure(result).sqlstate : "08";

	for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
	{
		if (strncmp(state, classes[i], strlen(classes[i])) == 0)
			return true;
	}
	return false;
}

/* Such as a cursor of his own making: he could fill the log with it. */
static bool
is_clients_fault(enum pg_verdict verdict, const struct pg_result *result)
{
	return verdict == PG_FAILED && strncmp(result_failure(result).sqlstate, "MC4", 3) == 0;
}

static void
on_failure(struct replay *replay, enum pg_verdict verdict, const struct pg_result *result)
{
	uint64_t wait = (uint64_t) RETRY_FIRST << (replay->failures < 6 ? replay->failures : 6);

	replay->failures++;
	if (!may_pass(verdict, result) || (verdict == PG_FAILED && replay->failures > FAILURES_LIMIT))
	{
		log_write(is_clients_fault(verdict, result) ? LEVEL_DEBUG : LEVEL_ERROR, "replay_failed",
				  "user=%s since=%" PRId64 " %s %s", replay->user_id, replay->since,
				  verdict == PG_FAILED ? result_failure(result).sqlstate : "",
				  verdict == PG_FAILED ? result_failure(result).message : "no answer");
		give_up(replay);
	}
	else
	{
		wait = wait < RETRY_LAST ? wait : RETRY_LAST;
		timer_set(&replay->pause, wait / 2 + loop_random(wait / 2), pause_over);
	}
}

static bool
is_true(const struct pg_result *result, int column)
{
	const char *text = result_value(result, 0, column, NULL);

	return text != NULL && text[0] == 't';
}

/* `synced`, or once more. */
static void
after_page(struct replay *replay, bool more)
{
	if (replay->again || more)
	{
		part_with_slow(replay);
		return;
	}
	push_cursor(replay, "synced");
	end(replay);
}

static void
take_page(struct replay *replay, const struct pg_result *result)
{
	const char *text = result_value(result, 0, COLUMN_CURSOR, NULL);
	int64_t cursor = text ? strtoll(text, NULL, 10) : 0;
	struct list *node;
	struct list *after;

	replay->failures = 0;
	if (is_true(result, COLUMN_RESET))
		push(replay, "reset", "{}", 2);
	else if (!push_events(replay, result, COLUMN_EVENTS) || !push_events(replay, result, COLUMN_STATE))
	{
		log_write(LEVEL_ERROR, "replay_failed", "user=%s since=%" PRId64 " malformed page", replay->user_id,
				  replay->since);
		give_up(replay);
		return;
	}
	replay->since = cursor > replay->since ? cursor : replay->since;
	replay->since = replay->since < replay->limit ? replay->since : replay->limit;
	list_each(node, after, &replay->sessions)
	{
		list_entry(node, struct session, replaying)->cursor = replay->since;
	}
	after_page(replay, is_true(result, COLUMN_MORE));
}

/* The turn of this one, whose user may be gone by now, is over: that of the user's others comes. */
static void
pass_on(struct hub_user *user, const struct replay *before)
{
	if (user == NULL)
		return;
	for (struct list *node = user->sessions.next; node != &user->sessions; node = node->next)
	{
		struct replay *other = list_entry(node, struct session, neighbours)->replay;

		if (other != NULL && other != before)
			get_ready(other);
	}
}

static void
on_page(struct pg_call *call, enum pg_verdict verdict, const struct pg_result *result)
{
	struct replay *replay = list_entry(call, struct replay, call);
	struct hub_user *user;

	running--;
	if (verdict == PG_DONE && result_rows(result) == 1)
		take_page(replay, result);
	else
		on_failure(replay, verdict, result);
	replay->asked = false;
	user = leave_line(replay);
	pass_on(user, replay);
	if (list_empty(&replay->sessions))
		replay_free(replay);
	else
		get_ready(replay);
	go_on();
}

/* All that is dropped or held back up to now will be in this page, or was in one before. */
static void
begin_page(struct replay *replay)
{
	struct list *node;
	struct list *after;

	drop_held(replay);
	replay->again = false;
	replay->since = replay->since < replay->limit ? replay->since : replay->limit;
	replay->limit = INT64_MAX;
	list_each(node, after, &replay->sessions)
	{
		struct session *session = list_entry(node, struct session, replaying);

		if (session->missed)
			watch_again(session); /* presence is in no page */
		session->missed = false;
		if (replay->lost)
			alive_doubt(session);
	}
	replay->lost = false;
}

static void
ask(struct replay *replay)
{
	begin_page(replay);
	replay->asked = true;
	running++;
	snprintf(replay->since_text, sizeof replay->since_text, "%" PRId64, replay->since);
	replay->values[0] = replay->user_id;
	replay->values[1] = replay->since_text;
	replay->values[2] = PAGE_SIZE;
	replay->call = (struct pg_call){.statement = &sync_statement,
									.values = replay->values,
									.lengths = text_only,
									.formats = text_only,
									.lane = LANE_REPLAY,
									.user = strtoll(replay->user_id, NULL, 10),
									.repeatable = true,
									.done = on_page};
	pool_submit(&replay->call);
}

/* The next ones in line, as many as may run. One whose user is not known any more is parked. */
static void
go_on(void)
{
	struct list *node;

	while (running < config.replay_share && (node = list_shift(&ready)) != NULL)
	{
		struct replay *replay = list_entry(node, struct replay, node);

		if (hub_is_known(first_session(replay)))
			ask(replay);
		else
			leave_line(replay);
	}
}

/* One of the user's that has not begun, from the same id on; NULL: none. */
static struct replay *
find_waiting(const struct hub_user *user, int64_t since)
{
	for (struct list *node = user->sessions.next; node != &user->sessions; node = node->next)
	{
		struct replay *replay = list_entry(node, struct session, neighbours)->replay;

		if (replay != NULL && !replay->asked && !replay->slow && replay->since == since)
			return replay;
	}
	return NULL;
}

static void
enter(struct session *session, int64_t since, bool lost)
{
	struct replay *replay = find_waiting(session->user, since);

	if (replay == NULL)
		replay = replay_create(since);
	replay->lost |= lost;
	add(replay, session);
	get_ready(replay);
}

void
replay_start(struct session *session, int64_t since)
{
	replay_leave(session);
	enter(session, since, false);
}

void
replay_from_cursor(struct session *session, int64_t limit)
{
	struct replay *replay = session->replay;

	if (session->user_id == 0 || session->closed)
		return;
	if (replay == NULL)
	{
		enter(session, session->cursor < limit ? session->cursor : limit, true);
		return;
	}
	replay->lost = replay->again = true;
	replay->limit = limit < replay->limit ? limit : replay->limit;
	drop_held(replay);
}

void
replay_advance(struct session *session)
{
	if (session->replay != NULL)
		get_ready(session->replay);
}

void
replay_leave(struct session *session)
{
	struct replay *replay = session->replay;
	struct hub_user *user;

	if (replay == NULL)
		return;
	session->replay = NULL;
	list_remove(&session->replaying);
	if (!list_empty(&replay->sessions) || replay->asked)
		return;
	user = leave_line(replay);
	replay_free(replay);
	pass_on(user, NULL);
}

/* Another session of this replay has had it: with others of the same walk behind it, perhaps. */
static bool
is_held(const struct replay *replay, const struct message *message)
{
	const struct list *node = replay->held.prev;

	for (int i = 0; i < WALK_TOGETHER && node != &replay->held; i++, node = node->prev)
	{
		if (list_entry(node, struct held, node)->message == message)
			return true;
	}
	return false;
}

bool
replay_takes(struct session *session, struct message *message, const struct event_key *key)
{
	struct replay *replay = session->replay;
	struct held *held;

	if (replay == NULL)
		return false;
	if (!replay->asked || replay->again || is_held(replay, message))
		return true;
	replay->held_bytes += message_length(message);
	if (++replay->held_count > HELD_LIMIT || replay->held_bytes > (size_t) config.outbound_limit)
	{
		replay->again = true;
		drop_held(replay);
		return true;
	}
	held = mem_alloc(sizeof *held);
	held->message = message_share(message);
	held->chat_id = key->chat_id;
	held->id = key->id;
	list_append(&replay->held, &held->node);
	return true;
}

bool
replay_is_busy(void)
{
	return running > 0 || !list_empty(&ready);
}

void
replay_close(void)
{
	list_init(&ready);
	running = 0;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * session.c
 *	  One socket's side of the conversation: from the upgrade to the close, with its calls and its login.
 *
 *	  OPEN --log_in, authenticate, bearer--> AUTHENTICATED		(user_id)
 *	    \___ session_finish: calls under way are answered ____> ENDING	(ending)
 *	     \__ session_close ___________________________________> CLOSED	(closed) --session_gone--> freed
 *
 * 1. A frame is one request or a batch; each request becomes a call in `calls` (call.c), started as soon as login
 *	  and the order of its chat allow. One that is JSON, but cannot be read, is answered for itself: the rest of its batch runs.
 * 2. At calls_in_flight unanswered calls the socket is not read any more until some are answered: the client's own
 *	  TCP window is the queue.
 * 3. The same while more than outbound_limit bytes of answers wait for a slow reader, and then no call is started
 *	  either: answers are never dropped. Events are, beyond as many bytes of them, and stand for one `resync` when
 *	  the queue is short again; no cursor is pushed in between. Only a socket that takes nothing at all for slow_timeout is closed (net/ws.c).
 * 4. Whoever needs a session later keeps its handle, slot and generation: a late answer finds nothing rather than
 *	  the next session in the same slot.
 *
 * A visitor is a session that serves one HTTP request: it is opened, given one frame, and ends when that is answered.
 * Its calls go the same way as everybody's, but it stands in no list of its user's sessions and is told nothing.
 *
 * When the worker ends, each session is told to go at a random moment of drain_seconds, with a random time to wait before it
 * comes back; until then it works as ever, and so does one that only came out of the accept queue then.
 *
 * A session is freed at the end of the turn in which its socket went, never inside a callback. A closed one sends
 * and receives nothing, but stays until its socket says that it is gone.
 *
 * Called from: net/ws, net/rpc, net/events, net/transfer, chat/catalog. Calls: chat/call, chat/login, chat/hub, chat/replay, chat/presence, chat/watch, codec/json, io/.
 */
#include "chat/session.h"

#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/network.h"
#include "base/stats.h"
#include "chat/account.h"
#include "chat/alive.h"
#include "chat/call.h"
#include "chat/hub.h"
#include "chat/login.h"
#include "chat/presence.h"
#include "chat/rate.h"
#include "chat/replay.h"
#include "chat/reply.h"
#include "chat/watch.h"
#include "codec/json.h"
#include "codec/rpc.h"

#define ENDING_LIMIT  5000 /* milliseconds for the last answers of a session that is to end */
#define REVOKED_LIMIT 800  /* the same, when its login was ended */
#define DRAIN_RETRY   2000 /* milliseconds that one is told to wait before it comes back, at most */
#define LOGIN_TIMES   3    /* auth_timeout so often, and then no login is waited for any more */
#define LOGIN_GRACE   1000 /* milliseconds between looks when the login is under way at the deadline */

struct ending
{
	int code;           /* of the close frame; 0: the socket is gone already */
	const char *reason; /* in the close frame and in the log */
};

struct slot
{
	struct session *session; /* NULL: free */
	unsigned generation;     /* of the present or next session, from 1 */
};

static const struct ending endings[SESSION_END_COUNT] = {
	[SESSION_LEFT] = {0, "left"},
	[SESSION_AUTH_TIMEOUT] = {4001, "auth_timeout"},
	[SESSION_BAD_TOKEN] = {4001, "bad_token"},
	[SESSION_UNAVAILABLE] = {1013, "unavailable"},
	[SESSION_REVOKED] = {4003, "session_ended"},
	[SESSION_EXPIRED] = {4009, "session_expired"},
	[SESSION_SLOW] = {4008, "too_slow"},
	[SESSION_TOO_BIG] = {1009, "too_big"},
	[SESSION_NOT_TEXT] = {1003, "text_only"},
	[SESSION_DRAINED] = {1001, "drained"},
	[SESSION_CROWDED] = {1013, "too_many_sockets"},
	[SESSION_FLOODS] = {4029, "rate_limited"},
	[SESSION_SERVED] = {1000, "served"},
	[SESSION_REFUSED] = {1000, "refused"},
};

static struct slot *slots;  /* owned; grows, for the process's life */
static unsigned slot_count; /* of slots */
static unsigned free_hint;  /* no free slot below this one */
static unsigned open_count; /* sessions in slots */
static bool draining;       /* this worker ends */
static uint64_t drain_end;  /* with that: loop_now() by which all are told */

static void
take_slot(struct session *session)
{
	while (free_hint < slot_count && slots[free_hint].session != NULL)
		free_hint++;
	if (free_hint == slot_count)
	{
		slot_count = slot_count ? 2 * slot_count : 64;
		slots = mem_resize(slots, slot_count * sizeof *slots);
		memset(slots + free_hint, 0, (slot_count - free_hint) * sizeof *slots);
	}
	session->slot = free_hint++;
	session->generation = ++slots[session->slot].generation;
	slots[session->slot].session = session;
	open_count++;
	stats_move(GAUGE_SESSIONS, 1);
}

static void
give_slot(struct session *session)
{
	slots[session->slot].session = NULL;
	if (session->slot < free_hint)
		free_hint = session->slot;
	open_count--;
	stats_move(GAUGE_SESSIONS, -1);
}

uint64_t
session_handle(const struct session *session)
{
	return (uint64_t) session->generation << 32 | session->slot;
}

struct session *
session_find(uint64_t handle)
{
	unsigned slot = (unsigned) handle;
	struct session *session = slot < slot_count ? slots[slot].session : NULL;

	if (session == NULL || session->generation != handle >> 32 || session->closed)
		return NULL;
	return session;
}

unsigned
session_count(void)
{
	return open_count;
}

void
session_tables_free(void)
{
	mem_free(slots);
	slots = NULL;
	slot_count = free_hint = 0;
}

void
session_close(struct session *session, enum session_end reason)
{
	char drained[60];
	const char *words = endings[reason].reason;

	if (session->closed)
		return;
	session->closed = true;
	timer_clear(&session->timer);
	timer_clear(&session->drain);
	timer_clear(&session->pause);
	log_write(LEVEL_DEBUG, "session_close", "reason=%s address=%s user=%lld", words, session->address,
			  (long long) session->user_id);
	stats_series_move(SERIES_ENDS, stats_series(SERIES_ENDS, words, strlen(words)), 0, 1);
	login_abandon(session);
	alive_forget(session);
	replay_leave(session);
	presence_leave(session);
	watch_leave(session);
	hub_leave(session);
	if (session->socket == NULL)
		return;
	if (reason == SESSION_DRAINED)
	{
		snprintf(drained, sizeof drained, "{\"retry_after_ms\":%d}", (int) loop_random(DRAIN_RETRY));
		words = drained;
	}
	session->ops->close(session->socket, endings[reason].code, words);
}

static void
ending_is_late(struct timer *timer)
{
	struct session *session = list_entry(timer, struct session, timer);

	session_close(session, session->end_reason);
}

/* When the login was ended, also of one that is ending already. */
void
session_finish(struct session *session, enum session_end reason)
{
	bool revoked = reason == SESSION_REVOKED;
	uint64_t limit = reason == SESSION_DRAINED ? (uint64_t) config.drain_timeout
					 : revoked                 ? REVOKED_LIMIT
											   : ENDING_LIMIT;

	if (session->closed || session->deaf || (session->ending && !revoked))
		return;
	session->ending = true;
	session->deaf = revoked;
	session->end_reason = reason;
	if (reason != SESSION_SERVED)
		timer_set(&session->timer, limit, ending_is_late);
	session_advance(session);
}

static void
drain_now(struct timer *timer)
{
	session_finish(list_entry(timer, struct session, drain), SESSION_DRAINED);
}

/* At some moment before the drain is over, so that not all come back at once. */
static void
plan_drain(struct session *session)
{
	uint64_t now = loop_now();

	timer_set(&session->drain, loop_random(drain_end > now ? drain_end - now : 1), drain_now);
}

void
session_drain(void)
{
	drain_end = loop_now() + (uint64_t) config.drain_seconds;
	draining = true;
	for (unsigned i = 0; i < slot_count; i++)
	{
		if (slots[i].session != NULL)
			plan_drain(slots[i].session);
	}
}

static void
hold(struct session *session, bool wanted)
{
	if (session->holding == wanted)
		return;
	session->holding = wanted;
	session->ops->hold(session->socket, wanted);
}

void
session_advance(struct session *session)
{
	if (!session->closed)
		call_advance(session);
	if (session->floods)
		session_finish(session, SESSION_FLOODS);
	if (!session->closed)
		replay_advance(session);
	if (session->closed)
		return;
	hold(session, session->ending || session->pause.place != 0 ||
					  session->call_count >= config.calls_in_flight ||
					  session->queued + session->gathered > (size_t) config.outbound_limit);
	if (session->ending && session->call_count == 0 && !session->login_pending)
		session_close(session, session->end_reason);
}

void
session_advance_all(void)
{
	for (unsigned i = 0; i < slot_count; i++)
	{
		if (slots[i].session != NULL)
			session_advance(slots[i].session);
	}
}

static void
login_is_late(struct timer *timer)
{
	struct session *session = list_entry(timer, struct session, timer);

	if (session->user_id != 0)
		return;
	if (session->login_pending && loop_now() < session->give_up)
		timer_set(timer, LOGIN_GRACE, login_is_late);
	else
		session_close(session, SESSION_AUTH_TIMEOUT);
}

void
session_refuse(struct session *session, const struct rpc_error *error)
{
	if (session->closed)
		return;
	session->ops->refused(session->socket, error);
	session_close(session, SESSION_REFUSED);
}

static struct session *
create(const struct session_socket *ops, void *socket, const char *address)
{
	struct session *session = mem_alloc(sizeof *session);

	session->ops = ops;
	session->socket = socket;
	snprintf(session->address, sizeof session->address, "%s", address);
	session->origin = network_key(address);
	list_init(&session->calls);
	list_init(&session->neighbours);
	list_init(&session->doubt);
	list_init(&session->watches);
	list_init(&session->replaying);
	list_init(&session->owned);
	account_enter(session, session->origin);
	take_slot(session);
	return session;
}

struct session *
session_follow(const struct session_socket *ops, void *socket, const char *address, const char *bearer,
			   int64_t since)
{
	struct session *session = create(ops, socket, address);

	timer_set(&session->timer, (uint64_t) config.auth_timeout, login_is_late);
	session->give_up = loop_now() + LOGIN_TIMES * (uint64_t) config.auth_timeout;
	if (draining)
		plan_drain(session);
	if (bearer != NULL)
		login_with_bearer(session, bearer, since);
	return session;
}

struct session *
session_open(const struct session_socket *ops, void *socket, const char *address, const char *bearer)
{
	return session_follow(ops, socket, address, bearer, NO_REPLAY);
}

int64_t
session_holder(const struct session *session)
{
	return session->user_id != 0 ? session->user_id : session->origin;
}

void
session_engage(struct session *session)
{
	session->call_count++;
}

struct session *
session_visit(const struct session_socket *ops, void *socket, const char *address, const char *bearer)
{
	struct session *session = create(ops, socket, address);

	session->visitor = true;
	if (bearer != NULL)
		login_with_bearer(session, bearer, NO_REPLAY);
	return session;
}

void
session_set_trace(struct session *session, const struct trace *trace)
{
	session->trace = *trace;
}

static void
advance_later(struct task *task)
{
	session_advance(list_entry(task, struct session, advance));
}

void
session_queued(struct session *session, size_t bytes)
{
	static const char resync[] = "{\"jsonrpc\":\"2.0\",\"method\":\"resync\",\"params\":{}}";

	account_move(session, (int64_t) bytes - (int64_t) session->queued);
	session->queued = bytes;
	if (session->closed)
		return;
	if (session->missed && session->replay == NULL && bytes <= (size_t) config.outbound_limit / 2)
	{
		session->missed = false;
		stats_add(STAT_RESYNCS, 1);
		session_push_text(session, resync, sizeof resync - 1);
		watch_again(session);
	}
	if (!session->holding && bytes <= (size_t) config.outbound_limit && session->replay == NULL)
		return;
	session->advance.run = advance_later;
	loop_defer(&session->advance);
}

static void
reap(struct task *task)
{
	mem_free(list_entry(task, struct session, reap));
}

void
session_gone(struct session *session)
{
	session->socket = NULL;
	session_close(session, SESSION_LEFT);
	call_abandon(session);
	account_leave(session);
	give_slot(session);
	loop_forget(&session->advance);
	session->reap.run = reap;
	loop_defer(&session->reap);
}

void
session_push(struct session *session, struct message *message)
{
	if (!session->closed)
		session->ops->send(session->socket, message);
}

void
session_push_event(struct session *session, struct message *message)
{
	if (session->closed || session->deaf)
		return;
	if (session->missed || (session->queued > 0 && account_is_full(session, message_length(message))) ||
		!session->ops->send_event(session->socket, message))
	{
		session->missed = true;
		stats_add(STAT_EVENTS_DROPPED, 1);
	}
	else
		stats_add(STAT_EVENTS_OUT, 1);
}

void
session_push_cursor(struct session *session, struct message *message, int64_t cursor)
{
	if (!session->closed && !session->deaf && !session->missed && session->replay == NULL &&
		session->cursor == cursor)
		session->ops->send_event(session->socket, message);
}

void
session_push_text(struct session *session, const char *text, size_t length)
{
	struct message *message = message_create(text, length);

	session_push(session, message);
	message_release(message);
}

/* The whole frame is no use: one error answers it. */
static void
refuse_frame(struct session *session, int code, const char *reason, const char *hint)
{
	struct reply *reply = reply_create(session_handle(session), false, 1);
	struct rpc_error error = {.code = code,
							  .message = code == RPC_PARSE_ERROR ? "parse error" : "invalid request",
							  .reason = reason,
							  .hint = hint};

	reply_error(reply, "null", &error);
}

/* What gathers the answers to a batch of so many; NULL: it was refused. */
static struct reply *
begin_batch(struct session *session, size_t count)
{
	char hint[64];

	if (count > 0 && count <= (size_t) config.calls_in_flight)
		return reply_create(session_handle(session), true, (int) count);
	snprintf(hint, sizeof hint, "a batch has at most %d requests", config.calls_in_flight);
	if (count > 0)
		refuse_frame(session, RPC_INVALID_REQUEST, "batch_too_long", hint);
	else
		refuse_frame(session, RPC_INVALID_REQUEST, "invalid_request", "a batch has at least one request");
	return NULL;
}

static bool
receive_batch(struct session *session, json_t *batch)
{
	size_t count = json_array_size(batch);
	struct reply *reply = begin_batch(session, count);

	for (size_t i = 0; reply != NULL && i < count; i++)
		call_receive(session, reply, json_array_get(batch, i));
	return reply != NULL;
}

/* A batch that could not be read as a whole: each of its requests by itself. */
static bool
receive_elements(struct session *session, const char *text, size_t length)
{
	struct slice element;
	struct reply *reply;
	const char *why;
	json_t *value;
	size_t count = 0;
	size_t at;

	for (at = 0; json_element(text, length, &at, &element);)
		count++;
	reply = begin_batch(session, count);
	for (at = 0; reply != NULL && json_element(text, length, &at, &element);)
	{
		value = json_read(element.text, element.length, &why);
		if (value != NULL)
			call_receive(session, reply, value);
		else
			call_refuse(reply, element.text, element.length, why);
		json_decref(value);
	}
	return reply != NULL;
}

/* The frame could not be read, because of `why`. */
static bool
receive_refused(struct session *session, const char *text, size_t length, const char *why)
{
	struct slice element;
	size_t at = 0;

	if (!json_is_whole(text, length))
	{
		refuse_frame(session, RPC_PARSE_ERROR, "parse_error", why);
		return false;
	}
	if (json_element(text, length, &at, &element))
		return receive_elements(session, text, length);
	return call_refuse(reply_create(session_handle(session), false, 1), text, length, why);
}

static void
read_on(struct timer *timer)
{
	session_advance(list_entry(timer, struct session, pause));
}

/* So many bytes have been read. Whose a visitor's are is known later: call.c counts them. */
static void
count_bytes(struct session *session, size_t length)
{
	uint64_t wait;

	if (session->visitor)
	{
		session->received = length;
		return;
	}
	wait = rate_take_bytes(session, length);
	if (wait == 0)
		return;
	stats_add(STAT_READS_PAUSED, 1);
	timer_set(&session->pause, wait, read_on);
}

bool
session_receive(struct session *session, const char *text, size_t length)
{
	const char *why;
	json_t *frame;
	bool good;

	if (session->closed)
		return true;
	count_bytes(session, length);
	frame = json_read(text, length, &why);
	if (frame == NULL)
		good = receive_refused(session, text, length, why);
	else if (json_is_array(frame))
		good = receive_batch(session, frame);
	else
		good = call_receive(session, reply_create(session_handle(session), false, 1), frame);
	json_decref(frame);
	session_advance(session);
	return good;
}

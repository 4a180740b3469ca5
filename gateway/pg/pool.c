/* SPDX-License-Identifier: PostgreSQL */
/*
 * pool.c
 *	  The worker's connections for calls: lanes, queues, group commit, second chances.
 *
 *	  grouped     pool_size connections, a queue each; a call goes to the queue hash(chat). What waits there leaves
 *				  together, up to group_limit calls under one Sync, ordered by chat, and as few
 *				  as their rows, which are kept to the group's end, are likely to be large.
 *	  single      one queue for all: calls that may not be grouped, one transaction each.
 *	  anonymous   the same for calls before login, whose password hashing takes long.
 *	  own         the gateway's own calls: logins, catalog, events to be read back; one transaction each. Apart, so that
 *				  no user's slow call keeps another one's login or event waiting.
 *	  replay      pages of what sessions have missed (chat/replay.c), one at a time on each.
 *	  files       pieces of files on their way in or out; a call may take long there: finishing reads all of a file.
 *	  side        chats whose row somebody holds locked; a queue each, as grouped, but one call at a time.
 *
 * 1. pool_submit puts a call into a queue and puts off dispatch() to the end of the turn, so that all calls of the
 *	  turn leave together. dispatch() also runs when a group is over: what has gathered meanwhile is the next group.
 * 2. Group over, no failure: every call is done.
 * 3. One failed: it gets its error, the others go back to the head of their queue to be sent one by one. In order:
 *	  nothing newer has run, because a connection has one group on its way.
 * 4. It failed by 55P03 (grouped connections wait 200 ms for a lock, less than deadlock_timeout): it and all that
 *	  wait for the same chat move to the side lane, where a lock may take longer; so does what comes for that chat
 *	  within the next seconds, and as long as something of that chat is still there, which keeps the order.
 * 5. It failed by 40001 or 40P01: sent again alone, ABORTS_LIMIT times at most; where no order is to be kept, after a
 *	  random pause, since whom it met tries again too.
 * 6. The connection broke: what is repeatable goes back to its queue, the rest is done with PG_UNKNOWN. What was put
 *	  back and is not run again either ends as PG_UNKNOWN too: its first attempt may have committed.
 *
 * Ordered by chat, because two groups that lock chats in different orders deadlock.
 *
 * A queue whose connections are all gone keeps its calls for unavailable_after, then fails them, and what comes after, at
 * once. A queue holds at most QUEUE_LIMIT calls; more fail at once.
 *
 * Called from: chat/. Calls: pg/conn, io/loop, io/timer.
 */
#include "pg/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "io/loop.h"
#include "io/timer.h"
#include "pg/conn.h"

#define QUEUE_LIMIT     10000     /* calls waiting in one queue; overflow: the new one fails */
#define ABORTS_LIMIT    2         /* times that a call is sent again after 40001 and the like */
#define ABORT_PAUSE     20        /* milliseconds, half the upper end of the first pause before that */
#define OWN_SIZE        2         /* connections of the gateway's own lane */
#define SIDE_SIZE       2         /* connections of the side lane */
#define GROUP_WEIGHT    (4 << 20) /* bytes of rows that one group may hold until its end, more or less */
#define SIDE_TIME       5000      /* milliseconds a chat stays in the side lane at least */
#define GROUP_LOCK_WAIT 200       /* milliseconds, lock_timeout of grouped connections */
#define LOCK_WAIT       2000      /* milliseconds, lock_timeout elsewhere */

struct queue
{
	struct list calls;   /* waiting, by node, first come first */
	int length;          /* of calls */
	int ready;           /* connections that serve it and are connected */
	bool down;           /* no connection for longer than unavailable_after */
	struct timer outage; /* set while ready is 0 and not down */
};

struct member
{
	struct conn *conn;   /* owned */
	struct queue *queue; /* what it serves; one of its lane's */
	enum pg_lane lane;   /* which */
	bool ready;          /* counted in queue->ready */
	int state;           /* of its connection in the statistics: enum lane_value */
	char name[24];       /* for the log */
};

struct lane
{
	struct member *members; /* owned */
	int size;               /* of members */
	struct queue *queues;   /* owned: one per member in a keyed lane, else one */
	int queue_count;        /* of queues */
	int timeout;            /* milliseconds that a call may wait, and then run */
	char setup[512];        /* SQL after connect */
	char begin[512];        /* SQL at the beginning of each group instead; empty: none */
};

/* A chat in the side lane. */
struct held_chat
{
	char key[24];        /* the chat's id, its name in held_chats */
	int pending;         /* its calls in the side lane */
	struct timer expiry; /* set for SIDE_TIME; not set: it leaves when pending is 0 */
};

static struct lane lanes[LANE_COUNT]; /* open from pool_open to pool_close */
static struct hash *held_chats;       /* struct held_chat by id; owned */
static struct list put_off_calls;     /* struct pg_call by node: they go again when their timer says so */
static struct task dispatch_task;     /* dispatch() at the end of the turn */
static int lane_series[LANE_COUNT];   /* of each in the statistics */
static const char *const lane_names[] = {"grouped", "single", "anonymous", "own", "replay", "files", "side"};

static bool
is_keyed(enum pg_lane lane)
{
	return lane == LANE_GROUPED || lane == LANE_SIDE;
}

static void
put_off_dispatch(void)
{
	loop_defer(&dispatch_task);
}

static struct held_chat *
held_chat(int64_t chat)
{
	char key[24];

	if (hash_count(held_chats) == 0)
		return NULL;
	snprintf(key, sizeof key, "%lld", (long long) chat);
	return hash_get(held_chats, key);
}

static void
let_go(struct held_chat *held)
{
	if (held->pending > 0 || held->expiry.place != 0)
		return;
	hash_remove(held_chats, held->key);
	mem_free(held);
}

static void
on_expiry(struct timer *timer)
{
	let_go(list_entry(timer, struct held_chat, expiry));
}

static struct held_chat *
hold_chat(int64_t chat)
{
	struct held_chat *held = held_chat(chat);

	if (held == NULL)
	{
		held = mem_alloc(sizeof *held);
		snprintf(held->key, sizeof held->key, "%lld", (long long) chat);
		hash_put(held_chats, held->key, held);
		log_write(LEVEL_INFO, "chat_held", "chat=%s somebody holds its row locked", held->key);
	}
	timer_set(&held->expiry, SIDE_TIME, on_expiry);
	return held;
}

/* Whether this says nothing of what an earlier attempt came to: it did not run, or was stopped by circumstances. */
static bool
is_inconclusive(enum pg_verdict verdict, const struct pg_result *result)
{
	static const char *const classes[] = {"40", "53", "55", "57", "58"};
	const char *sqlstate;

	if (verdict != PG_FAILED)
		return verdict != PG_DONE;
	sqlstate = result_failure(result).sqlstate;
	for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
	{
		if (strncmp(sqlstate, classes[i], 2) == 0)
			return true;
	}
	return false;
}

static void
finish(struct pg_call *call, enum pg_verdict verdict, const struct pg_result *result)
{
	struct pg_result *rows = call->result;
	struct held_chat *held = call->lane == LANE_SIDE ? held_chat(call->chat) : NULL;

	if (held != NULL)
	{
		held->pending--;
		let_go(held);
	}
	call->result = NULL;
	if (call->uncertain && is_inconclusive(verdict, result))
		call->done(call, PG_UNKNOWN, NULL);
	else
		call->done(call, verdict, result);
	conn_release_result(rows);
}

static struct queue *
queue_of(const struct pg_call *call)
{
	struct lane *lane = &lanes[call->lane];

	return &lane->queues[hash_bytes(&call->chat, sizeof call->chat) % (uint64_t) lane->queue_count];
}

static void
enqueue(struct queue *queue, struct list *after, struct pg_call *call)
{
	list_insert_after(after, &call->node);
	queue->length++;
	stats_series_move(SERIES_LANES, lane_series[call->lane], LANE_WAITING, 1);
	put_off_dispatch();
}

static struct pg_call *
dequeue(struct queue *queue, struct pg_call *call)
{
	list_remove(&call->node);
	queue->length--;
	stats_series_move(SERIES_LANES, lane_series[call->lane], LANE_WAITING, -1);
	return call;
}

static struct pg_call *
first(const struct queue *queue)
{
	return list_empty(&queue->calls) ? NULL : list_entry(queue->calls.next, struct pg_call, node);
}

void
pool_submit(struct pg_call *call)
{
	struct held_chat *held = call->lane == LANE_GROUPED && call->chat ? held_chat(call->chat) : NULL;
	struct queue *queue;

	if (held != NULL)
	{
		call->lane = LANE_SIDE;
		held->pending++;
	}
	stats_series_move(SERIES_LANES, lane_series[call->lane], LANE_CALLS, 1);
	call->queued = loop_now();
	call->submitted = loop_clock();
	queue = queue_of(call);
	enqueue(queue, queue->calls.prev, call);
}

/* Move the calls of a list to the head of a queue, keeping their order. */
static void
put_back(struct queue *queue, struct list *calls)
{
	struct list *node;
	struct list *after = &queue->calls;

	while ((node = list_shift(calls)) != NULL)
	{
		struct pg_call *call = list_entry(node, struct pg_call, node);

		conn_release_result(call->result);
		call->result = NULL;
		call->alone = true;
		stats_add(STAT_CALLS_REPEATED, 1);
		enqueue(queue, after, call);
		after = &call->node;
	}
}

/* Move to the side lane what waits in this queue for the chat. */
static void
divert(struct queue *queue, int64_t chat)
{
	struct held_chat *held = hold_chat(chat);
	struct list *node;
	struct list *after;

	list_each(node, after, &queue->calls)
	{
		struct pg_call *call = list_entry(node, struct pg_call, node);
		struct queue *side;

		if (call->chat != chat)
			continue;
		dequeue(queue, call);
		call->lane = LANE_SIDE;
		held->pending++;
		side = queue_of(call);
		enqueue(side, side->calls.prev, call);
	}
}

/* What the failed call deserves: true when it gets another chance, at its old place in the group. */
static bool
second_chance(struct pg_call *call, const char *sqlstate, bool *locked)
{
	*locked = strcmp(sqlstate, "55P03") == 0 && call->lane == LANE_GROUPED && call->chat != 0;
	if (strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0)
		return ++call->aborted <= ABORTS_LIMIT;
	if (call->retried || !*locked)
		return false;
	call->retried = true;
	return true;
}

static void
go_again(struct timer *timer)
{
	struct pg_call *call = list_entry(timer, struct pg_call, again);
	struct queue *queue = queue_of(call);

	list_remove(&call->node);
	enqueue(queue, &queue->calls, call);
}

/* Back to the head of its queue, but not at once. */
static void
put_off(struct pg_call *call)
{
	list_remove(&call->node);
	list_append(&put_off_calls, &call->node);
	conn_release_result(call->result);
	call->result = NULL;
	stats_add(STAT_CALLS_REPEATED, 1);
	timer_set(&call->again, loop_random((uint64_t) ABORT_PAUSE << call->aborted), go_again);
}

static void
on_failed_group(struct member *member, struct list *calls, struct pg_call *culprit, struct pg_result *failure)
{
	bool shared = calls->next->next != calls;
	bool locked = false;

	stats_add(STAT_GROUPS_FAILED, 1);
	if (culprit == NULL && !shared)
		culprit = list_entry(calls->next, struct pg_call, node);
	if (culprit == NULL || second_chance(culprit, result_failure(failure).sqlstate, &locked))
	{
		if (culprit != NULL && culprit->aborted > 0 && !is_keyed(member->lane))
			put_off(culprit);
		put_back(member->queue, calls);
		if (locked)
			divert(member->queue, culprit->chat);
		return;
	}
	list_remove(&culprit->node);
	put_back(member->queue, calls);
	culprit->spoiled = shared;
	finish(culprit, PG_FAILED, failure);
}

/* For the statistics only; conn.c knows it better. */
static void
set_state(struct member *member, enum lane_value state)
{
	stats_series_move(SERIES_LANES, lane_series[member->lane], member->state, -1);
	stats_series_move(SERIES_LANES, lane_series[member->lane], (int) state, 1);
	member->state = (int) state;
}

static void
on_finished(void *arg, struct list *calls, struct pg_call *culprit, struct pg_result *failure)
{
	struct list *node;

	set_state(arg, LANE_IDLE);
	if (failure != NULL)
		on_failed_group(arg, calls, culprit, failure);
	else
	{
		while ((node = list_shift(calls)) != NULL)
		{
			struct pg_call *call = list_entry(node, struct pg_call, node);

			finish(call, PG_DONE, call->result);
		}
	}
	put_off_dispatch();
}

static void
on_ready(void *arg)
{
	struct member *member = arg;

	set_state(member, LANE_IDLE);
	member->ready = true;
	member->queue->ready++;
	member->queue->down = false;
	timer_clear(&member->queue->outage);
	put_off_dispatch();
}

static void
on_outage(struct timer *timer)
{
	struct queue *queue = list_entry(timer, struct queue, outage);

	queue->down = true;
	put_off_dispatch();
}

static void
on_lost(void *arg, struct list *calls)
{
	struct member *member = arg;
	struct list repeat;
	struct list *node;

	if (member->ready && --member->queue->ready == 0)
		timer_set(&member->queue->outage, (uint64_t) config.unavailable_after, on_outage);
	member->ready = false;
	set_state(member, LANE_CONNECTING);
	list_init(&repeat);
	while ((node = list_shift(calls)) != NULL)
	{
		struct pg_call *call = list_entry(node, struct pg_call, node);

		if (call->repeatable && !call->retried)
		{
			call->retried = call->uncertain = true;
			list_append(&repeat, node);
		}
		else
			finish(call, PG_UNKNOWN, NULL);
	}
	put_back(member->queue, &repeat);
}

/* Put a call into a group at its place by chat, behind earlier ones of the same chat. */
static void
add_by_chat(struct list *group, struct pg_call *call)
{
	struct list *after = group->prev;

	while (after != group && list_entry(after, struct pg_call, node)->chat > call->chat)
		after = after->prev;
	list_insert_after(after, &call->node);
}

static bool
is_late(const struct pg_call *call)
{
	return loop_now() - call->queued > (uint64_t) lanes[call->lane].timeout;
}

/* What this connection sends next: so many calls, 0 when nothing waits. */
static int
next_group(struct member *member, struct list *group)
{
	struct pg_call *call;
	size_t weight = 0;
	uint64_t now = loop_clock();
	int count = 0;

	list_init(group);
	while ((call = first(member->queue)) != NULL)
	{
		bool alone = call->alone || call->lane != LANE_GROUPED;

		if (is_late(call))
		{
			finish(dequeue(member->queue, call), PG_LATE, NULL);
			continue;
		}
		if (count == config.group_limit || (count > 0 && (alone || weight + call->weight > GROUP_WEIGHT)))
			break;
		add_by_chat(group, dequeue(member->queue, call));
		call->sent = now;
		stats_series_time(SERIES_LANES, lane_series[call->lane], now - call->submitted);
		count++;
		weight += call->weight;
		if (alone)
			break;
	}
	return count;
}

/* What must not wait any longer in a queue. */
static void
fail_excess(struct queue *queue)
{
	while (queue->down && first(queue) != NULL)
		finish(dequeue(queue, first(queue)), PG_UNAVAILABLE, NULL);
	while (queue->length > QUEUE_LIMIT)
		finish(dequeue(queue, list_entry(queue->calls.prev, struct pg_call, node)), PG_UNAVAILABLE, NULL);
}

static void
dispatch_lane(struct lane *lane)
{
	for (int i = 0; i < lane->size; i++)
	{
		struct member *member = &lane->members[i];
		struct list group;
		int count;

		if (!conn_is_idle(member->conn))
			continue;
		count = next_group(member, &group);
		if (count == 0)
			continue;
		stats_observe(HISTOGRAM_GROUPS, (uint64_t) count, 1);
		set_state(member, LANE_BUSY);
		conn_send(member->conn, &group);
	}
	for (int i = 0; i < lane->queue_count; i++)
		fail_excess(&lane->queues[i]);
}

static void
dispatch(struct task *task)
{
	(void) task;
	for (int i = 0; i < LANE_COUNT; i++)
		dispatch_lane(&lanes[i]);
}

/*
 * The settings that codec/value relies on, and the limits of the lane: for the session, or, when the server session is
 * another one for each transaction, for the transaction. There the isolation level is the database's.
 */
static void
write_setup(struct lane *lane, int lock_wait)
{
	if (config.prepare)
		snprintf(
			lane->setup, sizeof lane->setup,
			"SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'iso_8601'; SET bytea_output "
			"= 'hex'; "
			"SET extra_float_digits = 1; SET jit = off; SET idle_session_timeout = 0; SET search_path = "
			"pg_catalog; "
			"SET default_transaction_isolation = 'read committed'; SET statement_timeout = %d; SET "
			"lock_timeout = %d",
			lane->timeout, lock_wait);
	else
	{
		snprintf(lane->setup, sizeof lane->setup, "SELECT");
		snprintf(
			lane->begin, sizeof lane->begin,
			"SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true), "
			"set_config('IntervalStyle', 'iso_8601', true), set_config('bytea_output', 'hex', true), "
			"set_config('extra_float_digits', '1', true), set_config('jit', 'off', true), "
			"set_config('search_path', 'pg_catalog', true), set_config('statement_timeout', '%d', true), "
			"set_config('lock_timeout', '%d', true)",
			lane->timeout, lock_wait);
	}
}

/* Milliseconds that a call may run there. */
static int
timeout_of(enum pg_lane kind)
{
	int own = kind == LANE_FILES       ? config.file_timeout
			  : kind == LANE_SINGLE    ? config.single_timeout
			  : kind == LANE_ANONYMOUS ? config.anonymous_timeout
			  : kind == LANE_REPLAY    ? config.replay_timeout
									   : 0;

	return own > 0 ? own : config.call_timeout;
}

static void
open_lane(enum pg_lane kind, int size)
{
	static const struct conn_owner owner = {on_ready, on_finished, on_lost};
	struct lane *lane = &lanes[kind];

	lane->size = size;
	lane_series[kind] = stats_series(SERIES_LANES, lane_names[kind], strlen(lane_names[kind]));
	lane->timeout = timeout_of(kind);
	lane->queue_count = is_keyed(kind) ? size : 1;
	lane->members = mem_alloc((size_t) size * sizeof *lane->members);
	lane->queues = mem_alloc((size_t) lane->queue_count * sizeof *lane->queues);
	write_setup(lane, kind == LANE_GROUPED ? GROUP_LOCK_WAIT : LOCK_WAIT);
	for (int i = 0; i < lane->queue_count; i++)
	{
		list_init(&lane->queues[i].calls);
		timer_set(&lane->queues[i].outage, (uint64_t) config.unavailable_after, on_outage);
	}
	for (int i = 0; i < size; i++)
	{
		struct member *member = &lane->members[i];

		snprintf(member->name, sizeof member->name, "%s %d", lane_names[kind], i + 1);
		member->lane = kind;
		member->state = LANE_CONNECTING;
		stats_series_move(SERIES_LANES, lane_series[kind], LANE_CONNECTING, 1);
		member->queue = &lane->queues[is_keyed(kind) ? i : 0];
		member->conn = conn_open(member->name, config.database, lane->setup,
								 lane->begin[0] ? lane->begin : NULL, lane->timeout, &owner, member);
	}
}

void
pool_open(void)
{
	held_chats = hash_create();
	list_init(&put_off_calls);
	dispatch_task.run = dispatch;
	open_lane(LANE_GROUPED, config.pool_size);
	open_lane(LANE_SINGLE, config.single_size);
	open_lane(LANE_ANONYMOUS, config.anonymous_size);
	open_lane(LANE_OWN, OWN_SIZE);
	open_lane(LANE_REPLAY, config.replay_size);
	open_lane(LANE_FILES, config.files_size);
	open_lane(LANE_SIDE, SIDE_SIZE);
}

static void
close_member(struct member *member)
{
	struct list calls;
	struct list *node;

	conn_close(member->conn, &calls);
	while ((node = list_shift(&calls)) != NULL)
		finish(list_entry(node, struct pg_call, node), PG_UNKNOWN, NULL);
}

static void
free_held_chats(void)
{
	size_t cursor = 0;
	struct held_chat *held;

	while ((held = hash_next(held_chats, &cursor, NULL)) != NULL)
	{
		timer_clear(&held->expiry);
		mem_free(held);
	}
	hash_destroy(held_chats);
}

void
pool_close(void)
{
	struct list *node;

	loop_forget(&dispatch_task);
	while ((node = list_shift(&put_off_calls)) != NULL)
	{
		timer_clear(&list_entry(node, struct pg_call, node)->again);
		finish(list_entry(node, struct pg_call, node), PG_UNAVAILABLE, NULL);
	}
	for (int i = 0; i < LANE_COUNT; i++)
	{
		for (int k = 0; k < lanes[i].size; k++)
			close_member(&lanes[i].members[k]);
		for (int k = 0; k < lanes[i].queue_count; k++)
		{
			timer_clear(&lanes[i].queues[k].outage);
			lanes[i].queues[k].down = true;
			fail_excess(&lanes[i].queues[k]);
		}
		mem_free(lanes[i].members);
		mem_free(lanes[i].queues);
		lanes[i] = (struct lane){0};
	}
	free_held_chats();
}

bool
pool_is_ready(void)
{
	for (int i = 0; i < LANE_COUNT; i++)
	{
		for (int k = 0; k < lanes[i].queue_count; k++)
		{
			if (lanes[i].queues[k].ready == 0)
				return false;
		}
	}
	return true;
}

void
pool_forget_statements(void)
{
	for (int i = 0; i < LANE_COUNT; i++)
	{
		for (int k = 0; k < lanes[i].size; k++)
			conn_forget_statements(lanes[i].members[k].conn);
	}
}

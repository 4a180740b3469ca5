/* SPDX-License-Identifier: PostgreSQL */
/*
 * pool.c
 *	  The worker's connections for calls: lanes, group commit, second chances.
 *
 *	  grouped     pool_size connections of its own, a queue each; a call goes to the queue hash(chat). What waits there
 *				  leaves together, up to group_limit calls under one Sync, ordered by chat, and as few
 *				  as their rows, which are kept to the group's end, are likely to be large.
 *
 *	  All other lanes are a queue with a share: so many of the shared connections it may hold at a time, one call each.
 *
 *	  own         the gateway's own calls: logins, catalog, what it has to know of users and chats
 *	  single      calls of users that may not be grouped
 *	  sign_in     log_in, whose password hashing takes long
 *	  anonymous   other calls before login: accounts are made apart from logging in to those that are there
 *	  replay      pages of what sessions have missed (chat/replay.c)
 *	  files       pieces of files on their way in or out; a call may take long there: finishing reads all of a file
 *	  upkeep      maintenance (chat/upkeep.c)
 *	  side        chats whose row somebody holds locked (held.c)
 *
 * There are as many shared connections as all shares come to, so no lane can keep another one waiting, whatever it is given
 * to do; but few of them are open: SHARED_KEPT, and more when calls find none free (crew.c). The last free one is left to
 * the gateway's own calls, so that these do not even wait for a connect.
 *
 * Queues serve callers in turn (queue.c). Where a share is more than one, one caller never holds all of it; of a group
 * one caller gets a GROUP_PART at most. So whoever comes waits for one call of each other, or one group, and not for
 * what others have piled up. Where calls are short, a turn is several: GROUP_TURN, since the answers to one socket leave
 * together, and OWN_TURN, since what is to be known of users after their logins is read for many of them at once. For that
 * all of the own lane's share may serve one address, whose logins are over in no time.
 *
 * 1. pool_submit puts a call into a queue and puts off dispatch() to the end of the turn, so that all calls of the
 *	  turn leave together. dispatch() also runs when a group is over: what has gathered meanwhile is the next group.
 * 2. Group over, no failure: every call is done.
 * 3. One failed: it gets its error, the others go back to the head of their queue to be sent one by one. In order:
 *	  nothing newer has run, because a connection has one group on its way.
 * 4. It failed by 55P03 (grouped connections wait 200 ms for a lock, less than deadlock_timeout): it and all that
 *	  wait for the same chat move to the side lane, where a lock may take longer; so does what comes for that chat
 *	  within the next seconds, and as long as something of that chat is still there. There one call of a caller runs at a
 *	  time, which keeps their order.
 * 5. It failed by 40001 or 40P01: sent again alone, ABORTS_LIMIT times at most; where no order is to be kept, after a
 *	  random pause, since whom it met tries again too.
 * 6. The connection broke: what is repeatable goes back to its queue, the rest is done with PG_UNKNOWN. What was put
 *	  back and is not run again either ends as PG_UNKNOWN too: its first attempt may have committed.
 *
 * Ordered by chat, because two groups that lock chats in different orders deadlock.
 *
 * A queue whose connections are all gone keeps its calls for unavailable_after, then fails them, and what comes after, at
 * once. In a queue calls_waiting calls of one caller may wait, and QUEUE_LIMIT of all: beyond, the newest one of whoever
 * has most fails.
 *
 * Called from: chat/. Calls: pg/crew, pg/queue, pg/held, io/loop, io/timer.
 */
#include "pg/pool.h"

#include <limits.h>
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
#include "pg/crew.h"
#include "pg/held.h"
#include "pg/queue.h"

#define QUEUE_LIMIT     10000     /* calls waiting in one queue */
#define ABORTS_LIMIT    2         /* times that a call is sent again after 40001 and the like */
#define ABORT_PAUSE     20        /* milliseconds, half the upper end of the first pause before that */
#define OWN_SHARE       2         /* of the gateway's own lane */
#define OWN_TURN        32        /* logins from one address that follow each other there */
#define UPKEEP_SHARE    1         /* of maintenance */
#define SIDE_SHARE      1         /* of the side lane */
#define GROUP_TURN      4         /* calls of one caller that follow each other in a group */
#define GROUP_PART      4         /* one caller gets the so many'th part of group_limit */
#define GROUP_WEIGHT    (4 << 20) /* bytes of rows that one group may hold until its end, more or less */
#define GROUP_LOCK_WAIT 200       /* milliseconds, lock_timeout of grouped connections */
#define LOCK_WAIT       2000      /* milliseconds, lock_timeout elsewhere */
#define SHARED_KEPT     2         /* shared connections that stay open */

/*
 * Passwords and tokens are parameters of calls: the server's log is not to show them, if we may say so (chat/secrecy.c).
 * Verbose plans show what functions are called with.
 */
#define NOT_LOGGED(local)                                                                                    \
	"(SELECT pg_catalog.count(pg_catalog.set_config(p.name, '0', " local ")) "                               \
	"FROM (VALUES ('log_parameter_max_length'), ('log_parameter_max_length_on_error'), "                     \
	"('auto_explain.log_parameter_max_length'), ('auto_explain.log_verbose')) p (name) "                     \
	"WHERE pg_catalog.current_setting(p.name, true) IS NOT NULL "                                            \
	"AND pg_catalog.has_parameter_privilege(p.name, 'SET'))"

/* A queue and who serves it; of the grouped lane one for each of its connections. */
struct lane
{
	struct queue queue;
	struct crew *crew;                /* serves it */
	enum pg_lane kind;                /* see pg/call.h */
	int share;                        /* connections of the crew that it may hold */
	int held;                         /* that it does */
	const struct conn_limits *limits; /* of its calls */
};

static struct crew **crews; /* those of the grouped lane, and the shared one; owned */
static struct lane *lanes;  /* those of the grouped lane, and the others by kind; owned */
static int group_count;     /* of the grouped lane's: pool_size when the pool was opened */
static struct conn_limits all_limits[LANE_COUNT]; /* by kind; only the first of equal ones is used */
static struct list put_off_calls;   /* struct pg_call by node: they go again when their timer says so */
static struct list crowded_calls;   /* struct pg_call by node: to be told so by dispatch() */
static struct task dispatch_task;   /* dispatch() at the end of the turn */
static bool closing;                /* pool_close is under way */
static unsigned turn;               /* of dispatch(): who comes first */
static int lane_series[LANE_COUNT]; /* of each kind in the statistics */
static const char *const lane_names[] = {[LANE_GROUPED] = "grouped",
										 [LANE_OWN] = "own",
										 [LANE_SINGLE] = "single",
										 [LANE_SIGN_IN] = "sign_in",
										 [LANE_ANONYMOUS] = "anonymous",
										 [LANE_REPLAY] = "replay",
										 [LANE_FILES] = "files",
										 [LANE_UPKEEP] = "upkeep",
										 [LANE_SIDE] = "side"};

static void
put_off_dispatch(void)
{
	loop_defer(&dispatch_task);
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

	if (call->lane == LANE_SIDE)
		held_leave(call->chat);
	call->result = NULL;
	if (call->uncertain && is_inconclusive(verdict, result))
		call->done(call, PG_UNKNOWN, NULL);
	else
		call->done(call, verdict, result);
	conn_release_result(rows);
}

/* Those of the other lanes stand behind the grouped lane's, by kind. */
static struct lane *
lane_of(const struct pg_call *call)
{
	if (call->lane == LANE_GROUPED)
		return &lanes[hash_bytes(&call->chat, sizeof call->chat) % (uint64_t) group_count];
	return &lanes[group_count + (int) call->lane - 1];
}

static int
lane_count(void)
{
	return group_count + LANE_COUNT - 1;
}

static void
count_waiting(const struct pg_call *call, int change)
{
	stats_series_move(SERIES_LANES, lane_series[call->lane], LANE_WAITING, change);
}

static void
append(struct pg_call *call)
{
	queue_append(&lane_of(call)->queue, call);
	count_waiting(call, 1);
	put_off_dispatch();
}

/* Back to where it was taken from, before all others. */
static void
bring_back(struct pg_call *call)
{
	conn_release_result(call->result);
	call->result = NULL;
	queue_return(&lane_of(call)->queue, call);
	count_waiting(call, 1);
	put_off_dispatch();
}

static struct pg_call *
drop(struct lane *lane, struct pg_call *call)
{
	queue_drop(&lane->queue, call);
	count_waiting(call, -1);
	return call;
}

/* Logins have no bound here, as a socket has one at a time; nor has the gateway. What comes back has been within it. */
static bool
is_crowded(const struct pg_call *call)
{
	return call->user != 0 && call->lane != LANE_OWN &&
		   queue_waiting(&lane_of(call)->queue, call->user) >= config.calls_waiting;
}

void
pool_submit(struct pg_call *call)
{
	if (call->lane == LANE_GROUPED && held_enter(call->chat))
		call->lane = LANE_SIDE;
	stats_series_move(SERIES_LANES, lane_series[call->lane], LANE_CALLS, 1);
	call->queued = loop_now();
	call->submitted = loop_clock();
	if (!is_crowded(call))
	{
		append(call);
		return;
	}
	list_append(&crowded_calls, &call->node);
	put_off_dispatch();
}

/* The calls of a group that has failed go again, one by one, before all others and in their order. */
static void
put_back(struct list *calls)
{
	while (!list_empty(calls))
	{
		struct pg_call *call = list_entry(calls->prev, struct pg_call, node);

		list_remove(&call->node);
		call->alone = true;
		stats_add(STAT_CALLS_REPEATED, 1);
		bring_back(call);
	}
}

/* One that waits moves to the side lane, if it names the chat. */
static void
divert_call(struct queue *queue, struct pg_call *call, void *chat)
{
	if (call->chat != *(const int64_t *) chat || !held_enter(call->chat))
		return;
	queue_drop(queue, call);
	count_waiting(call, -1);
	call->lane = LANE_SIDE;
	append(call);
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

	list_remove(&call->node);
	bring_back(call);
}

/* Back to the head of its queue, but not at once. */
static void
put_off(struct pg_call *call)
{
	list_remove(&call->node);
	list_append(&put_off_calls, &call->node);
	stats_add(STAT_CALLS_REPEATED, 1);
	timer_set(&call->again, loop_random((uint64_t) ABORT_PAUSE << call->aborted), go_again);
}

static bool
keeps_order(const struct lane *lane)
{
	return lane->kind == LANE_GROUPED || lane->kind == LANE_SIDE;
}

static void
on_failed_group(struct lane *lane, struct list *calls, struct pg_call *culprit, struct pg_result *failure)
{
	bool together = calls->next->next != calls;
	bool locked = false;

	stats_add(STAT_GROUPS_FAILED, 1);
	if (culprit == NULL && !together)
		culprit = list_entry(calls->next, struct pg_call, node);
	if (culprit == NULL || second_chance(culprit, result_failure(failure).sqlstate, &locked))
	{
		if (culprit != NULL && culprit->aborted > 0 && !keeps_order(lane))
			put_off(culprit);
		put_back(calls);
		if (locked)
		{
			held_begin(culprit->chat);
			queue_each(&lane->queue, divert_call, &culprit->chat);
		}
		return;
	}
	list_remove(&culprit->node);
	put_back(calls);
	culprit->spoiled = together;
	finish(culprit, PG_FAILED, failure);
}

/* They are no more on their way. */
static void
let_go(struct lane *lane, struct list *calls)
{
	struct list *node;

	lane->held--;
	for (node = calls->next; node != calls; node = node->next)
		queue_done(&lane->queue, list_entry(node, struct pg_call, node));
	put_off_dispatch();
}

static void
on_finished(void *holder, struct list *calls, struct pg_call *culprit, struct pg_result *failure)
{
	struct lane *lane = holder;
	struct list *node;

	let_go(lane, calls);
	if (failure != NULL)
	{
		on_failed_group(lane, calls, culprit, failure);
		return;
	}
	while ((node = list_shift(calls)) != NULL)
	{
		struct pg_call *call = list_entry(node, struct pg_call, node);

		finish(call, PG_DONE, call->result);
	}
}

static void
on_lost(void *holder, struct list *calls)
{
	struct list repeat;
	struct list *node;

	let_go(holder, calls);
	list_init(&repeat);
	while ((node = list_shift(calls)) != NULL)
	{
		struct pg_call *call = list_entry(node, struct pg_call, node);

		if (call->repeatable && !call->retried && !closing)
		{
			call->retried = call->uncertain = true;
			list_append(&repeat, node);
		}
		else
			finish(call, PG_UNKNOWN, NULL);
	}
	put_back(&repeat);
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

/* Whose turn it is, without those that have waited too long; NULL: nobody's. */
static struct pg_call *
first(struct lane *lane)
{
	struct pg_call *call;

	while ((call = queue_first(&lane->queue)) != NULL &&
		   loop_now() - call->queued > (uint64_t) lane->limits->timeout)
		finish(drop(lane, call), PG_LATE, NULL);
	return call;
}

/* What leaves together from this queue, where something waits. */
static void
gather(struct lane *lane, struct list *group)
{
	struct pg_call *call;
	size_t weight = 0;
	uint64_t now = loop_clock();
	int count = 0;
	bool alone;

	list_init(group);
	do
	{
		call = first(lane);
		alone = call == NULL || call->alone || call->lane != LANE_GROUPED;
		if (count > 0 && (alone || count == config.group_limit || weight + call->weight > GROUP_WEIGHT))
			break;
		queue_take(&lane->queue, call);
		count_waiting(call, -1);
		add_by_chat(group, call);
		call->sent = now;
		stats_series_time(SERIES_LANES, lane_series[call->lane], now - call->submitted);
		count++;
		weight += call->weight;
	} while (!alone);
	stats_observe(HISTOGRAM_GROUPS, (uint64_t) count, 1);
}

/* Whether a connection is free for it. The last shared one is for the gateway's own calls. */
static bool
has_free(const struct lane *lane)
{
	bool yields = lane->kind != LANE_GROUPED && lane->kind != LANE_OWN;

	return crew_has_free(lane->crew, yields && crew_ready(lane->crew) > 1);
}

/* What must not wait any longer in a queue. */
static void
fail_excess(struct lane *lane)
{
	while ((closing || crew_is_down(lane->crew)) && lane->queue.waiting > 0)
		finish(drop(lane, queue_newest(&lane->queue)), PG_UNAVAILABLE, NULL);
	while (lane->queue.waiting > QUEUE_LIMIT)
		finish(drop(lane, queue_newest(&lane->queue)), PG_CROWDED, NULL);
}

/* Send what may be sent. How many more connections it would take. */
static int
dispatch_lane(struct lane *lane)
{
	struct list group;

	if (lane->kind == LANE_GROUPED)
		lane->queue.limit = (config.group_limit + GROUP_PART - 1) / GROUP_PART;
	fail_excess(lane);
	while (lane->held < lane->share && first(lane) != NULL)
	{
		if (!has_free(lane))
			return 1;
		gather(lane, &group);
		lane->held++;
		crew_send(lane->crew, &group, lane->limits, lane, lane_series[lane->kind]);
	}
	return 0;
}

static void
fail_crowded(void)
{
	struct list *node;

	while ((node = list_shift(&crowded_calls)) != NULL)
		finish(list_entry(node, struct pg_call, node), PG_CROWDED, NULL);
}

static void
dispatch(struct task *task)
{
	int wanted = 0;
	int count = lane_count();

	(void) task;
	fail_crowded();
	turn++;
	for (int i = 0; i < count; i++)
	{
		struct lane *lane = &lanes[(turn + (unsigned) i) % (unsigned) count];
		int more = dispatch_lane(lane);

		wanted += lane->kind != LANE_GROUPED ? more : 0;
	}
	if (wanted > 0)
		crew_want(crews[group_count], wanted);
}

/*
 * Limits of the lane, for the session; or, when the server session is another one for each transaction, for that, with the
 * settings that codec/value relies on. There the isolation level is the database's, and so is the search_path till then: what is called
 * here is named in full.
 */
static void
write_limits(struct conn_limits *limits, int timeout, int lock_wait)
{
	static const char transaction[] =
		", pg_catalog.set_config('TimeZone', 'UTC', true), pg_catalog.set_config('DateStyle', 'ISO', true), "
		"pg_catalog.set_config('IntervalStyle', 'iso_8601', true), pg_catalog.set_config('bytea_output', "
		"'hex', true), "
		"pg_catalog.set_config('extra_float_digits', '1', true), pg_catalog.set_config('jit', 'off', true), "
		"pg_catalog.set_config('search_path', 'pg_catalog', true), " NOT_LOGGED("true");
	const char *local = config.prepare ? "false" : "true";

	limits->timeout = timeout;
	snprintf(limits->sql, sizeof limits->sql,
			 "SELECT pg_catalog.set_config('statement_timeout', '%d', %s), "
			 "pg_catalog.set_config('lock_timeout', '%d', %s)%s",
			 timeout, local, lock_wait, local, config.prepare ? "" : transaction);
}

/* Milliseconds that a call may run there. */
static int
timeout_of(enum pg_lane kind)
{
	int own = kind == LANE_FILES || kind == LANE_UPKEEP        ? config.file_timeout
			  : kind == LANE_SINGLE                            ? config.single_timeout
			  : kind == LANE_SIGN_IN || kind == LANE_ANONYMOUS ? config.anonymous_timeout
			  : kind == LANE_REPLAY                            ? config.replay_timeout
															   : 0;

	return own > 0 ? own : config.call_timeout;
}

/* Equal ones are the same, so that a connection need not be told when the next lane has it. */
static const struct conn_limits *
limits_of(enum pg_lane kind)
{
	int at = 0;

	write_limits(&all_limits[kind], timeout_of(kind), kind == LANE_GROUPED ? GROUP_LOCK_WAIT : LOCK_WAIT);
	while (strcmp(all_limits[at].sql, all_limits[kind].sql) != 0)
		at++;
	return &all_limits[at];
}

static int
share_of(enum pg_lane kind)
{
	const int shares[LANE_COUNT] = {[LANE_OWN] = OWN_SHARE,
									[LANE_SINGLE] = config.single_share,
									[LANE_SIGN_IN] = config.sign_in_share,
									[LANE_ANONYMOUS] = config.anonymous_share,
									[LANE_REPLAY] = config.replay_share,
									[LANE_FILES] = config.files_share,
									[LANE_UPKEEP] = UPKEEP_SHARE,
									[LANE_SIDE] = SIDE_SHARE};

	return shares[kind];
}

static void
open_lane(struct lane *lane, enum pg_lane kind)
{
	lane->kind = kind;
	lane->share = kind == LANE_GROUPED ? 1 : share_of(kind);
	lane->limits = limits_of(kind);
	lane_series[kind] = stats_series(SERIES_LANES, lane_names[kind], strlen(lane_names[kind]));
	queue_open(&lane->queue);
	lane->queue.turn = kind == LANE_GROUPED ? GROUP_TURN : kind == LANE_OWN ? OWN_TURN : 1;
	lane->queue.limit = kind == LANE_OWN ? INT_MAX : lane->share > 1 ? lane->share - 1 : 1;
}

void
pool_open(void)
{
	static const struct crew_owner owner = {put_off_dispatch, on_finished, on_lost};
	static const char session[] =
		"SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'iso_8601'; "
		"SET bytea_output = 'hex'; SET extra_float_digits = 1; SET jit = off; SET idle_session_timeout = 0; "
		"SET search_path = pg_catalog; SET default_transaction_isolation = 'read committed'; "
		"SELECT " NOT_LOGGED("false");
	const char *setup = config.prepare ? session : "SELECT";
	int shared = 0;

	group_count = config.pool_size;
	crews = mem_alloc((size_t) (group_count + 1) * sizeof *crews);
	lanes = mem_alloc((size_t) lane_count() * sizeof *lanes);
	held_open();
	list_init(&put_off_calls);
	list_init(&crowded_calls);
	dispatch_task.run = dispatch;
	for (int i = 0; i < group_count; i++)
	{
		open_lane(&lanes[i], LANE_GROUPED);
		lanes[i].crew = crews[i] = crew_open(lane_names[LANE_GROUPED], i + 1, 1, 1, setup, &owner);
	}
	for (int i = group_count; i < lane_count(); i++)
	{
		open_lane(&lanes[i], (enum pg_lane)(i - group_count + LANE_GROUPED + 1));
		shared += lanes[i].share;
	}
	crews[group_count] = crew_open("shared", 1, shared, SHARED_KEPT, setup, &owner);
	for (int i = group_count; i < lane_count(); i++)
		lanes[i].crew = crews[group_count];
}

static void
finish_all(struct list *calls, enum pg_verdict verdict)
{
	struct list *node;

	while ((node = list_shift(calls)) != NULL)
		finish(list_entry(node, struct pg_call, node), verdict, NULL);
}

void
pool_close(void)
{
	struct list *node;

	closing = true;
	for (node = put_off_calls.next; node != &put_off_calls; node = node->next)
		timer_clear(&list_entry(node, struct pg_call, node)->again);
	finish_all(&put_off_calls, PG_UNAVAILABLE);
	finish_all(&crowded_calls, PG_CROWDED);
	for (int i = 0; i <= group_count; i++)
		crew_close(crews[i]);
	for (int i = 0; i < lane_count(); i++)
		fail_excess(&lanes[i]);
	for (int i = 0; i < lane_count(); i++)
		queue_close(&lanes[i].queue);
	mem_free(crews);
	mem_free(lanes);
	held_close();
	loop_forget(&dispatch_task);
}

bool
pool_is_ready(void)
{
	for (int i = 0; i <= group_count; i++)
	{
		if (crew_ready(crews[i]) == 0)
			return false;
	}
	return true;
}

void
pool_forget_statements(void)
{
	for (int i = 0; i <= group_count; i++)
		crew_forget_statements(crews[i]);
}

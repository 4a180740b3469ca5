/* SPDX-License-Identifier: PostgreSQL */
/*
 * cursor.c
 *	  How far everything has arrived here: markers; and by which way it comes: the delivery mode.
 *
 *	  every second, when something has come: publish_horizon() --> H, published to the markers' channel behind all
 *	  events up to H --> LISTEN connection, or outbox --> feed's queue --its turn--> cursor_passed(H) --> sessions' cursors
 *
 * 1. A marker travels as any notification does, so when its turn comes all events up to H have been relayed, those that
 *	  were read back included. That holds for every session that is live: in a replay its cursor stays (replay.c), and when it
 *	  has missed events; so do all while notifications are known to be lost and their round is put off (hub.c). A
 *	  marker asked for before a loss may arrive behind it: what it stands for could be seen when it was asked for, so
 *	  it was on the replay's last page, which was read later.
 * 2. The channel is one for all gateways, and its name a secret like those of all others, so nobody else can send one. Markers
 *	  of other workers say as much as our own: of those that come after we asked the first is taken.
 * 3. Sessions are told every cursor_interval, when anything but markers has come since they were told last. Their cursors
 *	  move more often, so that a loss costs a replay of seconds.
 * 4. The answer also says which chat.delivery is in force. When that changes, backends follow one by one within moments:
 *	  a marker of that time may have overtaken events that went the other way. So everything is replayed, not from the last
 *	  marker but from the one before it.
 * 5. What clients call their cursor may be anything. One from the future would be believed until its time has come, so it is
 *	  refused. The ids' clock may be ahead of ours, and true cursors with it: the horizon tells by how much.
 *
 * Called from: chat/hub, chat/feed, chat/call, net/events, main.c. Calls: chat/hub, chat/channel, chat/outbox, codec/time,
 * pg/pool.
 */
#include "chat/cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"
#include "chat/channel.h"
#include "chat/hub.h"
#include "chat/outbox.h"
#include "codec/time.h"
#include "io/loop.h"
#include "io/timer.h"
#include "pg/pool.h"

#define MARKER_INTERVAL 1000      /* milliseconds between markers while something comes */
#define MARKER_PREFIX   "chat_g_" /* of the channel's name; channel.c listens to it, as to those of chats */
#define AHEAD_LIMIT     60000 /* milliseconds that a cursor may be ahead of the clock: as many as sync allows */

static struct timer tick;   /* set for the next question */
static struct pg_call call; /* the question */
static bool busy;           /* call is under way */
static bool again;          /* and is to be asked once more */
static bool awaited;        /* a marker is to come */
static bool stirred;        /* something else has come since the last question */
static bool moved;          /* the same, since sessions were told, or beyond what they were told */
static int64_t newest;      /* greatest id of an event that has come */
static int64_t told;        /* horizon that sessions were told last */
static uint64_t ask_at;     /* loop_now() of the next question, when nothing comes */
static uint64_t tell_at;    /* loop_now() from which sessions may be told again */
static int64_t last;        /* horizon of the last marker; 0: none */
static int64_t before;      /* of the one before it */
static int64_t ahead;       /* milliseconds by which the horizon was ahead of our clock; 0: it was not */
static char delivery[16];   /* chat.delivery as last answered; empty: not yet */

static const struct pg_statement publish_horizon = {
	"publish_horizon", "SELECT horizon, delivery FROM chat.publish_horizon()", 0};

static void wait_for_next(void);

static void
on_tick(struct timer *timer)
{
	(void) timer;
	if (stirred || moved || loop_now() >= ask_at)
		cursor_ask();
	else
		wait_for_next();
}

static void
wait_for_next(void)
{
	int interval = config.cursor_interval < MARKER_INTERVAL ? config.cursor_interval : MARKER_INTERVAL;

	timer_set(&tick, (uint64_t) interval, on_tick);
}

static void
follow(const char *mode, int64_t horizon)
{
	bool outbox = strcmp(mode, "outbox") == 0;
	bool first = delivery[0] == '\0';

	if (strcmp(mode, delivery) == 0)
		return;
	log_write(LEVEL_INFO, "delivery", "%s", mode);
	if (!outbox && !config.use_listen)
		log_write(LEVEL_WARN, "nothing_is_heard", "use_listen is off and chat.delivery is %s", mode);
	snprintf(delivery, sizeof delivery, "%s", mode);
	if (outbox)
		outbox_start(horizon);
	else
		outbox_stop();
	if (outbox || !first)
		hub_replay_all(before != 0 ? before : INT64_MAX);
}

static void
on_answer(struct pg_call *from, enum pg_verdict verdict, const struct pg_result *result)
{
	int64_t horizon;

	(void) from;
	busy = false;
	if (verdict == PG_DONE && result_rows(result) == 1)
	{
		horizon = strtoll(result_value(result, 0, 0, NULL), NULL, 10);
		ahead = time_of_id(horizon) - loop_date();
		ahead = ahead > 0 ? ahead : 0;
		follow(result_value(result, 0, 1, NULL), horizon);
	}
	else if (verdict == PG_FAILED)
		log_write(LEVEL_WARN, "no_horizon", "%s", result_failure(result).message);
	if (again || delivery[0] == '\0')
		ask_at = 0;
}

void
cursor_ask(void)
{
	wait_for_next();
	again = busy;
	if (busy)
		return;
	busy = true;
	awaited = true;
	moved |= stirred;
	stirred = false;
	ask_at = loop_now() + (uint64_t) config.cursor_interval;
	call = (struct pg_call){
		.statement = &publish_horizon, .lane = LANE_OWN, .repeatable = true, .done = on_answer};
	pool_submit(&call);
}

bool
cursor_is_possible(int64_t id)
{
	return id >= 0 && time_of_id(id) <= loop_date() + ahead + AHEAD_LIMIT;
}

bool
cursor_is_on(const char *name)
{
	return strncmp(name, MARKER_PREFIX, strlen(MARKER_PREFIX)) == 0;
}

void
cursor_stir(void)
{
	stirred = true;
}

void
cursor_came(int64_t id)
{
	newest = id > newest ? id : newest;
}

static void
move_on(struct session *session, void *arg)
{
	int64_t horizon = *(int64_t *) arg;

	if (!session->missed && session->replay == NULL && session->cursor < horizon)
		session->cursor = horizon;
}

int64_t
cursor_passed(int64_t horizon)
{
	if (!awaited || hub_is_doubtful())
		return 0;
	awaited = false;
	if (horizon > last)
	{
		before = last != 0 ? last : horizon;
		last = horizon;
		channel_passed(horizon);
		hub_each_session(move_on, &horizon);
	}
	if (!moved || last == told || loop_now() < tell_at)
		return 0;
	moved = newest > last;
	told = last;
	tell_at = loop_now() + (uint64_t) config.cursor_interval;
	return last;
}

void
cursor_open(void)
{
	cursor_ask();
}

void
cursor_close(void)
{
	timer_clear(&tick);
}

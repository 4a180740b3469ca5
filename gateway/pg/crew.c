/* SPDX-License-Identifier: PostgreSQL */
/*
 * crew.c
 *	  Connections that serve the same queues: made when they are wanted, closed when they have been idle for a while.
 *
 *	  closed --wanted--> connecting --ready--> free --crew_send--> busy --group over--> free
 *	    ^__ not needed for IDLE_TIME: beyond `kept` ________|          \__ broken: lost, and connecting again
 *
 * The one used last is used next, so that those that are not needed stay idle. Each IDLE_TIME it is looked which have not
 * been used since the last look. One that cannot be made goes likewise, and is tried again when it is wanted.
 *
 * Called from: pg/pool. Calls: pg/conn, io/timer, base/.
 */
#include "pg/crew.h"

#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "base/mem.h"
#include "base/stats.h"
#include "io/timer.h"

#define IDLE_TIME 30000 /* milliseconds between looks at what is idle */

struct member
{
	struct conn *conn;     /* owned; NULL: closed */
	struct crew *crew;     /* whose it is */
	void *holder;          /* who has sent a group; NULL: nobody */
	struct list node;      /* in crew->free, when it is */
	bool ready;            /* counted in crew->ready */
	bool used;             /* since the last look */
	int series;            /* where it stands in the statistics */
	enum lane_value state; /* as what */
	char name[24];         /* for the log */
};

struct crew
{
	const struct crew_owner *owner; /* callbacks */
	const char *setup;              /* SQL after each connect */
	struct member *members;         /* owned */
	int size;                       /* of members */
	int kept;                       /* that stay open */
	int open;                       /* that are */
	int ready;                      /* of those: connected */
	int free_count;                 /* of those: nothing is on its way */
	struct list free;               /* struct member by node: the one used last first */
	bool down;                      /* none ready for longer than unavailable_after */
	struct timer outage;            /* set while ready is 0 and not down */
	struct timer look;              /* to the next look; set while more are open than kept */
	int series;                     /* of the statistics, for those that nobody holds */
};

static void
set_state(struct member *member, int series, enum lane_value state)
{
	stats_series_move(SERIES_LANES, member->series, (int) member->state, -1);
	stats_series_move(SERIES_LANES, series, (int) state, 1);
	member->series = series;
	member->state = state;
}

static void
set_free(struct member *member)
{
	struct crew *crew = member->crew;

	list_insert_after(&crew->free, &member->node);
	crew->free_count++;
	set_state(member, crew->series, LANE_IDLE);
	crew->owner->changed();
}

static void
set_not_free(struct member *member)
{
	if (list_empty(&member->node))
		return;
	list_remove(&member->node);
	member->crew->free_count--;
}

/* Whose the group was. */
static void *
let_go(struct member *member)
{
	void *holder = member->holder;

	member->holder = NULL;
	return holder;
}

static void
on_ready(void *arg)
{
	struct member *member = arg;

	member->ready = member->used = true;
	member->crew->ready++;
	member->crew->down = false;
	timer_clear(&member->crew->outage);
	set_free(member);
}

static void
on_finished(void *arg, struct list *calls, struct pg_call *culprit, struct pg_result *failure)
{
	struct member *member = arg;
	const struct crew_owner *owner = member->crew->owner;
	void *holder = let_go(member);

	set_free(member);
	owner->finished(holder, calls, culprit, failure);
}

static void
on_outage(struct timer *timer)
{
	struct crew *crew = list_entry(timer, struct crew, outage);

	crew->down = true;
	crew->owner->changed();
}

static void
on_lost(void *arg, struct list *calls)
{
	struct member *member = arg;
	struct crew *crew = member->crew;
	void *holder = let_go(member);

	if (member->ready && --crew->ready == 0)
		timer_set(&crew->outage, (uint64_t) config.unavailable_after, on_outage);
	member->ready = false;
	set_not_free(member);
	set_state(member, crew->series, LANE_CONNECTING);
	if (holder != NULL)
		crew->owner->lost(holder, calls);
}

static void
open_member(struct member *member)
{
	static const struct conn_owner owner = {on_ready, on_finished, on_lost};

	member->crew->open++;
	member->used = true;
	member->series = member->crew->series;
	member->state = LANE_CONNECTING;
	stats_series_move(SERIES_LANES, member->series, LANE_CONNECTING, 1);
	member->conn =
		conn_open(member->name, config.database, member->crew->setup, !config.prepare, &owner, member);
}

static void
close_member(struct member *member)
{
	struct crew *crew = member->crew;
	void *holder = let_go(member);
	struct list calls;

	conn_close(member->conn, &calls);
	member->conn = NULL;
	set_not_free(member);
	crew->open--;
	crew->ready -= member->ready;
	member->ready = false;
	stats_series_move(SERIES_LANES, member->series, (int) member->state, -1);
	if (holder != NULL)
		crew->owner->lost(holder, &calls);
}

/* Whether it may go: nobody has needed it, or it could not be had. */
static bool
is_dispensable(const struct member *member)
{
	const struct crew *crew = member->crew;

	if (member->conn == NULL || member->used || crew->open <= crew->kept)
		return false;
	return member->ready ? member->holder == NULL && crew->ready > crew->kept : true;
}

static void
look(struct timer *timer)
{
	struct crew *crew = list_entry(timer, struct crew, look);

	for (int i = 0; i < crew->size; i++)
	{
		if (is_dispensable(&crew->members[i]))
			close_member(&crew->members[i]);
		crew->members[i].used = false;
	}
	if (crew->open > crew->kept)
		timer_set(timer, IDLE_TIME, look);
}

void
crew_want(struct crew *crew, int count)
{
	for (int i = 0; i < crew->size && crew->open - crew->ready < count; i++)
	{
		if (crew->members[i].conn == NULL)
			open_member(&crew->members[i]);
	}
	if (crew->open > crew->kept && crew->look.place == 0)
		timer_set(&crew->look, IDLE_TIME, look);
}

struct crew *
crew_open(const char *name, int number, int size, int kept, const char *setup, const struct crew_owner *owner)
{
	struct crew *crew = mem_alloc(sizeof *crew);

	crew->owner = owner;
	crew->size = size;
	crew->kept = kept;
	crew->setup = setup;
	crew->series = stats_series(SERIES_LANES, name, strlen(name));
	list_init(&crew->free);
	crew->members = mem_alloc((size_t) size * sizeof *crew->members);
	for (int i = 0; i < size; i++)
	{
		crew->members[i].crew = crew;
		list_init(&crew->members[i].node);
		snprintf(crew->members[i].name, sizeof crew->members[i].name, "%s %d", name, number + i);
	}
	timer_set(&crew->outage, (uint64_t) config.unavailable_after, on_outage);
	crew_want(crew, kept);
	return crew;
}

void
crew_close(struct crew *crew)
{
	timer_clear(&crew->outage);
	timer_clear(&crew->look);
	for (int i = 0; i < crew->size; i++)
	{
		if (crew->members[i].conn != NULL)
			close_member(&crew->members[i]);
	}
	mem_free(crew->members);
	mem_free(crew);
}

bool
crew_has_free(const struct crew *crew, int spared)
{
	return crew->free_count > spared;
}

void
crew_send(struct crew *crew, struct list *calls, const struct conn_limits *limits, void *holder, int series)
{
	struct member *member = list_entry(crew->free.next, struct member, node);

	set_not_free(member);
	member->holder = holder;
	member->used = true;
	set_state(member, series, LANE_BUSY);
	conn_send(member->conn, calls, limits);
}

int
crew_ready(const struct crew *crew)
{
	return crew->ready;
}

bool
crew_is_down(const struct crew *crew)
{
	return crew->down;
}

void
crew_forget_statements(struct crew *crew)
{
	for (int i = 0; i < crew->size; i++)
	{
		if (crew->members[i].conn != NULL)
			conn_forget_statements(crew->members[i].conn);
	}
}

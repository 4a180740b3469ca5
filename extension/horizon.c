/* SPDX-License-Identifier: PostgreSQL */
/*
 * horizon.c: an id such that every transaction that holds an id at or below it has ended, is visible to any later
 * snapshot, and has handed over what it published.
 *
 * Preloaded, each backend has a slot in shared memory:
 *
 *	 writer										reader (horizon_id)
 *	 1 slot = last tick issued, my database		1 T = last tick issued
 *	 2 full barrier								2 full barrier
 *	 3 takes its first id						3 H = least of T and the slots of my database
 *	 4 commits: rows become visible
 *	 5 what it published goes into the ring
 *	 6 barrier, slot = empty
 *
 * When the reader does not find the writer's slot, then either 3 of the reader came before 1 of the writer, and so
 * did his 1 before the writer's 3, hence the writer's ids are above T; or the writer has passed 6. Each id is above
 * what stood in the slot, since a tick is issued once and they ascend. So what a reader finds visible and published
 * covers H, whatever the two do at the same time. Were the slot set behind the id, or emptied before the ring has the
 * events, there would be a moment in which H passes an event that nobody can see yet, or that a marker (publish.c)
 * overtakes; t/070_horizon.pl stops writers in those moments by chat.debug_pause.
 *
 * H may step back: a writer may read the clock, be held up, and set its slot when others have read a later H. What it
 * then takes is above both. Users of the horizon take the greatest they have seen.
 *
 * Not preloaded there are no slots: H is now - chat.horizon_overlap, and a transaction that took its first id longer than half
 * of that ago is refused before it commits; the other half is for the commit itself.
 *
 * Called from: clock.c (enter), transaction.c (leave, check_age), publish.c, the SQL function below. Locks: none.
 */
#include "horizon.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "chat.h"
#include "clock.h"
#include "errors.h"

/* A cache line of its own for each backend, as all of them write theirs at every commit. */
typedef union Slot
{
	struct
	{
		pg_atomic_uint64 tick;     /* the last one issued before the transaction's first */
		pg_atomic_uint64 ids;      /* taken by this slot's backends since the server's start */
		pg_atomic_uint32 database; /* oid; 0 = no transaction here holds an id */
	} s;
	char line[PG_CACHE_LINE_SIZE];
} Slot;

static Slot *slots = NULL;         /* MaxBackends of them; NULL = not preloaded */
static bool entered = false;       /* this transaction has taken an id */
static TimestampTz entered_at = 0; /* when, without slots */

Size
horizon_memory(void)
{
	return mul_size(MaxBackends, sizeof(Slot));
}

void
horizon_start(void)
{
	bool found;

	slots = ShmemInitStruct("chat horizon", horizon_memory(), &found);
	for (int i = 0; !found && i < MaxBackends; i++)
	{
		pg_atomic_init_u64(&slots[i].s.tick, 0);
		pg_atomic_init_u64(&slots[i].s.ids, 0);
		pg_atomic_init_u32(&slots[i].s.database, 0);
	}
}

static Slot *
my_slot(void)
{
#if PG_VERSION_NUM >= 170000
	int number = MyProcNumber;
#else
	int number = MyProc->pgprocno;
#endif

	if (number < 0 || number >= MaxBackends)
		elog(ERROR, "process number %d has no place in the horizon", number);
	return &slots[number];
}

void
horizon_enter(void)
{
	if (slots != NULL)
	{
		Slot *slot = my_slot();

		pg_atomic_write_u64(&slot->s.ids, pg_atomic_read_u64(&slot->s.ids) + 1);
		if (!entered)
		{
			pg_atomic_write_u64(&slot->s.tick, clock_tick());
			pg_write_barrier(); /* a reader who sees the database sees the tick */
			pg_atomic_write_u32(&slot->s.database, (uint32) MyDatabaseId);
			pg_memory_barrier(); /* 2 above */
			chat_pause(PAUSE_ENTER);
		}
	}
	else if (!entered)
		entered_at = GetCurrentTimestamp();
	entered = true;
}

/* Runs in the callbacks of commit and abort: nothing here can fail. */
void
horizon_leave(void)
{
	if (entered && slots != NULL)
	{
		pg_memory_barrier(); /* 6 above: what was pushed is in the ring before the slot is empty */
		pg_atomic_write_u32(&my_slot()->s.database, 0);
	}
	entered = false;
}

void
horizon_check_age(void)
{
	if (slots == NULL && entered && chat_horizon_overlap > 0 &&
		TimestampDifferenceExceeds(entered_at, GetCurrentTimestamp(), chat_horizon_overlap / 2))
		chat_fail("transaction_too_old", NULL, NULL);
}

int64
horizon_id(void)
{
	uint64 least;

	PreventCommandDuringRecovery("chat.horizon()");
	if (slots == NULL)
		return clock_id_at(GetCurrentTimestamp() - chat_horizon_overlap * INT64CONST(1000));
	clock_recover();
	least = clock_tick();
	pg_memory_barrier(); /* 2 of the reader */
	for (int i = 0; i < MaxBackends; i++)
	{
		if (pg_atomic_read_u32(&slots[i].s.database) != (uint32) MyDatabaseId)
			continue;
		pg_read_barrier();
		least = Min(least, pg_atomic_read_u64(&slots[i].s.tick));
	}
	return clock_tick_id(least);
}

uint64
horizon_ids_made(void)
{
	uint64 made = 0;

	for (int i = 0; slots != NULL && i < MaxBackends; i++)
		made += pg_atomic_read_u64(&slots[i].s.ids);
	return made;
}

/* chat.horizon() */
PG_FUNCTION_INFO_V1(chat_horizon);
Datum
chat_horizon(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PG_RETURN_INT64(horizon_id());
}

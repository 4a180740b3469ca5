/* SPDX-License-Identifier: PostgreSQL */
/*
 * transaction.c: what a transaction has published, kept until it ends, and the one place where its end is acted on.
 *
 *	1  publish.c hands over each notification; it is appended to `records` in the form that the ring has, and belongs to
 *	   the innermost subtransaction. Of what was published in one that rolls back the end is cut off.
 *	2  PRE_COMMIT, where errors may still happen: without preload, too old a transaction is refused (horizon.c).
 *	   With chat.delivery = deferred this database's ring is pinned and its notifier started, when there is none. When
 *	   the ring cannot be had, or delivery is transactional, all is given to NOTIFY here.
 *	3  COMMIT, when the rows are visible already and an error would be a PANIC: the records are copied into the ring, in one
 *	   piece, then the horizon's slot is emptied. In this order: see horizon.c.
 *	   ABORT: the pin and the slot are given back.
 *
 * PREPARE TRANSACTION is refused once the transaction has taken an id or published: its slot would have to
 * survive the backend.
 *
 * More than a quarter of the ring is not kept: one chat_resync stands for all of it, in either mode. Large events are not kept
 * beyond an eighth, nor while a quarter of the ring waits (transaction_has_room).
 *
 * A marker (publish_horizon) must come behind all that is in the ring. It is given to NOTIFY directly only when the ring
 * is empty, else dropped: the gateway asks again.
 *
 * Memory: `records` and `segments` live in TopTransactionContext. Callbacks registered once, at load; they are the only
 * ones, since the order of their steps matters.
 */
#include "transaction.h"

#include "access/xact.h"
#include "commands/async.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "chat.h"
#include "clock.h"
#include "horizon.h"
#include "notifier.h"

/* The records from `start` on belong to the subtransaction of this nesting level; levels ascend. */
typedef struct Segment
{
	int level;
	int start; /* offset in records */
} Segment;

static StringInfo records = NULL; /* RingRecords; NULL = nothing published; TopTransactionContext */
static Segment *segments = NULL;  /* TopTransactionContext */
static int nsegments = 0;
static int segments_size = 0;
static bool resync = false; /* too much was published, or somebody asked for it */
static Ring *pinned = NULL; /* from PRE_COMMIT on; unpinned by ring_push or at abort */

static void
forget(void)
{
	records = NULL;
	segments = NULL;
	nsegments = segments_size = 0;
	resync = false;
	pinned = NULL;
	clock_forget();
}

static void
begin_segment(int level)
{
	if (nsegments > 0 && segments[nsegments - 1].level == level)
		return;
	if (nsegments == segments_size)
	{
		segments_size = Max(8, segments_size * 2);
		segments = segments ? repalloc(segments, segments_size * sizeof(Segment))
							: MemoryContextAlloc(TopTransactionContext, segments_size * sizeof(Segment));
	}
	segments[nsegments++] = (Segment){level, records->len};
}

void
transaction_publish(const RingRecord *record, const char *channels, const char *payload)
{
	if (records == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);

		records = makeStringInfo();
		MemoryContextSwitchTo(caller);
	}
	begin_segment(GetCurrentTransactionNestLevel());
	if (records->len + record->size > ring_bytes() / 4)
	{
		resync = true;
		return;
	}
	enlargeStringInfo(records, record->size);
	ring_write_record(records->data + records->len, record, channels, payload);
	records->len += record->size;
}

bool
transaction_has_room(size_t size)
{
	return (records ? records->len : 0) + size <= ring_bytes() / 8 && !ring_is_crowded();
}

void
transaction_publish_resync(void)
{
	resync = true;
}

/* In this very transaction, by PostgreSQL's own means. */
static void
notify_all(void)
{
	if (resync)
		Async_Notify(RESYNC_CHANNEL, "");
	for (int at = 0; records != NULL && !resync && at < records->len;)
	{
		const RingRecord *record = (const RingRecord *) (records->data + at);

		if (!(record->flags & RECORD_MARKER) || ring_is_empty())
			ring_notify(record);
		at += record->size;
	}
}

static void
before_commit(void)
{
	horizon_check_age();
	if ((records == NULL || records->len == 0) && !resync)
		return;
	if (chat_delivery == DELIVERY_DEFERRED)
		pinned = ring_pin();
	if (pinned != NULL && !notifier_ensure(pinned))
	{
		ring_unpin(pinned);
		pinned = NULL;
	}
	if (pinned == NULL)
		notify_all();
}

/* Nothing here can fail. */
static void
after_commit(void)
{
	if (pinned != NULL)
	{
		chat_pause(PAUSE_PUSH);
		ring_push(pinned, records ? records->data : NULL, resync || records == NULL ? 0 : records->len);
	}
	chat_pause(PAUSE_LEAVE);
	horizon_leave();
	forget();
}

static void
after_abort(void)
{
	if (pinned != NULL)
		ring_unpin(pinned);
	horizon_leave();
	forget();
}

static void
transaction_event(XactEvent event, void *arg)
{
	(void) arg;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			before_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (clock_took_any() || records != NULL || resync)
				ereport(
					ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has changed or published something in chat")));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
			after_commit();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			after_abort();
			break;
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			break;
	}
}

static void
subtransaction_event(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	int level = GetCurrentTransactionNestLevel();
	Segment *last = nsegments > 0 ? &segments[nsegments - 1] : NULL;

	(void) id;
	(void) parent;
	(void) arg;
	if (last == NULL || last->level < level)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		records->len = last->start;
		nsegments--;
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		if (nsegments > 1 && segments[nsegments - 2].level == level - 1)
			nsegments--;
		else
			last->level = level - 1;
	}
}

void
transaction_init(void)
{
	RegisterXactCallback(transaction_event, NULL);
	RegisterSubXactCallback(subtransaction_event, NULL);
}

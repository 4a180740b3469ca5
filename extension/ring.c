/* SPDX-License-Identifier: PostgreSQL */
/*
 * ring.c: committed notifications in shared memory, between writers and the notifier (notifier.c).
 *
 * NOTIFY in a writer's transaction holds a lock of the whole database until the end of its commit, so that no two such
 * commits share a flush. A writer copies what it has published in here instead, after its commit, and the notifier
 * NOTIFYs for all of them in transactions that write nothing.
 *
 *	 writer, PRE_COMMIT		ring_pin: the database's ring, claimed when it has none; it keeps its notifier while pinned
 *	 writer, COMMIT			ring_push: records in at `head`, pin gone, notifier woken
 *	 notifier				ring_read: a copy of what lies between `tail` and `head`; NOTIFY, commit;
 *							ring_done: `tail` moves
 *
 * `head` and `tail` count bytes since the server's start; a position modulo the ring's size is an offset. What lies between them is
 * never overwritten, so the notifier copies it without the lock.
 *
 * Lost notifications: when there is no room, and when a notifier starts whose predecessor did not leave in good order
 * (`clean`), `resyncs_wanted` is raised. The notifier reads it under the same lock as `head` and sends one
 * chat_resync before the records of that batch: hence before every record that was pushed after the loss. A record sent
 * before its resync, or twice, does no harm.
 *
 * A notifier leaves when it has been idle: under the lock, with nothing between tail and head, no resync due and no pin.
 * So who has a pin knows that somebody will read what he pushes, or that the postmaster starts a new notifier.
 *
 * Rings are few. A database claims a free one, or one whose database is idle; who gets none is left to
 * transactional NOTIFY. `closed` is for commands that need the database to be empty of sessions (notifier.c).
 *
 * A record that NOTIFY would refuse whenever it is tried (a name or payload longer than it takes) is dropped, logged and
 * counted when its turn comes: it must not fail the batch, or the same batch would fail for ever.
 *
 * Locks: one LWLock a ring over all its fields, held for a copy at most; one for claiming, taken before
 * a ring's. No memory is allocated and nothing can fail in ring_push and ring_unpin: they run where an ERROR is a PANIC.
 */
#include "ring.h"

#include "commands/async.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#define TRANCHE     "chat"
#define BATCH_BYTES (512 * 1024) /* that a notifier sends in one transaction, about */
#define NOTIFY_LIMIT                                                                                         \
	(BLCKSZ - NAMEDATALEN - 128) /* bytes of a payload, and its NUL: async.c keeps it to itself */
#define START_LIMIT 10000        /* ms in which a notifier that was asked for should have come */

struct Ring
{
	LWLock *lock;          /* set at start */
	Oid database;          /* whose it is; InvalidOid = free */
	uint64 head;           /* bytes ever written */
	uint64 tail;           /* bytes ever sent */
	int pins;              /* writers between PRE_COMMIT and the end of their transactions */
	bool closed;           /* no notifier may run */
	bool clean;            /* the last notifier left in good order, or there was none yet */
	Latch *notifier;       /* of the one that is attached; NULL = none */
	int pid;               /* the same one's; 0 = none */
	TimestampTz starts;    /* when one was asked for that has not come yet; 0 = none */
	uint64 resyncs_wanted; /* how often listeners had to be told that something was lost */
	uint64 resyncs_done;   /* up to which of these they were told */
	int64 queued;          /* counters since the server's start: records pushed, */
	int64 published;       /* records sent, */
	int64 overflowed;      /* transactions that found no room, */
	int64 resyncs;         /* chat_resync sent, */
	int64 dropped;         /* records that NOTIFY does not take, */
	int64 batches;         /* transactions of the notifier, */
	int64 notifiers;       /* notifiers started */
};

int chat_ring_size = 8192;
int chat_ring_count = 4;

static Ring *rings = NULL;        /* chat_ring_count of them, in shared memory; NULL = not preloaded */
static char *contents = NULL;     /* behind them, ring_bytes() each */
static LWLock *claim_lock = NULL; /* who claims or frees a ring */
static Ring *mine = NULL;         /* this database's ring, as far as we know */

uint64
ring_bytes(void)
{
	return (uint64) chat_ring_size * 1024;
}

Size
ring_memory(void)
{
	return add_size(MAXALIGN(mul_size(chat_ring_count, sizeof(Ring))),
					mul_size(chat_ring_count, ring_bytes()));
}

void
ring_request_locks(void)
{
	RequestNamedLWLockTranche(TRANCHE, chat_ring_count + 1);
}

void
ring_start(void)
{
	LWLockPadded *locks = GetNamedLWLockTranche(TRANCHE);
	bool found;

	rings = ShmemInitStruct("chat rings", ring_memory(), &found);
	contents = (char *) rings + MAXALIGN(chat_ring_count * sizeof(Ring));
	claim_lock = &locks[chat_ring_count].lock;
	for (int i = 0; !found && i < chat_ring_count; i++)
	{
		memset(&rings[i], 0, sizeof(Ring));
		rings[i].lock = &locks[i].lock;
		rings[i].clean = true;
	}
}

/* Records */

uint32
ring_record_size(size_t channels_length, size_t payload_length)
{
	return (uint32) TYPEALIGN(8, sizeof(RingRecord) + channels_length + payload_length + 1);
}

void
ring_write_record(char *to, const RingRecord *record, const char *channels, const char *payload)
{
	char *end = to + record->size;

	memcpy(to, record, sizeof(*record));
	to += sizeof(*record);
	for (int i = 0; i < record->channels; i++)
	{
		size_t length = strlen(channels) + 1;

		memcpy(to, channels, length);
		to += length;
		channels += length;
	}
	strlcpy(to, payload, end - to);
}

/* What Async_Notify asks. The log does not tell the channel: a name is a secret. */
static bool
is_sendable(const char *channel, const char *payload)
{
	size_t name = strlen(channel);
	size_t text = strlen(payload);

	if (name > 0 && name < NAMEDATALEN && text < NOTIFY_LIMIT)
		return true;
	ereport(LOG, (errmsg("chat dropped a notification that NOTIFY does not take"),
				  errdetail("Its channel's name has %zu bytes, its payload %zu.", name, text)));
	return false;
}

bool
ring_notify(const RingRecord *record)
{
	const char *channel = (const char *) (record + 1);
	const char *payload = channel;
	bool good = true;

	for (int i = 0; i < record->channels; i++)
		payload += strlen(payload) + 1;
	for (int i = 0; i < record->channels; i++)
	{
		if (is_sendable(channel, payload))
			Async_Notify(channel, payload);
		else
			good = false;
		channel += strlen(channel) + 1;
	}
	return good;
}

/* Bytes of the ring, which may wrap around its end. */
static void
copy_in(Ring *ring, uint64 position, const char *from, size_t length)
{
	char *base = contents + (ring - rings) * ring_bytes();
	uint64 offset = position % ring_bytes();
	size_t first = Min(length, ring_bytes() - offset);

	memcpy(base + offset, from, first);
	memcpy(base, from + first, length - first);
}

static void
copy_out(const Ring *ring, uint64 position, char *to, size_t length)
{
	const char *base = contents + (ring - rings) * ring_bytes();
	uint64 offset = position % ring_bytes();
	size_t first = Min(length, ring_bytes() - offset);

	memcpy(to, base + offset, first);
	memcpy(to + first, base, length - first);
}

/* Writers */

static bool
has_work(const Ring *ring)
{
	return ring->head != ring->tail || ring->resyncs_wanted != ring->resyncs_done;
}

/* Nobody needs it: its database may lose it to another. */
static bool
is_idle(const Ring *ring)
{
	return ring->database == InvalidOid || (!has_work(ring) && ring->pins == 0 && ring->notifier == NULL &&
											ring->starts == 0 && !ring->closed);
}

static void
assign(Ring *ring, Oid database)
{
	ring->database = database;
	ring->clean = true;
	ring->queued = ring->published = ring->overflowed = ring->resyncs = ring->dropped = ring->batches =
		ring->notifiers = 0;
}

/* Finds this database's ring, or makes one its own: a free one rather than an idle one. */
static Ring *
claim(void)
{
	Ring *found = NULL;

	LWLockAcquire(claim_lock, LW_EXCLUSIVE);
	for (int i = 0; i < chat_ring_count && found == NULL; i++)
		if (rings[i].database == MyDatabaseId)
			found = &rings[i];
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < chat_ring_count && found == NULL; i++)
		{
			Ring *ring = &rings[i];

			LWLockAcquire(ring->lock, LW_EXCLUSIVE);
			if (is_idle(ring) && (pass == 1 || ring->database == InvalidOid))
			{
				assign(ring, MyDatabaseId);
				found = ring;
			}
			LWLockRelease(ring->lock);
		}
	LWLockRelease(claim_lock);
	return found;
}

Ring *
ring_pin(void)
{
	/* Whoever we think to have may have been given away meanwhile, so a second look may be needed. */
	for (int i = 0; i < 2 && rings != NULL; i++)
	{
		bool good;

		if (mine == NULL)
			mine = claim();
		if (mine == NULL)
			return NULL;
		LWLockAcquire(mine->lock, LW_EXCLUSIVE);
		good = mine->database == MyDatabaseId && !mine->closed;
		if (good)
			mine->pins++;
		LWLockRelease(mine->lock);
		if (good)
			return mine;
		mine = NULL;
	}
	return NULL;
}

void
ring_unpin(Ring *ring)
{
	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	ring->pins--;
	LWLockRelease(ring->lock);
}

void
ring_push(Ring *ring, const char *records, size_t length)
{
	Latch *notifier;

	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	ring->pins--;
	if (length == 0 || length > ring_bytes() - (ring->head - ring->tail))
	{
		ring->resyncs_wanted++;
		ring->overflowed++;
	}
	else
	{
		copy_in(ring, ring->head, records, length);
		ring->head += length;
		for (size_t at = 0; at < length; at += ((const RingRecord *) (records + at))->size)
			ring->queued++;
	}
	notifier = ring->notifier;
	LWLockRelease(ring->lock);
	if (notifier != NULL)
		SetLatch(notifier); /* should it have gone meanwhile, somebody else wakes up once too often */
}

bool
ring_is_empty(void)
{
	bool empty = true;

	for (int i = 0; rings != NULL && i < chat_ring_count; i++)
	{
		LWLockAcquire(rings[i].lock, LW_SHARED);
		if (rings[i].database == MyDatabaseId && has_work(&rings[i]))
			empty = false;
		LWLockRelease(rings[i].lock);
	}
	return empty;
}

bool
ring_is_crowded(void)
{
	bool crowded = false;

	for (int i = 0; rings != NULL && i < chat_ring_count; i++)
	{
		LWLockAcquire(rings[i].lock, LW_SHARED);
		if (rings[i].database == MyDatabaseId && rings[i].head - rings[i].tail > ring_bytes() / 4)
			crowded = true;
		LWLockRelease(rings[i].lock);
	}
	return crowded;
}

/* Starting and stopping */

bool
ring_wants_notifier(Ring *ring)
{
	TimestampTz now;
	bool wanted;

	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	wanted = ring->notifier == NULL && !ring->closed;
	if (wanted)
	{
		now = GetCurrentTimestamp();
		wanted = ring->starts == 0 || TimestampDifferenceExceeds(ring->starts, now, START_LIMIT);
		if (wanted)
			ring->starts = now;
	}
	LWLockRelease(ring->lock);
	return wanted;
}

void
ring_start_failed(Ring *ring)
{
	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	ring->starts = 0;
	LWLockRelease(ring->lock);
}

int
ring_number(const Ring *ring)
{
	return (int) (ring - rings);
}

Ring *
ring_close(Oid database)
{
	Ring *found = NULL;

	for (int i = 0; rings != NULL && found == NULL && i < chat_ring_count; i++)
	{
		LWLockAcquire(rings[i].lock, LW_EXCLUSIVE);
		if (rings[i].database == database && !rings[i].closed)
		{
			rings[i].closed = true;
			found = &rings[i];
		}
		LWLockRelease(rings[i].lock);
	}
	return found;
}

bool
ring_reopen(Ring *ring, bool dropped)
{
	bool wanted;

	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	ring->closed = false;
	if (dropped)
	{
		ring->tail = ring->head;
		ring->resyncs_done = ring->resyncs_wanted;
		assign(ring, InvalidOid);
	}
	wanted = has_work(ring) || ring->pins > 0;
	LWLockRelease(ring->lock);
	return wanted;
}

int
ring_notifier(Ring *ring, bool wake)
{
	Latch *latch;
	int pid;

	LWLockAcquire(ring->lock, LW_SHARED);
	latch = ring->notifier;
	pid = ring->pid;
	LWLockRelease(ring->lock);
	if (wake && latch != NULL)
		SetLatch(latch);
	return pid;
}

/* The notifier's side */

Ring *
ring_attach(int number, Oid database)
{
	Ring *ring = &rings[number];
	bool good;

	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	good = ring->database == database && ring->notifier == NULL && !ring->closed;
	if (good)
	{
		ring->notifier = MyLatch;
		ring->pid = MyProcPid;
		ring->starts = 0;
		ring->notifiers++;
		if (!ring->clean)
			ring->resyncs_wanted++;
		ring->clean = false;
	}
	LWLockRelease(ring->lock);
	return good ? ring : NULL;
}

void
ring_detach(Ring *ring)
{
	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	if (ring->pid == MyProcPid)
	{
		ring->notifier = NULL;
		ring->pid = 0;
	}
	LWLockRelease(ring->lock);
}

bool
ring_leave(Ring *ring)
{
	bool leaves;

	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	leaves = ring->closed || (!has_work(ring) && ring->pins == 0);
	if (leaves)
	{
		ring->notifier = NULL;
		ring->pid = 0;
		ring->clean = true;
	}
	LWLockRelease(ring->lock);
	return leaves;
}

/*
 * Up to BATCH_BYTES, and then on to the end of the records of the same event, which should not be sent apart.
 */
void
ring_read(Ring *ring, RingBatch *batch)
{
	uint64 head;
	int64 key = 0;

	LWLockAcquire(ring->lock, LW_SHARED);
	head = ring->head;
	batch->end = ring->tail; /* nobody but us moves it */
	batch->resyncs = ring->resyncs_wanted;
	batch->resync = ring->resyncs_wanted != ring->resyncs_done;
	batch->closed = ring->closed;
	LWLockRelease(ring->lock);

	resetStringInfo(&batch->records);
	batch->count = 0;
	while (batch->end < head)
	{
		RingRecord record;

		copy_out(ring, batch->end, (char *) &record, sizeof(record));
		if (batch->records.len >= BATCH_BYTES && record.key != key && record.key != 0)
			break;
		key = record.key;
		enlargeStringInfo(&batch->records, record.size);
		copy_out(ring, batch->end, batch->records.data + batch->records.len, record.size);
		batch->records.len += record.size;
		batch->end += record.size;
		batch->count++;
	}
}

void
ring_done(Ring *ring, const RingBatch *batch)
{
	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	ring->tail = batch->end;
	ring->resyncs_done = batch->resyncs;
	ring->published += batch->count - batch->dropped;
	ring->dropped += batch->dropped;
	ring->resyncs += batch->resync;
	ring->batches++;
	LWLockRelease(ring->lock);
}

/* Counters */

bool
ring_stat(const char *name, int64 *value)
{
	bool found = false;

	for (int i = 0; rings != NULL && i < chat_ring_count; i++)
	{
		Ring ring;
		struct
		{
			const char *name;
			int64 value;
		} stats[] = {{"queued", 0},  {"published", 0}, {"overflowed", 0}, {"resyncs", 0},
					 {"dropped", 0}, {"batches", 0},   {"notifiers", 0},  {"bytes", 0}};

		LWLockAcquire(rings[i].lock, LW_SHARED);
		ring = rings[i];
		LWLockRelease(rings[i].lock);
		if (ring.database != MyDatabaseId)
			continue;
		stats[0].value = ring.queued;
		stats[1].value = ring.published;
		stats[2].value = ring.overflowed;
		stats[3].value = ring.resyncs;
		stats[4].value = ring.dropped;
		stats[5].value = ring.batches;
		stats[6].value = ring.notifiers;
		stats[7].value = ring.head - ring.tail;
		for (size_t k = 0; k < lengthof(stats); k++)
			if (strcmp(stats[k].name, name) == 0)
			{
				*value = stats[k].value;
				found = true;
			}
	}
	return found;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * ring.h: committed notifications in shared memory, on their way to the notifier. See ring.c.
 */
#ifndef CHAT_RING_H
#define CHAT_RING_H

#include "postgres.h"

#include "lib/stringinfo.h"

#define RESYNC_CHANNEL "chat_resync" /* tells listeners that something was lost */
#define RECORD_MARKER  1             /* flag: must not overtake anything that was published before */

/*
 * A notification to some channels, as it stands in a transaction's memory and in the ring. Behind it: the names of the
 * channels, each with its NUL, then the payload with its NUL, then padding.
 */
typedef struct RingRecord
{
	uint32 size;     /* of all of it; a multiple of 8 */
	uint16 channels; /* how many */
	uint16 flags;    /* RECORD_MARKER */
	int64 key;       /* the event's id or version, by which the notifier sorts; 0 = like the one before it */
} RingRecord;

/* What a record of these contents takes. */
extern uint32 ring_record_size(size_t channels_length, size_t payload_length);

/* Writes a record whose `size` says how much; channels: names with their NULs, one behind the other. */
extern void ring_write_record(char *to, const RingRecord *record, const char *channels, const char *payload);

/* NOTIFYs each channel of the record, in the current transaction. False: NOTIFY would not take it, so it is dropped. */
extern bool ring_notify(const RingRecord *record);

typedef struct Ring Ring;

/* Shared memory, when the library is preloaded: how much, and its start. */
extern Size ring_memory(void);
extern void ring_request_locks(void);
extern void ring_start(void);

/* GUCs, PGC_POSTMASTER; without preload they have their defaults and no effect. */
extern int chat_ring_size;  /* kB each */
extern int chat_ring_count; /* databases that can have one at the same time */

extern uint64 ring_bytes(void); /* size of a ring */

/*
 * For writers. ring_pin: this database's ring, claimed when it has none; NULL when there is none to be had. Pinned, it keeps its
 * notifier. ring_push: copies records in, or, with length 0 or when there is no room, has a resync sent in their place;
 * unpins; cannot fail.
 */
extern Ring *ring_pin(void);
extern void ring_unpin(Ring *ring);
extern void ring_push(Ring *ring, const char *records, size_t length);
extern bool ring_is_empty(void);   /* nothing of this database waits in a ring, nor does a resync */
extern bool ring_is_crowded(void); /* more than a quarter of this database's ring waits */

/* For starting and stopping notifiers. */
extern bool ring_wants_notifier(Ring *ring); /* none runs nor starts: from now on one starts, the caller's */
extern void ring_start_failed(Ring *ring);   /* the caller could not start it after all */
extern int ring_number(const Ring *ring);
extern Ring *ring_close(Oid database); /* no notifier may start; NULL: it has no ring */
extern bool ring_reopen(Ring *ring,
						bool dropped);           /* dropped: it is free for another; true: start a notifier */
extern int ring_notifier(Ring *ring, bool wake); /* its process id; 0 = none */

/* For the notifier. */
extern Ring *ring_attach(int number, Oid database); /* NULL: not wanted, or there is one already */
extern void ring_detach(Ring *ring);                /* harmless when not attached */
extern bool ring_leave(Ring *ring);                 /* detached in good order, unless there is work */

/* What one transaction of the notifier sends. */
typedef struct RingBatch
{
	StringInfoData records; /* RingRecords, in the order of the ring */
	int count;              /* of them */
	int dropped;            /* of these, when it was sent last: what NOTIFY does not take */
	uint64 end;             /* position behind the last */
	uint64 resyncs;         /* resyncs asked for so far */
	bool resync;            /* one is to be sent before the records */
	bool closed;            /* the notifier is to stop */
} RingBatch;

extern void ring_read(Ring *ring, RingBatch *batch);
extern void ring_done(Ring *ring, const RingBatch *batch); /* it was sent */

/* A counter of this database's ring, see chat.delivery_stat(). */
extern bool ring_stat(const char *name, int64 *value);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/*
 * clock.h: ids. 41 bits of milliseconds since 2025-01-01T00:00Z, 10 bits of node, 12 bits of sequence.
 */
#ifndef CHAT_CLOCK_H
#define CHAT_CLOCK_H

#include "postgres.h"

#include "datatype/timestamp.h"

#define CLOCK_MAX_NODE 1023

/* Shared memory, when the library is preloaded: how much, and its start. */
extern Size clock_memory(void);
extern void clock_start(void);

/*
 * The next id: above every id this node has made and above after_id (0 = none).
 * Raises MC400 invalid_id, id_in_future; 25006 in a read-only transaction or on a standby.
 * clock_take_id also notes the id as taken by this transaction (clock_took).
 */
extern int64 clock_next_id(int64 after_id);
extern int64 clock_take_id(int64 after_id);

extern bool clock_took_any(void); /* this transaction has taken an id */
extern void clock_forget(void);   /* at its end */

/* The last tick issued, and the id that was made of a tick. In shared memory, clock_recover must have run before. */
extern uint64 clock_tick(void);
extern int64 clock_tick_id(uint64 tick);
extern void clock_recover(void); /* the clock has passed all ids of the time before the server's start */

/* The millisecond an id was made in; the lowest id of a millisecond. */
extern TimestampTz clock_id_time(int64 id);
extern int64 clock_id_at(TimestampTz at);

#endif

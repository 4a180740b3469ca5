/* SPDX-License-Identifier: PostgreSQL */
/*
 * clock.h: ids. 41 bits of milliseconds since 2025-01-01T00:00Z, 10 bits of node, 12 bits of sequence.
 */
#ifndef CHAT_CLOCK_H
#define CHAT_CLOCK_H

#include "postgres.h"

#include "datatype/timestamp.h"

#define CLOCK_MAX_NODE 1023

extern void clock_init(void);

/*
 * The next id: above every id this node has made and above after_id (0 = none).
 * Raises MC400 invalid_id, id_in_future; 25006 in a read-only transaction or on a standby.
 * clock_take_id also notes the id as taken by this transaction (clock_took).
 */
extern int64 clock_next_id(int64 after_id);
extern int64 clock_take_id(int64 after_id);

/* The millisecond an id was made in. */
extern TimestampTz clock_id_time(int64 id);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/*
 * once.c
 *	  What may be used once, by whichever worker: numbers that were used, until they expire, in memory that all share.
 *
 * A table of fixed size, without locks, so that a worker that dies can leave nothing locked. A number holds its own
 * expiry, so a place in the table is one atomic word. Using number N: from the place that N hashes to, take the first one
 * whose number expired before N was made.
 *
 * Why only one can use N: whether a place may be taken for N depends on N and on what lies there, not on the time, and
 * what lies in a place only ever gets younger. So a place that could not be taken for N never can be again, and all who
 * try to use N come to the same place; one of them swaps N in, and the others find it.
 *
 * Numbers from before the table was made are refused: whether those were used nobody knows any more. So are all when
 * PROBES places in a row are taken, which means thousands of uses within one lifetime.
 *
 * Called from: chat/ticket. Calls: mmap.
 */
#include "base/once.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

#define PLACES 65536 /* numbers */
#define PROBES 1024  /* places looked at for one number */

static _Atomic int64_t *places; /* shared by all workers; 0: never taken */
static int64_t opened;          /* when the table was made */

bool
once_open(int64_t now)
{
	void *memory =
		mmap(NULL, PLACES * sizeof *places, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	places = memory;
	opened = now;
	return true;
}

int64_t
once_number(int64_t expires, uint64_t chance)
{
	return expires << ONCE_CHANCE_BITS | (int64_t) (chance & ((1 << ONCE_CHANCE_BITS) - 1));
}

static size_t
hash(int64_t number)
{
	return (size_t) ((uint64_t) number * UINT64_C(0x9e3779b97f4a7c15) >> 40);
}

bool
once_use(int64_t number, int64_t lifetime)
{
	int64_t made = (number >> ONCE_CHANCE_BITS) - lifetime;

	if (made < opened)
		return false;
	for (size_t i = 0; i < PROBES; i++)
	{
		_Atomic int64_t *place = &places[(hash(number) + i) % PLACES];
		int64_t there = atomic_load(place);

		while (there >> ONCE_CHANCE_BITS < made)
		{
			if (atomic_compare_exchange_weak(place, &there, number))
				return true;
		}
		if (there == number)
			return false;
	}
	return false;
}

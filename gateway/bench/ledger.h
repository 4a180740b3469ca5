/* SPDX-License-Identifier: PostgreSQL */
/* Whether a numbered stream arrived whole, once and in order. See ledger.c. */
#ifndef BENCH_LEDGER_H
#define BENCH_LEDGER_H

#include <stdint.h>

/* One sender's stream at one receiver. The owner starts it with {0}. */
struct ledger
{
	int64_t next;  /* all below have come or count as missing */
	uint64_t seen; /* which of the 64 below `next` have come: bit 0 is next - 1 */
};

struct ledger_sums
{
	int64_t missing;  /* numbers that have not come so far */
	int64_t repeated; /* that came again */
	int64_t late;     /* that came behind a higher one */
};

extern void ledger_enter(struct ledger *ledger, int64_t number, struct ledger_sums *sums);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/*
 * ledger.c
 *	  A stream numbered 0, 1, 2, …: what is missing, what came twice, what came too late.
 *
 * A number above the next one leaves a gap, which counts as missing until it is filled; what fills it is late. The last
 * 64 numbers are remembered; what is older than that and comes counts as repeated.
 *
 * Called from: traffic.
 */
#include "bench/ledger.h"

#define REMEMBERED 64

static void
enter_new(struct ledger *ledger, int64_t number, struct ledger_sums *sums)
{
	int64_t step = number - ledger->next + 1;

	sums->missing += step - 1;
	ledger->seen = step < REMEMBERED ? ledger->seen << step | 1 : 1;
	ledger->next = number + 1;
}

static void
enter_old(struct ledger *ledger, int64_t number, struct ledger_sums *sums)
{
	int64_t back = ledger->next - 1 - number;

	if (back >= REMEMBERED || (ledger->seen >> back & 1) != 0)
	{
		sums->repeated++;
		return;
	}
	ledger->seen |= (uint64_t) 1 << back;
	sums->missing--;
	sums->late++;
}

void
ledger_enter(struct ledger *ledger, int64_t number, struct ledger_sums *sums)
{
	if (number >= ledger->next)
		enter_new(ledger, number, sums);
	else
		enter_old(ledger, number, sums);
}

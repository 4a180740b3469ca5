/* SPDX-License-Identifier: PostgreSQL */
/* One-shot timers that lie inside the things they belong to. See timer.c. */
#ifndef IO_TIMER_H
#define IO_TIMER_H

#include <stdint.h>

/* Zeroed at first. Whoever frees the thing it lies in clears it before. */
struct timer
{
	uint64_t due;                      /* loop_now() when it fires */
	unsigned place;                    /* in the heap, from 1; 0: not set */
	void (*fire)(struct timer *timer); /* may set or clear any timer, also this one */
};

extern void timer_set(struct timer *timer, uint64_t milliseconds, void (*fire)(struct timer *timer));
extern void timer_clear(struct timer *timer); /* harmless when not set */
extern void timer_close_all(void);            /* end of the loop: none fires any more */

#endif

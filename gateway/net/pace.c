/* SPDX-License-Identifier: PostgreSQL */
/*
 * pace.c
 *	  How fast a client has to be while it is waited for: slow_rate, over slow_timeout.
 *
 * Whoever moved one byte just in time used to be waited for without end, and kept what stands for it: a piece of a
 * file, an answer, one of max_transfers. So in the last slow_timeout, looked at a few times in it, as many bytes must have
 * moved as slow_rate makes of it, and one at least. Who pauses and then goes on has the average counted, not the gaps.
 *
 * What we write moves when the client has acknowledged it, not when the kernel has taken it: that takes much at once and
 * then nothing for long, which says nothing about the client.
 *
 * Only the client's own time is counted: whoever uses this stops it while the database or a queue has the next word.
 *
 * Called from: net/http, net/ws. Calls: io/timer.
 */
#include "net/pace.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/config.h"
#include "base/list.h"

/* Bytes that the client has had its part in. */
static uint64_t
count(const struct pace *pace)
{
	int waiting = 0;

	if (pace->fd < 0 || ioctl(pace->fd, SIOCOUTQ, &waiting) < 0 || (uint64_t) waiting > pace->moved)
		return pace->moved;
	return pace->moved - (uint64_t) waiting;
}

static void look(struct timer *timer);

static void
look_later(struct pace *pace)
{
	timer_set(&pace->timer, (uint64_t) config.slow_timeout / PACE_LOOKS, look);
}

static void
look(struct timer *timer)
{
	struct pace *pace = list_entry(timer, struct pace, timer);
	uint64_t due = (uint64_t) config.slow_rate * (uint64_t) config.slow_timeout / 1000;
	uint64_t *oldest = &pace->marks[pace->looks++ % PACE_LOOKS];
	uint64_t now = count(pace);
	bool whole = pace->looks >= PACE_LOOKS;
	uint64_t moved = now - *oldest;

	*oldest = now;
	if (whole && moved < (due > 0 ? due : 1))
		pace->is_slow(pace);
	else
		look_later(pace);
}

void
pace_start(struct pace *pace, int fd, void (*is_slow)(struct pace *pace))
{
	if (pace->timer.place != 0)
		return;
	pace->fd = fd;
	pace->is_slow = is_slow;
	pace->looks = 0;
	for (int i = 0; i < PACE_LOOKS; i++)
		pace->marks[i] = count(pace);
	look_later(pace);
}

void
pace_stop(struct pace *pace)
{
	timer_clear(&pace->timer);
}

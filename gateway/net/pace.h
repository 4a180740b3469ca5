/* SPDX-License-Identifier: PostgreSQL */
/* How fast a client has to be while it is waited for. See pace.c. */
#ifndef NET_PACE_H
#define NET_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "io/timer.h"

#define PACE_LOOKS 4 /* in a window of slow_timeout */

/* One direction of a socket. Zeroed, it is not running. */
struct pace
{
	struct timer timer; /* to the next look; set while running */
	void (*is_slow)(struct pace *pace);
	int fd; /* of what is written, to see what the client has taken; -1: it is what comes that counts */
	uint64_t moved; /* bytes given to the kernel, or read from it, ever */
	unsigned looks; /* since it began to run */
	uint64_t
		marks[PACE_LOOKS]; /* bytes that the client had had its part in at the last looks, the oldest next */
};

/* It is the client's turn: slow_rate over slow_timeout, or is_slow is called, once. Running, it runs on. */
extern void pace_start(struct pace *pace, int fd, void (*is_slow)(struct pace *pace));
extern void pace_stop(struct pace *pace); /* it is not */

#endif

/* SPDX-License-Identifier: PostgreSQL */
/*
 * pace.c
 *	  Number n is due at start + n / rate. What comes late, because this process or the gateway was busy, keeps the time it
 *	  was scheduled for, and latency is counted from there: a stall is felt by all who would have sent during it.
 *
 * A timer descriptor, for libuv's own timers know milliseconds only.
 *
 * Called from: pairs, room. Calls: fleet (the clock), libuv.
 */
#include "bench/pace.h"

#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include "bench/fleet.h"
#include "bench/report.h"

#define SHORTEST_PERIOD 250000L /* nanoseconds between wakeups; at higher rates several are due at once */

static uv_poll_t poll;                                 /* of the timer descriptor */
static long per_second;                                /* rate */
static int64_t started;                                /* fleet_now() of number 0 */
static int64_t next;                                   /* number */
static void (*call_due)(int64_t number, int64_t when); /* the mode's */

static int64_t
scheduled(int64_t number)
{
	return started + number / per_second * 1000000000 + number % per_second * 1000000000 / per_second;
}

static void
on_tick(uv_poll_t *handle, int status, int events)
{
	uint64_t expirations;
	int fd = -1;

	(void) status;
	(void) events;
	uv_fileno((uv_handle_t *) handle, &fd);
	if (read(fd, &expirations, sizeof expirations) < 0)
		return;
	for (int64_t now = fleet_now(); scheduled(next) <= now; next++)
		call_due(next, scheduled(next));
}

void
pace_begin(long rate, void (*due)(int64_t number, int64_t when))
{
	long period = 1000000000L / rate;
	struct itimerspec times;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (period < SHORTEST_PERIOD)
		period = SHORTEST_PERIOD;
	times.it_value = (struct timespec){period / 1000000000L, period % 1000000000L};
	times.it_interval = times.it_value;
	if (fd < 0 || timerfd_settime(fd, 0, &times, NULL) != 0)
		give_up("no timer");
	per_second = rate;
	call_due = due;
	started = fleet_now();
	uv_poll_init(uv_default_loop(), &poll, fd);
	uv_poll_start(&poll, UV_READABLE, on_tick);
}

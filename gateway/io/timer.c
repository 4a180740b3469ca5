/* SPDX-License-Identifier: PostgreSQL */
/*
 * timer.c
 *	  One-shot timers that lie inside the things they belong to.
 *
 * A libuv timer must be closed, and closing ends in a later turn: too long a life for something inside a session
 * that is to be freed now. So all timers stand in one binary heap by due time, and one libuv timer wakes for its top.
 *
 * Called from: pg/, chat/, net/. Calls: io/loop, libuv.
 */
#include "io/timer.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/mem.h"
#include "io/loop.h"

static struct timer **heap; /* heap[1] is due first; owned, grows */
static unsigned count;      /* timers set */
static unsigned size;       /* places allocated, with the unused first one */
static uv_timer_t waker;    /* set for heap[1] */
static bool waker_open;     /* waker is initialised */

static void fire_due(uv_timer_t *handle);

static void
place(struct timer *timer, unsigned at)
{
	heap[at] = timer;
	timer->place = at;
}

static void
sift_up(struct timer *timer, unsigned at)
{
	while (at > 1 && heap[at / 2]->due > timer->due)
	{
		place(heap[at / 2], at);
		at /= 2;
	}
	place(timer, at);
}

static void
sift_down(struct timer *timer, unsigned at)
{
	unsigned child;

	while ((child = 2 * at) <= count)
	{
		if (child < count && heap[child + 1]->due < heap[child]->due)
			child++;
		if (heap[child]->due >= timer->due)
			break;
		place(heap[child], at);
		at = child;
	}
	place(timer, at);
}

static void
set_waker(void)
{
	uint64_t now = loop_now();

	if (!waker_open)
	{
		uv_timer_init(loop_uv(), &waker);
		waker_open = true;
	}
	if (count == 0)
		uv_timer_stop(&waker);
	else
		uv_timer_start(&waker, fire_due, heap[1]->due > now ? heap[1]->due - now : 0, 0);
}

static void
take_out(struct timer *timer)
{
	unsigned at = timer->place;
	struct timer *last = heap[count--];

	timer->place = 0;
	if (last == timer)
		return;
	if (at > 1 && heap[at / 2]->due > last->due)
		sift_up(last, at);
	else
		sift_down(last, at);
}

static void
fire_due(uv_timer_t *handle)
{
	(void) handle;
	while (count > 0 && heap[1]->due <= loop_now())
	{
		struct timer *timer = heap[1];

		take_out(timer);
		timer->fire(timer);
	}
	set_waker();
}

void
timer_set(struct timer *timer, uint64_t milliseconds, void (*fire)(struct timer *timer))
{
	if (timer->place != 0)
		take_out(timer);
	if (count + 2 > size)
	{
		size = size ? 2 * size : 64;
		heap = mem_resize(heap, size * sizeof *heap);
	}
	timer->due = loop_now() + milliseconds;
	timer->fire = fire;
	sift_up(timer, ++count);
	if (timer->place == 1)
		set_waker();
}

void
timer_clear(struct timer *timer)
{
	if (timer->place != 0)
		take_out(timer);
}

void
timer_close_all(void)
{
	while (count > 0)
		heap[count--]->place = 0;
	mem_free(heap);
	heap = NULL;
	size = 0;
	if (waker_open)
		uv_close((uv_handle_t *) &waker, NULL);
	waker_open = false;
}

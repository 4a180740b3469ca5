/* SPDX-License-Identifier: PostgreSQL */
/*
 * loop.c
 *	  The worker's one event loop, and work put off to the end of a turn.
 *
 * A worker is one thread on one libuv loop. libwebsockets is a guest on it, PostgreSQL's sockets are polled by it,
 * timers hang on it. A turn: timers, then all sockets that are ready, then the tasks that were put off, then sleep.
 *
 * Tasks are how things leave together and how things die. All calls that the sockets of one turn brought wait for
 * the turn's end and go to the database in one group; and nothing is freed inside its own callback: its owner puts
 * off a task that frees it when nobody on the stack can know it any more.
 *
 * Called from: io/, pg/, chat/, net/, main.c. Calls: libuv.
 */
#include "io/loop.h"

#include <stddef.h>
#include <sys/random.h>
#include <time.h>
#include <uv.h>

#include "base/log.h"
#include "base/mem.h"

#define SIGNALS_MAX   4  /* signals somebody asked for */
#define RUN_OUT_TURNS 10 /* libuv closes a handle within two, libwebsockets needs a few of them */

struct watched_signal
{
	uv_signal_t handle;          /* libuv's */
	void (*handler)(int signal); /* whom to call */
};

static uv_loop_t loop;                             /* the worker's */
static uv_prepare_t turn_end;                      /* runs the tasks before the loop sleeps */
static struct list tasks;                          /* struct task, due this turn */
static struct watched_signal signals[SIGNALS_MAX]; /* the first signal_count are in use */
static int signal_count;                           /* grows only */

void
loop_settle(void)
{
	struct list *node;

	while ((node = list_shift(&tasks)) != NULL)
	{
		struct task *task = list_entry(node, struct task, node);

		task->due = false;
		task->run(task);
	}
}

static void
run_tasks(uv_prepare_t *handle)
{
	(void) handle;
	loop_settle();
}

void
loop_open(void)
{
	list_init(&tasks);
	uv_loop_init(&loop);
	uv_prepare_init(&loop, &turn_end);
	uv_prepare_start(&turn_end, run_tasks);
}

void
loop_run(void)
{
	uv_run(&loop, UV_RUN_DEFAULT);
}

void
loop_stop(void)
{
	uv_stop(&loop);
}

void
loop_run_out(void)
{
	for (int i = 0; i < RUN_OUT_TURNS; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
}

bool
loop_close(void)
{
	loop_settle();
	uv_close((uv_handle_t *) &turn_end, NULL);
	for (int i = 0; i < signal_count; i++)
		uv_close((uv_handle_t *) &signals[i].handle, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	loop_settle();
	return uv_loop_close(&loop) == 0;
}

struct uv_loop_s *
loop_uv(void)
{
	return &loop;
}

uint64_t
loop_now(void)
{
	return uv_now(&loop);
}

uint64_t
loop_clock(void)
{
	return uv_hrtime();
}

int64_t
loop_date(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
loop_defer(struct task *task)
{
	if (task->due)
		return;
	task->due = true;
	list_append(&tasks, &task->node);
}

void
loop_forget(struct task *task)
{
	if (!task->due)
		return;
	task->due = false;
	list_remove(&task->node);
}

static void
on_signal(uv_signal_t *handle, int signal)
{
	((struct watched_signal *) handle->data)->handler(signal);
}

void
loop_on_signal(int signal, void (*handler)(int signal))
{
	struct watched_signal *watched = &signals[signal_count++];

	watched->handler = handler;
	watched->handle.data = watched;
	uv_signal_init(&loop, &watched->handle);
	uv_signal_start(&watched->handle, on_signal, signal);
	uv_unref((uv_handle_t *) &watched->handle);
}

uint64_t
loop_random(uint64_t bound)
{
	uint64_t number = 0;

	if (getrandom(&number, sizeof number, 0) != sizeof number)
		number = uv_hrtime();
	return bound ? number % bound : 0;
}

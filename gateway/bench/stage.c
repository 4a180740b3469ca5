/* SPDX-License-Identifier: PostgreSQL */
/*
 * stage.c
 *	  The course of a run:
 *
 *	  OPENING --stage_begin--> WARM --options.warm--> MEASURED --options.seconds--> DRAINED --quiet--> finish, exit
 *
 * CPU is read at both ends of MEASURED, so that it and what is counted meanwhile belong together. In DRAINED nothing new is
 * sent, and what is on its way arrives: what does not is lost.
 *
 * Called from: the modes. Calls: fleet, usage, libuv.
 */
#include "bench/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "bench/fleet.h"
#include "bench/options.h"

#define DRAIN_LOOK  20   /* milliseconds between looks whether all has arrived */
#define DRAIN_LIMIT 5000 /* milliseconds until what has not arrived is lost */

enum stage stage = STAGE_OPENING;

static uv_timer_t timer;                                      /* to the next stage */
static bool (*is_quiet)(void);                                /* of the mode */
static void (*finish_run)(struct usage used, double seconds); /* of the mode */
static struct usage used;                                     /* at MEASURED's begin, then in it */
static int64_t started;                                       /* fleet_now() at its begin */
static double measured;                                       /* seconds it took */

static void
on_look(uv_timer_t *unused)
{
	static int waited;

	(void) unused;
	waited += DRAIN_LOOK;
	if (is_quiet != NULL && !is_quiet() && waited < DRAIN_LIMIT)
		return;
	finish_run(used, measured);
	fflush(stdout);
	exit(0);
}

static void
on_measured(uv_timer_t *unused)
{
	(void) unused;
	stage = STAGE_DRAINED;
	measured = (double) (fleet_now() - started) / 1e9;
	used = usage_since(used);
	uv_timer_start(&timer, on_look, 0, DRAIN_LOOK);
}

static void
on_warm(uv_timer_t *unused)
{
	(void) unused;
	stage = STAGE_MEASURED;
	used = usage_read();
	started = fleet_now();
	uv_timer_start(&timer, on_measured, (uint64_t) options.seconds * 1000, 0);
}

void
stage_begin(bool (*quiet)(void), void (*finish)(struct usage used, double seconds))
{
	is_quiet = quiet;
	finish_run = finish;
	stage = STAGE_WARM;
	uv_timer_init(uv_default_loop(), &timer);
	uv_timer_start(&timer, on_warm, (uint64_t) options.warm * 1000, 0);
}

/* SPDX-License-Identifier: PostgreSQL */
/* The course of a run in time. See stage.c. */
#ifndef BENCH_STAGE_H
#define BENCH_STAGE_H

#include <stdbool.h>

#include "bench/usage.h"

enum stage
{
	STAGE_OPENING,
	STAGE_WARM,
	STAGE_MEASURED,
	STAGE_DRAINED
};

extern enum stage stage; /* now; what counts is what happens in STAGE_MEASURED */

/*
 * All are ready: warm up, measure, then drain until `quiet` (NULL: at once) or for some seconds, call `finish` with what
 * was used in how many measured seconds, and end the process.
 */
extern void stage_begin(bool (*quiet)(void), void (*finish)(struct usage used, double seconds));

#endif

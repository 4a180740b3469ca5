/* SPDX-License-Identifier: PostgreSQL */
/* What chat-bench can do, a file each: pairs.c, room.c, calls.c, idle.c, storm.c. */
#ifndef BENCH_MODES_H
#define BENCH_MODES_H

#include "bench/fleet.h"

extern const struct mode pairs_mode;
extern const struct mode room_mode;
extern const struct mode calls_mode;
extern const struct mode idle_mode;
extern const struct mode storm_mode;

#endif

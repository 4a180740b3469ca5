/* SPDX-License-Identifier: PostgreSQL */
/* An open loop: so many a second, whatever becomes of them. See pace.c. */
#ifndef BENCH_PACE_H
#define BENCH_PACE_H

#include <stdint.h>

/* From now on `due` is called for 0, 1, 2, … with the time each is scheduled for, in fleet_now()'s nanoseconds. */
extern void pace_begin(long rate, void (*due)(int64_t number, int64_t when));

#endif

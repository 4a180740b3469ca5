/* SPDX-License-Identifier: PostgreSQL */
/* Messages that tell who sent them when, and the books about them. See traffic.c. */
#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/fleet.h"
#include "bench/usage.h"

extern void
traffic_begin(int (*sender_of)(int index)); /* whose messages the seat of this index keeps books of */
extern void traffic_send(struct seat *seat, int64_t due); /* due: when latency begins, fleet_now() */
extern void traffic_answered(struct seat *seat, int64_t id, const char *text, size_t length);
extern int traffic_heard(struct seat *seat, const char *text,
						 size_t length); /* → index of the sender; -1: no message */
extern bool traffic_quiet(void);         /* all that was sent has been heard and answered */
extern void traffic_report(struct usage used, double seconds);

#endif

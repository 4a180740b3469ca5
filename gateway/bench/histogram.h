/* SPDX-License-Identifier: PostgreSQL */
/* Many durations, few bytes. See histogram.c. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_FINE    32 /* buckets to a doubling: 3 % */
#define HISTOGRAM_BUCKETS (64 * HISTOGRAM_FINE)

/* The owner starts it with {0}. */
struct histogram
{
	uint64_t counts[HISTOGRAM_BUCKETS]; /* durations, by bucket */
	uint64_t total;                     /* of counts */
};

extern void histogram_add(struct histogram *histogram, int64_t nanoseconds); /* below 0 counts as 0 */
extern void histogram_clear(struct histogram *histogram);
extern double histogram_percentile(const struct histogram *histogram, double percent); /* milliseconds */

/* Prints the lines NAME_p50_ms, _p90, _p99, _p999 and _max. */
extern void histogram_report(const struct histogram *histogram, const char *name);

#endif

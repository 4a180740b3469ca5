/* SPDX-License-Identifier: PostgreSQL */
/*
 * histogram.c
 *	  Durations in buckets that grow with what they hold: 32 to each doubling, so a percentile is right to 3 %, whatever
 *	  the count, and adding one is a few instructions.
 *
 * A duration below 32 ns has a bucket of its own; above, the bucket is the place of its highest bit and the five bits
 * behind that. A percentile answers its bucket's upper edge: never better than it was.
 *
 * Called from: the modes. Calls: report.
 */
#include "bench/histogram.h"

#include <stdio.h>
#include <string.h>

#include "bench/report.h"

#define FINE_BITS 5

_Static_assert(1 << FINE_BITS == HISTOGRAM_FINE, "buckets to a doubling");

static int
bucket_of(uint64_t value)
{
	int shift;

	if (value < HISTOGRAM_FINE)
		return (int) value;
	shift = 63 - __builtin_clzll(value) - FINE_BITS;
	return (shift + 1) * HISTOGRAM_FINE + (int) (value >> shift) - HISTOGRAM_FINE;
}

static double
upper_edge(int bucket)
{
	int shift = bucket / HISTOGRAM_FINE - 1;

	if (shift < 0)
		return bucket;
	return (double) ((uint64_t) (bucket % HISTOGRAM_FINE + HISTOGRAM_FINE + 1) << shift);
}

void
histogram_add(struct histogram *histogram, int64_t nanoseconds)
{
	histogram->counts[bucket_of(nanoseconds < 0 ? 0 : (uint64_t) nanoseconds)]++;
	histogram->total++;
}

void
histogram_clear(struct histogram *histogram)
{
	memset(histogram, 0, sizeof *histogram);
}

double
histogram_percentile(const struct histogram *histogram, double percent)
{
	double rank = (double) histogram->total * percent / 100;
	uint64_t seen = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
	{
		seen += histogram->counts[i];
		if (seen > 0 && (double) seen >= rank)
			return upper_edge(i) / 1e6;
	}
	return 0;
}

void
histogram_report(const struct histogram *histogram, const char *name)
{
	static const struct
	{
		const char *suffix; /* of the line's name */
		double percent;     /* which percentile */
	} lines[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p999", 99.9}, {"max", 100}};
	char line[64];

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
	{
		snprintf(line, sizeof line, "%s_%s_ms", name, lines[i].suffix);
		report(line, histogram_percentile(histogram, lines[i].percent));
	}
}

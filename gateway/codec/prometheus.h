/* SPDX-License-Identifier: PostgreSQL */
/* Prometheus' text format, version 0.0.4. See prometheus.c. */
#ifndef CODEC_PROMETHEUS_H
#define CODEC_PROMETHEUS_H

#include <stdint.h>

#include "base/buf.h"

/* At most two labels, in any order. */
struct prometheus_labels
{
	const char *names[2];  /* NULL: none, nor behind it */
	const char *values[2]; /* any UTF-8 */
};

/* What is counted in a histogram, and how it is told. */
struct prometheus_histogram
{
	const uint64_t *bounds;  /* upper ends of the buckets, ascending; the last bucket has none */
	int count;               /* of them */
	const uint64_t *buckets; /* count + 1, each for itself */
	uint64_t sum;            /* of what was observed */
	double unit;             /* what bounds and sum are divided by */
};

/* Every family begins with its own lines, once; its samples follow. type: counter, gauge, histogram. */
extern void prometheus_family(struct buf *out, const char *name, const char *type, const char *help);
extern void prometheus_sample(struct buf *out, const char *name, const struct prometheus_labels *labels,
							  double value);
extern void prometheus_histogram(struct buf *out, const char *name, const struct prometheus_labels *labels,
								 const struct prometheus_histogram *histogram);

#endif

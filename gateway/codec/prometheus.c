/* SPDX-License-Identifier: PostgreSQL */
/*
 * prometheus.c
 *	  Prometheus' text format: families of samples, each with its labels.
 *
 *	  # HELP name text
 *	  # TYPE name counter
 *	  name{label="value"} 1
 *
 * In a histogram each bucket counts what the smaller ones do as well, up to `+Inf`, which counts all.
 *
 * Called from: net/metrics. Calls: base/buf.
 */
#include "codec/prometheus.h"

#include <stdbool.h>
#include <stdio.h>

/* Backslashes, quotes and line ends; a help text has quotes as they are. */
static void
add_escaped(struct buf *out, const char *text, bool quotes)
{
	for (; *text != '\0'; text++)
	{
		if (*text == '\\' || (quotes && *text == '"'))
			buf_add_char(out, '\\');
		if (*text == '\n')
			buf_add_text(out, "\\n");
		else
			buf_add_char(out, *text);
	}
}

void
prometheus_family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_format(out, "# HELP %s ", name);
	add_escaped(out, help, false);
	buf_format(out, "\n# TYPE %s %s\n", name, type);
}

static void
add_label(struct buf *out, const char *name, const char *value, int *count)
{
	buf_add_char(out, (*count)++ == 0 ? '{' : ',');
	buf_format(out, "%s=\"", name);
	add_escaped(out, value, true);
	buf_add_char(out, '"');
}

/* suffix: behind the name; bound: the label `le`; both may be NULL. */
static void
add_sample(struct buf *out, const char *name, const char *suffix, const struct prometheus_labels *labels,
		   const char *bound, double value)
{
	int count = 0;

	buf_add_text(out, name);
	if (suffix != NULL)
		buf_add_text(out, suffix);
	for (int i = 0; labels != NULL && i < 2 && labels->names[i] != NULL; i++)
		add_label(out, labels->names[i], labels->values[i], &count);
	if (bound != NULL)
		add_label(out, "le", bound, &count);
	if (count > 0)
		buf_add_char(out, '}');
	if (value == (double) (int64_t) value)
		buf_format(out, " %.0f\n", value);
	else
		buf_format(out, " %.9g\n", value);
}

void
prometheus_sample(struct buf *out, const char *name, const struct prometheus_labels *labels, double value)
{
	add_sample(out, name, NULL, labels, NULL, value);
}

void
prometheus_histogram(struct buf *out, const char *name, const struct prometheus_labels *labels,
					 const struct prometheus_histogram *histogram)
{
	uint64_t total = 0;
	char bound[32];

	for (int i = 0; i < histogram->count; i++)
	{
		total += histogram->buckets[i];
		snprintf(bound, sizeof bound, "%g", (double) histogram->bounds[i] / histogram->unit);
		add_sample(out, name, "_bucket", labels, bound, (double) total);
	}
	total += histogram->buckets[histogram->count];
	add_sample(out, name, "_bucket", labels, "+Inf", (double) total);
	add_sample(out, name, "_sum", labels, NULL, (double) histogram->sum / histogram->unit);
	add_sample(out, name, "_count", labels, NULL, (double) total);
}

/* SPDX-License-Identifier: PostgreSQL */
/* W3C Trace Context: traceparent. See trace.c. */
#ifndef CODEC_TRACE_H
#define CODEC_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_ID 33 /* bytes of a trace's id as text, with its NUL */
#define SPAN_ID  17 /* bytes of a span's */

/* What a caller says of the trace his call belongs to. */
struct trace
{
	char id[TRACE_ID];    /* lower-case hex; empty: there is none */
	char parent[SPAN_ID]; /* the caller's span */
	bool sampled;         /* its spans are recorded */
};

/* From a traceparent. False, and `trace` empty: it is none, and is to be ignored. */
extern bool trace_read(const char *text, size_t length, struct trace *trace);

/* 16 digits of a span's id. */
extern void trace_span_id(uint64_t number, char *id);

#endif

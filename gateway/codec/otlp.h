/* SPDX-License-Identifier: PostgreSQL */
/* OpenTelemetry's protocol: spans as JSON. See otlp.c. */
#ifndef CODEC_OTLP_H
#define CODEC_OTLP_H

#include "base/buf.h"
#include "codec/trace.h"

enum otlp_kind
{
	OTLP_INTERNAL = 1, /* the protocol's numbers */
	OTLP_SERVER = 2,
	OTLP_CLIENT = 3
};

struct otlp_span
{
	char trace[TRACE_ID]; /* ids, as text */
	char id[SPAN_ID];
	char parent[SPAN_ID];
	enum otlp_kind kind;
	const char *system; /* "jsonrpc", "http", "postgresql"; static; NULL: not said */
	char name[72];      /* of the method, or of what was done */
	uint64_t start;     /* nanoseconds since 1970 */
	uint64_t end;
	int code; /* 0: good; else what the call's error says */
};

/* A whole request. who: which of the service's processes. */
extern void otlp_begin(struct buf *out, const char *version, const char *who);
extern void otlp_add(struct buf *out, const struct otlp_span *span);
extern void otlp_end(struct buf *out);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* What becomes of a sampled call, told to a collector and to the database's log. See span.c. */
#ifndef CHAT_SPAN_H
#define CHAT_SPAN_H

#include "base/mem.h"
#include "codec/otlp.h"
#include "codec/trace.h"
#include "pg/call.h"

/* Lies inside the call it is of. */
struct span
{
	struct trace trace;     /* what the caller said; its id empty: nothing */
	uint64_t began;         /* loop_clock() */
	char id[SPAN_ID];       /* empty: it is not recorded */
	char database[SPAN_ID]; /* of the span beneath it that the database is told; empty: none */
};

extern void span_open(void);
extern void span_close(void); /* what waits is sent, if that is done in a second */

extern void span_begin(struct span *span, const struct trace *trace);
extern void span_end(const struct span *span, enum otlp_kind kind, const char *system, const char *name,
					 int code);

/* Its trace's id stands in the log's lines from now on; NULL: none does. */
extern void span_log(const struct span *span);

/* The pool is to run this for it: when recorded, alone, and with a name that the database's log shows. */
extern void span_mark(struct span *span, struct arena *arena, struct pg_call *pg);

/* The pool has: spans beneath it for the wait and for the database. */
extern void span_add_database(const struct span *span, const struct pg_call *pg, bool good);

#endif

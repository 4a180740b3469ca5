/* SPDX-License-Identifier: PostgreSQL */
/* What a call came to: rows, or a failure. See result.c. */
#ifndef PG_RESULT_H
#define PG_RESULT_H

#include <stddef.h>

struct pg_result;

/* Why there are no rows. */
enum pg_verdict
{
	PG_DONE,        /* there are: committed */
	PG_FAILED,      /* the database said no: sqlstate and so on */
	PG_UNAVAILABLE, /* no connection: nothing was sent */
	PG_CROWDED,     /* too much of its user's was waiting: nothing was sent */
	PG_LATE,        /* waited in the queue longer than a call may run: nothing was sent */
	PG_UNKNOWN      /* the connection broke while it ran: it may have happened or not */
};

/* All text lives as long as the result. */
struct pg_failure
{
	const char *sqlstate; /* five characters */
	const char *message;  /* primary */
	const char *detail;   /* or NULL */
	const char *hint;     /* or NULL */
};

extern int result_rows(const struct pg_result *result);
extern size_t result_size(const struct pg_result *result); /* bytes of memory */
extern int result_columns(const struct pg_result *result);
extern int result_column(const struct pg_result *result, const char *name); /* its number, or -1 */

/* Text of one value, NUL-terminated; NULL: SQL NULL. *length may be NULL. */
extern const char *result_value(const struct pg_result *result, int row, int column, size_t *length);

extern struct pg_failure result_failure(const struct pg_result *result);

#endif

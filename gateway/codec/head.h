/* SPDX-License-Identifier: PostgreSQL */
/* The head of an HTTP/1.x request, and what stands in its query. See head.c. */
#ifndef CODEC_HEAD_H
#define CODEC_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "codec/json.h"

#define HEAD_FIELDS 100 /* header lines a request may have */

struct head_field
{
	struct slice name;  /* as it came */
	struct slice value; /* without blanks around */
};

/* All slices lie in the text that was read. */
struct head
{
	struct slice method;                   /* as it came: they are case-sensitive */
	struct slice path;                     /* begins with /; escapes stand as they came */
	struct slice query;                    /* behind the ?, escaped; text NULL: none */
	int minor;                             /* of HTTP/1.x: 0 or 1 */
	struct head_field fields[HEAD_FIELDS]; /* header lines */
	int field_count;                       /* of them */
};

/* Bytes up to and with the empty line; 0: it has not come yet. */
extern size_t head_size(const char *text, size_t length);

/* Read the head that the text is. False: it is none that we should guess about. */
extern bool head_read(const char *text, size_t length, struct head *head);

extern bool head_is(const struct slice *slice, const char *text); /* exactly this one */

/* How many lines have this name; *value is the first one's, if there is one. */
extern int head_field(const struct head *head, const char *name, struct slice *value);

/* The values of all lines of that name, ", " between, appended. */
extern void head_join(const struct head *head, const char *name, struct buf *out);

/* Whether a list of tokens (Connection, Upgrade) has this one, whatever the case. */
extern bool head_has_token(const struct head *head, const char *name, const char *token);

/* Content-Length: 0 when there is none, -1 when it is no number or said twice. */
extern int64_t head_length(const struct head *head);

/* Take the first parameter off a query: as it came, escaped; without a = its value's text is NULL. False: none is left. */
extern bool head_next_parameter(struct slice *query, struct slice *name, struct slice *value);

/* Append the value, unescaped. False: it is badly escaped, or holds NUL. */
extern bool head_unescape(const struct slice *value, struct buf *out);

/*
 * The value of a parameter in a query, unescaped, appended. 1: there; 0: it is not there; -1: it is there twice, or
 * badly escaped, or holds NUL.
 */
extern int head_parameter(const struct slice *query, const char *wanted, struct buf *out);

#endif

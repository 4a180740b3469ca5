/* SPDX-License-Identifier: PostgreSQL */
/* JSON in and out. See json.c. */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"

#define JSON_DEPTH_LIMIT 32 /* nested arrays and objects a client may send */

/* A piece of JSON text inside somebody else's. */
struct slice
{
	const char *text; /* borrowed */
	size_t length;    /* bytes */
};

/*
 * Read one JSON value from hostile text. NULL: *why says in a few words what is wrong with it (static text).
 * The caller owns the value (json_decref).
 */
extern json_t *json_read(const char *text, size_t length, const char **why);

/* Whether the text is one JSON value, be it one that json_read takes or not. */
extern bool json_is_whole(const char *text, size_t length);

/* Where what json_read refuses such a text for lies: the offset of one byte of it. */
extern size_t json_fault(const char *text, size_t length);

/* Append a value, or a string with its quotes. Reals are written as short as they read back the same. */
extern void json_write(struct buf *out, const json_t *value);
extern void json_write_string(struct buf *out, const char *text, size_t length);

/* Whether the text is UTF-8, as a string has to be. */
extern bool json_is_utf8(const char *text, size_t length);

/* How much of the text, up to `end`, may stand in a string as it is: what comes before a quote, a backslash, a control. */
extern size_t json_plain(const char *text, const char *end);

/* A member that is looked for. */
struct json_wanted
{
	const char *name;          /* of it */
	struct json_wanted *inner; /* members of it that are looked for too; borrowed, may be NULL */
	int inner_count;           /* of them; it is then to be no empty object */
	struct slice value;        /* text NULL before, and when it is not there */
};

/*
 * Find members of the object that the text is, without parsing the rest. False when the text is not exactly one
 * well-formed object with at least one member. Names with escapes are not recognised.
 */
extern bool json_members(const char *text, size_t length, struct json_wanted *wanted, int count);

/* The same for one member; false, and *value as it was, also when it is not there. */
extern bool json_member(const char *text, size_t length, const char *name, struct slice *value);

/*
 * The next element of the array that the text is; *at is 0 at first, then ours. False: there is none; *at is
 * length + 1 when the whole text was one well-formed array.
 */
extern bool json_element(const char *text, size_t length, size_t *at, struct slice *element);

/* The same for the next member of the object that the text is; the name with its quotes, as it was written. */
extern bool json_pair(const char *text, size_t length, size_t *at, struct slice *name, struct slice *value);

#endif

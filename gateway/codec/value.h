/* SPDX-License-Identifier: PostgreSQL */
/* JSON values against PostgreSQL's text format, by type. See value.c. */
#ifndef CODEC_VALUE_H
#define CODEC_VALUE_H

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/mem.h"

enum value_kind
{
	VALUE_OTHER, /* travels as text; only the database can check it */
	VALUE_BIGINT,
	VALUE_INTEGER,
	VALUE_SMALLINT,
	VALUE_BOOLEAN,
	VALUE_TEXT,
	VALUE_JSON,
	VALUE_TIMESTAMP,
	VALUE_DATE,
	VALUE_DURATION,
	VALUE_BYTES,
	VALUE_ADDRESS,
	VALUE_NUMERIC,
	VALUE_DOUBLE,
	VALUE_REAL,
	VALUE_UUID
};

struct value_type
{
	enum value_kind kind; /* of the value, or of an array's elements */
	bool array;
};

/* A parameter as libpq wants it. */
struct value_param
{
	const char *text; /* in the arena; NULL: SQL NULL */
	int length;       /* bytes; matters when binary */
	bool binary;      /* format code 1 */
};

extern struct value_type value_type(const char *name); /* from format_type()'s name */

/*
 * JSON to PostgreSQL. NULL: good, *param is filled from the arena. Else a hint (static text) that says what the type
 * wants. What passes here does not fail in PostgreSQL's input function, except for VALUE_OTHER.
 */
extern const char *value_encode(struct value_type type, const json_t *json, struct arena *arena,
								struct value_param *param);

/* PostgreSQL's text to JSON, appended. The settings it relies on are those of pg/link.c. */
extern void value_decode(struct value_type type, const char *text, size_t length, struct buf *out);

#endif

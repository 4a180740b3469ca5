/* SPDX-License-Identifier: PostgreSQL */
/*
 * Fuzzes values both ways. The first byte picks the type; the rest is JSON to be encoded, and text to be decoded.
 *
 * Invariants: an encoded array decodes to an array; whatever is decoded is JSON, except for kinds whose text is
 * passed on as the server wrote it (numbers, JSON).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"
#include "codec/value.h"

static const char *const types[] = {
	"bigint",   "integer", "smallint", "boolean", "text", "jsonb", "timestamp with time zone", "date",
	"interval", "bytea",   "inet",     "numeric", "real", "uuid",  "double precision",         "app.mood"};

static bool
is_json(const struct buf *text)
{
	json_t *value =
		json_loadb(text->data ? text->data : "", text->length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	json_decref(value);
	return value != NULL;
}

static void
encode(struct value_type type, const char *text, size_t length)
{
	const char *why;
	json_t *json = json_read(text, length, &why);
	struct arena *arena = arena_create();
	struct value_param param;
	struct buf back = {0};

	if (json != NULL && value_encode(type, json, arena, &param) == NULL && param.text != NULL && type.array)
	{
		value_decode(type, param.text, (size_t) param.length, &back);
		if (back.length == 0 || back.data[0] != '[')
			abort();
	}
	buf_free(&back);
	arena_destroy(arena);
	json_decref(json);
}

static bool
is_utf8(const char *text, size_t length)
{
	json_t *value = json_stringn(text, length);

	json_decref(value);
	return value != NULL;
}

static void
decode(struct value_type type, const char *text, size_t length)
{
	bool raw = type.kind == VALUE_JSON || type.kind == VALUE_NUMERIC || type.kind == VALUE_REAL ||
			   type.kind == VALUE_DOUBLE || type.kind == VALUE_INTEGER || type.kind == VALUE_SMALLINT;
	struct buf out = {0};

	if (memchr(text, '\0', length) == NULL && is_utf8(text, length))
	{
		value_decode(type, text, length, &out);
		if (!raw && !is_json(&out))
			abort();
	}
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct value_type type;

	if (size < 1)
		return 0;
	type = value_type(types[data[0] % 16]);
	type.array = (data[0] & 16) != 0;
	encode(type, (const char *) data + 1, size - 1);
	decode(type, (const char *) data + 1, size - 1);
	return 0;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * plain.c
 *	  JSON that is plain, as nearly all of it is, read faster than jansson reads it.
 *
 * Plain is: strings without escapes, integers of at most INTEGER_DIGITS, no name twice, no more than JSON_DEPTH_LIMIT
 * levels. At anything else, and at whatever may be wrong with the text, it gives up, and codec/json has jansson read it
 * from the start: so what is refused, and why, is decided there alone. What is accepted is the same value that jansson
 * would have made; a fuzzer compares.
 *
 * Jansson takes the text byte by byte, through a buffer and a state for UTF-8; here a string is found eight bytes at a
 * time, and checked and copied whole by jansson's own constructor.
 *
 * Called from: codec/json. Calls: codec/json (json_plain), jansson.
 */
#include "codec/plain.h"

#include <stdbool.h>
#include <string.h>

#include "codec/json.h"

#define INTEGER_DIGITS 18 /* always fit into 64 bits */

struct reading
{
	const char *at;  /* next byte */
	const char *end; /* behind the last byte */
	int depth;       /* levels open */
};

static json_t *read_value(struct reading *reading);

static void
skip_space(struct reading *reading)
{
	while (reading->at < reading->end &&
		   (*reading->at == ' ' || *reading->at == '\n' || *reading->at == '\r' || *reading->at == '\t'))
		reading->at++;
}

/* The character, perhaps behind space. */
static bool
take(struct reading *reading, char c)
{
	skip_space(reading);
	if (reading->at == reading->end || *reading->at != c)
		return false;
	reading->at++;
	return true;
}

/* What stands between the quotes; text NULL: it is not plain. */
static struct slice
read_text(struct reading *reading)
{
	struct slice text = {reading->at, 0};

	text.length = json_plain(reading->at, reading->end);
	reading->at += text.length;
	if (reading->at == reading->end || *reading->at++ != '"')
		text.text = NULL;
	return text;
}

static json_t *
read_string(struct reading *reading)
{
	struct slice text = read_text(reading);

	return text.text ? json_stringn(text.text, text.length) : NULL;
}

static bool
read_pair(struct reading *reading, json_t *object)
{
	size_t before = json_object_size(object);
	struct slice name;
	json_t *value;

	if (!take(reading, '"'))
		return false;
	name = read_text(reading);
	if (name.text == NULL || !take(reading, ':'))
		return false;
	value = read_value(reading);
	return value != NULL && json_object_setn_new(object, name.text, name.length, value) == 0 &&
		   json_object_size(object) > before;
}

static bool
read_element(struct reading *reading, json_t *array)
{
	json_t *value = read_value(reading);

	return value != NULL && json_array_append_new(array, value) == 0;
}

/* What stands up to the closing bracket goes into `nest`, which is the caller's; → it, or NULL. */
static json_t *
read_nest(struct reading *reading, json_t *nest, bool (*read_item)(struct reading *, json_t *), char close)
{
	bool good = ++reading->depth <= JSON_DEPTH_LIMIT;

	if (good && !take(reading, close))
	{
		do
			good = read_item(reading, nest);
		while (good && take(reading, ','));
		good = good && take(reading, close);
	}
	reading->depth--;
	if (good)
		return nest;
	json_decref(nest);
	return NULL;
}

/* No sign of a real number may follow, and no digit an initial 0. */
static json_t *
read_integer(struct reading *reading)
{
	bool negative = *reading->at == '-';
	const char *from = reading->at + negative;
	const char *at = from;
	json_int_t number = 0;

	while (at < reading->end && *at >= '0' && *at <= '9' && at - from < INTEGER_DIGITS)
		number = 10 * number + (*at++ - '0');
	if (at == from || (*from == '0' && at > from + 1) ||
		(at < reading->end && memchr("0123456789.eE", *at, 13) != NULL))
		return NULL;
	reading->at = at;
	return json_integer(negative ? -number : number);
}

static json_t *
read_word(struct reading *reading, const char *word, json_t *value)
{
	size_t length = strlen(word);

	if ((size_t) (reading->end - reading->at) < length || memcmp(reading->at, word, length) != 0)
		return NULL;
	reading->at += length;
	return value;
}

static json_t *
read_value(struct reading *reading)
{
	skip_space(reading);
	if (reading->at == reading->end)
		return NULL;
	switch (*reading->at)
	{
		case '{':
			reading->at++;
			return read_nest(reading, json_object(), read_pair, '}');
		case '[':
			reading->at++;
			return read_nest(reading, json_array(), read_element, ']');
		case '"':
			reading->at++;
			return read_string(reading);
		case 't':
			return read_word(reading, "true", json_true());
		case 'f':
			return read_word(reading, "false", json_false());
		case 'n':
			return read_word(reading, "null", json_null());
		default:
			return read_integer(reading);
	}
}

json_t *
plain_read(const char *text, size_t length)
{
	struct reading reading = {text, text + length, 0};
	json_t *value = read_value(&reading);

	skip_space(&reading);
	if (reading.at == reading.end)
		return value;
	json_decref(value);
	return NULL;
}

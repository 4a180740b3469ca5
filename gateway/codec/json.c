/* SPDX-License-Identifier: PostgreSQL */
/*
 * json.c
 *	  JSON in and out: jansson behind a depth check, a writer of our own, and a scanner that finds members and elements.
 *
 * Reading refuses what PostgreSQL could not store or what two parsers could read differently: duplicate names,
 * U+0000, lone surrogates, bad UTF-8, integers beyond 64 bits, reals beyond a double, more than JSON_DEPTH_LIMIT
 * levels, anything behind the value. Depth is counted before jansson sees the text: its parser is recursive. It sees only
 * what is not plain (plain.c), which is rare. What was refused is scanned once more, to tell text that is no JSON from JSON
 * that cannot be taken: json_fault says where in it that lies.
 *
 * The scanner serves notifications and replays: an event is relayed as the text that arrived, so it must be known to be
 * one whole JSON value, and no more is needed from it than two or three members. It keeps the brackets that are open in a
 * table and calls itself for none of them.
 *
 * Called from: codec/rpc, codec/value, chat/. Calls: codec/plain, jansson, base/buf.
 */
#include "codec/json.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/plain.h"

#define NEST_LIMIT 32768 /* levels the scanner follows: 64 kB, what frame_limit says, have no more */

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Whether one of eight bytes ends what is plain. */
static bool
has_special(uint64_t bytes)
{
	uint64_t quote = bytes ^ EACH_BYTE('"');
	uint64_t backslash = bytes ^ EACH_BYTE('\\');

	return (((bytes - EACH_BYTE(0x20)) & ~bytes) | ((quote - EACH_BYTE(1)) & ~quote) |
			((backslash - EACH_BYTE(1)) & ~backslash)) &
		   EACH_BYTE(0x80);
}

size_t
json_plain(const char *text, const char *end)
{
	const char *at = text;
	uint64_t bytes;

	for (; end - at >= 8; at += 8)
	{
		memcpy(&bytes, at, 8);
		if (has_special(bytes))
			break;
	}
	while (at < end && (unsigned char) *at >= 0x20 && *at != '"' && *at != '\\')
		at++;
	return (size_t) (at - text);
}

static const char depth_words[] = "more than 32 levels of nesting";

/* Where the nesting gets too deep; brackets inside strings don't count. The length: nowhere. */
static size_t
find_depth(const char *text, size_t length)
{
	int depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < length; i++)
	{
		char c = text[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '[' || c == '{') && ++depth > JSON_DEPTH_LIMIT)
			return i;
		else if (!quoted && (c == ']' || c == '}'))
			depth--;
	}
	return length;
}

/* What jansson has against text that is JSON, in words of ours, for the hint of the answer. */
static const char *
error_words(enum json_error_code code)
{
	switch (code)
	{
		case json_error_null_character:
		case json_error_null_byte_in_key:
			return "\\u0000 cannot be stored";
		case json_error_duplicate_key:
			return "an object has the same member twice";
		case json_error_numeric_overflow:
			return "a number is beyond 64 bits; send it as a string";
		case json_error_invalid_syntax:
			return "half of a surrogate pair is no character";
		default:
			return "it cannot be stored";
	}
}

static const char *find_malformation(const char *text, size_t length);

/* What jansson makes of it, unless it is too deep for that. NULL: *why and *where say what is wrong, if it is JSON. */
static json_t *
read_any(const char *text, size_t length, const char **why, size_t *where)
{
	json_error_t error;
	json_t *value;

	*why = depth_words;
	*where = find_depth(text, length);
	if (*where < length)
		return NULL;
	value = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (value == NULL)
	{
		*why = error_words(json_error_code(&error));
		*where = (size_t) error.position - (error.position > 0); /* it stands behind the token */
	}
	return value;
}

json_t *
json_read(const char *text, size_t length, const char **why)
{
	json_t *value = plain_read(text, length);
	const char *malformation;
	size_t where;

	if (value == NULL)
		value = read_any(text, length, why, &where);
	malformation = value == NULL ? find_malformation(text, length) : NULL;
	if (malformation != NULL)
		*why = malformation;
	return value;
}

size_t
json_fault(const char *text, size_t length)
{
	const char *why;
	size_t where;

	json_decref(read_any(text, length, &why, &where));
	return where;
}

bool
json_is_utf8(const char *text, size_t length)
{
	json_t *string = json_stringn(text, length);
	bool good = string != NULL;

	json_decref(string);
	return good;
}

static void
write_escape(struct buf *out, unsigned char c)
{
	static const char letters[] = "btn\0fr"; /* of the escapes for 8, 9, 10, 12, 13 */

	if (c >= 0x20)
		buf_format(out, "\\%c", c);
	else if (c >= 8 && c <= 13 && letters[c - 8] != '\0')
		buf_format(out, "\\%c", letters[c - 8]);
	else
		buf_format(out, "\\u%04x", c);
}

void
json_write_string(struct buf *out, const char *text, size_t length)
{
	const char *end = text + length;

	buf_add_char(out, '"');
	for (;;)
	{
		size_t plain = json_plain(text, end);

		buf_add(out, text, plain);
		text += plain;
		if (text == end)
			break;
		write_escape(out, (unsigned char) *text++);
	}
	buf_add_char(out, '"');
}

static void
write_real(struct buf *out, double value)
{
	char text[40];

	for (int digits = 15; digits <= 17; digits++)
	{
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	buf_add_text(out, text);
	if (strpbrk(text, ".e") == NULL)
		buf_add_text(out, ".0");
}

static void
write_array(struct buf *out, const json_t *array)
{
	buf_add_char(out, '[');
	for (size_t i = 0; i < json_array_size(array); i++)
	{
		if (i > 0)
			buf_add_char(out, ',');
		json_write(out, json_array_get(array, i));
	}
	buf_add_char(out, ']');
}

static void
write_object(struct buf *out, const json_t *object)
{
	const char *name;
	json_t *value;
	bool first = true;

	buf_add_char(out, '{');
	json_object_foreach((json_t *) object, name, value)
	{
		if (!first)
			buf_add_char(out, ',');
		first = false;
		json_write_string(out, name, strlen(name));
		buf_add_char(out, ':');
		json_write(out, value);
	}
	buf_add_char(out, '}');
}

void
json_write(struct buf *out, const json_t *value)
{
	switch (json_typeof(value))
	{
		case JSON_OBJECT:
			write_object(out, value);
			break;
		case JSON_ARRAY:
			write_array(out, value);
			break;
		case JSON_STRING:
			json_write_string(out, json_string_value(value), json_string_length(value));
			break;
		case JSON_INTEGER:
			buf_format(out, "%lld", (long long) json_integer_value(value));
			break;
		case JSON_REAL:
			write_real(out, json_real_value(value));
			break;
		case JSON_TRUE:
			buf_add_text(out, "true");
			break;
		case JSON_FALSE:
			buf_add_text(out, "false");
			break;
		case JSON_NULL:
			buf_add_text(out, "null");
			break;
	}
}

struct scan
{
	const char *at;  /* next byte */
	const char *end; /* behind the last byte */
};

/* The levels that are open. */
struct nest
{
	int depth;            /* how many */
	char due[NEST_LIMIT]; /* their closing brackets, the innermost last */
};

static bool
is_space(char c)
{
	return c <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t');
}

static void
scan_space(struct scan *scan)
{
	while (scan->at < scan->end && is_space(*scan->at))
		scan->at++;
}

static bool
scan_char(struct scan *scan, char c)
{
	if (scan->at == scan->end || *scan->at != c)
		return false;
	scan->at++;
	return true;
}

static bool
scan_escape(struct scan *scan)
{
	char c = scan->at < scan->end ? *scan->at++ : '\0';

	if (c != 'u')
		return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
	for (int i = 0; i < 4; i++)
	{
		if (scan->at == scan->end || memchr("0123456789abcdefABCDEF", *scan->at++, 22) == NULL)
			return false;
	}
	return true;
}

static bool
scan_string(struct scan *scan)
{
	if (!scan_char(scan, '"'))
		return false;
	for (;;)
	{
		scan->at += json_plain(scan->at, scan->end);
		if (scan_char(scan, '"'))
			return true;
		if (!scan_char(scan, '\\') || !scan_escape(scan))
			return false;
	}
}

static bool
scan_digits(struct scan *scan)
{
	const char *from = scan->at;

	while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
		scan->at++;
	return scan->at > from;
}

static bool
scan_number(struct scan *scan)
{
	scan_char(scan, '-');
	if (!scan_char(scan, '0') && !scan_digits(scan))
		return false;
	if (scan_char(scan, '.') && !scan_digits(scan))
		return false;
	if (scan_char(scan, 'e') || scan_char(scan, 'E'))
	{
		if (!scan_char(scan, '-'))
			scan_char(scan, '+');
		return scan_digits(scan);
	}
	return true;
}

static bool
scan_word(struct scan *scan, const char *word)
{
	size_t length = strlen(word);

	if ((size_t) (scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
		return false;
	scan->at += length;
	return true;
}

/* `"name": `, its quotes being part of the slice. */
static bool
scan_name(struct scan *scan, struct slice *name)
{
	scan_space(scan);
	name->text = scan->at;
	if (!scan_string(scan))
		return false;
	name->length = (size_t) (scan->at - name->text);
	scan_space(scan);
	if (!scan_char(scan, ':'))
		return false;
	scan_space(scan);
	return true;
}

static bool
scan_scalar(struct scan *scan)
{
	switch (*scan->at)
	{
		case '"':
			return scan_string(scan);
		case 't':
			return scan_word(scan, "true");
		case 'f':
			return scan_word(scan, "false");
		case 'n':
			return scan_word(scan, "null");
		default:
			return scan_number(scan);
	}
}

/* To where the next value of the innermost level begins: behind its name, in an object. */
static bool
scan_to_value(struct scan *scan, const struct nest *nest)
{
	struct slice name;

	return nest->due[nest->depth - 1] == ']' || scan_name(scan, &name);
}

/* A value begins: a scalar is over at once, and so are empty brackets; else the first value inside is due. */
static bool
scan_begin(struct scan *scan, struct nest *nest, bool *over)
{
	bool object;

	scan_space(scan);
	*over = true;
	if (scan->at == scan->end)
		return false;
	object = *scan->at == '{';
	if (!object && *scan->at != '[')
		return scan_scalar(scan);
	scan->at++;
	scan_space(scan);
	if (scan_char(scan, object ? '}' : ']'))
		return true;
	if (nest->depth == NEST_LIMIT)
		return false;
	nest->due[nest->depth++] = object ? '}' : ']';
	*over = false;
	return scan_to_value(scan, nest);
}

/* A value inside brackets is over: either the next one is due, or the brackets are over too. */
static bool
scan_go_on(struct scan *scan, struct nest *nest, bool *over)
{
	scan_space(scan);
	*over = !scan_char(scan, ',');
	return *over ? scan_char(scan, nest->due[--nest->depth]) : scan_to_value(scan, nest);
}

static bool
scan_value(struct scan *scan)
{
	struct nest nest;
	bool over;

	nest.depth = 0;
	do
	{
		if (!scan_begin(scan, &nest, &over))
			return false;
		while (over && nest.depth > 0)
		{
			if (!scan_go_on(scan, &nest, &over))
				return false;
		}
	} while (nest.depth > 0);
	return true;
}

/* Why the text is no JSON; NULL: it is, if perhaps none that can be stored. */
static const char *
find_malformation(const char *text, size_t length)
{
	struct scan scan = {text, text + length};
	bool good = scan_value(&scan);

	scan_space(&scan);
	if (!json_is_utf8(text, length))
		return "the text is not UTF-8";
	if (scan.at == scan.end)
		return good ? NULL : "the text ends too early";
	if (good)
		return "there is something behind the value";
	return find_depth(text, length) < length ? depth_words : "malformed JSON";
}

bool
json_is_whole(const char *text, size_t length)
{
	return find_malformation(text, length) == NULL;
}

/* Which of the members a pair is, or NULL. */
static struct json_wanted *
wanted_as(const struct slice *name, struct json_wanted *wanted, int count)
{
	size_t length = name->length - 2;

	for (int i = 0; i < count; i++)
	{
		const char *its_name = wanted[i].name;

		if (its_name[0] == name->text[1] && strncmp(its_name, name->text + 1, length) == 0 &&
			its_name[length] == '\0')
			return &wanted[i];
	}
	return NULL;
}

static bool scan_wanted(struct scan *scan, struct json_wanted *wanted, int count);

/* The value of this member; the first one of a name counts. */
static bool
scan_found(struct scan *scan, struct json_wanted *found)
{
	const char *from = scan->at;
	bool good;

	if (found->value.text != NULL)
		return scan_value(scan);
	if (found->inner != NULL && from < scan->end && *from == '{')
		good = scan_wanted(scan, found->inner, found->inner_count);
	else
		good = scan_value(scan);
	found->value = (struct slice){from, (size_t) (scan->at - from)};
	return good;
}

/* An object with at least one member. */
static bool
scan_wanted(struct scan *scan, struct json_wanted *wanted, int count)
{
	struct json_wanted *found;
	struct slice name;

	if (!scan_char(scan, '{'))
		return false;
	do
	{
		if (!scan_name(scan, &name))
			return false;
		found = wanted_as(&name, wanted, count);
		if (found != NULL ? !scan_found(scan, found) : !scan_value(scan))
			return false;
		scan_space(scan);
	} while (scan_char(scan, ','));
	return scan_char(scan, '}');
}

bool
json_members(const char *text, size_t length, struct json_wanted *wanted, int count)
{
	struct scan scan = {text, text + length};

	scan_space(&scan);
	if (!scan_wanted(&scan, wanted, count))
		return false;
	scan_space(&scan);
	return scan.at == scan.end;
}

bool
json_member(const char *text, size_t length, const char *name, struct slice *value)
{
	struct json_wanted wanted = {.name = name};

	if (!json_members(text, length, &wanted, 1) || wanted.value.text == NULL)
		return false;
	*value = wanted.value;
	return true;
}

/* The next one of what stands between the brackets; with `name` it has one. */
static bool
next_item(const char *text, size_t length, size_t *at, const char *brackets, struct slice *name,
		  struct slice *value)
{
	struct scan scan = {text + *at, text + length};
	bool first = *at == 0;

	if (first)
		scan_space(&scan);
	if (first && !scan_char(&scan, brackets[0]))
		return false;
	scan_space(&scan);
	if (scan_char(&scan, brackets[1]))
	{
		scan_space(&scan);
		if (scan.at == scan.end)
			*at = length + 1;
		return false;
	}
	if (!first && !scan_char(&scan, ','))
		return false;
	if (name != NULL && !scan_name(&scan, name))
		return false;
	scan_space(&scan);
	value->text = scan.at;
	if (!scan_value(&scan))
		return false;
	value->length = (size_t) (scan.at - value->text);
	*at = (size_t) (scan.at - text);
	return true;
}

bool
json_element(const char *text, size_t length, size_t *at, struct slice *element)
{
	return next_item(text, length, at, "[]", NULL, element);
}

bool
json_pair(const char *text, size_t length, size_t *at, struct slice *name, struct slice *value)
{
	return next_item(text, length, at, "{}", name, value);
}

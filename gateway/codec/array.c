/* SPDX-License-Identifier: PostgreSQL */
/*
 * array.c
 *	  PostgreSQL's array literals: {1,NULL,"a \"b\""}, nested, perhaps with bounds in front ([0:1]={1,2}).
 *
 * Written: every element but NULL is quoted, with backslashes before quotes and backslashes, so no element can be
 * taken for anything else. Read: quoted elements are unescaped into a scratch buffer; an unquoted NULL is a null.
 *
 * Called from: codec/value. Calls: base/buf.
 */
#include "codec/array.h"

#include <string.h>

#define ARRAY_DIMENSIONS 6 /* PostgreSQL's own limit */

void
array_begin(struct buf *out)
{
	buf_add_char(out, '{');
}

void
array_add(struct buf *out, const char *text, size_t length)
{
	if (out->data[out->length - 1] != '{')
		buf_add_char(out, ',');
	if (text == NULL)
	{
		buf_add_text(out, "NULL");
		return;
	}
	buf_add_char(out, '"');
	for (size_t i = 0; i < length; i++)
	{
		if (text[i] == '"' || text[i] == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, text[i]);
	}
	buf_add_char(out, '"');
}

void
array_end(struct buf *out)
{
	buf_add_char(out, '}');
}

struct reading
{
	const char *at;           /* next byte */
	const char *end;          /* behind the last byte */
	array_element_fn element; /* the caller's */
	void *arg;                /* the caller's */
	struct buf *out;          /* where JSON goes */
	struct buf scratch;       /* an element without its escapes */
};

static bool
next_is(struct reading *reading, char c)
{
	if (reading->at == reading->end || *reading->at != c)
		return false;
	reading->at++;
	return true;
}

/* "…" with escapes; the opening quote has been read. */
static bool
read_quoted(struct reading *reading)
{
	buf_clear(&reading->scratch);
	while (reading->at < reading->end && *reading->at != '"')
	{
		if (*reading->at == '\\' && ++reading->at == reading->end)
			return false;
		buf_add_char(&reading->scratch, *reading->at++);
	}
	if (!next_is(reading, '"'))
		return false;
	reading->element(reading->arg, buf_text(&reading->scratch), reading->scratch.length);
	return true;
}

static bool
read_bare(struct reading *reading)
{
	const char *from = reading->at;
	size_t length;

	while (reading->at < reading->end && memchr(",{}\"\\", *reading->at, 5) == NULL)
		reading->at++;
	length = (size_t) (reading->at - from);
	if (length == 4 && memcmp(from, "NULL", 4) == 0)
		reading->element(reading->arg, NULL, 0);
	else if (length > 0)
		reading->element(reading->arg, from, length);
	return length > 0;
}

/* {…}; the opening brace has been read. */
static bool
read_level(struct reading *reading, int depth)
{
	bool good = true;

	if (depth > ARRAY_DIMENSIONS)
		return false;
	buf_add_char(reading->out, '[');
	if (!next_is(reading, '}'))
	{
		do
		{
			if (reading->out->data[reading->out->length - 1] != '[')
				buf_add_char(reading->out, ',');
			if (next_is(reading, '{'))
				good = read_level(reading, depth + 1);
			else
				good = next_is(reading, '"') ? read_quoted(reading) : read_bare(reading);
		} while (good && next_is(reading, ','));
		good = good && next_is(reading, '}');
	}
	buf_add_char(reading->out, ']');
	return good;
}

bool
array_read(const char *text, size_t length, array_element_fn element, void *arg, struct buf *out)
{
	struct reading reading = {text, text + length, element, arg, out, {0}};
	const char *equals = length > 0 && text[0] == '[' ? memchr(text, '=', length) : NULL;
	bool good;

	if (equals != NULL)
		reading.at = equals + 1;
	good = next_is(&reading, '{') && read_level(&reading, 1) && reading.at == reading.end;
	buf_free(&reading.scratch);
	return good;
}

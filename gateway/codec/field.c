/* SPDX-License-Identifier: PostgreSQL */
/*
 * field.c
 *	  Values of HTTP header fields about files: Range, entity tags, Content-Disposition.
 *
 * A Range that is not understood is as if it had not come (RFC 9110 14.2), and so is one with several parts: a server
 * may always answer with the whole, and players ask for one part at a time.
 *
 * Called from: net/download, net/page. Calls: base/buf.
 */
#include "codec/field.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define MOST (INT64_C(1) << 60) /* what longer numbers are taken for: beyond any file */

/* Digits at *at; -1: there are none. */
static int64_t
read_number(const char **at, const char *end)
{
	int64_t number = 0;
	const char *start = *at;

	for (; *at < end && isdigit((unsigned char) **at); ++*at)
		number = number < MOST / 10 ? number * 10 + (**at - '0') : MOST;
	return *at > start ? number : -1;
}

enum range_verdict
field_range(const struct slice *value, int64_t size, int64_t *first, int64_t *count)
{
	const char *at = value->text;
	const char *end = at + value->length;
	int64_t last;

	if (value->length < 6 || strncasecmp(at, "bytes=", 6) != 0)
		return RANGE_WHOLE;
	at += 6;
	*first = read_number(&at, end);
	if (at == end || *at++ != '-')
		return RANGE_WHOLE;
	last = read_number(&at, end);
	if (at != end || (*first < 0 && last < 0) || (*first >= 0 && last >= 0 && last < *first))
		return RANGE_WHOLE;
	if (*first < 0) /* the last so many bytes */
	{
		*count = last < size ? last : size;
		*first = size - *count;
		return *count > 0 ? RANGE_PART : RANGE_BEYOND;
	}
	if (*first >= size)
		return RANGE_BEYOND;
	*count = (last < 0 || last >= size ? size - 1 : last) - *first + 1;
	return RANGE_PART;
}

bool
field_has_tag(const struct slice *list, const char *tag, bool weak_will_do)
{
	const char *at = list->text;
	const char *end = at + list->length;
	size_t length = strlen(tag);

	if (list->length == 1 && *at == '*')
		return true;
	while (at < end)
	{
		bool weak = end - at > 2 && at[0] == 'W' && at[1] == '/';
		const char *close;

		at += weak ? 2 : 0;
		close = *at == '"' ? memchr(at + 1, '"', (size_t) (end - at - 1)) : NULL;
		if (close != NULL)
		{
			if ((weak_will_do || !weak) && (size_t) (close + 1 - at) == length &&
				memcmp(at, tag, length) == 0)
				return true;
			at = close;
		}
		at++;
	}
	return false;
}

/* The name as old clients want it: ASCII without what has a meaning inside quotes. */
static void
add_plain_name(struct buf *out, const char *name)
{
	for (const unsigned char *p = (const unsigned char *) name; *p != '\0'; p++)
	{
		if (*p >= 0x80 && *p < 0xc0)
			continue; /* not the first byte of its letter */
		buf_add_char(out, *p < ' ' || *p >= 0x7f || strchr("\"\\%", *p) != NULL ? '_' : (char) *p);
	}
}

/* As RFC 8187 wants it. */
static void
add_escaped_name(struct buf *out, const char *name)
{
	for (const unsigned char *p = (const unsigned char *) name; *p != '\0'; p++)
	{
		if (isalnum(*p) || strchr("!#$&+-.^_`|~", *p) != NULL)
			buf_add_char(out, (char) *p);
		else
			buf_format(out, "%%%02X", *p);
	}
}

void
field_disposition(struct buf *out, bool is_inline, const char *name)
{
	buf_add_text(out, is_inline ? "inline; filename=\"" : "attachment; filename=\"");
	add_plain_name(out, name);
	buf_add_text(out, "\"; filename*=UTF-8''");
	add_escaped_name(out, name);
}

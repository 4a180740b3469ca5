/* SPDX-License-Identifier: PostgreSQL */
/*
 * buf.c
 *	  A byte buffer that grows: what answers, array literals and HTTP bodies are built in.
 *
 * It grows by doubling. Growing cannot fail (see mem.c). Whoever builds from hostile input bounds the input; the
 * buffer itself has no limit.
 *
 * Called from: codec/, chat/, pg/, net/. Calls: base/mem.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define BUF_FIRST                                                                                            \
	1000 /* bytes of the first allocation: most never need another, and malloc has such at hand */
#define BUF_FORMAT 64 /* bytes that most formatted pieces fit into */

char *
buf_reserve(struct buf *buf, size_t length)
{
	size_t size = buf->size ? buf->size : BUF_FIRST;

	while (size - buf->length < length)
		size *= 2;
	if (size != buf->size)
	{
		buf->data = mem_resize(buf->data, size);
		buf->size = size;
	}
	return buf->data + buf->length;
}

void
buf_add(struct buf *buf, const void *data, size_t length)
{
	if (length == 0)
		return;
	memcpy(buf_reserve(buf, length), data, length);
	buf->length += length;
}

void
buf_add_char(struct buf *buf, char c)
{
	*buf_reserve(buf, 1) = c;
	buf->length++;
}

void
buf_add_text(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void
buf_add_identifier(struct buf *buf, const char *name)
{
	buf_add_char(buf, '"');
	for (; *name != '\0'; name++)
	{
		if (*name == '"')
			buf_add_char(buf, '"');
		buf_add_char(buf, *name);
	}
	buf_add_char(buf, '"');
}

void
buf_format(struct buf *buf, const char *format, ...)
{
	size_t room = BUF_FORMAT;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(buf_reserve(buf, room), room, format, args);
	va_end(args);
	if ((size_t) length >= room)
	{
		room = (size_t) length + 1;
		va_start(args, format);
		vsnprintf(buf_reserve(buf, room), room, format, args);
		va_end(args);
	}
	buf->length += (size_t) length;
}

const char *
buf_text(struct buf *buf)
{
	*buf_reserve(buf, 1) = '\0';
	return buf->data;
}

void
buf_clear(struct buf *buf)
{
	buf->length = 0;
}

void
buf_free(struct buf *buf)
{
	mem_free(buf->data);
	*buf = (struct buf){0};
}

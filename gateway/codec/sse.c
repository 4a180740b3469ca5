/* SPDX-License-Identifier: PostgreSQL */
/*
 * sse.c
 *	  Notifications as Server-Sent Events: `event:` is the method, `data:` the parameters on one line, and `id:`, which
 *	  a client sends back as Last-Event-ID, the cursor where there is one.
 *
 * JSON has line ends between its tokens only, where a blank is as good.
 *
 * Called from: net/events. Calls: base/buf.
 */
#include "codec/sse.h"

#include <string.h>

static const char before_method[] = "{\"jsonrpc\":\"2.0\",\"method\":\"";
static const char before_params[] = "\",\"params\":";
static const char before_cursor[] = "{\"cursor\":\"";

static bool
begins_with(const char *text, size_t length, const char *prefix)
{
	return length >= strlen(prefix) && memcmp(text, prefix, strlen(prefix)) == 0;
}

static void
write_id(struct buf *out, const char *params, size_t length)
{
	const char *cursor = params + sizeof before_cursor - 1;
	const char *end;

	if (!begins_with(params, length, before_cursor))
		return;
	end = memchr(cursor, '"', length - (sizeof before_cursor - 1));
	if (end == NULL)
		return;
	buf_add_text(out, "id: ");
	buf_add(out, cursor, (size_t) (end - cursor));
	buf_add_char(out, '\n');
}

static void
write_data(struct buf *out, const char *params, size_t length)
{
	char *data;

	buf_add_text(out, "data: ");
	data = buf_reserve(out, length);
	memcpy(data, params, length);
	for (size_t i = 0; i < length; i++)
	{
		if (data[i] == '\n' || data[i] == '\r')
			data[i] = ' ';
	}
	out->length += length;
	buf_add_text(out, "\n\n");
}

bool
sse_write(struct buf *out, const char *text, size_t length)
{
	const char *method = text + sizeof before_method - 1;
	const char *method_end;
	const char *params;
	size_t left;

	if (!begins_with(text, length, before_method))
		return false;
	left = length - (sizeof before_method - 1);
	method_end = memmem(method, left, before_params, sizeof before_params - 1);
	if (method_end == NULL || text[length - 1] != '}')
		return false;
	params = method_end + sizeof before_params - 1;
	left = (size_t) (text + length - 1 - params);
	buf_add_text(out, "event: ");
	buf_add(out, method, (size_t) (method_end - method));
	buf_add_char(out, '\n');
	write_id(out, params, left);
	write_data(out, params, left);
	return true;
}

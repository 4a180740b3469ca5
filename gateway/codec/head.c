/* SPDX-License-Identifier: PostgreSQL */
/*
 * head.c
 *	  The head of an HTTP/1.x request: request line and header lines, as RFC 9112 wants them.
 *
 * Strict where proxies and servers are known to differ, since that is where requests are smuggled: lines end with CR
 * LF, a name is followed by its colon at once, nothing is folded, no control characters, one Host, one
 * Content-Length of digits only. The text is whatever a client sent; nothing is copied.
 *
 * Called from: net/http and those behind it. Calls: base/buf.
 */
#include "codec/head.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

size_t
head_size(const char *text, size_t length)
{
	const char *end = memmem(text, length, "\r\n\r\n", 4);

	return end ? (size_t) (end - text) + 4 : 0;
}

static bool
is_token_char(char c)
{
	return isalnum((unsigned char) c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static size_t
token_length(const char *text, const char *end)
{
	size_t length = 0;

	while (text + length < end && is_token_char(text[length]))
		length++;
	return length;
}

bool
head_is(const struct slice *slice, const char *text)
{
	return slice->length == strlen(text) && memcmp(slice->text, text, slice->length) == 0;
}

static bool
is_named(const struct slice *slice, const char *name)
{
	return slice->length == strlen(name) && strncasecmp(slice->text, name, slice->length) == 0;
}

/* http://host/path says no more than /path: which host it is for stands in Host. */
static void
skip_origin(struct slice *target)
{
	static const char scheme[] = "http://";
	const char *end = target->text + target->length;
	const char *at = target->text + sizeof scheme - 1;

	if (target->length < sizeof scheme || strncasecmp(target->text, scheme, sizeof scheme - 1) != 0)
		return;
	while (at < end && *at != '/' && *at != '?')
		at++;
	if (at == end || *at != '/')
		return;
	target->length = (size_t) (end - at);
	target->text = at;
}

static bool
split_target(struct slice target, struct head *head)
{
	const char *mark;

	skip_origin(&target);
	if (target.length == 0 || target.text[0] != '/')
		return false;
	mark = memchr(target.text, '?', target.length);
	head->path = target;
	if (mark == NULL)
		return true;
	head->path.length = (size_t) (mark - target.text);
	head->query.text = mark + 1;
	head->query.length = target.length - head->path.length - 1;
	return true;
}

static bool
read_request_line(const char *at, const char *end, struct head *head)
{
	struct slice target;

	head->method = (struct slice){at, token_length(at, end)};
	at += head->method.length;
	if (head->method.length == 0 || at == end || *at++ != ' ')
		return false;
	target.text = at;
	while (at<end && * at> ' ' && *at < 0x7f)
		at++;
	target.length = (size_t) (at - target.text);
	if (end - at != 9 || memcmp(at, " HTTP/1.", 8) != 0 || (at[8] != '0' && at[8] != '1'))
		return false;
	head->minor = at[8] - '0';
	return split_target(target, head);
}

static bool
read_field(const char *at, const char *end, struct head *head)
{
	struct head_field *field = &head->fields[head->field_count];

	if (head->field_count == HEAD_FIELDS)
		return false;
	field->name = (struct slice){at, token_length(at, end)};
	at += field->name.length;
	if (field->name.length == 0 || at == end || *at++ != ':')
		return false;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (const char *p = at; p < end; p++)
	{
		if (((unsigned char) *p < ' ' && *p != '\t') || *p == 0x7f)
			return false;
	}
	field->value = (struct slice){at, (size_t) (end - at)};
	head->field_count++;
	return true;
}

bool
head_read(const char *text, size_t length, struct head *head)
{
	const char *end = text + length;
	bool good = true;

	head->query = (struct slice){NULL, 0};
	head->field_count = 0;
	for (const char *at = text; good && at < end;)
	{
		const char *line_end = memmem(at, (size_t) (end - at), "\r\n", 2);

		if (line_end == NULL)
			return false;
		if (line_end == at)
			return at > text && line_end + 2 == end;
		good = at == text ? read_request_line(at, line_end, head) : read_field(at, line_end, head);
		at = line_end + 2;
	}
	return false;
}

int
head_field(const struct head *head, const char *name, struct slice *value)
{
	int count = 0;

	for (int i = 0; i < head->field_count; i++)
	{
		if (is_named(&head->fields[i].name, name) && count++ == 0)
			*value = head->fields[i].value;
	}
	return count;
}

void
head_join(const struct head *head, const char *name, struct buf *out)
{
	const char *between = "";

	for (int i = 0; i < head->field_count; i++)
	{
		if (!is_named(&head->fields[i].name, name))
			continue;
		buf_add_text(out, between);
		buf_add(out, head->fields[i].value.text, head->fields[i].value.length);
		between = ", ";
	}
}

/* The next element of a comma-separated list, blanks off; false at the end. */
static bool
next_element(struct slice *list, struct slice *element)
{
	const char *at = list->text;
	const char *end = at + list->length;

	while (at < end && (*at == ' ' || *at == '\t' || *at == ','))
		at++;
	element->text = at;
	while (at < end && *at != ',')
		at++;
	list->text = at;
	list->length = (size_t) (end - at);
	while (at > element->text && (at[-1] == ' ' || at[-1] == '\t'))
		at--;
	element->length = (size_t) (at - element->text);
	return element->length > 0;
}

bool
head_has_token(const struct head *head, const char *name, const char *token)
{
	struct slice element;

	for (int i = 0; i < head->field_count; i++)
	{
		struct slice list = head->fields[i].value;

		if (!is_named(&head->fields[i].name, name))
			continue;
		while (next_element(&list, &element))
		{
			if (is_named(&element, token))
				return true;
		}
	}
	return false;
}

int64_t
head_length(const struct head *head)
{
	struct slice value;
	int64_t number = 0;
	int count = head_field(head, "content-length", &value);

	if (count == 0)
		return 0;
	if (count > 1 || value.length == 0 || value.length > 18)
		return -1;
	for (size_t i = 0; i < value.length; i++)
	{
		if (!isdigit((unsigned char) value.text[i]))
			return -1;
		number = number * 10 + (value.text[i] - '0');
	}
	return number;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char) tolower((unsigned char) c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
head_unescape(const struct slice *value, struct buf *out)
{
	const char *at = value->text;
	const char *end = at ? at + value->length : NULL;

	while (at < end)
	{
		char c = *at++;

		if (c == '\0')
			return false;
		if (c == '+')
			c = ' ';
		else if (c == '%')
		{
			int high = end - at >= 2 ? hex_value(at[0]) : -1;
			int low = high >= 0 ? hex_value(at[1]) : -1;

			if (low < 0 || (high == 0 && low == 0))
				return false;
			c = (char) (high << 4 | low);
			at += 2;
		}
		buf_add_char(out, c);
	}
	return true;
}

/* Take off what comes before the first such character, and that one; all, when there is none. */
static struct slice
take_before(struct slice *rest, char mark)
{
	const char *at = rest->length > 0 ? memchr(rest->text, mark, rest->length) : NULL;
	struct slice taken = {rest->text, at ? (size_t) (at - rest->text) : rest->length};

	*rest = at ? (struct slice){at + 1, rest->length - taken.length - 1} : (struct slice){NULL, 0};
	return taken;
}

bool
head_next_parameter(struct slice *query, struct slice *name, struct slice *value)
{
	while (query->length > 0)
	{
		struct slice pair = take_before(query, '&');

		if (pair.length == 0)
			continue;
		*name = take_before(&pair, '=');
		*value = pair;
		return true;
	}
	return false;
}

int
head_parameter(const struct slice *query, const char *wanted, struct buf *out)
{
	struct slice rest = *query;
	struct slice name;
	struct slice value;
	int count = 0;

	while (head_next_parameter(&rest, &name, &value))
	{
		if (value.text == NULL || !head_is(&name, wanted))
			continue;
		if (count++ > 0 || !head_unescape(&value, out))
			return -1;
	}
	return count;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * parts.c
 *	  What is too long for one notification comes in parts:
 *
 *	  part 1/3 of 0123456789abcdef:{"to":["12"],"event":{"type":"message", …
 *	  part 2/3 of 0123456789abcdef:…
 *	  part 3/3 of 0123456789abcdef:… }}
 *
 *	  number and count in decimal, the tag of this text in 16 hexadecimal digits, and then bytes as they are.
 *
 * Parts of a text come in order, with no other text's in between, but each once for every channel that is heard: each
 * is taken the first time, and the text is whole each time that its last part comes. So one text at a time is kept, of
 * COUNT_LIMIT notifications at most.
 *
 * Whatever comes out of this order means that notifications were lost: the unfinished text is dropped.
 *
 * Called from: chat/feed. Calls: base/buf.
 */
#include "codec/parts.h"

#include <stdbool.h>
#include <string.h>

#define COUNT_LIMIT 500 /* parts of a text, as extension/publish.c makes them */
#define TAG_DIGITS  16

/* What a part says of itself. */
struct part
{
	int number; /* from 1 on */
	int count;
	uint64_t tag;
	const char *data; /* in the payload */
	size_t length;    /* of data */
};

static bool
skip(const char **at, const char *end, const char *text)
{
	size_t length = strlen(text);

	if ((size_t) (end - *at) < length || memcmp(*at, text, length) != 0)
		return false;
	*at += length;
	return true;
}

/* A number from 1 to COUNT_LIMIT; 0: there is none. */
static int
read_number(const char **at, const char *end)
{
	int number = 0;

	while (*at < end && **at >= '0' && **at <= '9' && number <= COUNT_LIMIT)
		number = number * 10 + *(*at)++ - '0';
	return number <= COUNT_LIMIT ? number : 0;
}

static bool
read_tag(const char **at, const char *end, uint64_t *tag)
{
	*tag = 0;
	for (int i = 0; i < TAG_DIGITS; i++, ++*at)
	{
		if (*at == end)
			return false;
		if (**at >= '0' && **at <= '9')
			*tag = *tag << 4 | (uint64_t) (**at - '0');
		else if (**at >= 'a' && **at <= 'f')
			*tag = *tag << 4 | (uint64_t) (**at - 'a' + 10);
		else
			return false;
	}
	return true;
}

static bool
read_part(const char *payload, size_t length, struct part *part)
{
	const char *at = payload;
	const char *end = payload + length;

	if (!skip(&at, end, "part ") || (part->number = read_number(&at, end)) == 0 || !skip(&at, end, "/") ||
		(part->count = read_number(&at, end)) < part->number || !skip(&at, end, " of ") ||
		!read_tag(&at, end, &part->tag) || !skip(&at, end, ":"))
		return false;
	part->data = at;
	part->length = (size_t) (end - at);
	return true;
}

void
parts_clear(struct parts *parts)
{
	buf_free(&parts->text);
	parts->count = parts->taken = 0;
}

/* The first part of another text; whether the one before it was whole. */
static bool
begin(struct parts *parts, const struct part *part)
{
	bool whole = parts->taken == parts->count;

	buf_clear(&parts->text);
	parts->tag = part->tag;
	parts->count = part->count;
	parts->taken = 0;
	return whole;
}

enum parts_verdict
parts_take(struct parts *parts, const char *payload, size_t length)
{
	struct part part;
	bool good = true;

	if (!read_part(payload, length, &part))
	{
		if (parts->taken == parts->count)
			parts_clear(parts);
		return PARTS_NONE;
	}
	if (part.number == 1 && (part.tag != parts->tag || parts->count == 0))
		good = begin(parts, &part);
	if (part.tag != parts->tag || part.count != parts->count || part.number > parts->taken + 1)
	{
		parts_clear(parts);
		return PARTS_LOST;
	}
	if (part.number > parts->taken)
	{
		buf_add(&parts->text, part.data, part.length);
		parts->taken = part.number;
	}
	if (!good)
		return PARTS_LOST;
	return part.number == parts->count ? PARTS_WHOLE : PARTS_TAKEN;
}

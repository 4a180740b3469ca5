/* SPDX-License-Identifier: PostgreSQL */
/*
 * scan.c
 *	  Members of a text that our own gateway wrote, found by searching for their names: right only where the first
 *	  occurrence is the one wanted, which holds for the envelope's members, as they stand before all that people wrote.
 *
 * Called from: fleet, traffic.
 */
#include "bench/scan.h"

#include <stdlib.h>
#include <string.h>

/* → behind the mark; NULL: not there. */
static const char *
find(const char *text, size_t length, const char *mark)
{
	size_t size = strlen(mark);
	const char *found = memmem(text, length, mark, size);

	return found == NULL ? NULL : found + size;
}

bool
scan_begins(const char *text, size_t length, const char *word)
{
	size_t size = strlen(word);

	return length >= size && memcmp(text, word, size) == 0;
}

bool
scan_text(const char *text, size_t length, const char *mark, char *value, size_t size)
{
	const char *start = find(text, length, mark);
	const char *end = start == NULL ? NULL : memchr(start, '"', length - (size_t) (start - text));

	if (end == NULL || (size_t) (end - start) >= size)
		return false;
	memcpy(value, start, (size_t) (end - start));
	value[end - start] = '\0';
	return true;
}

/* Every text ends in a brace, so strtoll stops inside it. */
int64_t
scan_number(const char *text, size_t length, const char *mark)
{
	const char *start = find(text, length, mark);

	return start == NULL ? 0 : strtoll(start, NULL, 10);
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * Fuzzes what notifications in parts meet: the input's lines, as they come.
 *
 * Invariants: no more is kept than has come; a text is whole only with all of its parts; nothing is kept of what was lost, unless
 * another text has begun; what is no part changes no unfinished text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/parts.h"

static struct parts parts;

static void
check(const char *line, size_t length, size_t *come)
{
	char *payload = malloc(length ? length : 1); /* a copy, so that the sanitizer sees its end */
	int taken = parts.taken;
	int count = parts.count;
	enum parts_verdict verdict;

	memcpy(payload, line, length);
	verdict = parts_take(&parts, payload, length);
	free(payload);
	*come += length;
	if (parts.text.length > *come || parts.taken > parts.count || parts.taken < 0)
		abort();
	if (verdict == PARTS_WHOLE && parts.taken != parts.count)
		abort();
	if (verdict == PARTS_LOST && parts.taken > 1)
		abort();
	if (verdict == PARTS_NONE && taken < count && (parts.taken != taken || parts.count != count))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *) data;
	const char *end = at + size;
	size_t come = 0;

	while (at < end)
	{
		const char *newline = memchr(at, '\n', (size_t) (end - at));
		const char *stop = newline ? newline : end;

		check(at, (size_t) (stop - at), &come);
		at = stop + 1;
	}
	parts_clear(&parts);
	return 0;
}

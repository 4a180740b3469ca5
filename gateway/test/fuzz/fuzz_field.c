/* SPDX-License-Identifier: PostgreSQL */
/*
 * Fuzzes Range, lists of entity tags, and the name in a Content-Disposition.
 *
 * Invariants: a part lies in the file and is not empty; a name leads to one line of printable ASCII with balanced
 * quotes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/field.h"

static void
check_range(const struct slice *text, int64_t size)
{
	int64_t first;
	int64_t count;

	if (field_range(text, size, &first, &count) == RANGE_PART &&
		(first < 0 || count < 1 || first > size - count))
		abort();
}

static void
check_name(const char *name)
{
	struct buf out = {0};
	int quotes = 0;

	field_disposition(&out, true, name);
	for (size_t i = 0; i < out.length; i++)
	{
		if (out.data[i] < ' ' || out.data[i] > '~')
			abort();
		quotes += out.data[i] == '"';
	}
	if (quotes != 2)
		abort();
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = {(const char *) data, size};
	char *name = mem_alloc(size + 1);

	memcpy(name, data, size);
	check_range(&text, 0);
	check_range(&text, 100);
	check_range(&text, INT64_C(1) << 50);
	field_has_tag(&text, "\"a\"", size % 2 == 0);
	check_name(name);
	mem_free(name);
	return 0;
}

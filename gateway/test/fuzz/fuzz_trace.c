/* SPDX-License-Identifier: PostgreSQL */
/*
 * Fuzzes traceparent, as it comes and as a good one with some bytes changed.
 *
 * Invariants: what is read has ids of their length, in lower-case hex, that are not all zeros; written as version 00 and
 * read again it is the same. What is not read leaves nothing.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/trace.h"

static const char good[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";

/* So many of the digits, and not all of them zeros. */
static void
check_id(const char *id, size_t count)
{
	if (strlen(id) != count || strspn(id, "0123456789abcdef") != count || strspn(id, "0") == count)
		abort();
}

static void
check(const char *text, size_t size)
{
	struct trace first;
	struct trace second;
	char again[64];

	if (trace_read(text, size, &first))
	{
		check_id(first.id, 32);
		check_id(first.parent, 16);
		snprintf(again, sizeof again, "00-%s-%s-%02x", first.id, first.parent, first.sampled);
		if (!trace_read(again, strlen(again), &second) || memcmp(&first, &second, sizeof first) != 0)
			abort();
	}
	else if (first.id[0] != '\0' || first.parent[0] != '\0' || first.sampled)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t length = size > 0 ? data[0] % sizeof good : 0;
	char *text =
		mem_alloc(size ? size : 1); /* of their length, so that the sanitizer sees what is read beyond */
	char *changed = mem_alloc(length ? length : 1);

	memcpy(text, data, size);
	check(text, size);
	memcpy(changed, good, length);
	for (size_t i = 1; length > 0 && i + 1 < size; i += 2)
		changed[data[i] % length] = (char) data[i + 1];
	check(changed, length);
	mem_free(text);
	mem_free(changed);
	return 0;
}

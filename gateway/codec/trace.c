/* SPDX-License-Identifier: PostgreSQL */
/*
 * trace.c
 *	  W3C Trace Context: what a traceparent says.
 *
 *	  00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *	  version  trace's id                 parent's id      flags
 *
 * Ids of nothing but zeros are none. A version above 00 may say more behind the flags; what we know of it stands where it
 * always has. ff is no version.
 *
 * Called from: chat/, net/. Calls: libc.
 */
#include "codec/trace.h"

#include <stdio.h>
#include <string.h>

#define LENGTH 55 /* bytes of version 00 */

/* So many lower-case hex digits, copied to `out` with a NUL. */
static bool
read_hex(const char *text, size_t count, char *out)
{
	for (size_t i = 0; i < count; i++)
	{
		if ((text[i] < '0' || text[i] > '9') && (text[i] < 'a' || text[i] > 'f'))
			return false;
	}
	memcpy(out, text, count);
	out[count] = '\0';
	return true;
}

static bool
is_zero(const char *digits)
{
	return digits[strspn(digits, "0")] == '\0';
}

bool
trace_read(const char *text, size_t length, struct trace *trace)
{
	char version[3];
	char flags[3];
	bool good = length >= LENGTH && text[2] == '-' && text[35] == '-' && text[52] == '-' &&
				read_hex(text, 2, version) && read_hex(text + 3, 32, trace->id) &&
				read_hex(text + 36, 16, trace->parent) && read_hex(text + 53, 2, flags);

	good = good && strcmp(version, "ff") != 0 && !is_zero(trace->id) && !is_zero(trace->parent);
	if (good && length > LENGTH)
		good = strcmp(version, "00") != 0 && text[LENGTH] == '-';
	if (!good)
	{
		*trace = (struct trace){0};
		return false;
	}
	trace->sampled = strchr("13579bdf", flags[1]) != NULL;
	return true;
}

void
trace_span_id(uint64_t number, char *id)
{
	snprintf(id, SPAN_ID, "%016llx", (unsigned long long) (number ? number : 1));
}

/* SPDX-License-Identifier: PostgreSQL */
/* TAP for unit tests: ok() and is() count, done() prints the plan. */
#ifndef TEST_TAP_H
#define TEST_TAP_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count;    /* tests so far */
static int tap_failures; /* of them */

static inline bool
ok(bool good, const char *name)
{
	tap_count++;
	tap_failures += !good;
	printf("%s %d - %s\n", good ? "ok" : "not ok", tap_count, name);
	return good;
}

/* Compare bytes with text. */
static inline void
is(const char *got, size_t length, const char *wanted, const char *name)
{
	if (!ok(length == strlen(wanted) && (length == 0 || memcmp(got, wanted, length) == 0), name))
		printf("# got    %.*s\n# wanted %s\n", (int) length, length ? got : "", wanted);
}

static inline int
done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures != 0;
}

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of base/once: by one process, and by several that race for the same numbers. */
#include "base/once.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/tap.h"

#define NOW     INT64_C(1900000000000)
#define LIFE    10000
#define WORKERS 4
#define NUMBERS 20000

/* How many numbers this worker was first to use. */
static int
use_all(void)
{
	int used = 0;

	for (int i = 0; i < NUMBERS; i++)
		used += once_use(once_number(NOW + LIFE + i / 10, (uint64_t) i), LIFE);
	return used;
}

static int
race(void)
{
	int *used = mmap(NULL, WORKERS * sizeof *used, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int sum = 0;

	for (int i = 0; i < WORKERS; i++)
	{
		if (fork() != 0)
			continue;
		used[i] = use_all();
		_exit(0);
	}
	for (int i = 0; i < WORKERS; i++)
		wait(NULL);
	for (int i = 0; i < WORKERS; i++)
		sum += used[i];
	return sum;
}

/* How many of so many numbers of one millisecond can be used. */
static int
crowd(int64_t expires, int count)
{
	int used = 0;

	for (int i = 0; i < count; i++)
		used += once_use(once_number(expires, (uint64_t) i), LIFE);
	return used;
}

int
main(void)
{
	int64_t number = once_number(NOW + LIFE, UINT64_MAX);

	ok(once_open(NOW), "open");
	ok(once_use(number, LIFE), "once");
	ok(!once_use(number, LIFE), "not twice");
	ok(once_use(once_number(NOW + LIFE, 1), LIFE), "another of the same time");
	ok(!once_use(once_number(NOW + LIFE - 1, 1), LIFE), "made before the table");
	ok(once_open(NOW), "a new table");
	ok(race() == NUMBERS, "each of the numbers is used by one worker");
	ok(use_all() == 0, "and by nobody afterwards");
	ok(once_open(NOW), "a new table");
	ok(crowd(NOW + LIFE, 100000) <= 65536, "no more than there are places");
	ok(crowd(NOW + LIFE, 100000) == 0, "none of them again, refused or not");
	ok(crowd(NOW + 3 * LIFE, 10000) == 10000, "their places are free when they have expired");
	return done();
}

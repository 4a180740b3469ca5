/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of the load generator's books: what they say of losses and of times must be right, or no figure is. */
#include <math.h>
#include <stdlib.h>

#include "bench/histogram.h"
#include "bench/ledger.h"
#include "bench/scan.h"
#include "test/unit/tap.h"

static struct ledger_sums
enter_all(const int64_t *numbers, int count)
{
	struct ledger ledger = {0};
	struct ledger_sums sums = {0};

	for (int i = 0; i < count; i++)
		ledger_enter(&ledger, numbers[i], &sums);
	return sums;
}

#define ENTER(...)                                                                                           \
	enter_all((const int64_t[]){__VA_ARGS__},                                                                \
			  (int) (sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

static bool
equal(struct ledger_sums sums, int missing, int repeated, int late)
{
	return sums.missing == missing && sums.repeated == repeated && sums.late == late;
}

static void
ledger_counts(void)
{
	ok(equal(ENTER(0, 1, 2, 3), 0, 0, 0), "a whole stream");
	ok(equal(ENTER(0, 3), 2, 0, 0), "a gap is missing");
	ok(equal(ENTER(2), 2, 0, 0), "so is a beginning");
	ok(equal(ENTER(0, 1, 1, 0), 0, 2, 0), "what comes again is repeated");
	ok(equal(ENTER(0, 2, 1), 0, 0, 1), "what fills a gap is late, and missing no more");
	ok(equal(ENTER(0, 2, 1, 1), 0, 1, 1), "and repeated when it comes again");
	ok(equal(ENTER(0, 64, 1), 62, 0, 1), "a gap of 63 can be filled");
	ok(equal(ENTER(0, 1000, 1), 999, 1, 0), "what is too old counts as repeated");
}

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *) a;
	int64_t y = *(const int64_t *) b;

	return (x > y) - (x < y);
}

/* Against a sorted array: never below it, above it by one bucket at most. */
static void
percentiles_are_near(void)
{
	static struct histogram histogram;
	static int64_t values[20000];
	const int count = sizeof values / sizeof values[0];
	bool good = true;

	for (int i = 0; i < count; i++)
	{
		values[i] = (int64_t) exp((double) random() / RAND_MAX * 25);
		histogram_add(&histogram, values[i]);
	}
	qsort(values, (size_t) count, sizeof *values, compare);
	for (int percent = 1; percent <= 100; percent++)
	{
		double exact = (double) values[percent * count / 100 - 1] / 1e6;
		double told = histogram_percentile(&histogram, percent);

		good = good && told >= exact && told <= exact * (1 + 2.0 / HISTOGRAM_FINE) + 1e-6;
	}
	ok(good, "percentiles are a bucket above the truth at most");
	histogram_clear(&histogram);
	histogram_add(&histogram, -5);
	ok(histogram.total == 1 && histogram_percentile(&histogram, 100) == 0, "less than nothing is nothing");
}

static void
scan_finds(void)
{
	static const char text[] =
		"\"event\",\"params\":{\"type\":\"message\",\"chat_id\":\"7\",\"id\":\"42\",\"prev_id\":\"41\"}}";
	char value[8];

	ok(scan_number(text, sizeof text - 1, "\"id\":\"") == 42, "id is not chat_id");
	ok(scan_number(text, sizeof text - 1, "\"prev_id\":\"") == 41, "nor prev_id");
	ok(scan_number(text, sizeof text - 1, "\"none\":\"") == 0, "what is not there is 0");
	ok(scan_text(text, sizeof text - 1, "\"chat_id\":\"", value, sizeof value) && strcmp(value, "7") == 0,
	   "text");
	ok(!scan_text(text, sizeof text - 1, "\"type\":\"", value, 4), "text that is too long");
	ok(scan_begins(text, sizeof text - 1, "\"event\"") && !scan_begins(text, 3, "\"event\""), "beginnings");
}

int
main(void)
{
	ledger_counts();
	percentiles_are_near();
	scan_finds();
	return done();
}

/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/parts: texts put together, in order and out of it; what is no part. */
#include "codec/parts.h"

#include "test/unit/tap.h"

#define TAG "0123456789abcdef"

static struct parts parts;

static enum parts_verdict
take(const char *payload)
{
	return parts_take(&parts, payload, strlen(payload));
}

static void
no_part(const char *payload)
{
	ok(take(payload) == PARTS_NONE, payload);
}

static void
whole(const char *payload, const char *wanted)
{
	ok(take(payload) == PARTS_WHOLE, payload);
	is(parts.text.data, parts.text.length, wanted, "the text");
}

int
main(void)
{
	ok(take("part 1/3 of " TAG ":{\"a\"") == PARTS_TAKEN && take("part 2/3 of " TAG "::") == PARTS_TAKEN,
	   "two of three");
	whole("part 3/3 of " TAG ":1}", "{\"a\":1}");
	whole("part 3/3 of " TAG ":1}", "{\"a\":1}");
	ok(take("part 1/3 of " TAG ":{\"a\"") == PARTS_TAKEN && take("part 2/3 of " TAG "::") == PARTS_TAKEN,
	   "once more, all of it");
	whole("part 3/3 of " TAG ":1}", "{\"a\":1}");

	ok(take("part 1/2 of fedcba9876543210:x") == PARTS_TAKEN &&
		   take("part 1/2 of fedcba9876543210:x") == PARTS_TAKEN,
	   "on two channels");
	whole("part 2/2 of fedcba9876543210:y", "xy");
	whole("part 2/2 of fedcba9876543210:y", "xy");
	no_part("{\"to\":[]}");
	ok(parts.text.data == NULL, "what was whole is forgotten behind it");

	whole("part 1/1 of 0000000000000000:", "");
	ok(take("part 2/2 of 0000000000000001:y") == PARTS_LOST, "the second without the first");
	ok(take("part 1/3 of " TAG ":a") == PARTS_TAKEN && take("part 3/3 of " TAG ":c") == PARTS_LOST,
	   "one is missing");
	ok(take("part 3/3 of " TAG ":c") == PARTS_LOST && parts.text.data == NULL, "and nothing is kept");
	ok(take("part 1/3 of " TAG ":a") == PARTS_TAKEN && take("part 2/4 of " TAG ":b") == PARTS_LOST,
	   "another count");
	ok(take("part 1/2 of " TAG ":a") == PARTS_TAKEN && take("part 1/2 of fedcba9876543210:x") == PARTS_LOST,
	   "another text has come between");
	whole("part 2/2 of fedcba9876543210:y", "xy");
	ok(take("part 1/2 of " TAG ":a") == PARTS_TAKEN, "begun");
	parts_clear(&parts);
	ok(take("part 2/2 of " TAG ":b") == PARTS_LOST, "and given up");

	no_part("");
	no_part("part");
	no_part("part 1/2 of " TAG);
	no_part("part 0/2 of " TAG ":");
	no_part("part 3/2 of " TAG ":");
	no_part("part -1/2 of " TAG ":");
	no_part("part 1/501 of " TAG ":");
	no_part("part 1/99999999999999999999 of " TAG ":");
	no_part("part 99999999999999999999/2 of " TAG ":");
	no_part("part 1/2 of 0123456789ABCDEF:");
	no_part("part 1/2 of 0123456789abcde:");
	no_part("part 1/2 of 0123456789abcdef0:");
	no_part("part1/2 of " TAG ":");
	no_part("Part 1/2 of " TAG ":");
	parts_clear(&parts);
	return done();
}

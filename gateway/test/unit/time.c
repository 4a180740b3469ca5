/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/time: timestamps and ids as numbers. */
#include "codec/time.h"

#include "test/unit/tap.h"

static void
reads(const char *text, int64_t wanted)
{
	int64_t got = time_milliseconds(text, strlen(text));

	if (!ok(got == wanted, text[0] ? text : "nothing"))
		printf("# got %lld, wanted %lld\n", (long long) got, (long long) wanted);
}

int
main(void)
{
	reads("1970-01-01T00:00:00Z", 0);
	reads("1970-01-01T00:00:00.001Z", 1);
	reads("1970-01-02T00:00:00.1Z", 86400100);
	reads("1972-02-29T23:59:59.999Z", 68255999999);
	reads("2000-03-01T00:00:00Z", 951868800000);
	reads("2025-12-31T12:30:45.678Z", 1767184245678);
	reads("2100-03-01T00:00:00.123456Z", 4107542400123);
	reads("2025-12-31T12:30:45.678+00", 0);
	reads("2025-12-31T12:30:45+01:00", 0);
	reads("2025-02-29T12:30:45Z", 0);
	reads("2025-12-31", 0);
	reads("", 0);
	ok(time_milliseconds(NULL, 0) == 0, "no text at all");
	ok(time_of_id(0) == time_milliseconds("2025-01-01T00:00:00Z", 20), "the first id");
	ok(time_of_id((INT64_C(86400000) << 22) + 4194303) == time_milliseconds("2025-01-02T00:00:00Z", 20),
	   "an id's node and number are not its time");
	ok(time_of_id(INT64_MAX) == INT64_C(1735689600000) + (INT64_C(1) << 41) - 1, "the last id");
	return done();
}

/* SPDX-License-Identifier: PostgreSQL */
/* Ranges, entity tags, names of files. */
#include "codec/field.h"

#include "tap.h"

static void
range(const char *text, long size, enum range_verdict verdict, long first, long count)
{
	struct slice value = {text, strlen(text)};
	int64_t got_first = 0;
	int64_t got_count = 0;

	ok(field_range(&value, size, &got_first, &got_count) == verdict &&
		   (verdict != RANGE_PART || (got_first == first && got_count == count)),
	   text);
}

static void
tag(const char *list, bool weak_will_do, bool expected)
{
	struct slice value = {list, strlen(list)};

	ok(field_has_tag(&value, "\"abc\"", weak_will_do) == expected, list);
}

static void
disposition(bool is_inline, const char *name, const char *expected)
{
	struct buf out = {0};

	field_disposition(&out, is_inline, name);
	is(out.data, out.length, expected, name);
	buf_free(&out);
}

int
main(void)
{
	range("bytes=0-0", 10, RANGE_PART, 0, 1);
	range("bytes=0-", 10, RANGE_PART, 0, 10);
	range("BYTES=3-5", 10, RANGE_PART, 3, 3);
	range("bytes=9-", 10, RANGE_PART, 9, 1);
	range("bytes=5-99", 10, RANGE_PART, 5, 5);
	range("bytes=5-99999999999999999999999", 10, RANGE_PART, 5, 5);
	range("bytes=-3", 10, RANGE_PART, 7, 3);
	range("bytes=-30", 10, RANGE_PART, 0, 10);
	range("bytes=10-", 10, RANGE_BEYOND, 0, 0);
	range("bytes=99999999999999999999999-", 10, RANGE_BEYOND, 0, 0);
	range("bytes=-0", 10, RANGE_BEYOND, 0, 0);
	range("bytes=0-", 0, RANGE_BEYOND, 0, 0);
	range("bytes=-1", 0, RANGE_BEYOND, 0, 0);
	range("bytes=5-3", 10, RANGE_WHOLE, 0, 0);
	range("bytes=-", 10, RANGE_WHOLE, 0, 0);
	range("bytes=", 10, RANGE_WHOLE, 0, 0);
	range("bytes=1", 10, RANGE_WHOLE, 0, 0);
	range("bytes=0-1,3-4", 10, RANGE_WHOLE, 0, 0);
	range("bytes= 0-1", 10, RANGE_WHOLE, 0, 0);
	range("bytes=0-1x", 10, RANGE_WHOLE, 0, 0);
	range("bytes=--1", 10, RANGE_WHOLE, 0, 0);
	range("lines=0-1", 10, RANGE_WHOLE, 0, 0);
	range("", 10, RANGE_WHOLE, 0, 0);
	tag("\"abc\"", false, true);
	tag("*", false, true);
	tag("\"x\", \"abc\"", false, true);
	tag("W/\"abc\"", false, false);
	tag("W/\"abc\"", true, true);
	tag("W/\"x\",\"abc\"", true, true);
	tag("\"ab\"", true, false);
	tag("abc", true, false);
	tag("\"abc", true, false);
	tag("\"a,\"abc\"", true, false);
	tag("", true, false);
	disposition(false, "a b.txt", "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt");
	disposition(true, "\"x\\%\r\n", "inline; filename=\"_x____\"; filename*=UTF-8''%22x%5C%25%0D%0A");
	disposition(false, "\xc3\xa4\xe2\x82\xac",
				"attachment; filename=\"__\"; filename*=UTF-8''%C3%A4%E2%82%AC");
	return done();
}

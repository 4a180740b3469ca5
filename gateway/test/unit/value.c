/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/value, with array, time and base64 beneath it: JSON to PostgreSQL and back, type by type. */
#include "codec/value.h"

#include "codec/base64.h"
#include "test/unit/tap.h"

/* What a JSON value becomes as a parameter; "!" when it is refused, "NULL" for SQL NULL. */
static void
encode(const char *type, const char *text, const char *wanted)
{
	struct arena *arena = arena_create();
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
	struct value_param param;
	const char *hint = json ? value_encode(value_type(type), json, arena, &param) : "not JSON";
	char name[300];

	snprintf(name, sizeof name, "%s from %.200s", type, text);
	if (hint != NULL)
		is("!", 1, wanted, name);
	else if (param.text == NULL)
		is("NULL", 4, wanted, name);
	else
		is(param.text, (size_t) param.length, wanted, name);
	json_decref(json);
	arena_destroy(arena);
}

static void
decode(const char *type, const char *text, const char *wanted)
{
	struct buf out = {0};
	char name[300];

	snprintf(name, sizeof name, "%s to JSON: %.200s", type, text);
	value_decode(value_type(type), text, strlen(text), &out);
	is(out.data, out.length, wanted, name);
	buf_free(&out);
}

static void
integers(void)
{
	encode("bigint", "\"9223372036854775807\"", "9223372036854775807");
	encode("bigint", "\"-9223372036854775808\"", "-9223372036854775808");
	encode("bigint", "9223372036854775807", "9223372036854775807");
	encode("bigint", "\"9223372036854775808\"", "!");
	encode("bigint", "\"007\"", "!");
	encode("bigint", "\"+7\"", "!");
	encode("bigint", "\" 7\"", "!");
	encode("bigint", "\"\"", "!");
	encode("bigint", "\"-\"", "!");
	encode("bigint", "\"0x10\"", "!");
	encode("bigint", "\"1 \"", "!");
	encode("bigint", "7.0", "!");
	encode("bigint", "true", "!");
	encode("bigint", "null", "NULL");
	encode("integer", "2147483647", "2147483647");
	encode("integer", "2147483648", "!");
	encode("integer", "\"7\"", "!");
	encode("smallint", "-32768", "-32768");
	encode("smallint", "32768", "!");
	decode("bigint", "12", "\"12\"");
	decode("integer", "-12", "-12");
}

static void
texts(void)
{
	encode("text", "\"a'b\\\\c\"", "a'b\\c");
	encode("text", "\"\"", "");
	encode("text", "1", "!");
	encode("character varying", "\"x\"", "x");
	encode("app.mood", "\"x\"", "x");
	encode("boolean", "true", "t");
	encode("boolean", "false", "f");
	encode("boolean", "0", "!");
	encode("jsonb", "{\"a\":[1,2.5,\"x\"]}", "{\"a\":[1,2.5,\"x\"]}");
	encode("jsonb", "null", "NULL");
	encode("bytea", "\"aGk=\"", "hi");
	encode("bytea", "\"\"", "");
	encode("bytea", "\"aGk\"", "!");
	encode("bytea", "\"aGl=\"", "!");
	encode("bytea", "\"a===\"", "!");
	encode("bytea", "\"aG k\"", "!");
	encode("inet", "\"10.0.0.1\"", "10.0.0.1");
	encode("inet", "\"10.0.0.0/8\"", "10.0.0.0/8");
	encode("inet", "\"::1/129\"", "!");
	encode("inet", "\"10.0.0\"", "!");
	encode("inet", "\"10.0.0.1/\"", "!");
	encode("uuid", "\"0b4ff5e0-0000-4000-8000-00805f9b34fb\"", "0b4ff5e0-0000-4000-8000-00805f9b34fb");
	encode("uuid", "\"0b4ff5e0\"", "!");
	decode("text", "a\"b\n", "\"a\\\"b\\n\"");
	decode("boolean", "t", "true");
	decode("boolean", "f", "false");
	decode("jsonb", "{\"a\": 1}", "{\"a\": 1}");
	decode("bytea", "\\x6869", "\"aGk=\"");
	decode("bytea", "\\x", "\"\"");
	encode("inet", "\"::1/064\"", "!");
	encode("inet", "\"10.0.0.0/08\"", "!");
	encode("inet", "\"10.0.0.0/0\"", "10.0.0.0/0");
	encode("inet", "\"::1/64\"", "::1/64");
	decode("inet", "10.0.0.1", "\"10.0.0.1\"");
}

static void
numbers(void)
{
	encode("numeric", "12.5", "12.5");
	encode("numeric", "\"123456789012345678901234567890.5\"", "123456789012345678901234567890.5");
	encode("numeric", "\"1e5\"", "1e5");
	encode("numeric", "\"1e9999\"", "!");
	encode("numeric", "\".5\"", "!");
	encode("numeric", "\"5.\"", "!");
	encode("numeric", "\"NaN\"", "!");
	encode("double precision", "1e308", "1e+308");
	encode("double precision", "\"1e309\"", "!");
	encode("double precision", "\"1e-400\"", "!");
	encode("real", "1e39", "!");
	encode("real", "1e-60", "!");
	encode("real", "0", "0");
	decode("numeric", "123.450", "123.450");
	decode("numeric", "NaN", "\"NaN\"");
	decode("double precision", "-Infinity", "\"-Infinity\"");
	decode("double precision", "1e+20", "1e+20");
}

static void
times(void)
{
	encode("timestamp with time zone", "\"2025-02-28T23:59:59Z\"", "2025-02-28T23:59:59Z");
	encode("timestamp with time zone", "\"2024-02-29T00:00:00.123456+05:30\"",
		   "2024-02-29T00:00:00.123456+05:30");
	encode("timestamp with time zone", "\"2025-02-29T00:00:00Z\"", "!");
	encode("timestamp with time zone", "\"2025-01-01T24:00:00Z\"", "!");
	encode("timestamp with time zone", "\"2025-01-01T00:00:00\"", "!");
	encode("timestamp with time zone", "\"2025-01-01 00:00:00Z\"", "!");
	encode("timestamp with time zone", "\"2025-01-01T00:00:00.Z\"", "!");
	encode("timestamp with time zone", "\"0001-01-01T00:00:00Z\"", "!");
	encode("timestamp with time zone", "\"infinity\"", "!");
	encode("timestamp with time zone", "\"2025-01-01T00:00:00+15:00\"", "!");
	encode("timestamp with time zone", "1735689600", "!");
	encode("date", "\"2025-12-31\"", "2025-12-31");
	encode("date", "\"2025-13-01\"", "!");
	encode("interval", "\"PT30S\"", "PT30S");
	encode("interval", "\"P1Y2M3W4DT5H6M7.5S\"", "P1Y2M3W4DT5H6M7.5S");
	encode("interval", "\"P1W\"", "P1W");
	encode("interval", "\"P\"", "!");
	encode("interval", "\"PT\"", "!");
	encode("interval", "\"P1D2Y\"", "!");
	encode("interval", "\"P1.5D\"", "!");
	encode("interval", "\"PT1.S\"", "!");
	encode("interval", "\"P99999Y\"", "!");
	encode("interval", "\"P1Y999999999W\"", "!");
	encode("interval", "\"P1Y99999M\"", "!");
	encode("interval", "\"P9999Y9999M9999W999999999DT999999999H999999999M999999999S\"",
		   "P9999Y9999M9999W999999999DT999999999H999999999M999999999S");
	encode("interval", "\"30 seconds\"", "!");
	encode("interval", "\"-P1D\"", "!");
	decode("timestamp with time zone", "2025-01-02 03:04:05.12+00", "\"2025-01-02T03:04:05.12Z\"");
	decode("timestamp with time zone", "2025-01-02 03:04:05+00", "\"2025-01-02T03:04:05Z\"");
	decode("timestamp with time zone", "infinity", "\"infinity\"");
	decode("timestamp with time zone", "0044-03-15 00:00:00+00 BC", "\"0044-03-15 00:00:00+00 BC\"");
	decode("interval", "PT1H", "\"PT1H\"");
}

static void
arrays(void)
{
	encode("bigint[]", "[\"1\",2,null]", "{\"1\",\"2\",NULL}");
	encode("bigint[]", "[]", "{}");
	encode("bigint[]", "[\"x\"]", "!");
	encode("bigint[]", "\"1\"", "!");
	encode("bigint[]", "[[1]]", "!");
	encode("text[]", "[\"\",\"NULL\",\"a\\\"b\",\"c\\\\d\",\"{e,f}\"]",
		   "{\"\",\"NULL\",\"a\\\"b\",\"c\\\\d\",\"{e,f}\"}");
	encode("bytea[]", "[\"aGk=\"]", "{\"\\\\x6869\"}");
	encode("jsonb[]", "[{\"a\":1},null]", "{\"{\\\"a\\\":1}\",NULL}");
	decode("bigint[]", "{1,2,NULL}", "[\"1\",\"2\",null]");
	decode("bigint[]", "{}", "[]");
	decode("bigint[]", "{{1,2},{3,4}}", "[[\"1\",\"2\"],[\"3\",\"4\"]]");
	decode("integer[]", "[0:1]={1,2}", "[1,2]");
	decode("text[]", "{\"\",\"NULL\",NULL,\"a\\\"b\",\"c\\\\d\",\"{e,f}\",g}",
		   "[\"\",\"NULL\",null,\"a\\\"b\",\"c\\\\d\",\"{e,f}\",\"g\"]");
	decode("jsonb[]", "{\"{\\\"a\\\": 1}\"}", "[{\"a\": 1}]");
	decode("bigint[]", "{1,2", "\"{1,2\"");
	decode("bigint[]", "{1,,2}", "\"{1,,2}\"");
	decode("bigint[]", "nonsense", "\"nonsense\"");
	decode("text[]", "{{{{{{{1}}}}}}}", "\"{{{{{{{1}}}}}}}\"");
}

static void
base64(void)
{
	char bytes[256];
	struct buf text = {0};
	struct buf back = {0};

	for (int i = 0; i < 256; i++)
		bytes[i] = (char) i;
	for (size_t length = 0; length <= 256; length += 17)
	{
		buf_clear(&text);
		buf_clear(&back);
		base64_write(&text, bytes, length);
		ok(base64_read(&back, text.data, text.length) && back.length == length &&
			   (length == 0 || memcmp(back.data, bytes, length) == 0),
		   "base64 there and back");
	}
	buf_free(&text);
	buf_free(&back);
}

int
main(void)
{
	integers();
	texts();
	numbers();
	times();
	arrays();
	base64();
	return done();
}

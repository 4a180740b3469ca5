/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/json: what is read, what is refused and why, what is written, members of raw text. */
#include "codec/json.h"

#include <stdlib.h>

#include "test/unit/tap.h"

/* Read and write again. */
static void
round_trip(const char *text, const char *wanted)
{
	const char *why = "";
	json_t *value = json_read(text, strlen(text), &why);
	struct buf out = {0};

	if (value != NULL)
		json_write(&out, value);
	else
		buf_add_text(&out, why);
	is(out.data, out.length, wanted, text);
	json_decref(value);
	buf_free(&out);
}

static void
member(const char *text, const char *name, const char *wanted)
{
	struct slice value = {"(none)", 6};

	json_member(text, strlen(text), name, &value);
	is(value.text, value.length, wanted, text);
}

static void
nested(int depth, bool good)
{
	char text[200];
	const char *why;
	json_t *value;

	memset(text, '[', (size_t) depth);
	memset(text + depth, ']', (size_t) depth);
	value = json_read(text, 2 * (size_t) depth, &why);
	ok((value != NULL) == good, good ? "as deep as allowed" : "deeper than allowed");
	json_decref(value);
}

/* A number so many arrays deep, as a member; then with the last bracket of another kind. */
static void
scanned(int depth, bool good)
{
	size_t length = (size_t) (2 * depth + 7);
	char *text = malloc(length);
	struct slice value;

	memcpy(text, "{\"a\":", 5);
	memset(text + 5, '[', (size_t) depth);
	text[5 + depth] = '0';
	memset(text + 6 + depth, ']', (size_t) depth);
	text[length - 1] = '}';
	ok(json_member(text, length, "a", &value) == good,
	   good ? "scanned however deep" : "deeper than any frame");
	text[length - 2] = '}';
	ok(!json_member(text, length, "a", &value), "a bracket of the wrong kind");
	free(text);
}

/* The elements with a bar behind each, then "ok" when the text was a whole array. */
static void
elements(const char *text, const char *wanted)
{
	struct slice element;
	char all[200] = "";
	size_t at = 0;

	while (json_element(text, strlen(text), &at, &element))
		snprintf(all + strlen(all), sizeof all - strlen(all), "%.*s|", (int) element.length, element.text);
	if (at == strlen(text) + 1)
		strcat(all, "ok");
	is(all, strlen(all), wanted, text);
}

/* Each member as name=value and a bar, then "ok" when the text was a whole object. */
static void
pairs(const char *text, const char *wanted)
{
	struct slice name;
	struct slice value;
	char all[200] = "";
	size_t at = 0;

	while (json_pair(text, strlen(text), &at, &name, &value))
		snprintf(all + strlen(all), sizeof all - strlen(all), "%.*s=%.*s|", (int) name.length, name.text,
				 (int) value.length, value.text);
	if (at == strlen(text) + 1)
		strcat(all, "ok");
	is(all, strlen(all), wanted, text);
}

/* The text from the fault on. */
static void
faulty(const char *text, const char *wanted)
{
	const char *from = text + json_fault(text, strlen(text));

	ok(json_is_whole(text, strlen(text)), "it is JSON");
	is(from, strlen(from), wanted, text);
}

int
main(void)
{
	const char *why;

	round_trip("{\"a\":[1,-2,true,false,null,\"x\"]}", "{\"a\":[1,-2,true,false,null,\"x\"]}");
	round_trip(" 9223372036854775807 ", "9223372036854775807");
	round_trip("-9223372036854775808", "-9223372036854775808");
	round_trip("9223372036854775808", "a number is beyond 64 bits; send it as a string");
	round_trip("1e999", "a number is beyond 64 bits; send it as a string");
	round_trip("0.1", "0.1");
	round_trip("1e2", "100.0");
	round_trip("1.5e300", "1.5e+300");
	round_trip("0.30000000000000004", "0.30000000000000004");
	round_trip("\"\\u00e9\\ud83d\\ude00\\u0001\\n\\\"\\\\\"", "\"\u00e9\U0001F600\\u0001\\n\\\"\\\\\"");
	round_trip("\"\\b\\f\\r\\t\\u000b\"", "\"\\b\\f\\r\\t\\u000b\"");
	round_trip("{\"a\":1,\"a\":2}", "an object has the same member twice");
	round_trip("\"\\u0000\"", "\\u0000 cannot be stored");
	round_trip("{\"\\u0000\":1}", "\\u0000 cannot be stored");
	round_trip("\"\\ud800\"", "half of a surrogate pair is no character");
	round_trip("[\"\\udc00x\"]", "half of a surrogate pair is no character");
	round_trip("[\"\\ud800\"", "the text ends too early");
	round_trip("[\"\\u0000\",]", "malformed JSON");
	round_trip("{\"a\":1,\"a\":\"\xff\"}", "the text is not UTF-8");
	round_trip("[1] 2", "there is something behind the value");
	round_trip("[1", "the text ends too early");
	round_trip("", "the text ends too early");
	round_trip("[1,]", "malformed JSON");
	round_trip("{\"a\":1}}", "there is something behind the value");
	round_trip("\"\xff\"", "the text is not UTF-8");
	round_trip("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]",
			   "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]");
	nested(JSON_DEPTH_LIMIT, true);
	nested(JSON_DEPTH_LIMIT + 1, false);
	ok(json_read("\"a\0b\"", 5, &why) == NULL, "a raw NUL");
	ok(json_is_utf8("", 0) && json_is_utf8("\xc3\xa4\xf0\x9f\x98\x80", 6), "UTF-8");
	ok(!json_is_utf8("\xc3", 1) && !json_is_utf8("a\xff", 2) && !json_is_utf8("\xed\xa0\x80", 3), "none");
	member("{\"to\":[\"1\"],\"event\":{\"a\":{}}}", "to", "[\"1\"]");
	member("{\"to\": [\"1\"] , \"event\" : {\"a\": [1.5e-3, null, true]} } ", "event",
		   "{\"a\": [1.5e-3, null, true]}");
	member("{\"a\":\"x\\\"y\\u00e9\"}", "a", "\"x\\\"y\\u00e9\"");
	member("{\"x\":{\"a\":1}}", "a", "(none)");
	ok(!json_member("{\"a\":1}}", 8, "a", &(struct slice){0}), "a brace too many");
	ok(!json_member("{\"a\":1,}", 8, "a", &(struct slice){0}), "a comma too many");
	ok(!json_member("{\"a\":01}", 8, "a", &(struct slice){0}), "a leading zero");
	ok(!json_member("{\"a\":\"\n\"}", 9, "a", &(struct slice){0}), "a raw newline");
	ok(!json_member("{\"a\":1", 6, "a", &(struct slice){0}), "an end too early");
	ok(!json_member("{\"a\":\"\\x\"}", 10, "a", &(struct slice){0}), "an unknown escape");
	ok(!json_member("[1]", 3, "a", &(struct slice){0}), "no object");
	ok(!json_member("{}", 2, "a", &(struct slice){0}), "an empty object");
	scanned(3, true);
	scanned(32768, true);
	scanned(32769, false);
	elements("[{\"a\":[1,2]},\"],\" , null,-1.5e3]", "{\"a\":[1,2]}|\"],\"|null|-1.5e3|ok");
	elements(" [ [] , {} ] ", "[]|{}|ok");
	elements("[]", "ok");
	elements(" [\n] ", "ok");
	elements("[1,2", "1|2|");
	elements("[1 2]", "1|");
	elements("[1,]", "1|");
	elements("[,1]", "");
	elements("[1]]", "1|");
	elements("{\"a\":1}", "");
	elements("", "");
	pairs("{\"a\":[1,2],\"\\u0062\" : {\"c\":\"}\"} , \"\":null}",
		  "\"a\"=[1,2]|\"\\u0062\"={\"c\":\"}\"}|\"\"=null|ok");
	pairs(" { } ", "ok");
	pairs("{\"a\":1,}", "\"a\"=1|");
	pairs("{\"a\":1,\"b\"}", "\"a\"=1|");
	pairs("[1]", "");
	faulty("[\"\\u0000\",2]", "\",2]");
	faulty("[\"\u00e9\U0001F600\\ud83d\",2]", "\",2]");
	faulty("{\"\\u0000\":1}", "\":1}");
	faulty("[1,99999999999999999999 ,2]", "9 ,2]");
	faulty("[1e400]", "0]");
	faulty("{\"a\":{\"b\":1,\"b\":2}}", "\":2}}");
	faulty("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"\"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
		   "[\"\"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
	ok(!json_is_whole("{\"a\":1", 6), "an end too early is not whole");
	ok(!json_is_whole("\"\xff\"", 3), "what is not UTF-8 is not whole");
	return done();
}

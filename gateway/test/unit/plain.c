/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/plain: what it reads is what jansson reads; the rest it leaves alone. */
#include "codec/plain.h"

#include "base/mem.h"
#include "codec/json.h"
#include "test/unit/tap.h"

/* As it is, and with its last bytes missing: neither may be read beyond its end, nor taken for whole. */
static void
plain(const char *text)
{
	size_t length = strlen(text);
	json_t *wanted = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	json_t *got = plain_read(text, length);
	bool good = got != NULL && json_equal(got, wanted);

	json_decref(got);
	for (size_t i = 0; i < length && (text[0] == '{' || text[0] == '[' || text[0] == '"'); i++)
	{
		char *part = memcpy(mem_alloc(i), text, i);

		got = plain_read(part, i);
		good = good && got == NULL;
		json_decref(got);
		mem_free(part);
	}
	ok(good, text);
	json_decref(wanted);
}

static void
left_alone(const char *text)
{
	json_t *got = plain_read(text, strlen(text));

	ok(got == NULL, text);
	json_decref(got);
}

static void
nested(int depth, bool good)
{
	char text[200];
	json_t *value;

	memset(text, '[', (size_t) depth);
	memset(text + depth, ']', (size_t) depth);
	value = plain_read(text, 2 * (size_t) depth);
	ok((value != NULL) == good, good ? "as deep as allowed" : "deeper than allowed");
	json_decref(value);
}

int
main(void)
{
	plain("{\"jsonrpc\":\"2.0\",\"id\":17,\"method\":\"send_message\",\"params\":{\"chat_id\":"
		  "\"123456789012\"}}");
	plain("[ 1 , -2,0,-0,\ttrue,false,null , {} , [] , [[]],\r\n{ \"a\" : { \"b\" : [ ] } } ]");
	plain("{\"\":\"\",\"a\":\"\"}");
	plain("\"h\u00e9llo \U0001F600 and more than eight bytes of it\"");
	plain("{\"\u00e9\":1}");
	plain("[999999999999999999,-999999999999999999]");
	plain("7");
	plain("true");
	nested(JSON_DEPTH_LIMIT, true);
	nested(JSON_DEPTH_LIMIT + 1, false);

	left_alone("");
	left_alone(" ");
	left_alone("\"a\\nb\"");
	left_alone("\"a\nb\"");
	left_alone("\"12345678\x01\"");
	left_alone("\"\xff\"");
	left_alone("\"1234567\xc3\"");
	left_alone("{\"\xff\":1}");
	left_alone("{\"a\":1,\"a\":1}");
	left_alone("{\"a\":1,}");
	left_alone("{\"a\" 1}");
	left_alone("{a:1}");
	left_alone("[1,]");
	left_alone("[,1]");
	left_alone("[1 2]");
	left_alone("[1}");
	left_alone("1 2");
	left_alone("1.0");
	left_alone("1e2");
	left_alone("01");
	left_alone("-01");
	left_alone("-");
	left_alone("1000000000000000000");
	left_alone("truth");
	left_alone("nul");
	return done();
}

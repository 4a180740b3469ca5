/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/sse. */
#include "codec/sse.h"

#include "codec/rpc.h"
#include "test/unit/tap.h"

static bool
becomes(const char *method, const char *params, const char *expected)
{
	struct buf text = {0};
	struct buf out = {0};
	bool good;

	rpc_write_notification(&text, method, params, strlen(params));
	good = sse_write(&out, text.data, text.length) && strcmp(buf_text(&out), expected) == 0;
	buf_free(&text);
	buf_free(&out);
	return good;
}

static bool
is_none(const char *text)
{
	struct buf out = {0};
	bool none = !sse_write(&out, text, strlen(text)) && out.length == 0;

	buf_free(&out);
	return none;
}

int
main(void)
{
	ok(becomes("event", "{\"type\":\"x\"}", "event: event\ndata: {\"type\":\"x\"}\n\n"), "an event");
	ok(becomes("cursor", "{\"cursor\":\"12\"}", "event: cursor\nid: 12\ndata: {\"cursor\":\"12\"}\n\n"),
	   "a cursor has an id");
	ok(becomes("event", "[\n1,\r\n 2]", "event: event\ndata: [ 1,   2]\n\n"), "one line");
	ok(becomes("event", "{\"a\":\"\\n\"}", "event: event\ndata: {\"a\":\"\\n\"}\n\n"),
	   "an escaped line end stays");
	ok(becomes("event", "{\"a\":\"\\\",\\\"params\\\":1}\"}",
			   "event: event\ndata: {\"a\":\"\\\",\\\"params\\\":1}\"}\n\n"),
	   "what looks like parameters within them");
	ok(becomes("reset", "{}", "event: reset\ndata: {}\n\n"), "nothing in it");
	ok(becomes("cursor", "{\"cursor\":\"", "event: cursor\ndata: {\"cursor\":\"\n\n"),
	   "no end of the cursor: no id");
	ok(is_none(""), "nothing");
	ok(is_none("{\"jsonrpc\":\"2.0\",\"method\":\"x\"}"), "no parameters");
	ok(is_none("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}"), "an answer");
	return done();
}

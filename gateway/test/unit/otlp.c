/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/otlp. */
#include "codec/otlp.h"

#include <jansson.h>

#include "test/unit/tap.h"

static struct buf out; /* what was written */

static const json_t *
at(const json_t *value, const char *name)
{
	return json_is_array(value) ? json_array_get(value, 0) : json_object_get(value, name);
}

int
main(void)
{
	struct otlp_span call = {.trace = "4bf92f3577b34da6a3ce929d0e0e4736",
							 .id = "00f067aa0ba902b7",
							 .parent = "b7ad6b7169203331",
							 .kind = OTLP_SERVER,
							 .system = "jsonrpc",
							 .name = "send\"\\message",
							 .start = 1767184245678000001,
							 .end = 1767184245679000001,
							 .code = 404};
	struct otlp_span database = call;
	const json_t *spans;
	json_t *whole;

	database.kind = OTLP_CLIENT;
	database.system = "postgresql";
	database.code = 500;
	otlp_begin(&out, "1.0", "7");
	otlp_add(&out, &call);
	otlp_add(&out, &database);
	otlp_end(&out);
	whole = json_loadb(out.data, out.length, JSON_REJECT_DUPLICATES, NULL);
	ok(whole != NULL, "it is JSON");
	spans = at(at(whole, "resourceSpans"), "");
	ok(json_array_size(json_object_get(at(spans, "resource"), "attributes")) == 3, "of a resource");
	spans = json_object_get(at(at(spans, "scopeSpans"), ""), "spans");
	ok(json_array_size(spans) == 2, "two spans");
	buf_clear(&out);
	buf_add_char(&out, '[');
	otlp_add(&out, &call);
	is(out.data, out.length,
	   "[{\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"spanId\":\"00f067aa0ba902b7\",\"parentSpanId\":"
	   "\"b7ad6b7169203331\",\"name\":\"send\\\"\\\\message\",\"kind\":2,\"startTimeUnixNano\":"
	   "\"1767184245678000001\","
	   "\"endTimeUnixNano\":\"1767184245679000001\",\"attributes\":[{\"key\":\"rpc.system\",\"value\":{"
	   "\"stringValue\":"
	   "\"jsonrpc\"}},{\"key\":\"rpc.method\",\"value\":{\"stringValue\":\"send\\\"\\\\message\"}},{\"key\":"
	   "\"rpc.jsonrpc.error_code\",\"value\":{\"intValue\":\"404\"}}]}",
	   "a call that the caller got wrong");
	buf_clear(&out);
	buf_add_char(&out, '[');
	otlp_add(&out, &database);
	ok(strstr(buf_text(&out), "\"db.system\"") != NULL &&
		   strstr(buf_text(&out), "\"status\":{\"code\":2}}") != NULL,
	   "a database that failed");
	json_decref(whole);
	buf_free(&out);
	return done();
}

/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/rpc: requests good and bad, answers. */
#include "codec/rpc.h"

#include "test/unit/tap.h"

/* Read a request; its id, method and error code in one line. */
static void
request(const char *text, const char *wanted)
{
	struct arena *arena = arena_create();
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
	struct rpc_request request;
	struct rpc_error error = {0};
	struct buf got = {0};
	bool good = rpc_read(value, arena, &request, &error);

	buf_format(&got, "%s %s %d", request.id ? request.id : "-", good ? request.method : "-", error.code);
	is(got.data, got.length, wanted, text);
	buf_free(&got);
	json_decref(value);
	arena_destroy(arena);
}

int
main(void)
{
	struct rpc_error error = {.code = 429,
							  .message = "slow \"down\"",
							  .reason = "too_many",
							  .sqlstate = "MC429",
							  .hint = "wait",
							  .parameter = "x",
							  .retry_after = 1500};
	struct buf out = {0};

	request("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", "1 ping 0");
	request("{\"jsonrpc\":\"2.0\",\"id\":\"a\\\"b\",\"method\":\"ping\",\"params\":{}}", "\"a\\\"b\" ping 0");
	request("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", "null ping 0");
	request("{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", "1.5 ping 0");
	request("{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}", "- ping 0");
	request("{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"ping\"}", "null - -32600");
	request("{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"ping\"}", "null - -32600");
	request("{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"ping\"}", "7 - -32600");
	request("{\"id\":7,\"method\":\"ping\"}", "7 - -32600");
	request("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":1}", "7 - -32600");
	request("{\"jsonrpc\":\"2.0\",\"id\":7}", "7 - -32600");
	request("{\"jsonrpc\":\"2.0\"}", "null - -32600");
	request("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"x\",\"params\":[1]}", "7 - -32602");
	request("{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":[1]}", "- - -32602");
	request("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"x\",\"params\":3}", "7 - -32600");
	request("1", "null - -32600");
	request("[]", "null - -32600");

	rpc_write_result(&out, "\"x\"", "[1]", 3);
	is(out.data, out.length, "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":[1]}", "a result");
	buf_clear(&out);
	rpc_write_error(&out, "null", &error);
	is(out.data, out.length,
	   "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":429,\"message\":\"slow "
	   "\\\"down\\\"\",\"data\":{\"reason\":"
	   "\"too_many\",\"sqlstate\":\"MC429\",\"hint\":\"wait\",\"parameter\":\"x\",\"retry_after_ms\":1500}}}",
	   "an error");
	buf_clear(&out);
	error = (struct rpc_error){.code = 401, .reason = "not_authenticated"};
	rpc_write_error(&out, "1", &error);
	is(out.data, out.length,
	   "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":401,\"message\":\"not_authenticated\",\"data\":{"
	   "\"reason\":"
	   "\"not_authenticated\"}}}",
	   "an error with little to say");
	buf_clear(&out);
	rpc_write_notification(&out, "event", "{}", 2);
	is(out.data, out.length, "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{}}", "a notification");
	buf_free(&out);
	return done();
}

/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/rpc: requests good, bad and unreadable, answers. */
#include "codec/rpc.h"

#include "codec/json.h"
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

/* A request that json_read refuses; its id, the error's code, parameter and hint in one line. */
static void
refused(const char *text, const char *wanted)
{
	struct arena *arena = arena_create();
	struct rpc_request request;
	struct rpc_error error = {0};
	struct buf got = {0};
	const char *why = "nothing";

	ok(json_read(text, strlen(text), &why) == NULL && json_is_whole(text, strlen(text)), "JSON, but refused");
	rpc_read_refused(text, strlen(text), why, arena, &request, &error);
	buf_format(&got, "%s %d %s: %s", request.id ? request.id : "-", error.code,
			   error.parameter ? error.parameter : "-", error.hint);
	is(got.data, got.length, wanted, text);
	buf_free(&got);
	arena_destroy(arena);
}

#define NUL       "\\u0000 cannot be stored"
#define HALF      "half of a surrogate pair is no character"
#define TOO_LARGE "a number is beyond 64 bits; send it as a string"
#define TWICE     "an object has the same member twice"
#define TOO_DEEP  "more than 32 levels of nesting"
#define NEST_30   "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
#define CLOSE_30  "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"

/* Requests that are JSON but cannot be read: whose they are, and what is wrong with them. */
static void
refusals(void)
{
	refused("{\"id\":1,\"params\":{\"chat_id\":\"1\",\"body\":\"a\\u0000b\"}}", "1 -32602 body: " NUL);
	refused("{\"params\":{\"body\":\"\\ud83d\"},\"id\":\"x\\ny\"}", "\"x\\ny\" -32602 body: " HALF);
	refused("{\"id\":null,\"params\":{\"a\":{\"b\":[1,{\"c\":\"\\udfff\"}]},\"d\":1}}",
			"null -32602 a: " HALF);
	refused("{\"id\":1.5,\"params\":{\"user_id\":9223372036854775808}}", "1.5 -32602 user_id: " TOO_LARGE);
	refused("{\"id\":1,\"params\":{\"x\":[1e400]}}", "1 -32602 x: " TOO_LARGE);
	refused("{\"id\":1,\"params\":{\"x\":{\"y\":1,\"y\":2}}}", "1 -32602 x: " TWICE);
	refused("{\"id\":1,\"params\":{\"x\":1,\"y\":2,\"x\":3}}", "1 -32602 x: " TWICE);
	refused("{\"id\":1,\"params\":{\"x\":1,\"\\u0078\":2}}", "1 -32602 x: " TWICE);
	refused("{\"id\":1,\"params\":{\"x\":1,\"y\":" NEST_30 "[0]" CLOSE_30 "}}", "1 -32602 y: " TOO_DEEP);
	refused("{\"\\u0069d\":1,\"p\\u0061rams\":{\"\\u00e9\\n\":\"\\u0000\"}}", "1 -32602 \u00e9\n: " NUL);
	refused("{\"params\":{\"x\":\"\\u0000\"}}", "- -32602 x: " NUL);

	/* No parameter is to blame. */
	refused("{\"id\":1,\"params\":{\"\\u0000\":1}}", "1 -32600 -: " NUL);
	refused("{\"id\":1,\"params\":[\"\\u0000\"]}", "1 -32600 -: " NUL);
	refused("{\"id\":1,\"params\":\"\\u0000\"}", "1 -32600 -: " NUL);
	refused("{\"id\":1,\"method\":\"\\ud800\",\"params\":{\"x\":1}}", "1 -32600 -: " HALF);
	refused("{\"id\":1,\"params\":{\"x\":1},\"params\":{\"x\":1}}", "1 -32600 -: " TWICE);
	refused("{\"id\":1,\"trace\":1e400}", "1 -32600 -: " TOO_LARGE);
	refused("{\"x\":\"\\u0000\"}", "null -32600 -: " NUL);

	/* The id cannot be told. */
	refused("{\"id\":9223372036854775808,\"params\":{\"x\":1}}", "null -32600 -: " TOO_LARGE);
	refused("{\"id\":9223372036854775808,\"params\":{\"x\":\"\\u0000\"}}", "null -32600 -: " TOO_LARGE);
	refused("{\"params\":{\"x\":\"\\u0000\"},\"id\":9223372036854775808}", "null -32600 -: " TOO_LARGE);
	refused("{\"id\":\"\\u0000\"}", "null -32600 -: " NUL);
	refused("{\"id\":[1],\"params\":{\"x\":\"\\u0000\"}}", "null -32600 -: id is a string, a number or null");
	refused("{\"id\":1,\"id\":2,\"params\":{\"x\":1}}", "null -32600 -: " TWICE);
	refused("{\"params\":{\"x\":\"\\u0000\"},\"id\":1,\"id\":1}", "null -32600 -: " NUL);
	refused("\"\\u0000\"", "null -32600 -: a request is an object");
	refused("1e400", "null -32600 -: a request is an object");
	refused("[" NEST_30 "[[]]" CLOSE_30 "]", "null -32600 -: a request is an object");
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
	refusals();

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

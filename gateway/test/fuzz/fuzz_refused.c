/* SPDX-License-Identifier: PostgreSQL */
/*
 * Fuzzes what is made of a frame that json_read refuses: json_is_whole, json_fault, json_pair, json_element, rpc_read_refused.
 *
 * Invariants: what jansson takes is whole JSON; what is whole and refused anyway has its fault inside, and is refused in
 * words of ours. As it is, it is answered as JSON, by -32600 or -32602. As a parameter's value it is that parameter's fault,
 * and the request keeps its id. As an id it comes back, or is null. As an element of a batch it leaves its neighbours alone.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"
#include "codec/rpc.h"

struct text
{
	const char *data;
	size_t length;
};

static void
check(bool good)
{
	if (!good)
		abort();
}

static bool
equals(const struct slice *slice, const char *text, size_t length)
{
	return slice->length == length && memcmp(slice->text, text, length) == 0;
}

/* Before the data, the data, behind it; refused, or else this is over. */
static bool
is_refused(struct buf *frame, const char *before, const struct text *data, const char *behind,
		   const char **why)
{
	json_t *value;

	buf_clear(frame);
	buf_add_text(frame, before);
	buf_add(frame, data->data, data->length);
	buf_add_text(frame, behind);
	value = json_read(frame->data, frame->length, why);
	json_decref(value);
	check(json_is_whole(frame->data, frame->length));
	return value == NULL;
}

static void
check_answer(const char *text, size_t length, const char *why)
{
	struct arena *arena = arena_create();
	struct rpc_request request;
	struct rpc_error error;
	struct buf out = {0};
	json_t *answer;

	rpc_read_refused(text, length, why, arena, &request, &error);
	check(error.code == RPC_INVALID_REQUEST || (error.code == RPC_INVALID_PARAMS && error.parameter != NULL));
	check(request.id != NULL || error.code == RPC_INVALID_PARAMS);
	rpc_write_error(&out, request.id ? request.id : "null", &error);
	answer = json_read(out.data, out.length, &why);
	check(answer != NULL);
	json_decref(answer);
	buf_free(&out);
	arena_destroy(arena);
}

static void
check_parameter(const struct text *data)
{
	struct arena *arena = arena_create();
	struct buf frame = {0};
	const char *why;

	if (is_refused(&frame, "{\"id\":7,\"params\":{\"a\":1,\"b\" : ", data, ",\"c\":2},\"x\":{}}", &why))
	{
		struct rpc_request request;
		struct rpc_error error;

		rpc_read_refused(frame.data, frame.length, why, arena, &request, &error);
		check(error.code == RPC_INVALID_PARAMS && strcmp(error.parameter, "b") == 0 && error.hint == why);
		check(strcmp(request.id, "7") == 0);
	}
	buf_free(&frame);
	arena_destroy(arena);
}

static void
check_id(const struct text *data, const json_t *value)
{
	bool good = json_is_string(value) || json_is_number(value) || json_is_null(value);
	struct arena *arena = arena_create();
	struct rpc_request request;
	struct rpc_error error;
	struct buf frame = {0};
	struct buf wanted = {0};
	const char *why;

	check(is_refused(&frame, "{\"params\":{\"a\":\"\\u0000\"},\"id\":", data, "}", &why));
	rpc_read_refused(frame.data, frame.length, why, arena, &request, &error);
	if (good)
		json_write(&wanted, value);
	check(error.code == (good ? RPC_INVALID_PARAMS : RPC_INVALID_REQUEST));
	check(strcmp(request.id, good ? buf_text(&wanted) : "null") == 0);
	buf_free(&wanted);
	buf_free(&frame);
	arena_destroy(arena);
}

static void
check_batch(const struct text *data)
{
	static const char good[] = "{\"id\":1}";
	struct slice element;
	struct buf frame = {0};
	const char *why;
	size_t at = 0;

	is_refused(&frame, "[{\"id\":1},", data, ",{\"id\":1}]", &why);
	check(json_element(frame.data, frame.length, &at, &element) && equals(&element, good, sizeof good - 1));
	check(json_element(frame.data, frame.length, &at, &element) &&
		  json_is_whole(element.text, element.length));
	check(json_element(frame.data, frame.length, &at, &element) && equals(&element, good, sizeof good - 1));
	check(!json_element(frame.data, frame.length, &at, &element) && at == frame.length + 1);
	buf_free(&frame);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1); /* so that the sanitizer sees its end */
	struct text text = {copy, size};
	bool whole;
	const char *why = NULL;
	json_t *value;
	json_t *lenient;

	memcpy(copy, data, size);
	whole = json_is_whole(copy, size);
	value = json_read(copy, size, &why);
	lenient =
		memchr(copy, '\0', size) ? NULL : json_loadb(copy, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	check(whole || lenient == NULL);
	if (whole && value == NULL)
	{
		check(strcmp(why, "it cannot be stored") != 0 && json_fault(copy, size) < size);
		check_answer(copy, size, why);
	}
	if (whole)
	{
		check_parameter(&text);
		check_id(&text, value);
		check_batch(&text);
	}
	json_decref(lenient);
	json_decref(value);
	free(copy);
	return 0;
}

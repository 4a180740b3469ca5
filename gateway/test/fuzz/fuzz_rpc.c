/* SPDX-License-Identifier: PostgreSQL */
/*
 * Fuzzes what a frame meets first: json_read, rpc_read, the writer, and the member scanner and plain_read against jansson.
 *
 * Invariants: what plain_read makes of a text is what jansson makes of it; what was read can be written and read again as the same value; an object that the scanner takes for
 * whole is whole for jansson too (but for what jansson refuses on purpose: numbers, duplicates, U+0000, depth).
 */
#include <stdint.h>
#include <stdlib.h>

#include "codec/json.h"
#include "codec/plain.h"
#include "codec/rpc.h"

static void
check_round_trip(json_t *value)
{
	const char *why;
	struct buf text = {0};
	json_t *again;

	json_write(&text, value);
	again = json_read(text.data, text.length, &why);
	if (again == NULL || !json_equal(value, again))
		abort();
	json_decref(again);
	buf_free(&text);
}

static void
check_request(json_t *value)
{
	struct arena *arena = arena_create();
	struct rpc_request request;
	struct rpc_error error;
	struct buf out = {0};

	if (!rpc_read(value, arena, &request, &error) && request.id != NULL)
	{
		const char *why;
		json_t *answer;

		rpc_write_error(&out, request.id, &error);
		answer = json_read(out.data, out.length, &why);
		if (answer == NULL)
			abort();
		json_decref(answer);
	}
	buf_free(&out);
	arena_destroy(arena);
}

static void
check_member(const char *text, size_t length, const json_t *value)
{
	struct slice member;

	if (!json_member(text, length, "a", &member))
		return;
	if (member.text < text || member.text + member.length > text + length)
		abort();
	if (value != NULL && json_object_get(value, "a") == NULL)
		abort();
}

static void
check_plain(const char *text, size_t length)
{
	json_t *plain = plain_read(text, length);
	json_t *wanted;

	if (plain == NULL)
		return;
	wanted = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	if (wanted == NULL || !json_equal(plain, wanted))
		abort();
	json_decref(wanted);
	json_decref(plain);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why;
	json_t *value = json_read((const char *) data, size, &why);

	if (value != NULL)
	{
		check_round_trip(value);
		check_request(value);
	}
	check_member((const char *) data, size, value);
	check_plain((const char *) data, size);
	json_decref(value);
	return 0;
}

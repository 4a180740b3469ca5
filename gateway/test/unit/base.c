/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of base/: hash against a plain array, arena, buffers, messages. */
#include "base/hash.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/message.h"
#include "test/unit/tap.h"

#define KEYS 500

static void
hash_keeps_what_it_was_given(void)
{
	struct hash *hash = hash_create();
	bool there[KEYS] = {0};
	static int values[KEYS];
	size_t count = 0;
	size_t seen = 0;
	size_t cursor = 0;
	bool good = true;

	srand(7);
	for (int step = 0; step < 20000; step++)
	{
		int at = rand() % KEYS;
		char key[16];

		snprintf(key, sizeof key, "key%d", at);
		good = good && hash_get(hash, key) == (there[at] ? &values[at] : NULL);
		if (rand() % 2)
		{
			count += !there[at];
			there[at] = true;
			hash_put(hash, key, &values[at]);
		}
		else
		{
			good = good && hash_remove(hash, key) == (there[at] ? &values[at] : NULL);
			count -= there[at];
			there[at] = false;
		}
		good = good && hash_count(hash) == count;
	}
	ok(good, "20,000 puts and removals");
	while (hash_next(hash, &cursor, NULL) != NULL)
		seen++;
	ok(seen == count, "a walk sees every entry once");
	hash_destroy(hash);
}

static void
numbers_in_a_hash(void)
{
	struct hash *hash = hash_create();

	ok(hash_add(hash, 7, 3) == 3 && hash_add(hash, -7, 1) == 1 && hash_add(hash, 7, -2) == 1,
	   "numbers are added up");
	ok(hash_add(hash, 7, -1) == 0 && hash_add(hash, -7, 0) == 1 && hash_count(hash) == 1, "and go at 0");
	ok(hash_add(hash, 0, -1) == 0 && hash_count(hash) == 1, "there is none below");
	hash_destroy(hash);
}

/* Around the length that is formatted in one go. */
static void
formats_of_any_length(void)
{
	struct arena *arena = arena_create();
	struct buf buf = {0};
	bool good = true;

	for (int length = 1; length < 200; length++)
	{
		char *text = arena_format(arena, "%0*d", length, 7);

		buf_clear(&buf);
		buf_format(&buf, "%0*d", length, 7);
		good = good && buf.length == (size_t) length && strlen(text) == (size_t) length &&
			   memcmp(buf.data, text, buf.length) == 0 && text[length - 1] == '7';
	}
	ok(good, "formatted pieces of any length");
	buf_free(&buf);
	arena_destroy(arena);
}

int
main(void)
{
	struct arena *arena = arena_create();
	struct buf buf = {0};
	struct message *message = message_create("abc", 3);
	char *small = arena_copy(arena, "small", 5);
	char *large = arena_alloc(arena, 100000);
	char *next = arena_format(arena, "%s-%d", "next", 7);

	hash_keeps_what_it_was_given();
	numbers_in_a_hash();
	formats_of_any_length();
	memset(large, 1, 100000);
	is(small, strlen(small), "small", "an arena's copy");
	is(next, strlen(next), "next-7", "and another behind a large piece");
	arena_destroy(arena);
	for (int i = 0; i < 1000; i++)
		buf_format(&buf, "%d,", i % 10);
	ok(buf.length == 2000 && memcmp(buf.data, "0,1,2,", 6) == 0, "a buffer grows");
	buf_clear(&buf);
	buf_add_identifier(&buf, "a\"b");
	is(buf.data, buf.length, "\"a\"\"b\"", "an identifier");
	buf_free(&buf);
	message_release(message_share(message));
	is(message_text(message), message_length(message), "abc", "a shared message");
	message_release(message);
	return done();
}

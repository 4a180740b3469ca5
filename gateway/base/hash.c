/* SPDX-License-Identifier: PostgreSQL */
/*
 * hash.c
 *	  A map from text to pointers: methods by name, users by id, channels by name.
 *
 * Open addressing, linear probing, at most half full; a removal shifts the ones behind it back, so there are no
 * tombstones. FNV-1a from a seed that differs in every process: keys come from the database, never from a client
 * directly, and nobody can prepare a set of them that collides.
 *
 * While hash_next walks it, a map may lose the entry just returned only at the walker's own risk: the entries
 * behind it move. Walkers here collect first, or remove all.
 *
 * Called from: chat/, pg/. Calls: base/mem.
 */
#include "base/hash.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

#define HASH_FIRST 16 /* slots of a new map; a power of two */

struct slot
{
	char *key;   /* owned; NULL: the slot is free */
	void *value; /* the caller's */
};

struct hash
{
	struct slot *slots; /* owned */
	size_t size;        /* slots, a power of two */
	size_t count;       /* slots in use */
};

uint64_t
hash_bytes(const void *data, size_t length)
{
	static uint64_t seed; /* random, set once per process */
	const unsigned char *p = data;
	uint64_t value;

	if (seed == 0 && (getrandom(&seed, sizeof seed, 0) != sizeof seed || seed == 0))
		seed = 0xcbf29ce484222325u;
	value = seed;
	while (length-- > 0)
		value = (value ^ *p++) * 0x100000001b3u;
	return value ^ (value >> 29);
}

struct hash *
hash_create(void)
{
	struct hash *hash = mem_alloc(sizeof(struct hash));

	hash->size = HASH_FIRST;
	hash->slots = mem_alloc(hash->size * sizeof(struct slot));
	return hash;
}

void
hash_destroy(struct hash *hash)
{
	for (size_t i = 0; i < hash->size; i++)
		mem_free(hash->slots[i].key);
	mem_free(hash->slots);
	mem_free(hash);
}

/* The slot that holds the key, or the free one where it would go. */
static struct slot *
find(const struct hash *hash, const char *key)
{
	size_t i = hash_bytes(key, strlen(key)) & (hash->size - 1);

	while (hash->slots[i].key != NULL && strcmp(hash->slots[i].key, key) != 0)
		i = (i + 1) & (hash->size - 1);
	return &hash->slots[i];
}

void *
hash_get(const struct hash *hash, const char *key)
{
	return find(hash, key)->value;
}

static void
grow(struct hash *hash)
{
	struct slot *old = hash->slots;
	size_t size = hash->size;

	hash->size *= 2;
	hash->slots = mem_alloc(hash->size * sizeof(struct slot));
	for (size_t i = 0; i < size; i++)
	{
		if (old[i].key != NULL)
			*find(hash, old[i].key) = old[i];
	}
	mem_free(old);
}

void
hash_put(struct hash *hash, const char *key, void *value)
{
	struct slot *slot = find(hash, key);

	if (slot->key == NULL)
	{
		if (2 * (hash->count + 1) > hash->size)
		{
			grow(hash);
			slot = find(hash, key);
		}
		slot->key = mem_copy(key);
		hash->count++;
	}
	slot->value = value;
}

/* Move back every entry behind the hole that its own place would not keep there. */
static void
close_hole(struct hash *hash, size_t hole)
{
	size_t mask = hash->size - 1;

	for (size_t i = (hole + 1) & mask; hash->slots[i].key != NULL; i = (i + 1) & mask)
	{
		size_t home = hash_bytes(hash->slots[i].key, strlen(hash->slots[i].key)) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask))
		{
			hash->slots[hole] = hash->slots[i];
			hash->slots[i] = (struct slot){0};
			hole = i;
		}
	}
}

void *
hash_remove(struct hash *hash, const char *key)
{
	struct slot *slot = find(hash, key);
	void *value = slot->value;

	if (slot->key == NULL)
		return NULL;
	mem_free(slot->key);
	*slot = (struct slot){0};
	hash->count--;
	close_hole(hash, (size_t) (slot - hash->slots));
	return value;
}

size_t
hash_add(struct hash *hash, int64_t key, long change)
{
	char text[24];
	long number;

	snprintf(text, sizeof text, "%lld", (long long) key);
	number = (long) (intptr_t) hash_get(hash, text) + change;
	if (number > 0)
		hash_put(hash, text, (void *) (intptr_t) number);
	else
		hash_remove(hash, text);
	return number > 0 ? (size_t) number : 0;
}

void *
hash_next(const struct hash *hash, size_t *cursor, const char **key)
{
	while (*cursor < hash->size)
	{
		struct slot *slot = &hash->slots[(*cursor)++];

		if (slot->key != NULL)
		{
			if (key != NULL)
				*key = slot->key;
			return slot->value;
		}
	}
	return NULL;
}

size_t
hash_count(const struct hash *hash)
{
	return hash->count;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * mem.c
 *	  Allocation that cannot fail, and arenas for what lives exactly as long as one request.
 *
 * A worker that is out of memory cannot answer anybody, so it says so and aborts; the parent starts a new one and
 * the clients reconnect. Everybody else may therefore take memory without asking whether there was any.
 *
 * An arena is a chain of blocks filled from the front. Nothing taken from it is freed by itself; a request takes
 * all it needs from one arena and the answer's last byte destroys it. A large piece gets a block of its own behind
 * the current one, so that the current one stays in use. A few hundred ordinary blocks are kept for the next arenas:
 * they are too large for what malloc hands out quickly, and each would have it tidy up first. Sanitizers are to see each come
 * and go.
 *
 * Called from: everywhere. Calls: libc.
 */
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK 2048 /* bytes of an ordinary block: an ordinary request fits into one */
#define ARENA_ALIGN 16   /* enough for any type */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer)
#define SPARE_LIMIT 0
#else
#define SPARE_LIMIT 256 /* ordinary blocks kept */
#endif

struct block
{
	struct block *next; /* older block, owned */
	size_t used;        /* bytes of data given out */
	size_t size;        /* bytes of data */
	_Alignas(ARENA_ALIGN) char data[];
};

struct arena
{
	struct block *block; /* the block being filled, head of the chain, owned */
};

static struct block *spares; /* ordinary blocks that nobody uses, all zero; owned, for the process's life */
static int spare_count;      /* of them */

static void *
check(void *memory)
{
	if (memory == NULL)
	{
		fputs("out of memory\n", stderr);
		abort();
	}
	return memory;
}

void *
mem_alloc(size_t size)
{
	return check(calloc(1, size ? size : 1));
}

void *
mem_resize(void *memory, size_t size)
{
	return check(realloc(memory, size ? size : 1));
}

char *
mem_copy(const char *text)
{
	return check(strdup(text));
}

void
mem_free(void *memory)
{
	free(memory);
}

static struct block *
block_create(size_t size, struct block *next)
{
	struct block *block = mem_alloc(sizeof(struct block) + size);

	block->size = size;
	block->next = next;
	return block;
}

static struct block *
ordinary_block(struct block *next)
{
	struct block *block = spares;

	if (block == NULL)
		return block_create(ARENA_BLOCK, next);
	spares = block->next;
	spare_count--;
	block->next = next;
	return block;
}

static void
block_destroy(struct block *block)
{
	if (block->size != ARENA_BLOCK || spare_count >= SPARE_LIMIT)
	{
		mem_free(block);
		return;
	}
	memset(block->data, 0, block->used);
	block->used = 0;
	block->next = spares;
	spares = block;
	spare_count++;
}

struct arena *
arena_create(void)
{
	struct arena *arena = mem_alloc(sizeof(struct arena));

	arena->block = ordinary_block(NULL);
	return arena;
}

void
arena_destroy(struct arena *arena)
{
	struct block *block = arena->block;

	while (block != NULL)
	{
		struct block *next = block->next;

		block_destroy(block);
		block = next;
	}
	mem_free(arena);
}

void *
arena_alloc(struct arena *arena, size_t size)
{
	struct block *block = arena->block;
	void *piece;

	size = (size + ARENA_ALIGN - 1) & ~(size_t) (ARENA_ALIGN - 1);
	if (size > ARENA_BLOCK / 2)
	{
		block = block->next = block_create(size, block->next);
	}
	else if (block->size - block->used < size)
	{
		block = arena->block = ordinary_block(block);
	}
	piece = block->data + block->used;
	block->used += size;
	return piece;
}

char *
arena_copy(struct arena *arena, const char *text, size_t length)
{
	char *copy = arena_alloc(arena, length + 1);

	memcpy(copy, text, length);
	return copy;
}

char *
arena_format(struct arena *arena, const char *format, ...)
{
	char most[64]; /* of such pieces fit into this */
	va_list args;
	int length;
	char *text;

	va_start(args, format);
	length = vsnprintf(most, sizeof most, format, args);
	va_end(args);
	if ((size_t) length < sizeof most)
		return arena_copy(arena, most, (size_t) length);
	text = arena_alloc(arena, (size_t) length + 1);
	va_start(args, format);
	vsnprintf(text, (size_t) length + 1, format, args);
	va_end(args);
	return text;
}

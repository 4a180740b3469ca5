/* SPDX-License-Identifier: PostgreSQL */
/* Memory: allocation that cannot fail, and arenas. See mem.c. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

/* malloc, calloc'ed to zero; never NULL. Released with mem_free. */
extern void *mem_alloc(size_t size);
extern void *mem_resize(void *memory, size_t size);
extern char *mem_copy(const char *text); /* strdup */
extern void mem_free(void *memory);

/* An arena owns everything taken from it; arena_destroy gives all of it back at once. */
extern struct arena *arena_create(void);
extern void arena_destroy(struct arena *arena);
extern void *arena_alloc(struct arena *arena, size_t size); /* zeroed, aligned for any type */
extern char *arena_copy(struct arena *arena, const char *text, size_t length); /* NUL-terminated */
extern char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

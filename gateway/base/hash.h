/* SPDX-License-Identifier: PostgreSQL */
/* A map from text to pointers. See hash.c. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash;

extern struct hash *hash_create(void);
extern void hash_destroy(struct hash *hash);                           /* the values stay the caller's */
extern void *hash_get(const struct hash *hash, const char *key);       /* NULL: not there */
extern void hash_put(struct hash *hash, const char *key, void *value); /* key is copied; value not NULL */
extern void *hash_remove(struct hash *hash, const char *key);          /* the value it had, or NULL */

/* For maps of numbers by numbers: → the number of this key after the change. One that is 0 is not there. */
extern size_t hash_add(struct hash *hash, int64_t key, long change);

extern void *hash_next(const struct hash *hash, size_t *cursor,
					   const char **key); /* from *cursor = 0; NULL: end */
extern size_t hash_count(const struct hash *hash);
extern uint64_t hash_bytes(const void *data, size_t length); /* seeded anew in every process */

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Public keys of a provider, and whether one of them has signed something. See keys.c. */
#ifndef CODEC_KEYS_H
#define CODEC_KEYS_H

#include <stdbool.h>
#include <stddef.h>

struct algorithm; /* one of those allowed; lives for ever */
struct key_set;
struct key;

/* Why no key was found. */
enum key_verdict
{
	KEY_FOUND,
	KEY_UNKNOWN,   /* none has this id; without id: none fits */
	KEY_UNFITTING, /* it is for another algorithm or purpose, or more than one fits */
};

/* By its name in a token's header, NULL: not allowed. */
extern const struct algorithm *algorithm_find(const char *name);

/*
 * Read a JSON Web Key Set from hostile text. Keys that are no use are left out. NULL: it is no key set, or has no key
 * of use; *why says so in a few words (static text).
 */
extern struct key_set *keys_read(const char *text, size_t length, const char **why);
extern void keys_free(struct key_set *set);
extern int keys_count(const struct key_set *set);

/* The one key that has this id (NULL: whatever its id) and fits the algorithm. */
extern enum key_verdict keys_find(const struct key_set *set, const char *id,
								  const struct algorithm *algorithm, const struct key **key);

/* Did the key, which fits, sign the text? The signature is as tokens carry it. */
extern bool key_has_signed(const struct key *key, const struct algorithm *algorithm, const char *text,
						   size_t length, const void *signature, size_t signature_length);

#endif

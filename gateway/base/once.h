/* SPDX-License-Identifier: PostgreSQL */
/* What may be used once, by whichever worker. See once.c. */
#ifndef BASE_ONCE_H
#define BASE_ONCE_H

#include <stdbool.h>
#include <stdint.h>

#define ONCE_CHANCE_BITS 20 /* of a number; above them its expiry */

/* In the parent, before it has workers. `now` and all times here are milliseconds since 1970. */
extern bool once_open(int64_t now);

/* A number for what expires then. `chance` makes numbers of the same millisecond differ. */
extern int64_t once_number(int64_t expires, uint64_t chance);

/*
 * Use the number, which was made `lifetime` before it expires. False: it has been used, or is too old to say. Whether it
 * has expired is the caller's to see, afterwards: then its place may be another one's.
 */
extern bool once_use(int64_t number, int64_t lifetime);

#endif

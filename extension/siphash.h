/* SPDX-License-Identifier: PostgreSQL */
/*
 * siphash.h: SipHash-2-4 with 128-bit output, a keyed hash (pseudo-random function) for short inputs.
 */
#ifndef CHAT_SIPHASH_H
#define CHAT_SIPHASH_H

#include "postgres.h"

/* Hashes length bytes of data under the 16-byte key into two numbers. */
extern void siphash128(const uint8 key[16], const void *data, size_t length, uint64 hash[2]);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/*
 * siphash.c: SipHash-2-4-128 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012, and its 128-bit
 * variant), for channel names: whoever lacks the key can neither compute nor guess one.
 *
 * 2 rounds for each 8-byte word of input, 4 rounds for each word of output. All numbers are little-endian.
 * sql/publish.sql checks it against one of the authors' published vectors.
 */
#include "siphash.h"

#include "fmgr.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"

#define ROTATE(x, bits) (((x) << (bits)) | ((x) >> (64 - (bits))))

static uint64
load_le64(const uint8 *bytes)
{
	uint64 value;

	memcpy(&value, bytes, sizeof(value));
#ifdef WORDS_BIGENDIAN
	value = pg_bswap64(value);
#endif
	return value;
}

static void
rounds(uint64 v[4], int count)
{
	while (count-- > 0)
	{
		v[0] += v[1];
		v[1] = ROTATE(v[1], 13) ^ v[0];
		v[0] = ROTATE(v[0], 32);
		v[2] += v[3];
		v[3] = ROTATE(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = ROTATE(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = ROTATE(v[1], 17) ^ v[2];
		v[2] = ROTATE(v[2], 32);
	}
}

void
siphash128(const uint8 key[16], const void *data, size_t length, uint64 hash[2])
{
	uint64 k0 = load_le64(key);
	uint64 k1 = load_le64(key + 8);
	uint64 v[4] = {k0 ^ UINT64CONST(0x736f6d6570736575), k1 ^ UINT64CONST(0x646f72616e646f6d) ^ 0xee,
				   k0 ^ UINT64CONST(0x6c7967656e657261), k1 ^ UINT64CONST(0x7465646279746573)};
	const uint8 *in = data;
	uint8 last[8] = {0};
	uint64 word;

	for (size_t left = length; left >= 8; left -= 8, in += 8)
	{
		word = load_le64(in);
		v[3] ^= word;
		rounds(v, 2);
		v[0] ^= word;
	}
	memcpy(last, in, length % 8);
	last[7] = (uint8) length;
	word = load_le64(last);
	v[3] ^= word;
	rounds(v, 2);
	v[0] ^= word;

	v[2] ^= 0xee;
	rounds(v, 4);
	hash[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
	v[1] ^= 0xdd;
	rounds(v, 4);
	hash[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

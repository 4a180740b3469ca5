/* SPDX-License-Identifier: PostgreSQL */
/*
 * base64.c
 *	  Base64 for bytea values and for tokens: strict on input, so that one value has one spelling.
 *
 * Called from: codec/value, codec/token, codec/keys. Calls: base/buf.
 */
#include "codec/base64.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"; /* by value */
static const char url_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"; /* the same */

void
base64_write(struct buf *out, const void *data, size_t length)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < length; i += 3)
	{
		size_t count = length - i < 3 ? length - i : 3;
		uint32_t bits = (uint32_t) p[i] << 16;

		if (count > 1)
			bits |= (uint32_t) p[i + 1] << 8;
		if (count > 2)
			bits |= p[i + 2];
		buf_add_char(out, alphabet[bits >> 18]);
		buf_add_char(out, alphabet[bits >> 12 & 63]);
		buf_add_char(out, count > 1 ? alphabet[bits >> 6 & 63] : '=');
		buf_add_char(out, count > 2 ? alphabet[bits & 63] : '=');
	}
}

/* Four letters at a time, the last group shorter by `missing`; bits that stand for nothing must be 0. */
static bool
read_letters(struct buf *out, const char *letters, const char *text, size_t length, size_t missing)
{
	for (size_t i = 0; i < length + missing; i += 4)
	{
		size_t count = i + 4 > length ? length - i : 4;
		uint32_t bits = 0;

		for (size_t k = 0; k < 4; k++)
		{
			const char *letter = k < count ? memchr(letters, text[i + k], 64) : letters;

			if (letter == NULL)
				return false;
			bits = bits << 6 | (uint32_t) (letter - letters);
		}
		if ((count == 2 && (bits & 0xffff) != 0) || (count == 3 && (bits & 0xff) != 0))
			return false;
		for (size_t k = 0; k + 1 < count; k++)
			buf_add_char(out, (char) (bits >> (16 - 8 * k)));
	}
	return true;
}

bool
base64_read(struct buf *out, const char *text, size_t length)
{
	size_t padding = 0;

	if (length % 4 != 0)
		return false;
	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	return read_letters(out, alphabet, text, length - padding, padding);
}

bool
base64url_read(struct buf *out, const char *text, size_t length)
{
	return length % 4 != 1 && read_letters(out, url_alphabet, text, length, (4 - length % 4) % 4);
}

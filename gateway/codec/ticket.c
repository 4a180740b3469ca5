/* SPDX-License-Identifier: PostgreSQL */
/*
 * ticket.c
 *	  Tickets: fixed fields and their HMAC-SHA-256, in hexadecimal, so that they may stand in a URL.
 *
 *	  kind (1 byte), user, login, subject, expiry (8 bytes each, most significant first), HMAC (32 bytes)
 *
 * Nothing is stored for a ticket: every process that has the key knows it when it sees it. So it may be used any number
 * of times until it expires, unless its subject is a number that somebody keeps account of.
 *
 * Called from: chat/ticket. Calls: OpenSSL.
 */
#include "codec/ticket.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#define NUMBERS   4                    /* fields behind the kind */
#define SAID      (1 + 8 * NUMBERS)    /* bytes that are signed */
#define SIGNATURE SHA256_DIGEST_LENGTH /* bytes */

void
ticket_make_key(const char *secret, unsigned char *key)
{
	SHA256((const unsigned char *) secret, strlen(secret), key);
}

static bool
sign(const unsigned char *bytes, const unsigned char *key, unsigned char *signature)
{
	unsigned length = SIGNATURE;

	return HMAC(EVP_sha256(), key, TICKET_KEY, bytes, SAID, signature, &length) != NULL;
}

void
ticket_write(struct buf *out, const struct ticket *ticket, const unsigned char *key)
{
	const int64_t numbers[NUMBERS] = {ticket->user_id, ticket->login_id, ticket->subject, ticket->expires};
	unsigned char bytes[SAID + SIGNATURE] = {(unsigned char) ticket->kind};

	for (int i = 0; i < NUMBERS; i++)
	{
		for (int k = 0; k < 8; k++)
			bytes[1 + 8 * i + k] = (unsigned char) ((uint64_t) numbers[i] >> (56 - 8 * k));
	}
	if (!sign(bytes, key, bytes + SAID))
		return;
	for (size_t i = 0; i < sizeof bytes; i++)
		buf_format(out, "%02x", bytes[i]);
}

static int
digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
read_bytes(const char *text, unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
	{
		int high = digit(text[2 * i]);
		int low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (unsigned char) (high << 4 | low);
	}
	return true;
}

bool
ticket_read(const char *text, size_t length, const unsigned char *key, struct ticket *ticket)
{
	unsigned char bytes[SAID + SIGNATURE];
	unsigned char signature[SIGNATURE];
	uint64_t numbers[NUMBERS] = {0};

	if (length != 2 * sizeof bytes || !read_bytes(text, bytes, sizeof bytes) ||
		!sign(bytes, key, signature) || CRYPTO_memcmp(signature, bytes + SAID, SIGNATURE) != 0)
		return false;
	for (int i = 0; i < NUMBERS; i++)
	{
		for (int k = 0; k < 8; k++)
			numbers[i] = numbers[i] << 8 | bytes[1 + 8 * i + k];
	}
	*ticket = (struct ticket){(enum ticket_kind) bytes[0], (int64_t) numbers[0], (int64_t) numbers[1],
							  (int64_t) numbers[2], (int64_t) numbers[3]};
	return true;
}

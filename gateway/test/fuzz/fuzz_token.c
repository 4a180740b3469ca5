/* SPDX-License-Identifier: PostgreSQL */
/*
 * Fuzzes access tokens and key sets: the text up to the first line's end is a token, what follows is a key set.
 *
 * Invariants: a token is never good, for nobody here can sign; whatever comes, nothing is left on the heap. The same
 * text is also taken for a header, and for claims, of a token that is right in all else but its signature, so that the
 * fuzzer gets past the base64 and to the keys soon.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "codec/token.h"

static const char known_keys[] =
	"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"d\",\"x\":\"11qYAYKxCrfVS_"
	"7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}"; /* of RFC 8037 and RFC 7515 */

static void
check(const char *text, const struct key_set *keys)
{
	static const struct token_rules rules = {"i", "a", 30, 1800000000};
	struct token token;

	if (token_check(text, keys, &rules, &token) == TOKEN_GOOD)
		abort();
}

static void
add_part(struct buf *out, const char *text, size_t length)
{
	struct buf part = {0};

	base64_write(&part, text, length);
	for (size_t i = 0; i < part.length && part.data[i] != '='; i++)
		buf_add_char(out, part.data[i] == '+' ? '-' : part.data[i] == '/' ? '_' : part.data[i]);
	buf_free(&part);
}

/* Put together with a signature of the right size for both known keys. */
static void
check_parts(const struct buf *header, const struct buf *claims, const struct key_set *keys)
{
	struct buf token = {0};

	add_part(&token, header->data, header->length);
	buf_add_char(&token, '.');
	add_part(&token, claims->data, claims->length);
	buf_add_char(&token, '.');
	for (int i = 0; i < 86; i++)
		buf_add_char(&token, i == 85 ? 'A' : 'x');
	check(buf_text(&token), keys);
	buf_free(&token);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct key_set *known;
	const char *text = (const char *) data;
	const char *line = size ? memchr(text, '\n', size) : NULL;
	size_t length = line ? (size_t) (line - text) : size;
	const char *why;
	struct key_set *keys = line ? keys_read(line + 1, size - length - 1, &why) : NULL;
	struct buf token = {0};
	struct buf header = {0};
	struct buf claims = {0};

	if (known == NULL)
		known = keys_read(known_keys, sizeof known_keys - 1, &why);
	if (known == NULL || keys_count(known) != 2)
		abort();
	buf_add(&token, text, length);
	check(buf_text(&token), keys ? keys : known);
	buf_add_text(&header, "{\"alg\":\"ES256\",\"kid\":\"e\"}");
	buf_add_text(&claims, "{\"iss\":\"i\",\"aud\":\"a\",\"sub\":\"s\",\"exp\":1800000300}");
	check_parts(&header, &token, keys ? keys : known);
	check_parts(&token, &claims, keys ? keys : known);
	check_parts(&header, &claims, keys ? keys : known);
	buf_free(&header);
	buf_free(&claims);
	keys_free(keys);
	buf_free(&token);
	return 0;
}

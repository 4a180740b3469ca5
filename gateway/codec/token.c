/* SPDX-License-Identifier: PostgreSQL */
/*
 * token.c
 *	  Access tokens: a JSON Web Token in the compact form of a JSON Web Signature (RFC 7515, 7519, 9068).
 *
 *	  header.claims.signature, each base64url
 *
 * 1. Size, shape, base64 without a spare bit, JSON without a name twice: one text, one meaning.
 * 2. Header: `alg` is one of a few (keys.c), no `crit`, `typ` none or an access token's. What the header says of keys
 *	  (`jwk`, `jku`, `x5c`) is never looked at; `kid` only picks one of the keys we have.
 * 3. Claims: `iss`, `aud`, `sub`, `exp`, which must be there, then `nbf` and `iat`.
 * 4. Key and signature last: so only a token that is right in all else can say that its key is not known, and have
 *	  the keys fetched again.
 *
 * Called from: chat/oidc. Calls: codec/keys, codec/json, codec/base64.
 */
#include "codec/token.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"

#define SUBJECT_MAX 255            /* bytes, as OpenID Connect has it */
#define DATE_MAX    253402300799LL /* 9999-12-31T23:59:59Z, the last that everybody can write */

/* The parts of a token that is being checked. */
struct parts
{
	struct buf header;    /* JSON text */
	struct buf claims;    /* JSON text */
	struct buf signature; /* bytes */
	size_t signed_length; /* of the token's text: header, dot, claims */
};

static const char *const words[] = {
	[TOKEN_GOOD] = "the access token is good",
	[TOKEN_MALFORMED] = "the access token is no signed token, or too long",
	[TOKEN_BAD_ALGORITHM] = "the access token is signed by an algorithm that is not allowed",
	[TOKEN_CRITICAL] = "the access token demands extensions that are not known here",
	[TOKEN_OTHER_TYPE] = "this is no access token",
	[TOKEN_BAD_CLAIMS] = "the access token lacks exp, iss, aud or sub, or one is malformed",
	[TOKEN_WRONG_ISSUER] = "the access token is of another issuer",
	[TOKEN_WRONG_AUDIENCE] = "the access token is for another audience",
	[TOKEN_EXPIRED] = "the access token has expired",
	[TOKEN_TOO_EARLY] = "the access token is not valid yet",
	[TOKEN_UNKNOWN_KEY] = "the access token is signed with an unknown key",
	[TOKEN_WRONG_KEY] = "the access token names no key for its algorithm",
	[TOKEN_BAD_SIGNATURE] = "the access token's signature is wrong",
};

const char *
token_words(enum token_verdict verdict)
{
	return words[verdict];
}

bool
token_has_shape(const char *text)
{
	int dots = 0;

	for (; *text != '\0'; text++)
		dots += *text == '.';
	return dots == 2;
}

static bool
split(const char *text, struct parts *parts)
{
	size_t length = strnlen(text, TOKEN_LIMIT + 1);
	const char *first = strchr(text, '.');
	const char *second = first ? strchr(first + 1, '.') : NULL;

	if (length > TOKEN_LIMIT || second == NULL)
		return false;
	parts->signed_length = (size_t) (second - text);
	return base64url_read(&parts->header, text, (size_t) (first - text)) &&
		   base64url_read(&parts->claims, first + 1, (size_t) (second - first - 1)) &&
		   base64url_read(&parts->signature, second + 1, length - parts->signed_length - 1) &&
		   parts->signature.length > 0;
}

static json_t *
read_object(const struct buf *text)
{
	const char *why;
	json_t *value = text->length > 0 ? json_read(text->data, text->length, &why) : NULL;

	if (json_is_object(value))
		return value;
	json_decref(value);
	return NULL;
}

static bool
is_access_token(const json_t *type)
{
	static const char *const types[] = {"at+jwt", "application/at+jwt", "JWT", "application/jwt"};

	for (size_t i = 0; json_is_string(type) && i < sizeof types / sizeof types[0]; i++)
	{
		if (strcasecmp(json_string_value(type), types[i]) == 0)
			return true;
	}
	return type == NULL;
}

static enum token_verdict
check_header(const json_t *header, const struct algorithm **algorithm)
{
	const json_t *name = json_object_get(header, "alg");
	const json_t *id = json_object_get(header, "kid");

	if (!json_is_string(name) || (id != NULL && !json_is_string(id)))
		return TOKEN_MALFORMED;
	*algorithm = algorithm_find(json_string_value(name));
	if (*algorithm == NULL)
		return TOKEN_BAD_ALGORITHM;
	if (json_object_get(header, "crit") != NULL)
		return TOKEN_CRITICAL;
	return is_access_token(json_object_get(header, "typ")) ? TOKEN_GOOD : TOKEN_OTHER_TYPE;
}

/* Seconds since 1970, rounded down. False: it is there and no such number. *date stays when it is not there. */
static bool
read_date(const json_t *claims, const char *name, int64_t *date)
{
	const json_t *value = json_object_get(claims, name);
	double seconds = json_number_value(value);

	if (value == NULL)
		return true;
	if (!json_is_number(value) || !(seconds >= 0 && seconds <= (double) DATE_MAX))
		return false;
	*date = json_is_integer(value) ? json_integer_value(value) : (int64_t) seconds;
	return true;
}

static enum token_verdict
check_times(const json_t *claims, const struct token_rules *rules, int64_t *ends_after)
{
	int64_t expires = -1;
	int64_t not_before = 0;
	int64_t issued = 0;

	if (!read_date(claims, "exp", &expires) || !read_date(claims, "nbf", &not_before) ||
		!read_date(claims, "iat", &issued) || expires < 0)
		return TOKEN_BAD_CLAIMS;
	*ends_after = expires + rules->leeway;
	if (*ends_after <= rules->now)
		return TOKEN_EXPIRED;
	return not_before > rules->now + rules->leeway || issued > rules->now + rules->leeway ? TOKEN_TOO_EARLY
																						  : TOKEN_GOOD;
}

static bool
equals(const json_t *value, const char *text)
{
	return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static bool
is_for(const json_t *audience, const char *us)
{
	for (size_t i = 0; i < json_array_size(audience); i++)
	{
		if (equals(json_array_get(audience, i), us))
			return true;
	}
	return equals(audience, us);
}

static enum token_verdict
check_claims(const json_t *claims, const struct token_rules *rules, int64_t *ends_after)
{
	const json_t *issuer = json_object_get(claims, "iss");
	const json_t *audience = json_object_get(claims, "aud");
	size_t subject = json_string_length(json_object_get(claims, "sub"));

	if (subject == 0 || subject > SUBJECT_MAX || !json_is_string(issuer) || audience == NULL)
		return TOKEN_BAD_CLAIMS;
	if (!equals(issuer, rules->issuer))
		return TOKEN_WRONG_ISSUER;
	if (!is_for(audience, rules->audience))
		return TOKEN_WRONG_AUDIENCE;
	return check_times(claims, rules, ends_after);
}

static enum token_verdict
check_signature(const char *text, const struct parts *parts, const char *id,
				const struct algorithm *algorithm, const struct key_set *keys)
{
	const struct key *key;

	switch (keys_find(keys, id, algorithm, &key))
	{
		case KEY_UNKNOWN:
			return TOKEN_UNKNOWN_KEY;
		case KEY_UNFITTING:
			return TOKEN_WRONG_KEY;
		default:
			return key_has_signed(key, algorithm, text, parts->signed_length, parts->signature.data,
								  parts->signature.length)
					   ? TOKEN_GOOD
					   : TOKEN_BAD_SIGNATURE;
	}
}

static enum token_verdict
check_parts(const char *text, struct parts *parts, const struct key_set *keys,
			const struct token_rules *rules, struct token *token)
{
	json_t *header = read_object(&parts->header);
	json_t *claims = read_object(&parts->claims);
	const struct algorithm *algorithm;
	enum token_verdict verdict = TOKEN_MALFORMED;
	int64_t ends_after = 0;

	if (header != NULL && claims != NULL)
		verdict = check_header(header, &algorithm);
	if (verdict == TOKEN_GOOD)
		verdict = check_claims(claims, rules, &ends_after);
	if (verdict == TOKEN_GOOD)
		verdict =
			check_signature(text, parts, json_string_value(json_object_get(header, "kid")), algorithm, keys);
	if (verdict == TOKEN_GOOD)
		*token = (struct token){.subject = mem_copy(json_string_value(json_object_get(claims, "sub"))),
								.claims = mem_copy(buf_text(&parts->claims)),
								.ends_after = ends_after};
	json_decref(header);
	json_decref(claims);
	return verdict;
}

enum token_verdict
token_check(const char *text, const struct key_set *keys, const struct token_rules *rules,
			struct token *token)
{
	struct parts parts = {0};
	enum token_verdict verdict = TOKEN_MALFORMED;

	if (token_has_shape(text) && split(text, &parts))
		verdict = check_parts(text, &parts, keys, rules, token);
	buf_free(&parts.header);
	buf_free(&parts.claims);
	buf_free(&parts.signature);
	return verdict;
}

void
token_free(struct token *token)
{
	mem_free(token->subject);
	mem_free(token->claims);
	*token = (struct token){0};
}

/* SPDX-License-Identifier: PostgreSQL */
/* Access tokens of an identity provider: signed, for us, and in time? See token.c. */
#ifndef CODEC_TOKEN_H
#define CODEC_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/keys.h"

#define TOKEN_LIMIT 8192 /* bytes of a token */

enum token_verdict
{
	TOKEN_GOOD,
	TOKEN_MALFORMED,      /* no signed token at all, or too long */
	TOKEN_BAD_ALGORITHM,  /* not one of those allowed */
	TOKEN_CRITICAL,       /* demands extensions; we know none */
	TOKEN_OTHER_TYPE,     /* no access token */
	TOKEN_BAD_CLAIMS,     /* a claim is missing or ill-typed */
	TOKEN_WRONG_ISSUER,   /* of somebody else */
	TOKEN_WRONG_AUDIENCE, /* for somebody else */
	TOKEN_EXPIRED,        /* it was good once, perhaps */
	TOKEN_TOO_EARLY,      /* not yet */
	TOKEN_UNKNOWN_KEY,    /* all else is right: newer keys may know */
	TOKEN_WRONG_KEY,      /* the key it names cannot be the one, or is not named well enough */
	TOKEN_BAD_SIGNATURE
};

/* What is asked of a token. */
struct token_rules
{
	const char *issuer;   /* `iss`, exactly */
	const char *audience; /* in `aud` */
	int64_t leeway;       /* seconds that clocks may differ */
	int64_t now;          /* seconds since 1970 */
};

/* What a good token says. */
struct token
{
	char *subject;      /* `sub`; owned */
	char *claims;       /* the JSON object with all of them; owned */
	int64_t ends_after; /* `exp` and the leeway: seconds since 1970 after which it is no good any more */
};

/* Three parts with dots between: no token of ours looks like that. */
extern bool token_has_shape(const char *text);

/* Read and check hostile text. Only with TOKEN_GOOD the token is filled, and is to be freed. */
extern enum token_verdict token_check(const char *text, const struct key_set *keys,
									  const struct token_rules *rules, struct token *token);
extern void token_free(struct token *token);

extern const char *token_words(enum token_verdict verdict); /* a sentence for people */

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Access tokens of the identity provider. See oidc.c. */
#ifndef CHAT_OIDC_H
#define CHAT_OIDC_H

#include <stdbool.h>

#include "base/list.h"
#include "codec/token.h"
#include "io/loop.h"

/* One token on its way. Lies inside the thing that wants to know, zeroed at first; that thing stays until `done`. */
struct oidc_check
{
	const char *token;          /* its maker keeps it */
	enum token_verdict verdict; /* what came out */
	bool unavailable;           /* nothing did: there are no keys to check it with */
	struct token found;         /* with TOKEN_GOOD; `done` frees it */
	void (*done)(struct oidc_check *check);

	/* oidc.c's from here on. */
	struct list node; /* among those that wait for keys */
	struct task task; /* done() at the end of the turn */
};

extern void
oidc_open(void); /* begins to fetch the keys; without oidc_issuer nothing happens, now and later */
extern void oidc_close(void); /* every check left is done, as unavailable */

extern bool oidc_is_token(const char *text); /* a provider's token, by its looks, and there is a provider */

/* Check a token; `done` comes later, within a few seconds. */
extern void oidc_check(struct oidc_check *check, const char *token, void (*done)(struct oidc_check *check));

#endif

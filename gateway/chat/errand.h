/* SPDX-License-Identifier: PostgreSQL */
/* A call that the gateway makes of its own for a visitor. See errand.c. */
#ifndef CHAT_ERRAND_H
#define CHAT_ERRAND_H

#include "base/buf.h"
#include "chat/catalog.h"
#include "chat/session.h"
#include "codec/rpc.h"

struct errand;

/* One argument by name. */
struct errand_value
{
	const char *name; /* of the parameter */
	const char *text; /* copied; NULL: the parameter's default */
};

/* Exactly once, unless abandoned. error NULL: there are rows. All but arg is gone when it returns. */
typedef void (*errand_done)(void *arg, const struct rpc_error *error, const struct method *method,
							const struct pg_result *result);

/*
 * Run a method for the visitor, on the connections for files. values: `count` of them. bytes: what the parameter
 * `bytes` gets, taken over (the buffer is empty afterwards), or NULL. binary: the rows are wanted so. Never calls
 * `done` before it returns.
 */
extern struct errand *errand_run(const struct session *session, const char *method,
								 const struct errand_value *values, int count, struct buf *bytes, bool binary,
								 errand_done done, void *arg);
extern void errand_abandon(struct errand *errand); /* it runs on, unheard; NULL is harmless */
extern void errand_start_all(void);                /* those that waited for the catalog */

#endif

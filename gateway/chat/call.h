/* SPDX-License-Identifier: PostgreSQL */
/* One request on its way from the socket to the database and back. See call.c. */
#ifndef CHAT_CALL_H
#define CHAT_CALL_H

#include <jansson.h>

#include "chat/reply.h"
#include "chat/session.h"
#include "codec/rpc.h"

struct call;

/* One request object. False: it is none. */
extern bool call_receive(struct session *session, struct reply *reply, json_t *value);

/* One that json_read has refused, although it is JSON; `why` is what it said. */
extern bool call_refuse(struct reply *reply, const char *text, size_t length, const char *why);

extern void call_advance(struct session *session); /* start what may start */
extern void call_abandon(struct session *session); /* the session is gone: nobody waits for these any more */

/* End a call that somebody else carried on: login. With them the call is freed and the session advances. */
extern void call_succeed(struct call *call, const char *result, size_t length);
extern void call_fail(struct call *call, const struct rpc_error *error);

#endif

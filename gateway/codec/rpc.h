/* SPDX-License-Identifier: PostgreSQL */
/* JSON-RPC 2.0: requests in, answers out. See rpc.c. */
#ifndef CODEC_RPC_H
#define CODEC_RPC_H

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/mem.h"

enum
{
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_UNKNOWN_METHOD = -32601,
	RPC_INVALID_PARAMS = -32602
};

/* One call, as the client wrote it. */
struct rpc_request
{
	const char *id;          /* JSON text to send back, in the arena; NULL: a notification, nobody waits */
	const char *method;      /* borrowed from the parsed JSON */
	const char *traceparent; /* borrowed from the parsed JSON; NULL: none */
	json_t *params;          /* object, borrowed from the parsed JSON; NULL: none */
};

/* What went wrong, for people and machines. All text is borrowed; NULL or 0: not said. */
struct rpc_error
{
	int code;              /* JSON-RPC's own, or the HTTP-like number */
	const char *message;   /* for people */
	const char *reason;    /* one snake_case word */
	const char *sqlstate;  /* when the database said it */
	const char *hint;      /* how to mend it */
	const char *parameter; /* the one concerned */
	long long retry_after; /* milliseconds; 0: not said */
};

/*
 * Read one request object. False: `error` is filled, request->id is what to answer to ("null" when it cannot be
 * known). Text goes into the arena.
 */
extern bool rpc_read(const json_t *value, struct arena *arena, struct rpc_request *request,
					 struct rpc_error *error);

/*
 * What to answer to a request that json_read has refused, although it is JSON; `why` is what it said. The error names the
 * parameter that is to blame, if one is.
 */
extern void rpc_read_refused(const char *text, size_t length, const char *why, struct arena *arena,
							 struct rpc_request *request, struct rpc_error *error);

/* Append a whole answer. `result` is JSON text. */
extern void rpc_write_result(struct buf *out, const char *id, const char *result, size_t length);
extern void rpc_write_error(struct buf *out, const char *id, const struct rpc_error *error);

/* Append a whole notification of the gateway's. `params` is JSON text. */
extern void rpc_write_notification(struct buf *out, const char *method, const char *params, size_t length);

#endif

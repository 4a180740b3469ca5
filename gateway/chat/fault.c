/* SPDX-License-Identifier: PostgreSQL */
/*
 * fault.c
 *	  Failures as the wire says them: code, reason, hint. The one place where a SQLSTATE becomes an answer.
 *
 *	  MCnnn             nnn, reason = DETAIL: the extension's own errors
 *	  P0001             400, reason = DETAIL or "raised": functions of others
 *	  57014, 55P03      503 timeout, 503 chat_busy
 *	  40001, 40P01      503 try_again: the second chance failed too
 *	  22xxx             -32602: a value that only the database could check
 *	  anything else     500 internal; its text goes into the log and nowhere else
 *
 * Called from: chat/. Calls: base/log.
 */
#include "chat/fault.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define RETRY_SOON 1000 /* milliseconds a client should wait before it tries again */

struct known
{
	const char *sqlstate; /* exactly this one */
	int code;             /* on the wire */
	const char *reason;   /* on the wire */
	const char *message;  /* for people */
};

static const struct known known_states[] = {
	{"57014", 503, "timeout", "the call took too long"},
	{"55P03", 503, "chat_busy", "somebody holds the chat locked"},
	{"40001", 503, "try_again", "the call met another one"},
	{"40P01", 503, "try_again", "the call met another one"},
};

struct rpc_error
fault_unknown_method(void)
{
	return (struct rpc_error){
		.code = RPC_UNKNOWN_METHOD, .message = "there is no such method", .reason = "unknown_method"};
}

struct rpc_error
fault_not_authenticated(void)
{
	return (struct rpc_error){.code = 401,
							  .message = "log in first",
							  .reason = "not_authenticated",
							  .hint = "call log_in or authenticate on this socket"};
}

struct rpc_error
fault_unavailable(void)
{
	return (struct rpc_error){.code = 503,
							  .message = "the database cannot be reached",
							  .reason = "unavailable",
							  .retry_after = RETRY_SOON};
}

struct rpc_error
fault_answer_too_large(void)
{
	return (struct rpc_error){.code = 413,
							  .message = "the answer is too large",
							  .reason = "answer_too_large",
							  .hint = "ask for less at a time, or put fewer calls in one batch"};
}

struct rpc_error
fault_session_ended(void)
{
	return (struct rpc_error){.code = 401,
							  .message = "the session has ended",
							  .reason = "bad_token",
							  .sqlstate = "MC401",
							  .hint = "log in again"};
}

struct rpc_error
fault_token_refused(const char *why, bool expired)
{
	return (struct rpc_error){.code = 401,
							  .message = why,
							  .reason = expired ? "session_expired" : "bad_token",
							  .sqlstate = "MC401",
							  .hint = "get a fresh one from the identity provider"};
}

struct rpc_error
fault_provider_unavailable(void)
{
	return (struct rpc_error){.code = 503,
							  .message = "the identity provider's keys cannot be had",
							  .reason = "unavailable",
							  .retry_after = RETRY_SOON};
}

struct rpc_error
fault_already_authenticated(void)
{
	return (struct rpc_error){.code = 409,
							  .message = "this socket belongs to a session already",
							  .reason = "already_authenticated",
							  .hint = "open another socket"};
}

struct rpc_error
fault_needs_socket(void)
{
	return (struct rpc_error){.code = 400,
							  .message = "this is for WebSockets",
							  .reason = "needs_socket",
							  .hint = "over HTTP each request carries its token in Authorization"};
}

struct rpc_error
fault_too_many_sockets(void)
{
	return (struct rpc_error){.code = 429,
							  .message = "this user has too many sockets open",
							  .reason = "too_many_sockets",
							  .hint = "close those that are not needed",
							  .retry_after = RETRY_SOON};
}

struct rpc_error
fault_rate_limited(long long wait)
{
	return (struct rpc_error){.code = 429,
							  .message = "too many calls",
							  .reason = "rate_limited",
							  .hint = "wait, or send fewer calls a second",
							  .retry_after = wait};
}

struct rpc_error
fault_bad_ticket(void)
{
	return (struct rpc_error){.code = 401,
							  .message = "the ticket is for something else, or has expired",
							  .reason = "bad_ticket",
							  .hint = "create_ticket makes another one"};
}

struct rpc_error
fault_bad_cursor(void)
{
	return (struct rpc_error){.code = 400,
							  .message = "that is no cursor",
							  .reason = "bad_cursor",
							  .hint = "pass the last one that was pushed, or none and read everything anew"};
}

struct rpc_error
fault_internal(void)
{
	return (struct rpc_error){.code = 500, .message = "internal error", .reason = "internal"};
}

struct rpc_error
fault_parameter(const char *parameter, const char *hint)
{
	return (struct rpc_error){.code = RPC_INVALID_PARAMS,
							  .message = "invalid params",
							  .reason = "invalid_params",
							  .parameter = parameter,
							  .hint = hint};
}

struct rpc_error
fault_reserved(const char *parameter)
{
	return (struct rpc_error){.code = RPC_INVALID_PARAMS,
							  .message = "invalid params",
							  .reason = "reserved_parameter",
							  .parameter = parameter,
							  .hint = "the gateway fills it in"};
}

/* An error whose code is 400 to 599 said by a function on purpose. */
static struct rpc_error
raised(int code, const char *reason, const struct pg_failure *failure)
{
	return (struct rpc_error){.code = code,
							  .message = failure->message,
							  .reason = failure->detail ? failure->detail : reason,
							  .sqlstate = failure->sqlstate,
							  .hint = failure->hint};
}

static struct rpc_error
from_sqlstate(const struct pg_failure *failure, const char *what)
{
	const char *state = failure->sqlstate;
	const char *detail = strncmp(state, "23", 2) == 0 ? NULL : failure->detail; /* shows a row's values */
	struct rpc_error error = fault_internal();

	if (strncmp(state, "MC", 2) == 0 && isdigit((unsigned char) state[2]))
		return raised(atoi(state + 2), "error", failure);
	if (strcmp(state, "P0001") == 0)
		return raised(400, "raised", failure);
	for (size_t i = 0; i < sizeof known_states / sizeof known_states[0]; i++)
	{
		if (strcmp(known_states[i].sqlstate, state) == 0)
			error = (struct rpc_error){.code = known_states[i].code,
									   .message = known_states[i].message,
									   .reason = known_states[i].reason,
									   .retry_after = RETRY_SOON};
	}
	if (strncmp(state, "22", 2) == 0)
		error = fault_parameter(NULL, failure->message);
	error.sqlstate = state;
	if (error.code == 500)
		log_write(LEVEL_ERROR, "call_failed", "%s: %s %s%s%s", what, state, failure->message,
				  detail ? "; " : "", detail ? detail : "");
	return error;
}

bool
fault_is_stale(const struct pg_result *result)
{
	const char *sqlstate = result_failure(result).sqlstate;

	return strcmp(sqlstate, "0A000") == 0 || strcmp(sqlstate, "42883") == 0 || strcmp(sqlstate, "42501") == 0;
}

struct rpc_error
fault_from_database(enum pg_verdict verdict, const struct pg_result *result, const char *what)
{
	struct pg_failure failure;

	switch (verdict)
	{
		case PG_FAILED:
			failure = result_failure(result);
			return from_sqlstate(&failure, what);
		case PG_CROWDED:
			return (struct rpc_error){.code = 429,
									  .message = "too many of your calls are waiting",
									  .reason = "too_many_calls",
									  .hint = "wait for answers before you send more",
									  .retry_after = RETRY_SOON};
		case PG_LATE:
			return (struct rpc_error){.code = 503,
									  .message = "too many calls are waiting",
									  .reason = "timeout",
									  .retry_after = RETRY_SOON};
		case PG_UNKNOWN:
			return (struct rpc_error){.code = 503,
									  .message = "the connection broke: the call may have happened or not",
									  .reason = "unknown_outcome",
									  .sqlstate = "MC503",
									  .hint = "look before you repeat it, or use a client_key"};
		default:
			return fault_unavailable();
	}
}

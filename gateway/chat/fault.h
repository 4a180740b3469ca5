/* SPDX-License-Identifier: PostgreSQL */
/* Failures as the wire says them. See fault.c. */
#ifndef CHAT_FAULT_H
#define CHAT_FAULT_H

#include <stdbool.h>

#include "codec/rpc.h"
#include "pg/result.h"

/* What to answer when a call did not end in PG_DONE. Text lives as long as the result. `what` is for the log. */
extern struct rpc_error fault_from_database(enum pg_verdict verdict, const struct pg_result *result,
											const char *what);

/* The function is not as the catalog says: other columns, gone, no longer granted. */
extern bool fault_is_stale(const struct pg_result *result);

/* The gateway's own refusals. */
extern struct rpc_error fault_unknown_method(void);
extern struct rpc_error fault_not_authenticated(void);
extern struct rpc_error fault_unavailable(void);
extern struct rpc_error fault_session_ended(void);
extern struct rpc_error fault_token_refused(const char *why, bool expired); /* an access token */
extern struct rpc_error fault_provider_unavailable(void);
extern struct rpc_error fault_answer_too_large(void);
extern struct rpc_error fault_already_authenticated(void);
extern struct rpc_error fault_needs_socket(void);
extern struct rpc_error fault_bad_ticket(void);
extern struct rpc_error fault_bad_cursor(void);
extern struct rpc_error fault_too_many_sockets(void);
extern struct rpc_error fault_rate_limited(long long wait);
extern struct rpc_error fault_internal(void);
extern struct rpc_error fault_parameter(const char *parameter, const char *hint);
extern struct rpc_error fault_reserved(const char *parameter);

#endif

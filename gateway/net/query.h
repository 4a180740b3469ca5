/* SPDX-License-Identifier: PostgreSQL */
/* What stands in the query of a request. See query.c. */
#ifndef NET_QUERY_H
#define NET_QUERY_H

#include <stdbool.h>

#include "net/http.h"

/* One that the request takes. */
struct query_parameter
{
	const char *name;
	bool number; /* its value is one, of 64 bits, 0 or more; else any text */
};

/*
 * Read the query into `values`, one for each of the parameters: owned by the caller, NULL when it is not there. False:
 * there is another one, or one is no good, and the request was refused.
 */
extern bool query_read(struct http *http, const struct query_parameter *parameters, int count, char **values);

/* What a parameter is refused with: a call's error, under the status 400. */
extern struct rpc_error query_fault(const char *parameter, const char *hint);

#endif

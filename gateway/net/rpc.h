/* SPDX-License-Identifier: PostgreSQL */
/* Calls by POST. See net/rpc.c. */
#ifndef NET_RPC_H
#define NET_RPC_H

#include "net/http.h"

extern void rpc_begin(struct http *http);
extern void rpc_close(void); /* at the end, when there are no requests */

#endif

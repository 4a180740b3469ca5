/* SPDX-License-Identifier: PostgreSQL */
/* Who takes which request. See route.c. */
#ifndef NET_ROUTE_H
#define NET_ROUTE_H

#include "net/http.h"

extern void route(struct http *http);                 /* gives it to somebody, or answers it */
extern bool route_refuses_upgrade(struct http *http); /* true: and it was answered */
extern void route_common_fields(struct http *http);   /* header lines that every answer has */

#endif

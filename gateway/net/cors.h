/* SPDX-License-Identifier: PostgreSQL */
/* Which pages may use this gateway from a browser. See cors.c. */
#ifndef NET_CORS_H
#define NET_CORS_H

#include "net/http.h"

extern bool cors_allows(const struct head *head); /* whether the request comes from a page that may */
extern void cors_add_fields(struct http *http);   /* header lines that let that page see the answer */
extern bool cors_preflight(struct http *http);    /* answers the browser's question; false: it is none */

#endif

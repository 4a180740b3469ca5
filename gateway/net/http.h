/* SPDX-License-Identifier: PostgreSQL */
/* Plain HTTP: health, readiness, static files. See http.c. The int results are for libwebsockets: nonzero closes. */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include "net/ws.h"

extern void http_open(void); /* opens web_root */
extern void http_close(void);

extern int http_request(struct lws *wsi, struct peer *peer);
extern int http_writeable(struct lws *wsi, struct peer *peer);
extern void http_closed(struct peer *peer);

#endif

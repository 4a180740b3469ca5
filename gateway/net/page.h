/* SPDX-License-Identifier: PostgreSQL */
/* Static files, health, readiness. See page.c. */
#ifndef NET_PAGE_H
#define NET_PAGE_H

#include "net/http.h"

extern void page_open(void); /* opens web_root */
extern void page_close(void);

extern void page_file(struct http *http);
extern void page_health(struct http *http);
extern void page_readiness(struct http *http);
extern void page_openrpc(struct http *http);
extern void page_socket(struct http *http); /* /ws without an upgrade */

#endif

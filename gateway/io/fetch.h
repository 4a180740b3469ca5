/* SPDX-License-Identifier: PostgreSQL */
/* Small documents over HTTP. See fetch.c. */
#ifndef IO_FETCH_H
#define IO_FETCH_H

#include <stddef.h>

extern void fetch_open(void);
extern void fetch_close(void); /* what is under way is given up, its `done` never called */

/*
 * GET a document. `done`, once and never from within: with why NULL the text is there, for as long as the call;
 * else `why` says in a few words what went wrong. `ca_file`: whom to trust, empty: whom the system trusts.
 */
extern void fetch_start(const char *url, const char *ca_file,
						void (*done)(const char *why, const char *text, size_t length));

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Small documents over HTTP. See fetch.c. */
#ifndef IO_FETCH_H
#define IO_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Each may be called by all who need it; the first closing ends it for everybody. */
extern void fetch_open(void);
extern void fetch_close(void); /* what is under way is given up, its `done` never called */

/*
 * GET a document. `done`, once and never from within: with why NULL the text is there, for as long as the call;
 * else `why` says in a few words what went wrong. `ca_file`: whom to trust, empty: whom the system trusts.
 */
extern void fetch_start(const char *url, const char *ca_file,
						void (*done)(const char *why, const char *text, size_t length));

/* POST a document of that type, taken over (the buffer is empty afterwards). `done` as above; the system's authorities. */
extern void fetch_post(const char *url, const char *type, struct buf *body,
					   void (*done)(const char *why, const char *text, size_t length));

/* Run the loop until none is under way any more, but no longer than that: for the end of a process. */
extern void fetch_wait(uint64_t milliseconds);

#endif

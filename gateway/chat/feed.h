/* SPDX-License-Identifier: PostgreSQL */
/* Notifications in, in order; events out to sessions. See feed.c. */
#ifndef CHAT_FEED_H
#define CHAT_FEED_H

#include <stdbool.h>

extern void feed_open(void);
extern void feed_close(void);
/* Both live during the call only. Channel NULL: it is for all whom it names, here. */
extern void feed_take(const char *channel, const char *payload);
extern void feed_lost(void);    /* the connection: what was about to come will not */
extern bool feed_is_full(void); /* so much waits that whoever can wait should */

#endif

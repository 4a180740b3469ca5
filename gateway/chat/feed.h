/* SPDX-License-Identifier: PostgreSQL */
/* Notifications in, in order; events out to sessions. See feed.c. */
#ifndef CHAT_FEED_H
#define CHAT_FEED_H

extern void feed_open(void);
extern void feed_close(void);
extern void feed_take(const char *channel, const char *payload); /* both live during the call only */
extern void feed_resync(void); /* `resync` to everybody, behind what is here already */

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Large chats: who of this worker's users is in which. See large.c. */
#ifndef CHAT_LARGE_H
#define CHAT_LARGE_H

#include <stdbool.h>
#include <stdint.h>

struct hub_user;

extern void large_open(void);
extern void large_close(void);

/* For hub and channel. */
extern void large_read(struct hub_user *user);   /* his channel is heard: find out which chats he is in */
extern void large_forget(struct hub_user *user); /* his channel is not heard any more */
extern void large_go_on(void);                   /* all chat channels are heard */

/*
 * For feed: has who is not in the chat any more, by what the database knows now, taken out of it; then calls done, with false
 * when that could not be found out. One at a time.
 */
extern void large_check(int64_t chat_id, void (*done)(bool good));

/* For feed: this event tells that they come into the chat, and see messages above `from`, or leave it. */
extern void large_change(struct hub_user *user, int64_t chat_id, int64_t event_id, int64_t from, bool leaves);

#endif

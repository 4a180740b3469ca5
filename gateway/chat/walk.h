/* SPDX-License-Identifier: PostgreSQL */
/* An event, or several, on the way to all sessions they are for. See walk.c. */
#ifndef CHAT_WALK_H
#define CHAT_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/roster.h"
#include "chat/session.h"
#include "codec/notification.h"

#define WALK_TOGETHER                                                                                        \
	8 /* events at most that a session gets one behind the other before the next session does */

/* One receiver more, or all sessions of a user; as hub_visit_fn and roster_visit_fn. */
extern void walk_collect(struct session *session, void *arg);
extern void walk_collect_user(struct roster_user *chats, void *arg);

/* To those collected: an event, or the cursor. Harmless when there are none. */
extern void walk_begin(const struct notification *notification);
extern void walk_begin_cursor(int64_t cursor);

/* Another event for those collected since; false: they are others than the first one's, or it has enough by it. */
extern bool walk_join(const struct notification *notification);

/* Nothing is for those collected; or they are replayed instead. */
extern void walk_cancel(void);
extern void walk_replay(void);

extern bool walk_is_on(void);
extern int walk_on(int most); /* to so many sessions more, at most; how many it has been */
extern void walk_close(void);

#endif

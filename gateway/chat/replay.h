/* SPDX-License-Identifier: PostgreSQL */
/* What a session has missed is read and pushed, before anything newer. See replay.c. */
#ifndef CHAT_REPLAY_H
#define CHAT_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/session.h"
#include "codec/notification.h"

/* All after `since`, as the client asked. Ends the replay it is in. */
extern void replay_start(struct session *session, int64_t since);

/* Something was not heard: all after the session's cursor, and from no later id than `limit`. */
extern void replay_from_cursor(struct session *session, int64_t limit);

extern void replay_advance(struct session *session); /* its user is known, or its queue shorter: go on */
extern void replay_leave(struct session *session);   /* it is closed */

/* A live event for the session. True: it is in a replay, which has seen to the event. */
extern bool replay_takes(struct session *session, struct message *message, const struct event_key *key);

extern bool replay_is_busy(void); /* some run, or wait for nothing but their turn */
extern void replay_close(void);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* What one user has of this worker. See account.c. */
#ifndef CHAT_ACCOUNT_H
#define CHAT_ACCOUNT_H

#include <stdbool.h>

#include "chat/session.h"

/* The session is this user's, or, below 0, that address's, until it is told otherwise, or leaves. */
extern void account_enter(struct session *session, int64_t key);
extern void account_leave(struct session *session);

extern bool account_has_room(int64_t user_id); /* for one more session */

/* So much more, or less, of memory is in use for answers and events that the session has not taken. */
extern void account_move(struct session *session, int64_t change);

/* Whether so many bytes more would be too much; then the sessions are advanced as soon as there is room again. */
extern bool account_is_full(const struct session *session, size_t more);

extern void account_close_all(void); /* at the very end */

#endif

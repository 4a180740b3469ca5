/* SPDX-License-Identifier: PostgreSQL */
/* From a token to a session that hears its user's events. See login.c. */
#ifndef CHAT_LOGIN_H
#define CHAT_LOGIN_H

#include "base/buf.h"
#include "chat/session.h"

struct call;

/*
 * Check the token for a call; its answer is `answer` (log_in's, copied) or, with NULL, authenticate's own; a cursor is
 * added. Events after the id `since` are replayed; NO_REPLAY: none.
 */
extern void login_with_token(struct session *session, const char *token, struct call *call,
							 const struct buf *answer, int64_t since);

/* The same for the token of an upgrade or a request: no call is answered, but a bad one closes the socket. */
extern void login_with_bearer(struct session *session, const char *token, int64_t since);

/* The same for a ticket: whose it is stands in it, and is good if that login is. */
extern void login_with_ticket(struct session *session, int64_t user_id, int64_t login_id, int64_t since);

/* Its login was ended, or some notifications were lost: what the database is about to say may be out of date. */
extern void login_ended(struct session *session, int64_t login_id);
extern void login_doubt(struct session *session);

extern void login_heard(struct session *session);   /* all that is for its user is heard now */
extern void login_abandon(struct session *session); /* the session is closed */

#endif

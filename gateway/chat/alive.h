/* SPDX-License-Identifier: PostgreSQL */
/* Whether logins are still good, where no notification says so. See alive.c. */
#ifndef CHAT_ALIVE_H
#define CHAT_ALIVE_H

#include "chat/session.h"

extern void alive_doubt(struct session *session); /* its login may have ended unheard: ask, close it if so */
extern void alive_until(struct session *session, int64_t milliseconds); /* it expires then: ask then */
extern void alive_forget(struct session *session);                      /* the session is closed */
extern void alive_close(void);                                          /* end of the worker */

#endif

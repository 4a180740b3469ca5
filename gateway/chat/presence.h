/* SPDX-License-Identifier: PostgreSQL */
/* The worker's lease: who has a socket here, as the database is told. See presence.c. */
#ifndef CHAT_PRESENCE_H
#define CHAT_PRESENCE_H

#include <stdbool.h>

#include "chat/session.h"

extern void presence_open(void);
extern void presence_close(void);

extern void presence_enter(struct session *session); /* it is logged in, or with another login than before */
extern void presence_leave(struct session *session); /* it is closed; harmless when it has not entered */
extern bool presence_is_settled(void);               /* the database was told all, as far as it can be had */

#endif

/* SPDX-License-Identifier: PostgreSQL */
/*
 * horizon.h: up to which id everything that was written is visible. See horizon.c.
 */
#ifndef CHAT_HORIZON_H
#define CHAT_HORIZON_H

#include "postgres.h"

/* Shared memory, when the library is preloaded: how much, and its start. */
extern Size horizon_memory(void);
extern void horizon_start(void);

/* Before a transaction takes an id, and when it has ended and what it published is on its way. */
extern void horizon_enter(void);
extern void horizon_leave(void);

/* At pre-commit: raises MC503 transaction_too_old where the horizon is a matter of time. */
extern void horizon_check_age(void);

/* An id such that whoever held one at or below it has ended. Raises 25006 on a standby. */
extern int64 horizon_id(void);

extern uint64 horizon_ids_made(void); /* since the server's start, in all databases; 0 without preload */

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* The worker's connections for calls. See pool.c. */
#ifndef PG_POOL_H
#define PG_POOL_H

#include <stdbool.h>

#include "pg/call.h"

extern void pool_open(void);  /* begins to connect */
extern void pool_close(void); /* every call left is done with PG_UNAVAILABLE */

/* Run a call; `done` comes later. Calls of one user for one chat run in the order they are submitted, in the grouped lane. */
extern void pool_submit(struct pg_call *call);

extern bool pool_is_ready(void);          /* every call would find a connection */
extern void pool_forget_statements(void); /* functions have changed: prepare anew */

#endif

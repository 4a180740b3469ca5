/* SPDX-License-Identifier: PostgreSQL */
/* Chats whose row somebody holds locked. See held.c. */
#ifndef PG_HELD_H
#define PG_HELD_H

#include <stdbool.h>
#include <stdint.h>

extern void held_open(void);
extern void held_close(void);

extern void held_begin(int64_t chat); /* it is, for the next seconds at least */
extern bool held_enter(int64_t chat); /* one more call of it, if it is; false: it is not */
extern void held_leave(int64_t chat); /* a call that has entered is over */

#endif

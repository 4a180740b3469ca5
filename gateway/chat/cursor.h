/* SPDX-License-Identifier: PostgreSQL */
/* How far everything has arrived here, and by which way it comes. See cursor.c. */
#ifndef CHAT_CURSOR_H
#define CHAT_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

extern void cursor_open(void);
extern void cursor_close(void);
extern void cursor_ask(void); /* now, not only when it is time */

/* Whether a client may have it as its cursor: not negative, nor more than a minute ahead of the clock. */
extern bool cursor_is_possible(int64_t id);

/* For feed. */
extern bool cursor_is_on(const char *channel); /* markers come there */
extern void cursor_stir(void);                 /* something else than a marker has come */
extern void cursor_came(int64_t id);           /* and its turn too, if it is an event with this id */

/* A marker's turn has come. The cursor that sessions are to be told; 0: none. */
extern int64_t cursor_passed(int64_t horizon);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Whose presence sockets watch, and what they are told of it. See watch.c. */
#ifndef CHAT_WATCH_H
#define CHAT_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "chat/session.h"
#include "codec/json.h"

#define WATCH_EVERYBODY 0 /* the user on whose channel presence_changed of all users is published */

extern void watch_open(void);
extern void watch_close(void);

/* The session watches these users from now on, and nobody else: they are told at once. */
extern void watch_set(struct session *session, const int64_t *user_ids, size_t count);
extern void watch_again(struct session *session); /* it has missed something: all of them are told anew */
extern void watch_leave(struct session *session); /* it is closed */

/* For hub and feed. */
extern void watch_heard(void);                        /* changes are heard from now on, perhaps after a gap */
extern void watch_changed(const struct slice *event); /* a presence_changed */

#endif

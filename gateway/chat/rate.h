/* SPDX-License-Identifier: PostgreSQL */
/* How many calls a second, and bytes of them. See rate.c. */
#ifndef CHAT_RATE_H
#define CHAT_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/session.h"

enum rate_verdict
{
	RATE_GOOD,
	RATE_OVER,   /* this call is one too many: *wait says when to try again */
	RATE_FLOODED /* and there were many such: who sends them does not listen */
};

/* One call more of this session's user, or of its address when nobody is logged in. wait: milliseconds. */
extern enum rate_verdict rate_count(const struct session *session, long long *wait);

/* The same for a call of an anonymous method, by its address. */
extern enum rate_verdict rate_count_anonymous(const struct session *session, long long *wait);

/* A message of so many bytes has come from this session's user or address. Milliseconds until more should be read; 0: go on. */
extern uint64_t rate_take_bytes(const struct session *session, size_t bytes);

extern void rate_close(void);

#endif

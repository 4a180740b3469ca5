/* SPDX-License-Identifier: PostgreSQL */
/* Which of this worker's users are in which large chat. See roster.c. */
#ifndef CHAT_ROSTER_H
#define CHAT_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* A user's part in it; lies inside the user. */
struct roster_user
{
	struct list places; /* struct place: the chats that he is in */
};

typedef void (*roster_visit_fn)(struct roster_user *user, void *arg);

extern void roster_open(void);
extern void roster_close(void); /* when every user has been cleared */
extern void roster_init(struct roster_user *user);

/*
 * Since which event they are in the chat, where they were not yet, and from which message on (not this one) they see any.
 * `seen`: the chat's last event when that was true, which counts for its first user here.
 */
extern void roster_add(struct roster_user *user, int64_t chat_id, int64_t since, int64_t from, int64_t seen);
extern void roster_remove(struct roster_user *user, int64_t chat_id); /* harmless when he is not in it */
extern void roster_clear(struct roster_user *user);                   /* out of all chats */
extern bool roster_has(const struct roster_user *user, int64_t chat_id, int64_t *since);

/* Whether something is missing between the chat's last event and this one; and that this is its last one now. */
extern bool roster_gap(int64_t chat_id, int64_t event_id, int64_t prev_id);
extern void roster_saw(int64_t chat_id, int64_t event_id);

/* Of those in a chat; 0: no matter. */
struct roster_choice
{
	int64_t event_id; /* who was in it at this event already */
	int64_t sees;     /* who sees this message */
	int64_t lacks;    /* who does not see it */
};

/* Everybody who is chosen; NULL: everybody. The visitor changes nothing here. */
extern void roster_each(int64_t chat_id, const struct roster_choice *choice, roster_visit_fn visit,
						void *arg);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Who hears what: users, their sessions, their channels. See hub.c. */
#ifndef CHAT_HUB_H
#define CHAT_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/roster.h"
#include "chat/session.h"

struct hub_channel;

/* What is known of the large chats that a user is in. */
enum hub_state
{
	USER_UNHEARD, /* nothing: his channel is not heard yet */
	USER_WAITING, /* nothing: to be read */
	USER_ASKED,   /* nothing: being read */
	USER_KNOWN    /* all */
};

/* For hub, large and feed. */
struct hub_user
{
	struct hub_channel *channel; /* where he is told what concerns him; NULL only while he is being made */
	struct list neighbours;      /* among the channel's users */
	struct list sessions;        /* struct session by neighbours */
	enum hub_state state;        /* above */
	struct list reading;         /* in large.c's waiting or asked */
	struct roster_user chats;    /* the large chats that he is in */
	struct task reap;            /* frees him when no session came back by the end of the turn */
	char id[24];                 /* decimal */
};

typedef void (*hub_visit_fn)(struct session *session, void *arg);

extern void hub_open(void);
extern void hub_close(void);

/* The session is one of the user's from now on. True: all that is for him is heard; else login_heard follows. */
extern bool hub_join(struct session *session, int64_t user_id, const char *channel);
extern void hub_leave(struct session *session); /* harmless when it has not joined */

/* For large and feed. */
extern struct hub_user *hub_find(const char *id);                        /* NULL: no session here is his */
extern bool hub_is_on(const struct hub_user *user, const char *channel); /* that is his channel */
extern void hub_known(struct hub_user *user); /* his state is USER_KNOWN from now on */
extern void hub_lose_track(void); /* notifications were dropped: large chats are read again, then `resync` */
extern void hub_each_session(hub_visit_fn visit, void *arg);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Who hears what: users, their sessions, and what becomes of them when something was not heard. See hub.c. */
#ifndef CHAT_HUB_H
#define CHAT_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/roster.h"
#include "chat/session.h"

struct hub_channel;

/* What is known of where a user is heard, and of the large chats that he is in. */
enum hub_state
{
	USER_UNNAMED, /* his channel may have another name now: to be read */
	USER_NAMING,  /* the same: being read */
	USER_UNHEARD, /* LISTEN has not come back */
	USER_WAITING, /* he is heard; his large chats are to be read */
	USER_ASKED,   /* the same: being read */
	USER_KNOWN    /* all: whatever is published for him from now on reaches his sessions */
};

/* For hub, channel, large, feed and replay. */
struct hub_user
{
	struct hub_channel *channel; /* where he is told what concerns him; NULL only while he is being made */
	struct list neighbours;      /* among the channel's users */
	struct list formers;         /* channels he was on before; channel.c's */
	struct list sessions;        /* struct session by neighbours */
	enum hub_state state;        /* above */
	struct list reading;         /* in one of channel.c's or large.c's lists, as his state says */
	struct roster_user chats;    /* the large chats that he is in */
	struct replay *replaying;    /* the one that takes his turn: in line or ASKED; replay.c's */
	bool attended;               /* heard without a session: for watch.c */
	struct task reap;            /* frees him when no session came back by the end of the turn */
	char id[24];                 /* decimal */
};

typedef void (*hub_visit_fn)(struct session *session, void *arg);
typedef void (*hub_user_fn)(struct hub_user *user, void *arg);

extern void hub_open(void);
extern void hub_close(void);

/* The session is one of the user's from now on. True: all that is for him is heard; else login_heard follows. */
extern bool hub_join(struct session *session, int64_t user_id, const char *channel);
extern void hub_leave(struct session *session);          /* harmless when it has not joined */
extern bool hub_is_known(const struct session *session); /* all that is for its user is heard, still */

/* For login: what the database calls his channel now. False: it was another, and he is not heard for a moment. */
extern bool hub_confirm_channel(struct session *session, const char *channel, int64_t now);

/* For watch: a user without sessions, whose channel is to be heard all the same. watch_heard says when it is. */
extern void hub_attend(int64_t user_id);  /* harmless when he is attended already */
extern void hub_neglect(int64_t user_id); /* undoes it; the same */
extern bool hub_hears(int64_t user_id);   /* he is KNOWN */

/* For channel, large, feed, cursor and outbox. */
extern struct hub_user *hub_find(const char *id); /* NULL: no session here is his */
extern void hub_known(struct hub_user *user);     /* his state is USER_KNOWN from now on */
extern void hub_each_session(hub_visit_fn visit, void *arg);
extern void hub_each_user(hub_user_fn visit, void *arg);

/* Something was not heard: everybody's sessions are replayed, from their cursor and from no later id than `limit`. */
extern void hub_replay_all(int64_t limit);
extern void hub_resync(void);      /* the same, but one round a while */
extern bool hub_is_doubtful(void); /* that is to happen, but is put off: no cursor may move */

/* What is published is heard: LISTEN has come back since the connection was last made. */
extern bool hub_is_hearing(void);

#endif

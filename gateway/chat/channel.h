/* SPDX-License-Identifier: PostgreSQL */
/* The channels that users and large chats are heard on, and their names. See channel.c. */
#ifndef CHAT_CHANNEL_H
#define CHAT_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

struct hub_user;

#define CHANNEL_RESYNC "chat_resync" /* notifications were lost, or names have changed */

/* SQL: about the least id that is still to come, whatever transaction takes it. */
#define CHANNEL_NOW "((extract(epoch FROM clock_timestamp()) * 1000)::bigint - 1735689600000) << 22"

extern void channel_open(void);
extern void channel_close(void);

/* A user's. The name is what the database said last. */
extern void channel_join(struct hub_user *user, const char *name);        /* his first one */
extern void channel_leave(struct hub_user *user);                         /* out of all of his */
extern bool channel_is_of(const struct hub_user *user, const char *name); /* now, or a former one */
extern bool channel_is_now(const struct hub_user *user, const char *name);

/* He has another one now; the former is heard until all that was begun before `now` (CHANNEL_NOW) has ended. */
extern void channel_rename(struct hub_user *user, const char *name, int64_t now);

/* Names may have changed: these users' (each by channel_doubt), and, by the second, those of large chats. */
extern void channel_doubt(struct hub_user *user);
extern void channel_name(struct hub_user *user); /* the same, of one who may have none yet, and at once */
extern void channel_read_again(void);

extern bool channel_chats_heard(void);       /* all of the large chats' */
extern void channel_heard(const char *name); /* LISTEN has come back */
extern void channel_passed(int64_t horizon); /* all up to this id has arrived: former channels may go */

#endif

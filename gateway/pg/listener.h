/* SPDX-License-Identifier: PostgreSQL */
/* The worker's LISTEN connection. See listener.c. */
#ifndef PG_LISTENER_H
#define PG_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

struct listener_owner
{
	void (*listening)(const char *channel); /* LISTEN has come back: from now on it is heard */
	void (*notified)(const char *channel, const char *payload); /* both live during the call only */
	void (*lost)(void); /* no channel is heard any more, until `listening` says so again */
};

extern void listener_open(const struct listener_owner *owner);
extern void listener_close(void);

/* Want a channel, once more; its whole name, or its handle when nobody here knows more (listener.c). True: it is heard already, `listening` will not be called for this one. */
extern bool listener_add(const char *channel);
extern void listener_drop(const char *channel);  /* undoes one listener_add */
extern bool listener_hears(const char *channel); /* its LISTEN has come back */

#endif

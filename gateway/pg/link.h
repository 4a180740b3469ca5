/* SPDX-License-Identifier: PostgreSQL */
/* One PostgreSQL connection on the loop: connected, set up, watched, connected again. See link.c. */
#ifndef PG_LINK_H
#define PG_LINK_H

#include <stdbool.h>

#include <libpq-fe.h>

struct link;

/* What the owner of a link hears. Only `lost` may come from within a call of the owner's own: link_flush, link_lost. */
struct link_owner
{
	void (*ready)(void *owner);    /* connected and set up */
	void (*readable)(void *owner); /* input was consumed: look for results and notifications */
	void (*lost)(void *owner);     /* all that was sent is gone; it reconnects by itself */
};

/* `setup` is SQL run after each connect. All text is borrowed for the link's life. Begins to connect at once. */
extern struct link *link_open(const char *name, const char *dsn, const char *setup,
							  const struct link_owner *owner, void *arg);
extern void link_close(struct link *link); /* says nothing to the owner; frees it at the end of the turn */
extern bool link_is_ready(const struct link *link);
extern PGconn *link_pg(struct link *link); /* NULL unless ready */

/* Get on with sending what libpq holds. */
extern void link_flush(struct link *link);

/* The one way a connection ends: logged, counted, the owner told, another attempt planned. */
extern void link_lost(struct link *link, const char *reason);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Connections that serve the same queues. See crew.c. */
#ifndef PG_CREW_H
#define PG_CREW_H

#include <stdbool.h>

#include "base/list.h"
#include "pg/conn.h"

struct crew;

/* What the owner hears; `holder` is whom crew_send was told, and the connection is not theirs any more. */
struct crew_owner
{
	void (*changed)(void); /* one is free, or the crew is down */
	void (*finished)(void *holder, struct list *calls, struct pg_call *culprit, struct pg_result *failure);
	void (*lost)(void *holder, struct list *calls); /* what was on its way may have happened or not */
};

/*
 * At most `size` connections, of which `kept` are made at once and stay; each runs `setup` first. All named by the text and
 * numbers from `number`. All text is borrowed.
 */
extern struct crew *crew_open(const char *name, int number, int size, int kept, const char *setup,
							  const struct crew_owner *owner);
extern void crew_close(struct crew *crew);                      /* holders lose them */
extern bool crew_has_free(const struct crew *crew, int spared); /* more than so many are */
extern void
crew_send(struct crew *crew, struct list *calls, const struct conn_limits *limits, void *holder,
		  int series); /* by one that is free; while busy it stands in that series of the statistics */
extern void crew_want(struct crew *crew, int count); /* so many more than are ready */
extern int crew_ready(const struct crew *crew);      /* connections that are made */
extern bool crew_is_down(const struct crew *crew);   /* none has been for longer than unavailable_after */
extern void crew_forget_statements(struct crew *crew);

#endif

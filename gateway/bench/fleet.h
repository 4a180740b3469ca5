/* SPDX-License-Identifier: PostgreSQL */
/* All sessions of a run: opened, logged in, reopened. See fleet.c. */
#ifndef BENCH_FLEET_H
#define BENCH_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/ledger.h"

/* One session. */
struct seat
{
	int index;             /* in fleet.seats */
	char *token;           /* owned */
	char chat[24];         /* the chat it talks in */
	char cursor[24];       /* as told by the gateway; empty: not yet */
	struct client *client; /* NULL: no socket */
	bool ready;            /* logged in */
	bool replayed;         /* `synced` has come since */
	int attempts;          /* connections in a row that did not get ready */
	int64_t sent;          /* messages so far: the next one's number */
	int64_t last_event;    /* id of the newest durable event that came */
	struct ledger ledger;  /* what the one talking to it has sent */
};

struct fleet
{
	struct seat *seats; /* owned */
	int count;          /* of seats */
	int active;         /* of them, those that talk: the first ones */
	int ready;          /* of them logged in now */
	int refused;        /* logins put off by the gateway */
};

/* What a mode does; NULL where it does nothing. */
struct mode
{
	const char *name;        /* on the command line */
	void (*begin)(void);     /* before the first socket */
	void (*all_ready)(void); /* each time all are logged in */
	void (*answered)(struct seat *seat, int64_t id, const char *text, size_t length); /* to its own calls */
	void (*heard)(struct seat *seat, const char *text, size_t length);                /* a push */
	void (*synced)(struct seat *seat);                                                /* its replay is over */
	bool reopens; /* sockets that close are opened anew */
	bool resumes; /* with `since` */
};

extern struct fleet fleet;

extern void fleet_open(const struct mode *mode);
extern void fleet_call(struct seat *seat, int64_t id, const char *method, const char *params);
extern int64_t fleet_now(void); /* nanoseconds, monotonic */

#endif

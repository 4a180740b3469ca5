/* SPDX-License-Identifier: PostgreSQL */
/*
 * chat.h: what the extension's files share: its GUCs, one way to run a saved plan, one way to cache a table.
 */
#ifndef CHAT_H
#define CHAT_H

#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
#if PG_VERSION_NUM < 150000
#error "chat needs PostgreSQL 15 or later"
#endif

/* GUCs (defined in chat.c; all PGC_SIGHUP: never a user's to change) */
typedef enum
{
	DELIVERY_DEFERRED, /* after the commit, by a notifier; transactional where there is no ring to be had */
	DELIVERY_TRANSACTIONAL, /* NOTIFY in the writer's transaction */
	DELIVERY_OUTBOX,        /* rows of chat.outbox */
	DELIVERY_NONE           /* events are built for nobody: bulk loads, benchmarks */
} Delivery;

typedef enum
{
	USER_CHANNELS_OWN,   /* one channel per user */
	USER_CHANNELS_SHARED /* one channel for all users */
} UserChannels;

extern int chat_node_id;         /* 0..1023, unique among the servers that make ids for one data set */
extern int chat_delivery;        /* Delivery */
extern int chat_user_channels;   /* UserChannels */
extern int chat_lock_timeout;    /* ms a writer waits for a chat's row; 0 = as lock_timeout says */
extern int chat_horizon_overlap; /* ms */
extern bool chat_direct_tables; /* table.c; off: everything by statements, for comparison (superusers only) */

extern bool chat_debug_unchecked; /* publish.c; for tests: bad names of channels get as far as the ring */

/* For tests: where transactions stop for half a second (chat.debug_pause; superusers only). */
typedef enum
{
	PAUSE_NONE,
	PAUSE_ENTER, /* between the horizon's slot and the first id */
	PAUSE_PUSH,  /* committed, the ring does not know it yet */
	PAUSE_LEAVE  /* the ring knows, the horizon's slot is not empty yet */
} Pause;

extern void chat_pause(Pause where);

/* The owner of the extension's tables (chat_owner) becomes the current user; SetUserIdAndSecContext undoes it. */
extern void chat_become_owner(Oid *user, int *context);

/*
 * A statement of ours with its plan kept for the life of the backend: declared static next to its only caller,
 * prepared at first use, planned again by PostgreSQL whenever an object under it changes. Always the generic plan, as all of
 * them go by keys: PostgreSQL would else compare costs, and where a few chats are far larger than most, an average
 * chat looks dearer than any it is called for, so that it plans at every call.
 */
typedef struct Statement
{
	const char *sql; /* parameters as $1.. */
	int nargs;
	Oid args[15];
	SPIPlanPtr plan; /* NULL until first use; kept */
} Statement;

/* Runs it (inside SPI_connect), returns the SPI code; raises what PostgreSQL raises. nulls may be NULL. */
extern int statement_run(Statement *statement, Datum *values, const char *nulls, bool read_only);

/*
 * What a function with OUT parameters returns: a row of these values, none of which is NULL. *shape, static in the function, is
 * NULL before the first time and then kept for the life of the backend.
 */
extern Datum row_of(FunctionCallInfo fcinfo, TupleDesc *shape, Datum *values);

/*
 * A small table that each backend keeps in memory and reads again after any change, committed by whomever: the
 * table's trigger `invalidate_cache` sends a relcache invalidation, which PostgreSQL delivers before the next
 * statement that follows the commit.
 */
typedef struct TableCache
{
	const char *table;  /* name in schema chat */
	void (*load)(void); /* called inside SPI_connect with the latest snapshot */
	bool valid;         /* false: load before use */
	Oid relid;          /* of the table when it was loaded */
	bool registered;    /* the invalidation callback is in place */
} TableCache;

extern void table_cache_use(TableCache *cache);

/*
 * True when an id was taken (take_id, next_event) by this very transaction. Triggers publish only such rows, so
 * that a restore, a COPY or a logical-replication apply publishes nothing.
 */
extern bool clock_took(int64 id);

#endif

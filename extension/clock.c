/* SPDX-License-Identifier: PostgreSQL */
/*
 * clock.c: the hybrid logical clock that makes ids.
 *
 * An id is (milliseconds since 2025 : 41 | node : 10 | sequence : 12). The clock itself has no node: it is one
 * 64-bit number, the tick = milliseconds << 12 | sequence, and an id is a tick with the node put in between.
 *
 *	1  next tick = max(last tick + 1, wall clock, above after_id), by compare-and-swap on shared memory. More than
 *	   4,096 ids in a millisecond, or a wall clock set back, only make the tick run ahead of the wall.
 *	2  A tick is used only below the ceiling, which stands in the sequence chat.id_ceiling: WAL-logged, flushed
 *	   before use, replicated to standbys, dumped by pg_dump. When a backend's copy of the ceiling is reached, it
 *	   raises the sequence by CEILING_STEP under a lock on that sequence and flushes.
 *	3  After a restart the shared tick is 0. A database's first id then lifts it to that database's ceiling, so
 *	   ids go on above all that may have been used, after a crash or on a promoted standby too. `recovered` in
 *	   shared memory says for which databases this was done; the others' ceilings do not matter, as ids are
 *	   unique within a database. When `recovered` is full, further databases pay with a clock that each new
 *	   backend moves ahead by at most CEILING_STEP: harmless. A ceiling further ahead than this server can have
 *	   put it came with a restored dump, and lifts the clock too.
 *
 * Shared memory is PostgreSQL's when the library is preloaded. Otherwise it is a file in pg_stat_tmp, mapped by
 * each backend, whose name carries the postmaster's start time: a new server begins with a new zeroed file, so
 * that what a file may have lost in a power cut is never believed.
 *
 * Ids taken by the current transaction (clock_take_id) are remembered till its end, ascending, for clock_took.
 *
 * Called from: the SQL functions below, order.c, horizon.c, transaction.c. Locks: the sequence, SHARE UPDATE EXCLUSIVE, held for one read
 * and one setval every CEILING_STEP. Nothing here waits for another writer otherwise.
 */
#include "clock.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "access/xlog.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/fd.h"
#include "storage/lmgr.h"
#include "storage/shmem.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "chat.h"
#include "errors.h"
#include "horizon.h"

#define SEQUENCE_BITS 12
#define NODE_BITS     10
#define TICK_MS       ((uint64) 1 << SEQUENCE_BITS)           /* ticks in a millisecond */
#define EPOCH_UNIX_MS INT64CONST(1735689600000)               /* 2025-01-01T00:00Z */
#define EPOCH_PG_US   (INT64CONST(789004800) * USECS_PER_SEC) /* the same, since 2000-01-01T00:00Z */
#define MAX_MS        ((INT64CONST(1) << 41) - 1)             /* September 2094 */
#define CEILING_STEP  (2000 * TICK_MS)  /* 2 s: how far ids may jump ahead by a restart */
#define MAX_AHEAD     (60000 * TICK_MS) /* after_id may lie this far ahead of the clock */
#define MAX_DATABASES 128

typedef struct ClockShared
{
	pg_atomic_uint64 tick;                     /* last tick used by any backend; 0 after a start */
	pg_atomic_uint32 recovered[MAX_DATABASES]; /* oids whose ceiling the tick has passed; 0 = free */
} ClockShared;

static ClockShared *shared = NULL; /* PostgreSQL's shared memory or our mapped file; for the process's life */
static uint64 ceiling = 0;         /* ticks below it may be used; this backend's copy; 0 = not read yet */
static Oid ceiling_relid = InvalidOid; /* the sequence it was read from */

static int64 *taken = NULL; /* ids of this transaction, ascending; TopTransactionContext */
static int ntaken = 0;
static int taken_size = 0;

Size
clock_memory(void)
{
	return sizeof(ClockShared);
}

void
clock_start(void)
{
	bool found;

	shared = ShmemInitStruct("chat clock", sizeof(ClockShared), &found);
	if (!found)
		memset(shared, 0, sizeof(ClockShared));
}

/* Removes the files of earlier servers in this data directory. */
static void
remove_stale_files(const char *current)
{
	DIR *dir = AllocateDir(PG_STAT_TMP_DIR);
	struct dirent *entry;

	while ((entry = ReadDirExtended(dir, PG_STAT_TMP_DIR, DEBUG1)) != NULL)
	{
		char path[MAXPGPATH];

		if (strncmp(entry->d_name, "chat_clock.", strlen("chat_clock.")) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", PG_STAT_TMP_DIR, entry->d_name);
		if (strcmp(path, current) != 0)
			unlink(path);
	}
	FreeDir(dir);
}

static void
map_file(void)
{
	char path[MAXPGPATH];
	int fd;
	int failure;
	void *memory;

	snprintf(path, sizeof(path), "%s/chat_clock." UINT64_FORMAT, PG_STAT_TMP_DIR, (uint64) PgStartTime);
	fd = BasicOpenFile(path, O_RDWR | O_CREAT | PG_BINARY);
	if (fd < 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", path)));
	/* Not ftruncate: a hole that a full disk cannot fill would be a SIGBUS at the first write. */
	failure = posix_fallocate(fd, 0, sizeof(ClockShared));
	if (failure != 0)
	{
		close(fd);
		errno = failure;
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not allocate file \"%s\": %m", path)));
	}
	memory = mmap(NULL, sizeof(ClockShared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memory == MAP_FAILED)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not map file \"%s\": %m", path)));
	shared = memory;
	remove_stale_files(path);
}

static uint64
wall_tick(void)
{
	struct timespec now;
	int64 ms;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (int64) now.tv_sec * 1000 + now.tv_nsec / 1000000 - EPOCH_UNIX_MS;
	return ms > 0 ? (uint64) ms << SEQUENCE_BITS : 0;
}

/* Moves the shared tick to at least `floor` and at least one on; returns the tick that is now ours. */
static uint64
advance(uint64 floor)
{
	uint64 last = pg_atomic_read_u64(&shared->tick);
	uint64 next;

	do
		next = Max(last + 1, floor);
	while (!pg_atomic_compare_exchange_u64(&shared->tick, &last, next));
	return next;
}

static bool
is_recovered(void)
{
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		uint32 oid = pg_atomic_read_u32(&shared->recovered[i]);

		if (oid == (uint32) MyDatabaseId)
			return true;
		if (oid == 0)
			return false;
	}
	return false;
}

static void
set_recovered(void)
{
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		uint32 oid = 0;

		if (pg_atomic_compare_exchange_u32(&shared->recovered[i], &oid, (uint32) MyDatabaseId) ||
			oid == (uint32) MyDatabaseId)
			return;
	}
}

static uint64
read_ceiling(void)
{
	static Statement statement = {"SELECT last_value FROM chat.id_ceiling", 0, {0}, NULL};
	bool isnull;

	statement_run(&statement, NULL, NULL, true);
	return (uint64) DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

static void
write_ceiling(uint64 tick)
{
	static Statement statement = {"SELECT pg_catalog.setval('chat.id_ceiling', $1)", 1, {INT8OID}, NULL};
	Datum value = Int64GetDatum((int64) tick);

	statement_run(&statement, &value, NULL, true);
	XLogFlush(XactLastRecEnd); /* an id above the old ceiling may be seen outside as soon as we return */
}

/* DROP EXTENSION takes the ceiling along, and the next one begins anew. */
static void
ceiling_invalidated(Datum arg, Oid relid)
{
	(void) arg;
	if (relid == InvalidOid || relid == ceiling_relid)
		ceiling = 0;
}

/*
 * In the first call after a start moves the clock to the old ceiling; then, unless tick is 0, makes `tick` usable: raises
 * the durable ceiling above it. Runs as the owner of the tables, whoever asked for an id.
 */
static void
raise_ceiling(uint64 tick)
{
	static bool registered = false;
	Oid sequence = get_relname_relid("id_ceiling", get_namespace_oid("chat", false));
	Oid user;
	int context;
	uint64 durable;

	if (!registered)
		CacheRegisterRelcacheCallback(ceiling_invalidated, (Datum) 0);
	registered = true;
	ceiling_relid = sequence;
	chat_become_owner(&user, &context);
	LockRelationOid(sequence, ShareUpdateExclusiveLock);
	SPI_connect();
	durable = read_ceiling();
	if ((ceiling == 0 && !is_recovered()) || durable > pg_atomic_read_u64(&shared->tick) + CEILING_STEP)
	{
		uint64 lifted = advance(durable);

		tick = tick == 0 ? 0 : lifted;
		set_recovered();
	}
	if (durable <= tick)
	{
		durable = tick + CEILING_STEP;
		write_ceiling(durable);
	}
	ceiling = durable;
	SPI_finish();
	UnlockRelationOid(sequence, ShareUpdateExclusiveLock);
	SetUserIdAndSecContext(user, context);
}

/* The lowest tick whose id, with our node, is above after_id. */
static uint64
tick_above(int64 after_id)
{
	uint64 ms = (uint64) after_id >> (NODE_BITS + SEQUENCE_BITS);
	uint64 node = ((uint64) after_id >> SEQUENCE_BITS) & CLOCK_MAX_NODE;
	uint64 sequence = (uint64) after_id & (TICK_MS - 1);

	if (node < (uint64) chat_node_id)
		return ms << SEQUENCE_BITS;
	if (node == (uint64) chat_node_id)
		return ((ms << SEQUENCE_BITS) | sequence) + 1;
	return (ms + 1) << SEQUENCE_BITS;
}

uint64
clock_tick(void)
{
	return pg_atomic_read_u64(&shared->tick);
}

int64
clock_tick_id(uint64 tick)
{
	return (int64) ((tick >> SEQUENCE_BITS) << (NODE_BITS + SEQUENCE_BITS) |
					(uint64) chat_node_id << SEQUENCE_BITS | (tick & (TICK_MS - 1)));
}

void
clock_recover(void)
{
	if (!is_recovered())
		raise_ceiling(0);
}

int64
clock_next_id(int64 after_id)
{
	uint64 floor = 0;
	uint64 wall = wall_tick();
	uint64 tick;

	PreventCommandIfReadOnly("chat.next_id()");
	if (unlikely(shared == NULL))
		map_file();
	if (unlikely(ceiling == 0))
		raise_ceiling(wall);
	if (after_id != 0)
	{
		if (after_id < 0)
			chat_fail("invalid_id", NULL, NULL);
		floor = tick_above(after_id);
		if (floor > Max(wall, pg_atomic_read_u64(&shared->tick)) + MAX_AHEAD)
			chat_fail("id_in_future", NULL, NULL);
	}
	tick = advance(Max(wall, floor));
	if (unlikely(tick >= ceiling))
		raise_ceiling(tick);
	return clock_tick_id(tick);
}

int64
clock_take_id(int64 after_id)
{
	int64 id;

	PreventCommandIfReadOnly("chat.next_id()");
	if (unlikely(shared == NULL))
		map_file();
	clock_recover(); /* what horizon_enter notes must not be the tick of a clock that has just started */
	horizon_enter();
	id = clock_next_id(after_id);
	if (ntaken == taken_size)
	{
		taken_size = Max(16, taken_size * 2);
		taken = taken ? repalloc_huge(taken, taken_size * sizeof(int64))
					  : MemoryContextAlloc(TopTransactionContext, taken_size * sizeof(int64));
	}
	taken[ntaken++] = id;
	return id;
}

bool
clock_took(int64 id)
{
	int low = 0;
	int high = ntaken;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (taken[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < ntaken && taken[low] == id;
}

bool
clock_took_any(void)
{
	return ntaken > 0;
}

void
clock_forget(void)
{
	taken = NULL; /* went with its memory context */
	ntaken = taken_size = 0;
}

int64
clock_id_at(TimestampTz at)
{
	int64 ms;

	if (at <= EPOCH_PG_US)
		return 0;
	if (TIMESTAMP_NOT_FINITE(at) || (at - EPOCH_PG_US) / 1000 > MAX_MS)
		return PG_INT64_MAX;
	ms = (at - EPOCH_PG_US) / 1000;
	return ms << (NODE_BITS + SEQUENCE_BITS);
}

TimestampTz
clock_id_time(int64 id)
{
	return (id >> (NODE_BITS + SEQUENCE_BITS)) * 1000 + EPOCH_PG_US;
}

PG_FUNCTION_INFO_V1(chat_next_id);
Datum
chat_next_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(clock_next_id(PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0)));
}

PG_FUNCTION_INFO_V1(chat_take_id);
Datum
chat_take_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(clock_take_id(PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0)));
}

/* chat.last_id() */
PG_FUNCTION_INFO_V1(chat_last_id);
Datum
chat_last_id(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	if (unlikely(shared == NULL))
		map_file();
	PG_RETURN_INT64(clock_tick_id(clock_tick()));
}

PG_FUNCTION_INFO_V1(chat_id_time);
Datum
chat_id_time(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(clock_id_time(PG_GETARG_INT64(0)));
}

PG_FUNCTION_INFO_V1(chat_id_at);
Datum
chat_id_at(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(clock_id_at(PG_GETARG_TIMESTAMPTZ(0)));
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * chat.c: the library's entry: GUCs and the helpers every other file stands on.
 *
 * The library works in two ways. Preloaded (shared_preload_libraries = 'chat'), _PG_init runs in the postmaster
 * and there is shared memory for the clock, the horizon and the rings. Not preloaded, _PG_init runs in each backend that first
 * calls one of our functions: the clock lives in a mapped file (clock.c), the horizon is a matter of time (horizon.c), and
 * events are published by the writers' own transactions.
 *
 * Files: clock.c ids · horizon.c up to which all is visible · order.c the chat's row lock and its next event id · guard.c what every
 * call asks first · send.c send_message · receipt.c mark_read · ephemeral.c typing, signals · recipients.c who hears of it · table.c
 * rows without the executor · event.c trigger bodies, JSON · publish.c events to channels · transaction.c what is published, until the
 * commit · ring.c committed notifications · notifier.c the worker that sends them · file.c reading contents · large_object.c large objects, as the
 * caller · crypto.c pgcrypto and tokens · upgrade.c for update scripts · settings.c chat.settings · errors.c the words of our errors ·
 * json.c writing JSON · siphash.c channel names.
 */
#include "chat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "clock.h"
#include "horizon.h"
#include "notifier.h"
#include "ring.h"
#include "transaction.h"

#define ROW_COLUMNS 8 /* of row_of, at most */

PG_MODULE_MAGIC;

int chat_node_id = 0;
int chat_delivery = DELIVERY_DEFERRED;
int chat_user_channels = USER_CHANNELS_OWN;
int chat_lock_timeout = 2000;
static int user_fanout_limit = 16; /* read by chat.admit_members() */
int chat_horizon_overlap = 10000;
bool chat_direct_tables = true;

static const struct config_enum_entry delivery_options[] = {{"deferred", DELIVERY_DEFERRED, false},
															{"transactional", DELIVERY_TRANSACTIONAL, false},
															{"outbox", DELIVERY_OUTBOX, false},
															{"none", DELIVERY_NONE, false},
															{NULL, 0, false}};

static const struct config_enum_entry user_channels_options[] = {
	{"own", USER_CHANNELS_OWN, false}, {"shared", USER_CHANNELS_SHARED, false}, {NULL, 0, false}};

bool chat_debug_unchecked = false;
static int debug_pause = PAUSE_NONE;

static const struct config_enum_entry pause_options[] = {{"none", PAUSE_NONE, false},
														 {"enter", PAUSE_ENTER, false},
														 {"push", PAUSE_PUSH, false},
														 {"leave", PAUSE_LEAVE, false},
														 {NULL, 0, false}};

static shmem_request_hook_type next_shmem_request = NULL;
static shmem_startup_hook_type next_shmem_startup = NULL;

PGDLLEXPORT void _PG_init(void);

static void
request_shared_memory(void)
{
	if (next_shmem_request)
		next_shmem_request();
	RequestAddinShmemSpace(clock_memory());
	RequestAddinShmemSpace(horizon_memory());
	RequestAddinShmemSpace(ring_memory());
	ring_request_locks();
}

static void
start_shared_memory(void)
{
	if (next_shmem_startup)
		next_shmem_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	clock_start();
	horizon_start();
	ring_start();
	LWLockRelease(AddinShmemInitLock);
}

/* What only a preloaded library can have. */
static void
preload(void)
{
	DefineCustomIntVariable("chat.ring_size", "Size of a ring of committed notifications.",
							"When one is full, listeners are told to look for themselves.", &chat_ring_size,
							8192, 64, 1024 * 1024, PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("chat.ring_count", "How many databases can have such a ring at the same time.",
							"Writers of others NOTIFY by themselves.", &chat_ring_count, 4, 1, 64,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	next_shmem_request = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	next_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = start_shared_memory;
	notifier_init();
}

void
_PG_init(void)
{
	DefineCustomIntVariable("chat.node_id", "This server's number inside the ids it makes.",
							"Unique among the servers that write to one data set.", &chat_node_id, 0, 0,
							CLOCK_MAX_NODE, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("chat.delivery", "How committed events reach listeners.",
							 "deferred needs the library to be preloaded, and is transactional otherwise.",
							 &chat_delivery, DELIVERY_DEFERRED, delivery_options, PGC_SIGHUP, 0, NULL, NULL,
							 NULL);
	DefineCustomEnumVariable(
		"chat.user_channels", "Whether each user has a channel or all users share one.",
		"shared is one notification an event instead of one a member. Change it with the gateways "
		"stopped: they learn a user's channel at login.",
		&chat_user_channels, USER_CHANNELS_OWN, user_channels_options, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("chat.lock_timeout", "How long a writer waits for a chat that another holds.",
							"After it the call fails with MC503 chat_busy. 0 leaves it to lock_timeout.",
							&chat_lock_timeout, 2000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("chat.user_fanout_limit",
							"Members up to whom a chat's events go to each one's own channel.",
							"A chat that has once had more is published on its own channel, once an event.",
							&user_fanout_limit, 16, 2, 64, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("chat.horizon_overlap", "How far the horizon stays behind the clock.",
							"Longer than any transaction that changes chats: what commits later is missed by "
							"those who read events by one cursor.",
							&chat_horizon_overlap, 10000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL,
							NULL);
	DefineCustomIntVariable("chat.notify_interval", "Time between two batches of notifications, at least.",
							"Each batch takes a transaction id.", &chat_notify_interval, 1, 0, 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable(
		"chat.direct_tables", "Whether sending reads and writes rows without the executor.",
		"Off is for tests and measurements; tables with triggers take statements anyway.",
		&chat_direct_tables, true, PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomBoolVariable(
		"chat.debug_unchecked", "Whether publish_signal takes names that NOTIFY does not, for tests.", NULL,
		&chat_debug_unchecked, false, PGC_SUSET, GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomEnumVariable("chat.debug_pause", "Where a transaction stops for half a second, for tests.",
							 NULL, &debug_pause, PAUSE_NONE, pause_options, PGC_SUSET,
							 GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	if (process_shared_preload_libraries_in_progress)
		preload();
	MarkGUCPrefixReserved("chat");
	transaction_init();
}

void
chat_pause(Pause where)
{
	if (unlikely(debug_pause == (int) where))
		pg_usleep(500000);
}

/* That of a table: the schema may be given to anybody (ALTER SCHEMA), and its owner may do nothing with what is in it. */
void
chat_become_owner(Oid *user, int *context)
{
	Oid relid = get_relname_relid("users", get_namespace_oid("chat", false));
	HeapTuple table = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner;

	if (!HeapTupleIsValid(table))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("table chat.users does not exist")));
	owner = ((Form_pg_class) GETSTRUCT(table))->relowner;
	ReleaseSysCache(table);
	GetUserIdAndSecContext(user, context);
	SetUserIdAndSecContext(owner, *context | SECURITY_LOCAL_USERID_CHANGE);
}

int
statement_run(Statement *statement, Datum *values, const char *nulls, bool read_only)
{
	int code;

	if (statement->plan == NULL)
	{
		SPIPlanPtr plan =
			SPI_prepare_cursor(statement->sql, statement->nargs, statement->args, CURSOR_OPT_GENERIC_PLAN);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\"", statement->sql);
		statement->plan = plan;
	}
	code = SPI_execute_plan(statement->plan, values, nulls, read_only, 0);
	if (code < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->sql, SPI_result_code_string(code));
	return code;
}

Datum
row_of(FunctionCallInfo fcinfo, TupleDesc *shape, Datum *values)
{
	bool nulls[ROW_COLUMNS] = {false};

	if (*shape == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(CacheMemoryContext);
		TupleDesc resolved;

		if (get_call_result_type(fcinfo, NULL, &resolved) != TYPEFUNC_COMPOSITE ||
			resolved->natts > ROW_COLUMNS)
			elog(ERROR, "function %u returns a row of few columns", fcinfo->flinfo->fn_oid);
		*shape = BlessTupleDesc(CreateTupleDescCopy(resolved));
		MemoryContextSwitchTo(caller);
	}
	return HeapTupleGetDatum(heap_form_tuple(*shape, values, nulls));
}

static void
table_cache_invalidated(Datum arg, Oid relid)
{
	TableCache *cache = (TableCache *) DatumGetPointer(arg);

	if (relid == InvalidOid || relid == cache->relid)
		cache->valid = false;
}

/*
 * Loads the cache when it is stale. The latest snapshot, not the transaction's: a long REPEATABLE READ
 * transaction must not fill the cache with what was true when it began.
 */
void
table_cache_use(TableCache *cache)
{
	if (cache->valid)
		return;
	if (!cache->registered)
	{
		CacheRegisterRelcacheCallback(table_cache_invalidated, PointerGetDatum(cache));
		cache->registered = true;
	}
	cache->relid = get_relname_relid(cache->table, get_namespace_oid("chat", false));
	cache->valid = true; /* before loading: an invalidation that arrives meanwhile must win */
	SPI_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	PG_TRY();
	{
		cache->load();
	}
	PG_CATCH();
	{
		cache->valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	PopActiveSnapshot();
	SPI_finish();
}

/* Trigger, AFTER any change FOR EACH STATEMENT, of every table that a TableCache holds. */
PG_FUNCTION_INFO_V1(chat_invalidate_cache);
Datum
chat_invalidate_cache(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "invalidate_cache is a trigger function");
	CacheInvalidateRelcache(trigger->tg_relation);
	return PointerGetDatum(NULL);
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * notifier.c: the background worker that NOTIFYs what writers have put into their database's ring.
 *
 *	 asked for by a writer at PRE_COMMIT --> attached to the ring --> connected --> batches --> idle: leaves
 *										   \__ ended in any other way: the postmaster starts it again after 1 s,
 *										       and it begins with a chat_resync
 *
 *	1  A batch is what the ring holds, sorted by key: ids and versions ascend, and so does what one sees of several
 *	   writers, though their callbacks may run in another order than their commits. Records without a key stay behind
 *	   those they came with, markers go to the end.
 *	2  It is sent in one transaction that does nothing else. Such a commit writes WAL and does not wait for it. Each takes a
 *	   transaction id: hence at most one batch per chat.notify_interval.
 *	3  Then the ring's tail moves. Whoever dies in between has sent the batch twice, which receivers can bear.
 *	4  A full NOTIFY queue fails the batch; it is tried again every second, and meanwhile the ring fills up. Before it is tried
 *	   again the queue's tail is advanced: PostgreSQL does that behind a NOTIFY that has come through, so that a queue that is quite
 *	   full would stay so though all have read it; but pg_notification_queue_usage() does it too.
 *
 * It reads no table and holds no snapshot between batches (backend_xmin is NULL), so it is in nobody's way but
 * for commands that need its database to be empty of sessions: DROP DATABASE, ALTER DATABASE RENAME or SET TABLESPACE, CREATE
 * DATABASE with it as template. A ProcessUtility hook has it leave before these, and lets none start till they are over.
 * PostgreSQL looks for sessions behind its checks of who may do that, and nothing of ours runs in between. So the hook asks
 * itself first what they ask: a statement that will be refused leaves the notifier alone, or anybody could stop it.
 *
 * Called from: transaction.c. Calls: ring.c.
 */
#include "notifier.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/async.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#endif

#include "chat.h"

#define IDLE_LIMIT    60000 /* ms without work until it leaves */
#define RETRY_PAUSE   1000  /* ms after a batch that failed */
#define STOP_PATIENCE 1000  /* ms in which it should have left by itself */

int chat_notify_interval = 1;

static ProcessUtility_hook_type next_utility = NULL;

PGDLLEXPORT void chat_notifier_main(Datum arg);

static bool
start(Ring *ring, Oid database)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = 1,
		.bgw_main_arg = Int32GetDatum(ring_number(ring)),
		.bgw_notify_pid = 0,
	};

	if (!ring_wants_notifier(ring))
		return true;
	snprintf(worker.bgw_name, BGW_MAXLEN, "chat notifier of database %u", database);
	snprintf(worker.bgw_type, BGW_MAXLEN, "chat notifier");
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "chat");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "chat_notifier_main");
	memcpy(worker.bgw_extra, &database, sizeof(Oid));
	if (RegisterDynamicBackgroundWorker(&worker, NULL))
		return true;
	ring_start_failed(ring); /* max_worker_processes are in use */
	return false;
}

bool
notifier_ensure(Ring *ring)
{
	return start(ring, MyDatabaseId);
}

/* Sorting: the records of a batch with the keys they go by, and where they stood. */
typedef struct Place
{
	int64 key;
	const RingRecord *record;
} Place;

static int
compare_places(const void *one, const void *other)
{
	const Place *a = one;
	const Place *b = other;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return a->record < b->record ? -1 : a->record > b->record; /* of one buffer, hence in the ring's order */
}

static Place *
sort_batch(const RingBatch *batch)
{
	Place *places = palloc(sizeof(Place) * Max(1, batch->count));
	int64 key = 0;
	int at = 0;

	for (int i = 0; i < batch->count; i++)
	{
		const RingRecord *record = (const RingRecord *) (batch->records.data + at);

		if (record->flags & RECORD_MARKER)
			places[i] = (Place){PG_INT64_MAX, record};
		else
		{
			key = record->key != 0 ? record->key : key;
			places[i] = (Place){key, record};
		}
		at += (int) record->size;
	}
	qsort(places, batch->count, sizeof(Place), compare_places);
	return places;
}

static void
send_batch(RingBatch *batch, bool again)
{
	Place *places;

	StartTransactionCommand();
	if (again)
		OidFunctionCall0(F_PG_NOTIFICATION_QUEUE_USAGE); /* 4 above */
	places = sort_batch(batch);
	if (batch->resync)
		Async_Notify(RESYNC_CHANNEL, "");
	batch->dropped = 0;
	for (int i = 0; i < batch->count; i++)
		batch->dropped += !ring_notify(places[i].record);
	CommitTransactionCommand();
}

/* False: it could not be sent, and should be tried again later. again: the last one could not. */
static bool
try_batch(RingBatch *batch, bool again)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool sent = false;

	PG_TRY();
	{
		send_batch(batch, again);
		sent = true;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		EmitErrorReport();
		AbortCurrentTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return sent;
}

static void
wait_for_work(long timeout)
{
	WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* Sleeps for what is left of the interval since then; latch or not, there is nothing to do before. */
static void
keep_interval(TimestampTz since)
{
	int64 left = (int64) chat_notify_interval * 1000 - (GetCurrentTimestamp() - since);

	if (left > 0 && left <= (int64) chat_notify_interval * 1000)
		pg_usleep(left);
}

static void
work(Ring *ring)
{
	RingBatch batch = {0};
	bool failed = false;
	TimestampTz idle_since = GetCurrentTimestamp();

	initStringInfo(&batch.records);
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();

		ring_read(ring, &batch);
		if (batch.closed && ring_leave(ring))
			return;
		if (batch.count == 0 && !batch.resync)
		{
			if (TimestampDifferenceExceeds(idle_since, now, IDLE_LIMIT) && ring_leave(ring))
				return;
			wait_for_work(IDLE_LIMIT);
		}
		else if (try_batch(&batch, failed))
		{
			failed = false;
			ring_done(ring, &batch);
			keep_interval(now);
			idle_since = now;
			CHECK_FOR_INTERRUPTS();
		}
		else
		{
			failed = true;
			wait_for_work(RETRY_PAUSE);
		}
	}
}

static void
detach(int code, Datum arg)
{
	(void) code;
	ring_detach((Ring *) DatumGetPointer(arg));
}

void
chat_notifier_main(Datum arg)
{
	Ring *ring;
	Oid database;

	memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof(Oid));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	ring = ring_attach(DatumGetInt32(arg), database);
	if (ring == NULL)
		proc_exit(0);
	before_shmem_exit(detach, PointerGetDatum(ring));
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, BGWORKER_BYPASS_ALLOWCONN);
	MemoryContextSwitchTo(TopMemoryContext);
	pgstat_report_activity(STATE_IDLE, NULL);
	work(ring);
	proc_exit(0); /* 0: it is not started again until somebody asks for it */
}

/* The database that the statement needs to be empty of sessions; NULL = none */
static const char *
emptied_name(Node *statement)
{
	const char *name = NULL;
	ListCell *cell;

	if (IsA(statement, DropdbStmt))
		return ((DropdbStmt *) statement)->dbname;
	if (IsA(statement, RenameStmt) && ((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
		return ((RenameStmt *) statement)->subname;
	if (IsA(statement, AlterDatabaseStmt))
	{
		foreach (cell, ((AlterDatabaseStmt *) statement)->options)
			if (strcmp(((DefElem *) lfirst(cell))->defname, "tablespace") == 0)
				name = ((AlterDatabaseStmt *) statement)->dbname;
	}
	if (IsA(statement, CreatedbStmt))
	{
		name = "template1";
		foreach (cell, ((CreatedbStmt *) statement)->options)
			if (strcmp(((DefElem *) lfirst(cell))->defname, "template") == 0 &&
				((DefElem *) lfirst(cell))->arg != NULL)
				name = defGetString((DefElem *) lfirst(cell));
	}
	return name;
}

static bool
owns(Oid database)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, GetUserId());
#else
	return pg_database_ownercheck(database, GetUserId());
#endif
}

static bool
is_template(Oid database)
{
	HeapTuple row = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool template = HeapTupleIsValid(row) && ((Form_pg_database) GETSTRUCT(row))->datistemplate;

	if (HeapTupleIsValid(row))
		ReleaseSysCache(row);
	return template;
}

/* PostgreSQL's own have_createdb_privilege is static in many minor releases. */
static bool
may_create(void)
{
	HeapTuple row = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	bool may = superuser() || (HeapTupleIsValid(row) && ((Form_pg_authid) GETSTRUCT(row))->rolcreatedb);

	if (HeapTupleIsValid(row))
		ReleaseSysCache(row);
	return may;
}

static bool
is_taken(const char *name)
{
	return OidIsValid(get_database_oid(name, true));
}

/* What dbcommands.c asks of who runs the statement, and of names; who has these rights may empty the database anyway. */
static bool
may_empty(Node *statement, Oid database)
{
	if (IsA(statement, CreatedbStmt))
		return may_create() && (is_template(database) || owns(database)) &&
			   !is_taken(((CreatedbStmt *) statement)->dbname);
	if (IsA(statement, RenameStmt))
		return owns(database) && may_create() && database != MyDatabaseId &&
			   !is_taken(((RenameStmt *) statement)->newname);
	if (IsA(statement, DropdbStmt))
		return owns(database) && database != MyDatabaseId && !is_template(database);
	return owns(database) && database != MyDatabaseId;
}

/* The database that the statement, unless it is refused, needs to be empty of sessions; InvalidOid = none */
static Oid
emptied_database(Node *statement, ProcessUtilityContext context)
{
	const char *name = emptied_name(statement);
	Oid database;

	if (name == NULL)
		return InvalidOid;
	if (!IsA(statement, RenameStmt) &&
		(context != PROCESS_UTILITY_TOPLEVEL || IsTransactionBlock() || IsSubTransaction()))
		return InvalidOid;
	database = get_database_oid(name, true);
	return OidIsValid(database) && may_empty(statement, database) ? database : InvalidOid;
}

/* Waits until no notifier of this ring is a session of its database any more. */
static void
stop_notifier(Ring *ring)
{
	TimestampTz since = GetCurrentTimestamp();
	int pid = ring_notifier(ring, true);
	bool told = false;

	while (pid != 0 && (ring_notifier(ring, false) == pid || BackendPidGetProc(pid) != NULL))
	{
		if (!told && TimestampDifferenceExceeds(since, GetCurrentTimestamp(), STOP_PATIENCE))
		{
			kill(pid, SIGTERM);
			told = true;
		}
		CHECK_FOR_INTERRUPTS();
		pg_usleep(1000);
	}
}

static void
utility(PlannedStmt *statement, const char *query, bool read_only_tree, ProcessUtilityContext context,
		ParamListInfo params, QueryEnvironment *environment, DestReceiver *receiver,
		QueryCompletion *completion)
{
	ProcessUtility_hook_type next = next_utility ? next_utility : standard_ProcessUtility;
	volatile Oid database = emptied_database(statement->utilityStmt, context);
	Ring *volatile ring = OidIsValid(database) ? ring_close(database) : NULL;

	PG_TRY();
	{
		if (ring != NULL)
			stop_notifier(ring);
		next(statement, query, read_only_tree, context, params, environment, receiver, completion);
		if (ring != NULL && ring_reopen(ring, IsA(statement->utilityStmt, DropdbStmt)))
			start(ring, database);
	}
	PG_CATCH();
	{
		if (ring != NULL && ring_reopen(ring, false))
			start(ring, database);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

void
notifier_init(void)
{
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
}

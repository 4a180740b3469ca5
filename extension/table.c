/* SPDX-License-Identifier: PostgreSQL */
/*
 * table.c: rows of our tables by their key, without the executor.
 *
 * A statement with a saved plan costs several times what it does: locks and opens its tables and all their indexes, builds
 * a tree of nodes and expressions, and takes them down again. On the path of each message (send.c, order.c) these
 * functions do what such a statement would, straight on the index and the heap, by the same calls that the executor
 * makes in the end.
 *
 * They do it only for a table that is `direct`: an ordinary heap that has no trigger for what is written, no rule, no CHECK,
 * no generated column, no forced row security, no children, and for an insert no column that we have not heard of. Else
 * they say TABLE_NOT_DIRECT, and the caller has a statement for it: so triggers and constraints that an operator adds are
 * honoured, and where a table is no heap (YugabyteDB) nothing of this is done. chat.direct_tables = off says so for all,
 * for comparison.
 *
 * What is known of a table is looked up at its first use and forgotten when its relcache entry is invalidated; that is checked
 * after the table is locked, when invalidations that came before the lock have been seen.
 *
 * Isolation is that of UPDATE (nodeModifyTable.c): the row is found by the snapshot, changed, and written. Whoever finds it
 * changed by somebody else meanwhile waits for him, and with READ COMMITTED goes on with the version that he has left, asking the
 * caller again what is to become of it.
 *
 * Index entries are made by the executor's own function, but for inserts into a table all of whose indexes are B-trees on columns, with
 * no predicate or that a column is not NULL, or is true: then only those are opened that get one.
 *
 * Locks: the table's as for INSERT and UPDATE (ROW EXCLUSIVE) or SELECT FOR UPDATE (ROW SHARE), and the index's, kept till the
 * transaction's end.
 */
#include "table.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "chat.h"

#if PG_VERSION_NUM < 160000
typedef bool TU_UpdateIndexes;
#define TU_None false
#define TU_All  true
#endif

static Table *tables = NULL; /* all that were looked up */

static void
forget(Datum arg, Oid relid)
{
	(void) arg;
	for (Table *table = tables; table != NULL; table = table->next)
	{
		if (relid == InvalidOid || relid == table->relid)
			table->known = false;
	}
}

static void
keep_informed(Table *table)
{
	if (tables == NULL)
		CacheRegisterRelcacheCallback(forget, (Datum) 0);
	for (Table *other = tables; other != NULL; other = other->next)
	{
		if (other == table)
			return;
	}
	table->next = tables;
	tables = table;
}

/* Number of columns that the table has and we know. */
static int
find_columns(Table *table)
{
	int found = 0;

	for (int i = 0; i < TABLE_COLUMNS && table->columns[i] != NULL; i++)
	{
		table->numbers[i] = get_attnum(table->relid, table->columns[i]);
		found += table->numbers[i] > 0;
	}
	return found;
}

static bool
has_all_columns(const Table *table, int found)
{
	return found == TABLE_COLUMNS || table->columns[found] == NULL;
}

static bool
is_written(const Table *table, AttrNumber number)
{
	for (int i = 0; i < TABLE_COLUMNS; i++)
	{
		if ((table->written & 1u << i) && table->numbers[i] == number)
			return true;
	}
	return false;
}

/* Whether a trigger runs for updates of what we write. Those of foreign keys look at keys only, which nobody changes here. */
static bool
fires(const Table *table, const Trigger *trigger)
{
	if (table->trigger != NULL && strcmp(trigger->tgname, table->trigger) == 0)
		return trigger->tgenabled != TRIGGER_FIRES_ON_ORIGIN; /* as we made it */
	if (!TRIGGER_FOR_UPDATE(trigger->tgtype) || trigger->tgisinternal ||
		trigger->tgenabled == TRIGGER_DISABLED)
		return false;
	for (int i = 0; i < trigger->tgnattr; i++)
	{
		if (is_written(table, trigger->tgattr[i]))
			return true;
	}
	return trigger->tgnattr == 0;
}

static bool
has_triggers(const Table *table, Relation heap, bool inserts)
{
	TriggerDesc *triggers = heap->trigdesc;

	if (triggers == NULL)
		return false;
	if (inserts)
		return triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
			   triggers->trig_insert_before_statement || triggers->trig_insert_after_statement;
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		if (fires(table, &triggers->triggers[i]))
			return true;
	}
	return false;
}

static int
live_columns(Relation heap)
{
	int count = 0;

	for (int i = 0; i < RelationGetNumberOfAttributes(heap); i++)
		count += !TupleDescAttr(RelationGetDescr(heap), i)->attisdropped;
	return count;
}

static bool
is_plain_heap(Relation heap)
{
	return heap->rd_rel->relkind == RELKIND_RELATION && heap->rd_rel->relam == HEAP_TABLE_AM_OID &&
		   !heap->rd_rel->relhassubclass && GetConfigOption("yb_enable_listen_notify", true, false) == NULL;
}

static bool
is_simple_to_write(const Table *table, Relation heap, int columns)
{
	TupleConstr *constraints = RelationGetDescr(heap)->constr;
	bool inserts = table->written == (1u << columns) - 1;

#if PG_VERSION_NUM >= 180000
	if (constraints != NULL && constraints->has_generated_virtual)
		return false;
#endif
	return (constraints == NULL || (constraints->num_check == 0 && !constraints->has_generated_stored)) &&
		   heap->rd_rules == NULL && !heap->rd_rel->relforcerowsecurity &&
		   !has_triggers(table, heap, inserts) && (!inserts || live_columns(heap) == columns);
}

static bool
has_usable_index(const Table *table)
{
	Relation index = OidIsValid(table->indexid) ? try_relation_open(table->indexid, AccessShareLock) : NULL;
	bool usable;

	if (index == NULL)
		return false;
	usable = index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indisvalid;
	relation_close(index, NoLock);
	return usable;
}

/* False: its predicate is another one. */
static bool
learn_condition(Relation index, TableIndex *known)
{
	List *predicate = RelationGetIndexPredicate(index);
	Node *node = predicate == NIL ? NULL : linitial(predicate);

	if (list_length(predicate) > 1)
		return false;
	known->truth = node != NULL && IsA(node, Var);
	if (node != NULL && IsA(node, NullTest) && ((NullTest *) node)->nulltesttype == IS_NOT_NULL)
		node = (Node *) ((NullTest *) node)->arg;
	known->condition = node != NULL && IsA(node, Var) ? ((Var *) node)->varattno : 0;
	return node == NULL || known->condition > 0;
}

static bool
learn_index(Oid oid, TableIndex *known)
{
	Relation index = try_relation_open(oid, AccessShareLock);
	bool simple;

	if (index == NULL)
		return false;
	known->oid = oid;
	simple = index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indisready &&
			 index->rd_index->indimmediate && !index->rd_index->indisexclusion &&
			 RelationGetIndexExpressions(index) == NIL && learn_condition(index, known);
	relation_close(index, NoLock);
	return simple;
}

static void
learn_indexes(Table *table, Relation heap)
{
	List *oids = RelationGetIndexList(heap);
	ListCell *cell;
	int count = 0;

	table->index_count = -1; /* until all are known: to lock one may fail */
	foreach (cell, oids)
	{
		if (count == TABLE_INDEXES || !learn_index(lfirst_oid(cell), &table->indexes[count]))
			return;
		count++;
	}
	table->index_count = count;
}

static void
learn(Table *table)
{
	Oid schema = get_namespace_oid("chat", false);
	Relation heap;
	int found;

	keep_informed(table);
	table->known = true; /* before looking: an invalidation that arrives meanwhile must win */
	table->direct = false;
	table->relid = get_relname_relid(table->name, schema);
	heap = OidIsValid(table->relid) ? try_relation_open(table->relid, AccessShareLock) : NULL;
	if (heap == NULL)
		return;
	found = find_columns(table);
	table->indexid = get_relname_relid(table->index, schema);
	learn_indexes(table, heap);
	table->direct = is_plain_heap(heap) && has_all_columns(table, found) && has_usable_index(table) &&
					(table->written == 0 || is_simple_to_write(table, heap, found));
	relation_close(heap, NoLock);
}

bool
table_is_direct(Table *table)
{
	if (!chat_direct_tables)
		return false;
	while (!table->known)
		learn(table);
	return table->direct;
}

/* NULL: not direct */
static Relation
open_direct(Table *table, LOCKMODE mode)
{
	while (table_is_direct(table))
	{
		Relation heap = try_relation_open(table->relid, mode);

		if (table->known && heap != NULL)
			return heap;
		table->known = false;
		if (heap != NULL)
			relation_close(heap, NoLock);
	}
	return NULL;
}

void
table_begin_statement(void)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
table_end_statement(void)
{
	PopActiveSnapshot();
}

static void
begin_scan(TableScan *scan, Table *table, Relation heap, LOCKMODE mode, const int64 *key, int keys)
{
	ScanKeyData conditions[TABLE_KEYS];

	*scan = (TableScan){.table = table, .heap = heap, .index = index_open(table->indexid, mode)};
	scan->slot = table_slot_create(heap, NULL);
	for (int i = 0; i < keys; i++)
		ScanKeyInit(&conditions[i], i + 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(key[i]));
#if PG_VERSION_NUM >= 180000
	scan->scan = index_beginscan(heap, scan->index, GetActiveSnapshot(), NULL, keys, 0);
#else
	scan->scan = index_beginscan(heap, scan->index, GetActiveSnapshot(), keys, 0);
#endif
	index_rescan(scan->scan, conditions, keys, NULL, 0);
}

void
table_scan_begin(TableScan *scan, Table *table, const int64 *key, int keys)
{
	Relation heap = open_direct(table, AccessShareLock);

	if (heap == NULL)
		elog(ERROR, "table \"%s\" takes statements now", table->name);
	begin_scan(scan, table, heap, AccessShareLock, key, keys);
}

bool
table_scan_next(TableScan *scan)
{
	CHECK_FOR_INTERRUPTS();
	return index_getnext_slot(scan->scan, ForwardScanDirection, scan->slot);
}

void
table_scan_end(TableScan *scan)
{
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, NoLock);
	relation_close(scan->heap, NoLock);
}

bool
table_is_null(const TableScan *row, int column)
{
	return slot_attisnull(row->slot, row->table->numbers[column]);
}

Datum
table_value(const TableScan *row, int column)
{
	bool isnull;

	return slot_getattr(row->slot, row->table->numbers[column], &isnull);
}

bool
table_text_is(const TableScan *row, int column, const char *word)
{
	bool isnull;
	Datum value = slot_getattr(row->slot, row->table->numbers[column], &isnull);
	text *string = isnull ? NULL : DatumGetTextPP(value);

	return string != NULL && VARSIZE_ANY_EXHDR(string) == strlen(word) &&
		   memcmp(VARDATA_ANY(string), word, strlen(word)) == 0;
}

bool
table_has(Table *table, const int64 *key, int keys)
{
	TableScan scan;
	bool found;

	table_scan_begin(&scan, table, key, keys);
	found = table_scan_next(&scan);
	table_scan_end(&scan);
	return found;
}

/*
 * The executor makes the entries: it knows predicates, expressions, uniqueness. wanted: in all indexes, or in those that sum up
 * blocks (BRIN), as the row has stayed on its page.
 */
static void
insert_index_entries(Relation heap, TupleTableSlot *slot, bool update, TU_UpdateIndexes wanted)
{
	EState *estate = CreateExecutorState();
	ResultRelInfo *target = makeNode(ResultRelInfo);

	InitResultRelInfo(target, heap, 0, NULL, 0);
	ExecOpenIndices(target, false);
#if PG_VERSION_NUM >= 160000
	ExecInsertIndexTuples(target, slot, estate, update, false, NULL, NIL, wanted == TU_Summarizing);
#else
	(void) wanted;
	ExecInsertIndexTuples(target, slot, estate, update, false, NULL, NIL);
#endif
	ExecCloseIndices(target);
	FreeExecutorState(estate);
}

static void
insert_entry(Relation heap, TupleTableSlot *slot, Oid oid)
{
	Relation index = index_open(oid, RowExclusiveLock);
	IndexInfo *info = BuildIndexInfo(index);
	Datum values[INDEX_MAX_KEYS];
	bool nulls[INDEX_MAX_KEYS];

	FormIndexDatum(info, slot, NULL, values, nulls);
	index_insert(index, values, nulls, &slot->tts_tid, heap,
				 info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, info);
	index_close(index, NoLock);
}

/* Entries of a new row. */
static void
insert_entries(const Table *table, Relation heap, TupleTableSlot *slot)
{
	if (table->index_count < 0)
	{
		insert_index_entries(heap, slot, false, TU_All);
		return;
	}
	for (int i = 0; i < table->index_count; i++)
	{
		const TableIndex *index = &table->indexes[i];
		int column = index->condition - 1;

		if (index->condition == 0 ||
			(!slot->tts_isnull[column] && (!index->truth || DatumGetBool(slot->tts_values[column]))))
			insert_entry(heap, slot, index->oid);
	}
}

/* The row as it stands, but for what the caller has put into `values`. */
static TupleTableSlot *
changed_row(const TableScan *row, const Datum *values)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(row->heap), &TTSOpsVirtual);
	int count = slot->tts_tupleDescriptor->natts;

	slot_getallattrs(row->slot);
	memcpy(slot->tts_values, row->slot->tts_values, count * sizeof(Datum));
	memcpy(slot->tts_isnull, row->slot->tts_isnull, count * sizeof(bool));
	for (int i = 0; i < TABLE_COLUMNS; i++)
	{
		if (row->table->written & 1u << i)
		{
			slot->tts_values[row->table->numbers[i] - 1] = values[i];
			slot->tts_isnull[row->table->numbers[i] - 1] = false;
		}
	}
	return ExecStoreVirtualTuple(slot);
}

static TM_Result
write_row(const TableScan *row, const Datum *values, LockTupleMode *mode)
{
	TupleTableSlot *slot = changed_row(row, values);
	TM_FailureData failure;
	TM_Result result;
	TU_UpdateIndexes indexes = TU_None;

	result = table_tuple_update(row->heap, &row->slot->tts_tid, slot, GetCurrentCommandId(true),
								GetActiveSnapshot(), InvalidSnapshot, true, &failure, mode, &indexes);
	if (result == TM_Ok && indexes != TU_None)
		insert_index_entries(row->heap, slot, true, indexes);
	ExecDropSingleTupleTableSlot(slot);
	return result;
}

static void
refuse_if_snapshot_is_fixed(void)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("could not serialize access due to concurrent update")));
}

/* The scan then stands on the last version, locked. */
static TM_Result
lock_last_version(TableScan *row, LockTupleMode mode)
{
	TupleTableSlot *last = table_slot_create(row->heap, NULL);
	ItemPointerData place = row->slot->tts_tid;
	TM_FailureData failure;
	TM_Result result;

	result = table_tuple_lock(row->heap, &place, GetActiveSnapshot(), last, GetCurrentCommandId(false), mode,
							  LockWaitBlock,
							  IsolationUsesXactSnapshot() ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
	ExecDropSingleTupleTableSlot(row->slot);
	row->slot = last;
	return result;
}

/* What is left of a row whose update or lock did not get through. */
static TableResult
missed_row(const TableScan *row, TM_Result result)
{
	if (result != TM_Deleted)
		elog(ERROR, "unexpected state %d of a row of \"%s\"", (int) result, row->table->name);
	return TABLE_NO_ROW;
}

static TableResult
change_row(TableScan *row, TableChange change, void *arg)
{
	Datum values[TABLE_COLUMNS];
	LockTupleMode mode;
	TM_Result result = TM_Ok;

	while (result == TM_Ok)
	{
		if (!change(row, values, arg))
			return TABLE_NO_ROW;
		result = write_row(row, values, &mode);
		if (result == TM_Ok)
			return TABLE_DONE;
		if (result == TM_Updated || result == TM_Deleted)
			refuse_if_snapshot_is_fixed();
		if (result == TM_Updated)
			result = lock_last_version(row, mode);
	}
	return missed_row(row, result);
}

TableResult
table_update(Table *table, const int64 *key, int keys, TableChange change, void *arg)
{
	Relation heap = open_direct(table, RowExclusiveLock);
	TableResult result = TABLE_NO_ROW;
	TableScan scan;

	if (heap == NULL)
		return TABLE_NOT_DIRECT;
	PreventCommandIfReadOnly("UPDATE");
	CheckCmdReplicaIdentity(heap, CMD_UPDATE);
	begin_scan(&scan, table, heap, RowExclusiveLock, key, keys);
	if (table_scan_next(&scan))
		result = change_row(&scan, change, arg);
	table_scan_end(&scan);
	return result;
}

static TableResult
lock_row(TableScan *row, TableChange look, void *arg)
{
	TM_Result result = lock_last_version(row, LockTupleNoKeyExclusive);

	if (result == TM_Updated || result == TM_Deleted)
		refuse_if_snapshot_is_fixed();
	if (result != TM_Ok)
		return missed_row(row, result);
	return look(row, NULL, arg) ? TABLE_DONE : TABLE_NO_ROW;
}

TableResult
table_lock(Table *table, const int64 *key, int keys, TableChange look, void *arg)
{
	Relation heap = open_direct(table, RowShareLock);
	TableResult result = TABLE_NO_ROW;
	TableScan scan;

	if (heap == NULL)
		return TABLE_NOT_DIRECT;
	PreventCommandIfReadOnly("SELECT FOR NO KEY UPDATE");
	begin_scan(&scan, table, heap, RowShareLock, key, keys);
	if (table_scan_next(&scan))
		result = lock_row(&scan, look, arg);
	table_scan_end(&scan);
	return result;
}

static bool
has_forbidden_null(const Table *table, Relation heap, const bool *nulls)
{
	for (int i = 0; i < TABLE_COLUMNS && table->columns[i] != NULL; i++)
	{
		if (nulls[i] && TupleDescAttr(RelationGetDescr(heap), table->numbers[i] - 1)->attnotnull)
			return true;
	}
	return false;
}

TableResult
table_insert(Table *table, const Datum *values, const bool *nulls)
{
	Relation heap = open_direct(table, RowExclusiveLock);
	TupleTableSlot *slot;

	if (heap == NULL)
		return TABLE_NOT_DIRECT;
	if (has_forbidden_null(table, heap, nulls))
	{
		relation_close(heap, NoLock);
		return TABLE_NOT_DIRECT; /* the statement says what is wrong */
	}
	PreventCommandIfReadOnly("INSERT");
	slot = MakeSingleTupleTableSlot(RelationGetDescr(heap), &TTSOpsVirtual);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool)); /* dropped columns */
	for (int i = 0; i < TABLE_COLUMNS && table->columns[i] != NULL; i++)
	{
		slot->tts_values[table->numbers[i] - 1] = values[i];
		slot->tts_isnull[table->numbers[i] - 1] = nulls[i];
	}
	ExecStoreVirtualTuple(slot);
	table_tuple_insert(heap, slot, GetCurrentCommandId(true), 0, NULL);
	insert_entries(table, heap, slot);
	ExecDropSingleTupleTableSlot(slot);
	relation_close(heap, NoLock);
	return TABLE_DONE;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * table.h: rows of our tables by their key, without the executor.
 *
 * Reading and writing here sees what a statement would that began now: call table_begin_statement first, table_end_statement
 * after. Memory: the caller's context, until table_scan_end or the function's return.
 */
#ifndef CHAT_TABLE_H
#define CHAT_TABLE_H

#include "postgres.h"

#include "access/genam.h"
#include "executor/tuptable.h"
#include "utils/relcache.h"

#define TABLE_COLUMNS 20
#define TABLE_KEYS    3
#define TABLE_INDEXES 16

/* An index that has an entry for a row of which this column, if it is given, is not NULL, or is true. */
typedef struct TableIndex
{
	Oid oid;
	AttrNumber condition; /* 0: for each row */
	bool truth;           /* is true, not merely not NULL */
} TableIndex;

/* A table as one file uses it: declared static there, looked up at first use. */
typedef struct Table
{
	const char *name;                   /* in schema chat */
	const char *index;                  /* by which rows are found: a B-tree that begins with bigints */
	const char *columns[TABLE_COLUMNS]; /* those that are used; callers number them by their place here */
	uint32
		written; /* a bit for each of columns that gets values: 1 << its number; all, for a table of inserts */
	const char *trigger; /* one of ours, if any, whose work the file does itself for what it writes here */

	/* What the rest is worth as long as nobody changes the table's definition. */
	bool known;
	bool direct; /* no trigger, constraint or kind of storage asks for more than is done here */
	Oid relid;
	Oid indexid;
	AttrNumber numbers[TABLE_COLUMNS];
	int index_count; /* of indexes, for inserts; -1: there is one that is not as simple */
	TableIndex indexes[TABLE_INDEXES];
	struct Table *next; /* of all that were ever looked up */
} Table;

typedef struct TableScan
{
	Table *table;
	Relation heap;
	Relation index;
	IndexScanDesc scan;
	TupleTableSlot *slot; /* the row it stands on */
} TableScan;

typedef enum TableResult
{
	TABLE_DONE,
	TABLE_NO_ROW,
	TABLE_NOT_DIRECT /* nothing was done: it takes a statement */
} TableResult;

/*
 * Says what becomes of the row that the scan stands on: puts values of the written columns into `values`, by their
 * numbers. False: the row is none that is looked for. Called again with a later version of the row when somebody else
 * has changed it meanwhile.
 */
typedef bool (*TableChange)(const TableScan *row, Datum *values, void *arg);

/* What was done before in this transaction, and what others have committed, is seen from here on. */
extern void table_begin_statement(void);
extern void table_end_statement(void);

/* Whether it can be read and written here. */
extern bool table_is_direct(Table *table);

/* The rows whose first `keys` index columns are these, in the index's order; of a table that is direct. */
extern void table_scan_begin(TableScan *scan, Table *table, const int64 *key, int keys);
extern bool table_scan_next(TableScan *scan);
extern void table_scan_end(TableScan *scan);

/* A value of the row; it points into it. */
extern bool table_is_null(const TableScan *row, int column);
extern Datum table_value(const TableScan *row, int column);

/* Whether this text column of the row is the word; not when it is NULL. */
extern bool table_text_is(const TableScan *row, int column, const char *word);

/* Whether there is a row with these first index columns. */
extern bool table_has(Table *table, const int64 *key, int keys);

/*
 * Updates the one row with this key, and so locks it till the end of the transaction. Waits for others as UPDATE does, by
 * LockTimeout. Raises 40001 when the transaction's isolation asks for it.
 */
extern TableResult table_update(Table *table, const int64 *key, int keys, TableChange change, void *arg);

/*
 * Locks the one row with this key till the end of the transaction, as SELECT … FOR NO KEY UPDATE does, and has `look` see its
 * last version; that changes nothing.
 */
extern TableResult table_lock(Table *table, const int64 *key, int keys, TableChange look, void *arg);

/* Inserts a row whose values are given for all columns there are; NULL where `nulls` says so. */
extern TableResult table_insert(Table *table, const Datum *values, const bool *nulls);

#endif

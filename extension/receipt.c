/* SPDX-License-Identifier: PostgreSQL */
/*
 * receipt.c: chat.mark_read and chat.mark_delivered, which every member calls for what one of them has sent.
 *
 * In C for that alone; the rules stand in SQL (chat.move_read_cursor, chat.move_delivery_cursor). What is done here is the plain
 * move: of a member, to a message that is there, beyond where he was, with nothing else in the row that reading takes back
 * (marked_unread) or counts anew (mentions). Everything else, also what raises an error, is asked of the SQL functions.
 *
 *	 1	the chat and the message, by their keys
 *	 2	the member's row: one update, which is its lock too; a sender who mentions him meanwhile has either changed
 *		the row, which is then no plain one any more, or waits for it and counts himself
 *	 3	the event, in the place of the trigger that publishes it where a statement writes the row
 *
 * Locks: the member's row alone, never the chat's: a reader does not hold up a sender.
 */
#include "chat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"

#include "clock.h"
#include "errors.h"
#include "event.h"
#include "guard.h"
#include "table.h"

#define MOVED_SHIFT 40 /* chat.moved */

enum
{
	MESSAGE_NUMBER
};

enum
{
	MEMBER_MESSAGE, /* of the one cursor or the other */
	MEMBER_VERSION,
	MEMBER_MOVED,
	MEMBER_NUMBER,
	MEMBER_LEFT_ID,
	MEMBER_MENTIONS,
	MEMBER_MARKED_UNREAD,
	MEMBER_WROTE,
	MEMBER_ADDED_BY
};

static Table messages = {.name = "messages", .index = "messages_pkey", .columns = {"number"}};

static Table readers = {.name = "members",
						.index = "members_pkey",
						.columns = {"read_id", "read_version", "moved", "read_count", "left_id", "mentions",
									"marked_unread", "wrote", "added_by"},
						.written = 1u << MEMBER_MESSAGE | 1u << MEMBER_VERSION | 1u << MEMBER_MOVED |
								   1u << MEMBER_NUMBER,
						.trigger = "publish_cursor"};

static Table receivers = {.name = "members",
						  .index = "members_pkey",
						  .columns = {"delivered_id", "delivered_version", "moved", "read_count", "left_id",
									  "mentions", "marked_unread", "wrote", "added_by"},
						  .written = 1u << MEMBER_MESSAGE | 1u << MEMBER_VERSION | 1u << MEMBER_MOVED,
						  .trigger = "publish_delivered"};

/* Says how the plain move changes the row; false where it is none. */
static bool
move_on_row(const TableScan *row, Datum *values, void *arg)
{
	Cursor *cursor = arg;
	int32 moved;

	if (!table_is_null(row, MEMBER_LEFT_ID) ||
		cursor->message_id <= DatumGetInt64(table_value(row, MEMBER_MESSAGE)))
		return false;
	if (cursor->read && (DatumGetInt32(table_value(row, MEMBER_MENTIONS)) != 0 ||
						 DatumGetBool(table_value(row, MEMBER_MARKED_UNREAD))))
		return false;
	cursor->version = clock_take_id(DatumGetInt64(table_value(row, MEMBER_VERSION)));
	cursor->wrote = DatumGetBool(table_value(row, MEMBER_WROTE));
	cursor->added_by =
		table_is_null(row, MEMBER_ADDED_BY) ? 0 : DatumGetInt64(table_value(row, MEMBER_ADDED_BY));
	moved = cursor->version >> MOVED_SHIFT;
	values[MEMBER_MESSAGE] = Int64GetDatum(cursor->message_id);
	values[MEMBER_VERSION] = Int64GetDatum(cursor->version);
	values[MEMBER_MOVED] = Int32GetDatum(Max(moved, DatumGetInt32(table_value(row, MEMBER_MOVED))));
	values[MEMBER_NUMBER] = Int32GetDatum(cursor->number);
	return true;
}

static bool
find_message(Cursor *cursor)
{
	TableScan row;
	bool found;

	table_scan_begin(&row, &messages, (int64[]){cursor->chat_id, cursor->message_id}, 2);
	found = table_scan_next(&row);
	if (found)
		cursor->number = DatumGetInt32(table_value(&row, MESSAGE_NUMBER));
	table_scan_end(&row);
	return found;
}

/* Moves and publishes; false when it is no plain move, or not to be done here. */
static bool
move(Cursor *cursor, ChatRow *chat)
{
	Table *members = cursor->read ? &readers : &receivers;
	bool moved;

	if (!table_is_direct(&messages))
		return false;
	table_begin_statement();
	moved = guard_read_chat(cursor->chat_id, chat) && !chat->deleted && find_message(cursor) &&
			table_update(members, (int64[]){cursor->chat_id, cursor->user_id}, 2, move_on_row, cursor) ==
				TABLE_DONE;
	if (moved)
		event_publish_cursor(cursor, chat);
	table_end_statement();
	return moved;
}

/* Runs the SQL function that knows all cases; its row into `values`. */
static void
move_by_rules(Statement *statement, FunctionCallInfo fcinfo, Datum *values)
{
	Datum arguments[3];
	char nulls[3];
	bool unused[4];

	for (int i = 0; i < 3; i++)
	{
		arguments[i] = PG_ARGISNULL(i) ? 0 : PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	statement_run(statement, arguments, nulls, false);
	heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, values, unused);
}

/* Whether the arguments, alike in both functions, are all there; then they are in *cursor. */
static bool
read_arguments(FunctionCallInfo fcinfo, bool read, Cursor *cursor)
{
	if (PG_ARGISNULL(0))
		chat_fail("not_authenticated", NULL, NULL);
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return false;
	*cursor = (Cursor){.read = read,
					   .user_id = PG_GETARG_INT64(0),
					   .chat_id = PG_GETARG_INT64(1),
					   .message_id = PG_GETARG_INT64(2)};
	return true;
}

/* chat.mark_read(actor_id, chat_id, message_id) → (read_id, unread, version, mentions) */
PG_FUNCTION_INFO_V1(chat_mark_read);
Datum
chat_mark_read(PG_FUNCTION_ARGS)
{
	static Statement statement = {
		"SELECT r.read_id, r.unread, r.version, r.mentions FROM chat.move_read_cursor($1, $2, $3) r",
		3,
		{INT8OID, INT8OID, INT8OID},
		NULL};
	static TupleDesc shape = NULL;
	Datum values[4];
	Cursor cursor;
	ChatRow chat;

	SPI_connect();
	if (read_arguments(fcinfo, true, &cursor) && move(&cursor, &chat))
	{
		values[0] = Int64GetDatum(cursor.message_id);
		values[1] = Int32GetDatum(chat.message_count - cursor.number);
		values[2] = Int64GetDatum(cursor.version);
		values[3] = Int32GetDatum(0);
	}
	else
		move_by_rules(&statement, fcinfo, values);
	SPI_finish();
	return row_of(fcinfo, &shape, values);
}

/* chat.mark_delivered(actor_id, chat_id, message_id) → (delivered_id, version) */
PG_FUNCTION_INFO_V1(chat_mark_delivered);
Datum
chat_mark_delivered(PG_FUNCTION_ARGS)
{
	static Statement statement = {
		"SELECT d.delivered_id, d.version FROM chat.move_delivery_cursor($1, $2, $3) d",
		3,
		{INT8OID, INT8OID, INT8OID},
		NULL};
	static TupleDesc shape = NULL;
	Datum values[2];
	Cursor cursor;
	ChatRow chat;

	SPI_connect();
	if (read_arguments(fcinfo, false, &cursor) && move(&cursor, &chat))
	{
		values[0] = Int64GetDatum(cursor.message_id);
		values[1] = Int64GetDatum(cursor.version);
	}
	else
		move_by_rules(&statement, fcinfo, values);
	SPI_finish();
	return row_of(fcinfo, &shape, values);
}

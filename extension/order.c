/* SPDX-License-Identifier: PostgreSQL */
/*
 * order.c: the one lock of a chat, and the order that it gives.
 *
 * Every durable change in a chat starts here: chat.next_event(chat_id, messages) updates the chat's row, which
 * takes its lock, and under that lock takes an id above the chat's last one. So inside a chat id order is commit
 * order, each event knows the one before it (prev_id), and user messages get a dense number, all by one HOT
 * update. The expression that takes the id is evaluated again when the row was changed meanwhile
 * (READ COMMITTED), so the id that lands in the row was always taken after the row's last one.
 *
 * A chat that somebody holds longer than chat.lock_timeout answers MC503 chat_busy. A lock_timeout of the
 * session that is shorter stays in force, and raises PostgreSQL's 55P03.
 *
 * Called from: api/ functions that change a chat, and send.c, before they touch any other row of it (chat before
 * member; several chats in ascending id). The update answers what else a sender needs of the row, which spares
 * reading it again.
 */
#include "chat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "storage/proc.h"

#include "clock.h"
#include "errors.h"
#include "order.h"
#include "table.h"

/* A place that is being taken, or a chat that is only being locked. */
typedef struct Taking
{
	int64 chat_id;
	int32 messages;
	Place *place; /* filled when found; unused by a mere lock */
	bool found;
} Taking;

enum
{
	CHAT_ID,
	CHAT_DELETED_ID,
	CHAT_KIND,
	CHAT_POSTING,
	CHAT_LARGE,
	CHAT_MEMBER_COUNT,
	CHAT_LAST_EVENT_ID,
	CHAT_PREV_EVENT_ID,
	CHAT_MESSAGE_COUNT
};

static Table chats = {.name = "chats",
					  .index = "chats_pkey",
					  .columns = {"id", "deleted_id", "kind", "posting", "large", "member_count",
								  "last_event_id", "prev_event_id", "message_count"},
					  .written =
						  1u << CHAT_LAST_EVENT_ID | 1u << CHAT_PREV_EVENT_ID | 1u << CHAT_MESSAGE_COUNT};

/*
 * Runs what locks a chat's row, under chat.lock_timeout. LockTimeout is what lock_timeout sets; setting the variable
 * itself for the time spares a GUC change per message.
 */
static void
run_locking(void (*run)(void *arg), void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	int session_timeout = LockTimeout;
	bool ours = chat_lock_timeout > 0 && (session_timeout == 0 || session_timeout > chat_lock_timeout);

	PG_TRY();
	{
		if (ours)
			LockTimeout = chat_lock_timeout;
		run(arg);
		LockTimeout = session_timeout;
	}
	PG_CATCH();
	{
		LockTimeout = session_timeout;
		if (ours && geterrcode() == ERRCODE_LOCK_NOT_AVAILABLE)
		{
			MemoryContextSwitchTo(caller);
			FlushErrorState();
			chat_fail("chat_busy", NULL, NULL);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* The statement of take_by_statement, on one version of the row. */
static bool
take_on_row(const TableScan *row, Datum *values, void *arg)
{
	Taking *taking = arg;
	int64 last = DatumGetInt64(table_value(row, CHAT_LAST_EVENT_ID));
	int32 number = DatumGetInt32(table_value(row, CHAT_MESSAGE_COUNT)) + taking->messages;

	if (!table_is_null(row, CHAT_DELETED_ID))
		return false;
	*taking->place = (Place){.id = clock_take_id(last),
							 .prev_id = last,
							 .chat = {.direct = table_text_is(row, CHAT_KIND, "direct"),
									  .guarded = !table_text_is(row, CHAT_POSTING, "all"),
									  .large = DatumGetBool(table_value(row, CHAT_LARGE)),
									  .message_count = number,
									  .member_count = DatumGetInt32(table_value(row, CHAT_MEMBER_COUNT))}};
	values[CHAT_LAST_EVENT_ID] = Int64GetDatum(taking->place->id);
	values[CHAT_PREV_EVENT_ID] = Int64GetDatum(last);
	values[CHAT_MESSAGE_COUNT] = Int32GetDatum(taking->place->chat.message_count);
	return true;
}

static void
take_by_statement(Taking *taking)
{
	static Statement statement = {"UPDATE chat.chats"
								  "   SET prev_event_id = last_event_id,"
								  "       last_event_id = chat.take_id(last_event_id),"
								  "       message_count = message_count + $2"
								  " WHERE id = $1 AND deleted_id IS NULL"
								  " RETURNING last_event_id, prev_event_id, message_count,"
								  "     kind = 'direct', posting <> 'all', large, member_count",
								  2,
								  {INT8OID, INT4OID},
								  NULL};
	Datum values[7];
	bool nulls[7];

	statement_run(&statement, (Datum[]){Int64GetDatum(taking->chat_id), Int32GetDatum(taking->messages)},
				  NULL, false);
	taking->found = SPI_processed > 0;
	if (!taking->found)
		return;
	heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, values, nulls);
	*taking->place = (Place){.id = DatumGetInt64(values[0]),
							 .prev_id = DatumGetInt64(values[1]),
							 .chat = {.direct = DatumGetBool(values[3]),
									  .guarded = DatumGetBool(values[4]),
									  .large = DatumGetBool(values[5]),
									  .message_count = DatumGetInt32(values[2]),
									  .member_count = DatumGetInt32(values[6])}};
}

static void
take(void *arg)
{
	Taking *taking = arg;
	TableResult result;

	table_begin_statement();
	result = table_update(&chats, &taking->chat_id, 1, take_on_row, taking);
	table_end_statement();
	taking->found = result == TABLE_DONE;
	if (result == TABLE_NOT_DIRECT)
		take_by_statement(taking);
}

void
order_take_place(int64 chat_id, int32 messages, Place *place)
{
	Taking taking = {chat_id, messages, place, false};

	run_locking(take, &taking);
	if (!taking.found)
		chat_fail("no_such_chat", NULL, NULL);
}

/* chat.next_event(chat_id, messages) → (id, prev_id, number) */
PG_FUNCTION_INFO_V1(chat_next_event);
Datum
chat_next_event(PG_FUNCTION_ARGS)
{
	static TupleDesc shape = NULL;
	Place place;

	if (PG_ARGISNULL(0))
		chat_fail("no_such_chat", NULL, NULL);
	SPI_connect();
	order_take_place(PG_GETARG_INT64(0), PG_GETARG_INT32(1), &place);
	SPI_finish();
	return row_of(fcinfo, &shape,
				  (Datum[]){Int64GetDatum(place.id), Int64GetDatum(place.prev_id),
							Int32GetDatum(place.chat.message_count)});
}

static bool
is_there(const TableScan *row, Datum *values, void *arg)
{
	(void) values;
	(void) arg;
	return table_is_null(row, CHAT_DELETED_ID);
}

static void
lock(void *arg)
{
	static Statement statement = {
		"SELECT 1 FROM chat.chats WHERE id = $1 AND deleted_id IS NULL FOR NO KEY UPDATE",
		1,
		{INT8OID},
		NULL};
	Taking *taking = arg;
	Datum value = Int64GetDatum(taking->chat_id);
	TableResult result;

	table_begin_statement();
	result = table_lock(&chats, &taking->chat_id, 1, is_there, NULL);
	table_end_statement();
	if (result == TABLE_NOT_DIRECT)
		statement_run(&statement, &value, NULL, false);
	taking->found = result == TABLE_DONE || (result == TABLE_NOT_DIRECT && SPI_processed > 0);
}

/* chat.lock_chat(chat_id) */
PG_FUNCTION_INFO_V1(chat_lock_chat);
Datum
chat_lock_chat(PG_FUNCTION_ARGS)
{
	Taking taking = {.chat_id = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0)};

	SPI_connect();
	run_locking(lock, &taking);
	if (!taking.found)
		chat_fail("no_such_chat", NULL, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

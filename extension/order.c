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
#include "funcapi.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "clock.h"
#include "errors.h"
#include "order.h"
#include "table.h"

/* A place that is being taken. */
typedef struct Taking
{
	int64 chat_id;
	int32 messages;
	Place *place; /* filled when found */
	bool found;
} Taking;

enum
{
	CHAT_ID,
	CHAT_DELETED_ID,
	CHAT_KIND,
	CHAT_POSTING,
	CHAT_LARGE,
	CHAT_LAST_EVENT_ID,
	CHAT_PREV_EVENT_ID,
	CHAT_MESSAGE_COUNT
};

static Table chats = {.name = "chats",
					  .index = "chats_pkey",
					  .columns = {"id", "deleted_id", "kind", "posting", "large", "last_event_id",
								  "prev_event_id", "message_count"},
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

static bool
text_is(Datum value, const char *word)
{
	text *string = DatumGetTextPP(value);

	return VARSIZE_ANY_EXHDR(string) == strlen(word) && memcmp(VARDATA_ANY(string), word, strlen(word)) == 0;
}

/* The statement of take_by_statement, on one version of the row. */
static bool
take_on_row(const TableScan *row, Datum *values, void *arg)
{
	Taking *taking = arg;
	int64 last = DatumGetInt64(table_value(row, CHAT_LAST_EVENT_ID));

	if (!table_is_null(row, CHAT_DELETED_ID))
		return false;
	*taking->place = (Place){.id = clock_take_id(last),
							 .prev_id = last,
							 .number = DatumGetInt32(table_value(row, CHAT_MESSAGE_COUNT)) + taking->messages,
							 .direct = text_is(table_value(row, CHAT_KIND), "direct"),
							 .guarded = !text_is(table_value(row, CHAT_POSTING), "all"),
							 .large = DatumGetBool(table_value(row, CHAT_LARGE))};
	values[CHAT_LAST_EVENT_ID] = Int64GetDatum(taking->place->id);
	values[CHAT_PREV_EVENT_ID] = Int64GetDatum(last);
	values[CHAT_MESSAGE_COUNT] = Int32GetDatum(taking->place->number);
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
								  "     kind = 'direct', posting <> 'all', large",
								  2,
								  {INT8OID, INT4OID},
								  NULL};
	Datum values[6];
	bool nulls[6];

	statement_run(&statement, (Datum[]){Int64GetDatum(taking->chat_id), Int32GetDatum(taking->messages)},
				  NULL, false);
	taking->found = SPI_processed > 0;
	if (!taking->found)
		return;
	heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, values, nulls);
	*taking->place = (Place){.id = DatumGetInt64(values[0]),
							 .prev_id = DatumGetInt64(values[1]),
							 .number = DatumGetInt32(values[2]),
							 .direct = DatumGetBool(values[3]),
							 .guarded = DatumGetBool(values[4]),
							 .large = DatumGetBool(values[5])};
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

static TupleDesc
result_shape(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		TupleDesc shape;

		if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "next_event returns a row");
		fcinfo->flinfo->fn_extra = BlessTupleDesc(shape);
		MemoryContextSwitchTo(caller);
	}
	return fcinfo->flinfo->fn_extra;
}

/* chat.next_event(chat_id, messages) → (id, prev_id, number) */
PG_FUNCTION_INFO_V1(chat_next_event);
Datum
chat_next_event(PG_FUNCTION_ARGS)
{
	TupleDesc shape = result_shape(fcinfo);
	Place place;

	if (PG_ARGISNULL(0))
		chat_fail("no_such_chat", NULL, NULL);
	SPI_connect();
	order_take_place(PG_GETARG_INT64(0), PG_GETARG_INT32(1), &place);
	SPI_finish();
	return HeapTupleGetDatum(heap_form_tuple(
		shape, (Datum[]){Int64GetDatum(place.id), Int64GetDatum(place.prev_id), Int32GetDatum(place.number)},
		(bool[]){false, false, false}));
}

static void
lock_row(void *chat_id)
{
	static Statement statement = {
		"SELECT 1 FROM chat.chats WHERE id = $1 AND deleted_id IS NULL FOR NO KEY UPDATE",
		1,
		{INT8OID},
		NULL};

	statement_run(&statement, chat_id, NULL, false);
}

/* chat.lock_chat(chat_id) */
PG_FUNCTION_INFO_V1(chat_lock_chat);
Datum
chat_lock_chat(PG_FUNCTION_ARGS)
{
	Datum chat_id = PG_GETARG_DATUM(0);

	if (PG_ARGISNULL(0))
		chat_fail("no_such_chat", NULL, NULL);
	SPI_connect();
	run_locking(lock_row, &chat_id);
	if (SPI_processed == 0)
		chat_fail("no_such_chat", NULL, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

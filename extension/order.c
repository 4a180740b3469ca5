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

#include "errors.h"
#include "order.h"

/*
 * Runs a statement that locks a chat's row, under chat.lock_timeout. LockTimeout is what lock_timeout sets;
 * setting the variable itself for the statement's time spares a GUC change per message.
 */
static void
run_locking(Statement *statement, Datum *values)
{
	MemoryContext caller = CurrentMemoryContext;
	int session_timeout = LockTimeout;
	bool ours = chat_lock_timeout > 0 && (session_timeout == 0 || session_timeout > chat_lock_timeout);

	PG_TRY();
	{
		if (ours)
			LockTimeout = chat_lock_timeout;
		statement_run(statement, values, NULL, false);
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

void
order_take_place(int64 chat_id, int32 messages, Place *place)
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

	run_locking(&statement, (Datum[]){Int64GetDatum(chat_id), Int32GetDatum(messages)});
	if (SPI_processed == 0)
		chat_fail("no_such_chat", NULL, NULL);
	heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, values, nulls);
	*place = (Place){.id = DatumGetInt64(values[0]),
					 .prev_id = DatumGetInt64(values[1]),
					 .number = DatumGetInt32(values[2]),
					 .direct = DatumGetBool(values[3]),
					 .guarded = DatumGetBool(values[4]),
					 .large = DatumGetBool(values[5])};
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

/* chat.lock_chat(chat_id) */
PG_FUNCTION_INFO_V1(chat_lock_chat);
Datum
chat_lock_chat(PG_FUNCTION_ARGS)
{
	static Statement statement = {
		"SELECT 1 FROM chat.chats WHERE id = $1 AND deleted_id IS NULL FOR NO KEY UPDATE",
		1,
		{INT8OID},
		NULL};

	if (PG_ARGISNULL(0))
		chat_fail("no_such_chat", NULL, NULL);
	SPI_connect();
	run_locking(&statement, (Datum[]){PG_GETARG_DATUM(0)});
	if (SPI_processed == 0)
		chat_fail("no_such_chat", NULL, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * send.c: chat.send_message, the call that is made more often than all others together.
 *
 * It is C because it is the hot path, and only that. The rules stand in SQL: what C decides here is whether a call
 * is so plain that no rule can be against it; of everything else it asks the SQL function that knows (statements
 * that begin with SELECT chat.…), and that raises the error. In a pipelined group a message takes 60 us of the backend's
 * time on two busy cores; 100 us with a statement for each of 2, 4, 5 and 7 instead of table.c (chat.direct_tables = off), and
 * 260 us in PL/pgSQL with the event made by a trigger (`make bench-send`).
 *
 *	 1	is_plain, else chat.check_message: the arguments.
 *	 2	order_take_place: locks the chat, takes id, prev_id and number, and tells what the chat's row says.
 *	 3	With a client_key: was it sent before? Then chat.repeat_message answers, and takes 2 back.
 *	 4	move_cursor: the sender's member row, which also notes that they write here; who has none is not in the chat.
 *	 5	recipients_of_message: who hears it, whether it is to be pushed to one of them, and in a direct chat whether
 *		something stands between the two, in others whether the sender's account has ended meanwhile.
 *	 6	Unless that says that all may post: guard_check_posting. Reply, mentions, files when there are any.
 *	 7	insert_message, publish, queue_push.
 *
 * Each statement after 2 takes its own snapshot (READ COMMITTED), so that it sees what the transaction has committed that
 * held the chat before us: whom it let in, and what it sent with our client_key.
 *
 * Rights: send_message is SECURITY DEFINER with a pinned search_path like every other; add_message, which nobody is
 * granted, runs as its callers do, who are so too. So the saved plans and the SQL functions under them find
 * operators in pg_catalog alone.
 *
 * Locks: the chat's row, then the sender's member row, then what chat.attach_files and chat.add_mentions lock.
 */
#include "chat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errors.h"
#include "event.h"
#include "order.h"
#include "recipients.h"
#include "settings.h"
#include "table.h"

/* The arguments, alike in send_message and add_message. */
enum
{
	ARG_SENDER,
	ARG_CHAT,
	ARG_BODY,
	ARG_REPLY_TO,
	ARG_FILES,
	ARG_MENTIONS,
	ARG_ATTRIBUTES,
	ARG_CLIENT_KEY,
	ARG_EXPIRES_IN,
	ARG_FORWARDED_FROM /* add_message's alone */
};

#define CLIENT_KEY_MAX 64 /* characters, as chat.check_message says; not less than as many bytes */

/* An argument, 0 when it is NULL */
static Datum
argument(FunctionCallInfo fcinfo, int number)
{
	return number >= PG_NARGS() || PG_ARGISNULL(number) ? 0 : PG_GETARG_DATUM(number);
}

/* An array argument, 0 when it is NULL or empty */
static Datum
array_argument(FunctionCallInfo fcinfo, int number)
{
	Datum value = argument(fcinfo, number);
	ArrayType *array = value ? DatumGetArrayTypeP(value) : NULL;

	return array && ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) > 0 ? PointerGetDatum(array) : 0;
}

/* Runs a statement whose last arguments may be NULL: those that are 0 from the one numbered `first` on. */
static void
run_optional(Statement *statement, Datum *values, int first)
{
	char nulls[lengthof(statement->args)];

	for (int i = 0; i < statement->nargs; i++)
		nulls[i] = i >= first && values[i] == 0 ? 'n' : ' ';
	statement_run(statement, values, nulls, false);
}

/* Whether nothing can be wrong with the arguments that chat.check_message looks at. */
static bool
is_plain(FunctionCallInfo fcinfo)
{
	Datum body = argument(fcinfo, ARG_BODY);
	Datum key = argument(fcinfo, ARG_CLIENT_KEY);
	Size length = body ? VARSIZE_ANY_EXHDR(DatumGetTextPP(body)) : 0;
	Size key_length = key ? VARSIZE_ANY_EXHDR(DatumGetTextPP(key)) : 1;

	return length > 0 && length <= (Size) setting_integer("body_max_length") && key_length > 0 &&
		   key_length <= CLIENT_KEY_MAX && PG_ARGISNULL(ARG_ATTRIBUTES) && PG_ARGISNULL(ARG_EXPIRES_IN);
}

static void
check_message(FunctionCallInfo fcinfo)
{
	static Statement statement = {"SELECT chat.check_message($1, $2, $3, $4, $5)",
								  5,
								  {TEXTOID, INT8ARRAYOID, JSONBOID, TEXTOID, INTERVALOID},
								  NULL};

	if (!is_plain(fcinfo))
		run_optional(&statement,
					 (Datum[]){argument(fcinfo, ARG_BODY), argument(fcinfo, ARG_FILES),
							   argument(fcinfo, ARG_ATTRIBUTES), argument(fcinfo, ARG_CLIENT_KEY),
							   argument(fcinfo, ARG_EXPIRES_IN)},
					 0);
}

/* Whether a message with this key is there; then *message is that one, as far as the answer needs it. */
static bool
find_repeated(FunctionCallInfo fcinfo, Message *message)
{
	static Statement find = {
		"SELECT id FROM chat.messages WHERE chat_id = $1 AND sender_id = $2 AND client_key = $3",
		3,
		{INT8OID, INT8OID, TEXTOID},
		NULL};
	static Statement repeat = {
		"SELECT r.id, r.prev_id, r.number FROM chat.repeat_message($1, $2, $3, $4, $5, $6, $7, $8, $9) r",
		9,
		{INT8OID, INT8OID, TEXTOID, INT8OID, INT8ARRAYOID, INT8ARRAYOID, JSONBOID, INT8OID, INTERVALOID},
		NULL};
	Datum values[3];
	bool nulls[3];

	statement_run(
		&find,
		(Datum[]){Int64GetDatum(message->chat_id), Int64GetDatum(message->sender_id), message->client_key},
		NULL, false);
	if (SPI_processed == 0)
		return false;
	heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, values, nulls);
	run_optional(&repeat,
				 (Datum[]){Int64GetDatum(message->chat_id), values[0], argument(fcinfo, ARG_BODY),
						   argument(fcinfo, ARG_REPLY_TO), argument(fcinfo, ARG_FILES),
						   argument(fcinfo, ARG_MENTIONS), argument(fcinfo, ARG_ATTRIBUTES),
						   argument(fcinfo, ARG_FORWARDED_FROM), argument(fcinfo, ARG_EXPIRES_IN)},
				 2);
	heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, values, nulls);
	message->id = DatumGetInt64(values[0]);
	message->prev_id = DatumGetInt64(values[1]);
	message->number = DatumGetInt32(values[2]);
	return true;
}

enum
{
	MEMBER_LEFT_ID,
	MEMBER_READ_ID,
	MEMBER_READ_COUNT,
	MEMBER_MENTIONS,
	MEMBER_WROTE
};

static Table members = {.name = "members",
						.index = "members_pkey",
						.columns = {"left_id", "read_id", "read_count", "mentions", "wrote"},
						.written = 1u << MEMBER_READ_ID | 1u << MEMBER_READ_COUNT | 1u << MEMBER_MENTIONS |
								   1u << MEMBER_WROTE};

/* The statement of move_cursor, on one version of the row. */
static bool
move_on_row(const TableScan *row, Datum *values, void *arg)
{
	const Message *message = arg;

	values[MEMBER_READ_ID] = Int64GetDatum(message->id);
	values[MEMBER_READ_COUNT] = Int32GetDatum(message->number);
	values[MEMBER_MENTIONS] = Int32GetDatum(0);
	values[MEMBER_WROTE] = BoolGetDatum(true);
	return table_is_null(row, MEMBER_LEFT_ID);
}

static void
move_cursor(Message *message)
{
	static Statement statement = {
		"UPDATE chat.members SET read_id = $3, read_count = $4, mentions = 0, wrote = true"
		" WHERE chat_id = $1 AND user_id = $2 AND left_id IS NULL",
		4,
		{INT8OID, INT8OID, INT8OID, INT4OID},
		NULL};
	TableResult result;

	table_begin_statement();
	result = table_update(&members, (int64[]){message->chat_id, message->sender_id}, 2, move_on_row, message);
	table_end_statement();
	if (result == TABLE_NOT_DIRECT)
		statement_run(&statement,
					  (Datum[]){Int64GetDatum(message->chat_id), Int64GetDatum(message->sender_id),
								Int64GetDatum(message->id), Int32GetDatum(message->number)},
					  NULL, false);
	if (result == TABLE_NO_ROW || (result == TABLE_NOT_DIRECT && SPI_processed == 0))
		chat_fail("no_such_chat", NULL, NULL);
}

/* Plain: posting is for all, and nothing else is against it. */
static void
check_posting(const Message *message, const ChatRow *chat, const Recipients *recipients)
{
	if (!chat->guarded && recipients->open)
		return;
	table_begin_statement();
	guard_check_posting(message->chat_id, message->sender_id);
	table_end_statement();
}

static void
check_reply(const Message *message)
{
	static Statement statement = {
		"SELECT 1 FROM chat.check_visible_message($1, $2, $3)", 3, {INT8OID, INT8OID, INT8OID}, NULL};

	statement_run(&statement,
				  (Datum[]){Int64GetDatum(message->chat_id), Int64GetDatum(message->reply_to_id),
							Int64GetDatum(message->sender_id)},
				  NULL, false);
}

/* The mentioned users, each once, into the message, and its mentions into their counts. */
static void
add_mentions(Message *message, Datum mention_ids)
{
	static Statement check = {"SELECT chat.check_mentions($1, $2)", 2, {INT8OID, INT8ARRAYOID}, NULL};
	static Statement add = {
		"SELECT chat.add_mentions($1, $2, $3, $4)", 4, {INT8OID, INT8OID, INT8ARRAYOID, INT8OID}, NULL};
	bool isnull;

	if (mention_ids == 0)
		return;
	statement_run(&check, (Datum[]){Int64GetDatum(message->chat_id), mention_ids}, NULL, false);
	message->mention_ids = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
		message->mention_ids = 0;
	else
		statement_run(&add,
					  (Datum[]){Int64GetDatum(message->chat_id), Int64GetDatum(message->id),
								message->mention_ids, Int64GetDatum(message->sender_id)},
					  NULL, false);
}

static void
attach_files(const Message *message)
{
	static Statement statement = {
		"SELECT chat.attach_files($1, $2, $3, $4)", 4, {INT8OID, INT8OID, INT8ARRAYOID, INT8OID}, NULL};

	if (message->file_ids != 0)
		statement_run(&statement,
					  (Datum[]){Int64GetDatum(message->chat_id), Int64GetDatum(message->id),
								message->file_ids, Int64GetDatum(message->sender_id)},
					  NULL, false);
}

/* In the order of insert_message's values */
static Table messages = {.name = "messages",
						 .index = "messages_pkey",
						 .columns = {"chat_id", "id", "prev_id", "number", "sender_id", "body", "kind",
									 "pinned", "reply_to_id", "attributes", "client_key", "expires_at",
									 "mention_ids", "file_ids", "forwarded_from", "edited_id", "deleted_id",
									 "reactions", "pinned_id"},
						 .written = (1u << 19) - 1};

#define MESSAGE_GIVEN 8 /* of them are never NULL */

static void
insert_message(const Message *message)
{
	static Statement statement = {
		"INSERT INTO chat.messages (chat_id, id, prev_id, number, sender_id, body, kind, pinned,"
		"    reply_to_id, attributes, client_key, expires_at, mention_ids, file_ids, forwarded_from)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
		15,
		{INT8OID, INT8OID, INT8OID, INT4OID, INT8OID, TEXTOID, TEXTOID, BOOLOID, INT8OID, JSONBOID, TEXTOID,
		 TIMESTAMPTZOID, INT8ARRAYOID, INT8ARRAYOID, INT8OID},
		NULL};
	Datum values[19] = {Int64GetDatum(message->chat_id),
						Int64GetDatum(message->id),
						Int64GetDatum(message->prev_id),
						Int32GetDatum(message->number),
						Int64GetDatum(message->sender_id),
						message->body,
						CStringGetTextDatum("user"),
						BoolGetDatum(false),
						Int64GetDatum(message->reply_to_id),
						message->attributes,
						message->client_key,
						TimestampTzGetDatum(message->expires_at),
						message->mention_ids,
						message->file_ids,
						Int64GetDatum(message->forwarded_from)};
	bool nulls[19];

	for (int i = 0; i < (int) lengthof(nulls); i++)
		nulls[i] = i >= MESSAGE_GIVEN && values[i] == 0;
	if (table_insert(&messages, values, nulls) == TABLE_NOT_DIRECT)
		run_optional(&statement, values, MESSAGE_GIVEN);
}

static void
queue_push(const Message *message)
{
	static Statement statement = {
		"INSERT INTO chat.push_queue (message_id, chat_id) VALUES ($1, $2)", 2, {INT8OID, INT8OID}, NULL};

	statement_run(&statement, (Datum[]){Int64GetDatum(message->id), Int64GetDatum(message->chat_id)}, NULL,
				  false);
	publish_signal("chat_push");
}

/* clock_timestamp() + expires_in, 0 when it is NULL */
static TimestampTz
expiry(Datum expires_in)
{
	if (expires_in == 0)
		return 0;
	return DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(GetCurrentTimestamp()), expires_in));
}

/* Writes and publishes a message that has its place and was not sent before. */
static void
write_message(FunctionCallInfo fcinfo, Message *message, const Place *place)
{
	Recipients recipients;
	Event event;

	move_cursor(message);
	recipients_of_message(message->chat_id, message->sender_id, &place->chat, &recipients);
	check_posting(message, &place->chat, &recipients);
	if (!PG_ARGISNULL(ARG_REPLY_TO))
		check_reply(message);
	add_mentions(message, array_argument(fcinfo, ARG_MENTIONS));
	attach_files(message);
	insert_message(message);
	event_of_message(&event, message);
	publish(&event, &recipients.audience);
	if (recipients.away)
		queue_push(message);
}

/* Sends what the arguments say; *message is then as it stands in the chat. Answers whether it was there before. */
static bool
add_message(FunctionCallInfo fcinfo, Message *message)
{
	Place place;

	*message = (Message){.chat_id = DatumGetInt64(argument(fcinfo, ARG_CHAT)),
						 .sender_id = DatumGetInt64(argument(fcinfo, ARG_SENDER)),
						 .body = argument(fcinfo, ARG_BODY),
						 .reply_to_id = DatumGetInt64(argument(fcinfo, ARG_REPLY_TO)),
						 .attributes = argument(fcinfo, ARG_ATTRIBUTES),
						 .client_key = argument(fcinfo, ARG_CLIENT_KEY),
						 .file_ids = array_argument(fcinfo, ARG_FILES),
						 .forwarded_from = DatumGetInt64(argument(fcinfo, ARG_FORWARDED_FROM))};
	if (message->body == 0)
		message->body = PointerGetDatum(cstring_to_text(""));
	order_take_place(message->chat_id, 1, &place);
	message->id = place.id;
	message->prev_id = place.prev_id;
	message->number = place.chat.message_count;
	if (message->client_key != 0 && find_repeated(fcinfo, message))
		return true;
	message->expires_at = expiry(argument(fcinfo, ARG_EXPIRES_IN));
	write_message(fcinfo, message, &place);
	return false;
}

/* (id, prev_id, number, sent_at, duplicate), as both functions declare their results */
static Datum
result(FunctionCallInfo fcinfo, const Message *message, bool duplicate)
{
	static TupleDesc shape = NULL;

	return row_of(fcinfo, &shape,
				  (Datum[]){Int64GetDatum(message->id), Int64GetDatum(message->prev_id),
							Int32GetDatum(message->number), TimestampTzGetDatum(clock_id_time(message->id)),
							BoolGetDatum(duplicate)});
}

/* chat.add_message(sender_id, chat_id, …): for functions that have checked the arguments */
PG_FUNCTION_INFO_V1(chat_add_message);
Datum
chat_add_message(PG_FUNCTION_ARGS)
{
	Message message;
	bool duplicate;

	SPI_connect();
	duplicate = add_message(fcinfo, &message);
	SPI_finish();
	return result(fcinfo, &message, duplicate);
}

/* chat.send_message(actor_id, chat_id, …) */
PG_FUNCTION_INFO_V1(chat_send_message);
Datum
chat_send_message(PG_FUNCTION_ARGS)
{
	Message message;
	bool duplicate;

	if (PG_ARGISNULL(ARG_SENDER))
		chat_fail("not_authenticated", NULL, NULL);
	SPI_connect();
	check_message(fcinfo);
	duplicate = add_message(fcinfo, &message);
	SPI_finish();
	return result(fcinfo, &message, duplicate);
}

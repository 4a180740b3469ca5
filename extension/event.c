/* SPDX-License-Identifier: PostgreSQL */
/*
 * event.c: what happened, as JSON: the bodies of the publishing triggers, and the message event.
 *
 * A trigger builds its event once, straight from the row, finds out who may hear it, and hands both to
 * publish.c. Rows whose id or version was not taken by this very transaction (clock_took) are somebody else's
 * past: a restore, a COPY, a replication apply; they publish nothing.
 *
 * Messages have no such trigger. Who sends one (send.c) has all its values and its audience in hand, and publishes
 * it from them; a trigger would read both again. So a restored message has nobody to publish it.
 *
 * The message inside an event is one row of list_messages: same members, same order, same formats. The same code
 * serves list_chats (last_message) and sync.
 *
 *	 trigger						table, when							event, to whom
 *	 chat_publish_event				events, after insert				itself: members and who leaves by it; to those who do
 *																		not see the message that it is about, event_hidden
 *	 chat_publish_cursor			members, after read_version or		read, delivered: members of chats not too large who
 *									delivered_version moves				may know and see so far; with the unread count: own
 *																		sockets
 *	 chat_publish_session_end		sessions, after delete				session_ended: gateways close its sockets
 */
#include "chat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "clock.h"
#include "errors.h"
#include "event.h"
#include "json.h"
#include "publish.h"
#include "recipients.h"
#include "settings.h"

typedef struct Row
{
	HeapTuple tuple;
	TupleDesc shape;
} Row;

static Datum
row_value(const Row *row, const char *column, bool *isnull)
{
	int number = SPI_fnumber(row->shape, column);

	if (number <= 0)
		elog(ERROR, "there is no column \"%s\"", column);
	return SPI_getbinval(row->tuple, row->shape, number, isnull);
}

static int64
row_id(const Row *row, const char *column)
{
	bool isnull;
	Datum value = row_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static int32
row_integer(const Row *row, const char *column)
{
	bool isnull;
	Datum value = row_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

/* NULL when it is NULL */
static char *
row_text(const Row *row, const char *column)
{
	bool isnull;
	Datum value = row_value(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static void
begin_event(Event *event, const char *type, int64 key)
{
	initStringInfo(&event->json);
	appendStringInfo(&event->json, "{\"type\":\"%s\"", type);
	event->common = 0;
	event->key = key;
}

/* The JSON that a SQL helper makes of a message's parts; needs SPI. */
static void
append_helper(StringInfo out, const char *name, Statement *statement, Datum *values)
{
	Row helper;
	char *json;

	statement_run(statement, values, NULL, true);
	helper = (Row){SPI_tuptable->vals[0], SPI_tuptable->tupdesc};
	json = SPI_getvalue(helper.tuple, helper.shape, 1);
	json_raw(out, name, json ? json : "null");
}

static void
append_reply(StringInfo out, const Message *message, int64 reader_id)
{
	static Statement statement = {
		"SELECT COALESCE(chat.reply_json($1, $2, $3), 'null')", 3, {INT8OID, INT8OID, INT8OID}, NULL};

	if (message->reply_to_id == 0)
		json_null(out, "reply");
	else
		append_helper(out, "reply", &statement,
					  (Datum[]){Int64GetDatum(message->chat_id), Int64GetDatum(message->reply_to_id),
								Int64GetDatum(reader_id)});
}

static void
append_files(StringInfo out, Datum file_ids)
{
	static Statement statement = {"SELECT chat.files_json($1)", 1, {INT8ARRAYOID}, NULL};

	if (file_ids == 0)
		json_raw(out, "files", "[]");
	else
		append_helper(out, "files", &statement, &file_ids);
}

static void
append_reactions(StringInfo out, const Message *message, int64 reader_id)
{
	static Statement statement = {
		"SELECT chat.reactions_json($1, $2, $3, $4)", 4, {INT8OID, INT8OID, JSONBOID, INT8OID}, NULL};

	if (message->reactions == 0)
		json_raw(out, "reactions", "[]");
	else
		append_helper(out, "reactions", &statement,
					  (Datum[]){Int64GetDatum(message->chat_id), Int64GetDatum(message->id),
								message->reactions, Int64GetDatum(reader_id)});
}

static void
append_mentions(StringInfo out, Datum mention_ids)
{
	Datum *ids = NULL;
	int count = 0;

	if (mention_ids != 0)
		deconstruct_array(DatumGetArrayTypeP(mention_ids), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
						  TYPALIGN_DOUBLE, &ids, NULL, &count);
	json_raw(out, "mentions", "[");
	for (int i = 0; i < count; i++)
		appendStringInfo(out, i ? ",\"" INT64_FORMAT "\"" : "\"" INT64_FORMAT "\"", DatumGetInt64(ids[i]));
	appendStringInfoChar(out, ']');
}

/* A time that an event id stands for, or null. */
static void
append_event_time(StringInfo out, const char *name, int64 id)
{
	if (id == 0)
		json_null(out, name);
	else
		json_time(out, name, clock_id_time(id));
}

/* One row of list_messages, as reader_id sees it (0: as nobody in particular). Needs SPI. */
static void
append_message(StringInfo out, const Message *message, int64 reader_id)
{
	int start = out->len;

	json_id(out, "id", message->id);
	out->data[start] = '{';
	json_id(out, "chat_id", message->chat_id);
	if (message->system)
		json_null(out, "number");
	else
		json_integer(out, "number", message->number);
	json_text(out, "kind", message->system ? "system" : "user");
	json_id(out, "sender_id", message->sender_id);
	json_text(out, "body", TextDatumGetCString(message->body));
	json_time(out, "sent_at", clock_id_time(message->id));
	append_event_time(out, "edited_at", message->edited_id);
	append_event_time(out, "deleted_at", message->deleted_id);
	if (message->expires_at == 0)
		json_null(out, "expires_at");
	else
		json_time(out, "expires_at", message->expires_at);
	append_reply(out, message, reader_id);
	append_files(out, message->file_ids);
	append_mentions(out, message->mention_ids);
	append_reactions(out, message, reader_id);
	if (message->attributes == 0)
		json_null(out, "attributes");
	else
		json_raw(out, "attributes", JsonbToCString(NULL, &DatumGetJsonbP(message->attributes)->root, -1));
	json_raw(out, "pinned", message->pinned ? "true" : "false");
	if (message->forwarded_from == 0)
		json_null(out, "forwarded_from");
	else
		json_id(out, "forwarded_from", message->forwarded_from);
	appendStringInfoChar(out, '}');
}

/* 0 when it is NULL */
static Datum
row_datum(const Row *row, const char *column)
{
	bool isnull;
	Datum value = row_value(row, column, &isnull);

	return isnull ? 0 : value;
}

/* What is left to be read of a message whose sender's account ended with this id: see chat.v_readable_messages. */
static Message
emptied(const Message *message, int64 erased_id)
{
	return (Message){.chat_id = message->chat_id,
					 .id = message->id,
					 .prev_id = message->prev_id,
					 .number = message->number,
					 .sender_id = message->sender_id,
					 .body = PointerGetDatum(cstring_to_text("")),
					 .deleted_id = message->deleted_id != 0 ? message->deleted_id : erased_id};
}

/* A row of chat.messages, as far as it may be read; lives as long as the row. Needs SPI. */
static Message
row_message(const Row *row)
{
	Message message = {.chat_id = row_id(row, "chat_id"),
					   .id = row_id(row, "id"),
					   .prev_id = row_id(row, "prev_id"),
					   .number = row_integer(row, "number"),
					   .system = strcmp(row_text(row, "kind"), "user") != 0,
					   .sender_id = row_id(row, "sender_id"),
					   .body = row_datum(row, "body"),
					   .reply_to_id = row_id(row, "reply_to_id"),
					   .attributes = row_datum(row, "attributes"),
					   .client_key = row_datum(row, "client_key"),
					   .edited_id = row_id(row, "edited_id"),
					   .deleted_id = row_id(row, "deleted_id"),
					   .expires_at = DatumGetTimestampTz(row_datum(row, "expires_at")),
					   .mention_ids = row_datum(row, "mention_ids"),
					   .file_ids = row_datum(row, "file_ids"),
					   .reactions = row_datum(row, "reactions"),
					   .pinned = DatumGetBool(row_datum(row, "pinned")),
					   .forwarded_from = row_id(row, "forwarded_from")};
	int64 erased_id = message.system ? 0 : guard_erased_id(message.sender_id);

	return erased_id == 0 ? message : emptied(&message, erased_id);
}

void
event_of_message(Event *event, const Message *message)
{
	StringInfo out = &event->json;

	begin_event(event, "message", message->id);
	json_id(out, "chat_id", message->chat_id);
	json_id(out, "id", message->id);
	json_id(out, "prev_id", message->prev_id);
	json_id(out, "actor_id", message->sender_id);
	json_time(out, "at", clock_id_time(message->id));
	if (message->client_key != 0)
		json_text(out, "client_key", TextDatumGetCString(message->client_key));
	event->common = out->len;
	appendStringInfoString(out, ",\"message\":");
	append_message(out, message, 0);
}

/* Who hears an event of a chat, about this message if any. Needs SPI; the ids are in its memory context. */
static void
find_audience(int64 chat_id, int64 event_id, int64 message_id, Audience *seeing, Audience *others)
{
	ChatRow chat;

	*seeing = *others = (Audience){.count = 0};
	if (guard_read_chat(chat_id, &chat))
		recipients_of_event(chat_id, event_id, message_id, &chat, seeing, others);
}

static void
audience_remove(Audience *audience, int64 user_id)
{
	int kept = 0;

	for (int i = 0; i < audience->count; i++)
		if (audience->user_ids[i] != user_id)
			audience->user_ids[kept++] = audience->user_ids[i];
	audience->count = kept;
}

/* The row that fired a FOR EACH ROW trigger: the new one, where there is one. */
static Row
trigger_row(FunctionCallInfo fcinfo)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		elog(ERROR, "this function is for row triggers");
	return (Row){TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple,
				 RelationGetDescr(trigger->tg_relation)};
}

/*
 * What scripts of past releases name: the trigger of 0.1.0, until ALTER EXTENSION chat UPDATE, for a message is not to be sent
 * without an event meanwhile; and chat.read_event.
 */
PG_FUNCTION_INFO_V1(chat_publish_message);
PG_FUNCTION_INFO_V1(chat_read_event);
Datum
chat_publish_message(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("this database has chat in another version than the server's library"),
					errhint("Run ALTER EXTENSION chat UPDATE.")));
}

Datum
chat_read_event(PG_FUNCTION_ARGS)
{
	return chat_publish_message(fcinfo);
}

/* `,` and the members of a JSON object, in place of its opening brace; its closing one is left out. */
static void
append_members(StringInfo out, Datum object)
{
	Jsonb *value = DatumGetJsonbP(object);
	char *text;
	size_t length;

	if (!JB_ROOT_IS_OBJECT(value))
		chat_fail("invalid_argument", "an event's members are a JSON object", NULL);
	text = JsonbToCString(NULL, &value->root, -1);
	length = strlen(text);
	if (length <= 2)
		return;
	appendStringInfoChar(out, ',');
	appendBinaryStringInfo(out, text + 1, length - 2);
}

/* NULL unless it is an object that has it, as text. */
static JsonbValue *
text_member(Jsonb *object, const char *name)
{
	JsonbValue *value = JB_ROOT_IS_OBJECT(object)
							? getKeyJsonValueFromContainer(&object->root, name, (int) strlen(name), NULL)
							: NULL;

	return value != NULL && value->type == jbvString ? value : NULL;
}

/* The id that this member is; 0 when there is none. */
static int64
member_id(Jsonb *object, const char *name)
{
	JsonbValue *value = text_member(object, name);

	if (value == NULL)
		return 0;
	return strtoi64(pnstrdup(value->val.string.val, value->val.string.len), NULL, 10);
}

/* The beginning of a logged event: its type, and its place in the chat. */
static void
begin_logged_event(Event *event, const char *type, const Row *row)
{
	int64 id = row_id(row, "id");

	begin_event(event, type, id);
	json_id(&event->json, "chat_id", row_id(row, "chat_id"));
	json_id(&event->json, "id", id);
	json_id(&event->json, "prev_id", row_id(row, "prev_id"));
}

/* All that is told of it to members who do not see the message that it is about: a link of the chain. */
static void
build_hidden_event(Event *event, const Row *row)
{
	begin_logged_event(event, "event_hidden", row);
	json_time(&event->json, "at", clock_id_time(row_id(row, "id")));
}

/* An event's own members. The new body of an edited message is its sender's, as the message is. */
static Datum
row_payload(const Row *row)
{
	bool isnull;
	Datum payload = row_value(row, "payload", &isnull);

	if (strcmp(row_text(row, "type"), "message_edited") == 0 && guard_erased_id(row_id(row, "actor_id")) != 0)
		payload = DirectFunctionCall2(jsonb_delete, payload, CStringGetTextDatum("body"));
	return payload;
}

/* The event of a row of chat.events, but for its closing brace. Needs SPI. */
static void
build_logged_event(Event *event, const Row *row)
{
	StringInfo out = &event->json;

	begin_logged_event(event, row_text(row, "type"), row);
	if (row_id(row, "actor_id") == 0)
		json_null(out, "actor_id");
	else
		json_id(out, "actor_id", row_id(row, "actor_id"));
	json_time(out, "at", clock_id_time(row_id(row, "id")));
	event->common = out->len;
	append_members(out, row_payload(row));
}

/* Users and what they see of the chat, by a statement that answers user_id and visible_from in the order of the latter. */
static void
find_views(Statement *statement, Datum *values, int64 **user_ids, int64 **views)
{
	statement_run(statement, values, NULL, true);
	*user_ids = palloc(sizeof(int64) * Max(1, SPI_processed));
	*views = palloc(sizeof(int64) * Max(1, SPI_processed));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Row row = {SPI_tuptable->vals[i], SPI_tuptable->tupdesc};

		(*user_ids)[i] = row_id(&row, "user_id");
		(*views)[i] = row_id(&row, "visible_from");
	}
}

/* In a large chat, those who come or go hear it on their own channels too: they may not know the chat's yet. */
static void
add_concerned(Audience *audience, const Row *event, Datum payload)
{
	static Statement statement = {
		"SELECT m.user_id, m.visible_from"
		"  FROM pg_catalog.jsonb_array_elements_text($1 OPERATOR(pg_catalog.->) 'user_ids') u"
		"  JOIN chat.members m ON m.chat_id = $2 AND m.user_id = u::bigint",
		2,
		{JSONBOID, INT8OID},
		NULL};
	char *type = row_text(event, "type");
	int64 *views;

	if (audience->chat_id == 0 || (strcmp(type, "member_joined") != 0 && strcmp(type, "member_left") != 0))
		return;
	find_views(&statement, (Datum[]){payload, Int64GetDatum(audience->chat_id)}, &audience->user_ids, &views);
	audience->count = (int) SPI_processed;
	audience->from = audience->count > 0 && strcmp(type, "member_joined") == 0 ? views[0] : 0; /* all alike */
}

/* The event with which a chat grows large: to all who see the same of it at once. */
static void
publish_growth(const Event *event, int64 chat_id)
{
	static Statement statement = {"SELECT user_id, visible_from FROM chat.members"
								  " WHERE chat_id = $1 AND left_id IS NULL ORDER BY visible_from",
								  1,
								  {INT8OID},
								  NULL};
	Datum value = Int64GetDatum(chat_id);
	int64 *user_ids;
	int64 *views;
	int count;
	int next;

	find_views(&statement, &value, &user_ids, &views);
	count = (int) SPI_processed;
	for (int i = 0; i < count; i = next)
	{
		for (next = i + 1; next < count && views[next] == views[i];)
			next++;
		publish(event, &(Audience){.user_ids = user_ids + i, .count = next - i, .from = views[i]});
	}
}

static bool
is_growth(const Row *event, Datum payload)
{
	return strcmp(row_text(event, "type"), "chat_changed") == 0 &&
		   getKeyJsonValueFromContainer(&DatumGetJsonbP(payload)->root, "large", 5, NULL) != NULL;
}

PG_FUNCTION_INFO_V1(chat_publish_event);
Datum
chat_publish_event(PG_FUNCTION_ARGS)
{
	Row row = trigger_row(fcinfo);
	Datum payload = row_datum(&row, "payload");
	Event event;
	Event hidden;
	Audience seeing;
	Audience others;

	if (!clock_took(row_id(&row, "id")))
		return PointerGetDatum(NULL);
	SPI_connect();
	find_audience(row_id(&row, "chat_id"), row_id(&row, "id"),
				  member_id(DatumGetJsonbP(payload), "message_id"), &seeing, &others);
	add_concerned(&seeing, &row, payload);
	build_logged_event(&event, &row);
	if (is_growth(&row, payload))
		publish_growth(&event, row_id(&row, "chat_id"));
	else
		publish(&event, &seeing);
	if (others.count > 0 || others.chat_id != 0)
	{
		build_hidden_event(&hidden, &row);
		publish(&hidden, &others);
	}
	SPI_finish();
	return PointerGetDatum(NULL);
}

/* The cursor of this type in a row of chat.members */
static Cursor
row_cursor(const Row *member, const char *type)
{
	bool read = strcmp(type, "read") == 0;

	return (Cursor){.read = read,
					.chat_id = row_id(member, "chat_id"),
					.user_id = row_id(member, "user_id"),
					.message_id = row_id(member, read ? "read_id" : "delivered_id"),
					.version = row_id(member, read ? "read_version" : "delivered_version"),
					.number = row_integer(member, "read_count"),
					.mentions = row_integer(member, "mentions"),
					.wrote = DatumGetBool(row_datum(member, "wrote")),
					.added_by = row_id(member, "added_by")};
}

/* Its event, as everybody may hear it. */
static void
begin_cursor_event(Event *event, const Cursor *cursor)
{
	begin_event(event, cursor->read ? "read" : "delivered", cursor->version);
	json_id(&event->json, "chat_id", cursor->chat_id);
	json_id(&event->json, "user_id", cursor->user_id);
	json_id(&event->json, "message_id", cursor->message_id);
	if (cursor->read)
		json_integer(&event->json, "number", cursor->number);
	json_id(&event->json, "version", cursor->version);
	json_time(&event->json, "at", clock_id_time(cursor->version));
}

/* What only the reader's own sockets hear of a read event. */
static void
append_unread(Event *event, const Cursor *cursor, int32 message_count)
{
	json_integer(&event->json, "unread", message_count - cursor->number);
	json_integer(&event->json, "mentions", cursor->mentions);
}

/* chat.shows_cursor, of a member in such a chat: here are the plain cases. */
static bool
is_shown(const Cursor *cursor, const ChatRow *chat, const Audience *audience)
{
	static Statement statement = {"SELECT chat.shows_cursor(m, $3, $4) FROM chat.members m"
								  " WHERE m.chat_id = $1 AND m.user_id = $2",
								  4,
								  {INT8OID, INT8OID, TEXTOID, INT8OID},
								  NULL};
	int64 other_id = 0;
	bool isnull;

	if (chat->direct ? cursor->wrote && recipients_are_open(chat, audience, cursor->user_id)
					 : cursor->read || cursor->wrote || cursor->added_by == cursor->user_id)
		return true;
	for (int i = 0; i < audience->count; i++)
		if (audience->user_ids[i] != cursor->user_id)
			other_id = audience->user_ids[i];
	statement_run(&statement,
				  (Datum[]){Int64GetDatum(cursor->chat_id), Int64GetDatum(cursor->user_id),
							CStringGetTextDatum(cursor->read ? "read" : "delivered"),
							Int64GetDatum(other_id)},
				  NULL, true);
	return SPI_processed == 1 &&
		   DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

void
event_publish_cursor(const Cursor *cursor, const ChatRow *chat)
{
	int64 user_id = cursor->user_id;
	Event event;
	Audience audience;

	begin_cursor_event(&event, cursor);
	if (chat->member_count <= setting_integer("receipts_max_members"))
	{
		recipients_of_event(cursor->chat_id, 0, cursor->message_id, chat, &audience, NULL);
		if (is_shown(cursor, chat, &audience))
		{
			audience_remove(&audience, user_id);
			publish(&event, &audience);
		}
	}
	if (cursor->read)
		append_unread(&event, cursor, chat->message_count);
	publish(&event, &(Audience){.user_ids = &user_id, .count = 1});
}

/* Trigger with one argument: which cursor has moved, read or delivered. */
PG_FUNCTION_INFO_V1(chat_publish_cursor);
Datum
chat_publish_cursor(PG_FUNCTION_ARGS)
{
	Row member = trigger_row(fcinfo);
	Trigger *trigger = ((TriggerData *) fcinfo->context)->tg_trigger;
	/* A trigger of 0.1.0, before ALTER EXTENSION chat UPDATE, has no argument: it is for the read cursor. */
	Cursor cursor = row_cursor(&member, trigger->tgnargs == 1 ? trigger->tgargs[0] : "read");
	ChatRow chat;

	if (!clock_took(cursor.version))
		return PointerGetDatum(NULL);
	SPI_connect();
	if (guard_read_chat(cursor.chat_id, &chat))
		event_publish_cursor(&cursor, &chat);
	SPI_finish();
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(chat_publish_session_end);
Datum
chat_publish_session_end(PG_FUNCTION_ARGS)
{
	Row session = trigger_row(fcinfo);
	int64 user_id = row_id(&session, "user_id");
	Event event;

	begin_event(&event, "session_ended", 0);
	json_id(&event.json, "user_id", user_id);
	json_id(&event.json, "session_id", row_id(&session, "id"));
	publish(&event, &(Audience){.user_ids = &user_id, .count = 1});
	return PointerGetDatum(NULL);
}

/* The text in the memory context that SPI_connect was called in. */
static text *
result_text(const StringInfoData *json)
{
	text *result = SPI_palloc(VARHDRSZ + json->len);

	SET_VARSIZE(result, VARHDRSZ + json->len);
	memcpy(VARDATA(result), json->data, json->len);
	return result;
}

/* A row that a table of ours could hold: nothing of what is NOT NULL there is missing. */
static void
check_row(const Row *row)
{
	if (!HeapTupleHasNulls(row->tuple))
		return;
	for (int i = 0; i < row->shape->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(row->shape, i);

		if (column->attnotnull && !column->attisdropped && heap_attisnull(row->tuple, i + 1, row->shape))
			chat_fail("invalid_argument", "this is no row of the table", NULL);
	}
}

/* A composite argument, in the caller's room for its tuple; its shape is to be released. */
static Row
argument_row(Datum argument, HeapTuple tuple)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(argument);
	Row row;

	*tuple = (HeapTupleData){.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	ItemPointerSetInvalid(&tuple->t_self);
	row = (Row){tuple,
				lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header))};
	check_row(&row);
	return row;
}

/* chat.message_json(message chat.messages, reader_id) → json: the row as it stands in events and lists */
PG_FUNCTION_INFO_V1(chat_message_json);
Datum
chat_message_json(PG_FUNCTION_ARGS)
{
	HeapTupleData tuple;
	Row message = argument_row(PG_GETARG_DATUM(0), &tuple);
	Message parts;
	StringInfoData out;
	text *result;

	SPI_connect();
	initStringInfo(&out);
	parts = row_message(&message);
	append_message(&out, &parts, PG_NARGS() == 2 ? PG_GETARG_INT64(1) : 0); /* 0.1.0 named no reader */
	result = result_text(&out);
	SPI_finish();
	ReleaseTupleDesc(message.shape);
	PG_RETURN_TEXT_P(result);
}

/* chat.message_event(message chat.messages) → json: the message event as it is published */
PG_FUNCTION_INFO_V1(chat_message_event);
Datum
chat_message_event(PG_FUNCTION_ARGS)
{
	HeapTupleData tuple;
	Row message = argument_row(PG_GETARG_DATUM(0), &tuple);
	Message parts;
	Event event;
	text *result;

	SPI_connect();
	parts = row_message(&message);
	event_of_message(&event, &parts);
	appendStringInfoChar(&event.json, '}');
	result = result_text(&event.json);
	SPI_finish();
	ReleaseTupleDesc(message.shape);
	PG_RETURN_TEXT_P(result);
}

/* chat.logged_event(event chat.events) → json: a durable event as it is published */
PG_FUNCTION_INFO_V1(chat_logged_event);
Datum
chat_logged_event(PG_FUNCTION_ARGS)
{
	HeapTupleData tuple;
	Row row = argument_row(PG_GETARG_DATUM(0), &tuple);
	Event event;
	text *result;

	SPI_connect();
	build_logged_event(&event, &row);
	appendStringInfoChar(&event.json, '}');
	result = result_text(&event.json);
	SPI_finish();
	ReleaseTupleDesc(row.shape);
	PG_RETURN_TEXT_P(result);
}

/* chat.hidden_event(event chat.events) → json: what is told of it to who does not see the message that it is about */
PG_FUNCTION_INFO_V1(chat_hidden_event);
Datum
chat_hidden_event(PG_FUNCTION_ARGS)
{
	HeapTupleData tuple;
	Row row = argument_row(PG_GETARG_DATUM(0), &tuple);
	Event event;

	build_hidden_event(&event, &row);
	appendStringInfoChar(&event.json, '}');
	ReleaseTupleDesc(row.shape);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(event.json.data, event.json.len));
}

/*
 * chat.cursor_event(member chat.members, type, message_count) → json: the read or delivered event as it is published;
 * to the reader himself with the unread count, when message_count is not NULL
 */
PG_FUNCTION_INFO_V1(chat_cursor_event);
Datum
chat_cursor_event(PG_FUNCTION_ARGS)
{
	HeapTupleData tuple;
	Row member;
	char *type;
	Cursor cursor;
	Event event;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	type = TextDatumGetCString(PG_GETARG_DATUM(1));
	if (strcmp(type, "read") != 0 && strcmp(type, "delivered") != 0)
		chat_fail("invalid_argument", "this is no type of a cursor", "Use read or delivered.");
	member = argument_row(PG_GETARG_DATUM(0), &tuple);
	cursor = row_cursor(&member, type);
	begin_cursor_event(&event, &cursor);
	if (!PG_ARGISNULL(2))
		append_unread(&event, &cursor, PG_GETARG_INT32(2));
	appendStringInfoChar(&event.json, '}');
	ReleaseTupleDesc(member.shape);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(event.json.data, event.json.len));
}

void
event_check(Jsonb *event)
{
	if (text_member(event, "type") == NULL)
		chat_fail("invalid_argument", "an event is a JSON object with a type", NULL);
}

/*
 * chat.publish(event jsonb, user_ids bigint[], chat_id): an event that no table holds (typing, signal) or that is a
 * record's present state (connection_changed, …): to the members of the chat, or to these users.
 */
PG_FUNCTION_INFO_V1(chat_publish);
Datum
chat_publish(PG_FUNCTION_ARGS)
{
	Event event = {.common = 0};
	Audience audience = {0};
	Audience others;
	Datum *ids;

	if (PG_ARGISNULL(0) || (PG_ARGISNULL(1) && PG_ARGISNULL(2)))
		chat_fail("invalid_argument", "an event is for somebody", NULL);
	event_check(PG_GETARG_JSONB_P(0));
	event.key = member_id(PG_GETARG_JSONB_P(0), "version");
	initStringInfo(&event.json);
	append_members(&event.json, PG_GETARG_DATUM(0));
	event.json.data[0] = '{'; /* in place of the comma */
	SPI_connect();
	if (!PG_ARGISNULL(2))
		find_audience(PG_GETARG_INT64(2), 0, 0, &audience, &others);
	else
	{
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
						  &ids, NULL, &audience.count);
		audience.user_ids = palloc(sizeof(int64) * Max(1, audience.count));
		for (int i = 0; i < audience.count; i++)
			audience.user_ids[i] = DatumGetInt64(ids[i]);
	}
	publish(&event, &audience);
	SPI_finish();
	PG_RETURN_VOID();
}

/* chat.took(id): whether this transaction took it, hence whether a trigger may publish its row */
PG_FUNCTION_INFO_V1(chat_took);
Datum
chat_took(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(clock_took(PG_GETARG_INT64(0)));
}

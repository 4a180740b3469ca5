/* SPDX-License-Identifier: PostgreSQL */
/*
 * recipients.c: who hears of what happens in a chat; of a message also whether it is to be pushed to one of them, and in a
 * direct chat whether something stands between the two, in others whether the sender's account has ended.
 *
 * It is asked for each message and event, so it goes straight along the indexes (table.c): the chat's rows of members; for a
 * message, of each but the sender, while nobody is known to be away, whether he has a device, and if so whether a gateway
 * holds a lease for a session of his; in a direct chat what guard.c says of the two. Most of these look-ups find nothing and
 * end in the index. Where a table is not direct, statements say the same. None of it decides for good:
 * guard_check_posting raises what an obstruction means, take_pushes looks again who is away.
 *
 * Called from: send.c, ephemeral.c, event.c. Calls: table.c, guard.c.
 */
#include "recipients.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "chat.h"
#include "table.h"

enum
{
	MEMBER_USER_ID,
	MEMBER_LEFT_ID,
	MEMBER_MUTED_UNTIL,
	MEMBER_VISIBLE_FROM
};

enum
{
	SESSION_LEASE_ID
};

enum
{
	LEASE_EXPIRES_AT
};

static Table members = {.name = "members",
						.index = "members_pkey",
						.columns = {"user_id", "left_id", "muted_until", "visible_from"}};
static Table push_tokens = {.name = "push_tokens", .index = "push_tokens_user"};
static Table live_sessions = {
	.name = "live_sessions", .index = "live_sessions_user", .columns = {"lease_id"}};
static Table leases = {.name = "leases", .index = "leases_pkey", .columns = {"expires_at"}};

static bool
all_are_direct(void)
{
	return table_is_direct(&members) && table_is_direct(&push_tokens) && table_is_direct(&live_sessions) &&
		   table_is_direct(&leases);
}

static bool
is_lease_running(int64 lease_id, TimestampTz now)
{
	TableScan lease;
	bool running;

	table_scan_begin(&lease, &leases, &lease_id, 1);
	running = table_scan_next(&lease) && DatumGetTimestampTz(table_value(&lease, LEASE_EXPIRES_AT)) > now;
	table_scan_end(&lease);
	return running;
}

/* chat.v_live_users */
static bool
is_live(int64 user_id, TimestampTz now)
{
	TableScan session;
	bool live = false;

	table_scan_begin(&session, &live_sessions, &user_id, 1);
	while (!live && table_scan_next(&session))
		live = is_lease_running(DatumGetInt64(table_value(&session, SESSION_LEASE_ID)), now);
	table_scan_end(&session);
	return live;
}

static bool
is_away(const TableScan *member, int64 user_id)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();

	if (!table_is_null(member, MEMBER_MUTED_UNTIL) &&
		DatumGetTimestampTz(table_value(member, MEMBER_MUTED_UNTIL)) > now)
		return false;
	return table_has(&push_tokens, &user_id, 1) && !is_live(user_id, now);
}

static void
add_user(Audience *audience, int64 user_id)
{
	/* Powers of two, from 16 on */
	if (audience->count == 0)
		audience->user_ids = palloc(sizeof(int64) * 16);
	else if (audience->count >= 16 && (audience->count & (audience->count - 1)) == 0)
		audience->user_ids = repalloc(audience->user_ids, sizeof(int64) * 2 * audience->count);
	audience->user_ids[audience->count++] = user_id;
}

/* Where a member belongs who sees messages above visible_from: message_id is one of them, or not. */
static void
add_seeing(Audience *seeing, Audience *others, int64 message_id, int64 user_id, int64 visible_from)
{
	if (message_id == 0 || message_id > visible_from)
		add_user(seeing, user_id);
	else if (others != NULL)
		add_user(others, user_id);
}

/* The members who are in, and who leaves by this event. */
static void
find_members(int64 chat_id, int64 event_id, int64 message_id, Audience *seeing, Audience *others)
{
	TableScan member;

	table_scan_begin(&member, &members, &chat_id, 1);
	while (table_scan_next(&member))
	{
		if (table_is_null(&member, MEMBER_LEFT_ID) ||
			DatumGetInt64(table_value(&member, MEMBER_LEFT_ID)) == event_id)
			add_seeing(seeing, others, message_id, DatumGetInt64(table_value(&member, MEMBER_USER_ID)),
					   DatumGetInt64(table_value(&member, MEMBER_VISIBLE_FROM)));
	}
	table_scan_end(&member);
}

static void
find_members_by_statement(int64 chat_id, int64 event_id, int64 message_id, Audience *seeing, Audience *others)
{
	static Statement statement = {"SELECT user_id, visible_from FROM chat.members"
								  " WHERE chat_id = $1 AND (left_id IS NULL OR left_id = $2)",
								  2,
								  {INT8OID, INT8OID},
								  NULL};
	Datum values[2];
	bool nulls[2];

	statement_run(&statement, (Datum[]){Int64GetDatum(chat_id), Int64GetDatum(event_id)}, NULL, true);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		add_seeing(seeing, others, message_id, DatumGetInt64(values[0]), DatumGetInt64(values[1]));
	}
}

static bool
has_newcomers(int64 chat_id, int64 message_id)
{
	static Statement statement = {"SELECT chat.has_newcomers($1, $2)", 2, {INT8OID, INT8OID}, NULL};
	bool isnull;

	statement_run(&statement, (Datum[]){Int64GetDatum(chat_id), Int64GetDatum(message_id)}, NULL, true);
	return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* A large chat's are told apart by who knows them: its gateways (publish.h). */
static void
divide_chat(int64 chat_id, int64 message_id, Audience *seeing, Audience *others)
{
	seeing->chat_id = chat_id;
	if (message_id == 0 || !has_newcomers(chat_id, message_id))
		return;
	seeing->sees = message_id;
	if (others != NULL)
		*others = (Audience){.chat_id = chat_id, .lacks = message_id};
}

void
recipients_of_event(int64 chat_id, int64 event_id, int64 message_id, const ChatRow *chat, Audience *seeing,
					Audience *others)
{
	*seeing = (Audience){.count = 0};
	if (others != NULL)
		*others = (Audience){.count = 0};
	if (chat->large)
		divide_chat(chat_id, message_id, seeing, others);
	else if (table_is_direct(&members))
		find_members(chat_id, event_id, message_id, seeing, others);
	else
		find_members_by_statement(chat_id, event_id, message_id, seeing, others);
}

static bool
has_devices(void)
{
	static Statement statement = {"SELECT 1 FROM chat.push_tokens LIMIT 1", 0, {0}, NULL};

	statement_run(&statement, NULL, NULL, true);
	return SPI_processed > 0;
}

static void
read_rows(int64 chat_id, int64 sender_id, Recipients *recipients)
{
	TableScan member;

	table_scan_begin(&member, &members, &chat_id, 1);
	while (table_scan_next(&member))
	{
		int64 user_id = DatumGetInt64(table_value(&member, MEMBER_USER_ID));

		if (!table_is_null(&member, MEMBER_LEFT_ID))
			continue;
		add_user(&recipients->audience, user_id);
		recipients->away = recipients->away || (user_id != sender_id && is_away(&member, user_id));
	}
	table_scan_end(&member);
}

static void
read_by_statement(int64 chat_id, int64 sender_id, Recipients *recipients)
{
	static Statement statement = {
		"SELECT a.user_id, a.user_id <> $2 AND a.away FROM chat.v_audience a WHERE a.chat_id = $1",
		2,
		{INT8OID, INT8OID},
		NULL};

	statement_run(&statement, (Datum[]){Int64GetDatum(chat_id), Int64GetDatum(sender_id)}, NULL, true);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Datum values[2];
		bool nulls[2];

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		add_user(&recipients->audience, DatumGetInt64(values[0]));
		recipients->away |= DatumGetBool(values[1]);
	}
}

bool
recipients_are_open(const ChatRow *chat, const Audience *audience, int64 sender_id)
{
	int64 other_id;

	if (!chat->direct)
		return guard_erased_id(sender_id) == 0;
	if (audience->count != 2 || guard_wants_connection())
		return false;
	other_id = audience->user_ids[audience->user_ids[0] == sender_id ? 1 : 0];
	return !guard_is_obstructed(sender_id, other_id);
}

void
recipients_of_message(int64 chat_id, int64 sender_id, const ChatRow *chat, Recipients *recipients)
{
	*recipients = (Recipients){.away = false};
	table_begin_statement();
	if (chat->large)
	{
		recipients->audience.chat_id = chat_id;
		recipients->away = has_devices();
	}
	else if (all_are_direct())
		read_rows(chat_id, sender_id, recipients);
	else
		read_by_statement(chat_id, sender_id, recipients);
	recipients->open = recipients_are_open(chat, &recipients->audience, sender_id);
	table_end_statement();
}

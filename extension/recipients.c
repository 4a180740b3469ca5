/* SPDX-License-Identifier: PostgreSQL */
/*
 * recipients.c: who gets a message, whether it is to be pushed to one of them, and in a direct chat whether something
 * stands between the two.
 *
 * It is asked for each message, so it goes straight along the indexes (table.c): the chat's rows of members; of each but the
 * sender, while nobody is known to be away, whether he has a device, and if so whether a gateway holds a lease for a
 * session of his; in a direct chat both directions of blocks and both users. Most of these look-ups find nothing and end in
 * the index. What they say is what chat.v_audience and chat.between_users say, which are read instead where a table is
 * not direct. Neither decides for good: chat.check_posting raises what an obstruction means, take_pushes looks again
 * who is away.
 *
 * Called from: send.c. Calls: table.c.
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
	MEMBER_MUTED_UNTIL
};

enum
{
	SESSION_LEASE_ID
};

enum
{
	LEASE_EXPIRES_AT
};

enum
{
	USER_DELETED
};

static Table members = {
	.name = "members", .index = "members_pkey", .columns = {"user_id", "left_id", "muted_until"}};
static Table push_tokens = {.name = "push_tokens", .index = "push_tokens_user"};
static Table live_sessions = {
	.name = "live_sessions", .index = "live_sessions_user", .columns = {"lease_id"}};
static Table leases = {.name = "leases", .index = "leases_pkey", .columns = {"expires_at"}};
static Table blocks = {.name = "blocks", .index = "blocks_pkey"};
static Table users = {.name = "users", .index = "users_pkey", .columns = {"deleted"}};

static bool
all_are_direct(void)
{
	return table_is_direct(&members) && table_is_direct(&push_tokens) && table_is_direct(&live_sessions) &&
		   table_is_direct(&leases) && table_is_direct(&blocks) && table_is_direct(&users);
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

static bool
is_deleted(int64 user_id)
{
	TableScan user;
	bool deleted;

	table_scan_begin(&user, &users, &user_id, 1);
	deleted = table_scan_next(&user) && DatumGetBool(table_value(&user, USER_DELETED));
	table_scan_end(&user);
	return deleted;
}

/* chat.between_users */
static bool
is_obstructed(int64 sender_id, int64 user_id)
{
	return table_has(&blocks, (int64[]){sender_id, user_id}, 2) ||
		   table_has(&blocks, (int64[]){user_id, sender_id}, 2) || is_deleted(sender_id) ||
		   is_deleted(user_id);
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

static void
read_rows(int64 chat_id, int64 sender_id, bool direct, Recipients *recipients)
{
	TableScan member;

	table_begin_statement();
	table_scan_begin(&member, &members, &chat_id, 1);
	while (table_scan_next(&member))
	{
		int64 user_id = DatumGetInt64(table_value(&member, MEMBER_USER_ID));

		if (!table_is_null(&member, MEMBER_LEFT_ID))
			continue;
		add_user(&recipients->audience, user_id);
		if (user_id == sender_id)
			continue;
		recipients->away = recipients->away || is_away(&member, user_id);
		recipients->obstructed = recipients->obstructed || (direct && is_obstructed(sender_id, user_id));
	}
	table_scan_end(&member);
	table_end_statement();
}

static void
read_by_statement(int64 chat_id, int64 sender_id, bool direct, Recipients *recipients)
{
	static Statement group = {"SELECT a.user_id, a.user_id <> $2 AND a.away, false"
							  "  FROM chat.v_audience a WHERE a.chat_id = $1",
							  2,
							  {INT8OID, INT8OID},
							  NULL};
	static Statement pair = {"SELECT a.user_id, a.user_id <> $2 AND a.away, a.user_id <> $2 AND b.obstructed"
							 "  FROM chat.v_audience a CROSS JOIN LATERAL chat.between_users($2, a.user_id) b"
							 " WHERE a.chat_id = $1",
							 2,
							 {INT8OID, INT8OID},
							 NULL};

	statement_run(direct ? &pair : &group, (Datum[]){Int64GetDatum(chat_id), Int64GetDatum(sender_id)}, NULL,
				  false);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Datum values[3];
		bool nulls[3];

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		add_user(&recipients->audience, DatumGetInt64(values[0]));
		recipients->away |= DatumGetBool(values[1]);
		recipients->obstructed |= DatumGetBool(values[2]);
	}
}

void
recipients_read(int64 chat_id, int64 sender_id, const Place *place, Recipients *recipients)
{
	static Statement devices = {"SELECT 1 FROM chat.push_tokens LIMIT 1", 0, {0}, NULL};

	*recipients = (Recipients){.away = false};
	if (place->large)
	{
		recipients->audience.chat_id = chat_id;
		statement_run(&devices, NULL, NULL, false);
		recipients->away = SPI_processed > 0;
	}
	else if (all_are_direct())
		read_rows(chat_id, sender_id, place->direct, recipients);
	else
		read_by_statement(chat_id, sender_id, place->direct, recipients);
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * guard.c: what nearly every function asks first: is he in this chat, what may he see of it, may the two write to each
 * other?
 *
 * The rules are short and go by key, and a call asks several of them: that is why they are C. Each took 30 to 60 us in PL/pgSQL,
 * most of it for getting statements started, and takes 2 to 5 here. Rows are read along the index (table.c); where a
 * table takes statements, by these. Who calls them has a snapshot: the calling statement's, as the functions are STABLE.
 *
 * A guard is never STRICT, in C or SQL: it would be skipped for want of an argument, and let everybody through. NULL is
 * nobody, and nothing that there is.
 *
 *	 chat.check_actor		somebody, and no account that is gone
 *	 chat.check_member		in the chat, and in one of these roles
 *	 chat.visible_range		in the chat, or was: the ids that he may see
 *	 chat.check_direct		may write to this user directly
 *	 chat.check_block		may reach the other one of a direct chat
 *	 chat.check_posting		may send to this chat
 *
 * Called from: api/ functions, recipients.c, event.c, receipt.c, ephemeral.c. Calls: table.c.
 */
#include "guard.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "chat.h"
#include "errors.h"
#include "settings.h"
#include "table.h"

enum
{
	CHAT_KIND,
	CHAT_POSTING,
	CHAT_LARGE,
	CHAT_MESSAGE_COUNT,
	CHAT_MEMBER_COUNT,
	CHAT_DELETED_ID
};

enum
{
	MEMBER_USER_ID,
	MEMBER_ROLE,
	MEMBER_VISIBLE_FROM,
	MEMBER_LEFT_ID
};

enum
{
	USER_DELETED
};

enum
{
	ERASURE_ID
};

static Table chats = {.name = "chats",
					  .index = "chats_pkey",
					  .columns = {"kind", "posting", "large", "message_count", "member_count", "deleted_id"}};
static Table members = {
	.name = "members", .index = "members_pkey", .columns = {"user_id", "role", "visible_from", "left_id"}};
static Table blocks = {.name = "blocks", .index = "blocks_pkey"};
static Table users = {.name = "users", .index = "users_pkey", .columns = {"deleted"}};
static Table erasures = {.name = "erasures", .index = "erasures_pkey", .columns = {"id"}};

/* The values of the one row that the statement finds, which outlive it only if they are no references. */
static bool
read_by_statement(Statement *statement, const int64 *key, Datum *values, bool *nulls)
{
	Datum arguments[TABLE_KEYS];

	for (int i = 0; i < statement->nargs; i++)
		arguments[i] = Int64GetDatum(key[i]);
	statement_run(statement, arguments, NULL, true);
	if (SPI_processed == 0)
		return false;
	heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, values, nulls);
	return true;
}

static bool
read_chat_by_statement(int64 chat_id, ChatRow *chat)
{
	static Statement statement = {
		"SELECT deleted_id IS NOT NULL, kind = 'direct', posting <> 'all', large, message_count, member_count"
		"  FROM chat.chats WHERE id = $1",
		1,
		{INT8OID},
		NULL};
	Datum values[6];
	bool nulls[6];

	if (!read_by_statement(&statement, &chat_id, values, nulls))
		return false;
	*chat = (ChatRow){.deleted = DatumGetBool(values[0]),
					  .direct = DatumGetBool(values[1]),
					  .guarded = DatumGetBool(values[2]),
					  .large = DatumGetBool(values[3]),
					  .message_count = DatumGetInt32(values[4]),
					  .member_count = DatumGetInt32(values[5])};
	return true;
}

bool
guard_read_chat(int64 chat_id, ChatRow *chat)
{
	TableScan row;
	bool found;

	if (!table_is_direct(&chats))
		return read_chat_by_statement(chat_id, chat);
	table_scan_begin(&row, &chats, &chat_id, 1);
	found = table_scan_next(&row);
	if (found)
		*chat = (ChatRow){.deleted = !table_is_null(&row, CHAT_DELETED_ID),
						  .direct = table_text_is(&row, CHAT_KIND, "direct"),
						  .guarded = !table_text_is(&row, CHAT_POSTING, "all"),
						  .large = DatumGetBool(table_value(&row, CHAT_LARGE)),
						  .message_count = DatumGetInt32(table_value(&row, CHAT_MESSAGE_COUNT)),
						  .member_count = DatumGetInt32(table_value(&row, CHAT_MEMBER_COUNT))};
	table_scan_end(&row);
	return found;
}

static bool
read_member_by_statement(int64 chat_id, int64 user_id, MemberRow *member)
{
	static Statement statement = {"SELECT role, visible_from, left_id FROM chat.members"
								  " WHERE chat_id = $1 AND user_id = $2",
								  2,
								  {INT8OID, INT8OID},
								  NULL};
	Datum values[3];
	bool nulls[3];

	if (!read_by_statement(&statement, (int64[]){chat_id, user_id}, values, nulls))
		return false;
	text_to_cstring_buffer(DatumGetTextPP(values[0]), member->role, sizeof(member->role));
	member->visible_from = DatumGetInt64(values[1]);
	member->left_id = nulls[2] ? 0 : DatumGetInt64(values[2]);
	return true;
}

static bool
read_member(int64 chat_id, int64 user_id, MemberRow *member)
{
	TableScan row;
	bool found;

	if (!table_is_direct(&members))
		return read_member_by_statement(chat_id, user_id, member);
	table_scan_begin(&row, &members, (int64[]){chat_id, user_id}, 2);
	found = table_scan_next(&row);
	if (found)
	{
		text_to_cstring_buffer(DatumGetTextPP(table_value(&row, MEMBER_ROLE)), member->role,
							   sizeof(member->role));
		member->visible_from = DatumGetInt64(table_value(&row, MEMBER_VISIBLE_FROM));
		member->left_id =
			table_is_null(&row, MEMBER_LEFT_ID) ? 0 : DatumGetInt64(table_value(&row, MEMBER_LEFT_ID));
	}
	table_scan_end(&row);
	return found;
}

bool
guard_read_member(int64 chat_id, int64 user_id, MemberRow *member, ChatRow *chat)
{
	return read_member(chat_id, user_id, member) && guard_read_chat(chat_id, chat) && !chat->deleted;
}

static bool
is_deleted(int64 user_id)
{
	static Statement statement = {"SELECT deleted FROM chat.users WHERE id = $1", 1, {INT8OID}, NULL};
	TableScan user;
	Datum value;
	bool deleted;

	if (!table_is_direct(&users))
		return read_by_statement(&statement, &user_id, &value, &deleted) && DatumGetBool(value);
	table_scan_begin(&user, &users, &user_id, 1);
	deleted = table_scan_next(&user) && DatumGetBool(table_value(&user, USER_DELETED));
	table_scan_end(&user);
	return deleted;
}

static int64
erased_by_statement(int64 user_id)
{
	static Statement statement = {"SELECT id FROM chat.erasures WHERE user_id = $1", 1, {INT8OID}, NULL};
	Datum value;
	bool isnull;

	/* Not made yet, until ALTER EXTENSION chat UPDATE */
	if (!OidIsValid(get_relname_relid(erasures.name, get_namespace_oid("chat", false))))
		return 0;
	return read_by_statement(&statement, &user_id, &value, &isnull) ? DatumGetInt64(value) : 0;
}

int64
guard_erased_id(int64 user_id)
{
	TableScan row;
	int64 id = 0;

	if (!table_is_direct(&erasures))
		return erased_by_statement(user_id);
	table_scan_begin(&row, &erasures, &user_id, 1);
	if (table_scan_next(&row))
		id = DatumGetInt64(table_value(&row, ERASURE_ID));
	table_scan_end(&row);
	return id;
}

static bool
is_obstructed_by_statement(int64 user_id, int64 other_id)
{
	static Statement statement = {
		"SELECT b.obstructed FROM chat.between_users($1, $2) b", 2, {INT8OID, INT8OID}, NULL};
	Datum obstructed;
	bool isnull;

	return read_by_statement(&statement, (int64[]){user_id, other_id}, &obstructed, &isnull) &&
		   DatumGetBool(obstructed);
}

bool
guard_is_obstructed(int64 user_id, int64 other_id)
{
	if (!table_is_direct(&blocks) || !table_is_direct(&users))
		return is_obstructed_by_statement(user_id, other_id);
	return table_has(&blocks, (int64[]){user_id, other_id}, 2) ||
		   table_has(&blocks, (int64[]){other_id, user_id}, 2) || is_deleted(user_id) || is_deleted(other_id);
}

bool
guard_wants_connection(void)
{
	return setting_boolean("direct_requires_connection");
}

static bool
are_connected(int64 user_id, int64 other_id)
{
	static Statement statement = {"SELECT chat.are_connected($1, $2)", 2, {INT8OID, INT8OID}, NULL};
	Datum connected;
	bool isnull;

	return read_by_statement(&statement, (int64[]){user_id, other_id}, &connected, &isnull) &&
		   DatumGetBool(connected);
}

/* blocked, when it was user_id himself, else what tells him nothing */
static const char *
refusal(int64 user_id, int64 other_id)
{
	static Statement statement = {
		"SELECT coalesce(chat.block_between($1, $2), 'not_accepting')", 2, {INT8OID, INT8OID}, NULL};
	Datum word = 0;
	bool isnull;

	read_by_statement(&statement, (int64[]){user_id, other_id}, &word, &isnull);
	return text_to_cstring(DatumGetTextPP(word));
}

static bool
is_one_of(const char *role, ArrayType *roles)
{
	Datum *words;
	int count;

	deconstruct_array(roles, TEXTOID, -1, false, TYPALIGN_INT, &words, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		if (strcmp(role, TextDatumGetCString(words[i])) == 0)
			return true;
	}
	return false;
}

/* The member whom the first two arguments name; raises no_such_chat. */
static MemberRow
find_member(FunctionCallInfo fcinfo)
{
	MemberRow member;
	ChatRow chat;
	bool found;

	SPI_connect();
	found = !PG_ARGISNULL(0) && !PG_ARGISNULL(1) &&
			guard_read_member(PG_GETARG_INT64(0), PG_GETARG_INT64(1), &member, &chat);
	SPI_finish();
	if (!found)
		chat_fail("no_such_chat", NULL, NULL);
	return member;
}

/* chat.check_actor(actor_id): the first line of every function of a logged-in user */
PG_FUNCTION_INFO_V1(chat_check_actor);
Datum
chat_check_actor(PG_FUNCTION_ARGS)
{
	bool gone;

	if (PG_ARGISNULL(0))
		chat_fail("not_authenticated", NULL, NULL);
	SPI_connect();
	gone = is_deleted(PG_GETARG_INT64(0));
	SPI_finish();
	if (gone)
		chat_fail("not_authenticated", NULL, NULL);
	PG_RETURN_VOID();
}

/* chat.check_member(chat_id, user_id, roles) */
PG_FUNCTION_INFO_V1(chat_check_member);
Datum
chat_check_member(PG_FUNCTION_ARGS)
{
	MemberRow member = find_member(fcinfo);

	if (member.left_id != 0)
		chat_fail("no_such_chat", NULL, NULL);
	if (!PG_ARGISNULL(2) && !is_one_of(member.role, PG_GETARG_ARRAYTYPE_P(2)))
		chat_fail("not_permitted", NULL, NULL);
	PG_RETURN_VOID();
}

/* chat.visible_range(chat_id, user_id) → (low, high) */
PG_FUNCTION_INFO_V1(chat_visible_range);
Datum
chat_visible_range(PG_FUNCTION_ARGS)
{
	static TupleDesc shape = NULL;
	MemberRow member = find_member(fcinfo);

	return row_of(fcinfo, &shape,
				  (Datum[]){Int64GetDatum(member.visible_from),
							Int64GetDatum(member.left_id != 0 ? member.left_id : PG_INT64_MAX)});
}

/* Raises what keeps user_id from writing to other_id. */
static void
check_direct(int64 user_id, int64 other_id)
{
	if (user_id != other_id && (guard_is_obstructed(user_id, other_id) ||
								(guard_wants_connection() && !are_connected(user_id, other_id))))
		chat_fail(refusal(user_id, other_id), NULL, NULL);
}

/* The other one of a direct chat, whether he is still in or not; 0: there is none. */
static int64
find_other(int64 chat_id, int64 user_id)
{
	static Statement statement = {
		"SELECT user_id FROM chat.members WHERE chat_id = $1 AND user_id <> $2", 2, {INT8OID, INT8OID}, NULL};
	int64 other_id = 0;
	TableScan row;
	Datum value;
	bool isnull;

	if (!table_is_direct(&members))
		return read_by_statement(&statement, (int64[]){chat_id, user_id}, &value, &isnull)
				   ? DatumGetInt64(value)
				   : 0;
	table_scan_begin(&row, &members, &chat_id, 1);
	while ((other_id == 0 || other_id == user_id) && table_scan_next(&row))
		other_id = DatumGetInt64(table_value(&row, MEMBER_USER_ID));
	table_scan_end(&row);
	return other_id == user_id ? 0 : other_id;
}

/* What check_direct says of the two in a direct chat; other chats, and notes, are for who has an account. */
static void
check_block(int64 chat_id, int64 user_id, const ChatRow *chat)
{
	int64 other_id = chat->direct ? find_other(chat_id, user_id) : 0;

	if (other_id != 0)
		check_direct(user_id, other_id);
	else if (is_deleted(user_id))
		chat_fail("not_authenticated", NULL, NULL);
}

void
guard_check_posting(int64 chat_id, int64 user_id)
{
	MemberRow member;
	ChatRow chat;

	if (!guard_read_chat(chat_id, &chat) || !read_member(chat_id, user_id, &member))
		chat_fail("no_such_chat", NULL, NULL);
	if (chat.guarded && strcmp(member.role, "member") == 0)
		chat_fail("not_permitted", NULL, NULL);
	check_block(chat_id, user_id, &chat);
}

/* chat.check_direct(actor_id, user_id) */
PG_FUNCTION_INFO_V1(chat_check_direct);
Datum
chat_check_direct(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		chat_fail("not_authenticated", NULL, NULL);
	if (PG_ARGISNULL(1))
		chat_fail("no_such_user", NULL, NULL);
	SPI_connect();
	check_direct(PG_GETARG_INT64(0), PG_GETARG_INT64(1));
	SPI_finish();
	PG_RETURN_VOID();
}

/* chat.check_block(chat_id, user_id) */
PG_FUNCTION_INFO_V1(chat_check_block);
Datum
chat_check_block(PG_FUNCTION_ARGS)
{
	ChatRow chat;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		chat_fail("no_such_chat", NULL, NULL);
	SPI_connect();
	if (guard_read_chat(PG_GETARG_INT64(0), &chat))
		check_block(PG_GETARG_INT64(0), PG_GETARG_INT64(1), &chat);
	SPI_finish();
	PG_RETURN_VOID();
}

/* chat.check_posting(chat_id, user_id) */
PG_FUNCTION_INFO_V1(chat_check_posting);
Datum
chat_check_posting(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		chat_fail("no_such_chat", NULL, NULL);
	SPI_connect();
	guard_check_posting(PG_GETARG_INT64(0), PG_GETARG_INT64(1));
	SPI_finish();
	PG_RETURN_VOID();
}

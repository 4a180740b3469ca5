/* SPDX-License-Identifier: PostgreSQL */
/*
 * ephemeral.c: what is told to the members of a chat and stored nowhere: chat.set_typing, which clients call every few seconds
 * while somebody types, and what chat.send_signal passes on.
 *
 * The rules are those of a message, asked as send.c asks them: the chat and the member (guard.c), who hears it and whether
 * nothing stands between the two of a direct chat (recipients.c); where that is not plain, guard_check_posting. The events
 * have no id: the notifier does not sort them, and they are the first to go when a receiver is slow.
 */
#include "chat.h"

#include "catalog/pg_type.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "event.h"
#include "guard.h"
#include "json.h"
#include "publish.h"
#include "recipients.h"
#include "settings.h"

static void
check_member(int64 chat_id, int64 user_id, ChatRow *chat)
{
	MemberRow member;

	if (!guard_read_member(chat_id, user_id, &member, chat) || member.left_id != 0)
		chat_fail("no_such_chat", NULL, NULL);
}

static void
check_small_chat(int64 chat_id, const ChatRow *chat)
{
	static Statement statement = {"SELECT chat.check_small_chat($1)", 1, {INT8OID}, NULL};
	Datum value = Int64GetDatum(chat_id);

	if (chat->member_count > setting_integer("receipts_max_members"))
		statement_run(&statement, &value, NULL, true);
}

/* members: a JSON object without its closing brace */
static void
publish_ephemeral(int64 user_id, int64 chat_id, const char *members)
{
	Event event = {.common = 0, .key = 0};
	ChatRow chat;
	Audience audience;

	check_member(chat_id, user_id, &chat);
	recipients_of_event(chat_id, 0, 0, &chat, &audience, NULL);
	if (chat.guarded || !recipients_are_open(&chat, &audience, user_id))
		guard_check_posting(chat_id, user_id);
	check_small_chat(chat_id, &chat);
	initStringInfo(&event.json);
	appendStringInfoString(&event.json, members);
	json_id(&event.json, "chat_id", chat_id);
	json_id(&event.json, "actor_id", user_id);
	json_time(&event.json, "at", GetCurrentTimestamp());
	publish(&event, &audience);
}

/* chat.set_typing(actor_id, chat_id, typing) */
PG_FUNCTION_INFO_V1(chat_set_typing);
Datum
chat_set_typing(PG_FUNCTION_ARGS)
{
	bool typing = PG_ARGISNULL(2) || PG_GETARG_BOOL(2);

	if (PG_ARGISNULL(0))
		chat_fail("not_authenticated", NULL, NULL);
	SPI_connect();
	publish_ephemeral(PG_GETARG_INT64(0), PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1),
					  typing ? "{\"type\":\"typing\",\"typing\":true"
							 : "{\"type\":\"typing\",\"typing\":false");
	SPI_finish();
	PG_RETURN_VOID();
}

/* chat.publish_ephemeral(actor_id, chat_id, event) */
PG_FUNCTION_INFO_V1(chat_publish_ephemeral);
Datum
chat_publish_ephemeral(PG_FUNCTION_ARGS)
{
	char *event;

	if (PG_ARGISNULL(0))
		chat_fail("not_authenticated", NULL, NULL);
	if (PG_ARGISNULL(2))
		chat_fail("invalid_argument", "an event is a JSON object with a type", NULL);
	event_check(PG_GETARG_JSONB_P(2));
	event = JsonbToCString(NULL, &PG_GETARG_JSONB_P(2)->root, -1);
	event[strlen(event) - 1] = '\0';
	SPI_connect();
	publish_ephemeral(PG_GETARG_INT64(0), PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1), event);
	SPI_finish();
	PG_RETURN_VOID();
}

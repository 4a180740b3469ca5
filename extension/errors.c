/* SPDX-License-Identifier: PostgreSQL */
/*
 * errors.c: every error the extension raises on purpose, in one table.
 *
 * SQLSTATE is MC and an HTTP status; MESSAGE is for people; DETAIL is the word that programs decide by; HINT is
 * the mend. SQL raises them with chat.fail(reason), C with chat_fail(reason); both may put a message or hint in
 * place of the table's where a number or name makes it clearer. chat.reasons() lists the table.
 */
#include "errors.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

typedef struct Reason
{
	const char *word;     /* DETAIL */
	const char *sqlstate; /* MC and an HTTP status */
	const char *message;  /* MESSAGE */
	const char *hint;     /* HINT; NULL = none */
} Reason;

static const Reason reasons[] = {
	{"invalid_argument", "MC400", "an argument is not acceptable", NULL},
	{"invalid_id", "MC400", "this is no id", "Ids are positive numbers made by the server."},
	{"id_in_future", "MC400", "after_id is more than 60 seconds ahead of the clock",
	 "Pass an id that this system has made."},
	{"invalid_user_name", "MC400", "this user name is not acceptable",
	 "Use 3 to 32 of a-z, 0-9, dot, underscore and hyphen."},
	{"invalid_password", "MC400", "this password is not acceptable", "Use 8 to 128 characters."},
	{"invalid_setting", "MC400", "this value is not acceptable for the setting", NULL},
	{"pattern_too_short", "MC400", "the search pattern is too short", "Give at least 2 characters."},
	{"more_than_one_anchor", "MC400", "give at most one of before_id, after_id, around_id and at", NULL},
	{"empty_message", "MC400", "the message has neither body, attributes nor files", NULL},
	{"empty_query", "MC400", "the query has no word to look for", NULL},
	{"query_too_long", "MC400", "the query is too long", "Use fewer or shorter words."},
	{"invalid_mime_type", "MC400", "this is no type of a file", "Write it like image/png."},
	{"file_type_not_allowed", "MC400", "files of this type are not accepted here", NULL},
	{"file_type_mismatch", "MC400", "the content is not of the type that was told",
	 "Tell the right type, or application/octet-stream."},
	{"file_hash_mismatch", "MC400", "the content has another sha256", "Send it again from byte_offset 0."},
	{"no_large_objects", "MC400", "this database has no large objects", NULL},
	{"isolation_level", "MC400", "this call does not work under a fixed snapshot", "Use READ COMMITTED."},
	{"not_authenticated", "MC401", "this call needs a logged-in user", "Log in or authenticate first."},
	{"bad_credentials", "MC401", "user name or password is wrong", NULL},
	{"bad_token", "MC401", "this token belongs to no session", "Log in again."},
	{"session_expired", "MC401", "the session has expired", "Log in again."},
	{"user_suspended", "MC403", "this user is suspended", NULL},
	{"sign_up_closed", "MC403", "nobody can register here by himself", "Ask the operator for an account."},
	{"blocked", "MC403", "you have blocked this user", "Unblock him first."},
	{"not_accepting", "MC403", "this user does not accept it from you", NULL},
	{"banned", "MC403", "this user is banned from the chat", "An admin of the chat can lift the ban."},
	{"direct_chat", "MC403", "a direct chat has no title, roles or other members", "Make a group for that."},
	{"not_invited", "MC403", "only the invited user can accept", NULL},
	{"not_permitted", "MC403", "your role in this chat does not permit this", NULL},
	{"chat_too_large", "MC403", "this chat has too many members for that", NULL},
	{"not_owner", "MC403", "only the owner of the file may do this", NULL},
	{"no_such_user", "MC404", "no such user", NULL},
	{"no_such_connection", "MC404", "there is no invitation between you", NULL},
	{"no_such_session", "MC404", "no such session", NULL},
	{"no_such_chat", "MC404", "no such chat, or you are not in it", NULL},
	{"no_such_link", "MC404", "no such invite link, or it has expired or was used up", "Ask for a new one."},
	{"no_such_member", "MC404", "this user is not in the chat", NULL},
	{"no_such_file", "MC404", "no such file, or not visible to you", NULL},
	{"no_such_upload", "MC404", "no such upload, or it has expired", "Begin it again."},
	{"no_such_message", "MC404", "no such message in this chat", NULL},
	{"no_such_scheduled_message", "MC404", "no such scheduled message of yours", NULL},
	{"no_such_call", "MC404", "no such call in this chat", NULL},
	{"no_such_setting", "MC404", "no such setting", "list_settings() has them all."},
	{"user_name_taken", "MC409", "this user name is taken", "Choose another one."},
	{"external_user_exists", "MC409", "a user with this external identity exists", NULL},
	{"external_session", "MC409", "the identity provider says how long this session lasts",
	 "Authenticate again with a fresh access token."},
	{"no_password", "MC409", "this user has no password", "He is logged in by other means."},
	{"already_connected", "MC409", "you are connected already", "Use remove_connection."},
	{"not_connected", "MC409", "you are not connected yet", "Use cancel_connection."},
	{"client_key_reused", "MC409", "this client_key was used for a call with other arguments",
	 "Make a new key for each new call."},
	{"stale_version", "MC409", "this was changed by somebody else meanwhile",
	 "Read it again and repeat the change."},
	{"being_erased", "MC409", "this account has been deleted, and what is left of it is being removed",
	 "Wait until maintenance has done so."},
	{"message_deleted", "MC409", "this message has been deleted", NULL},
	{"already_sent", "MC409", "this message has been sent", "Delete the message itself."},
	{"wrong_offset", "MC409", "byte_offset leaves a gap", NULL},
	{"upload_incomplete", "MC409", "not all of the file has been sent", NULL},
	{"file_is_link", "MC409", "this file is a link, its content is elsewhere", "Fetch it from its url."},
	{"message_too_long", "MC413", "the message is too long", NULL},
	{"signal_too_large", "MC413", "the signal is too large", "Use at most 6,144 bytes of JSON."},
	{"too_large", "MC413", "an argument is too large", NULL},
	{"too_many_attempts", "MC429", "too many failed attempts to log in", "Wait and try again."},
	{"too_many_sign_ups", "MC429", "too many users have been registered from this address today",
	 "Try again tomorrow."},
	{"too_many_approaches", "MC429", "you have turned to strangers too often today", "Try again tomorrow."},
	{"too_many_invitations", "MC429", "too many of your invitations wait for an answer",
	 "Cancel some first."},
	{"too_many_blocks", "MC429", "you have blocked as many users as you can", "Unblock some first."},
	{"too_many_chats", "MC429", "you are in as many chats as you can, or have made as many",
	 "Leave some first, or wait until deleted ones are removed."},
	{"too_many_bans", "MC429", "as many users are banned from the chat as can be", "Lift some bans first."},
	{"too_many_links", "MC429", "the chat has as many invite links as it can", "Revoke some first."},
	{"too_many_edits", "MC429", "the message has been edited as often as it can", "Send a new one."},
	{"too_many_hidden_messages", "MC429", "you have deleted as many messages for yourself as you can", NULL},
	{"too_many_pins", "MC429", "the chat has as many pinned messages as it can", "Unpin some first."},
	{"too_many_files", "MC429", "this user has as many files and uploads as they may",
	 "Delete some, or wait until deleted ones are removed."},
	{"too_many_shares", "MC429", "the file is shared with as many users as it can", "Send it to a chat."},
	{"too_many_client_keys", "MC429", "this user has used too many client keys", "Try again in some days."},
	{"chat_full", "MC429", "the chat has as many members as it may", NULL},
	{"too_many_reactions", "MC429", "the message has as many different reactions as it can",
	 "Use one of them."},
	{"too_many_scheduled", "MC429", "you have scheduled as many messages as you can",
	 "Cancel one, or wait until one is sent."},
	{"quota_exceeded", "MC429", "this user's files take too much room", "Delete some first."},
	{"too_many_push_tokens", "MC429", "this user has too many devices for pushes", "Unregister some first."},
	{"chat_busy", "MC503", "the chat is locked by a long transaction", "Try again."},
	{"transaction_too_old", "MC503",
	 "the transaction has gone on for too long after its first change in a chat",
	 "Commit within half of chat.horizon_overlap, or preload the library."},
};

void
chat_fail(const char *reason, const char *message, const char *hint)
{
	const Reason *found = NULL;

	for (size_t i = 0; i < lengthof(reasons); i++)
		if (strcmp(reasons[i].word, reason) == 0)
			found = &reasons[i];
	if (found == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown reason \"%s\"", reason)));
	if (hint == NULL)
		hint = found->hint;
	ereport(ERROR, (errcode(MAKE_SQLSTATE(found->sqlstate[0], found->sqlstate[1], found->sqlstate[2],
										  found->sqlstate[3], found->sqlstate[4])),
					errmsg("%s", message ? message : found->message), errdetail_internal("%s", found->word),
					hint ? errhint("%s", hint) : 0));
	pg_unreachable();
}

/* chat.fail(reason, message, hint) */
PG_FUNCTION_INFO_V1(chat_fail_sql);
Datum
chat_fail_sql(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("an error has a reason")));
	chat_fail(text_to_cstring(PG_GETARG_TEXT_PP(0)),
			  PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)),
			  PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)));
}

/* chat.reasons() */
PG_FUNCTION_INFO_V1(chat_reasons);
Datum
chat_reasons(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (size_t i = 0; i < lengthof(reasons); i++)
	{
		Datum values[4] = {CStringGetTextDatum(reasons[i].word), CStringGetTextDatum(reasons[i].sqlstate),
						   CStringGetTextDatum(reasons[i].message), (Datum) 0};
		bool nulls[4] = {false, false, false, reasons[i].hint == NULL};

		if (reasons[i].hint)
			values[3] = CStringGetTextDatum(reasons[i].hint);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

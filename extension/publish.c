/* SPDX-License-Identifier: PostgreSQL */
/*
 * publish.c: from an event's JSON to NOTIFY.
 *
 *	1  event.c hands over an event and the users who may hear it.
 *	2  It is wrapped as {"to":["user id",…],"event":{…}} or, for all of a large chat, {"chat":"id","event":{…}}; the copy
 *	   for those who come into a large chat or leave it has both. At most MAX_PAYLOAD bytes: a larger one goes without
 *	   what lies behind its common members, marked "partial": true, and the receiver reads it back by id.
 *	3  publish_payload sends that to the channel of each user, once a channel where users share one, or to the
 *	   chat's. It is the one place that knows chat.delivery: `transactional` calls NOTIFY at once, so that PostgreSQL delivers at
 *	   commit and drops what a rolled-back savepoint or transaction published.
 *
 * Channel names are "chat_u_" or "chat_c_" and a keyed hash of the user's id or a bucket's number: LISTEN knows no
 * privileges, so not being able to name a channel is the access control. The key stands in chat.channel_key,
 * made at install, owner-only and never dumped.
 */
#include "publish.h"

#include "commands/async.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "chat.h"
#include "json.h"
#include "siphash.h"

#define MAX_PAYLOAD  7900 /* NOTIFY takes less than 8,000 bytes */
#define USER_BUCKETS 64
#define CHAT_BUCKETS 256
#define MAX_USERS    64                       /* in one payload */
#define CHANNEL_SIZE (sizeof("chat_u_") + 32) /* 128 bits in hex and the NUL */

static uint8 channel_key[16]; /* as loaded by channel_key_cache */

static void
load_channel_key(void)
{
	static Statement statement = {"SELECT key FROM chat.channel_key", 0, {0}, NULL};
	bytea *key;
	bool isnull;

	statement_run(&statement, NULL, NULL, true);
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("chat.channel_key has no key"),
				 errhint("Insert one row of 16 random bytes.")));
	key = DatumGetByteaPP(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	memcpy(channel_key, VARDATA_ANY(key), Min(VARSIZE_ANY_EXHDR(key), sizeof(channel_key)));
}

static TableCache channel_key_cache = {"channel_key", load_channel_key, false, InvalidOid, false};

static void
name_channel(const char *prefix, uint64 number, char *channel)
{
	uint64 hash[2];

	table_cache_use(&channel_key_cache);
	siphash128(channel_key, &number, sizeof(number), hash);
	snprintf(channel, CHANNEL_SIZE, "%s%016llx%016llx", prefix, (unsigned long long) hash[0],
			 (unsigned long long) hash[1]);
}

static uint64
bucket(int64 id, int buckets)
{
	return hash_bytes_extended((unsigned char *) &id, sizeof(id), 0) % buckets;
}

static void
name_user_channel(int64 user_id, char *channel)
{
	name_channel("chat_u_",
				 chat_user_channels == USER_CHANNELS_BUCKET ? bucket(user_id, USER_BUCKETS)
															: (uint64) user_id,
				 channel);
}

static void
name_chat_channel(int64 chat_id, char *channel)
{
	name_channel("chat_c_", bucket(chat_id, CHAT_BUCKETS), channel);
}

/* The payload for these users, about the chat when chat_id is not 0; for all of the chat when count is 0. */
static void
wrap(StringInfo payload, const Event *event, bool partial, int64 chat_id, const int64 *user_ids, int count)
{
	resetStringInfo(payload);
	for (int i = 0; i < count; i++)
		appendStringInfo(payload, i ? ",\"" INT64_FORMAT "\"" : "{\"to\":[\"" INT64_FORMAT "\"", user_ids[i]);
	if (count > 0)
		appendStringInfoChar(payload, ']');
	if (chat_id != 0)
		appendStringInfo(payload, "%c\"chat\":\"" INT64_FORMAT "\"", count > 0 ? ',' : '{', chat_id);
	appendStringInfoString(payload, ",\"event\":");
	if (partial)
	{
		appendBinaryStringInfo(payload, event->json.data, event->common);
		json_raw(payload, "partial", "true");
	}
	else
		appendBinaryStringInfo(payload, event->json.data, event->json.len);
	appendStringInfoString(payload, "}}");
}

static void
publish_payload(const char *payload, int64 chat_id, const int64 *user_ids, int count)
{
	char channels[MAX_USERS][CHANNEL_SIZE];
	int distinct = 0;

	if (count == 0)
		name_chat_channel(chat_id, channels[distinct++]);
	for (int i = 0; i < count; i++)
	{
		bool repeated = false;

		name_user_channel(user_ids[i], channels[distinct]);
		for (int k = 0; k < distinct && !repeated; k++)
			repeated = strcmp(channels[k], channels[distinct]) == 0;
		if (!repeated)
			distinct++;
	}
	for (int i = 0; i < distinct; i++)
		Async_Notify(channels[i], payload);
}

/* To at most MAX_USERS users, or to all of the chat when count is 0. */
static void
publish_part(const Event *event, int64 chat_id, const int64 *user_ids, int count)
{
	StringInfoData payload;

	initStringInfo(&payload);
	wrap(&payload, event, false, chat_id, user_ids, count);
	if (payload.len > MAX_PAYLOAD && event->common == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("event is too large to be published")));
	if (payload.len > MAX_PAYLOAD)
		wrap(&payload, event, true, chat_id, user_ids, count);
	publish_payload(payload.data, chat_id, user_ids, count);
	pfree(payload.data);
}

void
publish(const Event *event, const Audience *audience)
{
	if (chat_delivery == DELIVERY_NONE)
		return;
	if (audience->chat_id != 0)
		publish_part(event, audience->chat_id, NULL, 0);
	for (int i = 0; i < audience->count; i += MAX_USERS)
		publish_part(event, audience->chat_id, audience->user_ids + i, Min(MAX_USERS, audience->count - i));
}

/* chat.chat_channel(chat_id) */
PG_FUNCTION_INFO_V1(chat_chat_channel);
Datum
chat_chat_channel(PG_FUNCTION_ARGS)
{
	char channel[CHANNEL_SIZE];

	name_chat_channel(PG_GETARG_INT64(0), channel);
	PG_RETURN_TEXT_P(cstring_to_text(channel));
}

/* chat.list_chat_channels() → every name that chat_channel can answer */
PG_FUNCTION_INFO_V1(chat_list_chat_channels);
Datum
chat_list_chat_channels(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	char channel[CHANNEL_SIZE];

	if (SRF_IS_FIRSTCALL())
		SRF_FIRSTCALL_INIT();
	call = SRF_PERCALL_SETUP();
	if (call->call_cntr == CHAT_BUCKETS)
		SRF_RETURN_DONE(call);
	name_channel("chat_c_", call->call_cntr, channel);
	SRF_RETURN_NEXT(call, PointerGetDatum(cstring_to_text(channel)));
}

/* chat.user_channel(user_id) */
PG_FUNCTION_INFO_V1(chat_user_channel);
Datum
chat_user_channel(PG_FUNCTION_ARGS)
{
	char channel[CHANNEL_SIZE];

	name_user_channel(PG_GETARG_INT64(0), channel);
	PG_RETURN_TEXT_P(cstring_to_text(channel));
}

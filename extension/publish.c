/* SPDX-License-Identifier: PostgreSQL */
/*
 * publish.c: from an event's JSON to NOTIFY.
 *
 *	1  event.c hands over an event and the users who may hear it.
 *	2  It is wrapped as {"to":["user id",…],"event":{…}} or, for all of a large chat, {"chat":"id","event":{…}}; with
 *	   "sees":"message id" or "lacks":"message id" for those of them alone who see this message, or do not. The copy for those who
 *	   come into a large chat or leave it has both "to" and "chat", and, like the event with which a chat grows large,
 *	   "from":"id" when those in "to" see only messages above that id. At most MAX_PAYLOAD bytes: a larger one goes without
 *	   what lies behind its common members, marked "partial": true, and the receiver reads it back by id.
 *	3  publish_payload addresses that to the channel of each user, or once to the one that all users share, or to the
 *	   chat's, and hands it to transaction.c, which keeps it until the commit. With chat.delivery = outbox it
 *	   becomes a row of chat.outbox at once, without channels; with none it goes nowhere.
 *
 * A marker (publish_horizon) is a horizon on the channel of the gateway that has asked: it travels like everything else and
 * behind everything that was published up to then, so when it arrives, all events up to that horizon have.
 *
 * Channel names are "chat_u_" or "chat_c_" and a keyed hash of the user's id, 0 for the one that all share, or of a number
 * that chats share: LISTEN knows no privileges, so not being able to name a channel is the access control. The key stands in chat.channel_key,
 * made at install, owner-only and never dumped.
 */
#include "publish.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "chat.h"
#include "clock.h"
#include "errors.h"
#include "horizon.h"
#include "json.h"
#include "siphash.h"
#include "transaction.h"

#define MAX_PAYLOAD  7900 /* NOTIFY takes less than 8,000 bytes */
#define CHAT_BUCKETS 256
#define MAX_USERS    64                       /* in one payload */
#define CHANNEL_SIZE (sizeof("chat_u_") + 32) /* 128 bits in hex and the NUL */

#define MARKER_PREFIX "chat_g_" /* of the channels that gateways make up for themselves */

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

/*
 * For those who ask for names: by the key of now. After rotate_channel_key its chat_resync goes out at commit, a moment before
 * the caches of others are told; who asks because of it must not be given the old names.
 */
static void
look_at_key(void)
{
	channel_key_cache.valid = false;
}

static void
name_channel(const char *prefix, uint64 number, char *channel)
{
	uint64 hash[2];

	table_cache_use(&channel_key_cache);
	siphash128(channel_key, &number, sizeof(number), hash);
	snprintf(channel, CHANNEL_SIZE, "%s%016llx%016llx", prefix, (unsigned long long) hash[0],
			 (unsigned long long) hash[1]);
}

/* The shared one is that of user 0, whom nobody is. */
static void
name_user_channel(int64 user_id, char *channel)
{
	name_channel("chat_u_", chat_user_channels == USER_CHANNELS_SHARED ? 0 : (uint64) user_id, channel);
}

static void
name_chat_channel(int64 chat_id, char *channel)
{
	name_channel("chat_c_",
				 hash_bytes_extended((unsigned char *) &chat_id, sizeof(chat_id), 0) % CHAT_BUCKETS, channel);
}

static void
wrap_id(StringInfo payload, const char *name, int64 id)
{
	if (id != 0)
		json_id(payload, name, id);
}

/* The payload for these users, about the chat when there is one; for all of the chat when count is 0. */
static void
wrap(StringInfo payload, const Event *event, bool partial, const Audience *audience, const int64 *user_ids,
	 int count)
{
	resetStringInfo(payload);
	for (int i = 0; i < count; i++)
		appendStringInfo(payload, i ? ",\"" INT64_FORMAT "\"" : "{\"to\":[\"" INT64_FORMAT "\"", user_ids[i]);
	if (count > 0)
		appendStringInfoChar(payload, ']');
	wrap_id(payload, "chat", audience->chat_id);
	if (count == 0)
	{
		payload->data[0] = '{';
		wrap_id(payload, "sees", audience->sees);
		wrap_id(payload, "lacks", audience->lacks);
	}
	else
		wrap_id(payload, "from", audience->from);
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

/*
 * A row of chat.outbox. Its id is taken after the event's own, so rows up to a horizon are complete, and in the order of
 * events where that matters: inside a chat. Runs as the owner of the table, who published is of no matter.
 */
static void
post(const char *payload)
{
	static Statement statement = {
		"INSERT INTO chat.outbox (id, payload) VALUES ($1, $2)", 2, {INT8OID, TEXTOID}, NULL};
	Oid user;
	int context;

	chat_become_owner(&user, &context);
	SPI_connect();
	statement_run(&statement, (Datum[]){Int64GetDatum(clock_take_id(0)), CStringGetTextDatum(payload)}, NULL,
				  false);
	SPI_finish();
	SetUserIdAndSecContext(user, context);
}

/* channels: `count` names with their NULs, one behind the other. */
static void
dispatch(const char *payload, const char *channels, int count, int64 key, int flags)
{
	RingRecord record = {.channels = (uint16) count, .flags = (uint16) flags, .key = key};
	const char *end = channels;

	if (chat_delivery == DELIVERY_NONE)
		return;
	if (chat_delivery == DELIVERY_OUTBOX)
	{
		post(payload);
		return;
	}
	for (int i = 0; i < count; i++)
		end += strlen(end) + 1;
	record.size = ring_record_size(end - channels, strlen(payload));
	transaction_publish(&record, channels, payload);
}

static void
publish_payload(const char *payload, int64 key, int64 chat_id, const int64 *user_ids, int count)
{
	char channels[MAX_USERS * CHANNEL_SIZE];
	int distinct = 0;

	if (count == 0)
	{
		name_chat_channel(chat_id, channels);
		distinct = 1;
	}
	for (int i = 0; i < count; i++)
	{
		char *name = channels + distinct * CHANNEL_SIZE;
		bool repeated = false;

		name_user_channel(user_ids[i], name);
		for (int k = 0; k < distinct && !repeated; k++)
			repeated = strcmp(channels + k * CHANNEL_SIZE, name) == 0;
		if (!repeated)
			distinct++;
	}
	dispatch(payload, channels, distinct, key, 0);
}

/* To at most MAX_USERS users, or to all of the chat when count is 0. */
static void
publish_part(const Event *event, const Audience *audience, const int64 *user_ids, int count)
{
	StringInfoData payload;

	initStringInfo(&payload);
	wrap(&payload, event, false, audience, user_ids, count);
	if (payload.len > MAX_PAYLOAD && event->common == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("event is too large to be published")));
	if (payload.len > MAX_PAYLOAD)
		wrap(&payload, event, true, audience, user_ids, count);
	publish_payload(payload.data, event->key, audience->chat_id, user_ids, count);
	pfree(payload.data);
}

void
publish(const Event *event, const Audience *audience)
{
	if (chat_delivery == DELIVERY_NONE)
		return;
	if (audience->chat_id != 0)
		publish_part(event, audience, NULL, 0);
	for (int i = 0; i < audience->count; i += MAX_USERS)
		publish_part(event, audience, audience->user_ids + i, Min(MAX_USERS, audience->count - i));
}

void
publish_signal(const char *channel)
{
	RingRecord record = {.size = ring_record_size(strlen(channel) + 1, 0), .channels = 1};

	if (chat_delivery == DELIVERY_DEFERRED || chat_delivery == DELIVERY_TRANSACTIONAL)
		transaction_publish(&record, channel, "");
}

/* chat.publish_resync() */
PG_FUNCTION_INFO_V1(chat_publish_resync);
Datum
chat_publish_resync(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	transaction_publish_resync();
	PG_RETURN_VOID();
}

/* chat.publish_signal(channel) */
PG_FUNCTION_INFO_V1(chat_publish_signal);
Datum
chat_publish_signal(PG_FUNCTION_ARGS)
{
	char *channel = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if ((channel[0] == '\0' || strlen(channel) >= NAMEDATALEN) && !chat_debug_unchecked)
		chat_fail("invalid_argument", "this is no name of a channel", "Use 1 to 63 bytes.");
	publish_signal(channel);
	PG_RETURN_VOID();
}

/* chat.publish_horizon(channel) → (horizon, delivery) */
PG_FUNCTION_INFO_V1(chat_publish_horizon);
Datum
chat_publish_horizon(PG_FUNCTION_ARGS)
{
	char *channel = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int64 horizon = horizon_id(); /* first: what follows is published behind all up to it */
	TupleDesc shape;
	Datum values[2];
	bool nulls[2] = {false, false};

	if (strncmp(channel, MARKER_PREFIX, strlen(MARKER_PREFIX)) != 0 ||
		strlen(channel) != strlen(MARKER_PREFIX) + 32 ||
		strspn(channel + strlen(MARKER_PREFIX), "0123456789abcdef") != 32)
		chat_fail("invalid_argument", "this is no channel of a gateway",
				  "Use " MARKER_PREFIX " and 32 random hexadecimal digits.");
	if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "publish_horizon returns a row");
	dispatch(psprintf("{\"horizon\":\"" INT64_FORMAT "\"}", horizon), channel, 1, 0, RECORD_MARKER);
	values[0] = Int64GetDatum(horizon);
	values[1] = CStringGetTextDatum(GetConfigOption("chat.delivery", false, false));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}

/* chat.delivery_stat(name) */
PG_FUNCTION_INFO_V1(chat_delivery_stat);
Datum
chat_delivery_stat(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int64 value;

	if (strcmp(name, "ids") == 0)
		PG_RETURN_INT64((int64) horizon_ids_made());
	if (!ring_stat(name, &value))
		PG_RETURN_NULL();
	PG_RETURN_INT64(value);
}

/* chat.chat_channel(chat_id) */
PG_FUNCTION_INFO_V1(chat_chat_channel);
Datum
chat_chat_channel(PG_FUNCTION_ARGS)
{
	char channel[CHANNEL_SIZE];

	look_at_key();
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
	{
		SRF_FIRSTCALL_INIT();
		look_at_key();
	}
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

	look_at_key();
	name_user_channel(PG_GETARG_INT64(0), channel);
	PG_RETURN_TEXT_P(cstring_to_text(channel));
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * publish.c: from an event's JSON to NOTIFY.
 *
 *	1  event.c hands over an event and the users who may hear it.
 *	2  It is wrapped as {"to":["user id",…],"event":{…}} or, for all of a large chat, {"chat":"id","event":{…}}; with
 *	   "sees":"message id" or "lacks":"message id" for those of them alone who see this message, or do not. The copy for those who
 *	   come into a large chat or leave it has both "to" and "chat", and, like the event with which a chat grows large,
 *	   "from":"id" when those in "to" see only messages above that id.
 *	3  That is addressed to the channel of each user, or once to the one that all users share, or to the chat's, and handed
 *	   to transaction.c, which keeps it until the commit. With chat.delivery = outbox it becomes a row of
 *	   chat.outbox at once, without channels; with none it goes nowhere.
 *
 * What is longer than a notification may be goes in parts, "part 2/5 of TAG:" and then as much of the text as fits, cut
 * between characters; TAG is 16 hexadecimal digits that all parts of this text have and no other. Parts of a text come
 * one behind the other: a transaction's notifications are queued in one piece, and the notifier sorts by event.
 * So nobody has to read anything back, and whoever listens holds one unfinished text at most.
 *
 * Large events must not fill the ring, or a few who send many would have all notifications of everybody dropped. When one
 * finds no room (transaction_has_room), it goes as its common members alone, marked "partial": true, and its receivers, and none
 * else, have to look for themselves.
 *
 * A marker (publish_horizon) is a horizon on a channel that all gateways hear: it travels like everything else and
 * behind everything that was published up to then, so when it arrives, all events up to that horizon have, whoever asked.
 *
 * A channel's name is a handle and its ending. The handle is "chat_u_", "chat_c_" or "chat_g_" (for markers), the key's
 * generation, and a keyed hash of the user's id, 0 for the one that all share, or of a number that chats share. The
 * ending is a keyed hash of the handle. LISTEN knows no privileges, so not being able to name a channel is the
 * access control: a name must stand where none but its listener sees it, in no statement, parameter or log. So LISTEN
 * and UNLISTEN are done here (listen, unlisten, subscribe_user and its like), by ids and handles. The key stands in
 * chat.channel_key, made at install, owner-only and never dumped, with the one before it: who listens goes on hearing
 * what transactions publish that took their names before it was changed.
 */
#include "publish.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "chat.h"
#include "clock.h"
#include "errors.h"
#include "horizon.h"
#include "json.h"
#include "siphash.h"
#include "transaction.h"

#define PART_HEAD     40                        /* bytes, enough for "part 500/500 of 0123456789abcdef:" */
#define PART_LENGTH   (MAX_PAYLOAD - PART_HEAD) /* bytes of the text in a part */
#define MAX_PARTS     500                       /* of one text: the gateway's codec/parts.c knows it too */
#define MAX_PAYLOAD   7900                      /* NOTIFY takes less than 8,000 bytes */
#define CHAT_BUCKETS  256
#define MAX_USERS     64 /* in one payload */
#define PREFIX_LENGTH 7  /* of these: */
#define USER_PREFIX   "chat_u_"
#define CHAT_PREFIX   "chat_c_"
#define MARKER_PREFIX "chat_g_"
#define HANDLE_LENGTH (PREFIX_LENGTH + 16)     /* 1 digit of the generation, 60 bits in hex */
#define CHANNEL_SIZE  (HANDLE_LENGTH + 16 + 1) /* 64 bits more, and the NUL */
#define KEY_SIZE      16
#define GENERATIONS   16

/* They are no secrets, so their names are their handles. */
static const char *const fixed_channels[] = {RESYNC_CHANNEL, "chat_schema", "chat_settings", "chat_push"};

/* As loaded by channel_key_cache. */
static uint8 channel_keys[GENERATIONS][KEY_SIZE]; /* by generation: the present one and the one before it */
static bool channel_key_known[GENERATIONS];       /* which these are */
static int generation;                            /* the present one */

static void
take_key(int of, Datum value)
{
	bytea *key = DatumGetByteaPP(value);

	memcpy(channel_keys[of], VARDATA_ANY(key), Min(VARSIZE_ANY_EXHDR(key), KEY_SIZE));
	channel_key_known[of] = true;
}

static void
load_channel_key(void)
{
	static Statement statement = {"SELECT generation, key, former_key FROM chat.channel_key", 0, {0}, NULL};
	Datum values[3];
	bool nulls[3];

	statement_run(&statement, NULL, NULL, true);
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("chat.channel_key has no key"),
				 errhint("Insert one row of 16 random bytes.")));
	heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, values, nulls);
	memset(channel_key_known, 0, sizeof(channel_key_known));
	generation = DatumGetInt16(values[0]);
	take_key(generation, values[1]);
	if (!nulls[2])
		take_key((generation + GENERATIONS - 1) % GENERATIONS, values[2]);
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

/* `channel` begins with a handle and gets its ending, by the key of that generation. */
static void
add_ending(char *channel, int of)
{
	uint64 hash[2];

	siphash128(channel_keys[of], channel, HANDLE_LENGTH, hash);
	snprintf(channel + HANDLE_LENGTH, CHANNEL_SIZE - HANDLE_LENGTH, "%016llx", (unsigned long long) hash[0]);
}

static void
name_channel(const char *prefix, uint64 number, char *channel)
{
	uint64 hash[2];

	table_cache_use(&channel_key_cache);
	siphash128(channel_keys[generation], &number, sizeof(number), hash);
	snprintf(channel, CHANNEL_SIZE, "%s%x%015llx", prefix, generation, (unsigned long long) hash[0] >> 4);
	add_ending(channel, generation);
}

/* The shared one is that of user 0, whom nobody is. */
static void
name_user_channel(int64 user_id, char *channel)
{
	name_channel(USER_PREFIX, chat_user_channels == USER_CHANNELS_SHARED ? 0 : (uint64) user_id, channel);
}

static void
name_chat_channel(int64 chat_id, char *channel)
{
	name_channel(CHAT_PREFIX,
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
	appendBinaryStringInfo(payload, event->json.data, partial ? event->common : event->json.len);
	if (partial)
		appendStringInfoString(payload, event->common > 0 ? ",\"partial\":true" : "{\"partial\":true");
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

/* The channels of these users, or of the chat when count is 0; each once, with their NULs. Returns how many. */
static int
find_channels(int64 chat_id, const int64 *user_ids, int count, char *channels)
{
	int distinct = 0;

	if (count == 0)
	{
		name_chat_channel(chat_id, channels);
		return 1;
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
	return distinct;
}

/* The part that begins here: as many bytes as fit, but whole characters. */
static int
part_length(const StringInfoData *payload, int at)
{
	return pg_mbcliplen(payload->data + at, payload->len - at, PART_LENGTH);
}

/* How many parts it is; 0: more than there may be. */
static int
count_parts(const StringInfoData *payload)
{
	int parts = 0;

	for (int at = 0; at < payload->len; at += part_length(payload, at))
		if (++parts > MAX_PARTS)
			return 0;
	return parts;
}

static void
dispatch_parts(const StringInfoData *payload, int parts, const char *channels, int count, int64 key)
{
	unsigned long long tag = pg_prng_uint64(&pg_global_prng_state);
	StringInfoData part;
	int at = 0;

	initStringInfo(&part);
	for (int number = 1; number <= parts; number++)
	{
		int length = part_length(payload, at);

		resetStringInfo(&part);
		appendStringInfo(&part, "part %d/%d of %016llx:", number, parts, tag);
		appendBinaryStringInfo(&part, payload->data + at, length);
		dispatch(part.data, channels, count, key, 0);
		at += length;
	}
	pfree(part.data);
}

/* To at most MAX_USERS users, or to all of the chat when count is 0. */
static void
publish_to(const Event *event, const Audience *audience, const int64 *user_ids, int count)
{
	char channels[MAX_USERS * CHANNEL_SIZE];
	int distinct = find_channels(audience->chat_id, user_ids, count, channels);
	bool fits;
	StringInfoData payload;
	int parts;

	initStringInfo(&payload);
	wrap(&payload, event, false, audience, user_ids, count);
	fits = payload.len <= MAX_PAYLOAD || chat_delivery == DELIVERY_OUTBOX;
	parts = fits ? 0 : count_parts(&payload);
	if (parts > 0 &&
		transaction_has_room(payload.len + parts * ring_record_size(distinct * CHANNEL_SIZE, PART_HEAD)))
		dispatch_parts(&payload, parts, channels, distinct, event->key);
	else
	{
		if (!fits)
			wrap(&payload, event, true, audience, user_ids, count);
		dispatch(payload.data, channels, distinct, event->key, 0);
	}
	pfree(payload.data);
}

void
publish(const Event *event, const Audience *audience)
{
	if (chat_delivery == DELIVERY_NONE)
		return;
	if (audience->chat_id != 0)
		publish_to(event, audience, NULL, 0);
	for (int i = 0; i < audience->count; i += MAX_USERS)
		publish_to(event, audience, audience->user_ids + i, Min(MAX_USERS, audience->count - i));
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

/* chat.publish_horizon() → (horizon, delivery) */
PG_FUNCTION_INFO_V1(chat_publish_horizon);
Datum
chat_publish_horizon(PG_FUNCTION_ARGS)
{
	char channel[CHANNEL_SIZE];
	int64 horizon = horizon_id(); /* first: what follows is published behind all up to it */
	TupleDesc shape;
	Datum values[2];
	bool nulls[2] = {false, false};

	name_channel(MARKER_PREFIX, 0, channel);
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

/* chat.list_chat_channels() → every name that chat_channel can answer, and the markers' */
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
	if (call->call_cntr > CHAT_BUCKETS)
		SRF_RETURN_DONE(call);
	if (call->call_cntr == CHAT_BUCKETS)
		name_channel(MARKER_PREFIX, 0, channel);
	else
		name_channel(CHAT_PREFIX, call->call_cntr, channel);
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

/* Listening */

/* What PostgreSQL asks before it LISTENs or UNLISTENs. */
static void
check_listening(const char *command)
{
	PreventCommandDuringRecovery(command);
	if (InSecurityRestrictedOperation())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("cannot execute %s within security-restricted operation", command)));
	if (MyBackendType != B_BACKEND)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot execute %s within a background process", command)));
}

/* The elements of an array of text that has no NULL among them. */
static char **
text_elements(ArrayType *array, int *count)
{
	Datum *elements;
	char **texts;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, count);
	texts = palloc(sizeof(char *) * Max(1, *count));
	for (int i = 0; i < *count; i++)
		texts[i] = TextDatumGetCString(elements[i]);
	return texts;
}

static bool
is_fixed(const char *handle)
{
	for (size_t i = 0; i < lengthof(fixed_channels); i++)
		if (strcmp(handle, fixed_channels[i]) == 0)
			return true;
	return false;
}

static bool
is_handle(const char *text)
{
	return (strncmp(text, USER_PREFIX, PREFIX_LENGTH) == 0 ||
			strncmp(text, CHAT_PREFIX, PREFIX_LENGTH) == 0 ||
			strncmp(text, MARKER_PREFIX, PREFIX_LENGTH) == 0) &&
		   strlen(text) == HANDLE_LENGTH &&
		   strspn(text + PREFIX_LENGTH, "0123456789abcdef") == HANDLE_LENGTH - PREFIX_LENGTH;
}

/* For each channel that is meant; none is by handles of a key that nobody uses any more. All are checked first. */
static void
each_channel(ArrayType *array, void (*visit)(const char *channel))
{
	int count;
	char **handles = text_elements(array, &count);

	for (int i = 0; i < count; i++)
		if (!is_fixed(handles[i]) && !is_handle(handles[i]))
			chat_fail("invalid_argument", "this is no handle of a channel",
					  "A handle is the first 23 characters of the name, or one of the fixed names.");
	look_at_key();
	table_cache_use(&channel_key_cache);
	for (int i = 0; i < count; i++)
	{
		char channel[CHANNEL_SIZE];
		int of = (int) strtol((char[]){handles[i][PREFIX_LENGTH], '\0'}, NULL, 16);

		if (is_fixed(handles[i]))
			visit(handles[i]);
		else if (channel_key_known[of])
		{
			strlcpy(channel, handles[i], sizeof(channel));
			add_ending(channel, of);
			visit(channel);
		}
	}
}

/* chat.listen(handles) */
PG_FUNCTION_INFO_V1(chat_listen);
Datum
chat_listen(PG_FUNCTION_ARGS)
{
	check_listening("LISTEN");
	each_channel(PG_GETARG_ARRAYTYPE_P(0), Async_Listen);
	PG_RETURN_VOID();
}

/* chat.unlisten(handles) */
PG_FUNCTION_INFO_V1(chat_unlisten);
Datum
chat_unlisten(PG_FUNCTION_ARGS)
{
	check_listening("UNLISTEN");
	each_channel(PG_GETARG_ARRAYTYPE_P(0), Async_Unlisten);
	PG_RETURN_VOID();
}

static text *
subscribe(const char *channel)
{
	check_listening("LISTEN");
	Async_Listen(channel);
	Async_Listen(RESYNC_CHANNEL);
	return cstring_to_text(channel);
}

static void
unsubscribe(const char *channel)
{
	check_listening("UNLISTEN");
	Async_Unlisten(channel);
}

/* chat.subscribe_user(user_id) */
PG_FUNCTION_INFO_V1(chat_subscribe_user);
Datum
chat_subscribe_user(PG_FUNCTION_ARGS)
{
	char channel[CHANNEL_SIZE];

	look_at_key();
	name_user_channel(PG_GETARG_INT64(0), channel);
	PG_RETURN_TEXT_P(subscribe(channel));
}

/* chat.unsubscribe_user(user_id) */
PG_FUNCTION_INFO_V1(chat_unsubscribe_user);
Datum
chat_unsubscribe_user(PG_FUNCTION_ARGS)
{
	char channel[CHANNEL_SIZE];

	look_at_key();
	name_user_channel(PG_GETARG_INT64(0), channel);
	unsubscribe(channel);
	PG_RETURN_VOID();
}

/* chat.subscribe_chat(chat_id) */
PG_FUNCTION_INFO_V1(chat_subscribe_chat);
Datum
chat_subscribe_chat(PG_FUNCTION_ARGS)
{
	char channel[CHANNEL_SIZE];

	look_at_key();
	name_chat_channel(PG_GETARG_INT64(0), channel);
	PG_RETURN_TEXT_P(subscribe(channel));
}

/* chat.unsubscribe_chat(chat_id) */
PG_FUNCTION_INFO_V1(chat_unsubscribe_chat);
Datum
chat_unsubscribe_chat(PG_FUNCTION_ARGS)
{
	char channel[CHANNEL_SIZE];

	look_at_key();
	name_chat_channel(PG_GETARG_INT64(0), channel);
	unsubscribe(channel);
	PG_RETURN_VOID();
}

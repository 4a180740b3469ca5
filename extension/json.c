/* SPDX-License-Identifier: PostgreSQL */
/*
 * json.c: the few JSON writers that event.c needs. Names are ours and need no escaping; values do.
 */
#include "json.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/timestamp.h"

static void
json_name(StringInfo out, const char *name)
{
	appendStringInfoString(out, ",\"");
	appendStringInfoString(out, name);
	appendStringInfoString(out, "\":");
}

void
json_id(StringInfo out, const char *name, int64 id)
{
	char digits[MAXINT8LEN + 1];

	json_name(out, name);
	appendStringInfoChar(out, '"');
	appendBinaryStringInfo(out, digits, pg_lltoa(id, digits));
	appendStringInfoChar(out, '"');
}

void
json_integer(StringInfo out, const char *name, int32 value)
{
	json_name(out, name);
	appendStringInfo(out, "%d", value);
}

void
json_text(StringInfo out, const char *name, const char *value)
{
	json_name(out, name);
	escape_json(out, value);
}

void
json_raw(StringInfo out, const char *name, const char *json)
{
	json_name(out, name);
	appendStringInfoString(out, json);
}

void
json_null(StringInfo out, const char *name)
{
	json_raw(out, name, "null");
}

void
json_print_time(TimestampTz at, char *out)
{
	struct pg_tm tm;
	fsec_t fraction;

	if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, NULL, &tm, &fraction, NULL, NULL) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	EncodeDateTime(&tm, fraction, false, 0, NULL, USE_XSD_DATES, out);
	strcat(out, "Z");
}

void
json_time(StringInfo out, const char *name, TimestampTz at)
{
	char text[MAXDATELEN + 1];

	json_print_time(at, text);
	json_name(out, name);
	appendStringInfo(out, "\"%s\"", text);
}

/* chat.rfc3339(timestamptz) */
PG_FUNCTION_INFO_V1(chat_rfc3339);
Datum
chat_rfc3339(PG_FUNCTION_ARGS)
{
	char text[MAXDATELEN + 1];

	json_print_time(PG_GETARG_TIMESTAMPTZ(0), text);
	PG_RETURN_TEXT_P(cstring_to_text(text));
}

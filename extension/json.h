/* SPDX-License-Identifier: PostgreSQL */
/*
 * json.h: writing the JSON of events, the same text that the gateway makes of result columns: int8 as a decimal
 * string, timestamptz as RFC 3339 UTC, NULL as null.
 */
#ifndef CHAT_JSON_H
#define CHAT_JSON_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

/* Each appends `,"name":value`; the first member of an object is written by the caller. */
extern void json_id(StringInfo out, const char *name, int64 id);
extern void json_integer(StringInfo out, const char *name, int32 value);
extern void json_time(StringInfo out, const char *name, TimestampTz at);
extern void json_text(StringInfo out, const char *name, const char *value);
extern void json_raw(StringInfo out, const char *name, const char *json);
extern void json_null(StringInfo out, const char *name);

/* RFC 3339 in UTC, the fraction as short as it goes: 2026-11-20T12:00:00.25Z. Needs 40 bytes. */
extern void json_print_time(TimestampTz at, char *out);

#endif

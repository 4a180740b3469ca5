/* SPDX-License-Identifier: PostgreSQL */
/*
 * settings.c: the rules and limits of chat.settings, in each backend's memory.
 *
 * What settings there are, with type, default and range, stands in the SQL function chat.setting_defaults();
 * chat.settings holds only what an operator has changed. This file keeps the merged list, read again after any
 * change (TableCache, chat.h), so that reading a setting costs a walk over a few dozen names and no query.
 *
 * SQL reads them by chat.setting_integer(name), setting_boolean, setting_text, setting_interval; values are
 * validated when written (chat.set_setting and the trigger below it), so the casts here cannot fail.
 */
#include "settings.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "chat.h"
#include "errors.h"

typedef struct Setting
{
	char *name;  /* settings_context */
	char *value; /* settings_context */
} Setting;

static Setting *settings = NULL; /* settings_context */
static uint64 nsettings = 0;
static MemoryContext settings_context = NULL; /* child of CacheMemoryContext, emptied at each load */

static void
load_settings(void)
{
	static Statement statement = {
		"SELECT d.name, COALESCE(s.value, d.default_value)"
		"  FROM chat.setting_defaults() d LEFT JOIN chat.settings s ON s.name = d.name",
		0,
		{0},
		NULL};

	if (settings_context == NULL)
		settings_context = AllocSetContextCreate(CacheMemoryContext, "chat settings", ALLOCSET_SMALL_SIZES);
	statement_run(&statement, NULL, NULL, true);

	nsettings = 0;
	MemoryContextReset(settings_context);
	settings = MemoryContextAlloc(settings_context, sizeof(Setting) * SPI_processed);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];

		settings[i].name = MemoryContextStrdup(settings_context, SPI_getvalue(row, SPI_tuptable->tupdesc, 1));
		settings[i].value =
			MemoryContextStrdup(settings_context, SPI_getvalue(row, SPI_tuptable->tupdesc, 2));
	}
	nsettings = SPI_processed;
}

static TableCache cache = {"settings", load_settings, false, InvalidOid, false};

/* Valid until the next call. */
static const char *
setting_value(const char *name)
{
	table_cache_use(&cache);
	for (uint64 i = 0; i < nsettings; i++)
		if (strcmp(settings[i].name, name) == 0)
			return settings[i].value;
	chat_fail("no_such_setting", psprintf("there is no setting \"%s\"", name), NULL);
}

int64
setting_integer(const char *name)
{
	return DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(setting_value(name))));
}

bool
setting_boolean(const char *name)
{
	return strcmp(setting_value(name), "true") == 0;
}

/* chat.setting_text(name) */
PG_FUNCTION_INFO_V1(chat_setting_text);
Datum
chat_setting_text(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(setting_value(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}

/* chat.setting_integer(name) */
PG_FUNCTION_INFO_V1(chat_setting_integer);
Datum
chat_setting_integer(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(setting_integer(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

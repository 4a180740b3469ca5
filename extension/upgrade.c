/* SPDX-License-Identifier: PostgreSQL */
/*
 * upgrade.c: what an install or update script needs and SQL cannot say.
 *
 * What a script grants becomes part of the extension: it is noted in pg_init_privs, and pg_dump leaves it out. An update that has to
 * give an operator's own grants back must not note them, or the next restore would be without them.
 *
 * Called from: updates/restore.sql, api/99_privileges.sql.
 */
#include "chat.h"

#include "commands/extension.h"
#include "utils/builtins.h"

/* chat.as_operator(statement) */
PG_FUNCTION_INFO_V1(chat_as_operator);
Datum
chat_as_operator(PG_FUNCTION_ARGS)
{
	const char *statement = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool in_script = creating_extension;
	int code;

	SPI_connect();
	creating_extension = false;
	PG_TRY();
	{
		code = SPI_execute(statement, false, 0);
	}
	PG_FINALLY();
	{
		creating_extension = in_script;
	}
	PG_END_TRY();
	if (code < 0)
		elog(ERROR, "could not run \"%s\": %s", statement, SPI_result_code_string(code));
	SPI_finish();
	PG_RETURN_VOID();
}

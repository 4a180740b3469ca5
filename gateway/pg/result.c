/* SPDX-License-Identifier: PostgreSQL */
/*
 * result.c
 *	  What a call came to. A struct pg_result is libpq's PGresult under a name that other layers may know.
 *
 * Called from: chat/. Calls: libpq.
 */
#include "pg/result.h"

#include <string.h>

#include <libpq-fe.h>

static const PGresult *
inner(const struct pg_result *result)
{
	return (const PGresult *) result;
}

int
result_rows(const struct pg_result *result)
{
	return PQntuples(inner(result));
}

size_t
result_size(const struct pg_result *result)
{
	return PQresultMemorySize(inner(result));
}

int
result_columns(const struct pg_result *result)
{
	return PQnfields(inner(result));
}

int
result_column(const struct pg_result *result, const char *name)
{
	for (int i = 0; i < PQnfields(inner(result)); i++)
	{
		if (strcmp(PQfname(inner(result), i), name) == 0)
			return i;
	}
	return -1;
}

const char *
result_value(const struct pg_result *result, int row, int column, size_t *length)
{
	if (PQgetisnull(inner(result), row, column))
		return NULL;
	if (length != NULL)
		*length = (size_t) PQgetlength(inner(result), row, column);
	return PQgetvalue(inner(result), row, column);
}

struct pg_failure
result_failure(const struct pg_result *result)
{
	const char *sqlstate = PQresultErrorField(inner(result), PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(inner(result), PG_DIAG_MESSAGE_PRIMARY);

	return (struct pg_failure){
		.sqlstate = sqlstate ? sqlstate : "XX000",
		.message = message ? message : "",
		.detail = PQresultErrorField(inner(result), PG_DIAG_MESSAGE_DETAIL),
		.hint = PQresultErrorField(inner(result), PG_DIAG_MESSAGE_HINT),
	};
}

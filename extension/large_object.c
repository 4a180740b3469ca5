/* SPDX-License-Identifier: PostgreSQL */
/*
 * large_object.c: large objects, read and made with the rights of the caller.
 *
 * import_large_object and export_large_object run as chat_owner, which has no rights on anybody's large objects and must not lend any. So
 * PostgreSQL's own functions are called here as the role that the session acts as (SET ROLE, else its login): it reads what it may read,
 * and what is made belongs to it. An error leaves the user to be restored by the end of the (sub)transaction, as usual.
 *
 * Called from: api/40_file.sql.
 */
#include "chat.h"

#include "libpq/libpq-fs.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

static void
become_caller(Oid *user, int *context)
{
	GetUserIdAndSecContext(user, context);
	SetUserIdAndSecContext(GetOuterUserId(), *context | SECURITY_LOCAL_USERID_CHANGE);
}

/* chat.large_object_size(id) → bytes */
PG_FUNCTION_INFO_V1(chat_large_object_size);
Datum
chat_large_object_size(PG_FUNCTION_ARGS)
{
	Oid user;
	int context;
	Datum handle, size;

	become_caller(&user, &context);
	handle = DirectFunctionCall2(be_lo_open, PG_GETARG_DATUM(0), Int32GetDatum(INV_READ));
	size = DirectFunctionCall3(be_lo_lseek64, handle, Int64GetDatum(0), Int32GetDatum(SEEK_END));
	DirectFunctionCall1(be_lo_close, handle);
	SetUserIdAndSecContext(user, context);
	return size;
}

/* chat.read_large_object(id, position, length) → bytea */
PG_FUNCTION_INFO_V1(chat_read_large_object);
Datum
chat_read_large_object(PG_FUNCTION_ARGS)
{
	Oid user;
	int context;
	Datum bytes;

	become_caller(&user, &context);
	bytes =
		DirectFunctionCall3(be_lo_get_fragment, PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2));
	SetUserIdAndSecContext(user, context);
	return bytes;
}

/* chat.create_large_object() → id */
PG_FUNCTION_INFO_V1(chat_create_large_object);
Datum
chat_create_large_object(PG_FUNCTION_ARGS)
{
	Oid user;
	int context;
	Datum id;

	(void) fcinfo;
	become_caller(&user, &context);
	id = DirectFunctionCall1(be_lo_create, ObjectIdGetDatum(InvalidOid));
	SetUserIdAndSecContext(user, context);
	return id;
}

/* chat.write_large_object(id, position, bytes) */
PG_FUNCTION_INFO_V1(chat_write_large_object);
Datum
chat_write_large_object(PG_FUNCTION_ARGS)
{
	Oid user;
	int context;

	become_caller(&user, &context);
	DirectFunctionCall3(be_lo_put, PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2));
	SetUserIdAndSecContext(user, context);
	PG_RETURN_VOID();
}

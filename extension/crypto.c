/* SPDX-License-Identifier: PostgreSQL */
/*
 * crypto.c: what passwords and tokens need of others: pgcrypto's functions, and the server's random bytes.
 *
 * pgcrypto is a trusted extension: a database's owner may install it, and then move it to another schema and make functions with the
 * names that were there. So its functions are not called by name. pg_depend tells which functions are members of the extension; one of
 * them is taken that is in C besides, for the extension's owner may add functions of his own to it, but only a superuser makes one in C.
 *
 * It is looked up at each call: that is some thirty rows, beside a hash that takes milliseconds on purpose, and there is nothing
 * that could be out of date.
 *
 * Called from: api/00_base.sql (hash_password, is_password, new_token).
 */
#include "chat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"

#define TOKEN_BYTES 32

static bool
is_function(Oid oid, const char *name, Oid first, Oid second)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	Form_pg_proc function;
	bool found;

	if (!HeapTupleIsValid(tuple))
		return false;
	function = (Form_pg_proc) GETSTRUCT(tuple);
	found = function->prolang == ClanguageId && strcmp(NameStr(function->proname), name) == 0 &&
			function->pronargs == 2 && function->proargtypes.values[0] == first &&
			function->proargtypes.values[1] == second && function->prorettype == TEXTOID;
	ReleaseSysCache(tuple);
	return found;
}

/* pgcrypto's name(first, second) returning text */
static Oid
find_function(const char *name, Oid first, Oid second)
{
	Oid found = InvalidOid;
	Relation depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ExtensionRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(get_extension_oid("pgcrypto", false)));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, key);
	while (!OidIsValid(found) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend member = (Form_pg_depend) GETSTRUCT(tuple);

		if (member->classid == ProcedureRelationId && member->deptype == DEPENDENCY_EXTENSION &&
			is_function(member->objid, name, first, second))
			found = member->objid;
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	if (!OidIsValid(found))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("extension pgcrypto has no function %s", name),
				 errhint("Install the extension that comes with PostgreSQL.")));
	return found;
}

/* chat.bcrypt(password, salt) → pgcrypto's crypt(password, salt) */
PG_FUNCTION_INFO_V1(chat_bcrypt);
Datum
chat_bcrypt(PG_FUNCTION_ARGS)
{
	return OidFunctionCall2(find_function("crypt", TEXTOID, TEXTOID), PG_GETARG_DATUM(0), PG_GETARG_DATUM(1));
}

/* chat.bcrypt_salt(cost) → pgcrypto's gen_salt('bf', cost) */
PG_FUNCTION_INFO_V1(chat_bcrypt_salt);
Datum
chat_bcrypt_salt(PG_FUNCTION_ARGS)
{
	return OidFunctionCall2(find_function("gen_salt", TEXTOID, INT4OID), CStringGetTextDatum("bf"),
							PG_GETARG_DATUM(0));
}

/* chat.new_token() → 256 random bits in hex */
PG_FUNCTION_INFO_V1(chat_new_token);
Datum
chat_new_token(PG_FUNCTION_ARGS)
{
	uint8 bytes[TOKEN_BYTES];
	text *token = palloc(VARHDRSZ + 2 * TOKEN_BYTES);

	(void) fcinfo;
	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not make random bytes")));
	SET_VARSIZE(token, VARHDRSZ + 2 * TOKEN_BYTES);
	hex_encode((char *) bytes, sizeof(bytes), VARDATA(token));
	PG_RETURN_TEXT_P(token);
}

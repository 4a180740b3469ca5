/* SPDX-License-Identifier: PostgreSQL */
/*
 * file.c: reading the content of a file once, whatever its size, in the memory of one chunk.
 *
 * chat.check_content(content_id) walks the chunks in order and answers what finish_upload has to know of them: how
 * many bytes they are, what they hash to, and whether they are text (UTF-8 without NUL; a character may lie across
 * two chunks, so up to three bytes are carried over). SQL could do it only by putting the whole file together.
 *
 * Called from: api/40_file.sql, api/75_verify.sql.
 */
#include "chat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

typedef struct Content
{
	pg_cryptohash_ctx *hash; /* over all bytes so far */
	int64 size;              /* bytes so far */
	bool is_text;            /* so far */
	char tail[2 * MAX_MULTIBYTE_CHAR_LEN];
	int tail_length; /* bytes of a character that is not complete yet */
} Content;

/* The bytes at the beginning of `bytes` that are text; what follows is invalid, or not complete. */
static int
text_length(const char *bytes, int length)
{
	return pg_encoding_verifymbstr(PG_UTF8, bytes, length);
}

static void
check_text(Content *content, const char *bytes, int length)
{
	int valid;

	/* Complete the character that the chunk before began, byte by byte. */
	while (content->tail_length > 0 && length > 0)
	{
		content->tail[content->tail_length++] = *bytes++;
		length--;
		if (text_length(content->tail, content->tail_length) == content->tail_length)
			content->tail_length = 0;
		else if (content->tail_length == 4)
			content->is_text = false;
		if (!content->is_text)
			return;
	}
	valid = text_length(bytes, length);
	if (length - valid >= 4 || (valid < length && bytes[valid] == '\0'))
		content->is_text = false;
	else
	{
		memcpy(content->tail + content->tail_length, bytes + valid, length - valid);
		content->tail_length += length - valid;
	}
}

/* False behind the last chunk. Needs SPI. */
static bool
add_chunk(Content *content, int64 content_id, int32 number)
{
	static Statement statement = {
		"SELECT bytes FROM chat.chunks WHERE content_id = $1 AND number = $2", 2, {INT8OID, INT4OID}, NULL};
	bool isnull;
	Datum value;
	bytea *bytes;

	statement_run(&statement, (Datum[]){Int64GetDatum(content_id), Int32GetDatum(number)}, NULL, true);
	if (SPI_processed == 0)
		return false;
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	bytes = DatumGetByteaPP(value);
	if (pg_cryptohash_update(content->hash, (uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)) < 0)
		elog(ERROR, "could not hash: %s", pg_cryptohash_error(content->hash));
	content->size += VARSIZE_ANY_EXHDR(bytes);
	if (content->is_text)
		check_text(content, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	if (DatumGetPointer(value) != (Pointer) bytes)
		pfree(bytes); /* or the whole file would pile up till SPI_finish */
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* chat.check_content(content_id) → (size, sha256, is_text) */
PG_FUNCTION_INFO_V1(chat_check_content);
Datum
chat_check_content(PG_FUNCTION_ARGS)
{
	Content content = {.hash = pg_cryptohash_create(PG_SHA256), .is_text = true};
	bytea *sha256 = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	TupleDesc shape;
	Datum values[3];
	bool nulls[3] = {false, false, false};

	if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "check_content returns a row");
	if (content.hash == NULL || pg_cryptohash_init(content.hash) < 0)
		elog(ERROR, "could not begin to hash");
	SPI_connect();
	for (int32 number = 0; add_chunk(&content, PG_GETARG_INT64(0), number); number++)
		CHECK_FOR_INTERRUPTS();
	SPI_finish();
	SET_VARSIZE(sha256, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	if (pg_cryptohash_final(content.hash, (uint8 *) VARDATA(sha256), PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not hash: %s", pg_cryptohash_error(content.hash));
	pg_cryptohash_free(content.hash);
	values[0] = Int64GetDatum(content.size);
	values[1] = PointerGetDatum(sha256);
	values[2] = BoolGetDatum(content.is_text && content.tail_length == 0);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}

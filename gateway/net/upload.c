/* SPDX-License-Identifier: PostgreSQL */
/*
 * upload.c
 *	  POST /files: a file on its way in.
 *
 *	  admitted --begin_upload, or append_upload of nothing--> BEGUN --pieces: append_upload--> --finish_upload--> 201
 *														  \__ the body ends before the file: 202, go on later
 *
 * An upload is resumable by its id: what was received when a connection breaks is kept, and byte_offset says where
 * the next body begins. An empty body finishes it, or tells how much is there. Once it has finished, finish_upload
 * answers the file, and so does every piece that is sent again.
 *
 * The body is only asked for (100 Continue) when the upload was begun: one that is refused need not be sent.
 *
 * Called from: net/route. Calls: net/transfer, net/query, chat/render.
 */
#include "net/upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chat/catalog.h"
#include "chat/fault.h"
#include "chat/render.h"
#include "net/query.h"
#include "net/transfer.h"

#define OFFSET_MOST (INT64_C(1) << 50) /* beyond any file */

/* Parameters of POST. */
enum
{
	ARG_NAME,
	ARG_TYPE,
	ARG_SIZE,
	ARG_HASH,
	ARG_KEY,
	ARG_UPLOAD,
	ARG_OFFSET,
	ARG_COUNT
};

static const struct query_parameter parameters[ARG_COUNT] = {
	[ARG_NAME] = {"name", false},         [ARG_TYPE] = {"mime_type", false},
	[ARG_SIZE] = {"size", true},          [ARG_HASH] = {"sha256", false},
	[ARG_KEY] = {"client_key", false},    [ARG_UPLOAD] = {"upload_id", true},
	[ARG_OFFSET] = {"byte_offset", true},
};

struct upload
{
	struct transfer base;
	char *args[ARG_COUNT]; /* owned; NULL: not said */
	int64_t end;           /* where the body ends in the file */
	struct buf piece;      /* what has come and is not written */
	bool whole;            /* all of the body has come */
	bool probing;          /* an empty body: how far is it? */
};

static void advance(struct upload *upload);

static struct upload *
upload_of(struct transfer *transfer)
{
	return (struct upload *) transfer; /* base is its first member */
}

/* Save what has come of an upload whose client has gone: he may go on there. */
static void
save_rest(struct upload *upload)
{
	char at[24];
	struct errand_value values[] = {{"upload_id", upload->base.id}, {"byte_offset", at}};

	if (upload->base.answered || upload->base.errand != NULL || upload->piece.length == 0)
		return;
	snprintf(at, sizeof at, "%lld", (long long) upload->base.at);
	errand_abandon(
		errand_run(upload->base.session, "append_upload", values, 2, &upload->piece, false, NULL, NULL));
}

static void
upload_free(struct transfer *transfer)
{
	struct upload *upload = upload_of(transfer);

	for (int i = 0; i < ARG_COUNT; i++)
		mem_free(upload->args[i]);
	buf_free(&upload->piece);
	mem_free(upload);
}

static void
on_gone(struct http *http)
{
	save_rest(http->owner);
	transfer_gone(http);
}

/* Answer with the one row: of an upload (202) or of a file (201). */
static void
answer_row(struct upload *upload, int status, const struct method *method, const struct pg_result *result)
{
	struct http *http = upload->base.http;

	upload->base.answered = true;
	http->type = "application/json";
	http_field(http, "Cache-Control", "no-store");
	if (status == 201)
		http_field(http, "Location", "/files/%s", upload->base.id);
	buf_clear(&http->body);
	if (render_result(method, result, &http->body))
		http_answer(http, status);
	else
	{
		struct rpc_error error = fault_internal();

		catalog_reload();
		http_error(http, &error);
	}
}

static void
append(struct upload *upload, size_t length, errand_done done)
{
	char at[24];
	struct errand_value values[] = {{"upload_id", upload->base.id}, {"byte_offset", at}};
	struct buf bytes = {0};

	snprintf(at, sizeof at, "%lld", (long long) upload->base.at);
	buf_add(&bytes, upload->piece.data, length);
	upload->piece.length -= length;
	if (upload->piece.length > 0)
		memmove(upload->piece.data, upload->piece.data + length, upload->piece.length);
	upload->base.at += (int64_t) length;
	transfer_run(&upload->base, "append_upload", values, 2, &bytes, false, done);
}

/* The errand has failed, for this reason, and that is not all that is to be said. */
static bool
is_because(const struct upload *upload, const struct rpc_error *error, const char *reason)
{
	return error != NULL && error->reason != NULL && strcmp(error->reason, reason) == 0 &&
		   !upload->base.answered;
}

static void
fail_too_large(struct upload *upload)
{
	transfer_fail(&upload->base, 413, "too_large", "there are more bytes than were announced");
}

static void finish(struct upload *upload);

/* There is no upload of that id any more: is there a file? */
static bool
has_ended(struct upload *upload, const struct rpc_error *error)
{
	if (upload->base.id[0] == '\0' || !is_because(upload, error, "no_such_upload"))
		return false;
	finish(upload);
	return true;
}

/* Where it stands, for who sent an empty body. */
static void
on_stands(void *arg, const struct rpc_error *error, const struct method *method,
		  const struct pg_result *result)
{
	struct upload *upload = arg;

	if (!has_ended(upload, error) && transfer_is_good(&upload->base, error))
		answer_row(upload, 202, method, result);
}

static void
on_finished(void *arg, const struct rpc_error *error, const struct method *method,
			const struct pg_result *result)
{
	struct upload *upload = arg;

	if (upload->probing && is_because(upload, error, "upload_incomplete"))
	{
		upload->base.at = 0;
		append(upload, 0, on_stands);
	}
	else if (!transfer_is_good(&upload->base, error))
		return;
	else if (upload->base.http->length > 0 && upload->end > transfer_number(result, "size"))
		fail_too_large(upload);
	else
		answer_row(upload, 201, method, result);
}

static void
finish(struct upload *upload)
{
	struct errand_value values[] = {{"upload_id", upload->base.id}};

	transfer_run(&upload->base, "finish_upload", values, 1, NULL, false, on_finished);
}

static void
on_appended(void *arg, const struct rpc_error *error, const struct method *method,
			const struct pg_result *result)
{
	struct upload *upload = arg;

	if (has_ended(upload, error) || !transfer_is_good(&upload->base, error))
		return;
	if (upload->base.at < upload->end)
		advance(upload);
	else if (transfer_number(result, "received") == transfer_number(result, "size"))
		finish(upload);
	else
		answer_row(upload, 202, method, result);
}

/* Write a piece if there is one, else read on. */
static void
advance(struct upload *upload)
{
	size_t size = transfer_piece(&upload->base);

	if (upload->base.errand != NULL || upload->base.answered)
		return;
	transfer_look_at_login(&upload->base);
	if (upload->piece.length >= size)
		append(upload, size, on_appended);
	else if (upload->whole)
		append(upload, upload->piece.length, on_appended);
	else
		http_read(upload->base.http, true);
}

static void
on_received(struct http *http, const char *data, size_t length)
{
	struct upload *upload = http->owner;

	buf_add(&upload->piece, data, length);
	if (upload->piece.length < transfer_piece(&upload->base))
		return;
	http_hold(http);
	if (http->unread > 0)
		advance(upload);
}

static void
on_whole(struct http *http)
{
	struct upload *upload = http->owner;

	upload->whole = true;
	advance(upload);
}

/* The upload is there: may the body come? */
static void
on_begun(void *arg, const struct rpc_error *error, const struct method *method,
		 const struct pg_result *result)
{
	struct upload *upload = arg;
	int64_t size;
	int64_t received;

	if (has_ended(upload, error) || !transfer_is_good(&upload->base, error))
		return;
	size = transfer_number(result, "size");
	received = transfer_number(result, "received");
	snprintf(upload->base.id, sizeof upload->base.id, "%lld", (long long) transfer_number(result, "id"));
	if (upload->end > size)
		fail_too_large(upload);
	else if (received == size && (upload->args[ARG_UPLOAD] == NULL || upload->base.http->length == 0))
		finish(upload);
	else if (upload->base.http->length == 0)
		answer_row(upload, 202, method, result);
	else
		http_read(upload->base.http, true);
}

static void
begin_upload(struct upload *upload)
{
	char length[24];
	struct errand_value values[] = {
		{"name", upload->args[ARG_NAME]},
		{"mime_type", upload->args[ARG_TYPE]},
		{"size", upload->args[ARG_SIZE] ? upload->args[ARG_SIZE] : length},
		{"sha256", upload->args[ARG_HASH]},
		{"client_key", upload->args[ARG_KEY]},
	};

	upload->end = upload->base.at + upload->base.http->length;
	snprintf(length, sizeof length, "%lld", (long long) upload->end);
	if (upload->args[ARG_UPLOAD] == NULL)
		transfer_run(&upload->base, "begin_upload", values, 5, NULL, false, on_begun);
	else if (upload->base.http->length == 0)
	{
		upload->probing = true;
		finish(upload);
	}
	else
		append(upload, 0, on_begun);
}

static void
on_admitted(struct transfer *transfer)
{
	begin_upload(upload_of(transfer));
}

static void
refuse_parameter(struct upload *upload, int at, const char *hint)
{
	struct rpc_error error = query_fault(parameters[at].name, hint);

	transfer_refuse(&upload->base, &error);
}

void
upload_begin(struct http *http)
{
	static const struct transfer_kind kind = {
		{on_received, on_whole, NULL, on_gone}, on_admitted, upload_free, "POST /files"};
	struct transfer *transfer = transfer_create(http, sizeof(struct upload), &kind);
	struct upload *upload = upload_of(transfer);

	if (upload == NULL)
		return;
	if (!query_read(http, parameters, ARG_COUNT, upload->args))
	{
		transfer->answered = true;
		return;
	}
	if (upload->args[ARG_OFFSET] != NULL)
		transfer->at = strtoll(upload->args[ARG_OFFSET], NULL, 10);
	if (upload->args[ARG_UPLOAD] == NULL && upload->args[ARG_NAME] == NULL)
		refuse_parameter(upload, ARG_NAME, "it is missing");
	else if (transfer->at > OFFSET_MOST || (upload->args[ARG_UPLOAD] == NULL && transfer->at != 0))
		refuse_parameter(upload, ARG_OFFSET, "where an upload that was begun goes on");
	else
	{
		if (upload->args[ARG_UPLOAD] != NULL)
			snprintf(transfer->id, sizeof transfer->id, "%s", upload->args[ARG_UPLOAD]);
		transfer_visit(transfer, NULL);
	}
}

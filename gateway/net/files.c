/* SPDX-License-Identifier: PostgreSQL */
/*
 * files.c
 *	  Files in and out: POST /files, GET and HEAD of /files/{id}.
 *
 *	  in:	ADMITTED --begin_upload, or append_upload of nothing--> BEGUN --pieces: append_upload--> --finish_upload--> 201
 *															   \__ the body ends before the file: 202, go on later
 *	  out:	ADMITTED --get_file--> 200, 206, 304, 302, 412, 416 --pieces: read_file--> sent
 *
 * 1. Whose request it is, is found out first: a visitor (chat/session.c) by Bearer token or by ticket.
 * 2. One piece of PIECE bytes is under way at a time: while the database writes one the client is not read, and the
 *	  next one is read when the client has taken the last. So a transfer has two pieces in memory at most, however
 *	  long the file and however slow the client.
 * 3. An upload is resumable by its id: what was received when a connection breaks is kept, and byte_offset says where
 *	  the next body begins. An empty body finishes it, or tells how much is there.
 * 4. Long transfers ask now and then whether the login they began with is still good.
 *
 * What is served comes from strangers, under our own origin: it is shown in place only when it is an image, a sound
 * or a video of a kind that holds no scripts; else it is to be saved; it is never sniffed, and sandboxed anyhow.
 *
 * Called from: net/route. Calls: net/http, chat/errand, chat/session, chat/ticket.
 */
#include "net/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/mem.h"
#include "chat/alive.h"
#include "chat/errand.h"
#include "chat/fault.h"
#include "chat/rate.h"
#include "chat/render.h"
#include "chat/session.h"
#include "chat/ticket.h"
#include "codec/field.h"

#define PIECE       262144 /* bytes: a chunk of the database's */
#define DOUBT_PAUSE 5000   /* milliseconds of a transfer between looks whether its login is good */
#define NAME_MOST   1100   /* bytes of an argument: a name of 255 letters */

/* Arguments of POST. */
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

static const char *const arg_names[ARG_COUNT] = {"name",       "mime_type", "size",       "sha256",
												 "client_key", "upload_id", "byte_offset"};

/* A file on its way. */
struct transfer
{
	struct http *http;       /* whose request it is */
	struct session *session; /* the visitor */
	struct errand *errand;   /* under way, or NULL */
	bool outward;            /* a download */
	bool answered;           /* the answer has begun: nothing else can be said */
	uint64_t looked;         /* loop_now() when the login was last known good */
	char id[24];             /* of the file or the upload, decimal; empty: an upload not begun */
	int64_t at;              /* the next byte to be written to the database, or read from it */

	/* In. */
	char *args[ARG_COUNT]; /* owned; NULL: not said */
	int64_t end;           /* where the body ends in the file */
	struct buf piece;      /* what has come and is not written */
	bool whole;            /* all of the body has come */
	bool probing;          /* an empty body: how far is it? */

	/* Out. */
	struct head_copy
	{
		char *range;    /* owned fields of the request; NULL: did not come */
		char *if_range; /* the same */
		char *if_match; /* the same */
		char *if_none;  /* the same */
	} fields;
	int64_t left; /* bytes still to be read */
};

static int transfer_count; /* under way */

static void advance(struct transfer *transfer);
static void begin_upload(struct transfer *transfer);
static void begin_download(struct transfer *transfer);

static void
run(struct transfer *transfer, const char *method, const struct errand_value *values, int count,
	struct buf *bytes, bool binary, errand_done done)
{
	transfer->errand = errand_run(transfer->session, method, values, count, bytes, binary, done, transfer);
}

static void
refuse(void *socket, const struct rpc_error *error)
{
	struct transfer *transfer = socket;

	if (transfer->answered)
	{
		http_cut(transfer->http);
		return;
	}
	transfer->answered = true;
	http_error(transfer->http, error);
}

static void
fail(struct transfer *transfer, int code, const char *reason, const char *message)
{
	struct rpc_error error = {.code = code, .reason = reason, .message = message};

	refuse(transfer, &error);
}

/* The errand has come back. False: it failed, or nobody waits for it any more; that has been seen to. */
static bool
is_good(struct transfer *transfer, const struct rpc_error *error)
{
	transfer->errand = NULL;
	if (error != NULL && !transfer->answered)
		refuse(transfer, error);
	return error == NULL && !transfer->answered;
}

static void
admitted(void *socket)
{
	struct transfer *transfer = socket;
	long long wait = 0;
	struct rpc_error error;

	transfer->looked = loop_now();
	session_engage(transfer->session);
	if (rate_count(transfer->session, &wait) != RATE_GOOD)
	{
		error = fault_rate_limited(wait);
		refuse(transfer, &error);
	}
	else if (transfer->outward)
		begin_download(transfer);
	else
		begin_upload(transfer);
}

/* The visitor's login has ended, or this worker does. */
static void
end_visit(void *socket, int code, const char *reason)
{
	struct transfer *transfer = socket;

	if (code == 1000)
		return;
	if (transfer->answered)
		http_cut(transfer->http);
	else if (code == 1001)
		http_refuse(transfer->http, 503, reason, "this gateway ends; ask again");
	else
		http_refuse(transfer->http, 401, reason, "the session has ended");
	transfer->answered = true;
}

static void
ignore_message(void *socket, struct message *message)
{
	(void) socket;
	(void) message;
}

static bool
ignore_event(void *socket, struct message *message)
{
	(void) socket;
	(void) message;
	return true;
}

static void
ignore_hold(void *socket, bool wanted)
{
	(void) socket;
	(void) wanted;
}

static const struct session_socket visitor_ops = {ignore_message, ignore_event, end_visit,
												  ignore_hold,    admitted,     refuse};

/* Now and then: is the login that all this began with still good? */
static void
look_at_login(struct transfer *transfer)
{
	if (loop_now() < transfer->looked + DOUBT_PAUSE)
		return;
	transfer->looked = loop_now();
	alive_doubt(transfer->session);
}

/* Save what has come of an upload whose client has gone: he may go on there. */
static void
save_rest(struct transfer *transfer)
{
	char at[24];
	struct errand_value values[] = {{"upload_id", transfer->id}, {"byte_offset", at}};

	if (transfer->outward || transfer->errand != NULL || transfer->id[0] == '\0' ||
		transfer->piece.length == 0)
		return;
	snprintf(at, sizeof at, "%lld", (long long) transfer->at);
	errand_abandon(
		errand_run(transfer->session, "append_upload", values, 2, &transfer->piece, false, NULL, NULL));
}

static void
on_gone(struct http *http)
{
	struct transfer *transfer = http->owner;

	save_rest(transfer);
	errand_abandon(transfer->errand);
	transfer->answered = true;
	if (transfer->session != NULL)
		session_gone(transfer->session);
	for (int i = 0; i < ARG_COUNT; i++)
		mem_free(transfer->args[i]);
	mem_free(transfer->fields.range);
	mem_free(transfer->fields.if_range);
	mem_free(transfer->fields.if_match);
	mem_free(transfer->fields.if_none);
	buf_free(&transfer->piece);
	mem_free(transfer);
	transfer_count--;
}

/* Find out whose request it is; admitted or refuse follows. */
static void
visit(struct transfer *transfer)
{
	struct http *http = transfer->http;
	char *bearer = http_bearer(http);
	struct rpc_error error = fault_not_authenticated();
	struct buf ticket = {0};
	bool has_ticket = transfer->outward && head_parameter(&http->head->query, "ticket", &ticket) == 1;

	error.hint = "send a token as Authorization: Bearer";
	if (bearer == NULL && !has_ticket)
		refuse(transfer, &error);
	else
		transfer->session = session_visit(&visitor_ops, transfer, http->address, bearer);
	if (bearer == NULL && has_ticket)
		ticket_admit(transfer->session, buf_text(&ticket), TICKET_FILE, strtoll(transfer->id, NULL, 10));
	buf_free(&ticket);
	mem_free(bearer);
}

static struct transfer *
create(struct http *http, bool outward, const struct http_handler *handler)
{
	struct transfer *transfer = mem_alloc(sizeof *transfer);

	transfer->http = http;
	transfer->outward = outward;
	transfer_count++;
	http_take(http, handler, transfer);
	return transfer;
}

static bool
is_busy(struct http *http)
{
	if (transfer_count < config.max_transfers)
		return false;
	http_refuse(http, 503, "too_many_transfers", "too many files are on their way");
	return true;
}

/* In */

static int64_t
column_number(const struct pg_result *result, const char *name)
{
	int column = result_column(result, name);
	const char *text = column >= 0 && result_rows(result) == 1 ? result_value(result, 0, column, NULL) : NULL;

	return text ? strtoll(text, NULL, 10) : -1;
}

/* Answer with the one row: of an upload (202) or of a file (201). */
static void
answer_row(struct transfer *transfer, int status, const struct method *method, const struct pg_result *result)
{
	struct http *http = transfer->http;

	transfer->answered = true;
	http->type = "application/json";
	http_field(http, "Cache-Control", "no-store");
	if (status == 201)
		http_field(http, "Location", "/files/%s", transfer->id);
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
append(struct transfer *transfer, size_t length, errand_done done)
{
	char at[24];
	struct errand_value values[] = {{"upload_id", transfer->id}, {"byte_offset", at}};
	struct buf bytes = {0};

	snprintf(at, sizeof at, "%lld", (long long) transfer->at);
	buf_add(&bytes, transfer->piece.data, length);
	transfer->piece.length -= length;
	if (transfer->piece.length > 0)
		memmove(transfer->piece.data, transfer->piece.data + length, transfer->piece.length);
	transfer->at += (int64_t) length;
	run(transfer, "append_upload", values, 2, &bytes, false, done);
}

/* Where it stands, for who sent an empty body. */
static void
on_stands(void *arg, const struct rpc_error *error, const struct method *method,
		  const struct pg_result *result)
{
	struct transfer *transfer = arg;

	if (is_good(transfer, error))
		answer_row(transfer, 202, method, result);
}

static void
on_finished(void *arg, const struct rpc_error *error, const struct method *method,
			const struct pg_result *result)
{
	struct transfer *transfer = arg;

	if (transfer->probing && error != NULL && error->reason != NULL &&
		strcmp(error->reason, "upload_incomplete") == 0 && !transfer->answered)
	{
		transfer->at = 0;
		append(transfer, 0, on_stands);
	}
	else if (is_good(transfer, error))
		answer_row(transfer, 201, method, result);
}

static void
finish(struct transfer *transfer)
{
	struct errand_value values[] = {{"upload_id", transfer->id}};

	run(transfer, "finish_upload", values, 1, NULL, false, on_finished);
}

static void
on_appended(void *arg, const struct rpc_error *error, const struct method *method,
			const struct pg_result *result)
{
	struct transfer *transfer = arg;

	if (!is_good(transfer, error))
		return;
	if (transfer->at < transfer->end)
		advance(transfer);
	else if (column_number(result, "received") == column_number(result, "size"))
		finish(transfer);
	else
		answer_row(transfer, 202, method, result);
}

/* Bytes until the piece is full: pieces end where chunks do. */
static size_t
piece_size(const struct transfer *transfer)
{
	return (size_t) (PIECE - transfer->at % PIECE);
}

/* Write a piece if there is one, else read on. */
static void
advance(struct transfer *transfer)
{
	size_t size = piece_size(transfer);

	if (transfer->errand != NULL || transfer->answered)
		return;
	look_at_login(transfer);
	if (transfer->piece.length >= size)
		append(transfer, size, on_appended);
	else if (transfer->whole)
		append(transfer, transfer->piece.length, on_appended);
	else
		http_read(transfer->http, true);
}

static void
on_received(struct http *http, const char *data, size_t length)
{
	struct transfer *transfer = http->owner;

	buf_add(&transfer->piece, data, length);
	if (transfer->piece.length < piece_size(transfer))
		return;
	http_hold(http);
	if (http->unread > 0)
		advance(transfer);
}

static void
on_whole(struct http *http)
{
	struct transfer *transfer = http->owner;

	transfer->whole = true;
	advance(transfer);
}

/* The upload is there: may the body come? */
static void
on_begun(void *arg, const struct rpc_error *error, const struct method *method,
		 const struct pg_result *result)
{
	struct transfer *transfer = arg;
	int64_t size;
	int64_t received;

	if (!is_good(transfer, error))
		return;
	size = column_number(result, "size");
	received = column_number(result, "received");
	snprintf(transfer->id, sizeof transfer->id, "%lld", (long long) column_number(result, "id"));
	transfer->end = transfer->at + transfer->http->length;
	if (transfer->end > size)
		fail(transfer, 413, "too_large", "there are more bytes than were announced");
	else if (received == size && (transfer->args[ARG_UPLOAD] == NULL || transfer->http->length == 0))
		finish(transfer);
	else if (transfer->http->length == 0)
		answer_row(transfer, 202, method, result);
	else
		http_read(transfer->http, true);
}

static void
begin_upload(struct transfer *transfer)
{
	char length[24];
	struct errand_value values[] = {
		{"name", transfer->args[ARG_NAME]},
		{"mime_type", transfer->args[ARG_TYPE]},
		{"size", transfer->args[ARG_SIZE] ? transfer->args[ARG_SIZE] : length},
		{"sha256", transfer->args[ARG_HASH]},
		{"client_key", transfer->args[ARG_KEY]},
	};

	snprintf(length, sizeof length, "%lld", (long long) (transfer->at + transfer->http->length));
	if (transfer->args[ARG_UPLOAD] == NULL)
		run(transfer, "begin_upload", values, 5, NULL, false, on_begun);
	else if (transfer->http->length == 0)
	{
		transfer->probing = true;
		finish(transfer);
	}
	else
		append(transfer, 0, on_begun);
}

/* Digits of an int8. */
static bool
is_number(const char *text)
{
	size_t length = strlen(text);

	errno = 0;
	return length >= 1 && strspn(text, "0123456789") == length && strtoll(text, NULL, 10) >= 0 && errno == 0;
}

/* The arguments of POST; false: one of them is bad. */
static bool
read_args(struct transfer *transfer)
{
	for (int i = 0; i < ARG_COUNT; i++)
	{
		struct buf value = {0};
		int count = head_parameter(&transfer->http->head->query, arg_names[i], &value);
		bool numeric = i == ARG_SIZE || i == ARG_UPLOAD || i == ARG_OFFSET;

		if (count == 1)
			transfer->args[i] = mem_copy(buf_text(&value));
		buf_free(&value);
		if (count < 0 || (count == 1 && (strlen(transfer->args[i]) > NAME_MOST ||
										 (numeric && !is_number(transfer->args[i])))))
			return false;
	}
	return true;
}

void
files_post(struct http *http)
{
	static const struct http_handler handler = {on_received, on_whole, NULL, on_gone};
	struct transfer *transfer;

	if (is_busy(http))
		return;
	transfer = create(http, false, &handler);
	if (!read_args(transfer))
	{
		fail(transfer, 400, "invalid_argument", "a parameter of the query is bad");
		return;
	}
	if (transfer->args[ARG_OFFSET] != NULL)
		transfer->at = strtoll(transfer->args[ARG_OFFSET], NULL, 10);
	if (transfer->args[ARG_UPLOAD] == NULL && transfer->args[ARG_NAME] == NULL)
		fail(transfer, 400, "invalid_argument", "name is missing");
	else if (transfer->args[ARG_UPLOAD] == NULL && transfer->at != 0)
		fail(transfer, 400, "invalid_argument", "a new upload begins at 0");
	else
	{
		if (transfer->args[ARG_UPLOAD] != NULL)
			snprintf(transfer->id, sizeof transfer->id, "%s", transfer->args[ARG_UPLOAD]);
		visit(transfer);
	}
}

/* Out */

static const char *const shown_types[] = {
	"image/png", "image/jpeg", "image/gif",  "image/webp", "image/avif", "image/bmp",
	"video/mp4", "video/webm", "video/ogg",  "audio/mpeg", "audio/mp4",  "audio/aac",
	"audio/ogg", "audio/opus", "audio/webm", "audio/wav",  "audio/flac",
};

static bool
is_shown(const char *type)
{
	for (size_t i = 0; i < sizeof shown_types / sizeof shown_types[0]; i++)
	{
		if (strcmp(shown_types[i], type) == 0)
			return true;
	}
	return false;
}

static void
on_piece(void *arg, const struct rpc_error *error, const struct method *method,
		 const struct pg_result *result)
{
	struct transfer *transfer = arg;
	const char *bytes = NULL;
	size_t length = 0;

	(void) method;
	transfer->errand = NULL;
	if (error == NULL && result_rows(result) == 1)
		bytes = result_value(result, 0, 0, &length);
	if (bytes == NULL || length == 0 || (int64_t) length > transfer->left)
	{
		http_cut(transfer->http); /* it was promised, and is no more */
		return;
	}
	transfer->at += (int64_t) length;
	transfer->left -= (int64_t) length;
	buf_clear(&transfer->http->body);
	buf_add(&transfer->http->body, bytes, length);
	http_give(transfer->http);
}

static void
on_drained(struct http *http)
{
	struct transfer *transfer = http->owner;
	char at[24];
	char count[24];
	struct errand_value values[] = {{"file_id", transfer->id}, {"byte_offset", at}, {"byte_count", count}};
	size_t size = piece_size(transfer);

	look_at_login(transfer);
	snprintf(at, sizeof at, "%lld", (long long) transfer->at);
	snprintf(count, sizeof count, "%lld",
			 (long long) ((int64_t) size < transfer->left ? (int64_t) size : transfer->left));
	run(transfer, "read_file", values, 3, NULL, true, on_piece);
}

static struct slice
slice_of(const char *text)
{
	return (struct slice){text, strlen(text)};
}

/* What is to be sent, and how: the status. */
static int
choose_part(struct transfer *transfer, const char *tag, int64_t size)
{
	const struct head_copy *fields = &transfer->fields;
	struct slice match = slice_of(fields->if_match ? fields->if_match : "");
	struct slice none = slice_of(fields->if_none ? fields->if_none : "");
	struct slice range = slice_of(fields->range ? fields->range : "");
	enum range_verdict verdict = RANGE_WHOLE;

	if (fields->if_match != NULL && !field_has_tag(&match, tag, false))
		return 412;
	if (fields->if_none != NULL && field_has_tag(&none, tag, true))
		return 304;
	if (fields->range != NULL && !transfer->http->is_head &&
		(fields->if_range == NULL || strcmp(fields->if_range, tag) == 0))
		verdict = field_range(&range, size, &transfer->at, &transfer->left);
	if (verdict == RANGE_BEYOND)
		return 416;
	if (verdict == RANGE_PART)
		return 206;
	transfer->at = 0;
	transfer->left = size;
	return 200;
}

static const char *
column_text(const struct pg_result *result, const char *name)
{
	int column = result_column(result, name);

	return column < 0 || result_rows(result) != 1 ? NULL : result_value(result, 0, column, NULL);
}

static void
add_file_fields(struct http *http, const char *tag, const char *name, const char *type)
{
	struct buf disposition = {0};

	field_disposition(&disposition, is_shown(type), name);
	http_field(http, "ETag", "%s", tag);
	http_field(http, "Cache-Control", "private, no-cache");
	http_field(http, "Accept-Ranges", "bytes");
	http_field(http, "Content-Disposition", "%s", buf_text(&disposition));
	http_field(http, "Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'self'");
	buf_free(&disposition);
}

/* The file is his to read: answer with it. */
static void
serve(struct transfer *transfer, const char *name, const char *type, const char *sha256, int64_t size)
{
	struct http *http = transfer->http;
	char tag[80];
	int status;

	snprintf(tag, sizeof tag, "\"%.64s\"", sha256);
	status = choose_part(transfer, tag, size);
	transfer->answered = true;
	if (status == 412)
	{
		http_refuse(http, 412, "precondition_failed", "the file is another one");
		return;
	}
	add_file_fields(http, tag, name, type);
	http_field(http, "Content-Type", "%s%s", type, strncmp(type, "text/", 5) == 0 ? "; charset=utf-8" : "");
	if (status == 416)
		http_field(http, "Content-Range", "bytes */%lld", (long long) size);
	else if (status == 206)
		http_field(http, "Content-Range", "bytes %lld-%lld/%lld", (long long) transfer->at,
				   (long long) (transfer->at + transfer->left - 1), (long long) size);
	if (status == 416 || status == 304)
		http_answer(http, status);
	else
		http_begin_stream(http, status, transfer->left);
}

static void
on_file(void *arg, const struct rpc_error *error, const struct method *method, const struct pg_result *result)
{
	struct transfer *transfer = arg;
	const char *name = error ? NULL : column_text(result, "name");
	const char *type = error ? NULL : column_text(result, "mime_type");
	const char *sha256 = error ? NULL : column_text(result, "sha256");
	const char *url = error ? NULL : column_text(result, "url");

	(void) method;
	if (!is_good(transfer, error))
		return;
	if (url != NULL)
	{
		transfer->answered = true;
		http_field(transfer->http, "Location", "%s", url);
		http_field(transfer->http, "Cache-Control", "no-store");
		http_answer(transfer->http, 302);
	}
	else if (name == NULL || type == NULL || sha256 == NULL)
		fail(transfer, 500, "internal", "internal error");
	else
		serve(transfer, name, type, sha256, column_number(result, "size"));
}

static void
begin_download(struct transfer *transfer)
{
	struct errand_value values[] = {{"file_id", transfer->id}};

	run(transfer, "get_file", values, 1, NULL, false, on_file);
}

/* A field of the request, to be kept. */
static char *
keep_field(const struct head *head, const char *name)
{
	struct buf joined = {0};
	struct slice value;
	char *copy = NULL;

	if (head_field(head, name, &value) > 0)
	{
		head_join(head, name, &joined);
		copy = mem_copy(buf_text(&joined));
		buf_free(&joined);
	}
	return copy;
}

void
files_get(struct http *http)
{
	static const struct http_handler handler = {NULL, NULL, on_drained, on_gone};
	const struct slice *path = &http->head->path;
	struct transfer *transfer;
	char id[24];

	snprintf(id, sizeof id, "%.*s", (int) (path->length < 40 ? path->length - 7 : 23), path->text + 7);
	if (!is_number(id))
	{
		http_refuse(http, 404, "no_such_file", "there is no such file");
		return;
	}
	if (is_busy(http))
		return;
	transfer = create(http, true, &handler);
	snprintf(transfer->id, sizeof transfer->id, "%s", id);
	transfer->fields.range = keep_field(http->head, "range");
	transfer->fields.if_range = keep_field(http->head, "if-range");
	transfer->fields.if_match = keep_field(http->head, "if-match");
	transfer->fields.if_none = keep_field(http->head, "if-none-match");
	visit(transfer);
}

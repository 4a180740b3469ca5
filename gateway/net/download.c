/* SPDX-License-Identifier: PostgreSQL */
/*
 * download.c
 *	  GET and HEAD of /files/{id}: a file on its way out.
 *
 *	  admitted --get_file--> 200, 206, 304, 302, 412, 416 --pieces: read_file--> sent
 *
 * What is served comes from strangers, under our own origin: it is shown in place only when it is an image, a sound
 * or a video of a kind that holds no scripts; else it is to be saved; it is never sniffed, and sandboxed anyhow.
 *
 * A link leads to a stranger's server, which sees who comes. So a browser is sent there only when its user goes there
 * (Sec-Fetch-Dest: document), not by a page that shows pictures.
 *
 * Called from: net/route. Calls: net/transfer, net/query, codec/field.
 */
#include "net/download.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/field.h"
#include "net/query.h"
#include "net/transfer.h"

struct download
{
	struct transfer base;
	char *range;    /* owned fields of the request; NULL: did not come */
	char *if_range; /* the same */
	char *if_match; /* the same */
	char *if_none;  /* the same */
	bool embedded;  /* a browser asks on behalf of a page, not because its user goes there */
	int64_t left;   /* bytes still to be read */
};

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
	struct download *download = arg;
	const char *bytes = NULL;
	size_t length = 0;

	(void) method;
	download->base.errand = NULL;
	if (error == NULL && result_rows(result) == 1)
		bytes = result_value(result, 0, 0, &length);
	if (bytes == NULL || length == 0 || (int64_t) length > download->left)
	{
		http_cut(download->base.http); /* it was promised, and is no more */
		return;
	}
	download->base.at += (int64_t) length;
	download->left -= (int64_t) length;
	buf_clear(&download->base.http->body);
	buf_add(&download->base.http->body, bytes, length);
	http_give(download->base.http);
}

static void
on_drained(struct http *http)
{
	struct download *download = http->owner;
	char at[24];
	char count[24];
	struct errand_value values[] = {
		{"file_id", download->base.id}, {"byte_offset", at}, {"byte_count", count}};
	size_t size = transfer_piece(&download->base);

	transfer_look_at_login(&download->base);
	snprintf(at, sizeof at, "%lld", (long long) download->base.at);
	snprintf(count, sizeof count, "%lld",
			 (long long) ((int64_t) size < download->left ? (int64_t) size : download->left));
	transfer_run(&download->base, "read_file", values, 3, NULL, true, on_piece);
}

static struct slice
slice_of(const char *text)
{
	return (struct slice){text, strlen(text)};
}

/* What is to be sent, and how: the status. */
static int
choose_part(struct download *download, const char *tag, int64_t size)
{
	struct slice match = slice_of(download->if_match ? download->if_match : "");
	struct slice none = slice_of(download->if_none ? download->if_none : "");
	struct slice range = slice_of(download->range ? download->range : "");
	enum range_verdict verdict = RANGE_WHOLE;

	if (download->if_match != NULL && !field_has_tag(&match, tag, false))
		return 412;
	if (download->if_none != NULL && field_has_tag(&none, tag, true))
		return 304;
	if (download->range != NULL && !download->base.http->is_head &&
		(download->if_range == NULL || strcmp(download->if_range, tag) == 0))
		verdict = field_range(&range, size, &download->base.at, &download->left);
	if (verdict == RANGE_BEYOND)
		return 416;
	if (verdict == RANGE_PART)
		return 206;
	download->base.at = 0;
	download->left = size;
	return 200;
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
serve(struct download *download, const char *name, const char *type, const char *sha256, int64_t size)
{
	struct http *http = download->base.http;
	char tag[80];
	int status;

	snprintf(tag, sizeof tag, "\"%.64s\"", sha256);
	status = choose_part(download, tag, size);
	download->base.answered = true;
	if (status == 412)
	{
		http_refuse(http, 412, "precondition_failed", "the file is another one");
		return;
	}
	if (status == 416)
	{
		http_field(http, "Content-Range", "bytes */%lld", (long long) size);
		http_refuse_with_fields(http, 416, "range_not_satisfiable", "the file ends before that range");
		return;
	}
	add_file_fields(http, tag, name, type);
	http_field(http, "Content-Type", "%s%s", type, strncmp(type, "text/", 5) == 0 ? "; charset=utf-8" : "");
	if (status == 206)
		http_field(http, "Content-Range", "bytes %lld-%lld/%lld", (long long) download->base.at,
				   (long long) (download->base.at + download->left - 1), (long long) size);
	if (status == 304)
		http_answer(http, status);
	else
		http_begin_stream(http, status, download->left);
}

static void
lead_elsewhere(struct download *download, const char *url)
{
	struct http *http = download->base.http;

	if (download->embedded)
	{
		transfer_fail(&download->base, 409, "file_is_link", "this file is a link, its content is elsewhere");
		return;
	}
	download->base.answered = true;
	http_field(http, "Location", "%s", url);
	http_field(http, "Cache-Control", "no-store");
	http_answer(http, 302);
}

static void
on_file(void *arg, const struct rpc_error *error, const struct method *method, const struct pg_result *result)
{
	struct download *download = arg;
	const char *name = error ? NULL : transfer_text(result, "name");
	const char *type = error ? NULL : transfer_text(result, "mime_type");
	const char *sha256 = error ? NULL : transfer_text(result, "sha256");
	const char *url = error ? NULL : transfer_text(result, "url");

	(void) method;
	if (!transfer_is_good(&download->base, error))
		return;
	if (url != NULL)
		lead_elsewhere(download, url);
	else if (name == NULL || type == NULL || sha256 == NULL)
		transfer_fail(&download->base, 500, "internal", "internal error");
	else
		serve(download, name, type, sha256, transfer_number(result, "size"));
}

static void
on_admitted(struct transfer *transfer)
{
	struct errand_value values[] = {{"file_id", transfer->id}};

	transfer_run(transfer, "get_file", values, 1, NULL, false, on_file);
}

static void
download_free(struct transfer *transfer)
{
	struct download *download = (struct download *) transfer; /* base is its first member */

	mem_free(download->range);
	mem_free(download->if_range);
	mem_free(download->if_match);
	mem_free(download->if_none);
	mem_free(download);
}

/* Browsers say so, over TLS and on this machine; nobody else does. */
static bool
is_embedded(const struct head *head)
{
	struct slice destination;

	return head_field(head, "sec-fetch-dest", &destination) > 0 && !head_is(&destination, "document");
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
download_begin(struct http *http)
{
	static const struct transfer_kind kind = {
		{NULL, NULL, on_drained, transfer_gone}, on_admitted, download_free, "GET /files"};
	static const struct query_parameter parameters[] = {{"ticket", false}};
	const struct slice *path = &http->head->path;
	struct download *download = NULL;
	char id[24];
	char *ticket;

	snprintf(id, sizeof id, "%.*s", (int) (path->length < 40 ? path->length - 7 : 23), path->text + 7);
	if (!transfer_is_number(id))
	{
		http_refuse(http, 404, "no_such_file", "there is no such file");
		return;
	}
	if (query_read(http, parameters, 1, &ticket))
		download = (struct download *) transfer_create(http, sizeof *download, &kind);
	if (download == NULL)
	{
		mem_free(ticket);
		return;
	}
	snprintf(download->base.id, sizeof download->base.id, "%s", id);
	download->embedded = is_embedded(http->head);
	download->range = keep_field(http->head, "range");
	download->if_range = keep_field(http->head, "if-range");
	download->if_match = keep_field(http->head, "if-match");
	download->if_none = keep_field(http->head, "if-none-match");
	transfer_visit(&download->base, ticket);
	mem_free(ticket);
}

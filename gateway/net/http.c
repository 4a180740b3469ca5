/* SPDX-License-Identifier: PostgreSQL */
/*
 * http.c
 *	  Plain HTTP beside the WebSocket: /healthz, /readyz, and the files of web_root at /.
 *
 * 1. A request without a body that is GET or HEAD is served; everything else is refused and the connection closed,
 *	  so that no body is ever taken for the next request (chunked ones never arrive in this library, bad lengths hang).
 * 2. A file's name is made of components of harmless characters, none of which begins with a dot, beneath web_root. Its
 *	  tag is made of size and time; a client that has it gets 304.
 * 3. The answer is built whole, in memory, and leaves in pieces when the socket takes them.
 *
 * Called from: net/server. Calls: chat/catalog, pg/ (readiness), libwebsockets.
 */
#include "net/http.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "chat/catalog.h"
#include "net/server.h"
#include "pg/listener.h"
#include "pg/pool.h"

#define FILE_LIMIT (8 << 20) /* bytes of a static file */
#define PIECE      16384     /* bytes of one write */
#define HEAD_SIZE  2048      /* bytes of status line and headers */

/* An answer on its way. */
struct http
{
	int status;       /* HTTP's */
	const char *type; /* content type, static */
	char tag[48];     /* ETag with its quotes; empty: none */
	struct buf body;  /* to be sent */
	size_t sent;      /* bytes of body */
	bool head;        /* headers only */
	bool close;       /* the connection ends with it */
};

struct suffix
{
	const char *suffix; /* of the name */
	const char *type;   /* content type */
};

static int root = -1; /* descriptor of web_root, for the worker's life; -1: none */

static const struct suffix suffixes[] = {
	{".html", "text/html; charset=utf-8"},
	{".js", "text/javascript; charset=utf-8"},
	{".mjs", "text/javascript; charset=utf-8"},
	{".css", "text/css; charset=utf-8"},
	{".json", "application/json"},
	{".svg", "image/svg+xml"},
	{".png", "image/png"},
	{".jpg", "image/jpeg"},
	{".webp", "image/webp"},
	{".ico", "image/x-icon"},
	{".woff2", "font/woff2"},
	{".txt", "text/plain; charset=utf-8"},
	{".webmanifest", "application/manifest+json"},
	{".map", "application/json"},
};

static const char *const headers[][2] = {
	{"x-content-type-options:", "nosniff"},
	{"referrer-policy:", "no-referrer"},
	{"cache-control:", "no-cache"},
	{"content-security-policy:", "default-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
								 "media-src 'self' blob:; object-src 'none'; "
								 "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"},
};

void
http_open(void)
{
	if (config.web_root[0] == '\0')
		return;
	root = open(config.web_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		log_write(LEVEL_WARN, "no_web_root", "%s: %s", config.web_root, strerror(errno));
}

void
http_close(void)
{
	if (root >= 0)
		close(root);
	root = -1;
}

static const char *
content_type(const char *name)
{
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
	{
		size_t length = strlen(suffixes[i].suffix);

		if (strlen(name) > length && strcmp(name + strlen(name) - length, suffixes[i].suffix) == 0)
			return suffixes[i].type;
	}
	return "application/octet-stream";
}

/* A path of components made of A-Z a-z 0-9 . _ -, none of which begins with a dot. */
static bool
is_harmless(const char *path)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	for (;;)
	{
		size_t length = strspn(path, letters);

		if (length == 0 || path[0] == '.')
			return false;
		if (path[length] == '\0')
			return true;
		if (path[length] != '/')
			return false;
		path += length + 1;
	}
}

static void
set_text(struct http *http, int status, const char *text)
{
	http->status = status;
	http->type = "text/plain; charset=utf-8";
	buf_clear(&http->body);
	buf_add_text(&http->body, text);
	buf_add_char(&http->body, '\n');
}

/* Read a regular file into the body. */
static bool
read_file(struct http *http, int fd)
{
	struct stat about;
	ssize_t got;

	if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size > FILE_LIMIT)
		return false;
	snprintf(http->tag, sizeof http->tag, "\"%llx-%llx\"", (unsigned long long) about.st_size,
			 (unsigned long long) about.st_mtim.tv_sec * 1000000000u +
				 (unsigned long long) about.st_mtim.tv_nsec);
	while (http->body.length < (size_t) about.st_size)
	{
		got = read(fd, buf_reserve(&http->body, PIECE), PIECE);
		if (got <= 0)
			return false;
		http->body.length += (size_t) got;
	}
	return true;
}

static void
serve_file(struct lws *wsi, struct http *http, const char *path)
{
	char known[64];
	const char *name = strcmp(path, "/") == 0 ? "index.html" : path + 1;
	int fd = root >= 0 && is_harmless(name) ? openat(root, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;

	http->status = HTTP_STATUS_OK;
	http->type = content_type(name);
	if (fd < 0 || !read_file(http, fd))
		set_text(http, HTTP_STATUS_NOT_FOUND, "not found");
	else if (lws_hdr_copy(wsi, known, sizeof known, WSI_TOKEN_HTTP_IF_NONE_MATCH) > 0 &&
			 strcmp(known, http->tag) == 0)
	{
		http->status = HTTP_STATUS_NOT_MODIFIED;
		buf_clear(&http->body);
	}
	if (fd >= 0)
		close(fd);
}

static void
serve_readiness(struct http *http)
{
	if (pool_is_ready() && listener_is_ready() && catalog_is_ready() && server_is_accepting())
		set_text(http, HTTP_STATUS_OK, "ready");
	else
		set_text(http, HTTP_STATUS_SERVICE_UNAVAILABLE, "not ready");
}

/* The announced length of the body: 0 when there is none, -1 when it is no number (or several). */
static long
body_length(struct lws *wsi)
{
	char text[16];
	int length = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);

	if (length == 0)
		return 0;
	if (lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0 ||
		strspn(text, "0123456789") != strlen(text))
		return -1;
	return strtol(text, NULL, 10);
}

/* Refuse what we do not serve. The connection ends, whatever body may follow. */
static bool
is_refused(struct lws *wsi, struct http *http, int method)
{
	bool reads = method == LWSHUMETH_GET || method == LWSHUMETH_HEAD;
	long length = body_length(wsi);

	http->close = true;
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
		set_text(http, HTTP_STATUS_LENGTH_REQUIRED, "no chunked requests");
	else if (length < 0 || (reads && length > 0))
		set_text(http, HTTP_STATUS_BAD_REQUEST, "a bad length, or a body where none belongs");
	else if (!reads)
		set_text(http, HTTP_STATUS_METHOD_NOT_ALLOWED, "GET or HEAD");
	else
		http->close = false;
	return http->close;
}

static bool
add_headers(struct lws *wsi, const struct http *http, unsigned char **at, unsigned char *end)
{
	bool bad = lws_add_http_header_status(wsi, (unsigned) http->status, at, end) != 0;

	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
		bad = bad || lws_add_http_header_by_name(wsi, (const unsigned char *) headers[i][0],
												 (const unsigned char *) headers[i][1],
												 (int) strlen(headers[i][1]), at, end);
	bad = bad ||
		  lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, (const unsigned char *) http->type,
									   (int) strlen(http->type), at, end);
	if (http->tag[0] != '\0')
		bad = bad || lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_ETAG, (const unsigned char *) http->tag,
												  (int) strlen(http->tag), at, end);
	if (http->status == HTTP_STATUS_METHOD_NOT_ALLOWED)
		bad = bad || lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_ALLOW,
												  (const unsigned char *) "GET, HEAD", 9, at, end);
	if (http->close)
		bad = bad || lws_add_http_header_by_token(wsi, WSI_TOKEN_CONNECTION, (const unsigned char *) "close",
												  5, at, end);
	return !bad && lws_add_http_header_content_length(wsi, http->body.length, at, end) == 0;
}

/* The whole answer has left. */
static int
finished(struct lws *wsi, struct peer *peer)
{
	bool close = peer->http->close;

	http_closed(peer);
	return close || lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* Send the headers; the body follows when the socket is writeable. */
static int
begin_answer(struct lws *wsi, struct peer *peer)
{
	struct http *http = peer->http;
	unsigned char buffer[LWS_PRE + HEAD_SIZE];
	unsigned char *at = buffer + LWS_PRE;
	unsigned char *end = buffer + sizeof buffer - 1;

	if (!add_headers(wsi, http, &at, end) ||
		lws_finalize_write_http_header(wsi, buffer + LWS_PRE, &at, end) != 0)
		return -1;
	if (http->head || http->body.length == 0)
		return finished(wsi, peer);
	lws_callback_on_writable(wsi);
	return 0;
}

int
http_request(struct lws *wsi, struct peer *peer)
{
	struct http *http = mem_alloc(sizeof *http);
	char path[256];
	char *uri;
	int uri_length;
	int method = lws_http_get_uri_and_method(wsi, &uri, &uri_length);

	http_closed(peer);
	peer->http = http;
	http->head = method == LWSHUMETH_HEAD;
	snprintf(path, sizeof path, "%.*s", uri_length > 0 ? uri_length : 0, uri_length > 0 ? uri : "");
	if (is_refused(wsi, http, method))
		return begin_answer(wsi, peer);
	if (strcmp(path, "/healthz") == 0)
		set_text(http, HTTP_STATUS_OK, "ok");
	else if (strcmp(path, "/readyz") == 0)
		serve_readiness(http);
	else if (strcmp(path, "/ws") == 0)
		set_text(http, 426, "this is a WebSocket");
	else
		serve_file(wsi, http, path);
	return begin_answer(wsi, peer);
}

int
http_writeable(struct lws *wsi, struct peer *peer)
{
	struct http *http = peer->http;
	size_t left = http ? http->body.length - http->sent : 0;
	size_t piece = left < PIECE ? left : PIECE;

	if (http == NULL)
		return 0;
	if (lws_write(wsi, (unsigned char *) http->body.data + http->sent, piece,
				  piece == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < (int) piece)
		return -1;
	http->sent += piece;
	if (piece == left)
		return finished(wsi, peer);
	lws_callback_on_writable(wsi);
	return 0;
}

void
http_closed(struct peer *peer)
{
	if (peer->http == NULL)
		return;
	buf_free(&peer->http->body);
	mem_free(peer->http);
	peer->http = NULL;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * page.c
 *	  Static files of web_root at /, /healthz and /readyz, /openrpc.json.
 *
 * A file's name is made of components of harmless characters, none of which begins with a dot, beneath web_root. Its
 * tag is made of size and time; a client that has it gets 304.
 *
 * Anybody may ask for these, and take as long over it as the pace allows: so an answer has one piece in memory, not all.
 *
 * Called from: net/route. Calls: chat/catalog, pg/ (readiness).
 */
#include "net/page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/message.h"
#include "chat/catalog.h"
#include "chat/hub.h"
#include "chat/openrpc.h"
#include "codec/field.h"
#include "net/server.h"
#include "pg/pool.h"

#define FILE_LIMIT (8 << 20) /* bytes of a static file */
#define PIECE      16384     /* bytes read at a time */

struct suffix
{
	const char *suffix; /* of the name */
	const char *type;   /* content type */
};

/* What is being sent. */
struct page
{
	int fd;               /* of a file, owned; -1: it is text */
	struct message *text; /* one reference; NULL: it is a file */
	size_t at;            /* the next byte */
	size_t size;          /* of it */
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

static const char policy[] = "default-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
							 "media-src 'self' blob:; object-src 'none'; "
							 "base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

void
page_open(void)
{
	if (config.web_root[0] == '\0')
		return;
	root = open(config.web_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		log_write(LEVEL_WARN, "no_web_root", "%s: %s", config.web_root, strerror(errno));
}

void
page_close(void)
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
answer_text(struct http *http, const char *text)
{
	http->type = "text/plain; charset=utf-8";
	http_field(http, "Cache-Control", "no-store");
	buf_add_text(&http->body, text);
	buf_add_char(&http->body, '\n');
	http_answer(http, 200);
}

static void
on_drained(struct http *http)
{
	struct page *page = http->owner;
	size_t length = page->size - page->at < PIECE ? page->size - page->at : PIECE;
	ssize_t got = (ssize_t) length;

	buf_clear(&http->body);
	if (page->fd >= 0)
		got = pread(page->fd, buf_reserve(&http->body, PIECE), length, (off_t) page->at);
	else
		memcpy(buf_reserve(&http->body, PIECE), message_text(page->text) + page->at, length);
	if (got <= 0)
	{
		http_cut(http); /* it was promised, and is no more */
		return;
	}
	http->body.length = (size_t) got;
	page->at += (size_t) got;
	http_give(http);
}

static void
on_gone(struct http *http)
{
	struct page *page = http->owner;

	if (page->fd >= 0)
		close(page->fd);
	if (page->text != NULL)
		message_release(page->text);
	mem_free(page);
}

/* Answer with it, or with 304 if the client has it. */
static void
send_page(struct http *http, const struct page *what, const char *tag)
{
	static const struct http_handler handler = {NULL, NULL, on_drained, on_gone};
	struct page *page = mem_alloc(sizeof *page);
	struct slice known;

	*page = *what;
	http_take(http, &handler, page);
	http_field(http, "ETag", "%s", tag);
	http_field(http, "Cache-Control", "no-cache");
	if (head_field(http->head, "if-none-match", &known) > 0 && field_has_tag(&known, tag, true))
		http_answer(http, 304);
	else
		http_begin_stream(http, 200, (int64_t) page->size);
}

/* A regular file's size and its tag, with quotes. */
static bool
look_at_file(int fd, size_t *length, char *tag, size_t size)
{
	struct stat about;

	if (fd < 0 || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size > FILE_LIMIT)
		return false;
	*length = (size_t) about.st_size;
	snprintf(tag, size, "\"%llx-%llx\"", (unsigned long long) about.st_size,
			 (unsigned long long) about.st_mtim.tv_sec * 1000000000u +
				 (unsigned long long) about.st_mtim.tv_nsec);
	return true;
}

void
page_file(struct http *http)
{
	char path[256];
	char tag[48];
	const struct slice *asked = &http->head->path;
	struct page page = {.fd = -1};
	bool harmless;

	snprintf(path, sizeof path, "%.*s", (int) (asked->length < 255 ? asked->length : 255) - 1,
			 asked->text + 1);
	if (path[0] == '\0')
		strcpy(path, "index.html");
	harmless = root >= 0 && asked->length < sizeof path && is_harmless(path);
	if (harmless)
		page.fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (look_at_file(page.fd, &page.size, tag, sizeof tag))
	{
		http->type = content_type(path);
		http_field(http, "Content-Security-Policy", "%s", policy);
		send_page(http, &page, tag);
		return;
	}
	if (page.fd >= 0)
		close(page.fd);
	http_refuse(http, 404, "not_found", "there is nothing here");
}

void
page_health(struct http *http)
{
	answer_text(http, "ok");
}

void
page_openrpc(struct http *http)
{
	const char *tag;
	struct message *text = openrpc_document(&tag);

	if (text == NULL)
	{
		http_refuse(http, 503, "unavailable", "the methods are not known yet");
		return;
	}
	http->type = "application/json";
	send_page(http, &(struct page){.fd = -1, .text = message_share(text), .size = message_length(text)}, tag);
}

void
page_readiness(struct http *http)
{
	if (pool_is_ready() && hub_is_hearing() && catalog_is_ready() && server_is_accepting())
		answer_text(http, "ready");
	else
		http_refuse(http, 503, "not_ready", "this worker cannot serve now");
}

void
page_socket(struct http *http)
{
	http_field(http, "Upgrade", "websocket");
	http_refuse_with_fields(http, 426, "upgrade_required", "this is a WebSocket");
}

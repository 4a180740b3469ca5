/* SPDX-License-Identifier: PostgreSQL */
/*
 * route.c
 *	  Who takes which request: the table of paths, and what is refused before anybody takes it.
 *
 * Called from: net/http. Calls: net/cors, net/page, net/rpc, net/events, net/upload, net/download, net/metrics.
 */
#include "net/route.h"

#include <string.h>

#include "base/stats.h"
#include "net/cors.h"
#include "net/download.h"
#include "net/events.h"
#include "net/metrics.h"
#include "net/page.h"
#include "net/rpc.h"
#include "net/upload.h"

enum
{
	GET = 1, /* and HEAD */
	POST = 2,
};

struct place
{
	const char *path;                 /* all of it; with a / at the end: what begins so */
	int methods;                      /* that it knows */
	bool inner;                       /* metrics_listen has it, too */
	void (*begin)(struct http *http); /* takes the request */
};

/* clang-format off */
static const struct place places[] = {
	{"/healthz", GET, true, page_health},
	{"/readyz", GET, true, page_readiness},
	{"/metrics", GET, true, metrics_begin},
	{"/openrpc.json", GET, false, page_openrpc},
	{"/ws", GET, false, page_socket},
	{"/rpc", POST, false, rpc_begin},
	{"/events", GET, false, events_begin},
	{"/files", POST, false, upload_begin},
	{"/files/", GET, false, download_begin},
	{"/", GET, false, page_file},
};
/* clang-format on */

static bool
is_at(const struct place *place, const struct slice *path)
{
	size_t length = strlen(place->path);

	return head_is(path, place->path) || (place->path[length - 1] == '/' && path->length > length &&
										  memcmp(path->text, place->path, length) == 0);
}

static const struct place *
find_place(const struct http *http)
{
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
	{
		if (is_at(&places[i], &http->head->path))
			return places[i].inner || !http->inner ? &places[i] : NULL;
	}
	return NULL;
}

static int
method_of(const struct slice *method)
{
	if (head_is(method, "GET") || head_is(method, "HEAD"))
		return GET;
	return head_is(method, "POST") ? POST : 0;
}

void
route_common_fields(struct http *http)
{
	http_field(http, "Referrer-Policy", "no-referrer");
	cors_add_fields(http);
}

static void
refuse_method(struct http *http, const struct place *place)
{
	static const struct rpc_error error = {
		.code = 405, .reason = "bad_method", .message = "that method does not serve here"};

	http->allowed = place->methods == GET ? "GET, HEAD" : place->methods == POST ? "POST" : "GET, HEAD, POST";
	http_error(http, &error);
}

void
route(struct http *http)
{
	const struct head *head = http->head;
	const struct place *place = find_place(http);
	int method = method_of(&head->method);
	struct slice value;

	if (http->refusal != 0)
	{
		http->close = true;
		http_refuse(http, http->refusal, "too_many_sockets", "there are too many connections");
	}
	else if (!cors_allows(head))
	{
		stats_add(STAT_REFUSED_ORIGIN, 1);
		http_refuse(http, 403, "origin_not_allowed", "pages of that origin may not use this gateway");
	}
	else if (cors_preflight(http))
		return;
	else if (place == NULL)
		http_refuse(http, 404, "not_found", "there is nothing here");
	else if ((place->methods & method) == 0)
		refuse_method(http, place);
	else if (method == GET && http->length > 0)
		http_refuse(http, 400, "bad_request", "a body where none belongs");
	else if (method == POST && head_field(head, "content-length", &value) == 0)
		http_refuse(http, 411, "length_required", "a body comes with a Content-Length");
	else
		place->begin(http);
}

/* Sixteen bytes in base64. */
static bool
is_key(const struct slice *key)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < key->length && i < 22; i++)
	{
		if (memchr(letters, key->text[i], sizeof letters - 1) == NULL)
			return false;
	}
	return key->length == 24 && memcmp(key->text + 22, "==", 2) == 0;
}

/*
 * What RFC 6455 asks of a request, but for its version. libwebsockets looks at little of it, ends others without a word,
 * and would read a body as frames.
 */
static bool
is_handshake(const struct head *head)
{
	struct slice value;

	return head->minor == 1 && head_field(head, "host", &value) == 1 && head_length(head) == 0 &&
		   head_field(head, "transfer-encoding", &value) == 0 &&
		   (head_field(head, "sec-websocket-protocol", &value) == 0 ||
			head_has_token(head, "sec-websocket-protocol", "chat.v1")) &&
		   head_field(head, "sec-websocket-key", &value) == 1 && is_key(&value);
}

static bool
is_version(const struct head *head)
{
	struct slice value;

	return head_field(head, "sec-websocket-version", &value) == 1 && head_is(&value, "13");
}

static void
refuse_version(struct http *http)
{
	http_field(http, "Sec-WebSocket-Version", "13");
	http_field(http, "Upgrade", "websocket");
	http_refuse_with_fields(http, 426, "bad_websocket_version", "WebSockets are of version 13");
}

bool
route_refuses_upgrade(struct http *http)
{
	bool found = head_is(&http->head->path, "/ws") && !http->inner;
	bool allowed = cors_allows(http->head);
	bool version = is_version(http->head);

	if (http->refusal == 0 && allowed && found && version && is_handshake(http->head))
		return false;
	http->close = true;
	if (http->refusal != 0)
		http_refuse(http, http->refusal, "too_many_sockets", "there are too many connections");
	else if (!allowed)
	{
		stats_add(STAT_REFUSED_ORIGIN, 1);
		http_refuse(http, 403, "origin_not_allowed", "pages of that origin may not use this gateway");
	}
	else if (!found)
		http_refuse(http, 404, "not_found", "WebSockets are at /ws");
	else if (!version)
		refuse_version(http);
	else
		http_refuse(http, 400, "bad_request",
					"no handshake of a WebSocket, or a subprotocol other than chat.v1");
	return true;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * cors.c
 *	  Which pages may use this gateway from a browser: those it serves itself, and those of allowed_origins.
 *
 * A browser names the page's origin in Origin. None named: it is no browser, or a request that shows the page nothing.
 * The same origin is known by its host and port being those of Host: the scheme is the proxy's secret. An origin that
 * is not allowed is refused (403), at the upgrade to a WebSocket too, where browsers ask for nobody's leave.
 *
 * Tokens are sent by hand, never by the browser of its own: so credentials are not allowed for, and * is no danger to
 * those who are logged in elsewhere.
 *
 * Called from: net/route. Calls: base/config.
 */
#include "net/cors.h"

#include <string.h>
#include <strings.h>

#include "base/config.h"

#define MAX_AGE 600 /* seconds that a browser may keep the answer to its question */

static bool
is_same(const struct slice *origin, const struct slice *host)
{
	const char *authority = memmem(origin->text, origin->length, "://", 3);
	size_t length;

	if (authority == NULL)
		return false;
	authority += 3;
	length = origin->length - (size_t) (authority - origin->text);
	return length == host->length && strncasecmp(authority, host->text, length) == 0;
}

/* Whether the list, commas between, has the origin or *. */
static bool
is_listed(const struct slice *origin)
{
	const char *at = config.allowed_origins;

	while (*at != '\0')
	{
		size_t length = strcspn(at, ", ");

		if ((length == 1 && *at == '*') ||
			(length == origin->length && length > 0 && strncasecmp(at, origin->text, length) == 0))
			return true;
		at += length + (at[length] != '\0');
	}
	return false;
}

bool
cors_allows(const struct head *head)
{
	struct slice origin;
	struct slice host;
	int count = head_field(head, "origin", &origin);

	if (count == 0)
		return true;
	return count == 1 &&
		   ((head_field(head, "host", &host) == 1 && is_same(&origin, &host)) || is_listed(&origin));
}

void
cors_add_fields(struct http *http)
{
	struct slice origin;

	http_field(http, "Vary", "Origin");
	if (head_field(http->head, "origin", &origin) != 1 || !cors_allows(http->head))
		return;
	http_field(http, "Access-Control-Allow-Origin", "%.*s", (int) origin.length, origin.text);
	http_field(
		http, "Access-Control-Expose-Headers",
		"Accept-Ranges, Content-Disposition, Content-Range, ETag, Location, Retry-After, WWW-Authenticate");
}

bool
cors_preflight(struct http *http)
{
	struct slice method;

	if (!head_is(&http->head->method, "OPTIONS") ||
		head_field(http->head, "access-control-request-method", &method) != 1)
		return false;
	http_field(http, "Access-Control-Allow-Methods", "GET, HEAD, POST");
	http_field(http, "Access-Control-Allow-Headers",
			   "Authorization, Content-Type, If-Match, If-None-Match, If-Range, Last-Event-ID, Range, "
			   "traceparent");
	http_field(http, "Access-Control-Max-Age", "%d", MAX_AGE);
	http_answer(http, 204);
	return true;
}

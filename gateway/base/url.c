/* SPDX-License-Identifier: PostgreSQL */
/*
 * url.c
 *	  Which addresses of other services may be asked: those where nobody in between can answer in their place.
 *
 * Two readers of one address must not see two hosts in it, so what they are known to quarrel about (a user before
 * the host, backslashes, blanks) is refused.
 *
 * Called from: base/config, chat/oidc. Calls: libc.
 */
#include "base/url.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* The part behind http://, up to `length`, is a host, perhaps with a port. */
static bool
is_loopback(const char *host, size_t length)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
	{
		size_t own = strlen(names[i]);

		if (length >= own && strncasecmp(host, names[i], own) == 0 && (length == own || host[own] == ':'))
			return true;
	}
	return false;
}

/* Where the host is, and how long; NULL: it is no such address. */
static const char *
find_host(const char *url, bool secure, size_t *length)
{
	const char *host = url + (secure ? 8 : 7);

	for (const char *p = url; *p != '\0'; p++)
	{
		if (!isgraph((unsigned char) *p) || *p == '\\')
			return NULL;
	}
	if (!secure && strncasecmp(url, "http://", 7) != 0)
		return NULL;
	*length = strcspn(host, "/?#");
	return *length == 0 || host[0] == ':' || memchr(host, '@', *length) != NULL ? NULL : host;
}

bool
url_is_secure(const char *url, bool plain_loopback)
{
	bool secure = strncasecmp(url, "https://", 8) == 0;
	size_t length;
	const char *host = find_host(url, secure, &length);

	return host != NULL && (secure || (plain_loopback && is_loopback(host, length)));
}

bool
url_is_http(const char *url)
{
	size_t length;

	return find_host(url, strncasecmp(url, "https://", 8) == 0, &length) != NULL;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * listen.c
 *	  Listening sockets: for clients the parent opens one per worker, all on the same port, and keeps them; for
 *	  monitoring one for all workers.
 *
 * SO_REUSEPORT makes the kernel spread connections over the sockets. A socket whose worker has died stays open in the
 * parent: what the kernel assigns to it waits in its queue for the next worker.
 *
 * Called from: main.c. Calls: libc.
 */
#include "net/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096 /* connections waiting for accept; the kernel may allow fewer */

/* "address:port" or "[address]:port" into two buffers of the same size. */
static int
split(const char *where, char *host, char *port, size_t size)
{
	const char *colon = strrchr(where, ':');
	size_t length = colon ? (size_t) (colon - where) : 0;

	if (colon == NULL || length >= size || strlen(colon + 1) >= size || colon[1] == '\0')
		return -1;
	if (length >= 2 && where[0] == '[' && where[length - 1] == ']')
	{
		where++;
		length -= 2;
	}
	snprintf(host, size, "%.*s", (int) length, where);
	snprintf(port, size, "%s", colon + 1);
	return 0;
}

static int
open_at(const struct addrinfo *address)
{
	int on = 1;
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
		bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	close(fd);
	return -1;
}

int
listen_open(const char *setting, const char *where)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *found = NULL;
	char host[256];
	char port[256];
	int code;
	int fd;

	if (split(where, host, port, sizeof host) < 0)
	{
		fprintf(stderr, "chat-gateway: %s = \"%s\": allowed is address:port\n", setting, where);
		return -1;
	}
	code = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
	if (code != 0)
	{
		fprintf(stderr, "chat-gateway: %s = \"%s\": %s\n", setting, where, gai_strerror(code));
		return -1;
	}
	fd = open_at(found);
	if (fd < 0)
		fprintf(stderr, "chat-gateway: cannot listen on %s: %s\n", where, strerror(errno));
	freeaddrinfo(found);
	return fd;
}

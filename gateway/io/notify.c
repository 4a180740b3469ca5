/* SPDX-License-Identifier: PostgreSQL */
/*
 * notify.c
 *	  Words to systemd, as sd_notify(3) sends them: datagrams to the socket that NOTIFY_SOCKET names. Without it, silence.
 *
 * Called from: io/supervisor. Calls: libc.
 */
#include "io/notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void
say(const char *words)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = path ? strlen(path) : 0;
	int fd;

	if (length == 0 || length >= sizeof address.sun_path)
		return;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0'; /* a name in the abstract namespace */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, words, strlen(words), MSG_NOSIGNAL, (struct sockaddr *) &address,
			   (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		fprintf(stderr, "chat-gateway: cannot write to NOTIFY_SOCKET\n");
	close(fd);
}

void
notify_ready(void)
{
	say("READY=1");
}

void
notify_reloading(void)
{
	struct timespec now;
	char words[80];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(words, sizeof words, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
			 (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000);
	say(words);
}

void
notify_stopping(void)
{
	say("STOPPING=1");
}

void
notify_alive(void)
{
	say("WATCHDOG=1");
}

int64_t
notify_interval(void)
{
	const char *wanted = getenv("WATCHDOG_USEC");
	const char *whose = getenv("WATCHDOG_PID");
	int64_t interval;

	if (wanted == NULL || (whose != NULL && strtol(whose, NULL, 10) != (long) getpid()))
		return 0;
	interval = strtoll(wanted, NULL, 10) / 2000;
	return interval > 0 ? interval : 1;
}

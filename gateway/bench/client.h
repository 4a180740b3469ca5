/* SPDX-License-Identifier: PostgreSQL */
/* One WebSocket to the gateway. See client.c. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stddef.h>

struct client;

/* Who hears of it; the same for all clients. */
struct client_handler
{
	void (*opened)(void *owner);                                       /* the upgrade was answered */
	void (*received)(void *owner, const char *message, size_t length); /* a whole text message */
	void (*closed)(void *owner); /* the last that is heard; the client is freed after it */
};

/* Connects at once to 127.0.0.1:port. The owner is handed back to the handler. */
extern struct client *client_create(const struct client_handler *handler, void *owner, int port);

/* Leaves now, or, from within `received`, together with what else is sent there. */
extern void client_send(struct client *client, const char *message, size_t length);
extern void client_close(struct client *client); /* `closed` follows */

#endif

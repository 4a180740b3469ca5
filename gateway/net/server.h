/* SPDX-License-Identifier: PostgreSQL */
/* The worker's side of the network: accepts sockets, and hands WebSockets to libwebsockets. See server.c. */
#ifndef NET_SERVER_H
#define NET_SERVER_H

#include <stdbool.h>

extern bool server_open(int listener, int metrics); /* metrics -1: none; false: logged why */
extern void server_stop_accepting(void);            /* takes what waits in the queue, then refuses */
extern bool server_is_accepting(void);
extern bool server_is_quiet(void); /* no WebSocket is left, nor an HTTP request to be read or answered */
extern void
server_close(void); /* after loop_run: closes every socket that is left, runs the loop until they are gone */

/* Who is behind an upgrade. */
struct arrival
{
	char direct[64];  /* the peer's address */
	char address[64]; /* of whom it speaks for */
	char *bearer;     /* the token, until there is a session; owned; NULL: none */
};

/* For http. The socket is libwebsockets' from now on: an upgrade is about to be read from it. Takes the arrival over. */
extern void server_adopt(int fd, struct arrival *arrival);
/* A socket from this address is gone; inner: it came in by metrics_listen. */
extern void server_release(const char *direct, bool inner);

#endif

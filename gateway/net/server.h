/* SPDX-License-Identifier: PostgreSQL */
/* The worker's side of the network: accepts sockets, and hands WebSockets to libwebsockets. See server.c. */
#ifndef NET_SERVER_H
#define NET_SERVER_H

#include <stdbool.h>

extern bool server_open(int listener);   /* false: logged why */
extern void server_stop_accepting(void); /* takes what waits in the queue, then refuses */
extern bool server_is_accepting(void);
extern bool server_is_quiet(void); /* no WebSocket is left, nor an HTTP request to be read or answered */
extern void
server_close(void); /* after loop_run: closes every socket that is left, runs the loop until they are gone */

/* For http. The socket is libwebsockets' from now on: an upgrade is about to be read from it. */
extern void server_adopt(int fd, const char *direct);
extern void server_release(const char *direct); /* a socket from this address is gone */

#endif

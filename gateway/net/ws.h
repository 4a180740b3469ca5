/* SPDX-License-Identifier: PostgreSQL */
/* A WebSocket: frames to its session and back. See ws.c. The int results are for libwebsockets: nonzero closes. */
#ifndef NET_WS_H
#define NET_WS_H

#include <stddef.h>

struct arrival;
struct lws;
struct ws;

/* What libwebsockets keeps for a socket; zeroed when it begins. */
struct peer
{
	struct ws *ws; /* once it is a WebSocket; owned */
};

extern int ws_confirm(struct lws *wsi, const char *protocol); /* is the upgrade for us? */
extern int ws_established(struct lws *wsi, struct peer *peer, struct arrival *arrival);
extern int ws_received(struct peer *peer, const char *data, size_t length);
extern void ws_heard(struct peer *peer); /* a pong came */
extern int ws_writeable(struct peer *peer);
extern int ws_peer_closing(struct peer *peer, const unsigned char *payload,
						   size_t length); /* its close frame came */
extern void ws_closed(struct peer *peer);

#endif

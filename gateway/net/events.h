/* SPDX-License-Identifier: PostgreSQL */
/* Events over HTTP. See events.c. */
#ifndef NET_EVENTS_H
#define NET_EVENTS_H

#include "net/http.h"

extern void events_begin(struct http *http); /* GET /events */

#endif

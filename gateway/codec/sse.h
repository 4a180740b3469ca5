/* SPDX-License-Identifier: PostgreSQL */
/* Notifications as Server-Sent Events. See sse.c. */
#ifndef CODEC_SSE_H
#define CODEC_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Append a notification as rpc_write_notification makes it. False: it is none. */
extern bool sse_write(struct buf *out, const char *text, size_t length);

#endif

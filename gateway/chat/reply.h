/* SPDX-License-Identifier: PostgreSQL */
/* The answer to one frame. See reply.c. */
#ifndef CHAT_REPLY_H
#define CHAT_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/rpc.h"

struct reply;

/* `count` calls share it; each must say exactly one of the three below. With the last one it is sent and freed. */
extern struct reply *reply_create(uint64_t session, bool batch, int count);
extern bool reply_has_room(const struct reply *reply, size_t length); /* for so many bytes more */
extern bool reply_is_batch(const struct reply *reply);
extern bool reply_is_full(const struct reply *reply); /* nothing more should be made for it */
extern void reply_result(struct reply *reply, const char *id, const char *result, size_t length);
extern void reply_error(struct reply *reply, const char *id, const struct rpc_error *error);
extern void reply_nothing(struct reply *reply);

#endif

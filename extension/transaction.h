/* SPDX-License-Identifier: PostgreSQL */
/*
 * transaction.h: what this transaction has published, till it ends. See transaction.c.
 */
#ifndef CHAT_TRANSACTION_H
#define CHAT_TRANSACTION_H

#include "postgres.h"

#include "ring.h"

extern void transaction_init(void);

/* Keeps a notification for the commit; copied. Dropped with the subtransaction that it was published in. */
extern void transaction_publish(const RingRecord *record, const char *channels, const char *payload);

/* Whether so many bytes of one large event may be kept: large ones leave room for all others. */
extern bool transaction_has_room(size_t size);

/* Instead of all that is lost: listeners are to look for themselves. */
extern void transaction_publish_resync(void);

#endif

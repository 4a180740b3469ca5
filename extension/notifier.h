/* SPDX-License-Identifier: PostgreSQL */
/*
 * notifier.h: the background worker that NOTIFYs what lies in a ring. See notifier.c.
 */
#ifndef CHAT_NOTIFIER_H
#define CHAT_NOTIFIER_H

#include "postgres.h"

#include "ring.h"

extern int chat_notify_interval; /* ms between two batches, at least; GUC */

extern void notifier_init(void); /* when preloaded */

/* Starts one when none runs; false: that cannot be had. May raise. */
extern bool notifier_ensure(Ring *ring);

#endif

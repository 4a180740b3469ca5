/* SPDX-License-Identifier: PostgreSQL */
/* Notifications from the table chat.outbox. See outbox.c. */
#ifndef CHAT_OUTBOX_H
#define CHAT_OUTBOX_H

#include <stdint.h>

extern void outbox_start(int64_t horizon); /* what lies above it is taken */
extern void outbox_stop(void);             /* soon: backends that have not heard yet still write there */
extern void outbox_close(void);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* One outbound frame, shared by all its receivers. See message.c. */
#ifndef BASE_MESSAGE_H
#define BASE_MESSAGE_H

#include <stddef.h>

#define MESSAGE_HEADROOM 8 /* bytes before the text, for the frame header */

struct message;

extern struct message *message_create(const char *text,
									  size_t length);          /* a copy, one reference: the caller's */
extern struct message *message_share(struct message *message); /* one reference more */
extern void message_release(struct message *message);          /* the last one frees it */
extern char *message_text(struct message *message); /* MESSAGE_HEADROOM bytes are writable before it */
extern size_t message_length(const struct message *message);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/*
 * message.c
 *	  One outbound frame: an event for a thousand receivers is one buffer with a thousand references.
 *
 * The text is preceded by headroom, because the frame header is written in front of the payload.
 * That header is the same for every receiver (no masking, no compression), so sharing it is safe.
 *
 * Called from: chat/session, chat/walk, net/ws. Calls: base/mem.
 */
#include "base/message.h"

#include <string.h>

#include "base/mem.h"

struct message
{
	unsigned refs;                /* receivers that still hold it, plus its maker */
	size_t length;                /* bytes of text */
	char frame[MESSAGE_HEADROOM]; /* the headroom; the text follows it */
};

struct message *
message_create(const char *text, size_t length)
{
	struct message *message = mem_resize(NULL, sizeof(struct message) + length);

	message->refs = 1;
	message->length = length;
	memcpy(message_text(message), text, length);
	return message;
}

struct message *
message_share(struct message *message)
{
	message->refs++;
	return message;
}

void
message_release(struct message *message)
{
	if (--message->refs == 0)
		mem_free(message);
}

char *
message_text(struct message *message)
{
	return (char *) message + sizeof(struct message);
}

size_t
message_length(const struct message *message)
{
	return message->length;
}

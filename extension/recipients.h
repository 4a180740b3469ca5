/* SPDX-License-Identifier: PostgreSQL */
/*
 * recipients.h: who gets a message, as far as sending asks.
 */
#ifndef CHAT_RECIPIENTS_H
#define CHAT_RECIPIENTS_H

#include "postgres.h"

#include "order.h"
#include "publish.h"

typedef struct Recipients
{
	Audience audience; /* the sender too: he has other devices */
	bool away;         /* somebody it may have to be pushed to */
	bool obstructed;   /* direct chats: something may keep the two from writing to each other */
} Recipients;

/*
 * As they are now, behind the chat's lock. A large chat is not looked through: its events go to its own channel, and
 * take_pushes finds out to whom a message is pushed. Needs SPI; the ids are in its memory context.
 */
extern void recipients_read(int64 chat_id, int64 sender_id, const Place *place, Recipients *recipients);

#endif

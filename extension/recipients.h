/* SPDX-License-Identifier: PostgreSQL */
/*
 * recipients.h: who hears of what happens in a chat. Needs SPI; the ids are in its memory context.
 */
#ifndef CHAT_RECIPIENTS_H
#define CHAT_RECIPIENTS_H

#include "postgres.h"

#include "guard.h"
#include "publish.h"

typedef struct Recipients
{
	Audience audience; /* the sender too: he has other devices */
	bool away;         /* somebody it may have to be pushed to */
	bool open;         /* recipients_are_open */
} Recipients;

/*
 * Of a message, as they are now, behind the chat's lock. A large chat is not looked through: its events go to its own
 * channel, and take_pushes finds out to whom a message is pushed.
 */
extern void recipients_of_message(int64 chat_id, int64 sender_id, const ChatRow *chat,
								  Recipients *recipients);

/*
 * Of an event, as the active snapshot sees them: the members, and those whom this very event takes out (0: none). When it is
 * about a message (not 0), those who see that, and the others apart; NULL: they are not asked for.
 */
extern void recipients_of_event(int64 chat_id, int64 event_id, int64 message_id, const ChatRow *chat,
								Audience *seeing, Audience *others);

/*
 * Whether nothing but the chat's posting keeps a member from writing to it: in a direct chat nothing between the two, its audience, in
 * others that the account has not ended. False where it is not so plain.
 */
extern bool recipients_are_open(const ChatRow *chat, const Audience *audience, int64 sender_id);

#endif

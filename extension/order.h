/* SPDX-License-Identifier: PostgreSQL */
/*
 * order.h: a place in a chat's order of events, for those who write one.
 */
#ifndef CHAT_ORDER_H
#define CHAT_ORDER_H

#include "postgres.h"

#include "guard.h"

/* The event that is being made, and what the chat's row says besides. */
typedef struct Place
{
	int64 id;
	int64 prev_id; /* the chat's event before it */
	ChatRow chat;  /* message_count is this one's number, or that of the message before it */
} Place;

/*
 * chat.next_event: locks the chat till the end of the transaction and takes the next place in it. messages: 0 or 1
 * user messages. Raises MC404 no_such_chat, MC503 chat_busy. Needs SPI.
 */
extern void order_take_place(int64 chat_id, int32 messages, Place *place);

#endif

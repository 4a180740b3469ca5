/* SPDX-License-Identifier: PostgreSQL */
/*
 * event.h: a message, as events and lists show it; a cursor that moved.
 */
#ifndef CHAT_EVENT_H
#define CHAT_EVENT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "guard.h"
#include "publish.h"

/* The columns of a row of chat.messages; a Datum or id that is NULL there is 0. */
typedef struct Message
{
	int64 chat_id;
	int64 id;
	int64 prev_id;
	int32 number;
	bool system; /* kind */
	int64 sender_id;
	Datum body; /* text; the caller's memory, as all that follow */
	int64 reply_to_id;
	Datum attributes; /* jsonb */
	Datum client_key; /* text */
	int64 edited_id;
	int64 deleted_id;
	TimestampTz expires_at;
	Datum mention_ids; /* bigint[] */
	Datum file_ids;    /* bigint[] */
	Datum reactions;   /* jsonb */
	bool pinned;
	int64 forwarded_from;
} Message;

/* A read or delivery cursor that has moved: what its event tells. */
typedef struct Cursor
{
	bool read; /* else delivered */
	int64 chat_id;
	int64 user_id;
	int64 message_id;
	int64 version;
	int32 number;   /* read only, as the next: of the message */
	int32 mentions; /* in what is left to read */
	bool wrote;     /* the member's, as the next */
	int64 added_by; /* 0: not known */
} Cursor;

/*
 * Publishes its event: to the members of a chat that is not too large for it, where they may know of it, and to the user's own
 * sockets, to a reader's with the unread count. Needs SPI.
 */
extern void event_publish_cursor(const Cursor *cursor, const ChatRow *chat);

/*
 * Its message event, but for the closing brace (publish.h). It carries the sender's client_key, by which his own
 * sockets know their message again; to others it means nothing. Needs SPI.
 */
extern void event_of_message(Event *event, const Message *message);

/* Refuses what is no event: it is a JSON object with a type. */
extern void event_check(Jsonb *event);

#endif

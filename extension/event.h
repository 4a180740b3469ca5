/* SPDX-License-Identifier: PostgreSQL */
/*
 * event.h: a message, as events and lists show it.
 */
#ifndef CHAT_EVENT_H
#define CHAT_EVENT_H

#include "postgres.h"

#include "datatype/timestamp.h"

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

/*
 * Its message event, but for the closing brace (publish.h). It carries the sender's client_key, by which his own
 * sockets know their message again; to others it means nothing. Needs SPI.
 */
extern void event_of_message(Event *event, const Message *message);

#endif

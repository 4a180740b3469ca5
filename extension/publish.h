/* SPDX-License-Identifier: PostgreSQL */
/*
 * publish.h: from an event's JSON to the channels of those who may hear it.
 */
#ifndef CHAT_PUBLISH_H
#define CHAT_PUBLISH_H

#include "postgres.h"

#include "lib/stringinfo.h"

/*
 * An event under construction. `json` begins with '{' and the common members and has no closing brace yet;
 * `common` bytes of it are kept when there is no room for the whole, and "partial": true is added.
 */
typedef struct Event
{
	StringInfoData json; /* caller's memory context */
	int common;          /* length of the common members; 0 = it has none */
	int64 key;           /* its id or version, by which the notifier sorts; 0 for what has none */
} Event;

/*
 * Who hears it: users on their own channels and, when chat_id is not 0, everybody in a large chat on the chat's. Both
 * together tell that these users come into the chat with this event, or leave it.
 */
typedef struct Audience
{
	int64 chat_id;
	int64 *user_ids; /* caller's memory context; order and repeats do not matter */
	int count;       /* of user_ids */
	int64 sees;      /* of those in the large chat, only who sees this message; 0: no matter */
	int64 lacks;     /* only who does not see it; 0: no matter */
	int64 from;      /* members.visible_from of user_ids, who are in a large chat from now on */
} Audience;

/* Publishes with this transaction's fate. */
extern void publish(const Event *event, const Audience *audience);

/* The same of an empty notification on a fixed channel, once a transaction. */
extern void publish_signal(const char *channel);

#endif

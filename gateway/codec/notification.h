/* SPDX-License-Identifier: PostgreSQL */
/* What a NOTIFY says. See notification.c. */
#ifndef CODEC_NOTIFICATION_H
#define CODEC_NOTIFICATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "codec/json.h"

/* All slices lie in the payload. */
struct notification
{
	struct slice to;    /* the array of user ids; text NULL: for all of the chat */
	int64_t chat;       /* the large chat it is for, or that those in `to` come into or leave; 0: none */
	int64_t sees;       /* of those in it, only who sees this message; 0: no matter */
	int64_t lacks;      /* only who does not see it; 0: no matter */
	int64_t from;       /* those in `to` see messages above this one */
	struct slice event; /* the object to relay */
	struct slice type;  /* of the event, without quotes */
	struct slice at;    /* when it happened, without quotes; text NULL: it does not say */
	int64_t chat_id;    /* of the event; 0: none */
	int64_t id;         /* of the event; 0: it is not a durable one */
	int64_t prev_id;    /* of the event before it in its chat; 0: none is told */
	bool partial;       /* the event could not be told: who was to hear it has to look */
	bool grown;         /* the chat has just become large */
};

/* What an event is known by, in a replay. The slice lies in the event. */
struct event_key
{
	struct slice type; /* without quotes */
	int64_t chat_id;   /* 0: none */
	int64_t id;        /* 0: it is not a durable one */
};

/* False: it is none. */
extern bool notification_read(const char *payload, size_t length, struct notification *notification);
extern bool notification_is(const struct notification *notification, const char *type);

/* The same, with nothing of the event but what routing needs, and marked partial. */
extern void notification_write_partial(const struct notification *notification, struct buf *out);

/* The next id in `to`, decimal; *at is 0 at first. False: there is none any more. */
extern bool notification_receiver(const struct notification *notification, size_t *at, char *id, size_t size);

extern bool event_is(const struct event_key *key, const char *type);
extern void notification_event(const struct slice *event, struct event_key *key);

/* The id of a marker; 0: the payload is none. */
extern int64_t notification_horizon(const char *payload, size_t length);

/* What an int8 member is, with or without quotes; 0 when it is not there. */
extern int64_t notification_number(const struct slice *value);

#endif

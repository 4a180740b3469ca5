/* SPDX-License-Identifier: PostgreSQL */
/*
 * notification.c
 *	  What a NOTIFY says: for whom, and the event, which stays text.
 *
 *	  {"to":["12","34"],"event":{…}}				for these users, on the channel of each
 *	  {"chat":"56","event":{…}}						for all who are in a large chat, on the chat's channel
 *	  {"to":["12"],"chat":"56","event":{…}}			a copy of that for those who come into the chat or leave it
 *	  {"horizon":"78"}								a marker: all events up to this id have gone before it
 *
 * Of the event only what routing needs is looked at.
 *
 * Called from: chat/feed, chat/replay. Calls: codec/json.
 */
#include "codec/notification.h"

#include <stdlib.h>
#include <string.h>

static void
unquote(struct slice *value)
{
	if (value->length >= 2 && value->text[0] == '"')
	{
		value->text++;
		value->length -= 2;
	}
}

static bool
slice_is(const struct slice *value, const char *text)
{
	return value->length == strlen(text) && value->text != NULL &&
		   memcmp(value->text, text, value->length) == 0;
}

int64_t
notification_number(const struct slice *value)
{
	struct slice digits = *value;
	int64_t number = 0;

	unquote(&digits);
	for (size_t i = 0; i < digits.length; i++)
	{
		if (digits.text[i] < '0' || digits.text[i] > '9')
			return 0;
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, digits.text[i] - '0', &number))
			return 0;
	}
	return number;
}

int64_t
notification_horizon(const char *payload, size_t length)
{
	struct slice horizon = {NULL, 0};

	json_member(payload, length, "horizon", &horizon);
	return notification_number(&horizon);
}

void
notification_event(const struct slice *event, struct event_key *key)
{
	static const char *const names[] = {"type", "chat_id", "id"};
	struct slice members[3];

	json_members(event->text, event->length, names, members, 3);
	unquote(&members[0]);
	*key = (struct event_key){.type = members[0],
							  .chat_id = notification_number(&members[1]),
							  .id = notification_number(&members[2])};
}

bool
notification_read(const char *payload, size_t length, struct notification *notification)
{
	static const char *const outer_names[] = {"to", "chat", "event"};
	static const char *const inner_names[] = {"type", "chat_id", "id", "prev_id", "partial", "large", "at"};
	struct slice outer[3];
	struct slice inner[7];

	if (!json_members(payload, length, outer_names, outer, 3) || outer[2].text == NULL ||
		!json_members(outer[2].text, outer[2].length, inner_names, inner, 7))
		return false;
	unquote(&inner[0]);
	unquote(&inner[6]);
	*notification = (struct notification){.to = outer[0],
										  .chat = notification_number(&outer[1]),
										  .event = outer[2],
										  .type = inner[0],
										  .at = inner[6],
										  .chat_id = notification_number(&inner[1]),
										  .id = notification_number(&inner[2]),
										  .prev_id = notification_number(&inner[3]),
										  .partial = slice_is(&inner[4], "true"),
										  .grown = slice_is(&inner[5], "true")};
	return notification->to.text != NULL || notification->chat != 0;
}

bool
event_is(const struct event_key *key, const char *type)
{
	return slice_is(&key->type, type);
}

bool
notification_is(const struct notification *notification, const char *type)
{
	return slice_is(&notification->type, type);
}

bool
notification_receiver(const struct notification *notification, size_t *at, char *id, size_t size)
{
	const struct slice *to = &notification->to;
	size_t length = 0;

	while (*at < to->length && (to->text[*at] < '0' || to->text[*at] > '9'))
		++*at;
	while (*at < to->length && to->text[*at] >= '0' && to->text[*at] <= '9' && length < size - 1)
		id[length++] = to->text[(*at)++];
	id[length] = '\0';
	return length > 0;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * notification.c
 *	  What a NOTIFY says: for whom, and the event, which stays text.
 *
 *	  {"to":["12","34"],"event":{…}}				for these users, on the channel of each
 *	  {"chat":"56","event":{…}}						for all who are in a large chat, on the chat's channel; with "sees" or
 *													"lacks": for those who see this message, or do not
 *	  {"to":["12"],"chat":"56","event":{…}}			a copy of that for those who come into the chat or leave it; with "from":
 *													they see only messages above this id
 *	  {"horizon":"78"}								a marker: all events up to this id have gone before it
 *
 * Of the event only what routing needs is looked at.
 *
 * Called from: chat/feed, chat/replay. Calls: codec/json.
 */
#include "codec/notification.h"

#include <inttypes.h>
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

/* What routing needs of an event. */
enum
{
	MEMBER_TYPE,
	MEMBER_CHAT,
	MEMBER_ID,
	MEMBER_PREVIOUS,
	MEMBER_PARTIAL,
	MEMBER_LARGE,
	MEMBER_AT,
	MEMBER_COUNT
};

static const struct json_wanted of_event[MEMBER_COUNT] = {[MEMBER_TYPE] = {.name = "type"},
														  [MEMBER_CHAT] = {.name = "chat_id"},
														  [MEMBER_ID] = {.name = "id"},
														  [MEMBER_PREVIOUS] = {.name = "prev_id"},
														  [MEMBER_PARTIAL] = {.name = "partial"},
														  [MEMBER_LARGE] = {.name = "large"},
														  [MEMBER_AT] = {.name = "at"}};

void
notification_event(const struct slice *event, struct event_key *key)
{
	struct json_wanted wanted[MEMBER_COUNT];

	memcpy(wanted, of_event, sizeof wanted);
	json_members(event->text, event->length, wanted, MEMBER_ID + 1);
	unquote(&wanted[MEMBER_TYPE].value);
	*key = (struct event_key){.type = wanted[MEMBER_TYPE].value,
							  .chat_id = notification_number(&wanted[MEMBER_CHAT].value),
							  .id = notification_number(&wanted[MEMBER_ID].value)};
}

bool
notification_read(const char *payload, size_t length, struct notification *notification)
{
	struct json_wanted inner[MEMBER_COUNT];
	struct json_wanted outer[] = {
		{.name = "to"},   {.name = "chat"},  {.name = "event", .inner = inner, .inner_count = MEMBER_COUNT},
		{.name = "sees"}, {.name = "lacks"}, {.name = "from"}};
	const struct slice *event = &outer[2].value;

	memcpy(inner, of_event, sizeof inner);
	if (!json_members(payload, length, outer, 6) || event->text == NULL || event->text[0] != '{')
		return false;
	unquote(&inner[MEMBER_TYPE].value);
	unquote(&inner[MEMBER_AT].value);
	*notification = (struct notification){.to = outer[0].value,
										  .chat = notification_number(&outer[1].value),
										  .sees = notification_number(&outer[3].value),
										  .lacks = notification_number(&outer[4].value),
										  .from = notification_number(&outer[5].value),
										  .event = *event,
										  .type = inner[MEMBER_TYPE].value,
										  .at = inner[MEMBER_AT].value,
										  .chat_id = notification_number(&inner[MEMBER_CHAT].value),
										  .id = notification_number(&inner[MEMBER_ID].value),
										  .prev_id = notification_number(&inner[MEMBER_PREVIOUS].value),
										  .partial = slice_is(&inner[MEMBER_PARTIAL].value, "true"),
										  .grown = slice_is(&inner[MEMBER_LARGE].value, "true")};
	return notification->to.text != NULL || notification->chat != 0;
}

static void
write_text(struct buf *out, const char *name, const struct slice *text)
{
	if (text->text != NULL)
		buf_format(out, ",\"%s\":\"%.*s\"", name, (int) text->length, text->text);
}

static void
write_number(struct buf *out, const char *name, int64_t number)
{
	if (number != 0)
		buf_format(out, ",\"%s\":\"%" PRId64 "\"", name, number);
}

void
notification_write_partial(const struct notification *notification, struct buf *out)
{
	buf_add_text(out, "{\"event\":{\"partial\":true");
	if (notification->grown)
		buf_add_text(out, ",\"large\":true");
	write_text(out, "type", &notification->type);
	write_number(out, "chat_id", notification->chat_id);
	write_number(out, "id", notification->id);
	write_number(out, "prev_id", notification->prev_id);
	write_text(out, "at", &notification->at);
	buf_add_char(out, '}');
	if (notification->to.text != NULL)
		buf_format(out, ",\"to\":%.*s", (int) notification->to.length, notification->to.text);
	write_number(out, "chat", notification->chat);
	write_number(out, "sees", notification->sees);
	write_number(out, "lacks", notification->lacks);
	write_number(out, "from", notification->from);
	buf_add_char(out, '}');
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

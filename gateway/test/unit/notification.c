/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/notification: for whom, what is known of the event, what is none. */
#include "codec/notification.h"

#include "test/unit/tap.h"

static struct notification
read_good(const char *payload)
{
	struct notification notification = {0};

	ok(notification_read(payload, strlen(payload), &notification), payload);
	return notification;
}

static void
refused(const char *payload)
{
	struct notification notification;

	ok(!notification_read(payload, strlen(payload), &notification), payload);
}

static void
receivers(const char *payload, const char *wanted)
{
	struct notification notification = read_good(payload);
	char all[200] = "";
	char id[24];
	size_t at = 0;

	while (notification_receiver(&notification, &at, id, sizeof id))
	{
		strcat(all, id);
		strcat(all, ";");
	}
	is(all, strlen(all), wanted, "its receivers");
}

static void
shortened(const char *payload, const char *wanted)
{
	struct notification notification = read_good(payload);
	struct notification again;
	struct buf text = {0};

	notification_write_partial(&notification, &text);
	is(text.data, text.length, wanted, "without what routing does not need");
	ok(notification_read(text.data, text.length, &again) && again.partial && again.id == notification.id &&
		   again.prev_id == notification.prev_id && again.chat_id == notification.chat_id &&
		   again.chat == notification.chat && again.grown == notification.grown &&
		   (again.to.text == NULL) == (notification.to.text == NULL),
	   "it says the same");
	buf_free(&text);
}

int
main(void)
{
	struct notification n;
	struct event_key key;

	shortened("{\"to\":[\"1\",\"2\"],\"chat\":\"3\",\"event\":{\"type\":\"member_left\",\"chat_id\":\"3\","
			  "\"id\":\"7\",\"prev_id\":\"6\","
			  "\"at\":\"2026\",\"user_ids\":[\"1\"]}}",
			  "{\"event\":{\"partial\":true,\"type\":\"member_left\",\"chat_id\":\"3\",\"id\":\"7\",\"prev_"
			  "id\":\"6\",\"at\":\"2026\"},"
			  "\"to\":[\"1\",\"2\"],\"chat\":\"3\"}");
	shortened("{\"chat\":\"3\",\"sees\":\"4\",\"lacks\":\"5\",\"from\":\"6\",\"event\":{\"message\":{}}}",
			  "{\"event\":{\"partial\":true},\"chat\":\"3\",\"sees\":\"4\",\"lacks\":\"5\",\"from\":\"6\"}");
	shortened("{\"chat\":\"3\",\"event\":{\"large\":true,\"message\":{}}}",
			  "{\"event\":{\"partial\":true,\"large\":true},\"chat\":\"3\"}");
	receivers("{\"to\":[\"12\",\"345\"],\"event\":{\"type\":\"message\"}}", "12;345;");
	receivers("{\"to\":[9223372036854775807],\"event\":{\"type\":\"message\"}}", "9223372036854775807;");
	receivers("{\"chat\":\"7\",\"event\":{\"type\":\"message\"}}", "");
	receivers("{\"to\":[],\"event\":{\"type\":\"message\"}}", "");

	n = read_good(
		"{\"to\":[\"1\"],\"event\":{\"type\":\"message\",\"chat_id\":\"5\",\"id\":\"6\",\"partial\":true}}");
	ok(n.chat == 0 && n.chat_id == 5 && n.id == 6 && n.partial && !n.grown, "a partial one");
	ok(notification_is(&n, "message") && !notification_is(&n, "messag"), "its type");
	n = read_good("{\"to\":[\"1\"],\"chat\":\"9223372036854775807\",\"event\":{\"type\":\"member_left\"}}");
	ok(n.chat == INT64_MAX && n.to.text != NULL && n.id == 0 && !n.partial, "a copy for whom it concerns");
	n = read_good("{\"to\":[\"1\"],\"chat\":\"7\",\"from\":\"8\",\"event\":{\"type\":\"member_joined\"}}");
	ok(n.from == 8 && n.sees == 0 && n.lacks == 0, "who comes in does not see all");
	n = read_good("{\"chat\":\"7\",\"sees\":\"8\",\"event\":{\"type\":\"reaction_added\",\"lacks\":\"9\"}}");
	ok(n.sees == 8 && n.lacks == 0, "for those who see a message");
	n = read_good("{\"chat\":\"7\",\"lacks\":\"8\",\"event\":{\"type\":\"event_hidden\"}}");
	ok(n.sees == 0 && n.lacks == 8, "for those who do not");
	n = read_good("{\"to\":[\"1\"],\"event\":{\"type\":\"chat_changed\",\"chat_id\":\"5\",\"large\":true}}");
	ok(n.chat == 0 && n.chat_id == 5 && n.grown, "a chat that has grown large");
	n = read_good("{\"to\":[\"1\"],\"event\":{\"message\":{\"large\":true,\"id\":\"8\",\"partial\":true}}}");
	ok(!n.grown && !n.partial && n.id == 0 && !notification_is(&n, ""), "what stands deeper does not count");
	is(n.event.text, n.event.length, "{\"message\":{\"large\":true,\"id\":\"8\",\"partial\":true}}",
	   "the event is text");
	n = read_good("{\"to\":[\"1\"],\"chat\":\"92233720368547758070\",\"event\":{\"id\":\"x\",\"type\":1}}");
	ok(n.chat == 0 && n.id == 0, "what is no int8 is 0");

	ok(notification_horizon("{\"horizon\":\"78\"}", 16) == 78, "a marker");
	ok(notification_horizon("{\"horizon\":\"78\"", 15) == 0, "half a marker");
	ok(notification_horizon("{\"to\":[],\"event\":{\"horizon\":\"78\"}}", 35) == 0, "no marker");
	refused("{\"horizon\":\"78\"}");
	n = read_good("{\"to\":[\"1\"],\"event\":{\"type\":\"read\",\"chat_id\":\"5\",\"id\":\"6\"}}");
	notification_event(&n.event, &key);
	ok(key.chat_id == 5 && key.id == 6 && key.type.length == 4 && memcmp(key.type.text, "read", 4) == 0,
	   "what an event is known by");
	notification_event(&(struct slice){"[]", 2}, &key);
	ok(key.chat_id == 0 && key.id == 0 && key.type.length == 0, "nothing is known of what is no event");

	refused("");
	refused("{\"event\":{\"type\":\"message\"}}");
	refused("{\"to\":[\"1\"]}");
	refused("{\"to\":[\"1\"],\"event\":[]}");
	refused("{\"to\":[\"1\"],\"event\":{}}");
	refused("{\"to\":[\"1\"],\"event\":{\"type\":\"message\"}");
	refused("{\"to\":[\"1\"],\"event\":{\"type\":\"message\"}},");
	refused("{\"chat\":\"0\",\"event\":{\"type\":\"message\"}}");
	return done();
}

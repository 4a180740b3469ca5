/* SPDX-License-Identifier: PostgreSQL */
/*
 * events.c
 *	  GET /events: what a WebSocket is told, as a stream of Server-Sent Events, for those who only listen.
 *
 *	  ASKED --login: admitted--> STREAMING --session closed--> CLOSING --all has left--> gone
 *	     \__ refused, or closed: an error answers                \__ CLOSE_LIMIT: cut
 *
 * 1. A session (chat/session.c) is opened with the request's Bearer token, or with a ticket of create_ticket that serves
 *	  once. It is logged in and replayed to as any other; it makes no calls. Nothing is answered before the login is good,
 *	  so that a bad one gets a status.
 * 2. The stream begins with `retry:` and `cursor`, as authenticate's answer does. Last-Event-ID, which is the last
 *	  cursor that came, or the parameter `since`, is where a replay begins.
 * 3. Messages wait in a queue; when all that was given to the connection has left, up to PIECE bytes of the queue are put
 *	  into words and given to it, at the end of the turn or when there is a PIECE. So a slow reader costs shared messages and one piece. The limits are those of WebSockets: no
 *	  events beyond outbound_limit (session.c then says resync), and one who takes nothing for slow_timeout is cut by http.c.
 * 4. A comment goes out in silence, for proxies that would end the connection, and to find out that nobody is there.
 * 5. The end is an event `close` with the code and reason that a WebSocket gets; at a drain `retry:` before it tells when
 *	  to come back.
 *
 * The stream has no length: the connection ends with it. HTTP/1.0 can have that too.
 *
 * Called from: net/route. Calls: net/http, chat/cursor, chat/session, chat/ticket, codec/sse.
 */
#include "net/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/stats.h"
#include "chat/cursor.h"
#include "chat/fault.h"
#include "chat/session.h"
#include "chat/ticket.h"
#include "codec/json.h"
#include "codec/sse.h"
#include "net/server.h"
#include "net/transfer.h"

#define PIECE          16384 /* bytes given to the connection at a time, or one message */
#define QUEUE_OVERHEAD 64    /* bytes a queued message counts beyond its text */
#define HEARTBEAT      25000 /* milliseconds of silence before a comment, unless ping_interval is less */
#define CLOSE_LIMIT    3000  /* milliseconds for the last words to leave */
#define RETRY          2000  /* milliseconds before a client comes back that has lost its stream */

struct queued
{
	struct list node;        /* in events->queue */
	struct message *message; /* one reference */
	bool event;              /* counted in event_size */
};

struct events
{
	struct http *http;       /* whose request it is */
	struct session *session; /* its session, from the beginning */
	struct list queue;       /* struct queued, not yet given to http */
	size_t queue_size;       /* bytes in queue, with overhead */
	size_t event_size;       /* those of events */
	size_t given;            /* bytes that http has and that have not left */
	struct buf last;         /* said behind the queue, when closing */
	struct task fill;        /* give http something at the end of the turn */
	struct timer heartbeat;  /* set while streaming */
	struct timer limit;      /* set while closing */
	bool answered;           /* an error, or the stream has begun */
	bool streaming;          /* the latter */
	bool closing;            /* no more is queued */
};

static void
pop(struct events *events)
{
	struct queued *queued = list_entry(list_shift(&events->queue), struct queued, node);
	size_t size = message_length(queued->message) + QUEUE_OVERHEAD;

	events->queue_size -= size;
	events->event_size -= queued->event ? size : 0;
	message_release(queued->message);
	mem_free(queued);
}

static void
tell_session(struct events *events)
{
	session_queued(events->session, events->queue_size + events->given);
}

static void
give(struct events *events)
{
	events->given = events->http->body.length;
	http_give(events->http);
}

static void beat(struct timer *timer);

static void
rest(struct events *events)
{
	int silence = config.ping_interval < HEARTBEAT ? config.ping_interval : HEARTBEAT;

	timer_set(&events->heartbeat, (uint64_t) silence, beat);
}

static void
beat(struct timer *timer)
{
	struct events *events = list_entry(timer, struct events, heartbeat);

	if (events->given == 0 && !events->closing)
	{
		buf_add_text(&events->http->body, ":\n\n");
		give(events);
	}
	rest(events);
}

/* The connection has nothing of ours: give it the next piece, or our last words, or end it. */
static void
fill(struct task *task)
{
	struct events *events = list_entry(task, struct events, fill);
	struct buf *body = &events->http->body;
	struct message *message;

	if (!events->streaming || events->given > 0)
		return;
	while (!list_empty(&events->queue) && body->length < PIECE)
	{
		message = list_entry(events->queue.next, struct queued, node)->message;
		sse_write(body, message_text(message), message_length(message));
		pop(events);
	}
	if (body->length > 0)
		rest(events);
	if (events->closing && list_empty(&events->queue))
	{
		buf_add(body, events->last.data, events->last.length);
		events->given = body->length;
		http_end_stream(events->http);
	}
	else if (body->length > 0)
		give(events);
}

static void
on_drained(struct http *http)
{
	struct events *events = http->owner;

	events->given = 0;
	buf_free(&http->body);
	loop_defer(&events->fill);
	tell_session(events);
}

/* In a burst: what the connection takes is let go at once, lest the queue look like that of a slow reader. */
static void
hurry(struct events *events)
{
	if (!events->streaming || events->queue_size < PIECE)
		return;
	fill(&events->fill);
	if (http_flush(events->http))
		events->given = 0;
}

static void
enqueue(struct events *events, struct message *message, bool event)
{
	size_t size = message_length(message) + QUEUE_OVERHEAD;
	struct queued *queued;

	if (events->closing)
		return;
	queued = mem_alloc(sizeof *queued);
	queued->message = message_share(message);
	queued->event = event;
	list_append(&events->queue, &queued->node);
	events->queue_size += size;
	events->event_size += event ? size : 0;
	hurry(events);
	loop_defer(&events->fill);
	tell_session(events);
}

static void
send_message(void *socket, struct message *message)
{
	enqueue(socket, message, false);
}

static bool
send_event(void *socket, struct message *message)
{
	struct events *events = socket;

	if (events->event_size + message_length(message) > (size_t) config.outbound_limit)
		return false;
	enqueue(events, message, true);
	return true;
}

static void
hold(void *socket, bool wanted)
{
	(void) socket;
	(void) wanted;
}

static void
refuse(void *socket, const struct rpc_error *error)
{
	struct events *events = socket;

	events->answered = true;
	http_error(events->http, error);
}

static void
admitted(void *socket)
{
	struct events *events = socket;
	struct http *http = events->http;

	events->answered = events->streaming = true;
	http->type = "text/event-stream";
	http_field(http, "Cache-Control", "no-store, no-transform");
	http_field(http, "X-Accel-Buffering", "no");
	http_begin_stream(http, 200, HTTP_ENDLESS);
	buf_format(&http->body, "retry: %d\n\n", RETRY);
	give(events);
	rest(events);
}

static void
closing_is_late(struct timer *timer)
{
	http_cut(list_entry(timer, struct events, limit)->http);
}

/* Nothing has been said yet: say why with a status. */
static void
close_unbegun(struct events *events, int code, const char *reason)
{
	events->answered = true;
	if (code == 4003 || code == 4009)
		http_refuse(events->http, 401, reason, "the session has ended");
	else if (code == 1001)
		http_refuse(events->http, 503, "draining", "this gateway ends; connect again");
	else
		http_refuse(events->http, 503, "unavailable", "the login could not be checked in time");
}

static void
end_stream(void *socket, int code, const char *reason)
{
	struct events *events = socket;
	int wait;

	if (!events->answered)
		close_unbegun(events, code, reason);
	if (!events->streaming)
		return;
	events->closing = true;
	timer_clear(&events->heartbeat);
	timer_set(&events->limit, CLOSE_LIMIT, closing_is_late);
	if (sscanf(reason, "{\"retry_after_ms\":%d}", &wait) == 1)
		buf_format(&events->last, "retry: %d\n", wait);
	buf_format(&events->last, "event: close\ndata: {\"code\":%d,\"reason\":", code);
	json_write_string(&events->last, reason, strlen(reason));
	buf_add_text(&events->last, "}\n\n");
	loop_defer(&events->fill);
}

static void
on_gone(struct http *http)
{
	struct events *events = http->owner;

	events->answered = events->closing = true;
	events->streaming = false;
	timer_clear(&events->heartbeat);
	timer_clear(&events->limit);
	loop_forget(&events->fill);
	session_gone(events->session);
	while (!list_empty(&events->queue))
		pop(events);
	buf_free(&events->last);
	mem_free(events);
}

/* Last-Event-ID, or else the parameter since. False: it is no cursor. */
static bool
read_since(const struct head *head, int64_t *since)
{
	struct buf text = {0};
	struct slice value;
	int count = head_field(head, "last-event-id", &value);
	bool good = count <= 1;

	*since = NO_REPLAY;
	if (count == 1)
		buf_add(&text, value.text, value.length);
	else
		good = good && head_parameter(&head->query, "since", &text) >= 0;
	if (good && text.length > 0)
	{
		good = transfer_is_number(buf_text(&text));
		*since = strtoll(buf_text(&text), NULL, 10);
		good = good && cursor_is_possible(*since);
	}
	buf_free(&text);
	return good;
}

static void
open_session(struct http *http, int64_t since, const char *bearer, const char *ticket)
{
	static const struct http_handler handler = {NULL, NULL, on_drained, on_gone};
	static const struct session_socket ops = {.send = send_message,
											  .send_event = send_event,
											  .close = end_stream,
											  .hold = hold,
											  .admitted = admitted,
											  .refused = refuse};
	struct events *events = mem_alloc(sizeof *events);

	events->http = http;
	events->fill.run = fill;
	list_init(&events->queue);
	http_take(http, &handler, events);
	events->session = session_follow(&ops, events, http->address, bearer, since);
	if (bearer == NULL)
		ticket_follow(events->session, ticket, since);
}

static void
refuse_method(struct http *http)
{
	static const struct rpc_error error = {
		.code = 405, .reason = "bad_method", .message = "that method does not serve here"};

	http->allowed = "GET";
	http_error(http, &error);
}

void
events_begin(struct http *http)
{
	struct rpc_error nobody = fault_not_authenticated();
	struct rpc_error no_cursor = fault_bad_cursor();
	char *bearer = http_bearer(http);
	struct buf ticket = {0};
	int64_t since;
	bool has_ticket = head_parameter(&http->head->query, "ticket", &ticket) == 1;

	nobody.hint = "send a token as Authorization: Bearer, or a ticket of create_ticket";
	if (http->is_head)
		refuse_method(http);
	else if (!server_is_accepting())
	{
		stats_add(STAT_REFUSED_DRAINING, 1);
		http_refuse(http, 503, "draining", "this gateway ends; connect again");
	}
	else if (!read_since(http->head, &since))
		http_error(http, &no_cursor);
	else if (bearer == NULL && !has_ticket)
		http_error(http, &nobody);
	else
		open_session(http, since, bearer, buf_text(&ticket));
	buf_free(&ticket);
	mem_free(bearer);
}

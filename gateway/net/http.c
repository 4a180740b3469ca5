/* SPDX-License-Identifier: PostgreSQL */
/*
 * http.c
 *	  HTTP/1.1: connections, their requests, their answers; and WebSockets until their upgrade.
 *
 *	  WAITING --head--> READING --body--> THINKING --answer--> ANSWERING --sent--> WAITING
 *	     |   \__ no body: THINKING __/                              \__ last one: LINGERING --> closed
 *	     \__ an upgrade to a WebSocket: handed to libwebsockets, unread
 *
 * libwebsockets reads WebSockets well. Its HTTP side cannot take a body and hold it back, cannot write while it does
 * not read, and takes bad lengths; so plain requests are served here.
 *
 * 1. The head is only looked at (MSG_PEEK) until it is whole. Is it an upgrade, the socket goes on to the library with
 *	  every byte still to be read. Else it is read, and route.c says who takes the request.
 * 2. The handler reads the body at its own pace: what it holds back waits in the kernel, and then with the client.
 * 3. The answer is written from `body`, always from the end of a turn of the loop, never from within a handler, unless that
 *	  asks for it by http_flush. A stream asks its handler for more when all has left: so a transfer never has more than one piece in memory.
 * 4. While a handler thinks nothing is read: a client that sends requests ahead waits for its answers. That a client
 *	  has gone is found out when something is to be written to it.
 * 5. Time runs only while the client has to do something: HEAD_LIMIT for a head, slow_timeout for a short body; a long
 *	  one and the answer have to keep their pace (pace.c). A body that does not is refused with 408, when its handler has
 *	  let go of it.
 * 6. A connection that is not to be used again is shut, and what still comes is thrown away for a while, lest a reset
 *	  overtake the answer.
 * 7. An endless stream has no Content-Length: the connection ends with it. While nothing is to be written a client that
 *	  says its last word counts as gone.
 *
 * Bodies have a Content-Length: chunked ones are refused with 411. Keep-alive is HTTP/1.1's, unless somebody says
 * close.
 *
 * Called from: net/server. Calls: net/route, net/upgrade, libuv.
 */
#include "net/http.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/network.h"
#include "base/stats.h"
#include "chat/fault.h"
#include "net/route.h"
#include "net/server.h"

#define HEAD_MOST    16384   /* bytes of request line and header lines */
#define HEAD_LIMIT   4000    /* milliseconds for a head to arrive, once begun or the connection new */
#define IDLE_LIMIT   15000   /* milliseconds between two requests */
#define LINGER_LIMIT 2000    /* milliseconds that a shut connection is still emptied */
#define TOLD_PAUSE   3600000 /* milliseconds between lines about a proxy's X-Forwarded-For */
#define SCRATCH      65536   /* bytes read at a time */
#define BURST        262144  /* bytes written at a time, so that others come to their turn */

struct phrase
{
	int status;       /* HTTP's */
	const char *text; /* behind it */
};

static const struct phrase phrases[] = {
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{206, "Partial Content"},
	{302, "Found"},
	{304, "Not Modified"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{415, "Unsupported Media Type"},
	{416, "Range Not Satisfiable"},
	{417, "Expectation Failed"},
	{426, "Upgrade Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{503, "Service Unavailable"},
};

static struct list connections = {&connections, &connections}; /* struct http by node */
static char scratch[SCRATCH];                                  /* what was read last */
static struct head head;                                       /* of the request that begins */

static void on_event(uv_poll_t *poll, int status, int events);
static void push(struct task *task);

static void
watch(struct http *http, int events)
{
	if (http->events == events || http->ended)
		return;
	http->events = events;
	if (events == 0)
		uv_poll_stop(&http->poll);
	else
		uv_poll_start(&http->poll, events, on_event);
}

static void
drop_handler(struct http *http)
{
	const struct http_handler *handler = http->handler;

	http->handler = NULL;
	if (handler != NULL)
		handler->gone(http);
	http->owner = NULL;
}

static void
on_poll_closed(uv_handle_t *handle)
{
	struct http *http = list_entry(handle, struct http, poll);

	buf_free(&http->common);
	buf_free(&http->fields);
	buf_free(&http->body);
	buf_free(&http->front);
	mem_free(http);
}

/* The client's turn is over. */
static void
stop_clock(struct http *http)
{
	timer_clear(&http->limit);
	pace_stop(&http->pace);
}

/* The connection is no more; `keep`: but the socket is somebody else's from now on. */
static void
end(struct http *http, bool keep)
{
	if (http->ended)
		return;
	http->ended = true;
	drop_handler(http);
	stop_clock(http);
	loop_forget(&http->push);
	list_remove(&http->node);
	uv_close((uv_handle_t *) &http->poll, on_poll_closed);
	if (keep)
		return;
	server_release(http->direct, http->inner);
	close(http->fd);
}

void
http_cut(struct http *http)
{
	end(http, false);
}

/* A client that still listens is told why; its handler is not needed for that. */
static void
give_up(struct http *http)
{
	if (http->state != HTTP_READING)
	{
		end(http, false);
		return;
	}
	drop_handler(http);
	http->close = true;
	http_refuse(http, 408, "too_slow", "the body came too slowly; what was received of an upload is kept");
}

static void
is_late(struct timer *timer)
{
	give_up(list_entry(timer, struct http, limit));
}

static void
is_slow(struct pace *pace)
{
	give_up(list_entry(pace, struct http, pace));
}

/* Wait for the next request. */
static void
wait_for_head(struct http *http)
{
	http->state = HTTP_WAITING;
	timer_set(&http->limit, http->fresh ? HEAD_LIMIT : IDLE_LIMIT, is_late);
	watch(http, UV_READABLE | UV_DISCONNECT);
}

void
http_open(int fd, int refusal, const char *direct, bool inner)
{
	struct http *http = mem_alloc(sizeof *http);

	http->fd = fd;
	http->refusal = refusal;
	http->inner = inner;
	http->fresh = true;
	http->push.run = push;
	snprintf(http->direct, sizeof http->direct, "%s", direct);
	list_append(&connections, &http->node);
	uv_poll_init(loop_uv(), &http->poll, fd);
	wait_for_head(http);
}

void
http_close_all(void)
{
	while (!list_empty(&connections))
		end(list_entry(connections.next, struct http, node), false);
}

void
http_field(struct http *http, const char *name, const char *format, ...)
{
	char value[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof value, format, args);
	va_end(args);
	buf_format(&http->fields, "%s: %s\r\n", name, value);
}

bool
http_trace(const struct http *http, struct trace *trace)
{
	struct slice value;

	*trace = (struct trace){0};
	return head_field(http->head, "traceparent", &value) == 1 && trace_read(value.text, value.length, trace);
}

char *
http_bearer(const struct http *http)
{
	struct slice value;
	char *token;

	if (head_field(http->head, "authorization", &value) != 1 || value.length <= 7 ||
		strncasecmp(value.text, "Bearer ", 7) != 0)
		return NULL;
	token = mem_alloc(value.length - 7 + 1);
	memcpy(token, value.text + 7, value.length - 7);
	return token;
}

static const char *
phrase_of(int status)
{
	for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
	{
		if (phrases[i].status == status)
			return phrases[i].text;
	}
	return "Status";
}

/* Put status line and header lines together; what is to be written is written at the end of the turn. */
static void
begin_answer(struct http *http, int status, int64_t length)
{
	if (http->unread > 0 || !server_is_accepting() || length == HTTP_ENDLESS)
		http->close = true;
	http->state = HTTP_ANSWERING;
	http->due = http->is_head || status == 204 || status == 304 ? 0 : length;
	http->sent = http->front_sent = 0;
	buf_clear(&http->front);
	buf_format(&http->front, "HTTP/1.1 %d %s\r\nServer: chat-gateway\r\nX-Content-Type-Options: nosniff\r\n",
			   status, phrase_of(status));
	if (status != 204 && status != 304 && length != HTTP_ENDLESS)
		buf_format(&http->front, "Content-Length: %lld\r\n", (long long) length);
	if (http->type != NULL && status != 204 && status != 304)
		buf_format(&http->front, "Content-Type: %s\r\n", http->type);
	if (http->close)
		buf_add_text(&http->front, "Connection: close\r\n");
	if (http->allowed != NULL)
		buf_format(&http->front, "Allow: %s\r\n", http->allowed);
	buf_add(&http->front, http->common.data, http->common.length);
	buf_add(&http->front, http->fields.data, http->fields.length);
	buf_add_text(&http->front, "\r\n");
	http_give(http);
}

void
http_answer(struct http *http, int status)
{
	begin_answer(http, status, (int64_t) http->body.length);
}

void
http_begin_stream(struct http *http, int status, int64_t length)
{
	buf_clear(&http->body);
	begin_answer(http, status, length);
}

void
http_give(struct http *http)
{
	http->sent = 0;
	if (http->due == 0)
		buf_clear(&http->body);
	timer_clear(&http->limit);
	pace_start(&http->pace, http->fd, is_slow);
	watch(http, 0);
	loop_defer(&http->push);
}

void
http_end_stream(struct http *http)
{
	http->due = (int64_t) http->body.length;
	http_give(http);
}

static void
answer_error(struct http *http, const struct rpc_error *error)
{
	int status = error->code >= 400 && error->code < 600 ? error->code : 400;

	buf_clear(&http->body);
	rpc_write_error(&http->body, "null", error);
	http->type = "application/json";
	http_field(http, "Cache-Control", "no-store");
	if (status == 401)
		http_field(http, "WWW-Authenticate", "Bearer");
	if (error->retry_after > 0)
		http_field(http, "Retry-After", "%lld", (error->retry_after + 999) / 1000);
	http_answer(http, status);
}

void
http_error(struct http *http, const struct rpc_error *error)
{
	buf_clear(&http->fields);
	answer_error(http, error);
}

void
http_refuse_with_fields(struct http *http, int status, const char *reason, const char *message)
{
	struct rpc_error error = {.code = status, .reason = reason, .message = message};

	if (status == 503 || status == 429)
		error.retry_after = HTTP_RETRY;
	answer_error(http, &error);
}

void
http_refuse(struct http *http, int status, const char *reason, const char *message)
{
	buf_clear(&http->fields);
	http_refuse_with_fields(http, status, reason, message);
}

/* Whether the request wants to go on as a WebSocket, and may. An upgrade to anything else is ignored, as it may be. */
static bool
wants_upgrade(void)
{
	return head_is(&head.method, "GET") && head_has_token(&head, "upgrade", "websocket") &&
		   head_has_token(&head, "connection", "upgrade");
}

/* Once in TOLD_PAUSE for each kind: it is the proxy's doing, and comes with every request. */
static void
tell_unread(const struct network_client *client)
{
	static uint64_t told[FORWARDED_UNREADABLE + 1]; /* loop_now() of the last line, by kind; 0: none */

	if (client->fault == FORWARDED_READ ||
		(told[client->fault] != 0 && loop_now() < told[client->fault] + TOLD_PAUSE))
		return;
	told[client->fault] = loop_now();
	log_write(LEVEL_WARN, "forwarded_unread",
			  "X-Forwarded-For of the proxy %s has \"%s\" where an address belongs: such clients count as "
			  "the proxy",
			  client->address, client->unread);
}

static void
read_address(struct http *http)
{
	struct buf forwarded = {0};
	struct network_client client;

	if (config.trusted_proxies[0] != '\0')
		head_join(&head, "x-forwarded-for", &forwarded);
	network_client(config.trusted_proxies, http->direct, buf_text(&forwarded), &client);
	tell_unread(&client);
	memcpy(http->address, client.address, sizeof http->address);
	buf_free(&forwarded);
}

/* What no handler should ever see; true: it was refused. */
static bool
is_malformed(struct http *http)
{
	struct slice value;
	int hosts = head_field(&head, "host", &value);

	http->close = http->close || head_has_token(&head, "connection", "close") ||
				  (head.minor == 0 && !head_has_token(&head, "connection", "keep-alive"));
	http->length = head_length(&head);
	http->unread = http->length > 0 ? http->length : 0;
	if (head_field(&head, "transfer-encoding", &value) > 0)
	{
		http->close = true;
		http_refuse(http, 411, "length_required", "a body comes with a Content-Length, not in chunks");
	}
	else if (http->length < 0 || hosts > 1 || (hosts == 0 && head.minor == 1))
	{
		http->close = true;
		http_refuse(http, 400, "bad_request", "a bad Content-Length or Host");
	}
	else if (head_field(&head, "expect", &value) > 0 && !head_has_token(&head, "expect", "100-continue"))
		http_refuse(http, 417, "bad_expectation", "nothing but 100-continue is expected of a server");
	else
		return false;
	return true;
}

/* The head is whole, and read: the request begins. */
static void
begin(struct http *http)
{
	struct slice value;

	http->head = &head;
	http->state = HTTP_THINKING;
	http->is_head = head_is(&head.method, "HEAD");
	http->expects = head.minor == 1 && head_field(&head, "expect", &value) > 0;
	http->fresh = false;
	timer_clear(&http->limit);
	watch(http, 0);
	read_address(http);
	route_common_fields(http);
	http->common = http->fields;
	http->fields = (struct buf){0};
	if (!is_malformed(http))
		route(http);
	http->head = NULL;
}

/* The socket is a WebSocket from now on; its request is still to be read. */
static void
hand_over(struct http *http)
{
	int fd = http->fd;
	struct arrival *arrival = mem_alloc(sizeof *arrival);

	memcpy(arrival->direct, http->direct, sizeof arrival->direct);
	memcpy(arrival->address, http->address, sizeof arrival->address);
	arrival->bearer = http_bearer(http);
	end(http, true);
	server_adopt(fd, arrival);
}

static void
on_head(struct http *http, size_t size)
{
	int low = 1;
	bool good = head_read(scratch, size, &head);

	setsockopt(http->fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
	if (good && wants_upgrade())
	{
		http->head = &head;
		read_address(http);
		if (!route_refuses_upgrade(http))
		{
			hand_over(http);
			return;
		}
		http->head = NULL;
	}
	else if (good && recv(http->fd, scratch, size, 0) == (ssize_t) size)
		begin(http);
	else
	{
		http->close = true;
		http_refuse(http, 400, "bad_request", "this is no HTTP/1.1");
	}
}

/* See whether the head is whole. Else sleep until there is more of it than now. */
static void
look_at_head(struct http *http)
{
	ssize_t got = recv(http->fd, scratch, HEAD_MOST, MSG_PEEK);
	size_t size = got > 0 ? head_size(scratch, (size_t) got) : 0;
	int low = (int) got + 1;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0)
		end(http, false);
	else if (size > 0)
		on_head(http, size);
	else if (got == HEAD_MOST)
	{
		http->close = true;
		http_refuse(http, 431, "headers_too_large", "request line and headers have at most 16 kB");
	}
	else
	{
		if (!http->fresh && !http->begun)
			timer_set(&http->limit, HEAD_LIMIT, is_late);
		http->begun = true;
		setsockopt(http->fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
	}
}

/* A request that is here already is served; a connection that never had one is given its chance until the end. */
void
http_close_idle(void)
{
	struct list *node;
	struct list *after;

	list_each(node, after, &connections)
	{
		struct http *http = list_entry(node, struct http, node);

		http->close = true;
		if (http->state == HTTP_WAITING)
			look_at_head(http);
		if (http->state == HTTP_WAITING && !http->fresh)
			end(http, false);
	}
}

bool
http_is_quiet(void)
{
	struct list *node;
	struct list *after;

	list_each(node, after, &connections)
	{
		const struct http *http = list_entry(node, struct http, node);

		if (http->state != HTTP_LINGERING && (http->state != HTTP_WAITING || http->fresh))
			return false;
	}
	return true;
}

static void
read_body(struct http *http)
{
	size_t most = http->unread < SCRATCH ? (size_t) http->unread : SCRATCH;
	ssize_t got = recv(http->fd, scratch, most, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0)
	{
		end(http, false);
		return;
	}
	http->unread -= got;
	http->pace.moved += (uint64_t) got;
	if (http->unread == 0)
	{
		http->state = HTTP_THINKING;
		stop_clock(http);
		watch(http, 0);
	}
	http->handler->received(http, scratch, (size_t) got);
	if (http->state == HTTP_THINKING && http->unread == 0 && http->handler != NULL)
		http->handler->complete(http);
}

/* Throw away what still comes. */
static void
empty(struct http *http)
{
	ssize_t got = recv(http->fd, scratch, SCRATCH, 0);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		end(http, false);
}

/* Of one who has said his last word nothing more will come: what is there would keep the loop awake. */
static void
look_at_last_head(struct http *http, bool last)
{
	look_at_head(http);
	if (last && http->state == HTTP_WAITING)
		end(http, false);
}

static void
on_event(uv_poll_t *poll, int status, int events)
{
	struct http *http = list_entry(poll, struct http, poll);
	bool last = (events & UV_DISCONNECT) != 0;

	if (status < 0 || (last && http->state != HTTP_WAITING))
		end(http, false);
	else if (http->state == HTTP_WAITING)
		look_at_last_head(http, last);
	else if (http->state == HTTP_READING)
		read_body(http);
	else if (http->state == HTTP_ANSWERING)
		push(&http->push);
	else if (http->state == HTTP_LINGERING)
		empty(http);
}

void
http_take(struct http *http, const struct http_handler *handler, void *owner)
{
	http->handler = handler;
	http->owner = owner;
}

static void
say_continue(struct http *http)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

	http->expects = false;
	if (send(http->fd, line, sizeof line - 1, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t) sizeof line - 1)
		http->close = true;
}

void
http_read(struct http *http, bool patient)
{
	if (http->unread == 0)
		return;
	if (http->expects)
		say_continue(http);
	http->state = HTTP_READING;
	if (patient)
		pace_start(&http->pace, -1, is_slow);
	else
		timer_set(&http->limit, (uint64_t) config.slow_timeout, is_late);
	watch(http, UV_READABLE);
}

void
http_hold(struct http *http)
{
	if (http->state != HTTP_READING)
		return;
	http->state = HTTP_THINKING;
	stop_clock(http);
	watch(http, 0);
}

/* The answer has left. */
static void
finish(struct http *http)
{
	drop_handler(http);
	pace_stop(&http->pace);
	buf_clear(&http->fields);
	buf_free(&http->common);
	buf_free(&http->body);
	http->type = http->allowed = NULL;
	http->is_head = http->begun = false;
	if (!http->close)
	{
		wait_for_head(http);
		return;
	}
	http->state = HTTP_LINGERING;
	shutdown(http->fd, SHUT_WR);
	timer_set(&http->limit, LINGER_LIMIT, is_late);
	watch(http, UV_READABLE);
}

/* Write of this as much as goes; false: the socket is broken. */
static bool
write_some(struct http *http, const char *data, size_t length, size_t *done, bool more)
{
	ssize_t sent =
		send(http->fd, data + *done, length - *done, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));

	if (sent < 0)
		return errno == EAGAIN || errno == EINTR;
	*done += (size_t) sent;
	http->pace.moved += (uint64_t) sent;
	return true;
}

static size_t
body_left(const struct http *http)
{
	size_t left = http->body.length - http->sent;

	return (int64_t) left < http->due ? left : (size_t) http->due;
}

static bool
write_answer(struct http *http)
{
	size_t before = http->sent;
	size_t left = body_left(http);

	if (http->front_sent < http->front.length)
		return write_some(http, http->front.data, http->front.length, &http->front_sent, left > 0);
	if (!write_some(http, http->body.data, http->sent + (left < BURST ? left : BURST), &http->sent, false))
		return false;
	http->due -= (int64_t) (http->sent - before);
	return true;
}

/* Ends nothing, so that handlers may call it: a socket that is broken is found to be so by push. */
bool
http_flush(struct http *http)
{
	while (http->front_sent < http->front.length || body_left(http) > 0)
	{
		size_t before = http->front_sent + http->sent;

		if (!write_answer(http) || http->front_sent + http->sent == before)
			return false;
	}
	buf_clear(&http->body);
	http->sent = 0;
	return true;
}

static void
push(struct task *task)
{
	struct http *http = list_entry(task, struct http, push);
	bool good = write_answer(http);

	if (good && http->front_sent == http->front.length && body_left(http) > 0)
		good = write_answer(http);
	if (!good)
		end(http, false);
	else if (http->front_sent < http->front.length || body_left(http) > 0)
		watch(http, UV_WRITABLE);
	else if (http->due == 0)
		finish(http);
	else
	{
		pace_stop(&http->pace);
		watch(http, http->due > INT64_MAX / 2 ? UV_DISCONNECT : 0);
		http->handler->drained(http);
	}
}

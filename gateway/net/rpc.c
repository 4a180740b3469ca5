/* SPDX-License-Identifier: PostgreSQL */
/*
 * rpc.c
 *	  POST /rpc: JSON-RPC over HTTP, one request or a batch.
 *
 * 1. The body is read whole; it has frame_limit bytes at most, like a frame of a WebSocket.
 * 2. A visitor (chat/session.c) is opened with the request's Bearer token and given the body; the calls go their
 *	  usual way, with the same limits and the same order.
 * 3. What the visitor sends is the answer: 200, also when a call failed, since the call's own error says so; 400 when the
 *	  body was neither a request nor a batch. A visitor that ends without a word had only notifications: 204.
 * 4. Who is refused as a whole (bad token, database away) gets that error with its status.
 *
 * 5. A long answer is in memory until the client has taken it. One user's, or one address' where nobody is logged in,
 *	  have UNREAD_ANSWERS times answer_limit together; a long one beyond that is 429.
 *
 * A client that goes away closes its visitor: calls that run end unheard, others are not begun.
 *
 * Called from: net/route. Calls: net/http, chat/session.
 */
#include "net/rpc.h"

#include <string.h>
#include <strings.h>

#include "base/config.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/message.h"
#include "chat/session.h"

#define LONG_ANSWER    65536 /* bytes from which an answer counts */
#define UNREAD_ANSWERS 4     /* times answer_limit that one holder's have */

struct rpc
{
	struct http *http;       /* whose request it is */
	struct session *session; /* once the body was read; NULL before */
	char *bearer;            /* owned; NULL: none came */
	struct trace trace;      /* which the calls belong to */
	struct buf text;         /* the body */
	struct message *answer;  /* a reference; NULL: nothing was said yet */
	int64_t holder;          /* whose long answer it is, as session_holder says */
	long held;               /* bytes of it that count */
	bool nonsense;           /* the body was no JSON-RPC */
	bool answered;           /* http has its answer */
};

static struct hash *unread; /* bytes of long answers, by holder; owned; NULL: there were none yet */

/* Whether the answer may stay in memory until the client has it. */
static bool
hold_answer(struct rpc *rpc)
{
	size_t length = message_length(rpc->answer);

	if (length < LONG_ANSWER)
		return true;
	unread = unread ? unread : hash_create();
	rpc->holder = session_holder(rpc->session);
	rpc->held = (long) length;
	return hash_add(unread, rpc->holder, rpc->held) <= UNREAD_ANSWERS * (size_t) config.answer_limit;
}

static void
send_answer(void *socket, struct message *message)
{
	struct rpc *rpc = socket;

	if (rpc->answer == NULL)
		rpc->answer = message_share(message);
}

static bool
send_event(void *socket, struct message *message)
{
	(void) socket;
	(void) message;
	return true;
}

static void
answer(struct rpc *rpc)
{
	struct http *http = rpc->http;

	if (!hold_answer(rpc))
	{
		message_release(rpc->answer);
		rpc->answer = NULL;
		http_refuse(http, 429, "too_much_unread", "take the answers that are on their way first");
		return;
	}
	http->type = "application/json";
	http_field(http, "Cache-Control", "no-store");
	buf_add(&http->body, message_text(rpc->answer), message_length(rpc->answer));
	message_release(rpc->answer);
	rpc->answer = NULL;
	http_answer(http, rpc->nonsense ? 400 : 200);
}

static void
end_visit(void *socket, int code, const char *reason)
{
	struct rpc *rpc = socket;

	if (rpc->answered)
		return;
	rpc->answered = true;
	if (rpc->answer != NULL)
		answer(rpc);
	else if (code == 1000)
		http_answer(rpc->http, 204);
	else
		http_refuse(rpc->http, 503, reason, "this gateway ends; ask again");
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
	struct rpc *rpc = socket;

	rpc->answered = true;
	http_error(rpc->http, error);
}

static void
on_received(struct http *http, const char *data, size_t length)
{
	struct rpc *rpc = http->owner;

	buf_add(&rpc->text, data, length);
}

static void
visit(struct http *http)
{
	static const struct session_socket ops = {
		.send = send_answer, .send_event = send_event, .close = end_visit, .hold = hold, .refused = refuse};
	struct rpc *rpc = http->owner;

	rpc->session = session_visit(&ops, rpc, http->address, rpc->bearer);
	session_set_trace(rpc->session, &rpc->trace);
	rpc->nonsense = !session_receive(rpc->session, buf_text(&rpc->text), rpc->text.length);
	session_finish(rpc->session, SESSION_SERVED);
}

static void
on_gone(struct http *http)
{
	struct rpc *rpc = http->owner;

	rpc->answered = true;
	if (rpc->held > 0)
		hash_add(unread, rpc->holder, -rpc->held);
	if (rpc->session != NULL)
		session_gone(rpc->session);
	if (rpc->answer != NULL)
		message_release(rpc->answer);
	mem_free(rpc->bearer);
	buf_free(&rpc->text);
	mem_free(rpc);
}

/* A type that says something else than JSON is refused, so that no form of a foreign page is ever taken for calls. */
static bool
is_json(const struct head *head)
{
	static const char json[] = "application/json";
	struct slice type;

	return head_field(head, "content-type", &type) == 1 && type.length >= sizeof json - 1 &&
		   strncasecmp(type.text, json, sizeof json - 1) == 0 &&
		   (type.length == sizeof json - 1 || strchr("; \t", type.text[sizeof json - 1]) != NULL);
}

void
rpc_close(void)
{
	if (unread != NULL)
		hash_destroy(unread);
	unread = NULL;
}

void
rpc_begin(struct http *http)
{
	static const struct http_handler handler = {on_received, visit, NULL, on_gone};
	struct rpc *rpc;

	if (!is_json(http->head))
	{
		http_refuse(http, 415, "not_json", "the body's type is application/json");
		return;
	}
	if (http->length > config.frame_limit)
	{
		http_refuse(http, 413, "too_big", "the body is longer than frame_limit");
		return;
	}
	rpc = mem_alloc(sizeof *rpc);
	rpc->http = http;
	rpc->bearer = http_bearer(http);
	http_trace(http, &rpc->trace);
	http_take(http, &handler, rpc);
	if (http->length == 0)
		visit(http);
	else
		http_read(http, false);
}

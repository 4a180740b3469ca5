/* SPDX-License-Identifier: PostgreSQL */
/*
 * ws.c
 *	  A WebSocket: whole text frames to its session, messages from its session to the wire.
 *
 * In: fragments are gathered up to frame_limit; more closes with 1009, a binary frame with 1003. libwebsockets has
 * checked UTF-8 and the framing before (1007, 1002): reserved bits and opcodes, fragments, control frames. Two things it
 * takes that RFC 6455 forbids, and does not tell us of: frames without a mask, and lengths of data frames that could be
 * shorter. Masks protect proxies from what browsers are made to send, and browsers always mask; so neither harms us.
 *
 * Out: messages go into a queue of shared messages. Those of one turn leave together at its end, up to PIECE in one
 * write, for the write costs more than all else that is done for a message; more than PIECE does not wait for the end.
 * Of what the kernel does not take, the library keeps what it was given, at most PIECE, and the rest stays in the
 * queue until that has left; of events, at most outbound_limit bytes. The session then hears how much is queued and
 * holds itself back. What is longer than PIECE leaves in fragments. Who does not keep the pace (pace.c) while something
 * waits is closed with 4008.
 *
 * Frames with their headers are ours, and we send them ourselves: the library's way to send() costs as much again as all
 * that we do for a message. Of what the kernel does not take the rest is given to the library, LWS_WRITE_RAW having it put
 * no header in front: that goes out before anything else, its pongs too, so no frame is torn. Nothing is written while it
 * keeps something.
 *
 * Silence: who has not been heard for ping_interval, or three quarters of it, is pinged, and is cut when nothing has
 * come for ping_interval after that. Each socket has a timer in our heap, the first one set to a random moment of the
 * last quarter; the library would keep its own in a sorted list and walk that for each. Who makes room for what waits
 * is heard too.
 *
 * Closing: the close frame goes out behind what is queued, unless the socket was too slow: that is dropped. We write
 * it ourselves and go on reading until the client's own arrives: told to close from a writeable callback, a library built
 * with _DEBUG (Debian's is) closes twice on libuv, and the second time cuts before the frame has left. A socket that
 * does not take or answer the close frame within CLOSE_LIMIT is cut.
 *
 * Called from: net/server (callbacks), chat/session (struct session_socket). Calls: chat/session, libwebsockets.
 */
#include "net/ws.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/message.h"
#include "base/stats.h"
#include "chat/session.h"
#include "io/loop.h"
#include "io/timer.h"
#include "net/pace.h"
#include "net/server.h"

/*
 * The library's own type of write for a close frame, the same in every version, which its public header leaves out.
 */
#define WRITE_CLOSE ((enum lws_write_protocol) 4)

#define CLOSE_LIMIT    3     /* seconds for the close frame to leave */
#define QUEUE_OVERHEAD 64    /* bytes a queued message counts beyond its text */
#define PIECE          16384 /* bytes of one write */
#define FRAME_HEADER   4     /* bytes at most, of a frame no longer than PIECE */
#define LOOK_STEP                                                                                            \
	250 /* milliseconds: looks for silence fall on multiples of it, to wake the loop less often */

_Static_assert(FRAME_HEADER <= MESSAGE_HEADROOM, "a message has room for the frame header");

struct queued
{
	struct list node;        /* in ws->queue */
	struct message *message; /* one reference */
	bool event;              /* counted in event_size */
};

struct ws
{
	struct lws *wsi;         /* libwebsockets' */
	int fd;                  /* its socket */
	struct session *session; /* its session, from established to closed */
	struct buf frame;        /* fragments of the message under way */
	struct list queue;       /* struct queued, to be written */
	size_t queue_size;       /* bytes in queue, with overhead */
	size_t event_size;       /* those of events */
	size_t sent;             /* bytes of the first one that have left in fragments */
	size_t told;             /* what the session has heard of queue_size */
	struct pace slow;        /* runs while the socket does not take all */
	struct timer silence;    /* to the next look whether it has been heard */
	uint64_t heard;          /* loop_now() when something came last */
	struct list turn;        /* in gathered, if `gathers` */
	bool gathers;            /* what is queued leaves at the end of the turn */
	bool pinged;             /* and not heard since */
	bool held;               /* not read: whatever it says, it is not heard */
	bool closing;            /* a close frame is to follow the queue */
	bool close_said;         /* it was sent, or libwebsockets answers the client's */
	int close_code;          /* of it */
	char close_reason[124];  /* of it: the longest there may be, and NUL */
};

static struct list gathered;    /* struct ws that leave at the end of the turn; next NULL: none did ever */
static struct task end_of_turn; /* sees to them */

static void
pop(struct ws *ws)
{
	struct queued *queued = list_entry(list_shift(&ws->queue), struct queued, node);

	size_t size = message_length(queued->message) + QUEUE_OVERHEAD;

	ws->queue_size -= size;
	stats_move(GAUGE_OUTBOUND, -(int64_t) size);
	ws->event_size -= queued->event ? size : 0;
	ws->sent = 0;
	message_release(queued->message);
	mem_free(queued);
}

/* The library looks at its timers only when something happens to one of its sockets: so something does. */
static void
limit_time(struct ws *ws, enum pending_timeout reason, int seconds)
{
	lws_set_timeout(ws->wsi, reason, seconds);
	lws_cancel_service(lws_get_context(ws->wsi));
}

static void
ws_close(void *socket, int code, const char *reason)
{
	struct ws *ws = socket;

	ws->closing = true;
	ws->close_code = code;
	snprintf(ws->close_reason, sizeof ws->close_reason, "%s", reason);
	lws_rx_flow_control(ws->wsi, 1);
	limit_time(ws, PENDING_TIMEOUT_CLOSE_SEND, CLOSE_LIMIT);
	lws_callback_on_writable(ws->wsi);
}

/* Of so many bytes, no more than PIECE. */
static size_t
header_size(size_t length)
{
	return length < 126 ? 2 : FRAME_HEADER;
}

/* That of a text frame. */
static void
put_header(unsigned char *at, size_t length)
{
	at[0] = 0x81; /* text, final */
	at[1] = (unsigned char) (length < 126 ? length : 126);
	if (length < 126)
		return;
	at[2] = (unsigned char) (length >> 8);
	at[3] = (unsigned char) length;
}

/* A text frame behind `at`; → its size. */
static size_t
put_frame(unsigned char *at, struct message *message)
{
	size_t length = message_length(message);

	put_header(at, length);
	memcpy(at + header_size(length), message_text(message), length);
	return header_size(length) + length;
}

/* Whole frames to the kernel, and what it does not take to the library. False: the socket is broken. */
static bool
put_out(struct ws *ws, unsigned char *frames, size_t length)
{
	ssize_t sent = send(ws->fd, frames, length, MSG_NOSIGNAL | MSG_DONTWAIT);

	ws->slow.moved += length;
	if (sent == (ssize_t) length)
		return true;
	if (sent < 0)
		sent = 0;
	length -= (size_t) sent;
	return lws_write(ws->wsi, frames + sent, length, LWS_WRITE_RAW) >= (int) length;
}

/* The first message, in the room in front of it: no other receiver's frame looks different. */
static bool
write_first(struct ws *ws)
{
	struct message *message = list_entry(ws->queue.next, struct queued, node)->message;
	size_t header = header_size(message_length(message));
	unsigned char *frame = (unsigned char *) message_text(message) - header;
	bool good;

	put_header(frame, message_length(message));
	good = put_out(ws, frame, header + message_length(message));
	pop(ws);
	return good;
}

/* How many messages from the front of the queue go into one write; 0: the first one is too long. */
static int
count_fitting(struct ws *ws)
{
	struct list *node;
	struct list *after;
	size_t size = 0;
	int count = 0;

	if (ws->sent > 0)
		return 0;
	list_each(node, after, &ws->queue)
	{
		size += message_length(list_entry(node, struct queued, node)->message) + FRAME_HEADER;
		if (size > PIECE)
			break;
		count++;
	}
	return count;
}

/* So many messages in one write; false: the socket is broken. */
static bool
write_together(struct ws *ws, int count)
{
	unsigned char frames[PIECE];
	size_t length = 0;

	while (count-- > 0)
	{
		length += put_frame(frames + length, list_entry(ws->queue.next, struct queued, node)->message);
		pop(ws);
	}
	return put_out(ws, frames, length);
}

/* The next piece of the first message in the queue; false: the socket is broken. */
static bool
write_piece(struct ws *ws)
{
	unsigned char piece[LWS_PRE + PIECE];
	struct message *message = list_entry(ws->queue.next, struct queued, node)->message;
	size_t left = message_length(message) - ws->sent;
	size_t length = left < PIECE ? left : PIECE;
	int flags = lws_write_ws_flags(LWS_WRITE_TEXT, ws->sent == 0, length == left);

	memcpy(piece + LWS_PRE, message_text(message) + ws->sent, length);
	if (lws_write(ws->wsi, piece + LWS_PRE, length, (enum lws_write_protocol) flags) < (int) length)
		return false;
	ws->slow.moved += length;
	ws->sent += length;
	if (length == left)
		pop(ws);
	return true;
}

/* As much from the front of the queue as one write takes; false: the socket is broken. */
static bool
write_some(struct ws *ws)
{
	int count = count_fitting(ws);

	if (count == 0)
		return write_piece(ws);
	return count == 1 ? write_first(ws) : write_together(ws, count);
}

static void
is_slow(struct pace *pace)
{
	struct ws *ws = list_entry(pace, struct ws, slow);

	while (!list_empty(&ws->queue))
		pop(ws);
	session_close(ws->session, SESSION_SLOW);
}

/* As much of the queue as the socket takes; false: it is broken. Nothing follows a close frame. */
static bool
write_queue(struct ws *ws)
{
	if (ws->close_said)
		return true;
	while (!list_empty(&ws->queue) && !lws_partial_buffered(ws->wsi))
	{
		if (!write_some(ws))
			return false;
	}
	if (list_empty(&ws->queue) && !lws_partial_buffered(ws->wsi))
	{
		pace_stop(&ws->slow);
		return true;
	}
	pace_start(&ws->slow, ws->fd, is_slow);
	lws_callback_on_writable(ws->wsi);
	return true;
}

/* The session is to know how much the socket does not take. */
static void
tell_session(struct ws *ws)
{
	if (ws->told == ws->queue_size)
		return;
	ws->told = ws->queue_size;
	session_queued(ws->session, ws->queue_size);
}

static void
cut(struct ws *ws)
{
	limit_time(ws, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

static void
stop_gathering(struct ws *ws)
{
	if (!ws->gathers)
		return;
	ws->gathers = false;
	list_remove(&ws->turn);
}

/* What was gathered need not wait any longer. */
static void
leave(struct ws *ws)
{
	stop_gathering(ws);
	if (!write_queue(ws))
		cut(ws);
	tell_session(ws);
}

static void
all_leave(struct task *task)
{
	(void) task;
	while (!list_empty(&gathered))
		leave(list_entry(gathered.next, struct ws, turn));
}

static void
gather(struct ws *ws)
{
	if (gathered.next == NULL)
		list_init(&gathered);
	ws->gathers = true;
	list_append(&gathered, &ws->turn);
	end_of_turn.run = all_leave;
	loop_defer(&end_of_turn);
}

static void
enqueue(struct ws *ws, struct message *message, bool event)
{
	size_t size = message_length(message) + QUEUE_OVERHEAD;
	struct queued *queued = mem_alloc(sizeof *queued);

	if (list_empty(&ws->queue))
		gather(ws);
	queued->message = message_share(message);
	queued->event = event;
	list_append(&ws->queue, &queued->node);
	ws->queue_size += size;
	stats_move(GAUGE_OUTBOUND, (int64_t) size);
	ws->event_size += event ? size : 0;
	if (!ws->gathers)
		tell_session(ws);
	else if (ws->queue_size >= PIECE)
		leave(ws);
}

static void
ws_send(void *socket, struct message *message)
{
	enqueue(socket, message, false);
}

/* Whether so much more would be too much of events. */
static bool
is_full(const struct ws *ws, const struct message *message)
{
	return ws->event_size + message_length(message) > (size_t) config.outbound_limit;
}

static bool
ws_send_event(void *socket, struct message *message)
{
	struct ws *ws = socket;

	if (ws->gathers && is_full(ws, message))
		leave(ws);
	if (is_full(ws, message))
		return false;
	enqueue(ws, message, true);
	return true;
}

static void
hear(struct ws *ws)
{
	ws->heard = loop_now();
	ws->pinged = false;
}

static void
ws_hold(void *socket, bool hold)
{
	struct ws *ws = socket;

	ws->held = hold;
	if (!hold)
		hear(ws);
	lws_rx_flow_control(ws->wsi, !hold);
}

/* Say goodbye; the socket goes when the client has said it too, or after CLOSE_LIMIT. */
static int
say_close(struct ws *ws)
{
	unsigned char frame[LWS_PRE + 2 + sizeof ws->close_reason];
	size_t length = strlen(ws->close_reason);

	if (ws->close_said)
		return 0;
	ws->close_said = true;
	frame[LWS_PRE] = (unsigned char) (ws->close_code >> 8);
	frame[LWS_PRE + 1] = (unsigned char) ws->close_code;
	memcpy(frame + LWS_PRE + 2, ws->close_reason, length);
	limit_time(ws, PENDING_TIMEOUT_CLOSE_ACK, CLOSE_LIMIT);
	return lws_write(ws->wsi, frame + LWS_PRE, length + 2, WRITE_CLOSE) < 0 ? -1 : 0;
}

int
ws_writeable(struct peer *peer)
{
	struct ws *ws = peer->ws;
	size_t before;

	if (ws == NULL)
		return -1;
	before = ws->queue_size;
	stop_gathering(ws);
	if (!write_queue(ws))
		return -1;
	if (ws->queue_size != before)
		ws_heard(peer);
	tell_session(ws);
	if (list_empty(&ws->queue) && ws->closing)
		return say_close(ws);
	return 0;
}

/* The library refuses the codes below 5000 that nobody may send. */
static bool
is_bad_close(const unsigned char *payload, size_t length)
{
	return length == 1 || (length >= 2 && (payload[0] << 8 | payload[1]) >= 5000);
}

/* Nothing is answered in its own words to a close frame that is none: the socket ends here. */
static int
refuse_close(struct ws *ws)
{
	ws->close_code = 1002;
	snprintf(ws->close_reason, sizeof ws->close_reason, "bad close");
	if (list_empty(&ws->queue) && !lws_partial_buffered(ws->wsi))
		say_close(ws);
	return -1;
}

int
ws_peer_closing(struct peer *peer, const unsigned char *payload, size_t length)
{
	struct ws *ws = peer->ws;

	if (ws == NULL || ws->close_said)
		return -1;
	if (ws->gathers)
		leave(ws);
	if (is_bad_close(payload, length))
		return refuse_close(ws);
	ws->close_said = true;
	return 0;
}

void
ws_heard(struct peer *peer)
{
	if (peer->ws != NULL)
		hear(peer->ws);
}

int
ws_received(struct peer *peer, const char *data, size_t length)
{
	struct ws *ws = peer->ws;
	bool whole = lws_is_final_fragment(ws->wsi) && lws_remaining_packet_payload(ws->wsi) == 0;

	ws_heard(peer);
	if (ws->closing)
		return 0;
	if (lws_frame_is_binary(ws->wsi))
		session_close(ws->session, SESSION_NOT_TEXT);
	else if (ws->frame.length + length > (size_t) config.frame_limit)
		session_close(ws->session, SESSION_TOO_BIG);
	else if (whole && ws->frame.length == 0)
		session_receive(ws->session, data, length);
	else
	{
		buf_add(&ws->frame, data, length);
		if (!whole)
			return 0;
		session_receive(ws->session, ws->frame.data, ws->frame.length);
		buf_free(&ws->frame);
	}
	return 0;
}

/* The path of the request, without arguments. */
static bool
is_for_us(struct lws *wsi)
{
	char path[8];

	return lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI) > 0 && strcmp(path, "/ws") == 0;
}

int
ws_confirm(struct lws *wsi, const char *protocol)
{
	if (protocol == NULL || strcasecmp(protocol, "websocket") != 0 ||
		lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) != 9)
		return -1;
	if (is_for_us(wsi))
		return 0;
	lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND, NULL);
	return 1;
}

/* With something in it: the library says nothing of an empty pong. */
static void
ping(struct ws *ws)
{
	unsigned char frame[LWS_PRE + 1];

	frame[LWS_PRE] = 'p';
	ws->pinged = true;
	if (lws_write(ws->wsi, frame + LWS_PRE, 1, LWS_WRITE_PING) < 0)
		cut(ws);
}

static void look_for_silence(struct timer *timer);

static void
look_later(struct ws *ws, uint64_t milliseconds)
{
	uint64_t due = loop_now() + milliseconds + LOOK_STEP - 1;

	timer_set(&ws->silence, due - due % LOOK_STEP - loop_now(), look_for_silence);
}

/* Whoever does not take what waits for him is slow's, and whoever is held will be read again. */
static void
look_for_silence(struct timer *timer)
{
	struct ws *ws = list_entry(timer, struct ws, silence);
	uint64_t most = (uint64_t) config.ping_interval;
	uint64_t silent = loop_now() - ws->heard;
	bool waits = ws->held || !list_empty(&ws->queue) || lws_partial_buffered(ws->wsi);

	if (ws->closing || ws->close_said)
		return;
	if (silent < most / 4 * 3)
	{
		look_later(ws, most - silent);
		return;
	}
	if (ws->pinged && !waits)
	{
		cut(ws);
		return;
	}
	if (!waits)
		ping(ws);
	look_later(ws, most);
}

int
ws_established(struct lws *wsi, struct peer *peer, struct arrival *arrival)
{
	static const struct session_socket ops = {
		.send = ws_send, .send_event = ws_send_event, .close = ws_close, .hold = ws_hold};
	struct ws *ws = mem_alloc(sizeof *ws);
	uint64_t most = (uint64_t) config.ping_interval;

	ws->wsi = wsi;
	ws->fd = (int) lws_get_socket_fd(wsi);
	list_init(&ws->queue);
	ws->heard = loop_now();
	look_later(ws, most / 4 * 3 + loop_random(most / 4));
	peer->ws = ws;
	ws->session = session_open(&ops, ws, arrival->address, arrival->bearer);
	mem_free(arrival->bearer);
	arrival->bearer = NULL;
	return 0;
}

void
ws_closed(struct peer *peer)
{
	struct ws *ws = peer->ws;

	peer->ws = NULL;
	if (ws == NULL)
		return;
	pace_stop(&ws->slow);
	timer_clear(&ws->silence);
	stop_gathering(ws);
	session_gone(ws->session);
	while (!list_empty(&ws->queue))
		pop(ws);
	buf_free(&ws->frame);
	mem_free(ws);
}

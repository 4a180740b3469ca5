/* SPDX-License-Identifier: PostgreSQL */
/*
 * client.c
 *	  The client's side of RFC 6455 on libuv, by hand: chat-bench shares its cores with what it measures, and a general
 *	  library costs about as much a message as the gateway does.
 *
 *	  CONNECTING --connected--> UPGRADING --101--> OPEN --close, end, error--> CLOSING --> closed(), freed
 *
 * 1. All clients read into one buffer, since libuv reads and calls back in one go. Whole frames are handled where they lie; the
 *	  rest of a frame waits in the client.
 * 2. What `received` sends gathers and leaves in one write when the buffer is used up: no more system calls than a
 *	  browser's would be. Written at once; what the kernel does not take waits for it.
 * 3. Frames are masked as they must be, with the key 0, which leaves the text as it is: the server's work is the same.
 *
 * It trusts the server: no checks of UTF-8 or of reserved bits, and Sec-WebSocket-Accept is not computed.
 *
 * Called from: fleet. Calls: base/buf, base/mem, libuv.
 */
#include "bench/client.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bench/report.h"

#define READ_SIZE (256 * 1024)

enum opcode
{
	OP_CONTINUATION = 0,
	OP_TEXT = 1,
	OP_CLOSE = 8,
	OP_PING = 9,
	OP_PONG = 10
};

enum client_state
{
	CONNECTING,
	UPGRADING,
	OPEN,
	CLOSING
};

struct client
{
	uv_tcp_t tcp;                         /* the socket */
	uv_connect_t connect;                 /* while CONNECTING */
	uv_write_t write;                     /* while `writing` */
	const struct client_handler *handler; /* static */
	void *owner;                          /* for the handler */
	enum client_state state;              /* see above */
	bool reading;                         /* inside on_read: writes are put off to its end */
	bool writing;                         /* the kernel has not taken `leaving` yet */
	struct buf rest;                      /* the beginning of an incomplete frame */
	struct buf whole;                     /* fragments of a message under way */
	struct buf out;                       /* frames to be written */
	struct buf leaving;                   /* handed to libuv, unchanged until it has left */
};

static char read_buffer[READ_SIZE]; /* everybody's, between on_alloc and on_read */

static void
on_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;

	client->handler->closed(client->owner);
	buf_free(&client->rest);
	buf_free(&client->whole);
	buf_free(&client->out);
	buf_free(&client->leaving);
	mem_free(client);
}

void
client_close(struct client *client)
{
	if (client->state == CLOSING)
		return;
	client->state = CLOSING;
	uv_close((uv_handle_t *) &client->tcp, on_closed);
}

static void flush(struct client *client);

static void
on_written(uv_write_t *write, int status)
{
	struct client *client = write->handle->data;

	client->writing = false;
	buf_clear(&client->leaving);
	if (status == 0)
		flush(client);
	else
		client_close(client);
}

/* The kernel took only so much: the rest is libuv's. */
static void
write_rest(struct client *client, size_t taken)
{
	uv_buf_t piece;

	buf_add(&client->leaving, client->out.data + taken, client->out.length - taken);
	piece = uv_buf_init(client->leaving.data, (unsigned) client->leaving.length);
	client->writing = true;
	if (uv_write(&client->write, (uv_stream_t *) &client->tcp, &piece, 1, on_written) != 0)
		client_close(client);
}

static void
flush(struct client *client)
{
	uv_buf_t piece;
	int taken;

	if (client->writing || client->reading || client->out.length == 0 || client->state == CLOSING)
		return;
	piece = uv_buf_init(client->out.data, (unsigned) client->out.length);
	taken = uv_try_write((uv_stream_t *) &client->tcp, &piece, 1);
	if (taken < 0 && taken != UV_EAGAIN)
	{
		client_close(client);
		return;
	}
	if (taken < (int) client->out.length)
		write_rest(client, taken < 0 ? 0 : (size_t) taken);
	buf_clear(&client->out);
}

static void
add_frame(struct client *client, enum opcode opcode, const char *data, size_t length)
{
	unsigned char head[14] = {(unsigned char) (0x80 | opcode)};
	size_t size = 2;

	if (length < 126)
		head[1] = (unsigned char) (0x80 | length);
	else if (length < 65536)
	{
		head[1] = 0x80 | 126;
		head[2] = (unsigned char) (length >> 8);
		head[3] = (unsigned char) length;
		size = 4;
	}
	else
		give_up("a message of %zu bytes is more than the gateway takes", length);
	buf_add(&client->out, head, size + 4); /* the key: four zeros */
	buf_add(&client->out, data, length);
	flush(client);
}

void
client_send(struct client *client, const char *message, size_t length)
{
	if (client->state == OPEN)
		add_frame(client, OP_TEXT, message, length);
}

static void
take_text(struct client *client, bool final, const char *data, size_t length)
{
	if (final && client->whole.length == 0)
	{
		client->handler->received(client->owner, data, length);
		return;
	}
	buf_add(&client->whole, data, length);
	if (!final)
		return;
	client->handler->received(client->owner, client->whole.data, client->whole.length);
	buf_free(&client->whole);
}

static void
take_frame(struct client *client, unsigned char first, const char *data, size_t length)
{
	switch ((enum opcode)(first & 15))
	{
		case OP_TEXT:
		case OP_CONTINUATION:
			take_text(client, (first & 0x80) != 0, data, length);
			break;
		case OP_PING:
			add_frame(client, OP_PONG, data, length);
			break;
		case OP_CLOSE:
			client_close(client);
			break;
		case OP_PONG:
			break;
	}
}

static uint64_t
big_endian(const unsigned char *bytes, int count)
{
	uint64_t number = 0;

	for (int i = 0; i < count; i++)
		number = number << 8 | bytes[i];
	return number;
}

/* → bytes of the frame that the data begins with; 0: it is not whole. A server's frames have no key. */
static size_t
take_one(struct client *client, const char *data, size_t length)
{
	const unsigned char *head = (const unsigned char *) data;
	size_t size = 2;
	uint64_t body;

	if (length < size)
		return 0;
	body = head[1] & 127;
	size += body == 126 ? 2 : body == 127 ? 8 : 0;
	if (length < size)
		return 0;
	if (body >= 126)
		body = big_endian(head + 2, (int) size - 2);
	if (length - size < body)
		return 0;
	take_frame(client, head[0], data + size, body);
	return size + body;
}

static size_t
take_upgrade(struct client *client, const char *data, size_t length)
{
	static const char good[] = "HTTP/1.1 101";
	const char *end = memmem(data, length, "\r\n\r\n", 4);

	if (end == NULL)
		return 0;
	if (memcmp(data, good, sizeof good - 1) != 0)
	{
		client_close(client);
		return length;
	}
	client->state = OPEN;
	client->handler->opened(client->owner);
	return (size_t) (end - data) + 4;
}

/* → bytes used up. */
static size_t
take_all(struct client *client, const char *data, size_t length)
{
	size_t used = 0;

	while (client->state != CLOSING && used < length)
	{
		size_t step = client->state == UPGRADING ? take_upgrade(client, data + used, length - used)
												 : take_one(client, data + used, length - used);

		if (step == 0)
			break;
		used += step;
	}
	return used;
}

static void
take(struct client *client, const char *data, size_t length)
{
	struct buf before = client->rest;
	size_t used;

	if (before.length == 0)
	{
		used = take_all(client, data, length);
		buf_add(&client->rest, data + used, length - used);
		return;
	}
	buf_add(&before, data, length);
	client->rest = (struct buf){0};
	used = take_all(client, before.data, before.length);
	buf_add(&client->rest, before.data + used, before.length - used);
	buf_free(&before);
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	(void) handle;
	(void) suggested;
	*buffer = uv_buf_init(read_buffer, READ_SIZE);
}

static void
on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct client *client = stream->data;

	if (length < 0)
	{
		client_close(client);
		return;
	}
	client->reading = true;
	take(client, buffer->base, (size_t) length);
	client->reading = false;
	flush(client);
}

static void
ask_for_upgrade(struct client *client)
{
	buf_add_text(&client->out,
				 "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
				 "Sec-WebSocket-Protocol: chat.v1\r\n\r\n");
	flush(client);
}

static void
on_connected(uv_connect_t *connect, int status)
{
	struct client *client = connect->handle->data;

	if (client->state == CLOSING)
		return;
	if (status != 0)
	{
		client_close(client);
		return;
	}
	client->state = UPGRADING;
	uv_tcp_nodelay(&client->tcp, 1);
	uv_read_start((uv_stream_t *) &client->tcp, on_alloc, on_read);
	ask_for_upgrade(client);
}

struct client *
client_create(const struct client_handler *handler, void *owner, int port)
{
	struct client *client = mem_alloc(sizeof *client);
	struct sockaddr_in address;

	client->handler = handler;
	client->owner = owner;
	uv_tcp_init(uv_default_loop(), &client->tcp);
	client->tcp.data = client;
	uv_ip4_addr("127.0.0.1", port, &address);
	if (uv_tcp_connect(&client->connect, &client->tcp, (struct sockaddr *) &address, on_connected) != 0)
		client_close(client);
	return client;
}

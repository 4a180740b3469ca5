/* SPDX-License-Identifier: PostgreSQL */
/* HTTP/1.1: connections, their requests, their answers. See http.c. */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/buf.h"
#include "base/list.h"
#include "codec/head.h"
#include "codec/rpc.h"
#include "codec/trace.h"
#include "io/loop.h"
#include "io/timer.h"
#include "net/pace.h"

#define HTTP_ENDLESS INT64_MAX /* the length of a stream that has none */
#define HTTP_RETRY   1000      /* milliseconds to wait when there is too much of something */

struct http;

/* Who has a request in hand, from its begin function to `gone`. All but `gone` may be NULL. */
struct http_handler
{
	void (*received)(struct http *http, const char *data, size_t length); /* a piece of the body */
	void (*complete)(struct http *http);                                  /* that was all of it */
	void (*drained)(struct http *http); /* all given so far has left, and more is due */
	void (*gone)(struct http *http);    /* answered, or never to be: let go of what is yours */
};

enum http_state
{
	HTTP_WAITING,   /* for the head of a request */
	HTTP_READING,   /* the body comes, unless it is held */
	HTTP_THINKING,  /* the handler's turn */
	HTTP_ANSWERING, /* something is to be written */
	HTTP_LINGERING  /* answered for the last time; what still comes is thrown away */
};

/* One connection, with the request under way. The first part is for handlers to read. */
struct http
{
	const struct head *head; /* while the request begins, not after */
	int64_t length;          /* bytes of the request's body */
	char address[64];        /* of the client, as text */
	bool is_head;            /* HEAD: the answer has no body */
	bool inner;              /* it came in by metrics_listen */
	void *owner;             /* the handler's */

	/* The answer; for handlers to fill. */
	struct buf fields;   /* header lines, each with its CR LF */
	struct buf body;     /* what is to be written next */
	const char *type;    /* content type, static; NULL: the fields say it, or there is none */
	const char *allowed; /* methods to name in a refusal, static; NULL: none */
	bool close;          /* the connection ends with it */

	/* http.c's own. */
	struct buf common;                  /* header lines that the answer has whatever it is */
	int fd;                             /* the socket, owned */
	uv_poll_t poll;                     /* watches it */
	int events;                         /* what poll is set for */
	struct list node;                   /* among the connections */
	enum http_state state;              /* above */
	const struct http_handler *handler; /* NULL: nobody has a request in hand */
	int64_t unread;                     /* bytes of the body still to come */
	bool expects;                       /* 100 Continue is to be said before the body */
	bool fresh;                         /* no request has come yet */
	bool begun;                         /* some of the next head has come */
	int refusal;                        /* status to answer whatever comes with; 0: none */
	char direct[64];                    /* the peer's address, whoever it speaks for */
	struct buf front;                   /* status line and header lines on their way */
	size_t front_sent;                  /* bytes of it */
	size_t sent;                        /* bytes of body */
	int64_t due;                        /* bytes of body that the answer is still to have */
	struct timer limit;                 /* on a head, a short body, the next request, the end */
	struct pace pace;                   /* of a long body, or of the answer */
	struct task push;                   /* write what there is */
	bool ended;                         /* closing: freed when libuv has let go of poll */
};

/* A new connection from this address. refusal: an HTTP status that its first request is refused with, or 0. */
extern void http_open(int fd, int refusal, const char *direct, bool inner);
extern void http_close_idle(void); /* no more requests: connections that have none in hand end */
extern bool http_is_quiet(void);   /* none has one in hand */
extern void http_close_all(void);  /* at the end */

/* For begin functions: who goes on with the request. Then either http_read, or an answer. */
extern void http_take(struct http *http, const struct http_handler *handler, void *owner);
extern void http_read(struct http *http, bool patient); /* the body, please; again after http_hold */
extern void http_hold(struct http *http);               /* no more of it for now */

/* Append a header line. */
extern void http_field(struct http *http, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The answer is as the fields and the body say. With `length` the body is a stream: as many bytes, now or later. */
extern void http_answer(struct http *http, int status);
extern void http_begin_stream(struct http *http, int status, int64_t length);
extern void http_give(struct http *http);       /* body has been filled again */
extern bool http_flush(struct http *http);      /* write it now; true: all of it has left */
extern void http_end_stream(struct http *http); /* the same, for the last time: of an endless one */

/* The answer is this error; what was in fields and body is dropped. */
extern void http_error(struct http *http, const struct rpc_error *error);
extern void http_refuse(struct http *http, int status, const char *reason, const char *message);

/* The same, but the fields stay: those that the status asks for. */
extern void http_refuse_with_fields(struct http *http, int status, const char *reason, const char *message);

extern void http_cut(struct http *http); /* end the connection at once: the handler is not told any more */

/* Which trace the request says it belongs to; false, and empty: none. */
extern bool http_trace(const struct http *http, struct trace *trace);

/* The Bearer token of the request, owned by the caller; NULL: none. */
extern char *http_bearer(const struct http *http);

#endif

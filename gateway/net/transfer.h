/* SPDX-License-Identifier: PostgreSQL */
/* What files on their way in and out have in common. For upload.c and download.c. See transfer.c. */
#ifndef NET_TRANSFER_H
#define NET_TRANSFER_H

#include "chat/errand.h"
#include "chat/session.h"
#include "chat/span.h"
#include "net/http.h"

struct transfer;

struct transfer_kind
{
	struct http_handler http;                    /* its `gone` is transfer_gone */
	void (*admitted)(struct transfer *transfer); /* it is known whose request it is: begin */
	void (*free)(struct transfer *transfer);     /* over: free it and what is its own */
	const char *name;                            /* of its span */
};

/* A file on its way; begins a struct upload or a struct download. */
struct transfer
{
	const struct transfer_kind *kind; /* which of them */
	struct http *http;                /* whose request it is */
	struct session *session;          /* the visitor */
	int64_t holder;        /* whose it is: session_holder's, or network_key of who is not known yet */
	struct errand *errand; /* under way, or NULL */
	bool answered;         /* the answer has begun: nothing else can be said */
	struct span span;      /* of the request, when it is in a sampled trace */
	int failure;           /* what it was refused with; 0: it was not */
	uint64_t looked;       /* loop_now() when the login was last known good */
	char id[24];           /* of the file or the upload, decimal; empty: an upload not begun */
	int64_t at;            /* the next byte to be written to the database, or read from it */
};

/* Of this size, zeroed but for the first part above. NULL: there are too many, in all or of this address, which was answered. */
extern struct transfer *transfer_create(struct http *http, size_t size, const struct transfer_kind *kind);

/* Find out whose request it is, without a token by this ticket, or NULL; `admitted` follows, or a refusal. */
extern void transfer_visit(struct transfer *transfer, const char *ticket);

extern void transfer_run(struct transfer *transfer, const char *method, const struct errand_value *values,
						 int count, struct buf *bytes, bool binary, errand_done done);

/* The errand has come back. False: it failed, or nobody waits for it any more; that has been seen to. */
extern bool transfer_is_good(struct transfer *transfer, const struct rpc_error *error);

extern void transfer_refuse(struct transfer *transfer, const struct rpc_error *error);
extern void transfer_fail(struct transfer *transfer, int code, const char *reason, const char *message);
extern void transfer_gone(struct http *http);

extern void transfer_close(void); /* at the end, when there are none */

extern size_t transfer_piece(const struct transfer *transfer); /* bytes from `at` to where its chunk ends */
extern void transfer_look_at_login(struct transfer *transfer); /* now and then: is it still good? */
extern bool transfer_is_number(const char *text);              /* digits of an int8 */
extern int64_t transfer_number(const struct pg_result *result, const char *column); /* of one row; -1: NULL */
extern const char *transfer_text(const struct pg_result *result,
								 const char *column); /* of one row, or NULL */

#endif

/* SPDX-License-Identifier: PostgreSQL */
/*
 * transfer.c
 *	  What files on their way in and out have in common: whose they are, one step at a time, and their end.
 *
 * 1. Whose request it is, is found out first: a visitor (chat/session.c) by Bearer token or by ticket.
 * 2. The steps are errands (chat/errand.c), one at a time. One piece of PIECE bytes is under way: while the database
 *	  writes one the client is not read, and the next one is read when the client has taken the last. So a transfer
 *	  has a megabyte in memory at most, however long the file and however slow the client.
 * 3. Long transfers ask now and then whether the login they began with is still good.
 * 4. A worker has max_transfers at a time; of one user, max_transfers_per_user and never more than half, and of one
 *	  address as many whose user is not known yet. So whoever fills theirs leaves room for others.
 *
 * Called from: net/upload, net/download. Calls: net/http, chat/errand, chat/session, chat/ticket, chat/rate.
 */
#include "net/transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/network.h"
#include "base/stats.h"
#include "chat/alive.h"
#include "chat/fault.h"
#include "chat/rate.h"
#include "chat/ticket.h"

#define PIECE       262144 /* bytes: a chunk of the database's */
#define DOUBT_PAUSE 5000   /* milliseconds of a transfer between looks whether its login is good */

static int transfer_count; /* under way */
static struct hash
	*holders; /* how many of them are whose, by transfer->holder; owned; NULL: there were none yet */

static size_t
most_of_one(void)
{
	int half = config.max_transfers > 1 ? config.max_transfers / 2 : 1;

	return (size_t) (config.max_transfers_per_user < half ? config.max_transfers_per_user : half);
}

/* Count it as this holder's, and no more as another's. False: that is one too many. */
static bool
hold(struct transfer *transfer, int64_t holder)
{
	if (transfer->holder != 0)
		hash_add(holders, transfer->holder, -1);
	transfer->holder = holder;
	return hash_add(holders, holder, 1) <= most_of_one();
}

void
transfer_run(struct transfer *transfer, const char *method, const struct errand_value *values, int count,
			 struct buf *bytes, bool binary, errand_done done)
{
	transfer->errand = errand_run(transfer->session, method, values, count, bytes, binary, done, transfer);
}

void
transfer_refuse(struct transfer *transfer, const struct rpc_error *error)
{
	transfer->failure = error->code;
	if (transfer->answered)
	{
		http_cut(transfer->http);
		return;
	}
	transfer->answered = true;
	http_error(transfer->http, error);
}

static void
refuse(void *socket, const struct rpc_error *error)
{
	transfer_refuse(socket, error);
}

void
transfer_fail(struct transfer *transfer, int code, const char *reason, const char *message)
{
	struct rpc_error error = {.code = code, .reason = reason, .message = message};

	if (code == 429)
		error.retry_after = HTTP_RETRY;
	transfer_refuse(transfer, &error);
}

bool
transfer_is_good(struct transfer *transfer, const struct rpc_error *error)
{
	transfer->errand = NULL;
	if (error != NULL && !transfer->answered)
		transfer_refuse(transfer, error);
	return error == NULL && !transfer->answered;
}

static void
admitted(void *socket)
{
	struct transfer *transfer = socket;
	long long wait = 0;
	struct rpc_error error;

	transfer->looked = loop_now();
	session_engage(transfer->session);
	if (!hold(transfer, session_holder(transfer->session)))
		transfer_fail(transfer, 429, "too_many_transfers", "too many files of yours are on their way");
	else if (rate_count(transfer->session, &wait) == RATE_GOOD)
		transfer->kind->admitted(transfer);
	else
	{
		error = fault_rate_limited(wait);
		transfer_refuse(transfer, &error);
	}
}

/* The visitor's login has ended, or this worker does. */
static void
end_visit(void *socket, int code, const char *reason)
{
	struct transfer *transfer = socket;
	bool answered = transfer->answered;

	if (code == 1000)
		return;
	transfer->answered = true;
	if (answered)
		http_cut(transfer->http); /* and the transfer is no more */
	else if (code == 1001)
		http_refuse(transfer->http, 503, reason, "this gateway ends; ask again");
	else
		http_refuse(transfer->http, 401, reason, "the session has ended");
}

static void
ignore_message(void *socket, struct message *message)
{
	(void) socket;
	(void) message;
}

static bool
ignore_event(void *socket, struct message *message)
{
	(void) socket;
	(void) message;
	return true;
}

static void
ignore_hold(void *socket, bool wanted)
{
	(void) socket;
	(void) wanted;
}

static const struct session_socket visitor_ops = {ignore_message, ignore_event, end_visit,
												  ignore_hold,    admitted,     refuse};

void
transfer_look_at_login(struct transfer *transfer)
{
	if (loop_now() < transfer->looked + DOUBT_PAUSE)
		return;
	transfer->looked = loop_now();
	alive_doubt(transfer->session);
}

void
transfer_gone(struct http *http)
{
	struct transfer *transfer = http->owner;

	errand_abandon(transfer->errand);
	transfer->answered = true;
	if (transfer->session != NULL)
		session_gone(transfer->session);
	transfer_count--;
	hash_add(holders, transfer->holder, -1);
	stats_move(GAUGE_TRANSFERS, -1);
	span_end(&transfer->span, OTLP_SERVER, "http", transfer->kind->name, transfer->failure);
	transfer->kind->free(transfer);
}

/* What is called for it is beneath the request's own span. */
static void
begin_span(struct transfer *transfer)
{
	struct trace trace;

	http_trace(transfer->http, &trace);
	span_begin(&transfer->span, &trace);
	trace.sampled = transfer->span.id[0] != '\0';
	if (trace.sampled)
		memcpy(trace.parent, transfer->span.id, sizeof trace.parent);
	session_set_trace(transfer->session, &trace);
}

void
transfer_visit(struct transfer *transfer, const char *ticket)
{
	struct http *http = transfer->http;
	char *bearer = http_bearer(http);
	struct rpc_error error = fault_not_authenticated();

	error.hint = "send a token as Authorization: Bearer";
	if (bearer == NULL && ticket == NULL)
		transfer_refuse(transfer, &error);
	else
		transfer->session = session_visit(&visitor_ops, transfer, http->address, bearer);
	if (transfer->session != NULL)
		begin_span(transfer);
	if (bearer == NULL && ticket != NULL)
		ticket_admit(transfer->session, ticket, TICKET_FILE, strtoll(transfer->id, NULL, 10));
	mem_free(bearer);
}

/* Whether it was refused: there are too many already, in all or of its address. */
static bool
is_refused(struct http *http, int64_t address)
{
	bool all = transfer_count >= config.max_transfers;

	if (all)
		http_refuse(http, 503, "too_many_transfers", "too many files are on their way");
	else if (hash_add(holders, address, 0) >= most_of_one())
		http_refuse(http, 429, "too_many_transfers", "too many files of your address are on their way");
	else
		return false;
	return true;
}

struct transfer *
transfer_create(struct http *http, size_t size, const struct transfer_kind *kind)
{
	struct transfer *transfer;
	int64_t address = network_key(http->address);

	holders = holders ? holders : hash_create();
	if (is_refused(http, address))
		return NULL;
	transfer = mem_alloc(size);
	transfer->kind = kind;
	transfer->http = http;
	transfer_count++;
	stats_move(GAUGE_TRANSFERS, 1);
	hold(transfer, address);
	http_take(http, &kind->http, transfer);
	return transfer;
}

void
transfer_close(void)
{
	if (holders != NULL)
		hash_destroy(holders);
	holders = NULL;
}

size_t
transfer_piece(const struct transfer *transfer)
{
	return (size_t) (PIECE - transfer->at % PIECE);
}

bool
transfer_is_number(const char *text)
{
	size_t length = strlen(text);

	errno = 0;
	return length >= 1 && strspn(text, "0123456789") == length && strtoll(text, NULL, 10) >= 0 && errno == 0;
}

const char *
transfer_text(const struct pg_result *result, const char *column)
{
	int at = result_column(result, column);

	return at < 0 || result_rows(result) != 1 ? NULL : result_value(result, 0, at, NULL);
}

int64_t
transfer_number(const struct pg_result *result, const char *column)
{
	const char *text = transfer_text(result, column);

	return text ? strtoll(text, NULL, 10) : -1;
}

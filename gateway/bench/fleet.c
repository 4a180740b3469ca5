/* SPDX-License-Identifier: PostgreSQL */
/*
 * fleet.c
 *	  The sessions of a run: read from a file, connected, logged in with `authenticate`; after that a mode has them.
 *
 * 1. At most OPENING sockets at a time are between connect and logged in while the fleet opens first; one that is ready
 *	  makes room for the next. When all are, the mode begins.
 * 2. A socket that closes ends the run, unless the mode reopens: then each comes back after a random part of
 *	  --spread, and after an attempt that failed of twice that, and so on: as chat.js does.
 * 3. Texts are told apart by their first bytes, which the gateway writes always alike: an answer has "id" where a push has "method".
 *	  A full parser would cost more than the gateway's work.
 *
 * Ids of requests: 1 is authenticate; a mode's own are greater.
 *
 * Called from: the modes, main.c. Calls: client, options.
 */
#include "bench/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bench/client.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/scan.h"

#define OPENING      200 /* sockets not yet logged in, at first */
#define AUTHENTICATE 1   /* id of that request */
#define LAST_ATTEMPT 20  /* connections that fail in a row before the run does */

struct fleet fleet;

static const struct mode *mode; /* of this run */
static int opened;              /* seats that have been given a socket so far */
static const struct client_handler handler;

int64_t
fleet_now(void)
{
	return (int64_t) uv_hrtime();
}

static void
read_seats(void)
{
	FILE *file = fopen(options.sessions, "r");
	char token[200];
	char chat[24];
	int size = 0;

	if (file == NULL)
		give_up("cannot read %s", options.sessions);
	while ((options.connections == 0 || fleet.count < options.connections) &&
		   fscanf(file, "%*s %199s %23s", token, chat) == 2)
	{
		if (fleet.count == size)
		{
			size = size == 0 ? 1024 : size * 2;
			fleet.seats = mem_resize(fleet.seats, (size_t) size * sizeof *fleet.seats);
		}
		fleet.seats[fleet.count] = (struct seat){.index = fleet.count, .token = mem_copy(token)};
		memcpy(fleet.seats[fleet.count++].chat, chat, sizeof chat);
	}
	fclose(file);
	if (fleet.count < options.connections || fleet.count == 0)
		give_up("%s has %d sessions", options.sessions, fleet.count);
	fleet.active = options.active > 0 && options.active < fleet.count ? (int) options.active : fleet.count;
}

static void
connect_seat(struct seat *seat)
{
	seat->replayed = false;
	seat->client = client_create(&handler, seat, (int) options.port);
}

static void
open_more(void)
{
	while (opened < fleet.count && opened - fleet.ready < OPENING)
		connect_seat(&fleet.seats[opened++]);
}

void
fleet_open(const struct mode *of_run)
{
	mode = of_run;
	read_seats();
	if (mode->begin != NULL)
		mode->begin();
	open_more();
}

void
fleet_call(struct seat *seat, int64_t id, const char *method, const char *params)
{
	static struct buf text;

	buf_clear(&text);
	buf_format(&text, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"method\":\"%s\",\"params\":%s}", (long long) id,
			   method, params);
	client_send(seat->client, text.data, text.length);
}

static void
on_opened(void *owner)
{
	struct seat *seat = owner;
	char params[300];

	if (mode->resumes && seat->cursor[0] != '\0')
		snprintf(params, sizeof params, "{\"token\":\"%s\",\"since\":\"%s\"}", seat->token, seat->cursor);
	else
		snprintf(params, sizeof params, "{\"token\":\"%s\"}", seat->token);
	fleet_call(seat, AUTHENTICATE, "authenticate", params);
}

/* Try later: a client would, so a fleet that reopens does. */
static void
refused(struct seat *seat, const char *text, size_t length)
{
	if (!mode->reopens || memmem(text, length, "\"retry_after_ms\":", 17) == NULL)
		give_up("authenticate: %.*s", (int) length, text);
	fleet.refused++;
	client_close(seat->client);
}

static void
on_authenticated(struct seat *seat, const char *text, size_t length)
{
	if (memmem(text, length, "\"result\":", 9) == NULL)
	{
		refused(seat, text, length);
		return;
	}
	scan_text(text, length, "\"cursor\":\"", seat->cursor, sizeof seat->cursor);
	seat->ready = true;
	seat->attempts = 0;
	fleet.ready++;
	open_more();
	if (fleet.ready == fleet.count)
		mode->all_ready();
}

static void
on_push(struct seat *seat, const char *text, size_t length)
{
	if (scan_begins(text, length, "\"cursor\""))
		scan_text(text, length, "\"cursor\":\"", seat->cursor, sizeof seat->cursor);
	else if (scan_begins(text, length, "\"synced\""))
	{
		scan_text(text, length, "\"cursor\":\"", seat->cursor, sizeof seat->cursor);
		seat->replayed = true;
		if (mode->synced != NULL)
			mode->synced(seat);
	}
	else if (mode->heard != NULL)
		mode->heard(seat, text, length);
}

static void
on_received(void *owner, const char *text, size_t length)
{
	static const char answer[] = "{\"jsonrpc\":\"2.0\",\"id\":";
	static const char push[] = "{\"jsonrpc\":\"2.0\",\"method\":";
	struct seat *seat = owner;
	int64_t id;

	if (length > sizeof push && memcmp(text, push, sizeof push - 1) == 0)
	{
		on_push(seat, text + sizeof push - 1, length - sizeof push + 1);
		return;
	}
	if (length < sizeof answer || memcmp(text, answer, sizeof answer - 1) != 0)
		give_up("neither answer nor push: %.*s", (int) length, text);
	id = strtoll(text + sizeof answer - 1, NULL, 10);
	if (id == AUTHENTICATE)
		on_authenticated(seat, text, length);
	else if (mode->answered != NULL)
		mode->answered(seat, id, text, length);
}

struct reopening
{
	uv_timer_t timer;  /* until then */
	struct seat *seat; /* who comes back */
};

static void
free_reopening(uv_handle_t *handle)
{
	mem_free(handle->data);
}

static void
on_reopening(uv_timer_t *timer)
{
	struct reopening *reopening = timer->data;

	connect_seat(reopening->seat);
	uv_close((uv_handle_t *) timer, free_reopening);
}

static void
reopen_later(struct seat *seat)
{
	struct reopening *reopening = mem_alloc(sizeof *reopening);
	long span = options.spread << (seat->attempts < 5 ? seat->attempts : 5);

	seat->attempts++;
	reopening->seat = seat;
	reopening->timer.data = reopening;
	uv_timer_init(uv_default_loop(), &reopening->timer);
	uv_timer_start(&reopening->timer, on_reopening, (uint64_t) (random() % (span + 1)), 0);
}

static void
on_closed(void *owner)
{
	struct seat *seat = owner;

	seat->client = NULL;
	fleet.ready -= seat->ready;
	seat->ready = false;
	if (!mode->reopens || seat->attempts == LAST_ATTEMPT)
		give_up("the gateway closed session %d", seat->index);
	reopen_later(seat);
}

static const struct client_handler handler = {on_opened, on_received, on_closed};

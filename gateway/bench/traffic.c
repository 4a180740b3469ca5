/* SPDX-License-Identifier: PostgreSQL */
/*
 * traffic.c
 *	  Messages that tell who sent them when, and the books about them: latency, what was lost, repeated or out of order.
 *
 * 1. A body begins with the sender's index, its message's number and the time it was due; the request's id is that time
 *	  too. So neither needs a table: what comes back says all.
 * 2. Answered: from due to the answer, hence committed. Heard: from due to the event at another one's socket.
 * 3. Each seat keeps one ledger, of the one sender it is told; the sender's own copy of its event is counted as a
 *	  delivery and otherwise ignored.
 * 4. Each event names the one before it in its chat (prev_id): another one than the last that came is a broken chain.
 *
 * Called from: pairs, room. Calls: fleet, histogram, ledger, scan, stage.
 */
#include "bench/traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "bench/client.h"
#include "bench/histogram.h"
#include "bench/ledger.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/scan.h"
#include "bench/stage.h"

static int (*ledger_sender)(int index);  /* of the mode */
static struct ledger_sums sums;          /* of all ledgers */
static struct histogram answer_latency;  /* of what was answered in STAGE_MEASURED */
static struct histogram deliver_latency; /* of what was heard in it, the sender's own copies left out */
static int64_t sent;                     /* messages in all */
static int64_t answered;                 /* of them, errors included */
static int64_t failed;                   /* answered with an error */
static int64_t deliveries;               /* events heard in STAGE_MEASURED, by whomever */
static int64_t broken;                   /* events whose prev_id was not the last one heard */
static int64_t resyncs;                  /* pushes that say that events were lost */

void
traffic_begin(int (*sender_of)(int index))
{
	ledger_sender = sender_of;
}

/* The body: stamp, then dots up to options.body. */
static void
add_body(struct buf *text, const struct seat *seat, int64_t due)
{
	size_t start = text->length;
	long padding;

	buf_format(text, "%d %lld %lld ", seat->index, (long long) seat->sent, (long long) due);
	padding = options.body - (long) (text->length - start);
	if (padding <= 0)
		return;
	memset(buf_reserve(text, (size_t) padding), '.', (size_t) padding);
	text->length += (size_t) padding;
}

void
traffic_send(struct seat *seat, int64_t due)
{
	static struct buf text;

	buf_clear(&text);
	buf_format(&text,
			   "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"method\":\"send_message\",\"params\":{\"chat_id\":\"%s\"",
			   (long long) due, seat->chat);
	if (options.keys)
		buf_format(&text, ",\"client_key\":\"%d.%lld\"", seat->index, (long long) due);
	buf_add_text(&text, ",\"body\":\"");
	add_body(&text, seat, due);
	buf_add_text(&text, "\"}}");
	seat->sent++;
	sent++;
	client_send(seat->client, text.data, text.length);
}

void
traffic_answered(struct seat *seat, int64_t id, const char *text, size_t length)
{
	(void) seat;
	answered++;
	if (memmem(text, length < 80 ? length : 80, ",\"error\":", 9) != NULL)
	{
		if (failed++ == 0)
			fprintf(stderr, "chat-bench: %.*s\n", (int) length, text);
		return;
	}
	if (stage == STAGE_MEASURED)
		histogram_add(&answer_latency, fleet_now() - id);
}

static void
follow_chain(struct seat *seat, const char *text, size_t length)
{
	int64_t id = scan_number(text, length, "\"id\":\"");

	broken += seat->last_event != 0 && scan_number(text, length, "\"prev_id\":\"") != seat->last_event;
	if (id > seat->last_event)
		seat->last_event = id;
}

static void
enter(struct seat *seat, int sender, int64_t number, int64_t due)
{
	bool measured = stage == STAGE_MEASURED;

	deliveries += measured;
	if (sender == seat->index || sender != ledger_sender(seat->index))
		return;
	ledger_enter(&seat->ledger, number, &sums);
	if (measured)
		histogram_add(&deliver_latency, fleet_now() - due);
}

int
traffic_heard(struct seat *seat, const char *text, size_t length)
{
	const char *body;
	char *end;
	int sender;
	int64_t number;

	resyncs += scan_begins(text, length, "\"resync\"");
	if (!scan_begins(text, length, "\"event\",\"params\":{\"type\":\"message\""))
		return -1;
	follow_chain(seat, text, length);
	body = memmem(text, length, "\"body\":\"", 8);
	if (body == NULL)
		return -1;
	sender = (int) strtol(body + 8, &end, 10);
	number = strtoll(end, &end, 10);
	enter(seat, sender, number, strtoll(end, NULL, 10));
	return sender;
}

/* Messages that nobody has heard of yet, beyond the gaps in between. */
static int64_t
unheard(void)
{
	int64_t count = 0;

	for (int i = 0; i < fleet.count; i++)
	{
		int sender = ledger_sender(i);

		if (sender != i)
			count += fleet.seats[sender].sent - fleet.seats[i].ledger.next;
	}
	return count;
}

bool
traffic_quiet(void)
{
	return answered == sent && unheard() == 0 && sums.missing == 0;
}

void
traffic_report(struct usage used, double seconds)
{
	double messages = (double) answer_latency.total;

	report("messages_per_second", messages / seconds);
	report("deliveries_per_second", (double) deliveries / seconds);
	report("failed", (double) failed);
	report("unanswered", (double) (sent - answered));
	report("lost", (double) (sums.missing + unheard()));
	report("repeated", (double) sums.repeated);
	report("late", (double) sums.late);
	report("chain_breaks", (double) broken);
	report("resyncs", (double) resyncs);
	histogram_report(&answer_latency, "answer");
	histogram_report(&deliver_latency, "delivery");
	usage_report(used, "s_per_1000", messages, 1000);
	usage_report(used, "us_per_delivery", (double) deliveries, 1e6);
}

/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of pg/queue: whose turn it is. */
#include "pg/queue.h"

#include <stdlib.h>
#include <string.h>

#include "test/unit/tap.h"

#define CALLS 4000

static struct queue queue;
static struct pg_call calls[CALLS]; /* the chat is the call's number */
static int used;                    /* of calls */

static struct pg_call *
call_of(int64_t user)
{
	calls[used] = (struct pg_call){.user = user, .chat = used};
	return &calls[used++];
}

static struct pg_call *
add(int64_t user)
{
	struct pg_call *call = call_of(user);

	queue_append(&queue, call);
	return call;
}

/* The users whose calls leave, until none may; they run on unless `over`. */
static const char *
order(bool over)
{
	static char text[CALLS];
	struct pg_call *call;
	size_t length = 0;

	while ((call = queue_first(&queue)) != NULL)
	{
		text[length++] = (char) ('a' + call->user - 1);
		queue_take(&queue, call);
		if (over)
			queue_done(&queue, call);
	}
	text[length] = '\0';
	return text;
}

static void
open_anew(int limit)
{
	used = 0;
	queue_open(&queue);
	queue.limit = limit;
	queue.turn = 1;
}

static void
callers_take_turns(void)
{
	open_anew(1000);
	for (int i = 0; i < 5; i++)
		add(1);
	add(2);
	add(3);
	add(3);
	ok(strcmp(order(true), "abcacaaa") == 0, "one call of each, and round again");
	ok(queue.waiting == 0 && queue.caller_count == 0, "nobody is left");
	queue_close(&queue);
	open_anew(1000);
	queue.turn = 2;
	for (int i = 0; i < 5; i++)
		add(1);
	add(2);
	for (int i = 0; i < 3; i++)
		add(3);
	ok(strcmp(order(true), "aabccaaca") == 0, "a turn may be several");
	queue_close(&queue);
}

static void
own_calls_keep_their_order(void)
{
	int64_t last[3] = {-1, -1, -1};
	bool good = true;

	open_anew(1000);
	for (int i = 0; i < 300; i++)
		add(1 + rand() % 3);
	while (queue_first(&queue) != NULL)
	{
		struct pg_call *call = queue_first(&queue);

		good = good && call->chat > last[call->user - 1];
		last[call->user - 1] = call->chat;
		queue_take(&queue, call);
		queue_done(&queue, call);
	}
	ok(good, "calls of one caller leave as they came");
	queue_close(&queue);
}

static void
limits_park_callers(void)
{
	struct pg_call *first;
	struct pg_call *other;

	open_anew(1);
	first = add(1);
	add(1);
	other = add(2);
	ok(strcmp(order(false), "ab") == 0, "beyond the limit a caller waits");
	ok(queue_first(&queue) == NULL && queue.waiting == 1, "though nobody else does");
	queue_done(&queue, first);
	ok(queue_first(&queue) != NULL, "until one of their calls is over");
	queue_drop(&queue, queue_first(&queue));
	ok(queue.waiting == 0 && queue_first(&queue) == NULL, "what is dropped never runs");
	queue_done(&queue, other);
	queue_close(&queue);
	open_anew(1);
	calls[0] = (struct pg_call){.user = 0};
	calls[1] = (struct pg_call){.user = 0};
	queue_append(&queue, &calls[0]);
	queue_append(&queue, &calls[1]);
	queue_take(&queue, &calls[0]);
	ok(queue_first(&queue) == &calls[1], "the gateway itself has no limit");
	queue_take(&queue, &calls[1]);
	queue_done(&queue, &calls[0]);
	queue_done(&queue, &calls[1]);
	queue_close(&queue);
}

static void
what_comes_back_is_first(void)
{
	struct pg_call *group[3];

	open_anew(1000);
	for (int i = 0; i < 3; i++)
		group[i] = add(i == 1 ? 2 : 1);
	for (int i = 0; i < 3; i++)
		queue_take(&queue, group[i]);
	add(3);
	add(1);
	for (int i = 0; i < 3; i++)
		queue_done(&queue, group[i]);
	for (int i = 2; i >= 0; i--)
		queue_return(&queue, group[i]);
	ok(queue_first(&queue) == group[0], "the first of those that came back");
	ok(strcmp(order(true), "abcaa") == 0, "in turn, before others");
	queue_close(&queue);
}

static void
the_heaviest_is_known(void)
{
	struct pg_call *newest = NULL;

	open_anew(1000);
	add(1);
	for (int i = 0; i < 3; i++)
		newest = add(2);
	add(3);
	ok(queue_newest(&queue) == newest, "the newest call of whoever has most");
	queue_drop(&queue, newest);
	queue_drop(&queue, queue_newest(&queue));
	ok(queue.heaviest == 1 && queue_waiting(&queue, 2) == 1, "less of theirs waits");
	for (int i = 0; i < 200; i++)
		newest = add(7);
	ok(queue_newest(&queue) == newest && queue_waiting(&queue, 7) == 200, "however much it is");
	while (queue_newest(&queue) != NULL)
		queue_drop(&queue, queue_newest(&queue));
	ok(queue.waiting == 0 && queue.caller_count == 0 && queue.heaviest == 0, "nothing is left");
	queue_close(&queue);
}

static void
drop_odd(struct queue *of, struct pg_call *call, void *count)
{
	++*(int *) count;
	if (call->chat % 2 == 1)
		queue_drop(of, call);
}

static void
many_callers(void)
{
	int seen = 0;

	open_anew(1000);
	for (int i = 0; i < CALLS; i++)
		add(1 + i % 1000);
	ok(queue.caller_count == 1000 && queue_waiting(&queue, 500) == 4, "a thousand callers");
	queue_each(&queue, drop_odd, &seen);
	ok(seen == CALLS && queue.waiting == CALLS / 2 && queue.caller_count == 500, "each call is visited once");
	while (queue_first(&queue) != NULL)
		queue_drop(&queue, queue_first(&queue));
	ok(queue.caller_count == 0, "and goes");
	queue_close(&queue);
}

int
main(void)
{
	callers_take_turns();
	own_calls_keep_their_order();
	limits_park_callers();
	what_comes_back_is_first();
	the_heaviest_is_known();
	many_callers();
	return done();
}

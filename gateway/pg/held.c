/* SPDX-License-Identifier: PostgreSQL */
/*
 * held.c
 *	  Chats whose row somebody holds locked: their calls go to the side lane, so that nobody waits behind them.
 *
 *	  held_begin --HELD_TIME is over, and no call of it is left in the side lane--> not held
 *
 * As long as one of its calls is still there, later ones go there too: that keeps their order.
 *
 * Called from: pg/pool. Calls: base/hash, io/timer.
 */
#include "pg/held.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/timer.h"

#define HELD_TIME 5000 /* milliseconds a chat is held at least */

struct held
{
	char key[24];        /* the chat's id, its name in chats */
	int pending;         /* its calls in the side lane */
	struct timer expiry; /* set for HELD_TIME; not set: it goes when pending is 0 */
};

static struct hash *chats; /* struct held by id; owned */

static struct held *
find(int64_t chat)
{
	char key[24];

	if (hash_count(chats) == 0)
		return NULL;
	snprintf(key, sizeof key, "%" PRId64, chat);
	return hash_get(chats, key);
}

static void
let_go(struct held *held)
{
	if (held->pending > 0 || held->expiry.place != 0)
		return;
	hash_remove(chats, held->key);
	mem_free(held);
}

static void
on_expiry(struct timer *timer)
{
	let_go(list_entry(timer, struct held, expiry));
}

void
held_begin(int64_t chat)
{
	struct held *held = find(chat);

	if (held == NULL)
	{
		held = mem_alloc(sizeof *held);
		snprintf(held->key, sizeof held->key, "%" PRId64, chat);
		hash_put(chats, held->key, held);
		log_write(LEVEL_INFO, "chat_held", "chat=%s somebody holds its row locked", held->key);
	}
	timer_set(&held->expiry, HELD_TIME, on_expiry);
}

bool
held_enter(int64_t chat)
{
	struct held *held = chat != 0 ? find(chat) : NULL;

	if (held == NULL)
		return false;
	held->pending++;
	return true;
}

void
held_leave(int64_t chat)
{
	struct held *held = find(chat);

	if (held == NULL)
		return;
	held->pending--;
	let_go(held);
}

void
held_open(void)
{
	chats = hash_create();
}

void
held_close(void)
{
	size_t cursor = 0;
	struct held *held;

	while ((held = hash_next(chats, &cursor, NULL)) != NULL)
	{
		timer_clear(&held->expiry);
		mem_free(held);
	}
	hash_destroy(chats);
}

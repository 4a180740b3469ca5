/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of chat/roster: against a plain table of users and chats. */
#include "chat/roster.h"

#include <stdlib.h>

#include "test/unit/tap.h"

#define USERS 40
#define CHATS 12

static struct roster_user users[USERS];
static int64_t table[USERS][CHATS]; /* since which event; 0: not in it */
static int visits[USERS];

static void
count_visit(struct roster_user *user, void *arg)
{
	(void) arg;
	visits[user - users]++;
}

static bool
chat_agrees(int chat, int64_t event_id)
{
	struct roster_choice choice = {event_id, rand() % 2 ? rand() % 50 : 0, rand() % 2 ? rand() % 50 : 0};

	memset(visits, 0, sizeof visits);
	roster_each(chat + 1, &choice, count_visit, NULL);
	for (int i = 0; i < USERS; i++)
	{
		bool chosen = table[i][chat] != 0 && (event_id == 0 || event_id >= table[i][chat]) &&
					  (choice.sees == 0 || choice.sees > table[i][chat] / 2) &&
					  (choice.lacks == 0 || choice.lacks <= table[i][chat] / 2);

		if (visits[i] != chosen)
			return false;
	}
	return true;
}

static void
change_something(void)
{
	int user = rand() % USERS;
	int chat = rand() % CHATS;
	int64_t since = 1 + rand() % 100;

	switch (rand() % 20)
	{
		case 0:
			roster_clear(&users[user]);
			memset(table[user], 0, sizeof table[user]);
			break;
		case 1 ... 9:
			roster_remove(&users[user], chat + 1);
			table[user][chat] = 0;
			break;
		default:
			if (table[user][chat] != 0)
				break;
			roster_add(&users[user], chat + 1, since, since / 2, 0);
			table[user][chat] = since;
	}
}

int
main(void)
{
	bool good = true;
	int64_t since = 0;

	roster_open();
	for (int i = 0; i < USERS; i++)
		roster_init(&users[i]);
	ok(chat_agrees(0, 0), "nobody is in a chat that nobody has heard of");
	srand(7);
	for (int step = 0; step < 20000; step++)
	{
		int user = rand() % USERS;
		int chat = rand() % CHATS;

		change_something();
		good = good && chat_agrees(chat, 0) && chat_agrees(chat, rand() % 110);
		good = good && roster_has(&users[user], chat + 1, &since) == (table[user][chat] != 0) &&
			   (table[user][chat] == 0 || since == table[user][chat]);
	}
	ok(good, "20,000 changes");
	for (int i = 0; i < USERS; i++)
		roster_clear(&users[i]);
	memset(table, 0, sizeof table);
	for (int i = 0; i < CHATS; i++)
		good = good && chat_agrees(i, 0);
	ok(good, "cleared, nobody is left");

	roster_add(&users[0], 1, 0, 0, 10);
	roster_add(&users[1], 1, 0, 0, 30);
	ok(!roster_gap(1, 11, 10) && roster_gap(1, 12, 11),
	   "an event is missed when another one than the last was before it");
	ok(!roster_gap(1, 10, 5), "what is not above the last event misses nothing");
	roster_saw(1, 12);
	roster_saw(1, 11);
	ok(!roster_gap(1, 13, 12), "the last event is the greatest that was seen");
	ok(!roster_gap(2, 13, 12), "a chat that nobody is in misses nothing");
	roster_clear(&users[0]);
	roster_clear(&users[1]);
	roster_close();
	return done();
}

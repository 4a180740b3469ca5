/* SPDX-License-Identifier: PostgreSQL */
/*
 * large.c
 *	  Large chats: for each user here is known which of them he is in.
 *
 *	  a user:	… channel.c: heard --> WAITING --asked--> ASKED --answered--> KNOWN
 *									  ^__ changed meanwhile __/
 *
 * 1. Users whose own channel is heard wait to be read: when all chat channels are heard too, one query asks for all that
 *	  wait; who comes meanwhile goes with the next. A query that fails is repeated after a moment, and logins that cannot
 *	  wait so long answer 503.
 * 2. From then on events keep it right: large_change. When one comes while its user is being read, nobody knows
 *	  which of both is newer: he is read again.
 * 3. The answer may be newer than what has arrived here. So a place in the roster begins with the event that let the
 *	  user in: earlier ones were not for him, and of his comings and goings before it nothing is to be done.
 * 4. After a loss, or a flood, a user is forgotten and read again (hub.c), and only then his sessions' replays begin: what
 *	  changes after the reading arrives, and changes the roster before any event that it matters to.
 *
 * 5. An event of a large chat may overtake another, which may be somebody's leaving (roster_gap). Before it is relayed,
 *	  large_check asks who of those here is in the chat: whoever left did so before the event was, and is not named.
 *
 * Which chats there are, who may hear them and when, says SQL alone.
 *
 * Called from: chat/hub, chat/channel, chat/feed. Calls: chat/roster, chat/hub (hub_known), chat/channel, pg/pool.
 */
#include "chat/large.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "chat/channel.h"
#include "chat/hub.h"
#include "chat/roster.h"
#include "codec/array.h"
#include "pg/pool.h"

#define READ_LIMIT  1000 /* users of one query */
#define RETRY_AFTER 500  /* milliseconds after a query that failed */

static struct list waiting;    /* struct hub_user by reading: USER_WAITING */
static struct list asked;      /* the same: USER_ASKED, unless a change came meanwhile */
static bool busy;              /* `call` is under way */
static struct pg_call call;    /* for those in asked */
static struct buf asked_ids;   /* its parameter */
static const char *values[1];  /* the same */
static const int text_only[2]; /* lengths and formats of parameters */
static struct timer retry;     /* set after a failure */

static struct
{
	struct pg_call call;   /* it */
	struct buf ids;        /* its parameters */
	char chat_id[24];      /* the */
	const char *values[2]; /* same */
	struct hash *users;    /* by id: struct hub_user, who is asked for; owned; NULL: no check is under way */
	void (*done)(bool good); /* whom to tell */
} check;

static const struct pg_statement list_chats = {"list_large_chats",
											   "SELECT user_id, chat_id, joined_id, last_event_id, "
											   "visible_from FROM chat.list_large_chats($1::bigint[])",
											   1};
static const struct pg_statement list_chat = {
	"list_large_chat", "SELECT user_id FROM chat.list_large_chats($1::bigint[]) WHERE chat_id = $2::bigint",
	2};

static void
retry_now(struct timer *timer)
{
	(void) timer;
	large_go_on();
}

/* Go on after an answer: at once, or after a pause when there was none. */
static void
go_on(const struct pg_call *from, enum pg_verdict verdict)
{
	busy = false;
	if (verdict == PG_DONE)
	{
		large_go_on();
		return;
	}
	log_write(LEVEL_WARN, "large_chats_not_read", "%s failed, is tried again", from->statement->name);
	timer_set(&retry, RETRY_AFTER, retry_now);
}

static int64_t
id_value(const struct pg_result *result, int row, int column)
{
	return strtoll(result_value(result, row, column, NULL), NULL, 10);
}

static void
on_chats(struct pg_call *from, enum pg_verdict verdict, const struct pg_result *result)
{
	int count = verdict == PG_DONE ? result_rows(result) : 0;
	struct list *node;

	for (int i = 0; i < count; i++)
	{
		struct hub_user *user = hub_find(result_value(result, i, 0, NULL));

		if (user != NULL && user->state == USER_ASKED)
			roster_add(&user->chats, id_value(result, i, 1), id_value(result, i, 2), id_value(result, i, 4),
					   id_value(result, i, 3));
	}
	while ((node = list_shift(&asked)) != NULL)
	{
		struct hub_user *user = list_entry(node, struct hub_user, reading);

		if (verdict == PG_DONE)
			hub_known(user);
		else
			large_read(user);
	}
	go_on(from, verdict);
}

static void
ask_for_users(void)
{
	buf_clear(&asked_ids);
	for (int i = 0; i < READ_LIMIT && !list_empty(&waiting); i++)
	{
		struct hub_user *user = list_entry(list_shift(&waiting), struct hub_user, reading);

		user->state = USER_ASKED;
		list_append(&asked, &user->reading);
		buf_add_char(&asked_ids, i == 0 ? '{' : ',');
		buf_add_text(&asked_ids, user->id);
	}
	buf_add_char(&asked_ids, '}');
	busy = true;
	values[0] = buf_text(&asked_ids);
	call = (struct pg_call){.statement = &list_chats,
							.values = values,
							.lengths = text_only,
							.formats = text_only,
							.lane = LANE_OWN,
							.repeatable = true,
							.done = on_chats};
	pool_submit(&call);
}

void
large_go_on(void)
{
	if (!busy && retry.place == 0 && channel_chats_heard() && !list_empty(&waiting))
		ask_for_users();
}

void
large_read(struct hub_user *user)
{
	large_forget(user);
	user->state = USER_WAITING;
	list_append(&waiting, &user->reading);
	large_go_on();
}

void
large_forget(struct hub_user *user)
{
	list_remove(&user->reading);
	roster_clear(&user->chats);
	user->state = USER_UNHEARD;
}

void
large_change(struct hub_user *user, int64_t chat_id, int64_t event_id, int64_t from, bool leaves)
{
	int64_t since = 0;
	bool in = user->state == USER_KNOWN && roster_has(&user->chats, chat_id, &since);

	if (user->state == USER_ASKED)
		large_read(user);
	else if (user->state == USER_KNOWN && !in && !leaves)
		roster_add(&user->chats, chat_id, event_id, from, event_id);
	else if (in && leaves && event_id > since)
		roster_remove(&user->chats, chat_id);
}

static void
add_to_check(struct roster_user *chats, void *arg)
{
	struct hub_user *user = list_entry(chats, struct hub_user, chats);

	(void) arg;
	array_add(&check.ids, user->id, strlen(user->id));
	hash_put(check.users, user->id, user);
}

/* He may have gone meanwhile, or be another one who has come back. */
static void
take_out(const char *id)
{
	struct hub_user *user = hub_find(id);

	if (user != NULL)
		roster_remove(&user->chats, strtoll(check.chat_id, NULL, 10));
}

static void
on_checked(struct pg_call *from, enum pg_verdict verdict, const struct pg_result *result)
{
	struct hash *users = check.users;
	const char *id;
	size_t at = 0;

	(void) from;
	for (int i = 0; verdict == PG_DONE && i < result_rows(result); i++)
		hash_remove(users, result_value(result, i, 0, NULL));
	while (verdict == PG_DONE && hash_next(users, &at, &id) != NULL)
		take_out(id);
	check.users = NULL;
	hash_destroy(users);
	check.done(verdict == PG_DONE);
}

void
large_check(int64_t chat_id, void (*done)(bool good))
{
	check.users = hash_create();
	check.done = done;
	snprintf(check.chat_id, sizeof check.chat_id, "%lld", (long long) chat_id);
	buf_clear(&check.ids);
	array_begin(&check.ids);
	roster_each(chat_id, NULL, add_to_check, NULL);
	array_end(&check.ids);
	check.values[0] = buf_text(&check.ids);
	check.values[1] = check.chat_id;
	check.call = (struct pg_call){.statement = &list_chat,
								  .values = check.values,
								  .lengths = text_only,
								  .formats = text_only,
								  .lane = LANE_OWN,
								  .repeatable = true,
								  .done = on_checked};
	pool_submit(&check.call);
}

void
large_open(void)
{
	list_init(&waiting);
	list_init(&asked);
	roster_open();
}

void
large_close(void)
{
	timer_clear(&retry);
	buf_free(&asked_ids);
	buf_free(&check.ids);
	if (check.users != NULL)
		hash_destroy(check.users);
	roster_close();
}

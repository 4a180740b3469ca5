/* SPDX-License-Identifier: PostgreSQL */
/*
 * account.c
 *	  What one user has of this worker: open sessions, and memory for what they have not taken.
 *
 * Each session has limits of its own (session.c); here is what all of one user's have together, so that nobody gets more by
 * opening more sockets. Before login a session is its address's.
 *
 * Memory is what waits for slow readers, what is gathered for answers to batches, and what the rows of running calls are
 * likely to come to. Beyond outbound_limit_per_user no call is started for the user, and sessions that have something
 * queued get no events, but one `resync` later. One that reads all it is sent is told everything as ever.
 *
 * An account is here as long as it has sessions.
 *
 * Called from: chat/session, chat/call, chat/login, chat/replay, chat/reply. Calls: base/hash, chat/session.
 */
#include "chat/account.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/config.h"
#include "base/hash.h"
#include "base/mem.h"

struct account
{
	char key[24];         /* its name in accounts */
	struct list sessions; /* struct session by owned */
	int count;            /* of them */
	int64_t memory;       /* bytes, of all of them */
	bool waited;          /* somebody waits for room */
	struct task advance;  /* all sessions, when there is */
};

static struct hash *accounts; /* struct account by key; owned; NULL: none was needed yet */

static void advance_all(struct task *task);

static struct account *
find_or_add(int64_t number)
{
	char key[sizeof((struct account *) 0)->key];
	struct account *account;

	snprintf(key, sizeof key, "%" PRId64, number);
	accounts = accounts ? accounts : hash_create();
	account = hash_get(accounts, key);
	if (account == NULL)
	{
		account = mem_alloc(sizeof *account);
		snprintf(account->key, sizeof account->key, "%s", key);
		list_init(&account->sessions);
		account->advance.run = advance_all;
		hash_put(accounts, key, account);
	}
	return account;
}

void
account_enter(struct session *session, int64_t key)
{
	account_leave(session);
	session->account = find_or_add(key);
	list_append(&session->account->sessions, &session->owned);
	session->account->count++;
	session->account->memory += session->memory;
}

static void
free_if_left(struct account *account)
{
	if (account->count > 0)
		return;
	loop_forget(&account->advance);
	hash_remove(accounts, account->key);
	mem_free(account);
}

/* There is more room than before. */
static void
let_advance(struct account *account)
{
	if (account->waited)
		loop_defer(&account->advance);
}

static void
advance_all(struct task *task)
{
	struct account *account = list_entry(task, struct account, advance);
	struct list *node;
	struct list *after;

	account->waited = false;
	account->count++; /* a session may leave, but the account stays */
	list_each(node, after, &account->sessions)
	{
		session_advance(list_entry(node, struct session, owned));
	}
	account->count--;
	free_if_left(account);
}

void
account_leave(struct session *session)
{
	struct account *account = session->account;

	if (account == NULL)
		return;
	session->account = NULL;
	list_remove(&session->owned);
	account->memory -= session->memory;
	account->count--;
	let_advance(account);
	free_if_left(account);
}

bool
account_has_room(int64_t user_id)
{
	char key[sizeof((struct account *) 0)->key];
	const struct account *account;

	snprintf(key, sizeof key, "%" PRId64, user_id);
	account = hash_get(accounts, key);
	return config.max_sockets_per_user == 0 || account == NULL ||
		   account->count < config.max_sockets_per_user;
}

void
account_move(struct session *session, int64_t change)
{
	struct account *account = session->account;

	session->memory += change;
	if (account == NULL)
		return;
	account->memory += change;
	if (change < 0)
		let_advance(account);
}

bool
account_is_full(const struct session *session, size_t more)
{
	struct account *account = session->account;

	if (account == NULL || account->memory <= 0 ||
		account->memory + (int64_t) more <= config.outbound_limit_per_user)
		return false;
	account->waited = true;
	return true;
}

void
account_close_all(void)
{
	if (accounts != NULL)
		hash_destroy(accounts);
	accounts = NULL;
}

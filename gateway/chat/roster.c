/* SPDX-License-Identifier: PostgreSQL */
/*
 * roster.c
 *	  Which of this worker's users are in which large chat.
 *
 *	  chats: id -> chat -> places <- user
 *
 * A place is one user in one chat: in the chat's list, which a message walks, and in the user's, which is short. It
 * says since which event he is in, for his place may be read from the database before the events that went before
 * it have arrived here: those are not for him. It also says from where on they see messages, for events about one that not
 * everybody sees come twice: whole, and as no more than a link of the chain (event_hidden). A chat without places goes.
 *
 * A chat also knows its last event: up to that one nobody stands in it who has left. An event that names another one before
 * itself has overtaken something, which may be somebody's leaving.
 *
 * Called from: chat/large, chat/feed. Calls: base/.
 */
#include "chat/roster.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"

struct chat
{
	struct list places; /* struct place, by in_chat */
	int64_t id;         /* its name in chats */
	int64_t seen;       /* its last event */
};

struct place
{
	struct list in_chat;      /* in chat->places */
	struct list of_user;      /* in user->places */
	struct chat *chat;        /* which */
	struct roster_user *user; /* who */
	int64_t since;            /* the first event that they hear; 0: all */
	int64_t from;             /* they see messages above it */
};

static struct hash *chats; /* struct chat by id; owned */

static void
key_of(int64_t chat_id, char key[24])
{
	snprintf(key, 24, "%" PRId64, chat_id);
}

void
roster_open(void)
{
	chats = hash_create();
}

void
roster_close(void)
{
	hash_destroy(chats);
}

void
roster_init(struct roster_user *user)
{
	list_init(&user->places);
}

static struct place *
find_place(const struct roster_user *user, int64_t chat_id)
{
	for (struct list *node = user->places.next; node != &user->places; node = node->next)
	{
		struct place *place = list_entry(node, struct place, of_user);

		if (place->chat->id == chat_id)
			return place;
	}
	return NULL;
}

static void
free_place(struct place *place)
{
	struct chat *chat = place->chat;
	char key[24];

	list_remove(&place->in_chat);
	list_remove(&place->of_user);
	mem_free(place);
	if (!list_empty(&chat->places))
		return;
	key_of(chat->id, key);
	hash_remove(chats, key);
	mem_free(chat);
}

static struct chat *
chat_with_id(int64_t chat_id, int64_t seen)
{
	char key[24];
	struct chat *chat;

	key_of(chat_id, key);
	chat = hash_get(chats, key);
	if (chat == NULL)
	{
		chat = mem_alloc(sizeof *chat);
		chat->id = chat_id;
		chat->seen = seen;
		list_init(&chat->places);
		hash_put(chats, key, chat);
	}
	return chat;
}

void
roster_add(struct roster_user *user, int64_t chat_id, int64_t since, int64_t from, int64_t seen)
{
	struct place *place = mem_alloc(sizeof *place);

	place->chat = chat_with_id(chat_id, seen);
	place->user = user;
	place->since = since;
	place->from = from;
	list_append(&place->chat->places, &place->in_chat);
	list_append(&user->places, &place->of_user);
}

void
roster_remove(struct roster_user *user, int64_t chat_id)
{
	struct place *place = find_place(user, chat_id);

	if (place != NULL)
		free_place(place);
}

void
roster_clear(struct roster_user *user)
{
	while (!list_empty(&user->places))
		free_place(list_entry(user->places.next, struct place, of_user));
}

bool
roster_has(const struct roster_user *user, int64_t chat_id, int64_t *since)
{
	const struct place *place = find_place(user, chat_id);

	if (place != NULL)
		*since = place->since;
	return place != NULL;
}

static struct chat *
find_chat(int64_t chat_id)
{
	char key[24];

	key_of(chat_id, key);
	return hash_get(chats, key);
}

bool
roster_gap(int64_t chat_id, int64_t event_id, int64_t prev_id)
{
	const struct chat *chat = find_chat(chat_id);

	return chat != NULL && event_id > chat->seen && prev_id != chat->seen;
}

void
roster_saw(int64_t chat_id, int64_t event_id)
{
	struct chat *chat = find_chat(chat_id);

	if (chat != NULL && event_id > chat->seen)
		chat->seen = event_id;
}

static bool
is_chosen(const struct place *place, const struct roster_choice *choice)
{
	return choice == NULL || ((choice->event_id == 0 || choice->event_id >= place->since) &&
							  (choice->sees == 0 || choice->sees > place->from) &&
							  (choice->lacks == 0 || choice->lacks <= place->from));
}

void
roster_each(int64_t chat_id, const struct roster_choice *choice, roster_visit_fn visit, void *arg)
{
	const struct chat *chat = find_chat(chat_id);

	if (chat == NULL)
		return;
	for (struct list *node = chat->places.next; node != &chat->places; node = node->next)
	{
		const struct place *place = list_entry(node, struct place, in_chat);

		if (is_chosen(place, choice))
			visit(place->user, arg);
	}
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * guard.h: a chat, a member and two users, as far as rules ask about them.
 *
 * All of this sees what the active snapshot sees, locks nothing, and needs SPI.
 */
#ifndef CHAT_GUARD_H
#define CHAT_GUARD_H

#include "postgres.h"

typedef struct ChatRow
{
	bool deleted;
	bool direct;  /* kind is direct */
	bool guarded; /* posting is not for all */
	bool large;
	int32 message_count;
	int32 member_count;
} ChatRow;

typedef struct MemberRow
{
	int64 left_id; /* 0: he is in */
	int64 visible_from;
	char role[NAMEDATALEN];
} MemberRow;

/* False: there never was such a chat, or maintenance has removed it. */
extern bool guard_read_chat(int64 chat_id, ChatRow *chat);

/* Who is in a chat that is not deleted, or was, and that chat. False: nobody. */
extern bool guard_read_member(int64 chat_id, int64 user_id, MemberRow *member, ChatRow *chat);

/* chat.check_posting, for a member: raises MC403 not_permitted, blocked, not_accepting. */
extern void guard_check_posting(int64 chat_id, int64 user_id);

/* Whether something keeps two different users from writing to each other: chat.between_users. */
extern bool guard_is_obstructed(int64 user_id, int64 other_id);

/* When the account of this user ended, of which maintenance has not removed all yet (chat.erasures); 0: it is no such user. */
extern int64 guard_erased_id(int64 user_id);

/* Whether direct chats are for connected users only; then chat.check_direct is to be asked. */
extern bool guard_wants_connection(void);

#endif

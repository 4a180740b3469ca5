/* SPDX-License-Identifier: PostgreSQL */
/*
 * reply.c
 *	  The answer to one frame: a single answer, or the array of a batch's, sent when the last of its calls has spoken.
 *
 * What a batch has gathered counts as its session's output, and is bounded by answer_limit: the caller asks
 * reply_has_room before it adds a result.
 *
 * A notification (id NULL) is counted but not answered; a batch of nothing but notifications gets no answer at all.
 *
 * Called from: chat/session, chat/call, chat/login. Calls: codec/rpc, chat/session.
 */
#include "chat/reply.h"

#include "base/config.h"
#include "base/mem.h"
#include "chat/account.h"
#include "chat/session.h"

#define SMALL_ANSWER                                                                                         \
	65536 /* bytes for which there is always room: a call that has run should be able to say so */

struct reply
{
	uint64_t session; /* handle of whom to answer */
	bool batch;       /* an array */
	int pending;      /* calls that have not spoken */
	struct buf text;  /* what has been said */
};

struct reply *
reply_create(uint64_t session, bool batch, int count)
{
	struct reply *reply = mem_alloc(sizeof *reply);

	reply->session = session;
	reply->batch = batch;
	reply->pending = count;
	return reply;
}

bool
reply_has_room(const struct reply *reply, size_t length)
{
	return length <= SMALL_ANSWER || reply->text.length + length <= (size_t) config.answer_limit;
}

bool
reply_is_batch(const struct reply *reply)
{
	return reply->batch;
}

bool
reply_is_full(const struct reply *reply)
{
	return reply->text.length >= (size_t) config.answer_limit;
}

/* Tell the session how much more of a batch waits, or that it does no longer. */
static void
count(const struct reply *reply, size_t before)
{
	struct session *session = reply->batch ? session_find(reply->session) : NULL;

	if (session == NULL)
		return;
	session->gathered += reply->text.length - before;
	account_move(session, (int64_t) (reply->text.length - before));
}

static void
begin_answer(struct reply *reply)
{
	if (reply->batch)
		buf_add_char(&reply->text, reply->text.length == 0 ? '[' : ',');
}

void
reply_nothing(struct reply *reply)
{
	struct session *session;

	if (--reply->pending > 0)
		return;
	session = session_find(reply->session);
	if (session != NULL && reply->batch)
	{
		session->gathered -= reply->text.length;
		account_move(session, -(int64_t) reply->text.length);
	}
	if (session != NULL && reply->text.length > 0)
	{
		if (reply->batch)
			buf_add_char(&reply->text, ']');
		session_push_text(session, reply->text.data, reply->text.length);
	}
	buf_free(&reply->text);
	mem_free(reply);
}

void
reply_result(struct reply *reply, const char *id, const char *result, size_t length)
{
	size_t before = reply->text.length;

	if (id != NULL)
	{
		begin_answer(reply);
		rpc_write_result(&reply->text, id, result, length);
		count(reply, before);
	}
	reply_nothing(reply);
}

void
reply_error(struct reply *reply, const char *id, const struct rpc_error *error)
{
	size_t before = reply->text.length;

	if (id != NULL)
	{
		begin_answer(reply);
		rpc_write_error(&reply->text, id, error);
		count(reply, before);
	}
	reply_nothing(reply);
}

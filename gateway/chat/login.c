/* SPDX-License-Identifier: PostgreSQL */
/*
 * login.c
 *	  From a token to a session that hears its user's events: authenticate, the second half of log_in, the bearer
 *	  token of an upgrade, or what a stream of events came with.
 *
 *	  CHECKING --open_session: user, login, channel--> JOINING --hub: login_heard--> CONFIRMING --alive--> done
 *	     \__ refused: error, or close 4001 for a bearer     \__ not in time: 503           \__ ended: 401, 4003
 *
 * An access token of the identity provider is verified first (oidc.c), and then opens a session as open_session does.
 *
 * The answer leaves only when the user's channel is heard and his large chats are known: whatever happens after the
 * answer is pushed. What happened before that was heard by nobody, so the database is asked once more: whether the login is
 * still alive, whether his channel still has the name that it had, and for the horizon. When he ceases to be heard while
 * that is asked, it is asked again when he is. While a login is pending the session's other calls wait.
 *
 * The answer's cursor is one that a client may keep at once. For a new login it is that horizon: every event up to it can
 * be seen by whoever looks after the answer, and so can events that came before the answer and were not pushed; all others
 * will be. For a socket that was logged in before, it is the cursor it has. With `since` it is that: the replay follows, and its
 * `synced` has the next one.
 *
 * A socket that is logged in may authenticate again as the same user (a refreshed or another login of theirs); as
 * another user it is refused, since calls and events of two people would mix.
 *
 * A stream of events (net/events.c) is told its cursor by a push, as nobody is answered.
 *
 * A visitor (session.c) is admitted as soon as it is known who he is; nothing is pushed to him, so nothing is joined.
 *
 * A login outlives its session while the database has its call; it then ends unheard.
 *
 * Called from: chat/call, chat/session, chat/hub. Calls: pg/pool, chat/hub, chat/channel, chat/presence, chat/replay,
 * chat/oidc, chat/fault, codec/rpc, codec/value.
 */
#include "chat/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "chat/account.h"
#include "chat/alive.h"
#include "chat/call.h"
#include "chat/channel.h"
#include "chat/fault.h"
#include "chat/hub.h"
#include "chat/oidc.h"
#include "chat/presence.h"
#include "chat/replay.h"
#include "codec/json.h"
#include "codec/rpc.h"
#include "codec/value.h"
#include "pg/pool.h"

#define LISTEN_LIMIT   5000 /* milliseconds until all that is for the user must be heard */
#define REFUSALS_LIMIT 5    /* tokens that were no good, and the socket is closed */

struct login
{
	struct pg_call pg; /* open_session, then confirm_login */
	uint64_t session;  /* handle of whose it is */
	struct call *call; /* to be answered; NULL: a bearer's */
	char *token;       /* owned; gone as soon as it was checked */
	char address[64];  /* the client's */
	int64_t
		caller; /* whose turn its calls take: the address's, so that logins from there leave as they came */
	const char *values[5]; /* for pg: parameters of its statement */
	struct oidc_check jwt; /* of an access token, before pg */
	char valid_until[24];  /* parameter: when the access token ends, seconds since 1970 */
	struct buf answer;     /* what the call gets */
	int64_t user_id;       /* from open_session */
	int64_t login_id;      /* from open_session */
	struct timer timer;    /* set while JOINING */
	int64_t since;         /* replayed from here; NO_REPLAY: not at all */
	char ids[2][32];       /* parameters of the second pg, or a ticket's first: the login, the user */
	bool ended;            /* while CONFIRMING: it was heard to end */
	bool doubted;          /* while CONFIRMING: its end may have been missed, ask again */
};

enum
{
	COLUMN_USER,
	COLUMN_LOGIN,
	COLUMN_EXPIRES,
	COLUMN_CHANNEL
};

enum
{
	CONFIRMED_LEFT,
	CONFIRMED_HORIZON,
	CONFIRMED_CHANNEL,
	CONFIRMED_NOW
};

static const struct pg_statement open_session = {"open_session",
												 "SELECT user_id, session_id, expires_at, channel FROM "
												 "chat.open_session(token => $1::text, actor_address => "
												 "$2::inet)",
												 2};
static const struct pg_statement confirm_login = {
	"confirm_login",
	"SELECT ceil(extract(epoch FROM least(s.expires_at, now() + interval '1 year') - now()) * 1000)::bigint, "
	"chat.horizon(), chat.user_channel($2::bigint), " CHANNEL_NOW
	" FROM chat.list_live_sessions($1::bigint[]) AS s",
	2};
static const struct pg_statement open_external = {
	"open_external_session",
	"SELECT user_id, session_id, expires_at, channel FROM chat.open_external_session(issuer => $1::text, "
	"subject => $2::text, claims => $3::jsonb, valid_until => to_timestamp($4::bigint), actor_address => "
	"$5::inet)",
	5};
static const struct pg_statement open_known = {
	"open_known_session",
	"SELECT $2::bigint, s.session_id, s.expires_at, chat.user_channel($2::bigint) FROM "
	"chat.list_live_sessions($1::bigint[]) AS s",
	2};
static const int text_only[5]; /* lengths and formats of its parameters */

static int64_t
id_value(const struct pg_result *result, int column)
{
	const char *text = result_value(result, 0, column, NULL);

	return text ? strtoll(text, NULL, 10) : 0;
}

static void
login_free(struct login *login)
{
	timer_clear(&login->timer);
	mem_free(login->token);
	token_free(&login->jwt.found);
	buf_free(&login->answer);
	mem_free(login);
}

/* The login is over; the session, if it is still there, is free for the next one. */
static struct session *
detach(struct login *login)
{
	struct session *session = session_find(login->session);

	if (session != NULL)
	{
		session->login = NULL;
		session->login_pending = false;
	}
	return session;
}

static void
fail(struct login *login, const struct rpc_error *error)
{
	struct session *session = detach(login);

	if (session != NULL && session->user_id == 0)
	{
		hub_leave(session);
		account_enter(session, session->origin);
	}
	if (session != NULL && error->code == 401 && ++session->refused_tokens >= REFUSALS_LIMIT)
		session_finish(session, SESSION_BAD_TOKEN);
	if (login->call != NULL)
		call_fail(login->call, error);
	else if (session != NULL && session->ops->refused != NULL)
		session_refuse(session, error);
	else if (session != NULL)
		session_close(session, error->code == 429                         ? SESSION_CROWDED
							   : error->code == 503 || error->code == 500 ? SESSION_UNAVAILABLE
																		  : SESSION_BAD_TOKEN);
	login_free(login);
}

/* It ended before it was answered. A socket that has a login already keeps that one. */
static void
refuse_ended(struct login *login)
{
	struct rpc_error error = fault_session_ended();
	struct session *session = session_find(login->session);

	if (session->user_id == 0 && login->call != NULL)
		session_finish(session, SESSION_REVOKED);
	else if (session->user_id == 0)
		session_close(session, SESSION_REVOKED);
	fail(login, &error);
}

/* Of the two the one that this client may keep. */
static int64_t
cursor_of(const struct login *login, const struct session *session, int64_t horizon)
{
	if (login->since != NO_REPLAY)
		return login->since;
	return session->user_id != 0 ? session->cursor : horizon;
}

static void
replay_since(uint64_t handle, int64_t since)
{
	struct session *session = session_find(handle);

	if (session != NULL && since != NO_REPLAY)
		replay_start(session, since);
}

/* Who follows by HTTP has called nothing: his cursor is pushed. */
static void
welcome(struct session *session)
{
	struct buf text = {0};
	char params[48];

	if (session->ops->admitted == NULL)
		return;
	session->ops->admitted(session->socket);
	rpc_write_notification(
		&text, "cursor", params,
		(size_t) snprintf(params, sizeof params, "{\"cursor\":\"%lld\"}", (long long) session->cursor));
	session_push_text(session, text.data, text.length);
	buf_free(&text);
}

static void
succeed(struct login *login, int64_t left, int64_t horizon)
{
	struct session *session = detach(login);
	uint64_t handle = session_handle(session);

	session->cursor = cursor_of(login, session, horizon);
	session->user_id = login->user_id;
	session->login_id = login->login_id;
	alive_until(session, left);
	presence_enter(session);
	if (!session->ending)
		timer_clear(&session->timer);
	log_write(LEVEL_DEBUG, "logged_in", "user=%lld address=%s", (long long) session->user_id,
			  session->address);
	buf_format(&login->answer, ",\"cursor\":\"%lld\"}", (long long) session->cursor);
	if (login->call != NULL)
		call_succeed(login->call, login->answer.data, login->answer.length);
	else
	{
		welcome(session);
		session_advance(session);
	}
	replay_since(handle, login->since);
	login_free(login);
}

static void
admit(struct login *login)
{
	struct session *session = detach(login);

	session->user_id = login->user_id;
	session->login_id = login->login_id;
	if (session->ops->admitted != NULL)
		session->ops->admitted(session->socket);
	session_advance(session);
	login_free(login);
}

static void
listen_is_late(struct timer *timer)
{
	struct rpc_error error = fault_unavailable();

	fail(list_entry(timer, struct login, timer), &error);
}

static void on_confirmed(struct pg_call *pg, enum pg_verdict verdict, const struct pg_result *result);

/* The login and its user as parameters. */
static void
name_login(struct login *login)
{
	snprintf(login->ids[0], sizeof login->ids[0], "{%lld}", (long long) login->login_id);
	snprintf(login->ids[1], sizeof login->ids[1], "%lld", (long long) login->user_id);
	login->values[0] = login->ids[0];
	login->values[1] = login->ids[1];
}

/* From now on its end would be heard: has it come before? */
static void
confirm(struct login *login)
{
	timer_clear(&login->timer);
	login->doubted = false;
	name_login(login);
	login->pg = (struct pg_call){.statement = &confirm_login,
								 .values = login->values,
								 .lengths = text_only,
								 .formats = text_only,
								 .lane = LANE_OWN,
								 .user = login->caller,
								 .repeatable = true,
								 .done = on_confirmed};
	pool_submit(&login->pg);
}

/* It is good, if all that is for its user is heard at this moment. */
static void
conclude(struct login *login, struct session *session, const struct pg_result *result)
{
	bool fresh = session->user_id == 0;
	bool same = hub_confirm_channel(session, result_value(result, 0, CONFIRMED_CHANNEL, NULL),
									id_value(result, CONFIRMED_NOW));

	if (fresh && (!same || !hub_is_known(session)))
		timer_set(&login->timer, LISTEN_LIMIT, listen_is_late);
	else if (login->doubted)
		confirm(login);
	else
		succeed(login, id_value(result, CONFIRMED_LEFT), id_value(result, CONFIRMED_HORIZON));
}

static void
on_confirmed(struct pg_call *pg, enum pg_verdict verdict, const struct pg_result *result)
{
	struct login *login = list_entry(pg, struct login, pg);
	struct session *session = session_find(login->session);
	struct rpc_error error = fault_unavailable();

	if (verdict == PG_FAILED)
		error = fault_from_database(verdict, result, "confirm_login");
	if (verdict != PG_DONE || session == NULL)
		fail(login, &error);
	else if (login->ended || result_rows(result) != 1)
		refuse_ended(login);
	else
		conclude(login, session, result);
}

void
login_heard(struct session *session)
{
	if (session->login != NULL && session->login->timer.place != 0)
		confirm(session->login);
}

void
login_ended(struct session *session, int64_t login_id)
{
	if (session->login != NULL && session->login->login_id == login_id)
		session->login->ended = true;
}

void
login_doubt(struct session *session)
{
	if (session->login != NULL)
		session->login->doubted = true;
}

static void
write_answer(struct login *login, const struct pg_result *result)
{
	static const char *const names[] = {"{\"user_id\":", ",\"session_id\":", ",\"expires_at\":"};
	static const enum value_kind kinds[] = {VALUE_BIGINT, VALUE_BIGINT, VALUE_TIMESTAMP};

	for (int i = COLUMN_USER; i <= COLUMN_EXPIRES; i++)
	{
		size_t length;
		const char *text = result_value(result, 0, i, &length);

		buf_add_text(&login->answer, names[i]);
		if (text == NULL)
			buf_add_text(&login->answer, "null");
		else
			value_decode((struct value_type){kinds[i], false}, text, length, &login->answer);
	}
}

/* The token is good: join the user's sessions, unless the socket is among them already. */
static void
join(struct login *login, struct session *session, const char *channel)
{
	struct rpc_error error = fault_already_authenticated();
	struct rpc_error crowded = fault_too_many_sockets();

	if (session->user_id == 0 && !account_has_room(login->user_id))
	{
		fail(login, &crowded);
		return;
	}
	if (session->user_id == 0)
		account_enter(session, login->user_id);
	if (session->visitor)
		admit(login);
	else if (session->user_id != 0 && session->user_id != login->user_id)
		fail(login, &error);
	else if (session->user_id != 0 || hub_join(session, login->user_id, channel))
		confirm(login);
	else
		timer_set(&login->timer, LISTEN_LIMIT, listen_is_late);
}

static void
on_checked(struct pg_call *pg, enum pg_verdict verdict, const struct pg_result *result)
{
	struct login *login = list_entry(pg, struct login, pg);
	struct session *session = session_find(login->session);
	struct rpc_error error = fault_internal();
	const char *channel;

	if (verdict == PG_UNKNOWN)
		verdict = PG_UNAVAILABLE; /* it is as good as never asked */
	if (verdict != PG_DONE)
	{
		error = fault_from_database(verdict, result, "open_session");
		fail(login, &error);
		return;
	}
	channel = result_rows(result) == 1 ? result_value(result, 0, COLUMN_CHANNEL, NULL) : NULL;
	if (channel == NULL || session == NULL)
	{
		if (result_rows(result) == 0)
			error = fault_session_ended();
		fail(login, &error);
		return;
	}
	login->user_id = id_value(result, COLUMN_USER);
	login->login_id = id_value(result, COLUMN_LOGIN);
	if (login->answer.length == 0)
		write_answer(login, result);
	join(login, session, channel);
}

/* By open_session, or open_external_session, which answers the same. */
static void
open_with(struct login *login, const struct pg_statement *statement)
{
	login->pg = (struct pg_call){.statement = statement,
								 .values = login->values,
								 .lengths = text_only,
								 .formats = text_only,
								 .lane = LANE_OWN,
								 .user = login->caller,
								 .repeatable = true,
								 .done = on_checked};
	pool_submit(&login->pg);
}

static void
on_verified(struct oidc_check *check)
{
	struct login *login = list_entry(check, struct login, jwt);
	struct rpc_error error = check->unavailable ? fault_provider_unavailable()
												: fault_token_refused(token_words(check->verdict),
																	  check->verdict == TOKEN_EXPIRED);

	if (check->unavailable || check->verdict != TOKEN_GOOD || session_find(login->session) == NULL)
	{
		fail(login, &error);
		return;
	}
	snprintf(login->valid_until, sizeof login->valid_until, "%lld", (long long) check->found.ends_after);
	login->values[0] = config.oidc_issuer;
	login->values[1] = check->found.subject;
	login->values[2] = check->found.claims;
	login->values[3] = login->valid_until;
	login->values[4] = login->address[0] != '\0' ? login->address : NULL;
	open_with(login, &open_external);
}

static struct login *
begin(struct session *session, int64_t since)
{
	struct login *login = mem_alloc(sizeof *login);

	login->session = session_handle(session);
	login->since = since;
	memcpy(login->address, session->address, sizeof login->address);
	login->caller = session->origin;
	session->login = login;
	session->login_pending = true;
	return login;
}

void
login_with_token(struct session *session, const char *token, struct call *call, const struct buf *answer,
				 int64_t since)
{
	struct login *login = begin(session, since);

	login->call = call;
	login->token = mem_copy(token);
	if (answer != NULL)
		buf_add(&login->answer, answer->data, answer->length - 1); /* without its closing brace */
	login->values[0] = login->token;
	login->values[1] = login->address[0] != '\0' ? login->address : NULL;
	if (oidc_is_token(token))
		oidc_check(&login->jwt, login->token, on_verified);
	else
		open_with(login, &open_session);
}

void
login_with_bearer(struct session *session, const char *token, int64_t since)
{
	login_with_token(session, token, NULL, NULL, since);
}

void
login_with_ticket(struct session *session, int64_t user_id, int64_t login_id, int64_t since)
{
	struct login *login = begin(session, since);

	login->user_id = user_id;
	login->login_id = login_id;
	name_login(login);
	open_with(login, &open_known);
}

void
login_abandon(struct session *session)
{
	struct login *login = session->login;
	struct rpc_error error = fault_unavailable();

	session->login = NULL;
	if (login != NULL && login->timer.place != 0)
		fail(login, &error);
}

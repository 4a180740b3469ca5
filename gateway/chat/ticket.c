/* SPDX-License-Identifier: PostgreSQL */
/*
 * chat/ticket.c
 *	  Tickets: create_ticket for those who have a token, and their use where none can be sent, as in <img>, <video> and
 *	  EventSource.
 *
 * A ticket opens one file for one login, for ticket_lifetime, as often as it is shown. It is only as good as its
 * login: each use asks the database whether that has ended meanwhile; whether the user may read the file is asked as
 * for everybody. The key is made by the parent before it has workers, or of ticket_secret, which gateways on several
 * machines may share.
 *
 * A ticket for events opens one stream, once, within EVENTS_LIFETIME: the URL of a stream, which stands in many a log, is
 * good for nothing afterwards. Which were used all workers of this gateway know (base/once.c); those on other machines that
 * share the secret do not.
 *
 * Called from: main.c, chat/call, net/transfer, net/events. Calls: codec/ticket, base/once, chat/login, pg/pool.
 */
#include "chat/ticket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/config.h"
#include "base/mem.h"
#include "base/once.h"
#include "chat/fault.h"
#include "chat/login.h"
#include "io/loop.h"
#include "pg/pool.h"

#define EVENTS_LIFETIME 30000 /* milliseconds, unless ticket_lifetime is less */

/* The question whether a ticket's login is good. */
struct check
{
	struct pg_call pg;     /* list_live_sessions */
	uint64_t session;      /* handle of the visitor */
	struct ticket ticket;  /* what he has shown */
	char ids[32];          /* parameter: the login's id */
	const char *values[1]; /* for pg */
};

static const struct pg_statement find_login = {
	"find_login", "SELECT session_id FROM chat.list_live_sessions($1::bigint[])", 1};
static unsigned char key[TICKET_KEY]; /* from ticket_open on */
static const int text_only[1];        /* lengths and formats of check's parameter */

void
ticket_open(void)
{
	if (config.ticket_secret[0] != '\0')
		ticket_make_key(config.ticket_secret, key);
	else if (getrandom(key, sizeof key, 0) != (ssize_t) sizeof key)
		abort();
	if (!once_open(loop_date()))
		abort();
}

/* `path`: where it serves. */
static void
issue(struct buf *out, const struct ticket *ticket, const char *path)
{
	time_t seconds = (time_t) (ticket->expires / 1000);
	struct buf text = {0};
	struct tm parts;
	char at[32];

	ticket_write(&text, ticket, key);
	strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &parts));
	buf_format(out, "{\"ticket\":\"%s\",\"url\":\"%s?ticket=%s\",\"expires_at\":\"%s.%03dZ\"}",
			   buf_text(&text), path, buf_text(&text), at, (int) (ticket->expires % 1000));
	buf_free(&text);
}

void
ticket_issue(struct buf *out, const struct session *session, int64_t file_id)
{
	struct ticket ticket = {TICKET_FILE, session->user_id, session->login_id, file_id,
							loop_date() + config.ticket_lifetime};
	char path[32];

	snprintf(path, sizeof path, "/files/%lld", (long long) file_id);
	issue(out, &ticket, path);
}

static int64_t
events_lifetime(void)
{
	return config.ticket_lifetime < EVENTS_LIFETIME ? config.ticket_lifetime : EVENTS_LIFETIME;
}

void
ticket_issue_events(struct buf *out, const struct session *session)
{
	int64_t expires = loop_date() + events_lifetime();
	struct ticket ticket = {TICKET_EVENTS, session->user_id, session->login_id,
							once_number(expires, loop_random(UINT64_MAX)), expires};

	issue(out, &ticket, "/events");
}

/* Used before it is looked whether it has expired: in this order no two can have used it. */
void
ticket_follow(struct session *session, const char *text, int64_t since)
{
	struct rpc_error error = fault_bad_ticket();
	struct ticket ticket;

	if (ticket_read(text, strlen(text), key, &ticket) && ticket.kind == TICKET_EVENTS &&
		once_use(ticket.subject, events_lifetime()) && ticket.expires >= loop_date())
		login_with_ticket(session, ticket.user_id, ticket.login_id, since);
	else
		session_refuse(session, &error);
}

static void
on_checked(struct pg_call *pg, enum pg_verdict verdict, const struct pg_result *result)
{
	struct check *check = list_entry(pg, struct check, pg);
	struct session *session = session_find(check->session);
	struct rpc_error error = fault_session_ended();

	if (verdict != PG_DONE)
		error = fault_from_database(verdict, result, "list_live_sessions");
	if (session != NULL && verdict == PG_DONE && result_rows(result) == 1)
	{
		session->user_id = check->ticket.user_id;
		session->login_id = check->ticket.login_id;
		session->ops->admitted(session->socket);
	}
	else if (session != NULL)
		session_refuse(session, &error);
	mem_free(check);
}

void
ticket_admit(struct session *session, const char *text, enum ticket_kind kind, int64_t subject)
{
	struct rpc_error error = fault_bad_ticket();
	struct check *check;
	struct ticket ticket;

	if (!ticket_read(text, strlen(text), key, &ticket) || ticket.kind != kind || ticket.subject != subject ||
		ticket.expires < loop_date())
	{
		session_refuse(session, &error);
		return;
	}
	check = mem_alloc(sizeof *check);
	check->session = session_handle(session);
	check->ticket = ticket;
	snprintf(check->ids, sizeof check->ids, "{%lld}", (long long) ticket.login_id);
	check->values[0] = check->ids;
	check->pg = (struct pg_call){.statement = &find_login,
								 .values = check->values,
								 .lengths = text_only,
								 .formats = text_only,
								 .lane = LANE_OWN,
								 .user = ticket.user_id,
								 .repeatable = true,
								 .done = on_checked};
	pool_submit(&check->pg);
}

/* SPDX-License-Identifier: PostgreSQL */
/* Tickets made and honoured. See chat/ticket.c. */
#ifndef CHAT_TICKET_H
#define CHAT_TICKET_H

#include "base/buf.h"
#include "chat/session.h"
#include "codec/ticket.h"

extern void ticket_open(void); /* in the parent: all its workers have one key, and know what was used */

/* Append what create_ticket answers: ticket, url, expires_at. */
extern void ticket_issue(struct buf *out, const struct session *session, int64_t file_id);
extern void ticket_issue_events(struct buf *out, const struct session *session); /* for one stream */

/* Admit or refuse a visitor by a ticket for this. */
extern void ticket_admit(struct session *session, const char *text, enum ticket_kind kind, int64_t subject);

/* Log a stream of events in by a ticket, which is used up, or refuse it. */
extern void ticket_follow(struct session *session, const char *text, int64_t since);

#endif

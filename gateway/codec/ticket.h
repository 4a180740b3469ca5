/* SPDX-License-Identifier: PostgreSQL */
/* Tickets: what somebody may do for a while without his token, in a form that nobody else can make. See ticket.c. */
#ifndef CODEC_TICKET_H
#define CODEC_TICKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define TICKET_KEY 32 /* bytes */

enum ticket_kind
{
	TICKET_FILE = 1,  /* subject: the file it lets in to */
	TICKET_EVENTS = 2 /* subject: a number of base/once.h; for one stream */
};

struct ticket
{
	enum ticket_kind kind; /* what for */
	int64_t user_id;       /* whose */
	int64_t login_id;      /* the login that must still be good when it is used */
	int64_t subject;       /* by kind */
	int64_t expires;       /* milliseconds since 1970 */
};

/* Make a key of a secret of any length. */
extern void ticket_make_key(const char *secret, unsigned char *key);

/* Append the ticket: letters and digits only. */
extern void ticket_write(struct buf *out, const struct ticket *ticket, const unsigned char *key);

/* False: it was not made with this key. Whether it has expired is the caller's to see. */
extern bool ticket_read(const char *text, size_t length, const unsigned char *key, struct ticket *ticket);

#endif

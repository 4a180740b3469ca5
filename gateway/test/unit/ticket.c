/* SPDX-License-Identifier: PostgreSQL */
/* Tickets: nobody makes one without the key. */
#include "codec/ticket.h"

#include "tap.h"

int
main(void)
{
	struct ticket ticket = {TICKET_FILE, 1, INT64_C(1) << 62, -5, 1234567890123};
	struct ticket back = {0};
	unsigned char key[TICKET_KEY];
	unsigned char other[TICKET_KEY];
	struct buf text = {0};
	bool any = false;

	ticket_make_key("secret", key);
	ticket_make_key("secret ", other);
	ticket_write(&text, &ticket, key);
	ok(text.length == 130 && strspn(buf_text(&text), "0123456789abcdef") == 130, "letters and digits");
	ok(ticket_read(text.data, text.length, key, &back), "read back");
	ok(back.kind == ticket.kind && back.user_id == ticket.user_id && back.login_id == ticket.login_id &&
		   back.subject == ticket.subject && back.expires == ticket.expires,
	   "all of it");
	ok(!ticket_read(text.data, text.length, other, &back), "another key");
	ok(!ticket_read(text.data, text.length - 1, key, &back), "too short");
	ok(!ticket_read(text.data, 0, key, &back), "nothing");
	for (size_t i = 0; i < text.length; i++)
	{
		char was = text.data[i];

		text.data[i] = was == '0' ? '1' : '0';
		any = any || ticket_read(text.data, text.length, key, &back);
		text.data[i] = was == '0' ? 'A' : (char) (was - 32);
		any = any || ticket_read(text.data, text.length, key, &back);
		text.data[i] = was;
	}
	ok(!any, "no letter may be another");
	buf_free(&text);
	return done();
}

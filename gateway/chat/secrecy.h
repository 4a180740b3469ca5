/* SPDX-License-Identifier: PostgreSQL */
/* Whether PostgreSQL's log keeps what calls carry to itself. See secrecy.c. */
#ifndef CHAT_SECRECY_H
#define CHAT_SECRECY_H

extern void secrecy_open(void); /* looks, and warns once if it does not */
extern void secrecy_close(void);

#endif

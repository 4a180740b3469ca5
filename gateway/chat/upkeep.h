/* SPDX-License-Identifier: PostgreSQL */
/* The database's maintenance, every minute. See upkeep.c. */
#ifndef CHAT_UPKEEP_H
#define CHAT_UPKEEP_H

extern void upkeep_open(void); /* in one worker of a gateway */
extern void upkeep_close(void);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Words to systemd. See notify.c. */
#ifndef IO_NOTIFY_H
#define IO_NOTIFY_H

#include <stdint.h>

extern void notify_ready(void);     /* it serves, anew after notify_reloading */
extern void notify_reloading(void); /* notify_ready follows */
extern void notify_stopping(void);
extern void notify_alive(void);       /* to be said every so often */
extern int64_t notify_interval(void); /* so many milliseconds; 0: nobody asks */

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Listening sockets. See listen.c. */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

/* Open one on "address:port", which this setting says, with SO_REUSEPORT. -1: said why on standard error. */
extern int listen_open(const char *setting, const char *where);

#endif

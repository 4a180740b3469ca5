/* SPDX-License-Identifier: PostgreSQL */
/* Addresses of services we ask. See url.c. */
#ifndef BASE_URL_H
#define BASE_URL_H

#include <stdbool.h>

/* https with a host; or, with `plain_loopback`, also http to this very machine. No user, no blanks. */
extern bool url_is_secure(const char *url, bool plain_loopback);

/* http or https, to whomever; else the same. */
extern bool url_is_http(const char *url);

#endif

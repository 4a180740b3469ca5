/* SPDX-License-Identifier: PostgreSQL */
/* A file on its way out. See download.c. */
#ifndef NET_DOWNLOAD_H
#define NET_DOWNLOAD_H

#include "net/http.h"

extern void download_begin(struct http *http); /* GET and HEAD of /files/{id} */

#endif

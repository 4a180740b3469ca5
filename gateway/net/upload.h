/* SPDX-License-Identifier: PostgreSQL */
/* A file on its way in. See upload.c. */
#ifndef NET_UPLOAD_H
#define NET_UPLOAD_H

#include "net/http.h"

extern void upload_begin(struct http *http); /* POST /files */

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* Files in and out. See files.c. */
#ifndef NET_FILES_H
#define NET_FILES_H

#include "net/http.h"

extern void files_post(struct http *http); /* POST /files */
extern void files_get(struct http *http);  /* GET and HEAD of /files/{id} */

#endif

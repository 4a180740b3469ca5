/* SPDX-License-Identifier: PostgreSQL */
/* The methods described for machines. See openrpc.c. */
#ifndef CHAT_OPENRPC_H
#define CHAT_OPENRPC_H

#include <stddef.h>

/* The document of now, and its tag with quotes; both live until the next call. NULL: there is no catalog yet. */
extern const char *openrpc_text(size_t *length, const char **tag);
extern void openrpc_close(void);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* The methods described for machines. See openrpc.c. */
#ifndef CHAT_OPENRPC_H
#define CHAT_OPENRPC_H

#include "base/message.h"

/* The document of now, and its tag with quotes; both live until the next call. NULL: there is no catalog yet. */
extern struct message *openrpc_document(const char **tag);
extern void openrpc_close(void);

#endif

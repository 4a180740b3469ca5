/* SPDX-License-Identifier: PostgreSQL */
/* Rows to JSON. See render.c. */
#ifndef CHAT_RENDER_H
#define CHAT_RENDER_H

#include <stdbool.h>

#include "base/buf.h"
#include "chat/catalog.h"
#include "pg/result.h"

/* Append the method's answer. False: the rows are not those that the catalog promised. */
extern bool render_result(const struct method *method, const struct pg_result *result, struct buf *out);

#endif

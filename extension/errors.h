/* SPDX-License-Identifier: PostgreSQL */
/*
 * errors.h: raising the extension's errors by their word.
 */
#ifndef CHAT_ERRORS_H
#define CHAT_ERRORS_H

#include "postgres.h"

/*
 * Raises the error whose DETAIL is `reason` (a word of the table in errors.c); message and hint NULL = the
 * table's. Never returns.
 */
extern _Noreturn void chat_fail(const char *reason, const char *message, const char *hint);

#endif

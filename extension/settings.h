/* SPDX-License-Identifier: PostgreSQL */
/*
 * settings.h: chat.settings as C reads them.
 */
#ifndef CHAT_SETTINGS_H
#define CHAT_SETTINGS_H

#include "postgres.h"

/* The present value of a setting; a name that does not exist is a bug and raises XX000. */
extern int64 setting_integer(const char *name);
extern bool setting_boolean(const char *name);

#endif

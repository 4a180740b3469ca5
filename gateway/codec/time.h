/* SPDX-License-Identifier: PostgreSQL */
/* Times and durations: RFC 3339 and ISO 8601 against PostgreSQL's ISO output. See time.c. */
#ifndef CODEC_TIME_H
#define CODEC_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

extern bool
time_is_timestamp(const char *text); /* 2025-01-31T23:59:59.123Z or with an offset; years 1900 to 9999 */
extern bool time_is_date(const char *text);     /* 2025-01-31 */
extern bool time_is_duration(const char *text); /* P1DT2H, PT0.5S, P2W: no sign, at most nine digits a part */

/* Milliseconds since 1970 of such a timestamp; 0: it is none. */
extern int64_t time_milliseconds(const char *text, size_t length);

/* When an id was made, milliseconds since 1970: its upper 41 bits count them from 2025 on. */
extern int64_t time_of_id(int64_t id);

/* Append PostgreSQL's `2025-01-31 23:59:59.123+00` as RFC 3339. False, and nothing appended: it isn't of that form. */
extern bool time_write(struct buf *out, const char *text, size_t length);

#endif

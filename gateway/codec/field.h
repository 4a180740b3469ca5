/* SPDX-License-Identifier: PostgreSQL */
/* Values of HTTP header fields about files: ranges, tags, names. See field.c. */
#ifndef CODEC_FIELD_H
#define CODEC_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "codec/json.h"

enum range_verdict
{
	RANGE_WHOLE, /* there is none that we would serve: several, of another unit, or nonsense */
	RANGE_PART,  /* one, that begins within the file */
	RANGE_BEYOND /* one, that has nothing of it */
};

/* What of `size` bytes a Range field asks for. With RANGE_PART: from *first, *count bytes. */
extern enum range_verdict field_range(const struct slice *value, int64_t size, int64_t *first,
									  int64_t *count);

/* Whether a list of entity tags (If-Match, If-None-Match) has this strong one, quotes and all; * has every one. */
extern bool field_has_tag(const struct slice *list, const char *tag, bool weak_will_do);

/* Append a Content-Disposition with a file's name, which is UTF-8. */
extern void field_disposition(struct buf *out, bool is_inline, const char *name);

#endif

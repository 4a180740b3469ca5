/* SPDX-License-Identifier: PostgreSQL */
/* Base64 with the standard alphabet and padding, or as in URLs, without (RFC 4648). */
#ifndef CODEC_BASE64_H
#define CODEC_BASE64_H

#include <stdbool.h>

#include "base/buf.h"

extern void base64_write(struct buf *out, const void *data, size_t length);

/* Append the bytes. False: not strict base64 (alphabet, padding, unused bits); what was appended is to be ignored. */
extern bool base64_read(struct buf *out, const char *text, size_t length);
extern bool base64url_read(struct buf *out, const char *text, size_t length);

#endif

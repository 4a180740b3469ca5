/* SPDX-License-Identifier: PostgreSQL */
/* JSON that is plain. See plain.c. */
#ifndef CODEC_PLAIN_H
#define CODEC_PLAIN_H

#include <stddef.h>

#include <jansson.h>

/* NULL: the text is not plain, or no JSON at all: that is for jansson to say. The caller owns the value. */
extern json_t *plain_read(const char *text, size_t length);

#endif

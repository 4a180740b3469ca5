/* SPDX-License-Identifier: PostgreSQL */
/* PostgreSQL's array literals, {1,NULL,"a b"}. See array.c. */
#ifndef CODEC_ARRAY_H
#define CODEC_ARRAY_H

#include <stdbool.h>

#include "base/buf.h"

/* Write one: begin, add each element (NULL text: SQL NULL), end. */
extern void array_begin(struct buf *out);
extern void array_add(struct buf *out, const char *text, size_t length);
extern void array_end(struct buf *out);

/* Called for each element, unescaped; NULL text: SQL NULL. It appends the element's JSON to the array_read's `out`. */
typedef void (*array_element_fn)(void *arg, const char *text, size_t length);

/* Append the array as JSON, nested as it is. False: not an array literal; `out` is to be cut back. */
extern bool array_read(const char *text, size_t length, array_element_fn element, void *arg, struct buf *out);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* A byte buffer that grows. The owner starts it with {0} and ends it with buf_free. See buf.c. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

struct buf
{
	char *data;    /* the bytes; NULL while nothing was ever added; not NUL-terminated */
	size_t length; /* bytes in use */
	size_t size;   /* bytes allocated */
};

extern void buf_add(struct buf *buf, const void *data, size_t length);
extern void buf_add_char(struct buf *buf, char c);
extern void buf_add_text(struct buf *buf, const char *text);
extern void buf_add_identifier(struct buf *buf, const char *name); /* SQL's "name" */
extern void buf_format(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern char *buf_reserve(struct buf *buf, size_t length); /* room for so many bytes more; length unchanged */
extern const char *buf_text(struct buf *buf);             /* the same bytes, NUL-terminated */
extern void buf_clear(struct buf *buf);                   /* empty; keeps the memory */
extern void buf_free(struct buf *buf);                    /* empty; gives the memory back */

#endif

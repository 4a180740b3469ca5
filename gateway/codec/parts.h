/* SPDX-License-Identifier: PostgreSQL */
/* A notification that comes in parts. See parts.c. */
#ifndef CODEC_PARTS_H
#define CODEC_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* The text that is being put together. The owner starts it with {0} and ends it with parts_clear. */
struct parts
{
	struct buf text; /* of the parts so far */
	uint64_t tag;    /* whose parts these are */
	int count;       /* how many there will be; 0: none has come */
	int taken;       /* of them */
};

enum parts_verdict
{
	PARTS_NONE,  /* it is no part */
	PARTS_TAKEN, /* others are to come */
	PARTS_WHOLE, /* it was the last one: text has all, until the next call */
	PARTS_LOST   /* some have not come */
};

extern enum parts_verdict parts_take(struct parts *parts, const char *payload, size_t length);
extern void parts_clear(struct parts *parts); /* what has come is forgotten */

#endif

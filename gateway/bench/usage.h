/* SPDX-License-Identifier: PostgreSQL */
/* What a process and its descendants use. See usage.c. */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

struct usage
{
	double gateway;  /* CPU seconds of the gateway's processes so far */
	double database; /* the same of the server's */
};

extern struct usage usage_read(void);
extern struct usage usage_since(struct usage before); /* from then till now */
extern double usage_gateway_memory(void);             /* bytes, proportional set size */

/* Prints gateway_NAME and database_NAME: CPU seconds by `count`, times `unit`. */
extern void usage_report(struct usage used, const char *name, double count, double unit);

#endif

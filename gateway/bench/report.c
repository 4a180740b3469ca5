/* SPDX-License-Identifier: PostgreSQL */
/*
 * report.c
 *	  Figures out, one a line; and the one way to end badly.
 *
 * Called from: everywhere. Calls: libc.
 */
#include "bench/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
report(const char *name, double value)
{
	printf("%-24s %.*f\n", name, value < 1000 ? 4 : 0, value);
}

void
give_up(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("chat-bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* SPDX-License-Identifier: PostgreSQL */
/* What chat-bench says: lines "name value" on stdout, for people and for bench.sh. See report.c. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

extern void report(const char *name, double value);
extern void give_up(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif

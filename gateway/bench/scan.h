/* SPDX-License-Identifier: PostgreSQL */
/* The least of JSON that a load generator needs. See scan.c. */
#ifndef BENCH_SCAN_H
#define BENCH_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the text begins with the word. */
extern bool scan_begins(const char *text, size_t length, const char *word);

/* The string behind the first `mark`, which ends in its opening quote; false and untouched: there is none, or it is too long. */
extern bool scan_text(const char *text, size_t length, const char *mark, char *value, size_t size);

/* The number behind the first `mark`; 0: none. */
extern int64_t scan_number(const char *text, size_t length, const char *mark);

#endif

/* SPDX-License-Identifier: PostgreSQL */
/* The log: one line per event, on standard error. See log.c. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level
{
	LEVEL_DEBUG,
	LEVEL_INFO,
	LEVEL_WARN,
	LEVEL_ERROR
};

enum log_format
{
	FORMAT_LOGFMT,
	FORMAT_JSON
};

/* What is below `level` is not written; `who` ("parent", "worker 1") stands in every line and is copied. */
extern void log_open(enum log_level level, enum log_format format, const char *who);

/* The least level written, from now on. */
extern void log_set_level(enum log_level level);

/* A trace's id, which stands in each line until it is another; copied. NULL: none. */
extern void log_set_trace(const char *trace_id);

/* `event` is one snake_case word for machines; the text is for people: cut at about 1 kB, control bytes escaped. */
extern void log_write(enum log_level level, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif

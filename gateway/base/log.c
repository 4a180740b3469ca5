/* SPDX-License-Identifier: PostgreSQL */
/*
 * log.c
 *	  The log: one line per event on standard error, as logfmt or as JSON.
 *
 * A line is built in a fixed buffer and leaves in one write(), so lines of several workers never mix. The text may
 * contain what a client or the database sent: quotes, backslashes and control bytes are escaped, bytes above ASCII
 * pass (both senders are checked for UTF-8 elsewhere).
 *
 * Called from: everywhere. Calls: libc.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096 /* a whole line */
#define TEXT_MAX_BYTES 1024 /* the part for people, before escaping */

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static enum log_level threshold = LEVEL_INFO;       /* least level written */
static enum log_format line_format = FORMAT_LOGFMT; /* for the life of the process */
static char writer[32] = "parent";                  /* who writes, stands in every line */
static char trace[33];                              /* id of the trace; empty: there is none now */

void
log_open(enum log_level level, enum log_format format, const char *who)
{
	threshold = level;
	line_format = format;
	snprintf(writer, sizeof writer, "%s", who);
}

void
log_set_level(enum log_level level)
{
	threshold = level;
}

void
log_set_trace(const char *trace_id)
{
	snprintf(trace, sizeof trace, "%s", trace_id ? trace_id : "");
}

/* Take off a last character that was cut in two. */
static void
trim(char *text)
{
	size_t length = strlen(text);
	size_t tail = 0;
	unsigned char lead;

	while (tail < length && tail < 3 && ((unsigned char) text[length - 1 - tail] & 0xc0) == 0x80)
		tail++;
	if (tail == length)
		return;
	lead = (unsigned char) text[length - 1 - tail];
	if (lead >= 0xc0 && tail < (lead >= 0xf0 ? 3u : lead >= 0xe0 ? 2u : 1u))
		text[length - 1 - tail] = '\0';
}

/* Escape text for a quoted value; JSON's escapes serve logfmt as well. */
static void
escape(const char *text, char *out, size_t size)
{
	size_t used = 0;

	for (; *text != '\0' && used + 7 < size; text++)
	{
		unsigned char c = (unsigned char) *text;

		if (c == '"' || c == '\\')
		{
			out[used++] = '\\';
			out[used++] = (char) c;
		}
		else if (c < 0x20 || c == 0x7f)
			used += (size_t) snprintf(out + used, size - used, "\\u%04x", c);
		else
			out[used++] = (char) c;
	}
	out[used] = '\0';
	trim(out);
}

static void
time_text(char *out, size_t size)
{
	struct timespec now;
	struct tm tm;
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	used = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + used, size - used, ".%03ldZ", now.tv_nsec / 1000000);
}

void
log_write(enum log_level level, const char *event, const char *format, ...)
{
	static const char *const layouts[] = {
		[FORMAT_LOGFMT] = "time=%s level=%s who=\"%s\" pid=%d%s%s%s event=%s message=\"%s\"\n",
		[FORMAT_JSON] = "{\"time\":\"%s\",\"level\":\"%s\",\"who\":\"%s\",\"pid\":%d%s%s%s,\"event\":\"%s\","
						"\"message\":\"%s\"}\n",
	};
	bool json = line_format == FORMAT_JSON;
	char text[TEXT_MAX_BYTES];
	char escaped[3 * TEXT_MAX_BYTES];
	char when[40];
	char line[LINE_MAX_BYTES];
	va_list args;
	int length;

	if (level < threshold)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	trim(text);
	escape(text, escaped, sizeof escaped);
	time_text(when, sizeof when);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	length =
		snprintf(line, sizeof line, layouts[line_format], when, level_names[level], writer, (int) getpid(),
				 trace[0] == '\0' ? ""
				 : json           ? ",\"trace_id\":\""
								  : " trace_id=",
				 trace, trace[0] != '\0' && json ? "\"" : "", event, escaped);
#pragma GCC diagnostic pop
	if (write(STDERR_FILENO, line, (size_t) length) < 0)
		return; /* nowhere left to say it */
}

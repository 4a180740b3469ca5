/* SPDX-License-Identifier: PostgreSQL */
/*
 * options.c
 *	  chat-bench MODE [--name=value]…, from one table.
 *
 * Called from: main.c; everybody reads `options`. Calls: report.
 */
#include "bench/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"

struct option
{
	const char *name; /* behind -- */
	size_t field;     /* offset in struct options */
	bool number;      /* long, else text */
	const char *help; /* one line */
};

struct options options = {
	.method = "get_profile", .port = 8080, .depth = 1, .seconds = 10, .warm = 2, .body = 100, .spread = 1000};

#define TEXT(name, help)                                                                                     \
	{                                                                                                        \
#name, offsetof(struct options, name), false, help                                                   \
	}
#define NUMBER(name, help)                                                                                   \
	{                                                                                                        \
#name, offsetof(struct options, name), true, help                                                    \
	}

/* clang-format off */
static const struct option table[] = {
	TEXT(sessions, "file of `user_id token chat_id` lines, one a session; pairs: two lines a chat"),
	TEXT(method, "calls: the method, without parameters (get_profile)"),
	NUMBER(port, "of the gateway on 127.0.0.1 (8080)"),
	NUMBER(connections, "how many of the sessions; 0: all (0)"),
	NUMBER(active, "how many of them talk, the others are idle; 0: all (0)"),
	NUMBER(depth, "messages or calls in flight per connection, closed loop (1)"),
	NUMBER(rate, "messages a second of all, open loop; 0: closed loop (0)"),
	NUMBER(seconds, "measured (10)"),
	NUMBER(warm, "seconds before that (2)"),
	NUMBER(body, "bytes of a message, at least 60 (100)"),
	NUMBER(keys, "1: messages carry a client_key (0)"),
	NUMBER(spread, "milliseconds over which the sessions of a storm come back (1000)"),
	NUMBER(gateway, "process id of the gateway's parent"),
	NUMBER(database, "process id of the postmaster"),
};
/* clang-format on */

static void
print_help(void)
{
	puts("chat-bench pairs|room|calls|idle|storm [--name=value]...");
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		printf("  --%-14s %s\n", table[i].name, table[i].help);
	exit(0);
}

static void
set(const struct option *option, const char *value)
{
	void *field = (char *) &options + option->field;
	char *end;

	if (!option->number)
	{
		*(const char **) field = value;
		return;
	}
	*(long *) field = strtol(value, &end, 10);
	if (end == value || *end != '\0')
		give_up("--%s wants a number", option->name);
}

static const struct option *
find(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
	{
		if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0)
			return &table[i];
	}
	give_up("no such option: --%.*s", (int) length, name);
}

void
options_read(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "--help") == 0)
		print_help();
	options.mode = argv[1];
	for (int i = 2; i < argc; i++)
	{
		const char *equals = strchr(argv[i], '=');

		if (strncmp(argv[i], "--", 2) != 0 || equals == NULL)
			give_up("options are --name=value, not %s", argv[i]);
		set(find(argv[i] + 2, (size_t) (equals - argv[i]) - 2), equals + 1);
	}
	if (options.sessions == NULL)
		give_up("--sessions is missing");
	if (options.body < 60 || options.depth < 1 || options.seconds < 1)
		give_up("--body is at least 60, --depth and --seconds at least 1");
}

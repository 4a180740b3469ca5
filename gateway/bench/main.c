/* SPDX-License-Identifier: PostgreSQL */
/*
 * main.c
 *	  chat-bench: load for a gateway, and what becomes of it. Built by `make bench-build`, never installed.
 *
 *	  options    the command line
 *	  pairs, room, calls, idle, storm      the modes, a file each
 *	  stage, pace, traffic      when it is measured, when it is sent, what is sent and what has come
 *	  fleet      the sessions, from connect to logged in
 *	  client     one WebSocket
 *	  ledger, histogram, usage, scan, report      the books
 *
 * One thread, one loop, libuv's default one. It uses the gateway's base/ and nothing above it, so that a mistake there is not
 * made twice.
 */
#include <signal.h>
#include <string.h>
#include <uv.h>

#include "bench/fleet.h"
#include "bench/modes.h"
#include "bench/options.h"
#include "bench/report.h"

static const struct mode *const modes[] = {&pairs_mode, &room_mode, &calls_mode, &idle_mode, &storm_mode};

static const struct mode *
find_mode(const char *name)
{
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
	{
		if (strcmp(modes[i]->name, name) == 0)
			return modes[i];
	}
	give_up("no such mode: %s", name);
}

int
main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	options_read(argc, argv);
	fleet_open(find_mode(options.mode));
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	return 0;
}

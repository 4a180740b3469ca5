/* SPDX-License-Identifier: PostgreSQL */
/* The command line of chat-bench. See options.c. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

struct options
{
	const char *mode;     /* what to do; the first argument */
	const char *sessions; /* file of "user_id token chat_id" lines, one a session */
	const char *method;   /* of mode calls */
	long port;            /* of the gateway, on 127.0.0.1 */
	long connections;     /* how many of the sessions; 0: all */
	long active;          /* how many of them talk, the first ones; 0: all */
	long depth;           /* messages in flight per connection, closed loop */
	long rate;            /* messages or calls a second of all, open loop; 0: closed loop */
	long seconds;         /* measured */
	long warm;            /* seconds before that */
	long body;            /* bytes of a message */
	long keys;            /* 1: messages carry a client_key */
	long spread;          /* milliseconds over which a storm's sessions come back */
	long gateway;         /* process id of its parent; 0: not measured */
	long database;        /* process id of the postmaster; 0: not measured */
};

extern struct options options;

extern void options_read(int argc, char **argv); /* ends the process when they are wrong */

#endif

/* SPDX-License-Identifier: PostgreSQL */
/*
 * delivery.c
 *	  What delivery.sh needs of a client that psql and pgbench are not: one that hears notifications as they come.
 *
 *	  delivery drain CHANNEL…                  LISTENs, drains until SIGTERM and silence, prints "NOTIFICATIONS RESYNCS"
 *	  delivery lag RATE SECONDS CHAT:USER…     sends at RATE a second and hears what it sent; prints
 *	                                           "SENT HEARD SPAN P50 P99 AFTER_P50 AFTER_P99", the last four in milliseconds
 *
 * The connection is libpq's environment's. `drain` prints "listening" when it is.
 *
 * lag, in one thread, so that all times are of one clock and nothing is shared:
 *	1  Message i is due at start + i / RATE, whatever has happened to those before it (open loop). It takes any connection
 *	   that is free; while none is, the due ones wait, and then the span from first to last send tells.
 *	2  BEGIN and send_message leave together; their answer names the id; COMMIT follows at once.
 *	3  P50, P99: from just before COMMIT is sent to the notification read: an upper bound of what passes between commit and
 *	   notification, for the flush is in it. AFTER_*: from the COMMIT's answer, a lower bound.
 *
 * One listening connection, on one member's channel of each chat, read before the senders in every turn.
 */
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SENDERS    16           /* connections that send; at 2,000/s about one of them is busy */
#define SILENCE    300          /* milliseconds without a notification: no more will come */
#define GRACE      3000000000LL /* nanoseconds that lag waits for the last notifications */
#define BODY       "a message of the usual length, such as people write to each other while they are at work"
#define TABLE_SIZE (1 << 20) /* slots of the table by id; twice the messages of one run at least */

struct message
{
	int64_t id;        /* 0: the slot is free */
	int64_t committed; /* nanoseconds: COMMIT sent */
	int64_t answered;  /* nanoseconds: COMMIT's answer read; 0: not yet */
	int64_t heard;     /* nanoseconds: notification read; 0: not yet */
};

struct sender
{
	PGconn *conn;            /* owned */
	struct message *message; /* between COMMIT and its answer */
	bool busy;               /* from BEGIN to COMMIT's answer */
};

static struct message messages[TABLE_SIZE]; /* of this run, by id, open addressing */
static struct sender senders[SENDERS];      /* of lag */
static PGconn *listener;                    /* LISTENs */
static volatile sig_atomic_t stopped;       /* SIGTERM has come */
static char **chats;                        /* "chat:user" of lag's arguments */
static int chat_count;                      /* of them */
static int64_t heard_count;                 /* notifications of messages */

static void
fail(PGconn *conn, const char *what)
{
	fprintf(stderr, "delivery: %s: %s", what, conn == NULL ? "no\n" : PQerrorMessage(conn));
	exit(1);
}

static int64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static PGconn *
open_connection(void)
{
	PGconn *conn = PQconnectdb("");

	if (PQstatus(conn) != CONNECTION_OK)
		fail(conn, "connect");
	return conn;
}

static void
run(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		fail(conn, sql);
	PQclear(result);
}

static void
listen_to(PGconn *conn, const char *channel)
{
	char sql[100];

	snprintf(sql, sizeof sql, "LISTEN %s", channel);
	run(conn, sql);
}

static void
on_terminate(int signal)
{
	(void) signal;
	stopped = 1;
}

/* A signal interrupts poll, which counts as something ready; one between check and poll is seen after SILENCE. */
static void
drain(char **channels, int count)
{
	struct sigaction action = {.sa_handler = on_terminate};
	struct pollfd fd;
	long notifications = 0;
	long resyncs = 0;
	PGnotify *notify;

	sigaction(SIGTERM, &action, NULL);
	listener = open_connection();
	listen_to(listener, "chat_resync");
	for (int i = 0; i < count; i++)
		listen_to(listener, channels[i]);
	puts("listening");
	fflush(stdout);
	fd = (struct pollfd){.fd = PQsocket(listener), .events = POLLIN};
	for (int ready = 0; !stopped || ready != 0;)
	{
		ready = poll(&fd, 1, SILENCE);
		if (ready > 0 && !PQconsumeInput(listener))
			fail(listener, "listen");
		while ((notify = PQnotifies(listener)) != NULL)
		{
			if (strcmp(notify->relname, "chat_resync") == 0)
				resyncs++;
			else
				notifications++;
			PQfreemem(notify);
		}
	}
	printf("%ld %ld\n", notifications, resyncs);
}

/* The message with this id; made when there is none. */
static struct message *
find_message(int64_t id)
{
	uint64_t slot = (uint64_t) id * 0x9E3779B97F4A7C15u >> 44;

	while (messages[slot].id != 0 && messages[slot].id != id)
		slot = (slot + 1) % TABLE_SIZE;
	messages[slot].id = id;
	return &messages[slot];
}

static void
listen_to_members(void)
{
	listener = open_connection();
	for (int i = 0; i < chat_count; i++)
	{
		char sql[100];
		PGresult *result;

		snprintf(sql, sizeof sql, "SELECT chat.user_channel(%s)", strchr(chats[i], ':') + 1);
		result = PQexec(listener, sql);
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			fail(listener, sql);
		listen_to(listener, PQgetvalue(result, 0, 0));
		PQclear(result);
	}
}

static void
hear(void)
{
	PGnotify *notify;
	int64_t time;

	if (!PQconsumeInput(listener))
		fail(listener, "listen");
	time = now();
	while ((notify = PQnotifies(listener)) != NULL)
	{
		const char *id = strstr(notify->extra, "\"event\":{\"type\":\"message\"");

		id = id == NULL ? NULL : strstr(id, "\"id\":\"");
		if (id != NULL)
		{
			find_message(atoll(id + 6))->heard = time;
			heard_count++;
		}
		PQfreemem(notify);
	}
}

static void
send_query(PGconn *conn, const char *sql)
{
	if (!PQsendQuery(conn, sql) || PQflush(conn) != 0)
		fail(conn, sql);
}

static void
begin_message(struct sender *sender, long number)
{
	char sql[300];
	const char *chat = chats[number % chat_count];

	snprintf(sql, sizeof sql, "BEGIN; SELECT id FROM chat.send_message(%s, %.*s, '" BODY "')",
			 strchr(chat, ':') + 1, (int) strcspn(chat, ":"), chat);
	sender->busy = true;
	sender->message = NULL;
	send_query(sender->conn, sql);
}

/* An answer is whole: the message's id, or the end of its COMMIT. */
static void
take_answer(struct sender *sender)
{
	PGresult *result;
	int64_t id = 0;

	while ((result = PQgetResult(sender->conn)) != NULL)
	{
		if (PQresultStatus(result) == PGRES_TUPLES_OK)
			id = atoll(PQgetvalue(result, 0, 0));
		else if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail(sender->conn, "send");
		PQclear(result);
	}
	if (sender->message != NULL)
	{
		sender->message->answered = now();
		sender->busy = false;
		return;
	}
	sender->message = find_message(id);
	sender->message->committed = now();
	send_query(sender->conn, "COMMIT");
}

static bool
answer_is_whole(struct sender *sender)
{
	if (!PQconsumeInput(sender->conn))
		fail(sender->conn, "send");
	return !PQisBusy(sender->conn);
}

static struct sender *
free_sender(void)
{
	for (int i = 0; i < SENDERS; i++)
	{
		if (!senders[i].busy)
			return &senders[i];
	}
	return NULL;
}

static bool
all_answered(void)
{
	for (int i = 0; i < SENDERS; i++)
	{
		if (senders[i].busy)
			return false;
	}
	return true;
}

/* Wait for something to read, at most until `until`. */
static void
turn(int64_t until)
{
	struct pollfd fds[SENDERS + 1];
	int64_t wait = until - now();
	struct timespec timeout = {wait > 0 ? wait / 1000000000 : 0, wait > 0 ? wait % 1000000000 : 0};

	fds[SENDERS] = (struct pollfd){.fd = PQsocket(listener), .events = POLLIN};
	for (int i = 0; i < SENDERS; i++)
		fds[i] = (struct pollfd){.fd = PQsocket(senders[i].conn), .events = POLLIN};
	if (ppoll(fds, SENDERS + 1, &timeout, NULL) <= 0)
		return;
	if (fds[SENDERS].revents != 0)
		hear();
	for (int i = 0; i < SENDERS; i++)
	{
		if (fds[i].revents != 0 && answer_is_whole(&senders[i]))
			take_answer(&senders[i]);
	}
}

/* → nanoseconds from the first send to the last. */
static int64_t
send_all(long rate, long count)
{
	int64_t start = now();
	int64_t last = start;
	long sent = 0;

	while (sent < count)
	{
		int64_t due = start + sent * 1000000000LL / rate;
		struct sender *sender = now() >= due ? free_sender() : NULL;

		if (sender != NULL)
		{
			begin_message(sender, sent++);
			last = now();
		}
		else
			turn(now() >= due ? now() + 1000000000 : due);
	}
	return last - start;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Prints " P50 P99" in milliseconds. */
static void
print_percentiles(double *times, long count)
{
	if (count == 0)
	{
		printf(" - -");
		return;
	}
	qsort(times, (size_t) count, sizeof *times, compare);
	printf(" %.3f %.3f", times[count / 2] / 1e6, times[count * 99 / 100] / 1e6);
}

static void
print_lag(long count, int64_t span)
{
	double *sent = malloc((size_t) count * sizeof *sent);
	double *answered = malloc((size_t) count * sizeof *answered);
	long heard = 0;

	for (int i = 0; i < TABLE_SIZE; i++)
	{
		struct message *message = &messages[i];

		if (message->id == 0 || message->heard == 0 || message->committed == 0)
			continue;
		sent[heard] = (double) (message->heard - message->committed);
		answered[heard++] = (double) (message->heard - message->answered);
	}
	printf("%ld %ld %.3f", count, heard, (double) span / 1e9);
	print_percentiles(sent, heard);
	print_percentiles(answered, heard);
	printf("\n");
	free(sent);
	free(answered);
}

static void
lag(long rate, long seconds)
{
	long count = rate * seconds;
	int64_t span;
	int64_t end;

	if (count > TABLE_SIZE / 2)
		fail(NULL, "as many messages as that");
	for (int i = 0; i < SENDERS; i++)
		senders[i].conn = open_connection();
	listen_to_members();
	span = send_all(rate, count);
	end = now() + GRACE;
	while (now() < end && (heard_count < count || !all_answered()))
		turn(end);
	print_lag(count, span);
}

int
main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "drain") == 0)
		drain(argv + 2, argc - 2);
	else if (argc > 4 && strcmp(argv[1], "lag") == 0)
	{
		chats = argv + 4;
		chat_count = argc - 4;
		lag(atol(argv[2]), atol(argv[3]));
	}
	else
		fail(NULL, "drain CHANNEL…, or lag RATE SECONDS CHAT:USER…");
	return 0;
}

/* SPDX-License-Identifier: PostgreSQL */
/* One socket's side of the conversation. See session.c. */
#ifndef CHAT_SESSION_H
#define CHAT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/message.h"
#include "codec/trace.h"
#include "io/loop.h"
#include "io/timer.h"

struct account;
struct hub_user;
struct login;
struct replay;

#define NO_REPLAY ((int64_t) -1) /* instead of a cursor: nothing from before */

/* Why a session ends. The table in session.c has code and name of each. */
enum session_end
{
	SESSION_LEFT,         /* the client closed, or the network did */
	SESSION_AUTH_TIMEOUT, /* no login in time */
	SESSION_BAD_TOKEN,    /* the upgrade's bearer token was refused */
	SESSION_UNAVAILABLE,  /* the upgrade's bearer token could not be checked */
	SESSION_REVOKED,      /* its login was ended */
	SESSION_EXPIRED,      /* its login has lasted its time */
	SESSION_SLOW,         /* does not read what is sent to it */
	SESSION_TOO_BIG,      /* sent more than frame_limit */
	SESSION_NOT_TEXT,     /* sent a binary frame */
	SESSION_DRAINED,      /* this worker ends */
	SESSION_CROWDED,      /* its user has max_sockets_per_user already */
	SESSION_FLOODS,       /* goes on calling whatever it is told */
	SESSION_SERVED,       /* a visitor has got what he came for */
	SESSION_REFUSED,      /* a visitor was told why not */
	SESSION_END_COUNT
};

struct rpc_error;

/* What a session asks of its socket. None of them but admitted calls back into the session. */
struct session_socket
{
	void (*send)(void *socket, struct message *message);       /* an answer; takes a reference of its own */
	bool (*send_event)(void *socket, struct message *message); /* the same; false: too many wait already */
	void (*close)(void *socket, int code, const char *reason);
	void (*hold)(void *socket, bool hold); /* stop reading, or go on */

	/* Of HTTP requests only. */
	void (*admitted)(void *socket); /* the token was good: who it is stands in the session; may be NULL */
	void (*refused)(void *socket, const struct rpc_error *error); /* nothing is answered but this */
};

/* The fields are for chat/; net/ knows the pointer only. */
struct session
{
	unsigned slot;                    /* its place in the table of sessions */
	unsigned generation;              /* which of the slot's sessions it is */
	const struct session_socket *ops; /* of the socket */
	void *socket;                     /* for ops; NULL once the socket is gone */
	char address[64];                 /* the client's, as text */
	int64_t origin;                   /* network_key of it */
	struct account *account;          /* whose it is among other things; account.c's */
	struct list owned;                /* among account's sessions */
	int64_t memory;                   /* bytes of account's that are this session's */
	struct trace trace;               /* of a visitor's request, for its calls */
	int64_t user_id;                  /* 0: nobody has logged in */
	int64_t login_id;                 /* the login's id (a chat session in SQL); 0 with user_id */
	int64_t present_id;               /* the login under which presence.c counts it; 0: none */
	struct hub_user *user;            /* whose events it gets; NULL with user_id 0, or while joining */
	struct list neighbours;           /* among user's sessions */
	int64_t cursor;                   /* it has all events up to here, or could see them when it logged in */
	struct replay *replay;            /* what it is in; NULL: events reach it live */
	struct list replaying;            /* among replay's sessions */
	struct list calls;                /* struct call, in order of arrival, until answered */
	int call_count;                   /* of them */
	bool visitor;                     /* serves one HTTP request: in nobody's list, hears of nothing */
	bool login_pending;               /* a log_in or authenticate is under way: other calls wait */
	uint64_t give_up;                 /* loop_now() from which no login is waited for */
	int refused_tokens;               /* by authenticate */
	struct list watches;              /* whose presence it watches; watch.c's */
	struct login *login;              /* the part of it that checks a token; owned by login.c */
	size_t expected;                  /* bytes that the rows of its running calls may come to */
	size_t gathered;                  /* bytes in batch answers that are not complete */
	size_t queued;                    /* bytes that the socket has not taken */
	bool missed;                      /* events were dropped: resync when the queue is short again */
	struct task advance;              /* session_advance at the end of the turn */
	bool holding;                     /* the socket is not being read */
	struct timer pause;               /* set while it is not for the sake of inbound_rate */
	size_t received;                  /* bytes of a visitor's request that rate.c has yet to count */
	uint64_t over;                    /* milliseconds by which they were too many */
	bool floods;                      /* call.c: it is to end for it, but not in the midst of its calls */
	bool deaf;                        /* ending, as its login was ended: it hears nothing, begins nothing */
	bool ending;                      /* closes when the last call is answered, for end_reason */
	bool closed;                      /* session_close has run */
	enum session_end end_reason;      /* with ending */
	uint64_t alone_until;             /* loop_now() from which its calls may be grouped again */
	struct timer timer;               /* limit on login, or on ending */
	struct list doubt;                /* among those whose login alive.c is to ask for */
	uint64_t expires;                 /* loop_now() when the login expires, as far as we know */
	struct timer expiry;              /* set for then */
	struct timer drain;               /* set while the worker ends: when it is told to go */
	struct task reap;                 /* frees it after session_gone */
};

/* For net/. The address is copied; bearer is the token of the upgrade, or NULL. */
extern struct session *session_open(const struct session_socket *ops, void *socket, const char *address,
									const char *bearer);

/* One that only listens, to what is new and to what came after `since`. Without a bearer somebody else logs it in. */
extern struct session *session_follow(const struct session_socket *ops, void *socket, const char *address,
									  const char *bearer, int64_t since);

/* The same for one HTTP request; without a bearer it is nobody's. It ends by session_finish. */
extern struct session *session_visit(const struct session_socket *ops, void *socket, const char *address,
									 const char *bearer);

/* What a visitor's request belongs to, and so all he calls that says nothing else. */
extern void session_set_trace(struct session *session, const struct trace *trace);

/* A whole text frame. False: it was neither a request nor a batch. */
extern bool session_receive(struct session *session, const char *text, size_t length);
extern void session_queued(struct session *session, size_t bytes); /* so much is queued now */
extern void session_gone(struct session *session); /* the socket is no more; neither is the session, soon */

/* Whose share it takes: the user's id, or network_key of the address before login. */
extern int64_t session_holder(const struct session *session);

/* A visitor's transfer has begun: it counts as a call, until session_gone. */
extern void session_engage(struct session *session);

/* The one way to end a session: logged, counted, the socket closed. Harmless when it has ended already. */
extern void session_close(struct session *session, enum session_end reason);
extern void session_finish(struct session *session,
						   enum session_end reason); /* the same, after its answers */
extern void session_refuse(struct session *session, const struct rpc_error *error); /* of HTTP */
extern void session_drain(void); /* finish all of them in the course of drain_seconds, and later ones too */
extern unsigned session_count(void);
extern void session_tables_free(void); /* at the very end */

/* For chat/: a name that outlives the session. session_find: NULL when it is gone or closed. */
extern uint64_t session_handle(const struct session *session);
extern struct session *session_find(uint64_t handle);

extern void session_push(struct session *session, struct message *message);
extern void session_push_event(struct session *session, struct message *message); /* may end in a resync */
extern void session_push_cursor(struct session *session, struct message *message,
								int64_t cursor); /* unless it has not had all up to there */
extern void session_push_text(struct session *session, const char *text, size_t length);

/* Look again which calls may start, whether to read on, whether it is time to end. After any change of these. */
extern void session_advance(struct session *session);
extern void session_advance_all(void);

#endif

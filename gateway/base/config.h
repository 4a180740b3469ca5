/* SPDX-License-Identifier: PostgreSQL */
/* Every knob of the gateway. The table in config.c says what each one means. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct config
{
	char *config_file;     /* path of the file read; empty: none */
	char *listen;          /* address:port */
	int workers;           /* processes */
	char *database;        /* DSN of the pool */
	char *listen_database; /* DSN of the LISTEN connection; empty: as the pool's */
	int use_listen;        /* LISTEN at all */
	int cursor_interval;   /* milliseconds between cursors */
	int outbox_interval;   /* milliseconds between looks into the outbox */
	int pool_size;         /* grouped connections per worker */
	int single_share;      /* shared connections per worker that calls that run alone may hold */
	int sign_in_share;     /* the same for log_in */
	int anonymous_share;   /* the same for other calls before login */
	int replay_share;      /* the same for replays; as many run at a time */
	int files_share;       /* the same for pieces of files */
	int calls_waiting;     /* calls of one user, or one address, that may wait in one queue of the pool */
	char *schemas;         /* exposed schemas, comma-separated */
	char *metrics_listen;  /* address:port for /metrics alone; empty: none */
	char *trusted_proxies; /* networks whose X-Forwarded-For is believed */
	char *web_root;        /* folder of the static files */
	int frame_limit;       /* bytes of one incoming message */
	int auth_timeout;      /* milliseconds a socket may stay without login */
	int calls_in_flight;   /* per socket */
	int outbound_limit;    /* bytes queued per socket, before it is held back */
	int outbound_limit_per_user; /* bytes queued or to come for all of a user's sockets */
	int answer_limit;            /* bytes of one answer */
	int slow_timeout;            /* milliseconds over which a client's pace is looked at */
	int slow_rate;               /* bytes a second that it has to have then */
	int group_limit;             /* calls per transaction */
	int watch_limit;             /* users whose presence one socket may watch */
	int max_sockets;             /* per worker; 0: what descriptors allow */
	int call_timeout;            /* milliseconds, the server's statement_timeout */
	int single_timeout;          /* the same for calls that run alone; 0: call_timeout */
	int anonymous_timeout;       /* the same for calls before login */
	int replay_timeout;          /* the same for replays */
	int prepare;                 /* statements and settings stay in server sessions */
	int unavailable_after;       /* milliseconds without a connection before calls fail at once */
	int drain_timeout;           /* milliseconds between SIGTERM and the end */
	int drain_seconds;           /* milliseconds over which sockets are closed then */
	int maintenance_interval;    /* milliseconds; 0: none */
	int ping_interval;           /* milliseconds of silence before a ping */
	char *oidc_issuer;           /* identity provider whose access tokens are taken; empty: none */
	char *oidc_audience;         /* what they must be for */
	int oidc_leeway;             /* milliseconds that clocks may differ */
	int oidc_refresh;            /* milliseconds between fetches of its keys */
	int oidc_refetch;            /* milliseconds between fetches for the sake of a missing key */
	int oidc_stale;              /* milliseconds that keys serve when no newer ones come */
	int oidc_http;               /* enum oidc_http */
	char *oidc_ca_file;          /* PEM of whom to trust for it; empty: the system's */
	char *otlp_endpoint;         /* of a collector of spans; empty: none */
	int trace_limit;             /* sampled calls a second, per worker, that are recorded */
	int log_level;               /* enum log_level; follows config_reload */
	int log_format;              /* enum log_format */

	/* Over HTTP, and whoever connects. */
	int calls_per_second;        /* of one user, or one address; 0: no limit */
	int calls_burst;             /* as many at once */
	int inbound_rate;            /* bytes of calls a second, of the same; 0: no limit */
	int anonymous_per_second;    /* calls of anonymous methods, from one address; 0: no limit */
	int anonymous_burst;         /* as many at once */
	char *allowed_origins;       /* of pages that may use it from elsewhere */
	char *ticket_secret;         /* what tickets' key is made of; empty: of chance */
	int ticket_lifetime;         /* milliseconds */
	int file_timeout;            /* milliseconds that one call of a transfer may take */
	int max_transfers;           /* files on their way at a time, per worker */
	int max_transfers_per_user;  /* the same of one user, or of one address before login */
	int max_sockets_per_user;    /* per worker; 0: no limit */
	int max_sockets_per_address; /* per worker and client address; 0: no limit */
};

/* Is the provider asked without TLS? */
enum oidc_http
{
	OIDC_HTTP_REFUSED,
	OIDC_HTTP_LOOPBACK /* if it runs on this machine */
};

enum config_verdict
{
	CONFIG_RUN, /* go on */
	CONFIG_DONE, /* --help or --version was answered, or all is good and --check was all that was asked: exit 0 */
	CONFIG_BAD /* said why on standard error: exit 2 */
};

extern struct config
	config; /* the one of this process; filled by config_load and config_reload, else only read */

/* Defaults, then file, then environment, then flags. */
extern enum config_verdict config_load(int argc, char **argv);

/*
 * The same once more, for a running process: from all sources, and only if all are good (false: everything stays, why was
 * said on standard error). `changed` gets the names of the settings that have another value now, `waiting` those that would
 * have, but only after a restart. Both with a space behind each.
 */
extern bool config_reload(int argc, char **argv, struct buf *changed, struct buf *waiting);

/* Set one knob from text. False: `why` (a buffer of `size`) says what is allowed. */
extern bool config_set(struct config *target, const char *name, const char *text, char *why, size_t size);
extern void config_free(struct config *target);

#endif

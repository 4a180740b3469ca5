/* SPDX-License-Identifier: PostgreSQL */
/* The wire methods, as the database's catalog has them. See catalog.c. */
#ifndef CHAT_CATALOG_H
#define CHAT_CATALOG_H

#include <stdbool.h>
#include <stddef.h>

#include "codec/value.h"
#include "pg/call.h"

struct catalog;

/* Who gives a parameter its value. */
enum parameter_source
{
	FROM_CLIENT,
	FROM_USER,    /* actor_id */
	FROM_SESSION, /* actor_session_id */
	FROM_ADDRESS  /* actor_address */
};

struct parameter
{
	const char *name;             /* in SQL and on the wire */
	struct value_type type;       /* how it is encoded */
	enum parameter_source source; /* who fills it */
	bool optional;                /* has a default, which NULL stands for */
};

struct column
{
	const char *name;       /* NULL: a bare value */
	struct value_type type; /* how it is decoded */
};

enum result_shape
{
	RESULT_VOID,
	RESULT_SCALAR,
	RESULT_ROW,
	RESULT_ROWS,
	RESULT_PAGE
};

/* Lives as long as its catalog. */
struct method
{
	const char *name;              /* on the wire */
	bool anonymous;                /* before login */
	bool logs_in;                  /* it is log_in: its token is for the socket */
	bool groupable;                /* may share a transaction and run again */
	bool checked;                  /* codec/value checks every parameter: none can fail at Bind */
	enum result_shape shape;       /* of the answer */
	struct parameter *parameters;  /* in SQL's order */
	int parameter_count;           /* of them */
	struct column *columns;        /* of the result */
	int column_count;              /* of them */
	int error_column;              /* the one that is an error when not null, or -1 */
	int chat_parameter;            /* chat_id, or -1 */
	int key_parameter;             /* client_key, or -1 */
	int series;                    /* of its calls in the statistics */
	size_t *weight;                /* bytes its rows come to of late; whoever sees some corrects it */
	struct pg_statement statement; /* the call itself */
};

extern void catalog_open(void); /* loads it as soon as there is a database */
extern void catalog_close(void);
extern void catalog_reload(void); /* functions have changed; at most once a second */

/* The catalog of now, one reference more; NULL while there is none yet. */
extern struct catalog *catalog_share(void);
extern void catalog_release(struct catalog *catalog);
extern bool catalog_is_ready(void);
extern bool catalog_is_awaited(void); /* there is none yet, but soon: who needs it waits until told */

extern bool catalog_fills(const char *parameter); /* the gateway gives it its value: no client may */

extern const struct method *catalog_find(const struct catalog *catalog, const char *name);
extern const char *catalog_text(const struct catalog *catalog,
								size_t *length); /* what discover answers: JSON */

#endif

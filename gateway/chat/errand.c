/* SPDX-License-Identifier: PostgreSQL */
/*
 * errand.c
 *	  A call that the gateway makes of its own for a visitor: the steps of a file's transfer.
 *
 * The method is one of the catalog's, like any client's: who may not call it cannot have it run either, and its rows
 * are rendered by the same rules. But the values come from here, and it runs in the lane of files, where nobody's
 * messages wait behind it.
 *
 * One that is made before the first catalog is read waits for that, as calls do.
 *
 * An errand owns all that the pool reads, so its visitor may go at any time.
 *
 * Called from: net/transfer, net/upload, chat/catalog. Calls: chat/catalog, chat/fault, pg/pool.
 */
#include "chat/errand.h"

#include <string.h>

#include "base/mem.h"
#include "base/stats.h"
#include "chat/fault.h"
#include "chat/span.h"
#include "io/loop.h"
#include "pg/pool.h"

struct errand
{
	struct pg_call pg;           /* for the pool */
	struct arena *arena;         /* owned; arguments, and the errand itself */
	struct list node;            /* in waiting, if it waits */
	struct errand_value *values; /* in the arena, with their texts */
	int count;                   /* of them */
	int64_t user_id;             /* the visitor's */
	int64_t login_id;            /* the same */
	struct catalog *catalog;     /* owned reference; NULL: there was none */
	const struct method *method; /* NULL: there is no such one */
	const char *name;            /* of the method, static */
	struct buf bytes;            /* owned; what `bytes` gets */
	errand_done done;            /* NULL: abandoned */
	void *arg;                   /* for it */
	struct task fail;            /* when it cannot even be submitted */
	struct span span;            /* from when it was made; in its visitor's trace, if that has one */
};

static struct list waiting = {&waiting, &waiting}; /* struct errand by node, for the first catalog */

static void
errand_free(struct errand *errand)
{
	catalog_release(errand->catalog);
	buf_free(&errand->bytes);
	arena_destroy(errand->arena);
}

static void
on_done(struct pg_call *pg, enum pg_verdict verdict, const struct pg_result *result)
{
	struct errand *errand = list_entry(pg, struct errand, pg);
	struct rpc_error error = {0};

	span_log(&errand->span);
	span_add_database(&errand->span, pg, verdict == PG_DONE);
	if (verdict == PG_FAILED && fault_is_stale(result))
		catalog_reload();
	if (errand->done != NULL && verdict == PG_DONE)
		errand->done(errand->arg, NULL, errand->method, result);
	else if (verdict != PG_DONE)
	{
		error = fault_from_database(verdict, result, errand->name);
		if (errand->done != NULL)
			errand->done(errand->arg, &error, errand->method, NULL);
	}
	stats_call(errand->method->series, error.code, loop_clock() - errand->span.began);
	span_end(&errand->span, OTLP_INTERNAL, NULL, errand->name, error.code);
	span_log(NULL);
	errand_free(errand);
}

static void
fail(struct task *task)
{
	struct errand *errand = list_entry(task, struct errand, fail);
	struct rpc_error error = errand->catalog ? fault_unknown_method() : fault_unavailable();

	if (errand->done != NULL)
		errand->done(errand->arg, &error, NULL, NULL);
	errand_free(errand);
}

static const char *
text_of(const struct errand_value *values, int count, const char *name)
{
	for (int i = 0; i < count; i++)
	{
		if (strcmp(values[i].name, name) == 0)
			return values[i].text;
	}
	return NULL;
}

static const char *
value_of(struct errand *errand, const struct parameter *parameter)
{
	if (parameter->source == FROM_USER)
		return arena_format(errand->arena, "%lld", (long long) errand->user_id);
	if (parameter->source == FROM_SESSION)
		return arena_format(errand->arena, "%lld", (long long) errand->login_id);
	return text_of(errand->values, errand->count, parameter->name);
}

static void
set_arguments(struct errand *errand)
{
	size_t size = (size_t) errand->method->parameter_count;
	const char **texts = arena_alloc(errand->arena, size * sizeof *texts);
	int *lengths = arena_alloc(errand->arena, size * sizeof *lengths);
	int *formats = arena_alloc(errand->arena, size * sizeof *formats);

	for (size_t i = 0; i < size; i++)
	{
		const struct parameter *parameter = &errand->method->parameters[i];

		texts[i] = value_of(errand, parameter);
		if (strcmp(parameter->name, "bytes") != 0)
			continue;
		texts[i] = buf_text(&errand->bytes);
		lengths[i] = (int) errand->bytes.length;
		formats[i] = 1;
	}
	errand->pg.values = texts;
	errand->pg.lengths = lengths;
	errand->pg.formats = formats;
}

/* Whether it may be sent again when nobody knows if it has happened. */
static bool
is_repeatable(const struct errand *errand)
{
	return strcmp(errand->name, "begin_upload") != 0 ||
		   text_of(errand->values, errand->count, "client_key") != NULL;
}

static void
start(struct errand *errand)
{
	errand->catalog = catalog_share();
	errand->method = errand->catalog ? catalog_find(errand->catalog, errand->name) : NULL;
	if (errand->method == NULL)
	{
		errand->fail.run = fail;
		loop_defer(&errand->fail);
		return;
	}
	set_arguments(errand);
	errand->pg.statement = &errand->method->statement;
	errand->pg.lane = LANE_FILES;
	errand->pg.user = errand->user_id;
	errand->pg.repeatable = is_repeatable(errand);
	errand->pg.done = on_done;
	span_mark(&errand->span, errand->arena, &errand->pg);
	pool_submit(&errand->pg);
}

void
errand_start_all(void)
{
	struct list *node;

	while ((node = list_shift(&waiting)) != NULL)
		start(list_entry(node, struct errand, node));
}

static void
keep_values(struct errand *errand, const struct errand_value *values, int count)
{
	errand->values = arena_alloc(errand->arena, (size_t) count * sizeof *errand->values);
	errand->count = count;
	for (int i = 0; i < count; i++)
	{
		const char *text = values[i].text;

		errand->values[i].name = values[i].name;
		errand->values[i].text = text ? arena_copy(errand->arena, text, strlen(text)) : NULL;
	}
}

struct errand *
errand_run(const struct session *session, const char *name, const struct errand_value *values, int count,
		   struct buf *bytes, bool binary, errand_done done, void *arg)
{
	struct arena *arena = arena_create();
	struct errand *errand = arena_alloc(arena, sizeof *errand);

	errand->arena = arena;
	errand->name = name;
	span_begin(&errand->span, &session->trace);
	errand->user_id = session->user_id;
	errand->login_id = session->login_id;
	errand->pg.binary = binary;
	errand->done = done;
	errand->arg = arg;
	keep_values(errand, values, count);
	if (bytes != NULL)
	{
		errand->bytes = *bytes;
		*bytes = (struct buf){0};
	}
	if (!catalog_is_awaited())
	{
		start(errand);
		return errand;
	}
	list_append(&waiting, &errand->node);
	return errand;
}

void
errand_abandon(struct errand *errand)
{
	if (errand != NULL)
		errand->done = NULL;
}

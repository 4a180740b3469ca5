/* SPDX-License-Identifier: PostgreSQL */
/*
 * catalog.c
 *	  The wire methods, as the database's catalog has them: there is no table of methods in C.
 *
 * 1. chat.list_methods(schemas) tells name, call, parameters and result columns of every function granted to
 *	  chat_user or chat_anonymous. Each becomes a struct method with its SQL: SELECT * FROM call(name => $1::type, …).
 *	  All parameters are always passed, NULL for those left out, so one prepared statement a method suffices.
 * 2. When functions change (channel chat_schema) the list is read again, not more often than once a second. The new
 *	  catalog takes the place of the old one; calls under way keep theirs by reference.
 * 3. Statement names are never used twice, and connections forget the old ones.
 * 4. Until the first list is there, who needs a method waits: calls in their session, errands in their list. They go on
 *	  when it is there, when reading it has failed, and unavailable_after later at the latest, as calls do that have no
 *	  connection. While it is then tried again they wait likewise; between two attempts there is nothing to wait for.
 *
 * Memory: everything of a catalog is in its arena.
 *
 * Called from: chat/call, chat/errand, chat/hub, net/query, main.c. Calls: pg/pool, chat/session, chat/errand, codec/value, codec/json.
 */
#include "chat/catalog.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "chat/errand.h"
#include "chat/session.h"
#include "codec/array.h"
#include "codec/json.h"
#include "io/loop.h"
#include "io/timer.h"
#include "pg/pool.h"

#define RELOAD_PAUSE 1000        /* milliseconds from one reading to the next, also after a failure */
#define FIRST_SET    (128 << 10) /* bytes that a method's rows are taken to have before any were seen */
#define FIRST_ROW    2048        /* the same for one row */

struct catalog
{
	int refs;             /* the current one holds one, each call one */
	struct arena *arena;  /* all text and arrays */
	struct hash *methods; /* struct method by name; in the arena */
	struct buf text;      /* discover's answer */
};

/* Columns of list_methods, in the order of the statement below. */
enum
{
	COLUMN_METHOD,
	COLUMN_CALL,
	COLUMN_ANONYMOUS,
	COLUMN_GROUPABLE,
	COLUMN_PARAMETERS,
	COLUMN_RESULT,
	COLUMN_COLUMNS,
	COLUMN_DESCRIPTION,
	COLUMN_PROBLEM
};

static struct catalog *current;        /* NULL until the first reading */
static struct timer reload_timer;      /* set between readings */
static bool reading;                   /* a reading is under way */
static struct timer patience;          /* set while the first list is waited for */
static bool reload_wanted;             /* functions changed during a reading or a pause */
static unsigned long statement_number; /* of the last statement made */
static struct buf schemas;             /* config.schemas as an array literal */
static const char *schemas_value[1];   /* parameter of list_call */
static const int no_lengths[1];        /* all text */
static const int no_formats[1];        /* all text */

static const struct pg_statement list_statement = {
	"list_methods",
	"SELECT method, call, anonymous, groupable, parameters, result, columns, description, problem"
	" FROM chat.list_methods($1::text[])",
	1};
static struct pg_call list_call; /* the reading under way */

static const char *
copy_text(struct catalog *catalog, const char *text)
{
	return text ? arena_copy(catalog->arena, text, strlen(text)) : NULL;
}

static enum parameter_source
source_of(const char *name)
{
	if (strcmp(name, "actor_id") == 0)
		return FROM_USER;
	if (strcmp(name, "actor_session_id") == 0)
		return FROM_SESSION;
	return strcmp(name, "actor_address") == 0 ? FROM_ADDRESS : FROM_CLIENT;
}

static const char *
member_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void
read_parameter(struct catalog *catalog, struct method *method, int at, const json_t *item)
{
	struct parameter *parameter = &method->parameters[at];

	parameter->name = copy_text(catalog, member_text(item, "name"));
	parameter->type = value_type(member_text(item, "type"));
	parameter->optional = json_is_true(json_object_get(item, "optional"));
	parameter->source = source_of(parameter->name);
	if (parameter->source == FROM_CLIENT && parameter->type.kind == VALUE_OTHER)
		method->checked = false;
	if (strcmp(parameter->name, "chat_id") == 0 && parameter->type.kind == VALUE_BIGINT &&
		!parameter->type.array)
		method->chat_parameter = at;
	if (strcmp(parameter->name, "client_key") == 0)
		method->key_parameter = at;
}

/* The method's SQL. Types are format_type()'s, quoted by it where needed. */
static void
write_statement(struct catalog *catalog, struct method *method, const char *call, const json_t *parameters)
{
	bool bare = method->shape == RESULT_VOID || method->shape == RESULT_SCALAR;
	struct buf sql = {0};

	buf_format(&sql, "SELECT %s%s(", bare ? "" : "* FROM ", call);
	for (int i = 0; i < method->parameter_count; i++)
	{
		if (i > 0)
			buf_add_text(&sql, ", ");
		buf_add_identifier(&sql, method->parameters[i].name);
		buf_format(&sql, " => $%d::%s", i + 1, member_text(json_array_get(parameters, (size_t) i), "type"));
	}
	buf_add_char(&sql, ')');
	method->statement.sql = copy_text(catalog, buf_text(&sql));
	method->statement.params = method->parameter_count;
	snprintf(method->statement.name, sizeof method->statement.name, "m%lu", ++statement_number);
	buf_free(&sql);
}

static void
read_parameters(struct catalog *catalog, struct method *method, const json_t *parameters)
{
	method->parameter_count = (int) json_array_size(parameters);
	method->parameters =
		arena_alloc(catalog->arena, (size_t) method->parameter_count * sizeof *method->parameters);
	method->checked = true;
	method->chat_parameter = method->key_parameter = -1;
	for (int i = 0; i < method->parameter_count; i++)
		read_parameter(catalog, method, i, json_array_get(parameters, (size_t) i));
}

static void
read_columns(struct catalog *catalog, struct method *method, const json_t *columns)
{
	method->column_count = (int) json_array_size(columns);
	method->columns = arena_alloc(catalog->arena, (size_t) method->column_count * sizeof *method->columns);
	method->error_column = -1;
	for (int i = 0; i < method->column_count; i++)
	{
		const json_t *item = json_array_get(columns, (size_t) i);
		struct column *column = &method->columns[i];

		column->name = copy_text(catalog, json_string_value(json_object_get(item, "name")));
		column->type = value_type(member_text(item, "type"));
		if (column->name != NULL && strcmp(column->name, "error") == 0 && column->type.kind == VALUE_JSON)
			method->error_column = i;
	}
}

static bool
read_shape(struct method *method, const char *text)
{
	static const char *const shapes[] = {"void", "scalar", "row", "rows", "page"};

	for (int i = 0; i < 5; i++)
	{
		if (strcmp(text, shapes[i]) != 0)
			continue;
		method->shape = (enum result_shape) i;
		return true;
	}
	return false;
}

/* The parameters a client may send, for discover. */
static void
describe_parameters(struct buf *out, const struct method *method, const json_t *parameters)
{
	bool first = true;

	buf_add_char(out, '[');
	for (int i = 0; i < method->parameter_count; i++)
	{
		if (method->parameters[i].source != FROM_CLIENT)
			continue;
		if (!first)
			buf_add_char(out, ',');
		first = false;
		json_write(out, json_array_get(parameters, (size_t) i));
	}
	buf_add_char(out, ']');
}

static void
describe(struct buf *out, const struct method *method, const json_t *parameters,
		 const struct pg_result *result, int row)
{
	const char *description = result_value(result, row, COLUMN_DESCRIPTION, NULL);

	buf_add_text(out, out->length == 1 ? "{\"method\":" : ",{\"method\":");
	json_write_string(out, method->name, strlen(method->name));
	buf_format(out, ",\"anonymous\":%s,\"parameters\":", method->anonymous ? "true" : "false");
	describe_parameters(out, method, parameters);
	buf_format(out, ",\"result\":\"%s\",\"columns\":%s,\"description\":",
			   result_value(result, row, COLUMN_RESULT, NULL),
			   result_value(result, row, COLUMN_COLUMNS, NULL));
	if (description != NULL)
		json_write_string(out, description, strlen(description));
	else
		buf_add_text(out, "null");
	buf_add_char(out, '}');
}

static bool
is_true(const struct pg_result *result, int row, int column)
{
	const char *text = result_value(result, row, column, NULL);

	return text != NULL && text[0] == 't';
}

static const char *
problem_of(const struct pg_result *result, int row)
{
	static const int required[] = {COLUMN_METHOD, COLUMN_CALL, COLUMN_PARAMETERS, COLUMN_RESULT,
								   COLUMN_COLUMNS};
	const char *problem = result_value(result, row, COLUMN_PROBLEM, NULL);

	for (int i = 0; problem == NULL && i < 5; i++)
	{
		if (result_value(result, row, required[i], NULL) == NULL)
			problem = "the catalog's description of it is incomplete";
	}
	return problem;
}

static void
read_method(struct catalog *catalog, const struct pg_result *result, int row)
{
	const char *parameters_text = result_value(result, row, COLUMN_PARAMETERS, NULL);
	const char *columns_text = result_value(result, row, COLUMN_COLUMNS, NULL);
	struct method *method = arena_alloc(catalog->arena, sizeof *method);
	json_t *parameters = json_loads(parameters_text, 0, NULL);
	json_t *columns = json_loads(columns_text, 0, NULL);

	method->name = copy_text(catalog, result_value(result, row, COLUMN_METHOD, NULL));
	method->anonymous = is_true(result, row, COLUMN_ANONYMOUS);
	method->logs_in = method->anonymous && strcmp(method->name, "log_in") == 0;
	method->groupable = is_true(result, row, COLUMN_GROUPABLE);
	method->weight = arena_alloc(catalog->arena, sizeof *method->weight);
	if (read_shape(method, result_value(result, row, COLUMN_RESULT, NULL)))
	{
		read_parameters(catalog, method, parameters);
		read_columns(catalog, method, columns);
		*method->weight =
			method->shape == RESULT_ROWS || method->shape == RESULT_PAGE ? FIRST_SET : FIRST_ROW;
		write_statement(catalog, method, result_value(result, row, COLUMN_CALL, NULL), parameters);
		describe(&catalog->text, method, parameters, result, row);
		method->series = stats_series(SERIES_METHODS, method->name, strlen(method->name));
		hash_put(catalog->methods, method->name, method);
	}
	json_decref(parameters);
	json_decref(columns);
}

void
catalog_release(struct catalog *catalog)
{
	if (catalog == NULL || --catalog->refs > 0)
		return;
	hash_destroy(catalog->methods);
	arena_destroy(catalog->arena);
	buf_free(&catalog->text);
	mem_free(catalog);
}

static void
replace_current(const struct pg_result *result)
{
	struct catalog *catalog = mem_alloc(sizeof *catalog);

	catalog->refs = 1;
	catalog->arena = arena_create();
	catalog->methods = hash_create();
	buf_add_char(&catalog->text, '[');
	for (int row = 0; row < result_rows(result); row++)
	{
		const char *name = result_value(result, row, COLUMN_METHOD, NULL);
		const char *problem = problem_of(result, row);

		if (problem == NULL)
			read_method(catalog, result, row);
		else
			log_write(LEVEL_WARN, "method_not_exposed", "method=%s %s", name ? name : "?", problem);
	}
	buf_add_char(&catalog->text, ']');
	catalog_release(current);
	current = catalog;
	pool_forget_statements();
	log_write(LEVEL_INFO, "catalog_loaded", "methods=%zu", hash_count(catalog->methods));
}

/* There is a catalog, or none for the time being: whoever waited goes on. */
static void
settle(struct timer *timer)
{
	timer_clear(timer);
	session_advance_all();
	errand_start_all();
}

static void
start_reading(void)
{
	reading = true;
	reload_wanted = false;
	if (current == NULL)
		timer_set(&patience, (uint64_t) config.unavailable_after, settle);
	pool_submit(&list_call);
}

static void
pause_over(struct timer *timer)
{
	(void) timer;
	if (reload_wanted)
		start_reading();
}

static void
on_list(struct pg_call *call, enum pg_verdict verdict, const struct pg_result *result)
{
	(void) call;
	reading = false;
	if (verdict == PG_DONE)
		replace_current(result);
	else
	{
		reload_wanted = true;
		log_write(LEVEL_WARN, "catalog_failed", "%s",
				  verdict == PG_FAILED ? result_failure(result).message : "no connection to the database");
	}
	timer_set(&reload_timer, RELOAD_PAUSE, pause_over);
	if (catalog_is_awaited())
		settle(&patience);
}

void
catalog_reload(void)
{
	reload_wanted = true;
	if (!reading && reload_timer.place == 0)
		start_reading();
}

/* config.schemas, commas between, as an array literal. */
static void
write_schemas(void)
{
	const char *at = config.schemas;

	array_begin(&schemas);
	while (*at != '\0')
	{
		size_t length = strcspn(at, ", ");

		if (length > 0)
			array_add(&schemas, at, length);
		at += length + (at[length] != '\0');
	}
	array_end(&schemas);
	schemas_value[0] = buf_text(&schemas);
}

void
catalog_open(void)
{
	write_schemas();
	list_call = (struct pg_call){.statement = &list_statement,
								 .values = schemas_value,
								 .lengths = no_lengths,
								 .formats = no_formats,
								 .lane = LANE_OWN,
								 .repeatable = true,
								 .done = on_list};
	catalog_reload();
}

void
catalog_close(void)
{
	timer_clear(&reload_timer);
	timer_clear(&patience);
	catalog_release(current);
	current = NULL;
	buf_free(&schemas);
}

struct catalog *
catalog_share(void)
{
	if (current != NULL)
		current->refs++;
	return current;
}

bool
catalog_is_ready(void)
{
	return current != NULL;
}

bool
catalog_is_awaited(void)
{
	return patience.place != 0;
}

bool
catalog_fills(const char *parameter)
{
	return source_of(parameter) != FROM_CLIENT;
}

const struct method *
catalog_find(const struct catalog *catalog, const char *name)
{
	return hash_get(catalog->methods, name);
}

const char *
catalog_text(const struct catalog *catalog, size_t *length)
{
	*length = catalog->text.length;
	return catalog->text.data;
}

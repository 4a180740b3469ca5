/* SPDX-License-Identifier: PostgreSQL */
/*
 * call.c
 *	  One request on its way from the socket to the database and back.
 *
 *	  RECEIVED --method found, arguments good--> PREPARED --order allows--> RUNNING --done--> answered, freed
 *	     |  (waits while a login is pending,        |  (waits for calls of the same chat)
 *	     |   or the first catalog is read)          |
 *	     +--------- answered at once: gateway's own method, or an error
 *
 * 1. call_receive makes the call; everything it needs is in one arena, which the answer's last byte destroys.
 * 2. call_advance walks the session's calls in order of arrival, unless its output waits for a slow reader, and starts
 *	  as many as their rows, going by what the method's rows came to of late, fit into outbound_limit. Those that name the same chat run in order: in the
 *	  grouped lane the pool keeps them so, between lanes the later one waits here.
 * 3. The arguments are checked and encoded by name against the method's parameters; nothing that passes can fail at
 *	  Bind and hurt the neighbours. actor_* are filled in here and nowhere else.
 * 4. The pool answers: rows become JSON (render.c), failures become errors (fault.c).
 *
 * log_in is an ordinary method with one more step: when it succeeds its token is checked as for authenticate, so that
 * the socket is subscribed before the answer leaves (login.c). A visitor just gets the token.
 *
 * A running call whose session has gone ends unheard: it owns all that the pool reads.
 *
 * Called from: chat/session, chat/login. Calls: chat/catalog, chat/cursor, chat/login, chat/watch, chat/render, chat/fault, pg/pool.
 */
#include "chat/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "chat/account.h"
#include "chat/catalog.h"
#include "chat/cursor.h"
#include "chat/fault.h"
#include "chat/login.h"
#include "chat/rate.h"
#include "chat/render.h"
#include "chat/span.h"
#include "chat/ticket.h"
#include "chat/watch.h"
#include "codec/json.h"
#include "codec/value.h"
#include "pg/pool.h"

#define ALONE_TIME 5000 /* milliseconds a session's calls run alone after one of them spoiled a group */

enum call_state
{
	CALL_RECEIVED,
	CALL_PREPARED,
	CALL_RUNNING
};

struct call
{
	struct list node;            /* in session->calls */
	enum call_state state;       /* see above */
	uint64_t session;            /* handle of whose it is */
	struct arena *arena;         /* owned; the call itself lies in it */
	struct reply *reply;         /* where the answer goes, once */
	struct rpc_request request;  /* id, method in the arena */
	json_t *params;              /* request.params, owned; NULL once prepared: it is encoded */
	struct catalog *catalog;     /* owned reference; NULL until prepared */
	const struct method *method; /* in catalog */
	struct pg_call pg;           /* for the pool */
	int series;                  /* of its method in the statistics */
	struct span span;            /* from when it was received; of its trace, if it has one */
};

/* A method of the gateway's own. */
struct native
{
	const char *name;                                        /* on the wire */
	void (*run)(struct call *call, struct session *session); /* answers, now or later */
};

static void
call_free(struct call *call)
{
	list_remove(&call->node);
	json_decref(call->params);
	catalog_release(call->catalog);
	stats_move(GAUGE_CALLS, -1);
	arena_destroy(call->arena);
}

/* Which trace it belongs to, if any. */
static void
begin_span(struct call *call, const struct session *session)
{
	struct trace trace = session->trace;
	const char *text = call->request.traceparent;

	if (text != NULL)
		trace_read(text, strlen(text), &trace);
	span_begin(&call->span, &trace);
}

/* It does not become a call. False: it is not even a request. */
static bool
answer_at_once(struct reply *reply, const struct rpc_request *request, const struct rpc_error *error)
{
	reply_error(reply, request->id, error);
	stats_call(0, error->code, 0);
	return error->code != RPC_INVALID_REQUEST;
}

bool
call_refuse(struct reply *reply, const char *text, size_t length, const char *why)
{
	struct arena *arena = arena_create();
	struct rpc_request request;
	struct rpc_error error;
	bool good;

	rpc_read_refused(text, length, why, arena, &request, &error);
	good = answer_at_once(reply, &request, &error);
	arena_destroy(arena);
	return good;
}

bool
call_receive(struct session *session, struct reply *reply, json_t *value)
{
	struct arena *arena = arena_create();
	struct call *call = arena_alloc(arena, sizeof *call);
	struct rpc_error error;
	bool good;

	if (!rpc_read(value, arena, &call->request, &error))
	{
		good = answer_at_once(reply, &call->request, &error);
		arena_destroy(arena);
		return good;
	}
	stats_move(GAUGE_CALLS, 1);
	begin_span(call, session);
	call->arena = arena;
	call->reply = reply;
	call->session = session_handle(session);
	call->request.method = arena_copy(arena, call->request.method, strlen(call->request.method));
	call->params = json_incref(call->request.params);
	list_append(&session->calls, &call->node);
	session->call_count++;
	return true;
}

/* It was answered: code 0, or the error's. */
static void
call_end(struct call *call, int code)
{
	struct session *session = session_find(call->session);

	uint64_t took = loop_clock() - call->span.began;

	stats_call(call->series, code, took);
	span_log(&call->span);
	log_write(LEVEL_DEBUG, "call", "method=%.64s code=%d us=%llu", call->request.method, code,
			  (unsigned long long) took / 1000);
	span_end(&call->span, OTLP_SERVER, "jsonrpc", call->series ? call->request.method : "other", code);
	span_log(NULL);
	call_free(call);
	if (session != NULL)
		session->call_count--;
}

static void
refuse(struct call *call, struct rpc_error error)
{
	reply_error(call->reply, call->request.id, &error);
	call_end(call, error.code);
}

static void
succeed(struct call *call, const char *result, size_t length)
{
	reply_result(call->reply, call->request.id, result, length);
	call_end(call, 0);
}

static void
advance(uint64_t handle)
{
	struct session *session = session_find(handle);

	if (session != NULL)
		session_advance(session);
}

void
call_succeed(struct call *call, const char *result, size_t length)
{
	uint64_t handle = call->session;

	succeed(call, result, length);
	advance(handle);
}

void
call_fail(struct call *call, const struct rpc_error *error)
{
	uint64_t handle = call->session;

	refuse(call, *error);
	advance(handle);
}

static void
run_ping(struct call *call, struct session *session)
{
	(void) session;
	succeed(call, "\"pong\"", 6);
}

static void
run_discover(struct call *call, struct session *session)
{
	struct catalog *catalog = call->catalog;
	size_t length;
	const char *text;

	(void) session;
	if (catalog == NULL)
	{
		refuse(call, fault_unavailable());
		return;
	}
	text = catalog_text(catalog, &length);
	if (reply_has_room(call->reply, length))
		succeed(call, text, length);
	else
		refuse(call, fault_answer_too_large());
}

/* The name of a parameter that authenticate does not have; NULL: there is none. */
static const char *
stray_parameter(const struct call *call)
{
	const char *name;
	json_t *value;

	json_object_foreach(call->params, name, value)
	{
		if (strcmp(name, "token") != 0 && strcmp(name, "since") != 0)
			return arena_copy(call->arena, name, strlen(name));
	}
	return NULL;
}

/* Where to replay from. False: `error` says why it is no cursor. */
static bool
read_since(const struct call *call, int64_t *since, struct rpc_error *error)
{
	const json_t *value = json_object_get(call->params, "since");
	struct value_param param = {0};

	*since = NO_REPLAY;
	if (value == NULL || json_is_null(value))
		return true;
	*error = fault_parameter("since", "a cursor, as a decimal string or a number");
	if (value_encode((struct value_type){VALUE_BIGINT, false}, value, call->arena, &param) != NULL)
		return false;
	*since = strtoll(param.text, NULL, 10);
	*error = fault_bad_cursor();
	error->parameter = "since";
	return cursor_is_possible(*since);
}

static void
run_authenticate(struct call *call, struct session *session)
{
	const json_t *token = json_object_get(call->params, "token");
	const char *stray = stray_parameter(call);
	struct rpc_error error;
	int64_t since;

	if (session->visitor)
		refuse(call, fault_needs_socket());
	else if (stray != NULL)
		refuse(call, fault_parameter(stray, "there is no such parameter"));
	else if (!json_is_string(token))
		refuse(call, fault_parameter("token", "a string"));
	else if (!read_since(call, &since, &error))
		refuse(call, error);
	else
	{
		call->state = CALL_RUNNING;
		login_with_token(session, json_string_value(token), call, NULL, since);
	}
}

/* The only parameter of create_ticket, if there is any: a file's id. 0: it is bad, or there are others. */
static int64_t
ticket_subject(const struct call *call)
{
	struct value_param param = {0};
	const json_t *id = json_object_get(call->params, "file_id");

	if (id == NULL || json_object_size(call->params) != 1 ||
		value_encode((struct value_type){VALUE_BIGINT, false}, id, call->arena, &param) != NULL ||
		param.text == NULL)
		return 0;
	return strtoll(param.text, NULL, 10);
}

static void
run_create_ticket(struct call *call, struct session *session)
{
	int64_t file_id = ticket_subject(call);
	struct buf answer = {0};

	if (session->user_id == 0)
		refuse(call, fault_not_authenticated());
	else if (json_object_size(call->params) == 0)
	{
		ticket_issue_events(&answer, session);
		succeed(call, answer.data, answer.length);
	}
	else if (file_id <= 0)
		refuse(call, fault_parameter("file_id", "an id as a decimal string, and nothing else"));
	else
	{
		ticket_issue(&answer, session, file_id);
		succeed(call, answer.data, answer.length);
	}
	buf_free(&answer);
}

/* The ids of an array, in the arena; NULL: there is something else in it. */
static int64_t *
read_ids(const struct call *call, const json_t *array)
{
	int64_t *ids = arena_alloc(call->arena, (json_array_size(array) + 1) * sizeof *ids);

	for (size_t i = 0; i < json_array_size(array); i++)
	{
		struct value_param param = {0};

		if (value_encode((struct value_type){VALUE_BIGINT, false}, json_array_get(array, i), call->arena,
						 &param) != NULL ||
			param.text == NULL)
			return NULL;
		ids[i] = strtoll(param.text, NULL, 10);
	}
	return ids;
}

static void
run_watch_presence(struct call *call, struct session *session)
{
	const json_t *array = json_object_get(call->params, "user_ids");
	size_t count = json_array_size(array);
	int64_t *ids = NULL;

	if (json_is_array(array) && json_object_size(call->params) == 1 && count <= (size_t) config.watch_limit)
		ids = read_ids(call, array);
	if (session->visitor)
		refuse(call, fault_needs_socket());
	else if (session->user == NULL)
		refuse(call, fault_not_authenticated());
	else if (ids == NULL)
		refuse(call, fault_parameter("user_ids",
									 arena_format(call->arena, "an array of at most %d ids, and nothing else",
												  config.watch_limit)));
	else
	{
		watch_set(session, ids, count); /* tells nothing before the end of the turn */
		succeed(call, "null", 4);
	}
}

static const struct native natives[] = {{"ping", run_ping},
										{"discover", run_discover},
										{"authenticate", run_authenticate},
										{"create_ticket", run_create_ticket},

										{"watch_presence", run_watch_presence}};

/* NULL: it is none of the gateway's own. */
static const struct native *
native_named(const char *name)
{
	for (size_t i = 0; i < sizeof natives / sizeof natives[0]; i++)
	{
		if (strcmp(natives[i].name, name) == 0)
			return &natives[i];
	}
	return NULL;
}

/* True when it is one of the gateway's own, and answered or on its way. */
static bool
run_native(struct call *call, struct session *session)
{
	const struct native *native = native_named(call->request.method);

	if (native == NULL)
		return false;
	call->series = stats_series(SERIES_METHODS, native->name, strlen(native->name));
	native->run(call, session);
	return true;
}

/* Nobody can say yet what it is: it waits for the first catalog. */
static bool
is_early(const struct call *call)
{
	const struct native *native;

	if (call->state != CALL_RECEIVED || !catalog_is_awaited())
		return false;
	native = native_named(call->request.method);
	return native == NULL || native->run == run_discover;
}

static const struct parameter *
parameter_named(const struct method *method, const char *name)
{
	for (int i = 0; i < method->parameter_count; i++)
	{
		if (strcmp(method->parameters[i].name, name) == 0)
			return &method->parameters[i];
	}
	return NULL;
}

/* Whatever the client sent must be a parameter, and one that a client may send. */
static bool
check_names(struct call *call, struct rpc_error *error)
{
	const char *name;
	json_t *value;

	json_object_foreach(call->params, name, value)
	{
		const struct parameter *parameter = parameter_named(call->method, name);
		bool reserved = catalog_fills(name);

		if (reserved)
			*error = fault_reserved(name);
		else if (parameter == NULL)
			*error = fault_parameter(name, "there is no such parameter");
		if (reserved || parameter == NULL)
			return false;
	}
	return true;
}

static const char *
actor_value(const struct call *call, const struct session *session, enum parameter_source source)
{
	switch (source)
	{
		case FROM_USER:
			return session->user_id ? arena_format(call->arena, "%lld", (long long) session->user_id) : NULL;
		case FROM_SESSION:
			return session->login_id ? arena_format(call->arena, "%lld", (long long) session->login_id)
									 : NULL;
		default:
			if (session->address[0] == '\0')
				return NULL;
			return arena_copy(call->arena, session->address, strlen(session->address));
	}
}

static bool
encode_one(struct call *call, const struct parameter *parameter, struct value_param *out,
		   struct rpc_error *error)
{
	const json_t *value = json_object_get(call->params, parameter->name);
	const char *hint = NULL;

	if (value != NULL && !json_is_null(value))
		hint = value_encode(parameter->type, value, call->arena, out);
	else if (!parameter->optional)
		hint = "it is missing";
	if (hint != NULL)
		*error = fault_parameter(parameter->name, hint);
	return hint == NULL;
}

static bool
encode_arguments(struct call *call, const struct session *session, struct rpc_error *error)
{
	int count = call->method->parameter_count;
	const char **values = arena_alloc(call->arena, (size_t) count * sizeof *values);
	int *lengths = arena_alloc(call->arena, (size_t) count * sizeof *lengths);
	int *formats = arena_alloc(call->arena, (size_t) count * sizeof *formats);

	for (int i = 0; i < count; i++)
	{
		const struct parameter *parameter = &call->method->parameters[i];
		struct value_param param = {0};

		if (parameter->source != FROM_CLIENT)
			param.text = actor_value(call, session, parameter->source);
		else if (!encode_one(call, parameter, &param, error))
			return false;
		values[i] = param.text;
		lengths[i] = param.length;
		formats[i] = param.binary;
	}
	call->pg.values = values;
	call->pg.lengths = lengths;
	call->pg.formats = formats;
	return true;
}

static void on_done(struct pg_call *pg, enum pg_verdict verdict, const struct pg_result *result);

static const char *
argument(const struct call *call, int at)
{
	return at < 0 ? NULL : call->pg.values[at];
}

static enum pg_lane
lane_of(const struct method *method)
{
	if (method->anonymous)
		return method->logs_in ? LANE_SIGN_IN : LANE_ANONYMOUS;
	return method->groupable ? LANE_GROUPED : LANE_SINGLE;
}

static void
route(struct call *call, const struct session *session)
{
	const struct method *method = call->method;
	const char *chat = argument(call, method->chat_parameter);

	call->pg.statement = &method->statement;
	call->pg.done = on_done;
	call->pg.chat = chat ? strtoll(chat, NULL, 10) : 0;
	call->pg.lane = lane_of(method);
	call->pg.user = method->anonymous ? session->origin : session->user_id;
	call->pg.alone = !method->checked || loop_now() < session->alone_until;
	call->pg.repeatable = method->groupable && argument(call, method->key_parameter) != NULL;
	span_mark(&call->span, call->arena, &call->pg);
}

/* Find the method, check who asks and what. False: `error` says why not. */
static bool
prepare(struct call *call, const struct session *session, struct rpc_error *error)
{
	call->method = catalog_find(call->catalog, call->request.method);
	call->series = call->method ? call->method->series : 0;
	if (call->method == NULL)
		*error = fault_unknown_method();
	else if (!call->method->anonymous && session->user_id == 0)
		*error = fault_not_authenticated();
	else if (call->method->logs_in && session->user_id != 0)
		*error = fault_already_authenticated();
	else if (check_names(call, error) && encode_arguments(call, session, error))
	{
		route(call, session);
		json_decref(call->params);
		call->params = NULL;
		call->state = CALL_PREPARED;
		return true;
	}
	return false;
}

/* Whether an earlier call of the session on the same chat must be answered first. */
static bool
must_wait(const struct call *call, const struct session *session)
{
	bool grouped = call->method->groupable && !call->method->anonymous;

	if (call->pg.chat == 0)
		return false;
	for (struct list *node = session->calls.next; node != &call->node; node = node->next)
	{
		const struct call *earlier = list_entry(node, struct call, node);

		if (earlier->method != NULL && earlier->pg.chat == call->pg.chat &&
			!(grouped && earlier->state == CALL_RUNNING && earlier->method->groupable))
			return true;
	}
	return false;
}

/* The socket is slow, or an earlier batch has gathered much: nothing more is to be made for it now. */
static bool
is_held_back(const struct call *call, const struct session *session)
{
	size_t limit = (size_t) config.outbound_limit;
	const struct call *first = list_entry(session->calls.next, struct call, node);

	return session->queued > limit || (session->gathered > limit && call->reply != first->reply);
}

/* Whether its rows may come to more, together with those under way, than the session, or its user, should have at a time. */
static bool
is_heavy(const struct call *call, const struct session *session)
{
	size_t weight = *call->method->weight;

	return (session->expected > 0 && session->expected + weight > (size_t) config.outbound_limit) ||
		   account_is_full(session, weight);
}

static void
start(struct call *call, struct session *session)
{
	call->state = CALL_RUNNING;
	call->pg.weight = *call->method->weight;
	session->expected += call->pg.weight;
	account_move(session, (int64_t) call->pg.weight);
	if (call->method->logs_in)
		session->login_pending = true;
	pool_submit(&call->pg);
}

/* One call too many: it is refused; a visitor's only one as the whole request, which HTTP has a status for. */
static void
limit(struct call *call, struct session *session, enum rate_verdict verdict, long long wait)
{
	struct rpc_error error = fault_rate_limited(wait);

	if (session->visitor && !reply_is_batch(call->reply))
		session_refuse(session, &error);
	else
		refuse(call, error);
	if (verdict == RATE_FLOODED && !session->visitor)
		session->floods = true; /* the walk over its calls goes on: nothing may free them but itself */
}

/* How many calls, and of a visitor how many bytes. */
static enum rate_verdict
count(struct session *session, long long *wait)
{
	if (session->received > 0)
		session->over = rate_take_bytes(session, session->received);
	session->received = 0;
	*wait = (long long) session->over;
	if (session->over == 0)
		return rate_count(session, wait);
	stats_add(STAT_CALLS_LIMITED, 1);
	return RATE_OVER;
}

/* First look at a call. True: it is prepared. False: it was answered, or is on its way by itself. */
static bool
consider(struct call *call, struct session *session)
{
	struct rpc_error error = fault_unavailable();
	long long wait = 0;
	enum rate_verdict verdict = count(session, &wait);

	if (verdict != RATE_GOOD)
	{
		limit(call, session, verdict, wait);
		return false;
	}
	call->catalog = catalog_share();
	if (run_native(call, session))
		return false;
	if (call->catalog == NULL || !prepare(call, session, &error))
	{
		refuse(call, error);
		return false;
	}
	if (call->method->anonymous)
		verdict = rate_count_anonymous(session, &wait);
	if (verdict != RATE_GOOD)
		limit(call, session, verdict, wait);
	return verdict == RATE_GOOD;
}

void
call_advance(struct session *session)
{
	struct list *node;
	struct list *after;

	list_each(node, after, &session->calls)
	{
		struct call *call = list_entry(node, struct call, node);

		if (session->closed)
			return;
		if (call->state == CALL_RUNNING)
			continue;
		if (session->deaf)
		{
			refuse(call, fault_session_ended());
			continue;
		}
		if (session->login_pending || is_held_back(call, session))
			return;
		if (is_early(call) || (call->state == CALL_RECEIVED && !consider(call, session)))
			continue;
		if (must_wait(call, session) || is_heavy(call, session))
			continue;
		if (reply_is_full(call->reply))
			refuse(call, fault_answer_too_large());
		else
			start(call, session);
	}
}

/* The function returned its own error: {"code":…,"reason":…,…} in a column. */
static void
refuse_with_column(struct call *call, const char *text)
{
	json_t *object = json_loads(text, 0, NULL);
	struct rpc_error error = {
		.code = (int) json_integer_value(json_object_get(object, "code")),
		.message = json_string_value(json_object_get(object, "message")),
		.reason = json_string_value(json_object_get(object, "reason")),
		.hint = json_string_value(json_object_get(object, "hint")),
		.retry_after = json_integer_value(json_object_get(object, "retry_after_ms")),
	};

	if (error.code == 0 || error.reason == NULL)
		error = fault_internal();
	call_fail(call, &error);
	json_decref(object);
}

/* log_in has made a token: the socket gets the session it stands for, then the answer. */
static void
continue_log_in(struct call *call, struct session *session, const struct pg_result *result,
				const struct buf *answer)
{
	int column = result_column(result, "token");
	const char *token = column < 0 || result_rows(result) != 1 ? NULL : result_value(result, 0, column, NULL);
	struct rpc_error error = fault_internal();

	if (session == NULL || token == NULL)
		call_fail(call, &error);
	else
		login_with_token(session, token, call, answer, NO_REPLAY);
}

static void
answer(struct call *call, struct session *session, const struct pg_result *result)
{
	const char *refusal = call->method->error_column < 0 || result_rows(result) == 0
							  ? NULL
							  : result_value(result, 0, call->method->error_column, NULL);
	struct rpc_error error = fault_internal();
	struct rpc_error large = fault_answer_too_large();
	struct buf text = {0};

	if (refusal != NULL)
		refuse_with_column(call, refusal);
	else if (result_size(result) > (size_t) config.answer_limit)
		call_fail(call, &large);
	else if (!render_result(call->method, result, &text))
	{
		catalog_reload();
		call_fail(call, &error);
	}
	else if (!reply_has_room(call->reply, text.length))
		call_fail(call, &large);
	else if (call->method->logs_in && (session == NULL || !session->visitor))
		continue_log_in(call, session, result, &text);
	else
		call_succeed(call, text.data, text.length);
	buf_free(&text);
}

/* The largest of late: rises at once, falls slowly. */
static void
weigh(const struct method *method, size_t size)
{
	*method->weight = size > *method->weight ? size : *method->weight - (*method->weight - size) / 64;
}

static void
on_done(struct pg_call *pg, enum pg_verdict verdict, const struct pg_result *result)
{
	struct call *call = list_entry(pg, struct call, pg);
	struct session *session = session_find(call->session);
	struct rpc_error error;

	span_log(&call->span);
	span_add_database(&call->span, pg, verdict == PG_DONE);
	if (session != NULL)
	{
		session->expected -= pg->weight;
		account_move(session, -(int64_t) pg->weight);
	}
	if (verdict == PG_DONE)
		weigh(call->method, result_size(result));
	if (session != NULL && pg->spoiled)
		session->alone_until = loop_now() + ALONE_TIME;
	if (session != NULL && call->method->logs_in)
		session->login_pending = false;
	if (verdict == PG_DONE)
		answer(call, session, result);
	else
	{
		if (verdict == PG_FAILED && fault_is_stale(result))
			catalog_reload();
		error = fault_from_database(verdict, result, call->request.method);
		call_fail(call, &error);
	}
	span_log(NULL);
}

void
call_abandon(struct session *session)
{
	struct list *node;

	while ((node = list_shift(&session->calls)) != NULL)
	{
		struct call *call = list_entry(node, struct call, node);

		if (call->state == CALL_RUNNING)
			continue;
		reply_nothing(call->reply);
		call_free(call);
	}
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * rpc.c
 *	  JSON-RPC 2.0: one request object in, answers and notifications out, as text.
 *
 * An id is kept as the JSON text it came in, so it goes back exactly: a string, a number or null. A request that
 * has none is a notification. A member `traceparent` (W3C Trace Context) may say which trace the call belongs to. Parameters go by name: an array of them is refused with a hint.
 *
 * A request that json_read has refused, although it is JSON, is still somebody's who waits: its text is looked through for
 * the id, and for the parameter that the fault lies in. An id that is there twice, or cannot be read itself, cannot be told.
 *
 * Called from: chat/session (in), chat/reply (out), chat/walk (notifications). Calls: codec/json.
 */
#include "codec/rpc.h"

#include <string.h>

#include "codec/json.h"

static const char object_hint[] = "a request is an object";
static const char id_hint[] = "id is a string, a number or null";

static bool
is_id(const json_t *id)
{
	return json_is_string(id) || json_is_number(id) || json_is_null(id);
}

static const char *
id_text(struct arena *arena, const json_t *id)
{
	struct buf text = {0};
	const char *copy;

	json_write(&text, id);
	copy = arena_copy(arena, text.data, text.length);
	buf_free(&text);
	return copy;
}

static bool
refuse(struct rpc_request *request, struct rpc_error *error, int code, const char *reason, const char *hint)
{
	if (request->id == NULL && code == RPC_INVALID_REQUEST)
		request->id = "null";
	*error = (struct rpc_error){.code = code, .reason = reason, .hint = hint};
	error->message = code == RPC_INVALID_PARAMS ? "invalid params" : "invalid request";
	return false;
}

bool
rpc_read(const json_t *value, struct arena *arena, struct rpc_request *request, struct rpc_error *error)
{
	const json_t *id = json_object_get(value, "id");
	const json_t *method = json_object_get(value, "method");
	const char *version = json_string_value(json_object_get(value, "jsonrpc"));

	*request = (struct rpc_request){0};
	if (!json_is_object(value))
		return refuse(request, error, RPC_INVALID_REQUEST, "invalid_request", object_hint);
	if (id != NULL && !is_id(id))
		return refuse(request, error, RPC_INVALID_REQUEST, "invalid_request", id_hint);
	if (id != NULL)
		request->id = id_text(arena, id);
	if (version == NULL || strcmp(version, "2.0") != 0)
		return refuse(request, error, RPC_INVALID_REQUEST, "invalid_request", "jsonrpc is \"2.0\"");
	if (!json_is_string(method))
		return refuse(request, error, RPC_INVALID_REQUEST, "invalid_request", "method is a string");
	request->method = json_string_value(method);
	request->params = json_object_get(value, "params");
	request->traceparent = json_string_value(json_object_get(value, "traceparent"));
	if (request->params != NULL && json_is_array(request->params))
		return refuse(request, error, RPC_INVALID_PARAMS, "invalid_params",
					  "params is an object, parameters go by name");
	if (request->params != NULL && !json_is_object(request->params))
		return refuse(request, error, RPC_INVALID_REQUEST, "invalid_request", "params is an object");
	return true;
}

/* What can be told of a request that json_read has refused. */
struct remains
{
	const char *why;       /* it was */
	const char *fault;     /* a byte of what it was refused for */
	int ids;               /* how many it has */
	const char *id;        /* what to send back; NULL: it cannot be told, or there is none */
	const char *parameter; /* that the fault lies in; NULL: it lies elsewhere */
};

/* A string; NULL: it cannot be read. */
static const char *
read_text(const struct slice *text, struct arena *arena)
{
	const char *why;
	json_t *value = json_read(text->text, text->length, &why);
	const char *copy = NULL;

	if (value != NULL)
		copy = arena_copy(arena, json_string_value(value), json_string_length(value));
	json_decref(value);
	return copy;
}

static void
read_id(struct remains *remains, const struct slice *text, struct arena *arena)
{
	const char *why;
	json_t *id = json_read(text->text, text->length, &why);

	if (++remains->ids > 1)
		remains->id = NULL;
	else if (id != NULL && is_id(id))
		remains->id = id_text(arena, id);
	else
		remains->why = id ? id_hint : why;
	json_decref(id);
}

static void
read_params(struct remains *remains, const struct slice *params, struct arena *arena)
{
	struct slice name;
	struct slice value;
	size_t at = 0;

	while (json_pair(params->text, params->length, &at, &name, &value))
	{
		if (remains->fault >= name.text && remains->fault < value.text + value.length)
			remains->parameter = read_text(&name, arena);
	}
}

void
rpc_read_refused(const char *text, size_t length, const char *why, struct arena *arena,
				 struct rpc_request *request, struct rpc_error *error)
{
	struct remains remains = {.why = why, .fault = text + json_fault(text, length)};
	struct slice name;
	struct slice value;
	size_t at = 0;

	while (json_pair(text, length, &at, &name, &value))
	{
		const char *member = read_text(&name, arena);

		if (member != NULL && strcmp(member, "id") == 0)
			read_id(&remains, &value, arena);
		else if (member != NULL && strcmp(member, "params") == 0)
			read_params(&remains, &value, arena);
	}
	*request = (struct rpc_request){.id = remains.id};
	if (remains.parameter != NULL && (remains.ids == 0 || remains.id != NULL))
	{
		refuse(request, error, RPC_INVALID_PARAMS, "invalid_params", remains.why);
		error->parameter = remains.parameter;
	}
	else
		refuse(request, error, RPC_INVALID_REQUEST, "invalid_request", at > 0 ? remains.why : object_hint);
}

void
rpc_write_result(struct buf *out, const char *id, const char *result, size_t length)
{
	buf_add_text(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	buf_add_text(out, id);
	buf_add_text(out, ",\"result\":");
	buf_add(out, result, length);
	buf_add_char(out, '}');
}

static void
write_member(struct buf *out, const char *name, const char *text)
{
	if (text == NULL)
		return;
	if (out->data[out->length - 1] != '{')
		buf_add_char(out, ',');
	buf_format(out, "\"%s\":", name);
	json_write_string(out, text, strlen(text));
}

void
rpc_write_error(struct buf *out, const char *id, const struct rpc_error *error)
{
	buf_add_text(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	buf_add_text(out, id);
	buf_format(out, ",\"error\":{\"code\":%d", error->code);
	write_member(out, "message", error->message ? error->message : error->reason);
	buf_add_text(out, ",\"data\":{");
	write_member(out, "reason", error->reason);
	write_member(out, "sqlstate", error->sqlstate);
	write_member(out, "hint", error->hint);
	write_member(out, "parameter", error->parameter);
	if (error->retry_after > 0)
		buf_format(out, ",\"retry_after_ms\":%lld", error->retry_after);
	buf_add_text(out, "}}}");
}

void
rpc_write_notification(struct buf *out, const char *method, const char *params, size_t length)
{
	buf_add_text(out, "{\"jsonrpc\":\"2.0\",\"method\":\"");
	buf_add_text(out, method);
	buf_add_text(out, "\",\"params\":");
	buf_add(out, params, length);
	buf_add_char(out, '}');
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * openrpc.c
 *	  The methods described for machines: an OpenRPC 1.3 document made from the catalog, with JSON Schemas of what goes
 *	  in and comes out, as codec/value writes it.
 *
 * A catalog does not say which columns of a result are never null, so all may be; a row of nulls is a null itself. In
 * parameters null stands for the default, where there is one.
 *
 * It is made when somebody asks for it, and kept until the catalog is another one.
 *
 * Called from: net/page, main.c. Calls: chat/catalog, codec/json, codec/value.
 */
#include "chat/openrpc.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "chat/catalog.h"
#include "codec/json.h"
#include "codec/value.h"

/* What a SQL type is on the wire: JSON types with commas between, none: any; and further keywords, each behind a comma. */
struct schema
{
	const char *type;  /* format_type()'s name */
	const char *said;  /* in answers */
	const char *taken; /* as a parameter */
	const char *rest;  /* of both */
};

#define STRING  "\"string\""
#define INTEGER "\"integer\""
#define REAL    "\"number\",\"string\"" /* a string in answers: NaN and the infinite */
#define ID      STRING "," INTEGER
#define DIGITS  ",\"pattern\":\"^-?[0-9]{1,19}$\""
#define TIME    ",\"format\":\"date-time\""

static const struct schema schemas[] = {
	{"bigint", STRING, ID, DIGITS},
	{"integer", INTEGER, INTEGER, ""},
	{"smallint", INTEGER, INTEGER, ""},
	{"boolean", "\"boolean\"", "\"boolean\"", ""},
	{"text", STRING, STRING, ""},
	{"character varying", STRING, STRING, ""},
	{"timestamp with time zone", STRING, STRING, TIME},
	{"date", STRING, STRING, ",\"format\":\"date\""},
	{"interval", STRING, STRING, ",\"format\":\"duration\""},
	{"bytea", STRING, STRING, ",\"contentEncoding\":\"base64\""},
	{"uuid", STRING, STRING, ",\"format\":\"uuid\""},
	{"numeric", REAL, REAL, ""},
	{"double precision", REAL, REAL, ""},
	{"real", REAL, REAL, ""},
	{"json", "", "", ""},
	{"jsonb", "", "", ""},
	{"", STRING, STRING, ""}, /* every other one */
};

/* clang-format off */
#define METHOD(name, description, anonymous) \
	"{\"name\":\"" name "\",\"description\":\"" description "\",\"x-anonymous\":" anonymous ",\"paramStructure\":\"by-name\",\"params\":["
#define PARAMETER(name, required, schema) "{\"name\":\"" name "\",\"required\":" required ",\"schema\":{" schema "}}"
#define RESULT(schema) "],\"result\":{\"name\":\"result\",\"schema\":{" schema "}}}"
#define OBJECT(names) "\"type\":\"object\",\"required\":[" names "],\"properties\":"
#define MEMBER(name, schema) "\"" name "\":{\"type\":" STRING schema "}"

/* The gateway's own methods; the catalog does not know them. */
static const char natives[] =
	METHOD("ping", "Answers pong.", "true")
	RESULT("\"const\":\"pong\"") ","

	METHOD("discover", "All methods with parameters, result and comment.", "true")
	RESULT("\"type\":\"array\",\"items\":{\"type\":\"object\"}") ","

	METHOD("authenticate", "Logs the socket in by a token; not over HTTP.", "true")
	PARAMETER("token", "true", "\"type\":" STRING) ","
	PARAMETER("since", "false", "\"type\":[" ID ",\"null\"]" DIGITS)
	RESULT(OBJECT("\"user_id\",\"session_id\",\"expires_at\",\"cursor\"") "{"
		MEMBER("user_id", DIGITS) "," MEMBER("session_id", DIGITS) "," MEMBER("expires_at", TIME) "," MEMBER("cursor", DIGITS) "}") ","

	METHOD("watch_presence", "The socket hears presence_changed of these users, at once and whenever it changes, and of "
		"nobody else any more; not over HTTP.", "false")
	PARAMETER("user_ids", "true", "\"type\":\"array\",\"items\":{\"type\":[" ID "]" DIGITS "}")
	RESULT("\"type\":\"null\"") ","

	METHOD("create_ticket", "A ticket that opens /files/{file_id}?ticket= without a token for a while, as often as it is "
		"shown, while the caller's session lasts; without file_id: one that opens /events?ticket= once, within 30 seconds.", "false")
	PARAMETER("file_id", "false", "\"type\":[" ID "]" DIGITS)
	RESULT(OBJECT("\"ticket\",\"url\",\"expires_at\"") "{"
		MEMBER("ticket", "") "," MEMBER("url", "") "," MEMBER("expires_at", TIME) "}");
/* clang-format on */

/* What a socket's log_in answers besides: it authenticates, too. */
static const char log_in_cursor[] =
	"," MEMBER("cursor", DIGITS ",\"description\":\"As of authenticate; not over HTTP.\"");

static struct catalog *described; /* what document was made from, one reference; NULL: nothing */
static struct message *document;  /* of it, one reference; NULL with described */
static char document_tag[24];     /* of its bytes, with quotes */

static const char *
member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void
add_types(struct buf *out, const char *types, bool nullable)
{
	bool many = nullable || strchr(types, ',') != NULL;

	if (types[0] == '\0')
		return;
	buf_format(out, "\"type\":%s%s%s%s", many ? "[" : "", types, nullable ? ",\"null\"" : "",
			   many ? "]" : "");
}

static const struct schema *
schema_of(const char *type, size_t length)
{
	size_t at = 0;

	while (schemas[at].type[0] != '\0' &&
		   (strlen(schemas[at].type) != length || strncmp(schemas[at].type, type, length) != 0))
		at++;
	return &schemas[at];
}

/* The schema of a SQL type: of an answer, where the catalog does not say what is never null, or of a parameter. */
static void
add_schema(struct buf *out, const char *type, bool taken, bool nullable)
{
	size_t length = strlen(type);
	bool array = length > 2 && strcmp(type + length - 2, "[]") == 0;
	const struct schema *schema = schema_of(type, length - (array ? 2 : 0));

	buf_add_char(out, '{');
	if (array)
	{
		add_types(out, "\"array\"", nullable);
		buf_add_text(out, ",\"items\":{");
		nullable = !taken;
	}
	add_types(out, taken ? schema->taken : schema->said, nullable);
	buf_add_text(out, schema->rest);
	buf_add_text(out, array ? "}}" : "}");
}

static void
add_text(struct buf *out, const char *name, const char *text)
{
	buf_format(out, "\"%s\":", name);
	json_write_string(out, text, strlen(text));
}

static void
add_parameters(struct buf *out, const json_t *parameters)
{
	size_t at;
	json_t *parameter;

	buf_add_text(out, ",\"params\":[");
	json_array_foreach(parameters, at, parameter)
	{
		bool optional = json_is_true(json_object_get(parameter, "optional"));

		buf_add_text(out, at > 0 ? ",{" : "{");
		add_text(out, "name", member(parameter, "name"));
		buf_format(out, ",\"required\":%s,\"schema\":", optional ? "false" : "true");
		add_schema(out, member(parameter, "type"), true, optional);
		buf_add_char(out, '}');
	}
	buf_add_char(out, ']');
}

/* Whether render.c leaves the column out of a row: an error, or a page's has_more, which stands beside the rows. */
static bool
is_hidden(const json_t *column, bool last_of_page)
{
	return last_of_page || (strcmp(member(column, "name"), "error") == 0 &&
							value_type(member(column, "type")).kind == VALUE_JSON);
}

/* An object with the columns, or a bare value. */
static void
add_row(struct buf *out, const json_t *method, bool page, bool nullable)
{
	const json_t *columns = json_object_get(method, "columns");
	size_t count = json_array_size(columns);
	struct buf names = {0};
	size_t at;
	json_t *column;

	if (count == 1 && !json_is_string(json_object_get(json_array_get(columns, 0), "name")))
	{
		add_schema(out, member(json_array_get(columns, 0), "type"), false, true);
		return;
	}
	buf_add_char(out, '{');
	add_types(out, "\"object\"", nullable);
	buf_add_text(out, ",\"properties\":{");
	json_array_foreach(columns, at, column)
	{
		const char *name = member(column, "name");

		if (is_hidden(column, page && at + 1 == count))
			continue;
		if (names.length > 0)
		{
			buf_add_char(out, ',');
			buf_add_char(&names, ',');
		}
		json_write_string(out, name, strlen(name));
		json_write_string(&names, name, strlen(name));
		buf_add_char(out, ':');
		add_schema(out, member(column, "type"), false, true);
	}
	if (strcmp(member(method, "method"), "log_in") == 0)
		buf_add_text(out, log_in_cursor);
	buf_format(out, "},\"required\":[%s]}", buf_text(&names));
	buf_free(&names);
}

static void
add_result(struct buf *out, const json_t *method)
{
	const char *shape = member(method, "result");

	buf_add_text(out, ",\"result\":{\"name\":\"result\",\"schema\":");
	if (strcmp(shape, "void") == 0)
		buf_add_text(out, "{\"type\":\"null\"}");
	else if (strcmp(shape, "page") == 0)
	{
		buf_add_text(out, "{" OBJECT("\"rows\",\"has_more\"") "{\"rows\":{\"type\":\"array\",\"items\":");
		add_row(out, method, true, false);
		buf_add_text(out, "},\"has_more\":{\"type\":\"boolean\"}}}");
	}
	else if (strcmp(shape, "rows") == 0)
	{
		buf_add_text(out, "{\"type\":\"array\",\"items\":");
		add_row(out, method, false, false);
		buf_add_char(out, '}');
	}
	else
		add_row(out, method, false, true);
	buf_add_char(out, '}');
}

static void
add_method(struct buf *out, const json_t *method)
{
	buf_add_text(out, ",{");
	add_text(out, "name", member(method, "method"));
	buf_add_char(out, ',');
	add_text(out, "description", member(method, "description"));
	buf_format(out, ",\"x-anonymous\":%s,\"paramStructure\":\"by-name\"",
			   json_is_true(json_object_get(method, "anonymous")) ? "true" : "false");
	add_parameters(out, json_object_get(method, "parameters"));
	add_result(out, method);
	buf_add_char(out, '}');
}

/* FNV-1a: the same in every worker. */
static void
make_tag(const struct buf *text)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < text->length; i++)
		hash = (hash ^ (unsigned char) text->data[i]) * 1099511628211u;
	snprintf(document_tag, sizeof document_tag, "\"%016llx\"", (unsigned long long) hash);
}

static void
forget(void)
{
	if (document != NULL)
		message_release(document);
	document = NULL;
}

static void
describe(struct catalog *catalog)
{
	size_t length;
	const char *text = catalog_text(catalog, &length);
	json_t *methods = json_loadb(text, length, 0, NULL);
	struct buf made = {0};
	size_t at;
	json_t *method;

	buf_add_text(&made, "{\"openrpc\":\"1.3.2\",\"info\":{\"title\":\"chat\",\"version\":\"" GW_VERSION
						"\"},\"servers\":[{\"name\":\"http\",\"url\":\"/rpc\"}],\"methods\":[");
	buf_add_text(&made, natives);
	json_array_foreach(methods, at, method)
	{
		add_method(&made, method);
	}
	buf_add_text(&made, "]}");
	json_decref(methods);
	make_tag(&made);
	forget();
	document = message_create(made.data, made.length);
	buf_free(&made);
}

struct message *
openrpc_document(const char **tag)
{
	struct catalog *now = catalog_share();

	if (now != NULL && now != described)
		describe(now);
	catalog_release(described);
	described = now;
	*tag = document_tag;
	return now ? document : NULL;
}

void
openrpc_close(void)
{
	catalog_release(described);
	described = NULL;
	forget();
}

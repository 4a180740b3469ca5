/* SPDX-License-Identifier: PostgreSQL */
/*
 * openrpc.c
 *	  The methods described for machines: an OpenRPC 1.3 document made from the catalog, with JSON Schemas of what goes
 *	  in and comes out, as codec/value writes it.
 *
 * It is made when somebody asks for it, and kept until the catalog is another one.
 *
 * Called from: net/page, main.c. Calls: chat/catalog, codec/json.
 */
#include "chat/openrpc.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "chat/catalog.h"
#include "codec/json.h"

/* What a SQL type is on the wire. */
struct schema
{
	const char *type; /* format_type()'s name */
	const char *text; /* JSON Schema, without its braces */
};

static const struct schema schemas[] = {
	{"bigint", "\"type\":\"string\",\"pattern\":\"^-?[0-9]{1,19}$\""},
	{"integer", "\"type\":\"integer\""},
	{"smallint", "\"type\":\"integer\""},
	{"boolean", "\"type\":\"boolean\""},
	{"text", "\"type\":\"string\""},
	{"character varying", "\"type\":\"string\""},
	{"timestamp with time zone", "\"type\":\"string\",\"format\":\"date-time\""},
	{"date", "\"type\":\"string\",\"format\":\"date\""},
	{"interval", "\"type\":\"string\",\"format\":\"duration\""},
	{"bytea", "\"type\":\"string\",\"contentEncoding\":\"base64\""},
	{"uuid", "\"type\":\"string\",\"format\":\"uuid\""},
	{"inet", "\"type\":\"string\""},
	{"numeric", "\"type\":\"number\""},
	{"double precision", "\"type\":\"number\""},
	{"real", "\"type\":\"number\""},
	{"json", ""},
	{"jsonb", ""},
};

/* The gateway's own methods; the catalog does not know them. */
static const char natives[] =
	"{\"name\":\"ping\",\"description\":\"Answers "
	"pong.\",\"x-anonymous\":true,\"paramStructure\":\"by-name\","
	"\"params\":[],\"result\":{\"name\":\"result\",\"schema\":{\"const\":\"pong\"}}},"
	"{\"name\":\"discover\",\"description\":\"All methods with parameters, result and comment.\","
	"\"x-anonymous\":true,\"paramStructure\":\"by-name\",\"params\":[],"
	"\"result\":{\"name\":\"result\",\"schema\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}}},"
	"{\"name\":\"authenticate\",\"description\":\"Logs the socket in by a token; not over HTTP.\","
	"\"x-anonymous\":true,\"paramStructure\":\"by-name\","
	"\"params\":[{\"name\":\"token\",\"required\":true,\"schema\":{\"type\":\"string\"}},{\"name\":\"since\","
	"\"required\":false,\"schema\":{\"type\":\"string\"}}],"
	"\"result\":{\"name\":\"result\",\"schema\":{\"type\":\"object\"}}},"
	"{\"name\":\"watch_presence\",\"description\":\"The socket hears presence_changed of these users, at "
	"once "
	"and whenever it changes, and of nobody else any more; not over HTTP.\",\"x-anonymous\":false,"
	"\"paramStructure\":\"by-name\",\"params\":[{\"name\":\"user_ids\",\"required\":true,"
	"\"schema\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":\"^-?[0-9]{1,19}$\"}}}],"
	"\"result\":{\"name\":\"result\",\"schema\":{\"type\":\"null\"}}},"
	"{\"name\":\"create_ticket\",\"description\":\"A ticket that opens /files/{file_id}?ticket= without a "
	"token for a while, as often as it is shown, while the caller's session lasts; without file_id: one that "
	"opens /events?ticket= once, within 30 seconds.\",\"x-anonymous\":false,"
	"\"paramStructure\":\"by-name\",\"params\":[{\"name\":\"file_id\",\"required\":false,"
	"\"schema\":{\"type\":\"string\",\"pattern\":\"^-?[0-9]{1,19}$\"}}],"
	"\"result\":{\"name\":\"result\",\"schema\":{\"type\":\"object\",\"properties\":{"
	"\"ticket\":{\"type\":\"string\"},\"url\":{\"type\":\"string\"},"
	"\"expires_at\":{\"type\":\"string\",\"format\":\"date-time\"}}}}}";

static struct catalog *described; /* what document was made from, one reference; NULL: nothing */
static struct buf document;       /* of it */
static char document_tag[24];     /* of its bytes, with quotes */

static const char *
member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* The schema of a SQL type; nullable, as all values from SQL may be null. */
static void
add_schema(struct buf *out, const char *type)
{
	size_t length = strlen(type);
	bool array = length > 2 && strcmp(type + length - 2, "[]") == 0;
	const char *text = "";

	length -= array ? 2 : 0;
	for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++)
	{
		if (strlen(schemas[i].type) == length && strncmp(schemas[i].type, type, length) == 0)
			text = schemas[i].text;
	}
	buf_format(out, array ? "{\"type\":\"array\",\"items\":{%s}}" : "{%s}", text);
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
		buf_add_text(out, at > 0 ? ",{" : "{");
		add_text(out, "name", member(parameter, "name"));
		buf_format(out, ",\"required\":%s,\"schema\":",
				   json_is_true(json_object_get(parameter, "optional")) ? "false" : "true");
		add_schema(out, member(parameter, "type"));
		buf_add_char(out, '}');
	}
	buf_add_char(out, ']');
}

/* An object with the columns; of a page without has_more, which stands beside the rows. */
static void
add_row(struct buf *out, const json_t *columns, bool page)
{
	const char *between = "";
	size_t at;
	json_t *column;

	if (json_array_size(columns) == 1 && !json_is_string(json_object_get(json_array_get(columns, 0), "name")))
	{
		add_schema(out, member(json_array_get(columns, 0), "type"));
		return;
	}
	buf_add_text(out, "{\"type\":\"object\",\"properties\":{");
	json_array_foreach(columns, at, column)
	{
		if (page && at + 1 == json_array_size(columns))
			break;
		buf_add_text(out, between);
		between = ",";
		json_write_string(out, member(column, "name"), strlen(member(column, "name")));
		buf_add_char(out, ':');
		add_schema(out, member(column, "type"));
	}
	buf_add_text(out, "}}");
}

static void
add_result(struct buf *out, const char *shape, const json_t *columns)
{
	buf_add_text(out, ",\"result\":{\"name\":\"result\",\"schema\":");
	if (strcmp(shape, "void") == 0)
		buf_add_text(out, "{\"type\":\"null\"}");
	else if (strcmp(shape, "page") == 0)
	{
		buf_add_text(out, "{\"type\":\"object\",\"properties\":{\"rows\":{\"type\":\"array\",\"items\":");
		add_row(out, columns, true);
		buf_add_text(out, "},\"has_more\":{\"type\":\"boolean\"}}}");
	}
	else if (strcmp(shape, "rows") == 0)
	{
		buf_add_text(out, "{\"type\":\"array\",\"items\":");
		add_row(out, columns, false);
		buf_add_char(out, '}');
	}
	else
		add_row(out, columns, false);
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
	add_result(out, member(method, "result"), json_object_get(method, "columns"));
	buf_add_char(out, '}');
}

/* FNV-1a: the same in every worker. */
static void
make_tag(void)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < document.length; i++)
		hash = (hash ^ (unsigned char) document.data[i]) * 1099511628211u;
	snprintf(document_tag, sizeof document_tag, "\"%016llx\"", (unsigned long long) hash);
}

static void
describe(struct catalog *catalog)
{
	size_t length;
	const char *text = catalog_text(catalog, &length);
	json_t *methods = json_loadb(text, length, 0, NULL);
	size_t at;
	json_t *method;

	buf_clear(&document);
	buf_add_text(&document, "{\"openrpc\":\"1.3.2\",\"info\":{\"title\":\"chat\",\"version\":\"" GW_VERSION
							"\"},\"servers\":[{\"name\":\"http\",\"url\":\"/rpc\"}],\"methods\":[");
	buf_add_text(&document, natives);
	json_array_foreach(methods, at, method)
	{
		add_method(&document, method);
	}
	buf_add_text(&document, "]}");
	json_decref(methods);
	make_tag();
}

const char *
openrpc_text(size_t *length, const char **tag)
{
	struct catalog *now = catalog_share();

	if (now != NULL && now != described)
		describe(now);
	catalog_release(described);
	described = now;
	*length = document.length;
	*tag = document_tag;
	return now ? document.data : NULL;
}

void
openrpc_close(void)
{
	catalog_release(described);
	described = NULL;
	buf_free(&document);
}

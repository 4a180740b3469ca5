/* SPDX-License-Identifier: PostgreSQL */
/*
 * query.c
 *	  What stands in the query of a request: the parameters that it takes, each once at most, and no others.
 *
 * What is not known is refused, as in a call: it may be the misspelt name of one that the client relies on. So is a text
 * that the database could not take.
 *
 * Called from: net/upload, net/download. Calls: net/http, net/transfer, codec/head, codec/json, chat/catalog, chat/fault.
 */
#include "net/query.h"

#include <stdio.h>

#include "base/mem.h"
#include "chat/catalog.h"
#include "chat/fault.h"
#include "codec/head.h"
#include "codec/json.h"
#include "net/transfer.h"

#define NAME_MOST 64 /* bytes of a name that are told when it is not known */

struct rpc_error
query_fault(const char *parameter, const char *hint)
{
	struct rpc_error error = fault_parameter(parameter, hint);

	error.code = 400;
	return error;
}

/* One that the request does not take. */
static void
refuse_stray(struct http *http, const struct slice *name)
{
	char text[NAME_MOST + 1];
	struct rpc_error error;

	snprintf(text, sizeof text, "%.*s", (int) name->length, name->text);
	error = catalog_fills(text) ? fault_reserved(text) : fault_parameter(text, "there is no such parameter");
	error.code = 400;
	http_error(http, &error);
}

/* The value of one that has not been there before. NULL: good, and in *out. Else a hint. */
static const char *
read_value(const struct slice *value, bool number, char **out)
{
	struct buf text = {0};
	const char *hint = NULL;

	if (!head_unescape(value, &text) || !json_is_utf8(buf_text(&text), text.length))
		hint = "percent-encoded UTF-8 without NUL";
	else if (number && !transfer_is_number(buf_text(&text)))
		hint = "a 64-bit integer, 0 or more";
	else
		*out = mem_copy(buf_text(&text));
	buf_free(&text);
	return hint;
}

static int
find(const struct query_parameter *parameters, int count, const struct slice *name)
{
	int at = 0;

	while (at < count && !head_is(name, parameters[at].name))
		at++;
	return at;
}

/* False: it was refused. */
static bool
take(struct http *http, const struct query_parameter *parameter, const struct slice *value, char **out)
{
	const char *hint = *out ? "once only" : read_value(value, parameter->number, out);
	struct rpc_error error = query_fault(parameter->name, hint);

	if (hint != NULL)
		http_error(http, &error);
	return hint == NULL;
}

bool
query_read(struct http *http, const struct query_parameter *parameters, int count, char **values)
{
	struct slice rest = http->head->query;
	struct slice name;
	struct slice value;

	for (int i = 0; i < count; i++)
		values[i] = NULL;
	while (head_next_parameter(&rest, &name, &value))
	{
		int at = find(parameters, count, &name);

		if (at == count)
			refuse_stray(http, &name);
		if (at == count || !take(http, &parameters[at], &value, &values[at]))
			return false;
	}
	return true;
}

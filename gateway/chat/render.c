/* SPDX-License-Identifier: PostgreSQL */
/*
 * render.c
 *	  Rows to JSON, by the shape and the columns that the catalog gives a method.
 *
 *	  void -> null; scalar -> value; row -> object, or null when every column is null (a function that returns no
 *	  composite at all looks like that); rows -> array; page -> {"rows":[…],"has_more":b}, where has_more is the last
 *	  column, the same in every row. A column named error of type jsonb is never shown.
 *
 * Called from: chat/call. Calls: codec/value, codec/json.
 */
#include "chat/render.h"

#include <string.h>

#include "codec/json.h"

static void
render_value(const struct column *column, const struct pg_result *result, int row, int at, struct buf *out)
{
	size_t length;
	const char *text = result_value(result, row, at, &length);

	if (text == NULL)
		buf_add_text(out, "null");
	else
		value_decode(column->type, text, length, out);
}

static bool
is_hidden(const struct method *method, int at)
{
	return at == method->error_column || (method->shape == RESULT_PAGE && at == method->column_count - 1);
}

static void
render_row(const struct method *method, const struct pg_result *result, int row, struct buf *out)
{
	bool first = true;

	if (method->column_count == 1 && method->columns[0].name == NULL)
	{
		render_value(&method->columns[0], result, row, 0, out);
		return;
	}
	buf_add_char(out, '{');
	for (int i = 0; i < method->column_count; i++)
	{
		const char *name = method->columns[i].name ? method->columns[i].name : "";

		if (is_hidden(method, i))
			continue;
		if (!first)
			buf_add_char(out, ',');
		first = false;
		json_write_string(out, name, strlen(name));
		buf_add_char(out, ':');
		render_value(&method->columns[i], result, row, i, out);
	}
	buf_add_char(out, '}');
}

static void
render_rows(const struct method *method, const struct pg_result *result, struct buf *out)
{
	buf_add_char(out, '[');
	for (int row = 0; row < result_rows(result); row++)
	{
		if (row > 0)
			buf_add_char(out, ',');
		render_row(method, result, row, out);
	}
	buf_add_char(out, ']');
}

static void
render_page(const struct method *method, const struct pg_result *result, struct buf *out)
{
	const char *more =
		result_rows(result) > 0 ? result_value(result, 0, method->column_count - 1, NULL) : NULL;

	buf_add_text(out, "{\"rows\":");
	render_rows(method, result, out);
	buf_format(out, ",\"has_more\":%s}", more != NULL && more[0] == 't' ? "true" : "false");
}

static bool
is_empty_row(const struct pg_result *result)
{
	if (result_rows(result) == 0)
		return true;
	for (int i = 0; i < result_columns(result); i++)
	{
		if (result_value(result, 0, i, NULL) != NULL)
			return false;
	}
	return true;
}

bool
render_result(const struct method *method, const struct pg_result *result, struct buf *out)
{
	if (method->shape == RESULT_VOID)
	{
		buf_add_text(out, "null");
		return true;
	}
	if (result_columns(result) != method->column_count || method->column_count == 0)
		return false;
	if (method->shape == RESULT_ROWS)
		render_rows(method, result, out);
	else if (method->shape == RESULT_PAGE)
		render_page(method, result, out);
	else if (is_empty_row(result))
		buf_add_text(out, "null");
	else
		render_row(method, result, 0, out);
	return true;
}

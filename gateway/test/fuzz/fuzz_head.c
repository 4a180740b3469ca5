/* SPDX-License-Identifier: PostgreSQL */
/*
 * Fuzzes the head of an HTTP request and the parameters of its query.
 *
 * Invariants: all slices lie in the text; no value holds a control character; a length is never less than -1; an
 * unescaped parameter is no longer than what it was escaped, and holds no NUL.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/head.h"

static void
check_slice(const struct slice *slice, const char *text, size_t size)
{
	if (slice->text < text || slice->text + slice->length > text + size)
		abort();
	for (size_t i = 0; i < slice->length; i++)
	{
		if ((unsigned char) slice->text[i] < ' ' && slice->text[i] != '\t')
			abort();
	}
}

static void
check_head(const struct head *head, const char *text, size_t size)
{
	struct buf out = {0};

	check_slice(&head->method, text, size);
	check_slice(&head->path, text, size);
	if (head->path.length == 0 || head->path.text[0] != '/')
		abort();
	for (int i = 0; i < head->field_count; i++)
	{
		check_slice(&head->fields[i].name, text, size);
		check_slice(&head->fields[i].value, text, size);
	}
	if (head_length(head) < -1)
		abort();
	head_join(head, "a", &out);
	head_has_token(head, "a", "b");
	buf_free(&out);
}

static void
check_query(const struct slice *query)
{
	struct buf out = {0};

	if (head_parameter(query, "a", &out) == 1 &&
		(out.length > query->length || (out.length > 0 && memchr(out.data, 0, out.length) != NULL)))
		abort();
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct head head;
	const char *text = (const char *) data;
	struct slice all = {text, size};
	size_t whole = head_size(text, size);

	if (whole > 0 && head_read(text, whole, &head))
	{
		check_head(&head, text, whole);
		if (head.query.text != NULL)
			check_query(&head.query);
	}
	check_query(&all);
	return 0;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * Fuzzes what a page of a replay meets: json_element over its array, notification_event on each element.
 *
 * Invariants: elements lie in the text, one behind the other, and are well-formed values; a text that was walked to its
 * end is one that jansson reads as an array with as many elements. Text from PostgreSQL has no NUL; jansson overlooks one behind a number.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/notification.h"

static size_t
walk(const char *text, size_t length, size_t *at)
{
	struct slice element;
	struct event_key key;
	const char *behind = text;
	size_t count = 0;

	while (json_element(text, length, at, &element))
	{
		if (element.text <= behind || element.length == 0 || element.text + element.length > text + length)
			abort();
		behind = element.text + element.length;
		notification_event(&element, &key);
		if (key.chat_id < 0 || key.id < 0)
			abort();
		count++;
	}
	if (*at > length + 1)
		abort();
	return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1); /* a copy, so that the sanitizer sees its end */
	size_t at = 0;
	size_t count;
	const char *why;
	json_t *array;

	memcpy(text, data, size);
	count = walk(text, size, &at);
	array = memchr(text, '\0', size) == NULL ? json_read(text, size, &why) : NULL;
	if (array != NULL && json_is_array(array) && (at != size + 1 || count != json_array_size(array)))
		abort();
	if (array != NULL && !json_is_array(array) && count > 0)
		abort();
	json_decref(array);
	free(text);
	return 0;
}

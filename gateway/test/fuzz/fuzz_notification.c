/* SPDX-License-Identifier: PostgreSQL */
/*
 * Fuzzes what a NOTIFY meets: notification_read and its receivers.
 *
 * Invariants: slices lie in the payload; an event that is relayed is one whole object; ids are short and decimal; the
 * receivers come to an end.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/notification.h"

static void
check(const char *payload, size_t length, const struct notification *notification)
{
	const struct slice *event = &notification->event;
	size_t at = 0;
	char id[24];

	if (event->text < payload || event->text + event->length > payload + length || event->text[0] != '{' ||
		event->text[event->length - 1] != '}')
		abort();
	while (notification_receiver(notification, &at, id, sizeof id))
	{
		if (strlen(id) != strspn(id, "0123456789") || id[0] == '\0' || at > notification->to.length)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *payload = malloc(size ? size : 1); /* a copy, so that the sanitizer sees its end */
	struct notification notification;

	memcpy(payload, data, size);
	if (notification_read(payload, size, &notification))
		check(payload, size, &notification);
	free(payload);
	return 0;
}

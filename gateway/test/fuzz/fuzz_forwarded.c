/* SPDX-License-Identifier: PostgreSQL */
/*
 * Fuzzes what a proxy says in X-Forwarded-For.
 *
 * Invariants: the client's address is one, without port and zone; it is the proxy's own when something could not be
 * read; what is told of that is printable ASCII; what an address counts as is no user.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/network.h"

static void
check(const char *trusted, const char *forwarded)
{
	struct network_client client;
	unsigned char address[16];

	network_client(trusted, "127.0.0.1", forwarded, &client);
	if (inet_pton(AF_INET, client.address, address) != 1 && inet_pton(AF_INET6, client.address, address) != 1)
		abort();
	if (network_key(client.address) >= 0)
		abort();
	if (client.fault == FORWARDED_READ)
		return;
	if (!network_list_has(trusted, client.address) || strlen(client.unread) >= sizeof client.unread)
		abort();
	for (const char *at = client.unread; *at != '\0'; at++)
	{
		if (*at <= ' ' || *at >= 0x7f)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_alloc(size + 1);

	memcpy(text, data, size);
	check("127.0.0.1", text);
	check("0.0.0.0/0, ::/0", text);
	mem_free(text);
	return 0;
}

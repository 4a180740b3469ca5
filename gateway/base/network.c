/* SPDX-License-Identifier: PostgreSQL */
/*
 * network.c
 *	  Lists of networks as text, and which client a proxy speaks for.
 *
 * X-Forwarded-For grows to the right: each proxy adds whom it heard. So what stands left of an address that is not
 * trusted may be anybody's invention, and the walk from the right ends there; it also ends before what is no address.
 *
 * Called from: base/config, chat/session, net/. Calls: base/hash, libc.
 */
#include "base/network.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* An IPv4 address lies in its IPv6 form, ::ffff:a.b.c.d, so that one comparison serves both. */
struct network
{
	unsigned char address[16];
	int bits; /* of the prefix, of 128 */
};

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool
read_bits(const char *text, int most, int *bits)
{
	size_t digits = strspn(text, "0123456789");

	*bits = atoi(text);
	return digits >= 1 && digits <= 3 && text[digits] == '\0' && *bits <= most;
}

/* address or address/bits, blanks around. */
static bool
read_network(const char *text, size_t length, struct network *network)
{
	char copy[64];
	char *slash;
	int own;

	while (length > 0 && (*text == ' ' || *text == '\t'))
		text++, length--;
	while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
		length--;
	if (length == 0 || length >= sizeof copy)
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	slash = strchr(copy, '/');
	if (slash != NULL)
		*slash = '\0';
	memcpy(network->address, mapped, sizeof mapped);
	own = inet_pton(AF_INET, copy, network->address + sizeof mapped) == 1 ? 32 : 128;
	if (own == 128 && inet_pton(AF_INET6, copy, network->address) != 1)
		return false;
	network->bits = own;
	if (slash != NULL && !read_bits(slash + 1, own, &network->bits))
		return false;
	network->bits += 128 - own;
	return true;
}

static bool
covers(const struct network *network, const unsigned char *address)
{
	int bytes = network->bits / 8;
	int mask = 0xff00 >> network->bits % 8 & 0xff;

	return memcmp(network->address, address, (size_t) bytes) == 0 &&
		   (mask == 0 || ((network->address[bytes] ^ address[bytes]) & mask) == 0);
}

/* Whether all entries are networks; if `address` is not NULL: whether one of them covers it. */
static bool
walk(const char *list, const unsigned char *address)
{
	struct network network;

	if (list[strspn(list, " ")] == '\0')
		return address == NULL;
	for (;;)
	{
		size_t length = strcspn(list, ",");
		bool good = read_network(list, length, &network);

		if (address == NULL && !good)
			return false;
		if (address != NULL && good && covers(&network, address))
			return true;
		if (list[length] == '\0')
			return address == NULL;
		list += length + 1;
	}
}

bool
network_list_is_valid(const char *list)
{
	return walk(list, NULL);
}

bool
network_list_has(const char *list, const char *address)
{
	struct network network;

	return read_network(address, strlen(address), &network) && network.bits == 128 &&
		   walk(list, network.address);
}

int64_t
network_key(const char *address)
{
	struct network network;
	bool known = read_network(address, strlen(address), &network);
	bool four = known && memcmp(network.address, mapped, sizeof mapped) == 0;
	uint64_t hash = known ? hash_bytes(network.address, four ? sizeof network.address : 8)
						  : hash_bytes(address, strlen(address));

	return (int64_t) (hash | UINT64_C(1) << 63);
}

static void
write_address(const struct network *network, char *out, size_t size)
{
	bool four = memcmp(network->address, mapped, sizeof mapped) == 0;

	inet_ntop(four ? AF_INET : AF_INET6, network->address + (four ? sizeof mapped : 0), out,
			  (socklen_t) size);
}

void
network_client(const char *trusted, const char *peer, const char *forwarded, char *out, size_t size)
{
	size_t end = strlen(forwarded);
	struct network network;

	snprintf(out, size, "%s", peer);
	while (end > 0 && network_list_has(trusted, out))
	{
		size_t start = end;

		while (start > 0 && forwarded[start - 1] != ',')
			start--;
		if (!read_network(forwarded + start, end - start, &network) || network.bits != 128)
			return;
		write_address(&network, out, size);
		end = start > 0 ? start - 1 : 0;
	}
}

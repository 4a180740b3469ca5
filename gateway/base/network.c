/* SPDX-License-Identifier: PostgreSQL */
/*
 * network.c
 *	  Lists of networks as text, which client a proxy speaks for, and which addresses count as one.
 *
 * X-Forwarded-For grows to the right: each proxy adds whom it heard. So what stands left of an address that is not
 * trusted may be anybody's invention, and the walk from the right ends there; it also ends before what is no address,
 * and the client is then the proxy that wrote it: whoever asks is told what could not be read.
 *
 * Proxies write 192.0.2.1 and 2001:db8::1; some add the client's port (192.0.2.1:443, [2001:db8::1]:443), brackets
 * alone, quotes around it all, or the zone of a link-local address. Ports and zones are dropped: they are not who it
 * is. An IPv6 address with a port but no brackets reads as another address or as none: nobody can tell.
 *
 * Called from: base/config, chat/session, net/. Calls: base/hash, libc.
 */
#include "base/network.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

static void
trim(const char **text, size_t *length)
{
	while (*length > 0 && (**text == ' ' || **text == '\t'))
		++*text, --*length;
	while (*length > 0 && ((*text)[*length - 1] == ' ' || (*text)[*length - 1] == '\t'))
		--*length;
}

/* address or address/bits, blanks around. */
static bool
read_network(const char *text, size_t length, struct network *network)
{
	char copy[64];
	char *slash;
	int own;

	trim(&text, &length);
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

static bool
is_four(const struct network *network)
{
	return memcmp(network->address, mapped, sizeof mapped) == 0;
}

int64_t
network_key(const char *address)
{
	struct network network;
	bool known = read_network(address, strlen(address), &network);
	bool four = known && is_four(&network);
	uint64_t hash = known ? hash_bytes(network.address, four ? sizeof network.address : 8)
						  : hash_bytes(address, strlen(address));

	return (int64_t) (hash | UINT64_C(1) << 63);
}

static bool
is_port(const char *text, size_t length)
{
	size_t digits = 0;

	while (digits < length && text[digits] >= '0' && text[digits] <= '9')
		digits++;
	return digits >= 1 && digits <= 5 && digits == length;
}

/* Leave the address of "[address]" or "[address]:port". */
static bool
open_brackets(const char **text, size_t *length)
{
	const char *end = memchr(*text, ']', *length);
	size_t inside = end ? (size_t) (end - *text) - 1 : 0;
	size_t behind = *length - inside;

	if (end == NULL || memchr(*text, ':', inside) == NULL ||
		(behind > 2 && (end[1] != ':' || !is_port(end + 2, behind - 3))))
		return false;
	++*text;
	*length = inside;
	return true;
}

/* Leave the address of "a.b.c.d:port"; what has more colons is IPv6, what has none has no port. */
static bool
drop_port(const char *text, size_t *length)
{
	const char *colon = memchr(text, ':', *length);
	size_t before = colon ? (size_t) (colon - text) : 0;

	if (colon == NULL || memchr(colon + 1, ':', *length - before - 1) != NULL)
		return true;
	if (!is_port(colon + 1, *length - before - 1))
		return false;
	*length = before;
	return true;
}

/* One element of X-Forwarded-For, without blanks around it. */
static bool
read_element(const char *text, size_t length, struct network *network)
{
	const char *zone;

	if (length >= 2 && text[0] == '"' && text[length - 1] == '"')
		text++, length -= 2;
	if (length == 0 || memchr(text, '/', length) != NULL)
		return false;
	if (text[0] == '[' ? !open_brackets(&text, &length) : !drop_port(text, &length))
		return false;
	zone = memchr(text, '%', length);
	if (zone != NULL && memchr(text, ':', length) != NULL && zone + 1 < text + length)
		length = (size_t) (zone - text);
	return read_network(text, length, network);
}
static void
write_address(const struct network *network, char *out, size_t size)
{
	bool four = is_four(network);

	inet_ntop(four ? AF_INET : AF_INET6, network->address + (four ? sizeof mapped : 0), out,
			  (socklen_t) size);
}

/* What could not be read, for the log: it may be anything. */
static void
tell_unread(struct network_client *client, const char *text, size_t length)
{
	bool hides = (length == 7 && strncasecmp(text, "unknown", 7) == 0) || (length > 0 && text[0] == '_');
	size_t most = sizeof client->unread - 1;

	client->fault = hides ? FORWARDED_HIDDEN : FORWARDED_UNREADABLE;
	for (size_t i = 0; i < length && i < most; i++)
		client->unread[i] = (char) (text[i] > ' ' && text[i] < 0x7f ? text[i] : '?');
	client->unread[length < most ? length : most] = '\0';
}

void
network_client(const char *trusted, const char *peer, const char *forwarded, struct network_client *client)
{
	size_t end = strlen(forwarded);
	struct network network;

	client->fault = FORWARDED_READ;
	snprintf(client->address, sizeof client->address, "%s", peer);
	while (end > 0 && network_list_has(trusted, client->address))
	{
		const char *text = forwarded + end;
		size_t length;

		while (text > forwarded && text[-1] != ',')
			text--;
		length = (size_t) (forwarded + end - text);
		end = text > forwarded ? (size_t) (text - forwarded) - 1 : 0;
		trim(&text, &length);
		if (!read_element(text, length, &network))
		{
			tell_unread(client, text, length);
			return;
		}
		write_address(&network, client->address, sizeof client->address);
	}
}

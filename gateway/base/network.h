/* SPDX-License-Identifier: PostgreSQL */
/* Lists of networks, and who a request came from. See network.c. */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern bool
network_list_is_valid(const char *list); /* addresses and address/bits, commas between; may be empty */
extern bool network_list_has(const char *list, const char *address);

/* Below 0, the same for addresses that one client can have at will: one of IPv4, or the /64 of one of IPv6. */
extern int64_t network_key(const char *address);

/* What an element of X-Forwarded-For was that is no address. */
enum forwarded_fault
{
	FORWARDED_READ,      /* all was read that had to be */
	FORWARDED_HIDDEN,    /* unknown, or a name that the proxy has made up: it will not say */
	FORWARDED_UNREADABLE /* anything else */
};

/* Who a request came from. */
struct network_client
{
	char address[64];           /* as text, without port and zone */
	enum forwarded_fault fault; /* why it is a proxy's */
	char unread[64];            /* what that was, in printable ASCII, perhaps cut; with a fault only */
};

/* The client behind trusted proxies: the peer, or the last one in `forwarded` that is not itself trusted. */
extern void network_client(const char *trusted, const char *peer, const char *forwarded,
						   struct network_client *client);


#endif

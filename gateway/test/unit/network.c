/* SPDX-License-Identifier: PostgreSQL */
/* Lists of networks, and the client behind proxies. */
#include "base/network.h"

#include "tap.h"

static void
client(const char *trusted, const char *peer, const char *forwarded, const char *expected)
{
	struct network_client found;

	network_client(trusted, peer, forwarded, &found);
	is(found.address, strlen(found.address), expected, forwarded);
}

/* By a proxy at 127.0.0.1, who could not be understood. */
static void
unread(const char *forwarded, enum forwarded_fault fault, const char *expected)
{
	struct network_client found;

	network_client("127.0.0.1", "127.0.0.1", forwarded, &found);
	is(found.address, strlen(found.address), "127.0.0.1", forwarded);
	ok(found.fault == fault, "the kind of it");
	is(found.unread, strlen(found.unread), expected, "what is told of it");
}

/* What proxies write, as their documents have it. */
static void
test_samples(void)
{
	static const char *const proxy = "10.0.0.0/8";

	client(proxy, "10.0.0.1", "203.0.113.195", "203.0.113.195");           /* HAProxy, Traefik, Caddy */
	client(proxy, "10.0.0.1", "203.0.113.195, 10.0.0.7", "203.0.113.195"); /* nginx behind another */
	client(proxy, "10.0.0.1", "203.0.113.195,10.0.0.7", "203.0.113.195");  /* Envoy: no blank */
	client(proxy, "10.0.0.1", "2001:db8:85a3:8d3:1319:8a2e:370:7348", "2001:db8:85a3:8d3:1319:8a2e:370:7348");
	client(proxy, "10.0.0.1", "203.0.113.7:8080", "203.0.113.7"); /* AWS ALB with the client's port */
	client(proxy, "10.0.0.1", "[2001:db8:85a3::7348]:8080", "2001:db8:85a3::7348"); /* the same, IPv6 */
	client(proxy, "10.0.0.1", "203.0.113.7:51411, 10.0.0.9:443",
		   "203.0.113.7");                                               /* Azure Application Gateway */
	client(proxy, "10.0.0.1", "[2603:1030::5]:51411", "2603:1030::5");   /* the same */
	client(proxy, "10.0.0.1", "[2001:db8::1]", "2001:db8::1");           /* IIS */
	client(proxy, "10.0.0.1", "\"[2001:db8::1]:4711\"", "2001:db8::1");  /* as in RFC 7239 */
	client(proxy, "10.0.0.1", "\"192.0.2.43\"", "192.0.2.43");           /* the same */
	client(proxy, "10.0.0.1", "fe80::1%eth0", "fe80::1");                /* with a zone */
	client(proxy, "10.0.0.1", "[fe80::1%25eth0]:99", "fe80::1");         /* as a URL has it */
	client(proxy, "10.0.0.1", "[::ffff:203.0.113.7]:99", "203.0.113.7"); /* from a socket of both families */
	client(proxy, "10.0.0.1", "  203.0.113.7\t,\t 10.1.1.1:1 ", "203.0.113.7"); /* blanks */
	client(proxy, "10.0.0.1", "6.6.6.6, 203.0.113.7:1",
		   "203.0.113.7"); /* the client's own invention left of it */
	client(proxy, "10.0.0.1", "[6.6.6.6, 203.0.113.7:1", "203.0.113.7"); /* the same, broken */
	client(proxy, "10.0.0.1", "6.6.6.6, unknown, 10.0.0.7", "10.0.0.7"); /* Squid: its proxy counts */
}

static void
test_unread(void)
{
	unread("unknown", FORWARDED_HIDDEN, "unknown");
	unread("Unknown", FORWARDED_HIDDEN, "Unknown");
	unread("_hidden", FORWARDED_HIDDEN, "_hidden");
	unread("_SEVKISEK", FORWARDED_HIDDEN, "_SEVKISEK");
	unread("1.2.3.4, unknown", FORWARDED_HIDDEN, "unknown");
	unread("unix:", FORWARDED_UNREADABLE, "unix:"); /* nginx on a Unix socket */
	unread("for=192.0.2.43", FORWARDED_UNREADABLE, "for=192.0.2.43");
	unread(",,", FORWARDED_UNREADABLE, "");
	unread("client.example.org", FORWARDED_UNREADABLE, "client.example.org");
	unread("1.2.3.0/24", FORWARDED_UNREADABLE, "1.2.3.0/24");
	unread("1.2.3.4/32", FORWARDED_UNREADABLE, "1.2.3.4/32");
	unread("1.2.3.4:", FORWARDED_UNREADABLE, "1.2.3.4:");
	unread("1.2.3.4:x", FORWARDED_UNREADABLE, "1.2.3.4:x");
	unread("1.2.3.4:123456", FORWARDED_UNREADABLE, "1.2.3.4:123456");
	unread("[1.2.3.4]", FORWARDED_UNREADABLE, "[1.2.3.4]");
	unread("[2001:db8::1", FORWARDED_UNREADABLE, "[2001:db8::1");
	unread("[2001:db8::1]x", FORWARDED_UNREADABLE, "[2001:db8::1]x");
	unread("[2001:db8::1]:", FORWARDED_UNREADABLE, "[2001:db8::1]:");
	unread("[]", FORWARDED_UNREADABLE, "[]");
	unread("[", FORWARDED_UNREADABLE, "[");
	unread("\"", FORWARDED_UNREADABLE, "\"");
	unread("\"\"", FORWARDED_UNREADABLE, "\"\"");
	unread("2001:db8:1:2:3:4:5:6:443", FORWARDED_UNREADABLE, "2001:db8:1:2:3:4:5:6:443");
	unread("1.2.3.4%eth0", FORWARDED_UNREADABLE, "1.2.3.4%eth0");
	unread("a\tb\x1b[1m\xff event=x", FORWARDED_UNREADABLE,
		   "a?b?[1m??event=x"); /* nothing for a terminal, or a second field */
	unread("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", FORWARDED_UNREADABLE,
		   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
}

int
main(void)
{
	ok(network_list_is_valid(""), "no networks");
	ok(network_list_is_valid("127.0.0.1, 10.0.0.0/8,fd00::/7 , ::1"), "some networks");
	ok(!network_list_is_valid("10.0.0.0/33"), "too many bits");
	ok(!network_list_is_valid("10.0.0.1,"), "an empty one");
	ok(!network_list_is_valid("localhost"), "a name");
	ok(!network_list_is_valid("10.0.0.0/"), "no bits");
	ok(network_list_has("10.0.0.0/8", "10.255.0.1"), "inside");
	ok(!network_list_has("10.0.0.0/9", "10.255.0.1"), "outside");
	ok(network_list_has("0.0.0.0/0", "1.2.3.4"), "all of IPv4");
	ok(!network_list_has("0.0.0.0/0", "::1"), "is not IPv6");
	ok(network_list_has("::/0", "1.2.3.4"), "all there is");
	ok(network_list_has("127.0.0.1", "::ffff:127.0.0.1"), "mapped");
	ok(!network_list_has("", "127.0.0.1"), "nobody");
	client("127.0.0.1", "127.0.0.1", "1.2.3.4", "1.2.3.4");
	client("127.0.0.1", "9.9.9.9", "1.2.3.4", "9.9.9.9");
	client("127.0.0.1", "127.0.0.1", "", "127.0.0.1");
	client("127.0.0.1", "127.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4");
	client("127.0.0.1,10.0.0.0/8", "127.0.0.1", "6.6.6.6,1.2.3.4, 10.1.1.1", "1.2.3.4");
	client("127.0.0.1,10.0.0.0/8", "127.0.0.1", "10.2.2.2, 10.1.1.1", "10.2.2.2");
	client("127.0.0.1", "127.0.0.1", "::ffff:1.2.3.4", "1.2.3.4");
	client("127.0.0.1", "127.0.0.1", "2001:db8::1", "2001:db8::1");
	test_samples();
	test_unread();
	ok(network_key("10.0.0.1") < 0 && network_key("10.0.0.1") == network_key("::ffff:10.0.0.1"), "one key");
	ok(network_key("10.0.0.1") != network_key("10.0.0.2"), "each address of IPv4");
	ok(network_key("2001:db8:0:1::1") == network_key("2001:db8:0:1:ffff::2"), "a /64 of IPv6");
	ok(network_key("2001:db8:0:1::1") != network_key("2001:db8:0:2::1"), "another one");
	ok(network_key("") < 0, "no address");
	return done();
}

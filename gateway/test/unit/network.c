/* SPDX-License-Identifier: PostgreSQL */
/* Lists of networks, and the client behind proxies. */
#include "base/network.h"

#include "tap.h"

static void
client(const char *trusted, const char *peer, const char *forwarded, const char *expected)
{
	char out[64];

	network_client(trusted, peer, forwarded, out, sizeof out);
	is(out, strlen(out), expected, forwarded);
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
	client("127.0.0.1", "127.0.0.1", "1.2.3.4, unknown", "127.0.0.1");
	client("127.0.0.1", "127.0.0.1", "1.2.3.0/24", "127.0.0.1");
	client("127.0.0.1", "127.0.0.1", "::ffff:1.2.3.4", "1.2.3.4");
	client("127.0.0.1", "127.0.0.1", "2001:db8::1", "2001:db8::1");
	client("127.0.0.1", "127.0.0.1", ",,", "127.0.0.1");
	ok(network_key("10.0.0.1") < 0 && network_key("10.0.0.1") == network_key("::ffff:10.0.0.1"), "one key");
	ok(network_key("10.0.0.1") != network_key("10.0.0.2"), "each address of IPv4");
	ok(network_key("2001:db8:0:1::1") == network_key("2001:db8:0:1:ffff::2"), "a /64 of IPv6");
	ok(network_key("2001:db8:0:1::1") != network_key("2001:db8:0:2::1"), "another one");
	ok(network_key("") < 0, "no address");
	return done();
}

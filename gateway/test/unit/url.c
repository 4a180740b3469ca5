/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of base/url. */
#include "base/url.h"

#include "test/unit/tap.h"

int
main(void)
{
	ok(url_is_secure("https://id.example", false), "https");
	ok(url_is_secure("HTTPS://id.example:8443/realms/x?y", false), "port, path, query, capitals");
	ok(!url_is_secure("", true), "nothing");
	ok(!url_is_secure("https://", true), "no host");
	ok(!url_is_secure("https:///path", true), "no host, a path");
	ok(!url_is_secure("https://:443/", true), "no host, a port");
	ok(!url_is_secure("id.example", true), "no scheme");
	ok(!url_is_secure("file:///etc/passwd", true), "another scheme");
	ok(!url_is_secure("https://me@id.example", true), "a user");
	ok(!url_is_secure("https://id.example\\@other", true), "a backslash");
	ok(!url_is_secure("https://id.example/ x", true), "a blank");
	ok(!url_is_secure("https://id.example/\n", true), "a line's end");
	ok(!url_is_secure("http://127.0.0.1", false), "plain to this machine, when it is not allowed");
	ok(url_is_secure("http://127.0.0.1", true), "the same, when it is");
	ok(url_is_secure("http://127.0.0.1:8080/x", true), "with a port");
	ok(url_is_secure("http://localhost/x", true), "by name");
	ok(url_is_secure("http://[::1]:80", true), "IPv6");
	ok(!url_is_secure("http://id.example", true), "plain to another machine");
	ok(!url_is_secure("http://127.0.0.1.example", true), "a name that begins like this machine's");
	ok(!url_is_secure("http://localhost.example/", true), "the same");
	ok(!url_is_secure("http://127.0.0.1:80@id.example/", true), "this machine as user of another");
	ok(url_is_http("http://id.example:4318") && url_is_http("https://id.example"),
	   "plain, where that may be");
	ok(!url_is_http("ftp://id.example") && !url_is_http("http://a@id.example") && !url_is_http("http://"),
	   "not anything");
	return done();
}

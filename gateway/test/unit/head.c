/* SPDX-License-Identifier: PostgreSQL */
/* Request heads, and parameters in queries. */
#include "codec/head.h"

#include "tap.h"

static struct head head;

static bool
reads(const char *text)
{
	return head_size(text, strlen(text)) == strlen(text) && head_read(text, strlen(text), &head);
}

static void
path_is(const char *target, const char *path, const char *query)
{
	char text[200];

	snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
	ok(reads(text), target);
	is(head.path.text, head.path.length, path, "its path");
	is(head.query.text ? head.query.text : "", head.query.length, query, "its query");
}

static void
parameter(const char *query, const char *name, int count, const char *value)
{
	struct slice slice = {query, strlen(query)};
	struct buf out = {0};

	ok(head_parameter(&slice, name, &out) == count, query);
	if (count == 1)
		is(out.data ? out.data : "", out.length, value, "its value");
	buf_free(&out);
}

/* The first one's name and value as they came; no name: there is none. */
static void
next_is(const char *query, const char *name, const char *value)
{
	struct slice rest = {query, strlen(query)};
	struct slice found = {"", 0};
	struct slice its = {NULL, 0};

	ok(head_next_parameter(&rest, &found, &its) == (name != NULL), query);
	is(found.text, found.length, name ? name : "", "its name");
	ok((its.text != NULL) == (value != NULL) && its.length == (value ? strlen(value) : 0), "its value");
	ok(rest.length < strlen(query) || query[0] == '\0', "it was taken off");
}

static void
length_is(const char *fields, long expected)
{
	char text[200];

	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%s\r\n", fields);
	ok(reads(text) && head_length(&head) == expected, fields);
}

int
main(void)
{
	struct slice value;
	struct buf joined = {0};

	ok(head_size("GET / HTTP/1.1\r\nA: b\r\n", 22) == 0, "not whole yet");
	ok(head_size("GET / HTTP/1.1\r\n\r\nmore", 22) == 18, "whole, with more behind it");
	ok(reads("GET / HTTP/1.0\r\n\r\n") && head.minor == 0 && head.field_count == 0, "no header lines");
	ok(reads("GET / HTTP/1.1\r\nA:b\r\na: \t c d \t\r\nB:\r\n\r\n") && head.field_count == 3, "some");
	ok(head_field(&head, "A", &value) == 2, "two of a name");
	is(value.text, value.length, "b", "the first");
	head_join(&head, "a", &joined);
	is(joined.data, joined.length, "b, c d", "both");
	ok(head_field(&head, "c", &value) == 0, "none of that name");
	path_is("/a/b?c=d", "/a/b", "c=d");
	path_is("http://host:1/a?b", "/a", "b");
	path_is("/?", "/", "");
	ok(!reads("GET / HTTP/1.2\r\n\r\n"), "another version");
	ok(!reads("GET  / HTTP/1.1\r\n\r\n"), "two blanks");
	ok(!reads("GET a HTTP/1.1\r\n\r\n"), "no path");
	ok(!reads("GET /\x80 HTTP/1.1\r\n\r\n"), "not ASCII");
	ok(!reads("GET / HTTP/1.1\r\nA : b\r\n\r\n"), "a blank before the colon");
	ok(!reads("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"), "a folded line");
	ok(!reads("GET / HTTP/1.1\r\nA: b\x01\r\n\r\n"), "a control character");
	ok(!reads("GET / HTTP/1.1\r\nA\r\n\r\n"), "no colon");
	ok(!reads("\r\nGET / HTTP/1.1\r\n\r\n"), "an empty line first");
	ok(reads("GET / HTTP/1.1\r\nConnection: Keep-Alive, Upgrade\r\n\r\n") &&
		   head_has_token(&head, "connection", "upgrade") && !head_has_token(&head, "connection", "grade"),
	   "tokens");
	length_is("", 0);
	length_is("Content-Length: 12\r\n", 12);
	length_is("Content-Length: 0\r\n", 0);
	length_is("Content-Length: -1\r\n", -1);
	length_is("Content-Length: +1\r\n", -1);
	length_is("Content-Length: 1, 1\r\n", -1);
	length_is("Content-Length: 1\r\nContent-Length: 1\r\n", -1);
	length_is("Content-Length:\r\n", -1);
	length_is("Content-Length: 1234567890123456789\r\n", -1);
	parameter("a=1&b=2", "b", 1, "2");
	parameter("a=1&b=2", "c", 0, "");
	parameter("ab=1", "a", 0, "");
	parameter("a=", "a", 1, "");
	parameter("a", "a", 0, "");
	parameter("a=b+c%20%C3%A4%3d&", "a", 1, "b c \xc3\xa4=");
	parameter("a=1&a=2", "a", -1, "");
	parameter("a=%", "a", -1, "");
	parameter("a=%0", "a", -1, "");
	parameter("a=%zz", "a", -1, "");
	parameter("a=%00", "a", -1, "");
	parameter("b&a=1", "a", 1, "1");
	next_is("&&a=1=2&b&=&", "a", "1=2");
	next_is("b&a", "b", NULL);
	next_is("=1", "", "1");
	next_is("a=", "a", "");
	next_is("&", NULL, NULL);
	next_is("", NULL, NULL);
	buf_free(&joined);
	return done();
}

/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/trace. */
#include "codec/trace.h"

#include "test/unit/tap.h"

#define ID     "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static bool
reads(const char *text, struct trace *trace)
{
	memset(trace, 'x', sizeof *trace);
	return trace_read(text, strlen(text), trace);
}

static void
refuses(const char *text, const char *name)
{
	struct trace trace;

	ok(!reads(text, &trace) && trace.id[0] == '\0' && trace.parent[0] == '\0' && !trace.sampled, name);
}

int
main(void)
{
	struct trace trace;
	char id[SPAN_ID];

	ok(reads("00-" ID "-" PARENT "-01", &trace), "one of version 00");
	is(trace.id, strlen(trace.id), ID, "the trace");
	is(trace.parent, strlen(trace.parent), PARENT, "the parent");
	ok(trace.sampled, "sampled");
	ok(reads("00-" ID "-" PARENT "-00", &trace) && !trace.sampled, "not sampled");
	ok(reads("00-" ID "-" PARENT "-02", &trace) && !trace.sampled, "another flag");
	ok(reads("00-" ID "-" PARENT "-03", &trace) && trace.sampled, "both");
	ok(reads("00-" ID "-" PARENT "-ff", &trace) && trace.sampled, "all");
	ok(reads("cc-" ID "-" PARENT "-01", &trace), "a later version");
	ok(reads("cc-" ID "-" PARENT "-01-what follows", &trace), "that says more");
	refuses("cc-" ID "-" PARENT "-01.what follows", "that says it wrongly");
	refuses("00-" ID "-" PARENT "-01-what follows", "version 00 that says more");
	refuses("00-" ID "-" PARENT "-01 ", "a blank behind");
	refuses("ff-" ID "-" PARENT "-01", "no version");
	refuses("00-00000000000000000000000000000000-" PARENT "-01", "no trace");
	refuses("00-" ID "-0000000000000000-01", "no parent");
	refuses("00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", "capitals");
	refuses("00-4bf92f3577b34da6a3ce929d0e0e473g-" PARENT "-01", "no hex digit");
	refuses("00_" ID "-" PARENT "-01", "other dashes");
	refuses("00-" ID "-" PARENT "-0", "too short");
	refuses("", "nothing");
	trace_span_id(0xabc, id);
	is(id, strlen(id), "0000000000000abc", "a span's id");
	trace_span_id(0, id);
	is(id, strlen(id), "0000000000000001", "is never none");
	return done();
}

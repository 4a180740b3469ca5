/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/prometheus. */
#include "codec/prometheus.h"

#include "test/unit/tap.h"

static struct buf out; /* what was written */

static void
wrote(const char *wanted, const char *name)
{
	is(out.data, out.length, wanted, name);
	buf_clear(&out);
}

int
main(void)
{
	static const uint64_t bounds[] = {500, 1000, 2500};
	static const uint64_t buckets[] = {1, 0, 2, 4};
	struct prometheus_histogram histogram = {bounds, 3, buckets, 10500, 1000};
	struct prometheus_labels none = {{NULL}, {NULL}};
	struct prometheus_labels one = {{"a"}, {"x"}};
	struct prometheus_labels two = {{"a", "b"}, {"x", "y"}};
	struct prometheus_labels hostile = {{"a"}, {"\"} 1\nevil{b=\"\\"}};

	prometheus_family(&out, "n_total", "counter", "A \"help\" \\ of\ntwo lines.");
	wrote("# HELP n_total A \"help\" \\\\ of\\ntwo lines.\n# TYPE n_total counter\n", "a family");
	prometheus_sample(&out, "n", NULL, 1);
	prometheus_sample(&out, "n", &none, 0);
	wrote("n 1\nn 0\n", "no labels");
	prometheus_sample(&out, "n", &one, -3);
	prometheus_sample(&out, "n", &two, 0.25);
	wrote("n{a=\"x\"} -3\nn{a=\"x\",b=\"y\"} 0.25\n", "labels");
	prometheus_sample(&out, "n", &hostile, 1);
	wrote("n{a=\"\\\"} 1\\nevil{b=\\\"\\\\\"} 1\n", "a label's value ends where it should");
	prometheus_sample(&out, "n", NULL, 9007199254740992.0);
	wrote("n 9007199254740992\n", "a large number in full");
	prometheus_histogram(&out, "h", NULL, &histogram);
	wrote("h_bucket{le=\"0.5\"} 1\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2.5\"} 3\nh_bucket{le=\"+Inf\"} 7\n"
		  "h_sum 10.5\nh_count 7\n",
		  "a histogram adds up");
	prometheus_histogram(&out, "h", &one, &histogram);
	ok(strstr(buf_text(&out), "h_bucket{a=\"x\",le=\"+Inf\"} 7\nh_sum{a=\"x\"} 10.5\nh_count{a=\"x\"} 7\n") !=
		   NULL,
	   "with a label");
	buf_free(&out);
	return done();
}

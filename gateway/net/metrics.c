/* SPDX-License-Identifier: PostgreSQL */
/*
 * metrics.c
 *	  GET /metrics: the statistics of all workers, added up, as Prometheus reads them.
 *
 * Who reads them comes in by metrics_listen, a listener of their own. Without one they stand on the clients' port, for
 * who comes straight from this machine: from a loopback address, asking for a name of it, with no line that a proxy
 * adds. A proxy on this machine that hides all of that cannot be told from somebody at its keyboard: metrics_listen is
 * for such.
 *
 * A series without a single count is left out: there are many methods, and most are hardly ever called.
 *
 * Called from: net/route. Calls: base/stats, codec/prometheus.
 */
#include "net/metrics.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/config.h"
#include "base/mem.h"
#include "base/network.h"
#include "base/stats.h"
#include "codec/prometheus.h"

#define PREFIX   "chat_gateway_"
#define SECOND   1e9 /* nanoseconds */
#define LOOPBACK "127.0.0.0/8, ::1"

/* What proxies add; those that begin with X-Forwarded besides. */
static const char *const proxy_fields[] = {
	"forwarded",
	"via",
	"x-real-ip",
	"x-client-ip",
	"x-cluster-client-ip",
	"x-original-forwarded-for",
	"x-originating-ip",
	"x-remote-ip",
	"x-remote-addr",
	"x-proxyuser-ip",
	"x-envoy-external-address",
	"x-azure-clientip",
	"x-appengine-user-ip",
	"x-amzn-trace-id",
	"x-request-start",
	"cf-connecting-ip",
	"cf-connecting-ipv6",
	"cf-ray",
	"true-client-ip",
	"fastly-client-ip",
	"fly-client-ip",
	"do-connecting-ip",
	"proxy-connection",
	"cdn-loop",
};

static bool
is_forwarded(const struct head *head)
{
	static const char prefix[] = "x-forwarded";
	struct slice value;

	for (size_t i = 0; i < sizeof proxy_fields / sizeof proxy_fields[0]; i++)
	{
		if (head_field(head, proxy_fields[i], &value) > 0)
			return true;
	}
	for (int i = 0; i < head->field_count; i++)
	{
		const struct slice *name = &head->fields[i].name;

		if (name->length >= sizeof prefix - 1 && strncasecmp(name->text, prefix, sizeof prefix - 1) == 0)
			return true;
	}
	return false;
}

/* Whether Host, but for a port, is localhost or a loopback address: a proxy would mostly pass on the name of the site. */
static bool
asks_for_this_machine(const struct head *head)
{
	struct slice value = {NULL, 0};
	char host[64];
	char *end;

	head_field(head, "host", &value);
	snprintf(host, sizeof host, "%.*s", (int) (value.length < 63 ? value.length : 63), value.text);
	end = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');
	if (end != NULL)
		*end = '\0';
	return strcasecmp(host, "localhost") == 0 || network_list_has(LOOPBACK, host + (host[0] == '['));
}

static bool
is_allowed(const struct http *http)
{
	return http->inner || (network_list_has(LOOPBACK, http->direct) && asks_for_this_machine(http->head) &&
						   !is_forwarded(http->head));
}

/* Lines of one table; neighbours of the same name are one family. */
static void
write_plain(struct buf *out, const struct stats_metric *metrics, const uint64_t *values, int count,
			const char *type)
{
	char name[100];

	for (int i = 0; i < count; i++)
	{
		const struct stats_metric *metric = &metrics[i];
		struct prometheus_labels labels = {{metric->label}, {metric->value}};

		snprintf(name, sizeof name, PREFIX "%s", metric->name);
		if (i == 0 || strcmp(metric->name, metrics[i - 1].name) != 0)
			prometheus_family(out, name, type, metric->help);
		prometheus_sample(out, name, &labels, (double) (int64_t) values[i]);
	}
}

static void
write_histogram(struct buf *out, const char *name, const struct prometheus_labels *labels,
				const struct stats_histogram *histogram, bool is_size)
{
	struct prometheus_histogram told = {
		.buckets = histogram->buckets, .sum = histogram->sum, .unit = is_size ? 1 : SECOND};

	told.bounds = is_size ? stats_size_bounds(&told.count) : stats_time_bounds(&told.count);
	prometheus_histogram(out, name, labels, &told);
}

static bool
has_times(const struct stats_series *series)
{
	for (int i = 0; i < STATS_BUCKETS; i++)
	{
		if (series->times.buckets[i] > 0)
			return true;
	}
	return false;
}

/* The times of a set's series, by name. */
static void
write_times(struct buf *out, const char *name, const char *help, const char *label,
			const struct stats_series *series, int count)
{
	prometheus_family(out, name, "histogram", help);
	for (int i = 0; i < count; i++)
	{
		struct prometheus_labels labels = {{label}, {series[i].name}};

		if (has_times(&series[i]))
			write_histogram(out, name, &labels, &series[i].times, false);
	}
}

/* One value of a set's series, by name; those that are 0 too, when `zeros`. */
static void
write_value(struct buf *out, const char *name, const char *label, const struct stats_series *series,
			int count, int value, bool zeros)
{
	for (int i = 0; i < count; i++)
	{
		struct prometheus_labels labels = {{label}, {series[i].name}};

		if (series[i].values[value] > 0 || (zeros && i > 0))
			prometheus_sample(out, name, &labels, (double) (int64_t) series[i].values[value]);
	}
}

static void
write_calls(struct buf *out, const struct stats *stats)
{
	int count;
	const struct stats_series *methods = stats_all_series(stats, SERIES_METHODS, &count);
	const char *code;

	prometheus_family(out, PREFIX "calls_total", "counter",
					  "Calls answered, by method and by what they came to.");
	for (int i = 0; i < count; i++)
	{
		for (int value = 0; (code = stats_code(value)) != NULL; value++)
		{
			struct prometheus_labels labels = {{"method", "code"}, {methods[i].name, code}};

			if (methods[i].values[value] > 0)
				prometheus_sample(out, PREFIX "calls_total", &labels, (double) methods[i].values[value]);
		}
	}
	write_times(out, PREFIX "call_duration_seconds", "Time from a call to its answer, by method.", "method",
				methods, count);
}

static void
write_events(struct buf *out, const struct stats *stats)
{
	int count;
	const struct stats_series *series = stats_all_series(stats, SERIES_EVENTS, &count);

	prometheus_family(out, PREFIX "events_received_total", "counter",
					  "Events heard from the database, by type.");
	write_value(out, PREFIX "events_received_total", "type", series, count, 0, false);
	prometheus_family(out, PREFIX "event_delay_seconds", "histogram",
					  "Time from an event, as its `at` says, to each socket it was pushed to.");
	write_histogram(out, PREFIX "event_delay_seconds", NULL, &stats->histograms[HISTOGRAM_EVENTS], false);
	series = stats_all_series(stats, SERIES_ENDS, &count);
	prometheus_family(out, PREFIX "sessions_closed_total", "counter", "Sessions closed, by reason.");
	write_value(out, PREFIX "sessions_closed_total", "reason", series, count, 0, false);
}

static void
write_pool(struct buf *out, const struct stats *stats)
{
	static const char *const states[] = {
		[LANE_CONNECTING] = "connecting", [LANE_IDLE] = "idle", [LANE_BUSY] = "busy"};
	int count;
	const struct stats_series *lanes = stats_all_series(stats, SERIES_LANES, &count);

	prometheus_family(out, PREFIX "database_connections", "gauge",
					  "Connections of the pool, by lane and state.");
	for (int i = 1; i < count; i++)
	{
		for (int state = LANE_CONNECTING; state <= LANE_BUSY; state++)
		{
			struct prometheus_labels labels = {{"lane", "state"}, {lanes[i].name, states[state]}};

			prometheus_sample(out, PREFIX "database_connections", &labels,
							  (double) (int64_t) lanes[i].values[state]);
		}
	}
	prometheus_family(out, PREFIX "calls_waiting", "gauge", "Calls that wait for a connection, by lane.");
	write_value(out, PREFIX "calls_waiting", "lane", lanes, count, LANE_WAITING, true);
	prometheus_family(out, PREFIX "database_calls_total", "counter",
					  "Calls given to the pool, the gateway's own included, by lane.");
	write_value(out, PREFIX "database_calls_total", "lane", lanes, count, LANE_CALLS, true);
	write_times(out, PREFIX "call_wait_seconds", "Time that calls waited for a connection, by lane.", "lane",
				lanes, count);
	prometheus_family(out, PREFIX "group_calls", "histogram", "Calls of one transaction.");
	write_histogram(out, PREFIX "group_calls", NULL, &stats->histograms[HISTOGRAM_GROUPS], true);
}

static void
write_about(struct buf *out)
{
	static const struct prometheus_labels labels = {{"version"}, {GW_VERSION}};

	prometheus_family(out, PREFIX "build_info", "gauge", "Always 1; the label says what runs.");
	prometheus_sample(out, PREFIX "build_info", &labels, 1);
	prometheus_family(out, "process_start_time_seconds", "gauge", "When the gateway began, since 1970.");
	prometheus_sample(out, "process_start_time_seconds", NULL, (double) stats_started());
}

void
metrics_begin(struct http *http)
{
	struct stats *stats;

	if (config.metrics_listen[0] != '\0' && !http->inner)
	{
		http_refuse(http, 404, "not_found", "they are at metrics_listen");
		return;
	}
	if (!is_allowed(http))
	{
		http_refuse(http, 403, "not_allowed", "they are for this machine, or for metrics_listen");
		return;
	}
	stats = mem_alloc(sizeof *stats);
	stats_sum(stats);
	write_about(&http->body);
	write_plain(&http->body, stats_gauges, stats->gauges, GAUGE_COUNT, "gauge");
	write_plain(&http->body, stats_counters, stats->counters, STAT_COUNT, "counter");
	write_calls(&http->body, stats);
	write_events(&http->body, stats);
	write_pool(&http->body, stats);
	mem_free(stats);
	http->type = "text/plain; version=0.0.4; charset=utf-8";
	http_field(http, "Cache-Control", "no-store");
	http_answer(http, 200);
}

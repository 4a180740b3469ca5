/* SPDX-License-Identifier: PostgreSQL */
/*
 * otlp.c
 *	  OpenTelemetry's protocol over HTTP, as JSON: an ExportTraceServiceRequest of one resource and one scope.
 *
 * Ids are hex, not base64, and 64-bit numbers are strings: that is how the protocol has JSON. The names of attributes are
 * those of its semantic conventions.
 *
 * Called from: chat/span. Calls: codec/json, base/buf.
 */
#include "codec/otlp.h"

#include <inttypes.h>
#include <string.h>

#include "codec/json.h"

#define STATUS_ERROR 2 /* the protocol's number */

static void
add_attribute(struct buf *out, const char *name, const char *value)
{
	if (out->data[out->length - 1] != '[')
		buf_add_char(out, ',');
	buf_format(out, "{\"key\":\"%s\",\"value\":{\"stringValue\":", name);
	json_write_string(out, value, strlen(value));
	buf_add_text(out, "}}");
}

void
otlp_begin(struct buf *out, const char *version, const char *who)
{
	buf_add_text(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
	add_attribute(out, "service.name", "chat-gateway");
	add_attribute(out, "service.version", version);
	add_attribute(out, "service.instance.id", who);
	buf_add_text(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"chat-gateway\"},\"spans\":[");
}

static void
add_attributes(struct buf *out, const struct otlp_span *span)
{
	bool rpc = span->system != NULL && strcmp(span->system, "jsonrpc") == 0;

	if (rpc)
	{
		add_attribute(out, "rpc.system", span->system);
		add_attribute(out, "rpc.method", span->name);
	}
	else if (span->kind == OTLP_CLIENT)
		add_attribute(out, "db.system", span->system);
	if (span->code == 0)
		return;
	if (out->data[out->length - 1] != '[')
		buf_add_char(out, ',');
	buf_format(out, "{\"key\":\"%s\",\"value\":{\"intValue\":\"%d\"}}",
			   rpc ? "rpc.jsonrpc.error_code" : "error.code", span->code);
}

void
otlp_add(struct buf *out, const struct otlp_span *span)
{
	if (out->data[out->length - 1] != '[')
		buf_add_char(out, ',');
	buf_format(out, "{\"traceId\":\"%s\",\"spanId\":\"%s\",\"parentSpanId\":\"%s\",\"name\":", span->trace,
			   span->id, span->parent);
	json_write_string(out, span->name, strlen(span->name));
	buf_format(out, ",\"kind\":%d,\"startTimeUnixNano\":\"%" PRIu64 "\",\"endTimeUnixNano\":\"%" PRIu64 "\"",
			   (int) span->kind, span->start, span->end);
	buf_add_text(out, ",\"attributes\":[");
	add_attributes(out, span);
	buf_add_char(out, ']');
	if (span->code >= 500) /* the rest is the caller's doing */
		buf_format(out, ",\"status\":{\"code\":%d}", STATUS_ERROR);
	buf_add_char(out, '}');
}

void
otlp_end(struct buf *out)
{
	buf_add_text(out, "]}]}]}");
}

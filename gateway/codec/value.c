/* SPDX-License-Identifier: PostgreSQL */
/*
 * value.c
 *	  JSON values against PostgreSQL's text format, by type: one table, one encoder and one decoder a kind.
 *
 * Encoding is strict, and not for tidiness: calls of many clients share a transaction, and a value that the server
 * refuses at Bind fails all of them. So what an encoder lets pass must be good for the type's input function.
 *
 * Decoding trusts the server, but not blindly: what does not look as expected goes out as a JSON string, never as
 * broken JSON. int8 is always a string (JavaScript has 53 bits), numeric and float8 are numbers unless they are NaN
 * or infinite.
 *
 * Called from: chat/call (both ways), chat/catalog (types). Calls: codec/json, codec/time, codec/base64, codec/array.
 */
#include "codec/value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/array.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/time.h"

typedef bool (*encode_fn)(const json_t *json, struct buf *out);
typedef void (*decode_fn)(const char *text, size_t length, struct buf *out);

struct kind
{
	encode_fn encode; /* appends PostgreSQL's text; false: not a value of the type */
	decode_fn decode; /* appends JSON */
	const char *hint; /* what the encoder takes */
};

struct name
{
	const char *name; /* format_type()'s */
	enum value_kind kind;
};

static const struct name names[] = {
	{"bigint", VALUE_BIGINT},   {"integer", VALUE_INTEGER},   {"smallint", VALUE_SMALLINT},
	{"boolean", VALUE_BOOLEAN}, {"text", VALUE_TEXT},         {"character varying", VALUE_TEXT},
	{"jsonb", VALUE_JSON},      {"json", VALUE_JSON},         {"timestamp with time zone", VALUE_TIMESTAMP},
	{"date", VALUE_DATE},       {"interval", VALUE_DURATION}, {"bytea", VALUE_BYTES},
	{"inet", VALUE_ADDRESS},    {"numeric", VALUE_NUMERIC},   {"double precision", VALUE_DOUBLE},
	{"real", VALUE_REAL},       {"uuid", VALUE_UUID},
};

struct value_type
value_type(const char *name)
{
	size_t length = strlen(name);
	bool array = length > 2 && strcmp(name + length - 2, "[]") == 0;

	if (array)
		length -= 2;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
	{
		if (strlen(names[i].name) == length && memcmp(names[i].name, name, length) == 0)
			return (struct value_type){names[i].kind, array};
	}
	return (struct value_type){VALUE_OTHER, array};
}

/* A JSON integer within the bounds, as decimal text. */
static bool
encode_within(const json_t *json, long long min, long long max, struct buf *out)
{
	long long value = json_integer_value(json);

	if (!json_is_integer(json) || value < min || value > max)
		return false;
	buf_format(out, "%lld", value);
	return true;
}

static bool
is_bigint(const char *text)
{
	const char *digits = text + (text[0] == '-');
	char *end;

	if (!isdigit((unsigned char) digits[0]) || (digits[0] == '0' && digits[1] != '\0'))
		return false;
	errno = 0;
	strtoll(text, &end, 10);
	return errno == 0 && *end == '\0';
}

static bool
encode_bigint(const json_t *json, struct buf *out)
{
	if (!json_is_string(json))
		return encode_within(json, INT64_MIN, INT64_MAX, out);
	if (!is_bigint(json_string_value(json)))
		return false;
	buf_add_text(out, json_string_value(json));
	return true;
}

static bool
encode_integer(const json_t *json, struct buf *out)
{
	return encode_within(json, INT32_MIN, INT32_MAX, out);
}

static bool
encode_smallint(const json_t *json, struct buf *out)
{
	return encode_within(json, INT16_MIN, INT16_MAX, out);
}

static bool
encode_boolean(const json_t *json, struct buf *out)
{
	buf_add_char(out, json_is_true(json) ? 't' : 'f');
	return json_is_boolean(json);
}

static bool
encode_text(const json_t *json, struct buf *out)
{
	if (!json_is_string(json))
		return false;
	buf_add(out, json_string_value(json), json_string_length(json));
	return true;
}

static bool
encode_json(const json_t *json, struct buf *out)
{
	json_write(out, json);
	return true;
}

/* A string that passes the check, as it is. */
static bool
encode_checked(const json_t *json, bool (*check)(const char *text), struct buf *out)
{
	if (!json_is_string(json) || !check(json_string_value(json)))
		return false;
	return encode_text(json, out);
}

static bool
encode_timestamp(const json_t *json, struct buf *out)
{
	return encode_checked(json, time_is_timestamp, out);
}

static bool
encode_date(const json_t *json, struct buf *out)
{
	return encode_checked(json, time_is_date, out);
}

static bool
encode_duration(const json_t *json, struct buf *out)
{
	return encode_checked(json, time_is_duration, out);
}

/* The form for inside an array: \x and hex. A parameter of its own goes as binary, see value_encode. */
static bool
encode_bytes(const json_t *json, struct buf *out)
{
	struct buf bytes = {0};
	bool good =
		json_is_string(json) && base64_read(&bytes, json_string_value(json), json_string_length(json));

	buf_add_text(out, "\\x");
	for (size_t i = 0; i < bytes.length; i++)
		buf_format(out, "%02x", (unsigned char) bytes.data[i]);
	buf_free(&bytes);
	return good;
}

static bool
is_address(const char *text)
{
	unsigned char bytes[sizeof(struct in6_addr)];
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t) (slash - text) : strlen(text);
	int bits = strchr(text, ':') ? 128 : 32;

	if (length >= sizeof host)
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (inet_pton(bits == 128 ? AF_INET6 : AF_INET, host, bytes) != 1)
		return false;
	if (slash == NULL)
		return true;
	length = strspn(slash + 1, "0123456789");
	if (slash[1] == '0' && length > 1)
		return false;
	return length >= 1 && length <= 3 && slash[1 + length] == '\0' && atoi(slash + 1) <= bits;
}

static bool
encode_address(const json_t *json, struct buf *out)
{
	return encode_checked(json, is_address, out);
}

/* A decimal number of at most 100 bytes, exponent of at most three digits. */
static bool
is_number(const char *text)
{
	const char *at = text + (text[0] == '-');
	size_t digits = strspn(at, "0123456789");

	if (digits == 0 || strlen(text) > 100)
		return false;
	at += digits;
	if (*at == '.')
	{
		digits = strspn(++at, "0123456789");
		at += digits;
	}
	if (digits > 0 && (*at == 'e' || *at == 'E'))
	{
		at++;
		at += *at == '-' || *at == '+';
		digits = strspn(at, "0123456789");
		at += digits;
		if (digits > 3)
			return false;
	}
	return digits > 0 && *at == '\0';
}

static bool
encode_numeric(const json_t *json, struct buf *out)
{
	if (json_is_number(json))
		return encode_json(json, out);
	return encode_checked(json, is_number, out);
}

/* A number, from JSON or from text, whose magnitude is 0 or within the bounds. */
static bool
encode_float(const json_t *json, double least, double greatest, struct buf *out)
{
	const char *text = json_string_value(json);
	double value;

	errno = 0;
	value = text ? strtod(text, NULL) : json_number_value(json);
	if (errno == ERANGE)
		return false;
	if (value != 0 && !(fabs(value) >= least && fabs(value) <= greatest))
		return false;
	return encode_numeric(json, out);
}

static bool
encode_double(const json_t *json, struct buf *out)
{
	return encode_float(json, DBL_MIN, DBL_MAX, out);
}

static bool
encode_real(const json_t *json, struct buf *out)
{
	return encode_float(json, FLT_MIN, FLT_MAX, out);
}

static bool
is_uuid(const char *text)
{
	for (int i = 0; i < 36; i++)
	{
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	}
	return text[36] == '\0';
}

static bool
encode_uuid(const json_t *json, struct buf *out)
{
	return encode_checked(json, is_uuid, out);
}

static void
decode_string(const char *text, size_t length, struct buf *out)
{
	json_write_string(out, text, length);
}

static void
decode_raw(const char *text, size_t length, struct buf *out)
{
	buf_add(out, text, length);
}

static void
decode_boolean(const char *text, size_t length, struct buf *out)
{
	buf_add_text(out, length == 1 && text[0] == 't' ? "true" : "false");
}

/* NaN, Infinity and -Infinity are no JSON numbers. */
static void
decode_number(const char *text, size_t length, struct buf *out)
{
	size_t at = length > 0 && text[0] == '-';

	if (at < length && isdigit((unsigned char) text[at]))
		decode_raw(text, length, out);
	else
		decode_string(text, length, out);
}

static void
decode_timestamp(const char *text, size_t length, struct buf *out)
{
	size_t before = out->length;

	buf_add_char(out, '"');
	if (time_write(out, text, length))
	{
		buf_add_char(out, '"');
		return;
	}
	out->length = before;
	decode_string(text, length, out);
}

/* \x and hex digits, to the bytes. */
static bool
read_hex(struct buf *out, const char *text, size_t length)
{
	static const char digits[] = "0123456789abcdef";

	if (length < 2 || length % 2 != 0 || text[0] != '\\' || text[1] != 'x')
		return false;
	for (size_t i = 2; i < length; i += 2)
	{
		const char *high = memchr(digits, text[i], 16);
		const char *low = memchr(digits, text[i + 1], 16);

		if (high == NULL || low == NULL)
			return false;
		buf_add_char(out, (char) ((high - digits) << 4 | (low - digits)));
	}
	return true;
}

static void
decode_bytes(const char *text, size_t length, struct buf *out)
{
	struct buf bytes = {0};

	if (read_hex(&bytes, text, length))
	{
		buf_add_char(out, '"');
		base64_write(out, bytes.data, bytes.length);
		buf_add_char(out, '"');
	}
	else
		decode_string(text, length, out);
	buf_free(&bytes);
}

static const struct kind kinds[] = {
	[VALUE_OTHER] = {encode_text, decode_string, "a string"},
	[VALUE_BIGINT] = {encode_bigint, decode_string, "a 64-bit integer, as a decimal string or a number"},
	[VALUE_INTEGER] = {encode_integer, decode_number, "a 32-bit integer"},
	[VALUE_SMALLINT] = {encode_smallint, decode_number, "a 16-bit integer"},
	[VALUE_BOOLEAN] = {encode_boolean, decode_boolean, "true or false"},
	[VALUE_TEXT] = {encode_text, decode_string, "a string"},
	[VALUE_JSON] = {encode_json, decode_raw, "any JSON value"},
	[VALUE_TIMESTAMP] = {encode_timestamp, decode_timestamp, "an RFC 3339 time with Z or an offset"},
	[VALUE_DATE] = {encode_date, decode_string, "a date, YYYY-MM-DD"},
	[VALUE_DURATION] = {encode_duration, decode_string, "an ISO 8601 duration such as PT30S or P1D"},
	[VALUE_BYTES] = {encode_bytes, decode_bytes, "bytes in base64, padded"},
	[VALUE_ADDRESS] = {encode_address, decode_string, "an IP address"},
	[VALUE_NUMERIC] = {encode_numeric, decode_number, "a number"},
	[VALUE_DOUBLE] = {encode_double, decode_number, "a number"},
	[VALUE_REAL] = {encode_real, decode_number, "a number within single precision"},
	[VALUE_UUID] = {encode_uuid, decode_string, "a UUID"},
};

static bool
encode_array(const struct kind *kind, const json_t *json, struct buf *out)
{
	struct buf element = {0};
	bool good = json_is_array(json);

	array_begin(out);
	for (size_t i = 0; good && i < json_array_size(json); i++)
	{
		const json_t *item = json_array_get(json, i);

		buf_clear(&element);
		if (json_is_null(item))
			array_add(out, NULL, 0);
		else if ((good = kind->encode(item, &element)))
			array_add(out, buf_text(&element), element.length);
	}
	array_end(out);
	buf_free(&element);
	return good;
}

const char *
value_encode(struct value_type type, const json_t *json, struct arena *arena, struct value_param *param)
{
	const struct kind *kind = &kinds[type.kind];
	struct buf text = {0};
	bool good;

	*param = (struct value_param){0};
	if (json_is_null(json))
		return NULL;
	param->binary = type.kind == VALUE_BYTES && !type.array;
	if (type.array)
		good = encode_array(kind, json, &text);
	else if (param->binary)
		good = json_is_string(json) && base64_read(&text, json_string_value(json), json_string_length(json));
	else
		good = kind->encode(json, &text);
	if (good)
	{
		param->text = arena_copy(arena, text.length ? text.data : "", text.length);
		param->length = (int) text.length;
	}
	buf_free(&text);
	return good ? NULL : kind->hint;
}

struct decoding
{
	decode_fn decode; /* of the elements */
	struct buf *out;  /* where JSON goes */
};

static void
decode_element(void *arg, const char *text, size_t length)
{
	struct decoding *decoding = arg;

	if (text == NULL)
		buf_add_text(decoding->out, "null");
	else
		decoding->decode(text, length, decoding->out);
}

void
value_decode(struct value_type type, const char *text, size_t length, struct buf *out)
{
	struct decoding decoding = {kinds[type.kind].decode, out};
	size_t before = out->length;

	if (!type.array)
		decoding.decode(text, length, out);
	else if (!array_read(text, length, decode_element, &decoding, out))
	{
		out->length = before;
		decode_string(text, length, out);
	}
}

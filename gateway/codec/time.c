/* SPDX-License-Identifier: PostgreSQL */
/*
 * time.c
 *	  Times and durations. Input is checked, never converted: PostgreSQL reads RFC 3339 and ISO 8601 by itself, and
 *	  whatever passes here must not fail there, because a value that fails at Bind takes a whole group of calls along.
 *
 * Called from: codec/value, chat/walk, chat/cursor. Calls: base/buf.
 */
#include "codec/time.h"

#include <string.h>

#define ID_LOW_BITS 22                     /* of an id, below its milliseconds */
#define ID_EPOCH    INT64_C(1735689600000) /* 2025-01-01T00:00:00Z in milliseconds since 1970 */

/* Exactly `count` digits as a number within the bounds; moves on. */
static bool
read_number(const char **at, int count, int min, int max, int *value)
{
	*value = 0;
	while (count-- > 0)
	{
		if (**at < '0' || **at > '9')
			return false;
		*value = 10 * *value + (*(*at)++ - '0');
	}
	return *value >= min && *value <= max;
}

static bool
read_char(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

static bool
read_date(const char **at)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year;
	int month;
	int day;

	if (!read_number(at, 4, 1900, 9999, &year) || !read_char(at, '-'))
		return false;
	if (!read_number(at, 2, 1, 12, &month) || !read_char(at, '-') || !read_number(at, 2, 1, 31, &day))
		return false;
	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return day <= 29;
	return day <= days[month - 1];
}

/* `.` and one to nine digits, or nothing. */
static bool
read_fraction(const char **at)
{
	size_t digits;

	if (!read_char(at, '.'))
		return true;
	digits = strspn(*at, "0123456789");
	*at += digits;
	return digits >= 1 && digits <= 9;
}

static bool
read_clock(const char **at)
{
	int number;

	return read_number(at, 2, 0, 23, &number) && read_char(at, ':') && read_number(at, 2, 0, 59, &number) &&
		   read_char(at, ':') && read_number(at, 2, 0, 59, &number) && read_fraction(at);
}

static bool
read_offset(const char **at)
{
	int number;

	if (read_char(at, 'Z'))
		return true;
	if (!read_char(at, '+') && !read_char(at, '-'))
		return false;
	return read_number(at, 2, 0, 14, &number) && read_char(at, ':') && read_number(at, 2, 0, 59, &number);
}

bool
time_is_timestamp(const char *text)
{
	return read_date(&text) && read_char(&text, 'T') && read_clock(&text) && read_offset(&text) &&
		   *text == '\0';
}

bool
time_is_date(const char *text)
{
	return read_date(&text) && *text == '\0';
}

/* Days from 1970 to a date of the Gregorian calendar, March being the first month of a year. */
static int64_t
days_since_1970(int64_t year, int64_t month, int64_t day)
{
	year -= month <= 2;
	return 365 * year + year / 4 - year / 100 + year / 400 + (153 * ((month + 9) % 12) + 2) / 5 + day -
		   719469;
}

/* So many digits, checked before. */
static int64_t
number_at(const char *text, int count)
{
	int64_t number = 0;

	while (count-- > 0)
		number = 10 * number + (*text++ - '0');
	return number;
}

int64_t
time_milliseconds(const char *text, size_t length)
{
	int64_t number = 0;
	char copy[48];

	if (length == 0 || length >= sizeof copy)
		return 0;
	memcpy(copy, text, length);
	copy[length] = '\0';
	if (!time_is_timestamp(copy) || copy[length - 1] != 'Z')
		return 0;
	number = days_since_1970(number_at(copy, 4), number_at(copy + 5, 2), number_at(copy + 8, 2)) * 24;
	number = ((number + number_at(copy + 11, 2)) * 60 + number_at(copy + 14, 2)) * 60;
	number = (number + number_at(copy + 17, 2)) * 1000;
	for (int i = 0; copy[19] == '.' && i < 3 && copy[20 + i] != 'Z'; i++)
		number += (copy[20 + i] - '0') * (i == 0 ? 100 : i == 1 ? 10 : 1);
	return number;
}

/*
 * Parts of a duration whose letters come in this order, each at most once; *count grows by their number. Those in
 * `large` may have four digits, the others nine: all of them together stay within an interval.
 */
static bool
read_parts(const char **at, const char *letters, const char *large, int *count)
{
	while (**at >= '0' && **at <= '9')
	{
		size_t digits = strspn(*at, "0123456789");
		const char *letter;

		*at += digits;
		if (**at == '.' && (!read_fraction(at) || **at != 'S'))
			return false;
		letter = **at ? strchr(letters, **at) : NULL;
		if (letter == NULL || digits > (strchr(large, *letter) != NULL ? 4 : 9))
			return false;
		letters = letter + 1;
		++*at;
		++*count;
	}
	return true;
}

bool
time_is_duration(const char *text)
{
	int count = 0;
	int before;

	if (!read_char(&text, 'P') || !read_parts(&text, "YMWD", "YMW", &count))
		return false;
	before = count;
	if (read_char(&text, 'T') && (!read_parts(&text, "HMS", "", &count) || count == before))
		return false;
	return count > 0 && *text == '\0';
}

bool
time_write(struct buf *out, const char *text, size_t length)
{
	static const char shape[] = "dddd-dd-dd dd:dd:dd"; /* d: a digit */
	size_t seconds = sizeof shape - 1;

	if (length < seconds + 3 || memcmp(text + length - 3, "+00", 3) != 0)
		return false;
	for (size_t i = 0; i < length - 3; i++)
	{
		bool digit = text[i] >= '0' && text[i] <= '9';

		if (i >= seconds      ? !digit && !(i == seconds && text[i] == '.')
			: shape[i] == 'd' ? !digit
							  : text[i] != shape[i])
			return false;
	}
	buf_add(out, text, 10);
	buf_add_char(out, 'T');
	buf_add(out, text + 11, length - 11 - 3);
	buf_add_char(out, 'Z');
	return true;
}

int64_t
time_of_id(int64_t id)
{
	return (id >> ID_LOW_BITS) + ID_EPOCH;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * rate.c
 *	  How many calls a second, and bytes of them: buckets of tokens for each user, whatever logins, sockets and requests
 *	  their calls come by; for each address (IPv6: each /64) where nobody is logged in.
 *
 * A bucket holds a burst of tokens and gets so many of them each second; a call takes one. What finds none is
 * refused and counted. As many refusals as FLOOD_TIME of all that is allowed, without the bucket ever having been full
 * in between: then it is a flood.
 *
 * Of bytes it holds what a second brings. Who has taken more than there was waits until that has come: a WebSocket is
 * not read meanwhile, so that the client's own network holds its calls back and nothing is refused.
 *
 * Anonymous methods (log_in, register_user) are counted by address a second time, whoever calls them: they cost the most,
 * and those who call them nothing.
 *
 * A bucket that is full again says no more than one that is not there: it goes. Each worker counts for itself.
 *
 * Called from: chat/call, chat/session, net/transfer. Calls: base/hash, io/.
 */
#include "chat/rate.h"

#include <stdio.h>

#include "base/config.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/stats.h"
#include "io/loop.h"
#include "io/timer.h"

#define FLOOD_TIME    10   /* seconds of all that is allowed that may be refused in a row */
#define LEAST_COUNTED 2048 /* bytes that any message of a user counts for: a short one is not less work */

/* What is allowed now. */
struct rate
{
	int per_second; /* 0: any number */
	int burst;      /* as many at once */
};

struct bucket
{
	char key[32];      /* its name in buckets */
	long long tokens;  /* thousandths */
	uint64_t seen;     /* loop_now() when tokens were last reckoned */
	long refused;      /* calls, since it was full */
	struct timer full; /* when it will be, and goes */
};

static struct hash *buckets; /* struct bucket by key; owned; NULL: none was needed yet */

static void
is_full(struct timer *timer)
{
	struct bucket *bucket = list_entry(timer, struct bucket, full);

	hash_remove(buckets, bucket->key);
	mem_free(bucket);
}

static struct bucket *
bucket_of(char kind, int64_t who, const struct rate *rate)
{
	char key[sizeof((struct bucket *) 0)->key];
	struct bucket *bucket;

	snprintf(key, sizeof key, "%c%lld", kind, (long long) who);
	buckets = buckets ? buckets : hash_create();
	bucket = hash_get(buckets, key);
	if (bucket == NULL)
	{
		bucket = mem_alloc(sizeof *bucket);
		snprintf(bucket->key, sizeof bucket->key, "%s", key);
		bucket->tokens = rate->burst * 1000LL;
		bucket->seen = loop_now();
		hash_put(buckets, key, bucket);
	}
	return bucket;
}

static void
fill(struct bucket *bucket, const struct rate *rate)
{
	long long most = rate->burst * 1000LL;

	bucket->tokens += (long long) (loop_now() - bucket->seen) * rate->per_second;
	bucket->tokens = bucket->tokens < most ? bucket->tokens : most;
	bucket->seen = loop_now();
}

static void
take(struct bucket *bucket, const struct rate *rate, long long tokens)
{
	bucket->tokens -= tokens * 1000;
	timer_set(&bucket->full, (uint64_t) ((rate->burst * 1000LL - bucket->tokens) / rate->per_second + 1),
			  is_full);
}

static enum rate_verdict
count(char kind, int64_t who, const struct rate *rate, long long *wait)
{
	struct bucket *bucket;
	bool good;

	if (rate->per_second == 0)
		return RATE_GOOD;
	bucket = bucket_of(kind, who, rate);
	fill(bucket, rate);
	good = bucket->tokens >= 1000;
	take(bucket, rate, good ? 1 : 0);
	bucket->refused += !good;
	*wait = (1000 - bucket->tokens) / rate->per_second + 1;
	if (good)
		return RATE_GOOD;
	stats_add(STAT_CALLS_LIMITED, 1);
	return bucket->refused > (long) FLOOD_TIME * rate->per_second ? RATE_FLOODED : RATE_OVER;
}

enum rate_verdict
rate_count(const struct session *session, long long *wait)
{
	struct rate rate = {config.calls_per_second, config.calls_burst};

	return count('c', session_holder(session), &rate, wait);
}

enum rate_verdict
rate_count_anonymous(const struct session *session, long long *wait)
{
	struct rate rate = {config.anonymous_per_second, config.anonymous_burst};

	return count('a', session->origin, &rate, wait);
}

uint64_t
rate_take_bytes(const struct session *session, size_t bytes)
{
	struct rate rate = {config.inbound_rate, config.inbound_rate};
	struct bucket *bucket;

	if (rate.per_second == 0)
		return 0;
	bucket = bucket_of('b', session_holder(session), &rate);
	fill(bucket, &rate);
	if (session->user_id != 0 && bytes < LEAST_COUNTED)
		bytes = LEAST_COUNTED;
	take(bucket, &rate, (long long) bytes);
	return bucket->tokens >= 0 ? 0 : (uint64_t) (-bucket->tokens / rate.per_second + 1);
}

void
rate_close(void)
{
	size_t cursor = 0;
	struct bucket *bucket;

	if (buckets == NULL)
		return;
	while ((bucket = hash_next(buckets, &cursor, NULL)) != NULL)
	{
		timer_clear(&bucket->full);
		mem_free(bucket);
	}
	hash_destroy(buckets);
	buckets = NULL;
}

/* SPDX-License-Identifier: PostgreSQL */
/*
 * rate.c
 *	  How many calls a second: a bucket of tokens for each login, whatever sockets and requests its calls come by; for
 *	  each address where nobody is logged in.
 *
 * A bucket holds calls_burst tokens and gets calls_per_second of them each second; a call takes one. What finds none is
 * refused and counted. As many refusals as FLOOD_TIME of all that is allowed, without the bucket ever having been full
 * in between: then it is a flood.
 *
 * A bucket that is full again says no more than one that is not there: it goes. Each worker counts for itself.
 *
 * Called from: chat/call, net/transfer. Calls: base/hash, io/.
 */
#include "chat/rate.h"

#include <stdio.h>

#include "base/config.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/stats.h"
#include "io/loop.h"
#include "io/timer.h"

#define FLOOD_TIME 10 /* seconds of calls_per_second that may be refused in a row */

struct bucket
{
	char key[80];      /* its name in buckets */
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
bucket_of(const struct session *session)
{
	char key[sizeof((struct bucket *) 0)->key];
	struct bucket *bucket;

	if (session->login_id != 0)
		snprintf(key, sizeof key, "%lld", (long long) session->login_id);
	else
		snprintf(key, sizeof key, "@%s", session->address);
	buckets = buckets ? buckets : hash_create();
	bucket = hash_get(buckets, key);
	if (bucket == NULL)
	{
		bucket = mem_alloc(sizeof *bucket);
		snprintf(bucket->key, sizeof bucket->key, "%s", key);
		bucket->tokens = config.calls_burst * 1000LL;
		bucket->seen = loop_now();
		hash_put(buckets, key, bucket);
	}
	return bucket;
}

static void
fill(struct bucket *bucket)
{
	long long most = config.calls_burst * 1000LL;

	bucket->tokens += (long long) (loop_now() - bucket->seen) * config.calls_per_second;
	bucket->tokens = bucket->tokens < most ? bucket->tokens : most;
	bucket->seen = loop_now();
}

enum rate_verdict
rate_count(const struct session *session, long long *wait)
{
	struct bucket *bucket;
	bool good;

	if (config.calls_per_second == 0)
		return RATE_GOOD;
	bucket = bucket_of(session);
	fill(bucket);
	good = bucket->tokens >= 1000;
	bucket->tokens -= good ? 1000 : 0;
	bucket->refused += !good;
	*wait = (1000 - bucket->tokens) / config.calls_per_second + 1;
	timer_set(&bucket->full,
			  (uint64_t) ((config.calls_burst * 1000LL - bucket->tokens) / config.calls_per_second + 1),
			  is_full);
	if (good)
		return RATE_GOOD;
	stats_add(STAT_CALLS_LIMITED, 1);
	return bucket->refused > (long) FLOOD_TIME * config.calls_per_second ? RATE_FLOODED : RATE_OVER;
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

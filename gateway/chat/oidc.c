/* SPDX-License-Identifier: PostgreSQL */
/*
 * oidc.c
 *	  The identity provider whose access tokens are as good as session tokens: its keys, and tokens checked with them.
 *
 *	  fetch: oidc_issuer/.well-known/openid-configuration --issuer is the same--> its jwks_uri --> keys
 *	     good: the new keys take the place of the old, next in oidc_refresh
 *	     bad:  the old ones serve on, until oidc_stale has passed since they came; next in 1 s, 2 s … RETRY_MAX
 *
 *	  check: keys there --token_check--> done
 *	     \__ none yet, or the token's is not among them, and a fetch is under way or may begin: it waits for that
 *
 * 1. Everything about a token but its signature is checked before its key is missed, so a fetch costs an attacker at
 *	  least a token that looks right; and fetches for missing keys begin at most once in oidc_refetch, so that no
 *	  flood of such tokens becomes a flood at the provider. A token waits for one fetch, never for a second.
 * 2. One fetch is under way at a time, in this worker; every worker has keys of its own.
 * 3. A token appears in no log line, nor does what it says.
 *
 * Called from: chat/login, main.c. Calls: io/fetch, codec/token, codec/keys.
 */
#include "chat/oidc.h"

#include <string.h>
#include <time.h>

#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "base/url.h"
#include "codec/json.h"
#include "codec/keys.h"
#include "io/fetch.h"
#include "io/loop.h"
#include "io/timer.h"

#define RETRY_MIN 1000  /* milliseconds before the second attempt */
#define RETRY_MAX 30000 /* milliseconds between attempts at most */
#define JITTER    10    /* refreshes come up to a tenth early, so that workers spread */

static struct key_set *keys;                       /* owned; NULL: none yet, or too old */
static uint64_t keys_came;                         /* loop_now() when they did */
static uint64_t refetch_from;                      /* loop_now() when a missing key may begin a fetch again */
static uint64_t retry_pause;                       /* milliseconds before the next attempt after a failure */
static bool fetching;                              /* a fetch is under way */
static struct timer next_fetch;                    /* set unless one is */
static struct list waiting = {&waiting, &waiting}; /* struct oidc_check by node */

static void begin_fetch(void);

static void
fetch_is_due(struct timer *timer)
{
	(void) timer;
	begin_fetch();
}

static bool
plain_is_allowed(void)
{
	return config.oidc_http == OIDC_HTTP_LOOPBACK;
}

/* At the end of the turn: whoever wants to know is not called from within its own call. */
static void
run_done(struct task *task)
{
	struct oidc_check *check = list_entry(task, struct oidc_check, task);

	check->done(check);
}

static void
finish(struct oidc_check *check)
{
	if (check->unavailable || check->verdict != TOKEN_GOOD)
	{
		stats_add(STAT_TOKENS_REFUSED, 1);
		log_write(LEVEL_DEBUG, "token_refused", "%s",
				  check->unavailable ? "there are no keys to check it with" : token_words(check->verdict));
	}
	check->task.run = run_done;
	loop_defer(&check->task);
}

static void
drop_old_keys(void)
{
	if (keys == NULL || loop_now() - keys_came <= (uint64_t) config.oidc_stale)
		return;
	log_write(LEVEL_ERROR, "oidc_keys_too_old", "%s has not answered for oidc_stale", config.oidc_issuer);
	keys_free(keys);
	keys = NULL;
}

/* With the keys there are. False: others might do better. */
static bool
try_keys(struct oidc_check *check)
{
	struct token_rules rules = {.issuer = config.oidc_issuer,
								.audience = config.oidc_audience,
								.leeway = config.oidc_leeway / 1000,
								.now = loop_date() / 1000};

	drop_old_keys();
	check->unavailable = keys == NULL;
	if (keys != NULL)
		check->verdict = token_check(check->token, keys, &rules, &check->found);
	return keys != NULL && check->verdict != TOKEN_UNKNOWN_KEY;
}

static void
wake_waiting(void)
{
	struct list *node;

	while ((node = list_shift(&waiting)) != NULL)
	{
		struct oidc_check *check = list_entry(node, struct oidc_check, node);

		try_keys(check);
		finish(check);
	}
}

/* Keys have come, or (why) have not. */
static void
end_fetch(const char *why)
{
	uint64_t pause = (uint64_t) config.oidc_refresh;

	fetching = false;
	if (why == NULL)
	{
		pause -= loop_random(pause / JITTER);
		retry_pause = RETRY_MIN;
	}
	else
	{
		log_write(LEVEL_WARN, "oidc_keys_not_fetched", "%s: %s%s", config.oidc_issuer, why,
				  keys ? "; the old ones serve on" : "");
		stats_add(STAT_KEY_FETCHES_FAILED, 1);
		pause = retry_pause;
		retry_pause = retry_pause < RETRY_MAX / 2 ? retry_pause * 2 : RETRY_MAX;
	}
	timer_set(&next_fetch, pause, fetch_is_due);
	wake_waiting();
}

static void
on_keys(const char *why, const char *text, size_t length)
{
	struct key_set *fresh = why == NULL ? keys_read(text, length, &why) : NULL;

	if (fresh == NULL)
	{
		end_fetch(why);
		return;
	}
	keys_free(keys);
	keys = fresh;
	keys_came = loop_now();
	log_write(LEVEL_DEBUG, "oidc_keys", "%d of %s", keys_count(keys), config.oidc_issuer);
	end_fetch(NULL);
}

/* Where the keys are, as the document says; NULL: *why it says so in no acceptable way. */
static const char *
keys_address(const json_t *document, const char **why)
{
	const char *issuer = json_string_value(json_object_get(document, "issuer"));
	const char *address = json_string_value(json_object_get(document, "jwks_uri"));

	if (document == NULL)
		return NULL;
	if (issuer == NULL || strcmp(issuer, config.oidc_issuer) != 0)
		*why = "the discovery document is of another issuer";
	else if (address == NULL || !url_is_secure(address, plain_is_allowed()))
		*why = "the discovery document has no jwks_uri, or one without https";
	else
		return address;
	return NULL;
}

static void
on_document(const char *why, const char *text, size_t length)
{
	json_t *document = why == NULL ? json_read(text, length, &why) : NULL;
	const char *address = keys_address(document, &why);

	if (address != NULL)
		fetch_start(address, config.oidc_ca_file, on_keys);
	else
		end_fetch(why);
	json_decref(document);
}

static void
begin_fetch(void)
{
	size_t length = strlen(config.oidc_issuer);
	struct buf address = {0};

	while (length > 0 && config.oidc_issuer[length - 1] == '/')
		length--;
	buf_add(&address, config.oidc_issuer, length);
	buf_add_text(&address, "/.well-known/openid-configuration");
	fetching = true;
	timer_clear(&next_fetch);
	stats_add(STAT_KEY_FETCHES, 1);
	fetch_start(buf_text(&address), config.oidc_ca_file, on_document);
	buf_free(&address);
}

/* Keys that are not there would help: is it worth waiting? */
static bool
may_wait(void)
{
	if (!fetching && keys != NULL && loop_now() >= refetch_from)
	{
		refetch_from = loop_now() + (uint64_t) config.oidc_refetch;
		begin_fetch();
	}
	return fetching;
}

void
oidc_check(struct oidc_check *check, const char *token, void (*done)(struct oidc_check *check))
{
	check->token = token;
	check->done = done;
	if (!try_keys(check) && may_wait())
		list_append(&waiting, &check->node);
	else
		finish(check);
}

bool
oidc_is_token(const char *text)
{
	return config.oidc_issuer[0] != '\0' && token_has_shape(text);
}

void
oidc_open(void)
{
	if (config.oidc_issuer[0] == '\0')
		return;
	fetch_open();
	retry_pause = RETRY_MIN;
	begin_fetch();
}

void
oidc_close(void)
{
	struct list *node;

	if (config.oidc_issuer[0] == '\0')
		return;
	timer_clear(&next_fetch);
	fetch_close();
	while ((node = list_shift(&waiting)) != NULL)
	{
		list_entry(node, struct oidc_check, node)->unavailable = true;
		finish(list_entry(node, struct oidc_check, node));
	}
	loop_settle();
	keys_free(keys);
	keys = NULL;
}

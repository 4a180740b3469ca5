/* SPDX-License-Identifier: PostgreSQL */
/*
 * fetch.c
 *	  Small documents over HTTP, fetched or sent by libcurl on libuv's threads, so that the loop never waits for a name or for
 *	  somebody else's server.
 *
 * A fetch belongs to its thread between fetch_start and on_fetched, and to the loop before and after. It ends in
 * time whatever the server does: TIME_LIMIT for all of it, SIZE_LIMIT for the answer, no redirect is followed and
 * only status 200 is an answer. The caller says which addresses are good (base/url); here only http and https exist.
 *
 * Called from: chat/oidc, chat/span. Calls: libcurl, libuv, base/buf.
 */
#include "io/fetch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>
#include <uv.h>

#include "base/buf.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/timer.h"

#define TIME_LIMIT    5000L       /* milliseconds from the name to the last byte */
#define CONNECT_LIMIT 3000L       /* milliseconds of them for the connection */
#define SIZE_LIMIT    (256 << 10) /* bytes of an answer */

struct fetch
{
	uv_work_t work;                                                 /* libuv's */
	char *url;                                                      /* owned */
	char *ca_file;                                                  /* owned; empty: the system's */
	char *type;                                                     /* of what is sent; owned; NULL: a GET */
	struct buf sent;                                                /* the same */
	struct buf body;                                                /* so far */
	char why[200];                                                  /* what went wrong; empty: nothing */
	void (*done)(const char *why, const char *text, size_t length); /* the caller's */
};

static bool is_open;         /* between fetch_open and fetch_close */
static int under_way;        /* fetches not done yet; the loop's */
static atomic_bool stopping; /* they are to give up; set by the loop, read by the threads */

/* 0 makes libcurl end the transfer. */
static size_t
take(char *data, size_t one, size_t length, void *fetch)
{
	struct buf *body = &((struct fetch *) fetch)->body;

	(void) one;
	if (body->length + length > SIZE_LIMIT)
		return 0;
	buf_add(body, data, length);
	return length;
}

/* Not 0 makes libcurl end the transfer. */
static int
look_up(void *fetch, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
	(void) fetch, (void) total, (void) now, (void) up_total, (void) up_now;
	return atomic_load(&stopping);
}

static void
set_options(CURL *curl, struct fetch *fetch)
{
	bool plain = strncasecmp(fetch->url, "https:", 6) != 0;

	curl_easy_setopt(curl, CURLOPT_URL, fetch->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIME_LIMIT);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_LIMIT);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "chat-gateway/" GW_VERSION);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetch);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_up);
	if (fetch->ca_file[0] != '\0')
		curl_easy_setopt(curl, CURLOPT_CAINFO, fetch->ca_file);
	if (plain)
		curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* it is on this machine */
}

/* What is to be sent, if anything; its header lines are the caller's to free. */
static struct curl_slist *
set_document(CURL *curl, struct fetch *fetch)
{
	struct curl_slist *fields;
	char line[100];

	if (fetch->type == NULL)
		return NULL;
	snprintf(line, sizeof line, "Content-Type: %s", fetch->type);
	fields = curl_slist_append(NULL, line);
	fields = curl_slist_append(fields, "Expect:"); /* it would cost a round trip */
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long) fetch->sent.length);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, fetch->sent.data);
	return fields;
}

/* On a thread of its own. */
static void
run(uv_work_t *work)
{
	struct fetch *fetch = work->data;
	CURL *curl = curl_easy_init();
	struct curl_slist *fields = NULL;
	CURLcode code = CURLE_FAILED_INIT;
	long status = 0;

	if (curl != NULL)
	{
		set_options(curl, fetch);
		fields = set_document(curl, fetch);
		code = curl_easy_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_cleanup(curl);
		curl_slist_free_all(fields);
	}
	if (code == CURLE_WRITE_ERROR)
		snprintf(fetch->why, sizeof fetch->why, "more than %d bytes", SIZE_LIMIT);
	else if (code != CURLE_OK)
		snprintf(fetch->why, sizeof fetch->why, "%s", curl_easy_strerror(code));
	else if (status != 200)
		snprintf(fetch->why, sizeof fetch->why, "status %ld", status);
}

static void
on_fetched(uv_work_t *work, int status)
{
	struct fetch *fetch = work->data;
	bool failed = status != 0 || fetch->why[0] != '\0';

	under_way--;
	if (!atomic_load(&stopping))
		fetch->done(failed ? fetch->why : NULL, fetch->body.data, fetch->body.length);
	mem_free(fetch->url);
	mem_free(fetch->ca_file);
	mem_free(fetch->type);
	buf_free(&fetch->sent);
	buf_free(&fetch->body);
	mem_free(fetch);
}

void
fetch_open(void)
{
	if (!is_open)
		curl_global_init(CURL_GLOBAL_DEFAULT);
	is_open = true;
}

static struct fetch *
create(const char *url, const char *ca_file, void (*done)(const char *why, const char *text, size_t length))
{
	struct fetch *fetch = mem_alloc(sizeof *fetch);

	fetch->url = mem_copy(url);
	fetch->ca_file = mem_copy(ca_file);
	fetch->done = done;
	fetch->work.data = fetch;
	return fetch;
}

static void
start(struct fetch *fetch)
{
	under_way++;
	uv_queue_work(loop_uv(), &fetch->work, run, on_fetched);
}

void
fetch_start(const char *url, const char *ca_file,
			void (*done)(const char *why, const char *text, size_t length))
{
	start(create(url, ca_file, done));
}

void
fetch_post(const char *url, const char *type, struct buf *body,
		   void (*done)(const char *why, const char *text, size_t length))
{
	struct fetch *fetch = create(url, "", done);

	fetch->type = mem_copy(type);
	fetch->sent = *body;
	*body = (struct buf){0};
	start(fetch);
}

static void
wake_up(struct timer *timer)
{
	(void) timer;
}

void
fetch_wait(uint64_t milliseconds)
{
	struct timer limit = {0};

	timer_set(&limit, milliseconds, wake_up);
	while (under_way > 0 && limit.place != 0)
		uv_run(loop_uv(), UV_RUN_ONCE);
	timer_clear(&limit);
}

void
fetch_close(void)
{
	if (!is_open)
		return;
	is_open = false;
	atomic_store(&stopping, true);
	while (under_way > 0)
		uv_run(loop_uv(), UV_RUN_ONCE);
	curl_global_cleanup();
}

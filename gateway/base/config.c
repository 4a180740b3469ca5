/* SPDX-License-Identifier: PostgreSQL */
/*
 * config.c
 *	  Every knob of the gateway in one table: it parses, bounds, documents and prints them.
 *
 * 1. Each knob gets its default.
 * 2. The file named by --config or CHAT_GATEWAY_CONFIG is read: `name = value` lines, # comments.
 * 3. Environment: CHAT_GATEWAY_<NAME>.
 * 4. Flags: --name value or --name=value; dashes may stand for underscores.
 * With --check that is all: exit 0 when everything was good, perhaps with advice.
 *
 * A later source wins. Any bad name or value ends the start with a message that says what would be right.
 *
 * config_reload does it again in a running process. Only the settings named in `reloadable` change then: those that are
 * looked at whenever they matter, and of which nobody keeps a copy or the text.
 *
 * A new knob is one field in config.h and one line in the table below. Durations are kept in milliseconds and
 * written with a unit (ms, s, min; none = seconds); sizes in bytes (kB, MB = 1024, 1024² as in PostgreSQL).
 *
 * Called from: main.c; everybody reads `config`. Calls: base/log (its enums), base/mem,
 * base/network, base/url.
 */
#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/network.h"
#include "base/url.h"

enum knob_type
{
	KNOB_TEXT,
	KNOB_ADDRESS,  /* text of the form host:port, or empty where that is the default */
	KNOB_NETWORKS, /* text: addresses and address/bits, commas between */
	KNOB_NUMBER,
	KNOB_DURATION,
	KNOB_SIZE,
	KNOB_WORD
};

struct knob
{
	const char *name;         /* as in the file */
	enum knob_type type;      /* how text becomes a value */
	size_t field;             /* offset in struct config */
	const char *fallback;     /* the default, as text */
	int min;                  /* least value: number, milliseconds or bytes */
	int max;                  /* greatest value */
	const char *const *words; /* KNOB_WORD: the allowed ones, in the order of their enum, NULL-terminated */
	const char *help;         /* one line */
};

struct unit
{
	const char *name; /* as written behind the number */
	long factor;      /* to milliseconds or bytes */
};

struct config config; /* of this process */

static const char *const level_words[] = {"debug", "info", "warn", "error", NULL};
static const char *const switch_words[] = {"off", "on", NULL};
static const char *const http_words[] = {"refused", "loopback", NULL};
static const char *const format_words[] = {"logfmt", "json", NULL};

#define TEXT(name, fallback, help)                                                                           \
	{                                                                                                        \
#name, KNOB_TEXT, offsetof(struct config, name), fallback, 0, 0, NULL, help                          \
	}
#define VALUE(name, type, fallback, min, max, help)                                                          \
	{                                                                                                        \
#name, type, offsetof(struct config, name), fallback, min, max, NULL, help                           \
	}
#define WORD(name, words, fallback, help)                                                                    \
	{                                                                                                        \
#name, KNOB_WORD, offsetof(struct config, name), fallback, 0, 0, words, help                         \
	}

/* clang-format off */
static const struct knob knobs[] = {
	{"config", KNOB_TEXT, offsetof(struct config, config_file), "", 0, 0, NULL, "file of `name = value` lines, read before environment and flags"},
	{"listen", KNOB_ADDRESS, offsetof(struct config, listen), "127.0.0.1:8080", 0, 0, NULL, "address:port to accept on; [::1]:8080 for IPv6"},
	VALUE(workers, KNOB_NUMBER, "1", 1, 256, "worker processes; one per core is plenty"),
	TEXT(database, "dbname=chat", "libpq connection string of the pool"),
	TEXT(listen_database, "", "libpq connection string for LISTEN, when a pooler stands before the database; empty: as database"),
	WORD(use_listen, switch_words, "on", "off: no LISTEN connection; events come from chat.outbox alone (chat.delivery = outbox)"),
	VALUE(cursor_interval, KNOB_DURATION, "10s", 50, 3600000, "how often sockets are told how far all has arrived, when anything has"),
	VALUE(outbox_interval, KNOB_DURATION, "100ms", 10, 60000, "how often chat.outbox is looked into, with chat.delivery = outbox"),
	VALUE(pool_size, KNOB_NUMBER, "4", 1, 64, "connections per worker for grouped calls (messages); a chat stays on one"),
	VALUE(single_share, KNOB_NUMBER, "3", 1, 64, "shared connections per worker that calls that run alone may hold at a time. A worker holds pool_size + 2 connections and one for LISTEN, and at most pool_size + all shares + 4 and that one"),
	VALUE(sign_in_share, KNOB_NUMBER, "2", 1, 64, "the same for log_in (password hashing)"),
	VALUE(anonymous_share, KNOB_NUMBER, "1", 1, 64, "the same for other calls before login, such as register_user"),
	VALUE(replay_share, KNOB_NUMBER, "2", 1, 64, "the same for replays; as many run at a time"),
	VALUE(files_share, KNOB_NUMBER, "2", 1, 64, "the same for pieces of files. Where a share is more than 1, one user never holds all of it"),
	VALUE(calls_waiting, KNOB_NUMBER, "256", 1, 10000, "calls of one user, or one address before login, that may wait for the same connections; beyond: 429 too_many_calls"),
	TEXT(schemas, "chat", "schemas whose granted functions are wire methods, comma-separated"),
	{"trusted_proxies", KNOB_NETWORKS, offsetof(struct config, trusted_proxies), "", 0, 0, NULL, "addresses or networks, comma-separated, whose X-Forwarded-For tells the client's address; empty: none"},
	{"metrics_listen", KNOB_ADDRESS, offsetof(struct config, metrics_listen), "", 0, 0, NULL, "address:port for /metrics, /healthz and /readyz alone, for whoever reaches it; empty: /metrics stands on `listen`, for who comes straight from this machine"},
	TEXT(web_root, GW_WEB_ROOT, "folder of the files served at /; empty: none"),
	VALUE(frame_limit, KNOB_SIZE, "64kB", 1024, 16 << 20, "largest message from a client; beyond: close 1009"),
	VALUE(auth_timeout, KNOB_DURATION, "10s", 100, 600000, "time to log in; beyond: close 4001"),
	VALUE(calls_in_flight, KNOB_NUMBER, "32", 1, 1024, "unanswered calls per socket; at that many it is not read"),
	VALUE(outbound_limit, KNOB_SIZE, "1MB", 65536, 1 << 30, "bytes queued for one socket; beyond: its calls wait, its events become one resync"),
	VALUE(outbound_limit_per_user, KNOB_SIZE, "8MB", 65536, 1 << 30, "the same for all sockets of one user, or one address before login, per worker"),
	VALUE(answer_limit, KNOB_SIZE, "8MB", 65536, 1 << 30, "bytes of one answer, a batch's as a whole; beyond: 413 answer_too_large"),
	VALUE(slow_timeout, KNOB_DURATION, "30s", 1000, 600000, "the time over which a client's pace is looked at while it has something to take or to send: slower than slow_rate, a WebSocket closes with 4008, a body is refused with 408, an answer is cut"),
	VALUE(slow_rate, KNOB_SIZE, "1kB", 0, 1 << 30, "bytes a second that such a client takes or sends at least; 0: anything will do"),
	VALUE(group_limit, KNOB_NUMBER, "64", 1, 1000, "calls that may share one transaction"),
	VALUE(watch_limit, KNOB_NUMBER, "500", 0, 10000, "users whose presence one socket may watch"),
	VALUE(max_sockets, KNOB_NUMBER, "0", 0, 1000000, "sockets per worker; beyond: 503; 0: as many as there are descriptors for"),
	VALUE(calls_per_second, KNOB_NUMBER, "0", 0, 100000, "calls a second of one user, by whatever sockets, or of one address before login; beyond: 429 rate_limited; 0: any number"),
	VALUE(calls_burst, KNOB_NUMBER, "100", 1, 100000, "calls that may come at once under calls_per_second"),
	VALUE(inbound_rate, KNOB_SIZE, "4MB", 0, 1 << 30, "bytes of calls a second that are read of one user, by whatever sockets, each message being at least 2 kB of it, or of one address before login; beyond: their WebSockets are read later, their requests 429 rate_limited; 0: any number"),
	VALUE(anonymous_per_second, KNOB_NUMBER, "10", 0, 100000, "log_in, register_user and the like a second from one address, whoever calls them; an IPv6 address stands for its /64; beyond: 429 rate_limited; 0: any number"),
	VALUE(anonymous_burst, KNOB_NUMBER, "200", 1, 100000, "of these as many may come at once"),
	TEXT(allowed_origins, "", "origins, comma-separated, whose pages may use the gateway besides those it serves itself; *: all"),
	TEXT(ticket_secret, "", "secret that the key of tickets is made of, the same for all gateways behind one name; empty: a new key at each start"),
	VALUE(ticket_lifetime, KNOB_DURATION, "5min", 1000, 86400000, "how long create_ticket's answer opens its file"),
	VALUE(file_timeout, KNOB_DURATION, "5min", 1000, 3600000, "longest run of one call of a transfer; the last one of an upload reads the whole file"),
	VALUE(max_transfers, KNOB_NUMBER, "256", 1, 100000, "files on their way in or out per worker, each with at most 1 MB of memory; beyond: 503"),
	VALUE(max_transfers_per_user, KNOB_NUMBER, "32", 1, 100000, "those of one user, of one address (IPv6: of its /64) before login; at most half of max_transfers; beyond: 429"),
	VALUE(max_sockets_per_user, KNOB_NUMBER, "100", 0, 1000000, "sockets and requests of one user per worker; beyond: 429 too_many_sockets, or close 1013; 0: any number"),
	VALUE(max_sockets_per_address, KNOB_NUMBER, "1000", 0, 1000000, "sockets per worker from one address (IPv6: from its /64) that is neither a trusted proxy nor this machine; beyond: 429; 0: any number"),
	VALUE(call_timeout, KNOB_DURATION, "10s", 100, 600000, "longest run of one call (statement_timeout)"),
	VALUE(single_timeout, KNOB_DURATION, "0", 0, 3600000, "the same for calls that run alone; 0: call_timeout"),
	VALUE(anonymous_timeout, KNOB_DURATION, "0", 0, 3600000, "the same for calls before login; 0: call_timeout"),
	VALUE(replay_timeout, KNOB_DURATION, "0", 0, 3600000, "the same for pages of replays; 0: call_timeout"),
	WORD(prepare, switch_words, "on", "off: nothing is kept in server sessions, for poolers that lend them by the transaction; name the server itself in listen_database"),
	VALUE(unavailable_after, KNOB_DURATION, "2s", 0, 600000, "time without a connection to the database after which calls answer 503 at once"),
	VALUE(maintenance_interval, KNOB_DURATION, "1min", 0, 3600000, "time between two runs of the jobs of maintenance, by one worker; 0: something else runs them"),
	VALUE(drain_timeout, KNOB_DURATION, "10s", 0, 600000, "after SIGTERM: longest wait for calls in flight"),
	VALUE(drain_seconds, KNOB_DURATION, "10s", 0, 3600000, "after SIGTERM: the time over which sockets are closed with 1001, so that not all come back at once"),
	VALUE(ping_interval, KNOB_DURATION, "30s", 1000, 3600000, "silence before a ping; as long again without an answer: closed"),
	TEXT(oidc_issuer, "", "OpenID Connect provider whose access tokens (JWT) log in, as `iss` has it; empty: none"),
	TEXT(oidc_audience, "", "what `aud` of its tokens must contain; needed with oidc_issuer"),
	VALUE(oidc_leeway, KNOB_DURATION, "30s", 0, 300000, "how far its clock may differ from ours"),
	VALUE(oidc_refresh, KNOB_DURATION, "60min", 1000, 86400000, "time between fetches of its keys"),
	VALUE(oidc_refetch, KNOB_DURATION, "30s", 1000, 3600000, "at most so often its keys are fetched for tokens whose key is not known"),
	VALUE(oidc_stale, KNOB_DURATION, "1440min", 1000, 604800000, "so long its keys serve on while it does not answer"),
	WORD(oidc_http, http_words, "refused", "addresses of it without TLS: never, or on this machine"),
	TEXT(oidc_ca_file, "", "PEM file with the authorities trusted for it; empty: the system's"),
	TEXT(otlp_endpoint, "", "collector that spans of sampled calls are sent to, OTLP over HTTP: /v1/traces is added; empty: none"),
	VALUE(trace_limit, KNOB_NUMBER, "100", 0, 100000, "sampled calls a second per worker that are recorded, each in a transaction of its own; others run as if not sampled"),
	WORD(log_level, level_words, "info", "least level written"),
	WORD(log_format, format_words, "logfmt", "layout of log lines"),
};

/* What config_reload may change. */
static const char *const reloadable[] = {
	"allowed_origins",
	"anonymous_burst",
	"anonymous_per_second",
	"answer_limit",
	"auth_timeout",
	"calls_burst",
	"calls_in_flight",
	"calls_per_second",
	"calls_waiting",
	"cursor_interval",
	"drain_seconds",
	"drain_timeout",
	"frame_limit",
	"group_limit",
	"inbound_rate",
	"log_format",
	"log_level",
	"maintenance_interval",
	"max_sockets_per_address",
	"max_sockets_per_user",
	"max_transfers",
	"max_transfers_per_user",
	"outbound_limit",
	"outbound_limit_per_user",
	"outbox_interval",
	"slow_rate",
	"slow_timeout",
	"ticket_lifetime",
	"trusted_proxies",
	"unavailable_after",
	"watch_limit",
	NULL,
};
/* clang-format on */

/* Settings of earlier releases, and what stands for them now. */
static const struct
{
	const char *name;
	const char *now;
} former[] = {{"single_size", "single_share"},
			  {"anonymous_size", "sign_in_share and anonymous_share"},
			  {"replay_size", "replay_share"},
			  {"files_size", "files_share"}};

static const struct unit durations[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}, {"", 1000}, {NULL, 0}};
static const struct unit sizes[] = {{"B", 1}, {"kB", 1024}, {"MB", 1 << 20}, {"", 1}, {NULL, 0}};
static const struct unit numbers[] = {{"", 1}, {NULL, 0}};

#define CHECK_FLAG   "--check"
#define KNOB_COUNT   (sizeof knobs / sizeof knobs[0])
#define FORMER_COUNT (sizeof former / sizeof former[0])

/* With dashes and underscores alike, whatever the case of b. */
static bool
is_same_name(const char *a, const char *b)
{
	while (*a != '\0' && *a == (*b == '-' ? '_' : tolower((unsigned char) *b)))
		a++, b++;
	return *a == '\0' && *b == '\0';
}

static const struct knob *
knob_find(const char *name)
{
	for (size_t i = 0; i < KNOB_COUNT; i++)
	{
		if (is_same_name(knobs[i].name, name))
			return &knobs[i];
	}
	return NULL;
}

/* What stands for a setting of an earlier release; NULL: it never was one. */
static const char *
present_name(const char *name)
{
	for (size_t i = 0; i < FORMER_COUNT; i++)
	{
		if (is_same_name(former[i].name, name))
			return former[i].now;
	}
	return NULL;
}

static const struct unit *
knob_units(const struct knob *knob)
{
	return knob->type == KNOB_DURATION ? durations : knob->type == KNOB_SIZE ? sizes : numbers;
}

/* What a knob allows, for people: "1 to 256", "100ms to 600000ms", "debug, info, warn or error". */
static void
knob_range(const struct knob *knob, char *out, size_t size)
{
	const char *unit = knob->type == KNOB_DURATION ? "ms" : knob->type == KNOB_SIZE ? "B" : "";

	out[0] = '\0';
	if (knob->type == KNOB_WORD)
	{
		for (size_t i = 0; knob->words[i] != NULL; i++)
			snprintf(out + strlen(out), size - strlen(out), "%s%s", i ? " | " : "", knob->words[i]);
	}
	else if (knob->type == KNOB_ADDRESS)
		snprintf(out, size, "address:port, with a port from 1 to 65535");
	else if (knob->type == KNOB_NETWORKS)
		snprintf(out, size, "addresses and address/bits, commas between");
	else if (knob->type != KNOB_TEXT)
		snprintf(out, size, "%d%s to %d%s", knob->min, unit, knob->max, unit);
}

static bool
parse_word(const struct knob *knob, const char *text, int *value)
{
	for (*value = 0; knob->words[*value] != NULL; ++*value)
	{
		if (strcmp(knob->words[*value], text) == 0)
			return true;
	}
	return false;
}

static bool
parse_number(const struct knob *knob, const char *text, int *value)
{
	const struct unit *unit = knob_units(knob);
	char *end;
	long number;

	if (!isdigit((unsigned char) text[0]))
		return false;
	errno = 0;
	number = strtol(text, &end, 10);
	while (*end == ' ')
		end++;
	while (unit->name != NULL && strcmp(unit->name, end) != 0)
		unit++;
	if (errno != 0 || unit->name == NULL || number > LONG_MAX / unit->factor)
		return false;
	number *= unit->factor;
	*value = (int) number;
	return number >= knob->min && number <= knob->max;
}

/* Only the form; whether there is such an address is found out when it is opened. */
static bool
is_address(const char *text)
{
	const char *colon = strrchr(text, ':');
	char *end;
	long port;

	if (colon == NULL || colon == text || !isdigit((unsigned char) colon[1]))
		return false;
	port = strtol(colon + 1, &end, 10);
	return *end == '\0' && port >= 1 && port <= 65535;
}

static bool
is_text(const struct knob *knob)
{
	return knob->type == KNOB_TEXT || knob->type == KNOB_ADDRESS || knob->type == KNOB_NETWORKS;
}

static bool
knob_set(const struct knob *knob, struct config *target, const char *text, char *why, size_t size)
{
	char *field = (char *) target + knob->field;
	char range[200];
	bool good;
	int value;

	if (is_text(knob))
	{
		good = knob->type == KNOB_TEXT || (knob->type == KNOB_NETWORKS && network_list_is_valid(text)) ||
			   (knob->type == KNOB_ADDRESS &&
				(is_address(text) || (text[0] == '\0' && knob->fallback[0] == '\0')));
		if (good)
		{
			mem_free(*(char **) field);
			*(char **) field = mem_copy(text);
		}
	}
	else
	{
		good = knob->type == KNOB_WORD ? parse_word(knob, text, &value) : parse_number(knob, text, &value);
		if (good)
			*(int *) field = value;
	}
	if (good)
		return true;
	knob_range(knob, range, sizeof range);
	snprintf(why, size, "%s = \"%.100s\": allowed is %s", knob->name, text, range);
	return false;
}

bool
config_set(struct config *target, const char *name, const char *text, char *why, size_t size)
{
	const struct knob *knob = knob_find(name);
	const char *now = present_name(name);

	if (knob != NULL)
		return knob_set(knob, target, text, why, size);
	snprintf(why, size, "there is no setting \"%.100s\"%s%s", name, now ? " any more: set " : "",
			 now ? now : "");
	return false;
}

void
config_free(struct config *target)
{
	for (size_t i = 0; i < KNOB_COUNT; i++)
	{
		if (is_text(&knobs[i]))
			mem_free(*(char **) ((char *) target + knobs[i].field));
	}
	*target = (struct config){0};
}

static char *
trim(char *text)
{
	size_t length;

	while (isspace((unsigned char) *text))
		text++;
	length = strlen(text);
	while (length > 0 && isspace((unsigned char) text[length - 1]))
		text[--length] = '\0';
	if (length >= 2 && text[0] == '\'' && text[length - 1] == '\'')
	{
		text[length - 1] = '\0';
		text++;
	}
	return text;
}

static bool
load_line(char *line, char *why, size_t size)
{
	char *name = trim(line);
	char *equals = strchr(name, '=');

	if (name[0] == '\0' || name[0] == '#')
		return true;
	if (equals == NULL)
	{
		snprintf(why, size, "expected `name = value`");
		return false;
	}
	*equals = '\0';
	return config_set(&config, trim(name), trim(equals + 1), why, size);
}

static bool
load_file(const char *path)
{
	char line[2048];
	char why[512];
	int number = 0;
	bool good = true;
	FILE *file = fopen(path, "re");

	if (file == NULL)
	{
		fprintf(stderr, "chat-gateway: cannot read %s: %s\n", path, strerror(errno));
		return false;
	}
	while (good && fgets(line, sizeof line, file) != NULL)
	{
		number++;
		good = load_line(line, why, sizeof why);
	}
	fclose(file);
	if (!good)
		fprintf(stderr, "chat-gateway: %s line %d: %s\n", path, number, why);
	return good;
}

static const char *
environment(const char *setting)
{
	char name[64];

	snprintf(name, sizeof name, "CHAT_GATEWAY_%s", setting);
	for (char *p = name; *p != '\0'; p++)
		*p = (char) toupper((unsigned char) *p);
	return getenv(name);
}

static bool
load_environment(void)
{
	char why[512];
	bool good = true;

	for (size_t i = 0; good && i < KNOB_COUNT; i++)
	{
		const char *text = environment(knobs[i].name);

		good = text == NULL || knob_set(&knobs[i], &config, text, why, sizeof why);
	}
	for (size_t i = 0; good && i < FORMER_COUNT; i++)
	{
		const char *text = environment(former[i].name);

		good = text == NULL || config_set(&config, former[i].name, text, why, sizeof why);
	}
	if (!good)
		fprintf(stderr, "chat-gateway: environment: %s\n", why);
	return good;
}

/* One flag at argv[*at]; sets *at to its last word. With `only`, flags for other knobs are checked and passed over. */
static bool
load_flag(int argc, char **argv, int *at, const char *only)
{
	char why[512] = "a flag begins with --";
	char name[64];
	const char *flag = argv[*at];
	const char *equals = strchr(flag, '=');
	const char *text = equals ? equals + 1 : *at + 1 < argc ? argv[++*at] : NULL;

	if (strncmp(flag, "--", 2) == 0)
	{
		snprintf(name, sizeof name, "%.*s", equals ? (int) (equals - flag - 2) : 60, flag + 2);
		if (text == NULL)
			snprintf(why, sizeof why, "a value is missing");
		else if (only != NULL && strcmp(name, only) != 0)
			return true;
		else if (config_set(&config, name, text, why, sizeof why))
			return true;
	}
	fprintf(stderr, "chat-gateway: %s: %s (see --help)\n", flag, why);
	return false;
}

static bool
load_flags(int argc, char **argv, const char *only)
{
	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], CHECK_FLAG) != 0 && !load_flag(argc, argv, &i, only))
			return false;
	}
	return true;
}

static bool
is_reloadable(const struct knob *knob)
{
	for (size_t i = 0; reloadable[i] != NULL; i++)
	{
		if (strcmp(reloadable[i], knob->name) == 0)
			return true;
	}
	return false;
}

static void
print_help(void)
{
	puts("chat-gateway: the chat extension's functions over WebSocket, its events pushed.\n\n"
		 "usage: chat-gateway [--name value | --name=value]...\n\n"
		 "Each setting may stand in the file named by --config (name = value), in the environment\n"
		 "(CHAT_GATEWAY_NAME) or in a flag; the later of these wins.\n");
	for (size_t i = 0; i < KNOB_COUNT; i++)
	{
		char range[200];

		knob_range(&knobs[i], range, sizeof range);
		printf("%c --%-16s %s\n  %18s default: %s%s%s\n", is_reloadable(&knobs[i]) ? '*' : ' ', knobs[i].name,
			   knobs[i].help, "", knobs[i].fallback[0] ? knobs[i].fallback : "(empty)",
			   range[0] ? "; allowed: " : "", range);
	}
	puts("  --check            says what is wrong with the settings, and nothing else\n"
		 "  --help, --version\n\n"
		 "SIGHUP reads them again, and changes those marked with *; the others need SIGUSR2 or a restart.");
}

static bool
answered(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--help") == 0)
			return print_help(), true;
		if (strcmp(argv[i], "--version") == 0)
			return puts("chat-gateway " GW_VERSION), true;
	}
	return false;
}

/* What single values cannot tell. */
static bool
is_consistent(void)
{
	const char *why = NULL;

	if (config.otlp_endpoint[0] != '\0' && !url_is_http(config.otlp_endpoint))
		why = "otlp_endpoint: allowed is http://host… or https://host…";
	else if (config.oidc_issuer[0] == '\0')
		return true;
	else if (!url_is_secure(config.oidc_issuer, config.oidc_http == OIDC_HTTP_LOOPBACK))
		why = "oidc_issuer: allowed is https://host…, or http:// on this machine with oidc_http = loopback";
	else if (config.oidc_audience[0] == '\0')
		why = "oidc_issuer needs oidc_audience: tokens for others must not log in here";
	if (why != NULL)
		fprintf(stderr, "chat-gateway: %s\n", why);
	return why == NULL;
}

static bool
only_check(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], CHECK_FLAG) == 0)
			return true;
	}
	return false;
}

/* What --check has to say of settings that are good. */
static void
advise(void)
{
	if (!config.prepare)
		puts("chat-gateway: prepare = off: so that PostgreSQL's log never shows passwords and tokens, run "
			 "once as a "
			 "superuser, for the role that the gateway logs in as:\n"
			 "  ALTER ROLE ... SET log_parameter_max_length = 0;\n"
			 "  ALTER ROLE ... SET log_parameter_max_length_on_error = 0;\n"
			 "and where auto_explain is loaded:\n"
			 "  ALTER ROLE ... SET auto_explain.log_verbose = off;\n"
			 "  ALTER ROLE ... SET auto_explain.log_parameter_max_length = 0;  -- from PostgreSQL 16 on");
}

enum config_verdict
config_load(int argc, char **argv)
{
	char why[512];
	const char *path = getenv("CHAT_GATEWAY_CONFIG");

	if (answered(argc, argv))
		return CONFIG_DONE;
	for (size_t i = 0; i < KNOB_COUNT; i++)
		knob_set(&knobs[i], &config, knobs[i].fallback, why, sizeof why);
	if (path != NULL)
		config_set(&config, "config", path, why, sizeof why);
	if (!load_flags(argc, argv, "config"))
		return CONFIG_BAD;
	if (config.config_file[0] != '\0' && !load_file(config.config_file))
		return CONFIG_BAD;
	if (!load_environment() || !load_flags(argc, argv, NULL) || !is_consistent())
		return CONFIG_BAD;
	if (!only_check(argc, argv))
		return CONFIG_RUN;
	advise();
	return CONFIG_DONE;
}

static bool
is_same(const struct knob *knob, const struct config *a, const struct config *b)
{
	const char *one = (const char *) a + knob->field;
	const char *other = (const char *) b + knob->field;

	if (is_text(knob))
		return strcmp(*(char *const *) one, *(char *const *) other) == 0;
	return *(const int *) one == *(const int *) other;
}

/* The value goes from one to the other and back: so each owns what it did not want. */
static void
swap(const struct knob *knob, struct config *a, struct config *b)
{
	size_t size = is_text(knob) ? sizeof(char *) : sizeof(int);
	char *one = (char *) a + knob->field;
	char *other = (char *) b + knob->field;
	char kept[sizeof(char *)];

	memcpy(kept, one, size);
	memcpy(one, other, size);
	memcpy(other, kept, size);
}

bool
config_reload(int argc, char **argv, struct buf *changed, struct buf *waiting)
{
	struct config before = config;

	config = (struct config){0};
	if (config_load(argc, argv) == CONFIG_BAD)
	{
		config_free(&config);
		config = before;
		return false;
	}
	for (size_t i = 0; i < KNOB_COUNT; i++)
	{
		bool reloads = is_reloadable(&knobs[i]);
		bool same = is_same(&knobs[i], &config, &before);

		if (!same)
			buf_format(reloads ? changed : waiting, "%s ", knobs[i].name);
		if (!reloads)
			swap(&knobs[i], &config, &before);
	}
	config_free(&before);
	return true;
}

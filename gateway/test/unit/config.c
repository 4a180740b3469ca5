/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of base/config: values and their ranges, sources and their precedence. */
#include "base/config.h"

#include <stdlib.h>
#include <unistd.h>

#include "test/unit/tap.h"

static void
refused(const char *name, const char *text, const char *wanted)
{
	char why[512] = "(taken)";

	config_set(&config, name, text, why, sizeof why);
	is(why, strlen(why), wanted, "refused");
}

static void
number(const char *name, const char *text, const int *field, int wanted)
{
	char why[512];

	ok(config_set(&config, name, text, why, sizeof why) && *field == wanted, text);
}

static enum config_verdict
load(char *first, char *second)
{
	char *argv[] = {"chat-gateway", first, second, NULL};

	return config_load(first == NULL ? 1 : second == NULL ? 2 : 3, argv);
}

static void
sources(void)
{
	char path[] = "/tmp/chat-gateway-config-XXXXXX";
	char flag[64];
	int fd = mkstemp(path);
	static const char text[] = "# a comment\n\nworkers = 3\npool_size=7\n database = 'dbname=x host=/y' \n";

	ok(write(fd, text, sizeof text - 1) == (ssize_t) sizeof text - 1, "a file");
	close(fd);
	snprintf(flag, sizeof flag, "--config=%s", path);
	setenv("CHAT_GATEWAY_POOL_SIZE", "8", 1);
	ok(load(flag, "--single-share=9") == CONFIG_RUN, "loaded");
	ok(config.workers == 3, "from the file");
	is(config.database, strlen(config.database), "dbname=x host=/y", "quoted, from the file");
	ok(config.pool_size == 8, "the environment beats the file");
	ok(config.single_share == 9, "flags with dashes");
	ok(config.group_limit == 64, "the default");
	ok(load(flag, "--pool_size=10") == CONFIG_RUN && config.pool_size == 10, "a flag beats the environment");
	unsetenv("CHAT_GATEWAY_POOL_SIZE");
	unlink(path);
}

static bool
reload(char *flag, const char *changed, const char *waiting)
{
	char *argv[] = {"chat-gateway", flag, NULL};
	struct buf is_new = {0};
	struct buf waits = {0};
	bool good = config_reload(2, argv, &is_new, &waits);

	is(buf_text(&is_new), is_new.length, changed, "changed");
	is(buf_text(&waits), waits.length, waiting, "waiting");
	buf_free(&is_new);
	buf_free(&waits);
	return good;
}

static void
reloading(void)
{
	char path[] = "/tmp/chat-gateway-reload-XXXXXX";
	char flag[64];
	int fd = mkstemp(path);
	static const char before[] = "watch_limit = 3\ndatabase = dbname=one\ntrusted_proxies = 10.0.0.1\n";
	static const char after[] = "watch_limit = 4\ndatabase = dbname=two\ntrusted_proxies = 10.0.0.2\n";

	ok(write(fd, before, sizeof before - 1) == (ssize_t) sizeof before - 1, "a file");
	snprintf(flag, sizeof flag, "--config=%s", path);
	ok(load(flag, NULL) == CONFIG_RUN, "loaded");
	ok(reload(flag, "", ""), "nothing is new");
	ok(pwrite(fd, after, sizeof after - 1, 0) == (ssize_t) sizeof after - 1, "another file");
	ok(reload(flag, "trusted_proxies watch_limit ", "database "), "something is new");
	ok(config.watch_limit == 4, "a number");
	is(config.trusted_proxies, strlen(config.trusted_proxies), "10.0.0.2", "a text");
	is(config.database, strlen(config.database), "dbname=one", "what waits stays");
	ok(pwrite(fd, "x", 1, 0) == 1, "a bad file");
	ok(!reload(flag, "", ""), "is refused");
	ok(config.watch_limit == 4, "and changes nothing");
	close(fd);
	unlink(path);
}

int
main(void)
{
	if (freopen("/dev/null", "w", stderr) == NULL)
		return 1;
	ok(load(NULL, NULL) == CONFIG_RUN, "defaults");
	ok(config.frame_limit == 65536 && config.auth_timeout == 10000 && config.calls_in_flight == 32,
	   "are the documented ones");
	number("auth_timeout", "500ms", &config.auth_timeout, 500);
	number("auth_timeout", "2", &config.auth_timeout, 2000);
	number("auth-timeout", "1min", &config.auth_timeout, 60000);
	number("frame_limit", "128kB", &config.frame_limit, 131072);
	number("FRAME_LIMIT", "2048", &config.frame_limit, 2048);
	number("log_format", "json", &config.log_format, 1);
	refused("workers", "0", "workers = \"0\": allowed is 1 to 256");
	refused("workers", "x", "workers = \"x\": allowed is 1 to 256");
	refused("workers", "1s", "workers = \"1s\": allowed is 1 to 256");
	refused("workers", "-1", "workers = \"-1\": allowed is 1 to 256");
	refused("workers", "99999999999999999999", "workers = \"99999999999999999999\": allowed is 1 to 256");
	refused("auth_timeout", "9999999h", "auth_timeout = \"9999999h\": allowed is 100ms to 600000ms");
	refused("log_level", "loud", "log_level = \"loud\": allowed is debug | info | warn | error");
	refused("colour", "red", "there is no setting \"colour\"");
	refused("single-size", "3", "there is no setting \"single-size\" any more: set single_share");
	setenv("CHAT_GATEWAY_ANONYMOUS_SIZE", "2", 1);
	ok(load(NULL, NULL) == CONFIG_BAD, "a setting of an earlier release in the environment");
	unsetenv("CHAT_GATEWAY_ANONYMOUS_SIZE");
	ok(load("--workers", NULL) == CONFIG_BAD, "a flag without value");
	ok(load("workers=2", NULL) == CONFIG_BAD, "a flag without dashes");
	ok(load("--config=/nowhere/at/all", NULL) == CONFIG_BAD, "a file that is not there");
	ok(load("--oidc-issuer=https://id.example", NULL) == CONFIG_BAD, "a provider without audience");
	ok(load("--oidc-issuer=http://id.example", "--oidc-audience=chat") == CONFIG_BAD,
	   "a provider without https");
	ok(load("--oidc-issuer=https://id.example", "--oidc-audience=chat") == CONFIG_RUN, "a provider");
	ok(load("--oidc-issuer=http://[::1]:9", "--oidc-audience=chat") == CONFIG_BAD,
	   "a plain one on this machine");
	setenv("CHAT_GATEWAY_OIDC_HTTP", "loopback", 1);
	ok(load("--oidc-issuer=http://[::1]:9", "--oidc-audience=chat") == CONFIG_RUN, "when that is allowed");
	unsetenv("CHAT_GATEWAY_OIDC_HTTP");
	sources();
	reloading();
	config_free(&config);
	return done();
}

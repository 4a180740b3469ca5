/* SPDX-License-Identifier: PostgreSQL */
/*
 * server.c
 *	  The worker's side of the network: accepts sockets, and hands WebSockets to libwebsockets, a guest on our loop.
 *
 * 1. The parent's listening socket is watched by the loop. Each wakeup accepts at most ACCEPT_BURST and gives them to
 *	  http.c. What asks for an upgrade to a WebSocket comes back, still unread, and is adopted into the one vhost.
 * 2. The library's callbacks are passed on to ws.c, one call an arm. CLOSED may come without ESTABLISHED: for upgrades
 *	  that were refused.
 * 3. Sockets are counted, in all and by address (IPv6: by its /64); those beyond max_sockets and
 *	  max_sockets_per_address are told so (503, 429), and only beyond REFUSALS of them cut without a word. A trusted
 *	  proxy's are not limited by address, nor are those from this machine, where one may run that has no name.
 * 4. Out of descriptors: a spare one is given up, the client is accepted with it and sent away, the spare is opened
 *	  again. So the listening socket never keeps the loop awake over a client that it cannot take.
 *
 * 5. Who was accepted is served, also when accepting has ended: a client that connects while workers are replaced must not
 *	  see anything of it. server_is_quiet says when nobody is left, nor anybody whose request is still to come.
 *
 * Compression and HTTP/2 are off: see the options, ws_confirm and http.c. One protocol serves
 * chat.v1 and clients that ask for none; a client that asks only for others is refused by route.c.
 *
 * Called from: main.c, net/http. Calls: net/ws, net/http, net/page, libwebsockets, libuv.
 */
#include "net/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/config.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/network.h"
#include "base/stats.h"
#include "io/loop.h"
#include "io/timer.h"
#include "net/http.h"
#include "net/page.h"
#include "net/rpc.h"
#include "net/transfer.h"
#include "net/ws.h"

#define ACCEPT_BURST   64    /* sockets accepted per wakeup */
#define RX_BUFFER      1024  /* bytes per socket; a longer frame comes in pieces */
#define TX_SIZE        20480 /* bytes of one send: more than ws.c writes at once */
#define HEADER_LIMIT   16384 /* bytes of request line and headers together */
#define HEADER_TIMEOUT 4     /* seconds for the headers to arrive */
#define HANDSHAKES     256   /* sockets with headers being read at a time */
#define SEND_GRACE     5000  /* milliseconds beyond slow_timeout that unacknowledged data may wait */
#define SPARE_FDS      1000  /* descriptors beyond one per socket */
#define SOCKETS_MOST                                                                                         \
	100000 /* sockets, unless max_sockets says more: the library's tables are made for them */
#define REFUSALS        100   /* sockets beyond the limit that are told so */
#define INNER_MOST      64    /* sockets of metrics_listen */
#define ACCEPT_PAUSE    100   /* milliseconds without accepting when not even the spare descriptor is left */
#define SPARE_LOG_PAUSE 1000  /* milliseconds between lines about clients refused for want of descriptors */
#define CROWD_LOG_PAUSE 60000 /* milliseconds between lines about addresses with too many sockets */

/* A listening socket. */
struct door
{
	uv_poll_t accepter; /* watches it */
	int fd;             /* the parent's, ours to accept from; -1: not accepting */
};

static struct lws_context *context;      /* from server_open to server_close */
static struct lws_vhost *vhost;          /* its only one */
static struct door clients = {.fd = -1}; /* listen */
static struct door inner = {.fd = -1}; /* metrics_listen, if there is one: all workers have the same socket */
static int spare_fd = -1;              /* given up to refuse a client when descriptors run out */
static struct timer accept_timer;      /* set while accepting pauses */
static uint64_t spare_logged;          /* loop_now() of the last line about that */
static uint64_t crowd_logged;          /* the same about an address with too many sockets; 0: none */
static int socket_count;               /* clients' sockets accepted and not yet gone */
static int inner_count;                /* the same of metrics_listen */
static int adopted_count;              /* those of them that are the library's */
static int socket_limit;               /* as many may be had: max_sockets, or what descriptors allow */
static struct hash *addresses;         /* how many of them come from where, by network_key; owned */
static struct arrival *adopting;       /* of the socket that the library is making its own; owned */

void
server_release(const char *direct, bool is_inner)
{
	if (is_inner)
	{
		inner_count--;
		return;
	}
	socket_count--;
	stats_move(GAUGE_SOCKETS, -1);
	hash_add(addresses, network_key(direct), -1);
}

static void
forget(struct arrival *arrival)
{
	adopted_count--;
	server_release(arrival->direct, false);
	mem_free(arrival->bearer);
	mem_free(arrival);
}

/* Who is behind it lies in the library's socket, or in adopting while that is being made. */
static void
forget_socket(struct lws *wsi)
{
	struct arrival *arrival = lws_get_opaque_user_data(wsi);

	if (arrival == NULL)
	{
		arrival = adopting;
		adopting = NULL;
	}
	if (arrival != NULL)
		forget(arrival);
}

static int
callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
	struct peer *peer = user;

	switch (reason)
	{
		case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
			return ws_confirm(wsi, in);
		case LWS_CALLBACK_ESTABLISHED:
			return ws_established(wsi, peer, lws_get_opaque_user_data(wsi));
		case LWS_CALLBACK_RECEIVE:
			return ws_received(peer, in, length);
		case LWS_CALLBACK_RECEIVE_PONG:
			ws_heard(peer);
			return 0;
		case LWS_CALLBACK_SERVER_WRITEABLE:
			return ws_writeable(peer);
		case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
			return ws_peer_closing(peer, in, length);
		case LWS_CALLBACK_CLOSED:
			ws_closed(peer);
			return 0;
		case LWS_CALLBACK_HTTP:
			return -1; /* no upgrade after all */
		case LWS_CALLBACK_WSI_DESTROY:
			forget_socket(wsi);
			return 0;
		default:
			return 0;
	}
}

static const struct lws_protocols protocols[] = {
	{"chat.v1", callback, sizeof(struct peer), RX_BUFFER, 0, NULL, TX_SIZE},
	{NULL, NULL, 0, 0, 0, NULL, 0},
};

static void
on_lws_log(int level, const char *line)
{
	log_write(level == LLL_ERR ? LEVEL_WARN : LEVEL_DEBUG, "lws", "%.*s", (int) strcspn(line, "\n"), line);
}

static void
set_options(int fd)
{
	int on = 1;
	int timeout = config.slow_timeout + SEND_GRACE;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
}

void
server_adopt(int fd, struct arrival *arrival)
{
	struct lws *wsi;

	adopting = arrival;
	adopted_count++;
	wsi = lws_adopt_descriptor_vhost(vhost, LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP,
									 (lws_sock_file_fd_type){.sockfd = fd}, NULL, NULL);
	if (wsi != NULL)
		lws_set_opaque_user_data(wsi, adopting);
	else
	{
		stats_add(STAT_REFUSED_BROKEN, 1); /* the library has closed it */
		if (adopting != NULL)
			forget(adopting);
	}
	adopting = NULL;
}

static void
refuse(int fd, enum counter reason)
{
	stats_add(reason, 1);
	close(fd);
}

/* Many of one address may be those of a proxy, whose name is missing: the operator is to know. */
static void
tell_crowd(const char *direct)
{
	if (crowd_logged != 0 && loop_now() < crowd_logged + CROWD_LOG_PAUSE)
		return;
	crowd_logged = loop_now();
	log_write(LEVEL_WARN, "too_many_sockets",
			  "%s has max_sockets_per_address; if it is a proxy, name it in trusted_proxies", direct);
}

/* Whether it is to be limited by its address: a trusted proxy speaks for many, and so may whoever is on this machine. */
static bool
is_single(const char *direct)
{
	return !network_list_has("127.0.0.1, ::1", direct) && !network_list_has(config.trusted_proxies, direct);
}

/* Count one more from this address; the HTTP status it is to be refused with, or 0. */
static int
count_socket(const char *direct)
{
	size_t count =
		hash_add(addresses, network_key(direct), 1); /* always, since there may be a limit before it goes */
	if (config.max_sockets_per_address > 0 && count > (size_t) config.max_sockets_per_address &&
		is_single(direct))
	{
		tell_crowd(direct);
		return 429;
	}
	return socket_count > socket_limit ? 503 : 0;
}

static void
address_text(const struct sockaddr_storage *address, char *out, size_t size)
{
	const struct sockaddr_in *four = (const void *) address;
	const struct sockaddr_in6 *six = (const void *) address;
	bool mapped = address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);

	out[0] = '\0';
	if (address->ss_family == AF_INET)
		inet_ntop(AF_INET, &four->sin_addr, out, (socklen_t) size);
	else if (mapped)
		inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], out, (socklen_t) size);
	else if (address->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &six->sin6_addr, out, (socklen_t) size);
}

static void
take_client(int fd, const char *direct)
{
	int refusal;

	if (socket_count >= socket_limit + REFUSALS)
	{
		refuse(fd, STAT_REFUSED_LIMIT);
		return;
	}
	socket_count++;
	stats_move(GAUGE_SOCKETS, 1);
	refusal = count_socket(direct);
	stats_add(refusal == 0     ? STAT_SOCKETS_ACCEPTED
			  : refusal == 429 ? STAT_REFUSED_ADDRESS
							   : STAT_REFUSED_LIMIT,
			  1);
	set_options(fd);
	http_open(fd, refusal, direct, false);
}

/* Monitoring is let in however many clients there are. */
static void
take_inner(int fd, const char *direct)
{
	if (inner_count >= INNER_MOST)
	{
		refuse(fd, STAT_REFUSED_LIMIT);
		return;
	}
	inner_count++;
	set_options(fd);
	http_open(fd, 0, direct, true);
}

static void on_acceptable(uv_poll_t *handle, int status, int events);

static void
watch(struct door *door)
{
	if (door->fd >= 0)
		uv_poll_start(&door->accepter, UV_READABLE, on_acceptable);
}

static void
accept_again(struct timer *timer)
{
	(void) timer;
	if (spare_fd < 0)
		spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	watch(&clients);
	watch(&inner);
}

/* Not even the spare one could be had again: clients wait in the queue, and the loop must not spin over them. */
static void
pause_accepting(void)
{
	if (clients.fd >= 0)
		uv_poll_stop(&clients.accepter);
	if (inner.fd >= 0)
		uv_poll_stop(&inner.accepter);
	timer_set(&accept_timer, ACCEPT_PAUSE, accept_again);
}

/* No descriptor is left: send one client away with the spare one. */
static void
refuse_with_spare(const struct door *door)
{
	int fd;

	if (spare_fd >= 0)
		close(spare_fd);
	fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		refuse(fd, STAT_REFUSED_DESCRIPTORS);
	spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (spare_fd < 0)
		pause_accepting();
	if (loop_now() < spare_logged + SPARE_LOG_PAUSE)
		return;
	spare_logged = loop_now();
	log_write(LEVEL_WARN, "out_of_descriptors", "clients are refused");
}

/* Accept what waits, at most so many. */
static void
accept_some(const struct door *door, int limit)
{
	char direct[64];

	while (limit-- > 0)
	{
		struct sockaddr_storage address = {0};
		socklen_t size = sizeof address;
		int fd = accept4(door->fd, (struct sockaddr *) &address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

		address_text(&address, direct, sizeof direct);
		if (fd >= 0 && door == &inner)
			take_inner(fd, direct);
		else if (fd >= 0)
			take_client(fd, direct);
		else if (errno == EMFILE || errno == ENFILE)
		{
			refuse_with_spare(door);
			if (spare_fd < 0)
				return;
		}
		else if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static void
on_acceptable(uv_poll_t *handle, int status, int events)
{
	(void) events;
	if (status == 0)
		accept_some(list_entry(handle, struct door, accepter), ACCEPT_BURST);
}

/* As many descriptors as we may have; and from them, how many sockets. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit = {0};
	rlim_t most;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	most = limit.rlim_cur > 2 * SPARE_FDS ? limit.rlim_cur - SPARE_FDS : limit.rlim_cur / 2;
	socket_limit = most < SOCKETS_MOST ? (int) most : SOCKETS_MOST;
	if (config.max_sockets > socket_limit)
		log_write(LEVEL_WARN, "few_descriptors", "max_sockets=%d, but descriptors allow for %d only",
				  config.max_sockets, socket_limit);
	else if (config.max_sockets > 0)
		socket_limit = config.max_sockets;
}

static bool
create_context(void)
{
	static const lws_retry_bo_t no_pings; /* they are ws.c's */
	void *loops[] = {loop_uv()};
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.options =
			LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_VALIDATE_UTF8 | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
		.foreign_loops = loops,
		.gid = (gid_t) -1,
		.uid = (uid_t) -1,
		.max_http_header_data = HEADER_LIMIT,
		.max_http_header_pool = HANDSHAKES,
		.pt_serv_buf_size = HEADER_LIMIT,
		.fd_limit_per_thread = (unsigned) (socket_limit + REFUSALS + SPARE_FDS),
		.timeout_secs = HEADER_TIMEOUT,
		.timeout_secs_ah_idle = HEADER_TIMEOUT,
		.keepalive_timeout = 10,
		.ka_time = 60,
		.ka_probes = 3,
		.ka_interval = 10,
		.alpn = "http/1.1",
		.server_string = "chat-gateway",
		.vhost_name = "chat",
		.retry_and_idle_policy = &no_pings,
	};

	lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
	context = lws_create_context(&info);
	vhost = context ? lws_create_vhost(context, &info) : NULL;
	return vhost != NULL;
}

static void
open_door(struct door *door, int fd)
{
	door->fd = fd;
	if (fd >= 0)
		uv_poll_init(loop_uv(), &door->accepter, fd);
	watch(door);
}

static void
close_door(struct door *door)
{
	if (door->fd < 0)
		return;
	uv_poll_stop(&door->accepter);
	uv_close((uv_handle_t *) &door->accepter, NULL);
	close(door->fd);
	door->fd = -1;
}

bool
server_open(int listener, int metrics)
{
	raise_descriptor_limit();
	addresses = hash_create();
	page_open();
	if (!create_context())
	{
		log_write(LEVEL_ERROR, "no_server",
				  "libwebsockets has refused to start; is its libuv plugin installed?");
		return false;
	}
	spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	open_door(&clients, listener);
	open_door(&inner, metrics);
	return true;
}

bool
server_is_quiet(void)
{
	return adopted_count == 0 && http_is_quiet();
}

bool
server_is_accepting(void)
{
	return clients.fd >= 0;
}

void
server_stop_accepting(void)
{
	if (clients.fd < 0)
		return;
	accept_some(&clients, socket_limit);
	close_door(&clients);
	close_door(&inner);
	timer_clear(&accept_timer);
	http_close_idle();
}

void
server_close(void)
{
	server_stop_accepting();
	http_close_all();
	transfer_close();
	rpc_close();
	lws_context_destroy(context);
	loop_run_out();
	lws_context_destroy(context);
	context = NULL;
	page_close();
	hash_destroy(addresses);
	close(spare_fd);
}

/*
 * Socket options. What is accepted, holds: a value that this TCP cannot offer fails with EOPNOTSUPP, an option that it
 * does not have with ENOPROTOOPT. Units and what getsockopt returns are Linux's.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "dataplane/tcp/tcp_internal.h" /* what Linux lets one change of a connection that is open */
#include "tests/packetdrill/stack.h"

#define SECOND 1000000000ull
#define MS     1000000ull
#define US     1000ull

#define HEADERS_BYTES 40 /* IPv4 and TCP: what an MTU has beyond an MSS */
#define MTU_MIN       576
#define MTU_MAX       65535

#define CONTROL_NAME_BYTES 16

/* Linux's numbers. <netinet/tcp.h> cannot be had beside dataplane/tcp/tcp.h: both name the states TCP_ESTABLISHED... */
enum {
	LINUX_TCP_NODELAY = 1,
	LINUX_TCP_MAXSEG = 2,
	LINUX_TCP_KEEPIDLE = 4,
	LINUX_TCP_KEEPINTVL = 5,
	LINUX_TCP_KEEPCNT = 6,
	LINUX_TCP_INFO = 11,
	LINUX_TCP_QUICKACK = 12,
	LINUX_TCP_CONGESTION = 13,
	LINUX_TCP_USER_TIMEOUT = 18,
};

/*
 * The older, stable part of Linux's struct tcp_info. Scripts see its first four octets as one integer: the state alone,
 * because what recovery does is for packets to show.
 */
struct linux_tcp_info {
	uint8_t state, ca_state, retransmits, probes, backoff, options, scales, flags;
	uint32_t rto_us, ato_us, snd_mss, rcv_mss;
	uint32_t unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
	uint32_t pmtu, rcv_ssthresh, rtt_us, rttvar_us, snd_ssthresh, snd_cwnd, advmss, reordering;
};

static int fail(int error)
{
	errno = error;
	return -1;
}

static uint8_t linux_state(enum tcp_state state)
{
	static const uint8_t states[] = {
		[TCP_CLOSED] = 7,     [TCP_SYN_SENT] = 2,   [TCP_SYN_RECEIVED] = 3, [TCP_ESTABLISHED] = 1,
		[TCP_FIN_WAIT_1] = 4, [TCP_FIN_WAIT_2] = 5, [TCP_CLOSE_WAIT] = 8,   [TCP_CLOSING] = 11,
		[TCP_LAST_ACK] = 9,   [TCP_TIME_WAIT] = 6,
	};
	return states[state];
}

static struct linux_tcp_info linux_info(const struct stack_socket *k)
{
	if (!k->tcp)
		return (struct linux_tcp_info){.state = 7};
	struct tcp_info info;
	tcp_info_get(k->tcp, &info);
	return (struct linux_tcp_info){
		.state = linux_state(info.state),
		.rto_us = (uint32_t)(info.rto_ns / US),
		.snd_mss = info.mss,
		.unacked = (info.in_flight + info.mss - 1) / info.mss,
		.rtt_us = (uint32_t)(info.srtt_ns / US),
		.rttvar_us = (uint32_t)(info.rttvar_ns / US),
		.snd_ssthresh = info.ssthresh / info.mss,
		.snd_cwnd = info.cwnd / info.mss,
	};
}

static bool is_synchronized(const struct stack_socket *k)
{
	return k->tcp && !k->ended && tcp_state_of(k->tcp) >= TCP_ESTABLISHED;
}

/* The connection's own, or what connect will give it. */
static struct tcp_config *config_of(struct stack_socket *k)
{
	return k->tcp ? &k->tcp->config : &k->config;
}

/* ---- asking ---- */

/* As getsockopt does: no more than there is room for, and `len` says how much. */
static int give(void *value, socklen_t *len, const void *from, size_t size)
{
	if (*len > size)
		*len = (socklen_t)size;
	memcpy(value, from, *len);
	return 0;
}

static int give_int(void *value, socklen_t *len, int64_t v)
{
	int as_int = (int)v;
	return give(value, len, &as_int, sizeof as_int);
}

static int get_socket_level(struct stack_socket *k, int option, void *value, socklen_t *len)
{
	struct linger linger = {.l_onoff = k->linger, .l_linger = k->linger_seconds};
	switch (option) {
	case SO_ERROR:
		return give_int(value, len, socket_take_error(k));
	case SO_TYPE:
		return give_int(value, len, SOCK_STREAM);
	case SO_DOMAIN:
		return give_int(value, len, AF_INET);
	case SO_PROTOCOL:
		return give_int(value, len, IPPROTO_TCP);
	case SO_ACCEPTCONN:
		return give_int(value, len, 0);
	case SO_SNDBUF: /* Linux doubles what it is given, for what it needs besides the octets */
		return give_int(value, len, 2ll * k->send_bytes);
	case SO_RCVBUF:
		return give_int(value, len, 2ll * k->config.receive_bytes);
	case SO_LINGER:
		return give(value, len, &linger, sizeof linger);
	case SO_KEEPALIVE:
		return give_int(value, len, config_of(k)->keepalive_idle_ns != 0);
	case SO_REUSEADDR:
		return give_int(value, len, k->reuse_address);
	default:
		return fail(ENOPROTOOPT);
	}
}

static const char *const control_names[] = {
	[TCP_CUBIC] = "cubic",
	[TCP_RENO] = "reno",
	[TCP_NO_CONTROL] = "none",
};

static int get_control(struct stack_socket *k, void *value, socklen_t *len)
{
	char name[CONTROL_NAME_BYTES] = "";
	strcpy(name, control_names[config_of(k)->control]);
	return give(value, len, name, sizeof name);
}

static int get_tcp_level(struct stack_socket *k, int option, void *value, socklen_t *len)
{
	struct linux_tcp_info info = linux_info(k);
	const struct tcp_config *c = config_of(k);
	switch (option) {
	case LINUX_TCP_NODELAY:
		return give_int(value, len, 1);
	case LINUX_TCP_MAXSEG:
		return give_int(value, len, k->tcp ? (int)info.snd_mss : c->mtu - HEADERS_BYTES);
	case LINUX_TCP_USER_TIMEOUT:
		return give_int(value, len, (int64_t)(c->user_timeout_ns / MS));
	case LINUX_TCP_QUICKACK:
		return give_int(value, len, c->delayed_ack_ns == 0);
	case LINUX_TCP_KEEPIDLE:
		return give_int(value, len, (int64_t)(k->keepalive_idle_ns / SECOND));
	case LINUX_TCP_KEEPINTVL:
		return give_int(value, len, (int64_t)(c->keepalive_interval_ns / SECOND));
	case LINUX_TCP_KEEPCNT:
		return give_int(value, len, c->keepalive_probes);
	case LINUX_TCP_CONGESTION:
		return get_control(k, value, len);
	case LINUX_TCP_INFO:
		return give(value, len, &info, sizeof info);
	default:
		return fail(ENOPROTOOPT);
	}
}

static int get_ip_level(struct stack_socket *k, int option, void *value, socklen_t *len)
{
	switch (option) {
	case IP_TOS:
		return give_int(value, len, 0);
	case IP_TTL:
		return give_int(value, len, config_of(k)->ttl);
	case IP_MTU_DISCOVER:
		return give_int(value, len, IP_PMTUDISC_DO);
	case IP_MTU:
		return k->tcp ? give_int(value, len, k->tcp->path_mtu) : fail(ENOTCONN);
	default:
		return fail(ENOPROTOOPT);
	}
}

int sockopt_get(void *userdata, int fd, int level, int option, void *value, socklen_t *len)
{
	struct stack_socket *k = stack_find(userdata, fd);
	if (!k)
		return -1;
	switch (level) {
	case SOL_SOCKET:
		return get_socket_level(k, option, value, len);
	case IPPROTO_TCP:
		return get_tcp_level(k, option, value, len);
	case IPPROTO_IP:
		return get_ip_level(k, option, value, len);
	default:
		return fail(EOPNOTSUPP);
	}
}

/* ---- setting ---- */

/* The next power of two at or above `bytes` that struct tcp_config allows. */
static uint32_t receive_bytes_for(int bytes)
{
	uint32_t size = 4096;
	while (size < 1u << 20 && (bytes < 0 || size < (uint32_t)bytes))
		size *= 2;
	return size;
}

static int set_linger(struct stack_socket *k, const void *value, socklen_t len)
{
	struct linger linger;
	if (len < sizeof linger)
		return fail(EINVAL);
	memcpy(&linger, value, sizeof linger);
	k->linger = linger.l_onoff;
	k->linger_seconds = linger.l_linger;
	return 0;
}

/* The wait for a sign of the peer's begins at its last one. */
static int keep_alive(struct stack_socket *k, uint64_t idle_ns)
{
	config_of(k)->keepalive_idle_ns = idle_ns;
	if (!is_synchronized(k))
		return 0;
	k->tcp->keepalive.unanswered = 0;
	if (idle_ns)
		tcp_timer_set(k->tcp, TCP_TIMER_IDLE, k->tcp->heard_ns + idle_ns);
	else
		tcp_timer_clear(k->tcp, TCP_TIMER_IDLE);
	return 0;
}

static int set_socket_level(struct stack_socket *k, int option, int v, const void *value, socklen_t len)
{
	switch (option) {
	case SO_LINGER:
		return set_linger(k, value, len);
	case SO_SNDBUF:
		k->send_bytes = v > 0 && v < (int)SEND_BUFFER_BYTES ? (uint32_t)v : SEND_BUFFER_BYTES;
		return 0;
	case SO_RCVBUF: /* the ring is as large as it is */
		if (k->tcp)
			return fail(EISCONN);
		k->config.receive_bytes = receive_bytes_for(v);
		return 0;
	case SO_KEEPALIVE:
		return keep_alive(k, v ? k->keepalive_idle_ns : 0);
	case SO_REUSEADDR:
		k->reuse_address = v;
		return 0;
	case SO_PRIORITY:
		return v >= 0 && v <= 6 ? 0 : fail(EPERM);
	default:
		return fail(ENOPROTOOPT);
	}
}

static int set_mss(struct stack_socket *k, int v)
{
	if (k->tcp)
		return fail(EISCONN); /* it has been told to the peer */
	if (v < MTU_MIN - HEADERS_BYTES || v > MTU_MAX - HEADERS_BYTES)
		return fail(EINVAL);
	k->config.mtu = (uint16_t)(v + HEADERS_BYTES);
	return 0;
}

/* As TCP's own timer would have it, had it been so from the connection's start. */
static int set_user_timeout(struct stack_socket *k, int v)
{
	if (v < 0)
		return fail(EINVAL);
	config_of(k)->user_timeout_ns = (uint64_t)v * MS;
	if (!is_synchronized(k) || !tcp_flight(k->tcp))
		return 0;
	if (v)
		tcp_timer_set(k->tcp, TCP_TIMER_USER, k->tcp->progress_ns + (uint64_t)v * MS);
	else
		tcp_timer_clear(k->tcp, TCP_TIMER_USER);
	return 0;
}

static int set_control(struct stack_socket *k, const char *name, socklen_t len)
{
	size_t name_len = strnlen(name, len);
	for (int i = TCP_CUBIC; i <= TCP_NO_CONTROL; i++) {
		if (strlen(control_names[i]) != name_len || memcmp(control_names[i], name, name_len) != 0)
			continue;
		if (k->tcp && (int)k->tcp->config.control != i)
			return fail(EISCONN); /* the windows are kept by one from the start */
		config_of(k)->control = (enum tcp_control)i;
		return 0;
	}
	return fail(ENOENT);
}

static int set_keepalive_option(struct stack_socket *k, int option, int v)
{
	struct tcp_config *c = config_of(k);
	if (v < 1 || v > (option == LINUX_TCP_KEEPCNT ? 127 : 32767))
		return fail(EINVAL);
	if (option == LINUX_TCP_KEEPCNT) {
		c->keepalive_probes = (uint32_t)v;
	} else if (option == LINUX_TCP_KEEPINTVL) {
		c->keepalive_interval_ns = (uint64_t)v * SECOND;
	} else {
		k->keepalive_idle_ns = (uint64_t)v * SECOND;
		if (c->keepalive_idle_ns)
			return keep_alive(k, k->keepalive_idle_ns);
	}
	return 0;
}

static int set_tcp_level(struct stack_socket *k, int option, int v)
{
	switch (option) {
	case LINUX_TCP_NODELAY: /* always: there is no Nagle algorithm to turn on */
		return v ? 0 : fail(EOPNOTSUPP);
	case LINUX_TCP_MAXSEG:
		return set_mss(k, v);
	case LINUX_TCP_USER_TIMEOUT:
		return set_user_timeout(k, v);
	case LINUX_TCP_QUICKACK: /* for good, not until Linux thinks better of it */
		config_of(k)->delayed_ack_ns = v ? 0 : k->delayed_ack_ns;
		return 0;
	case LINUX_TCP_KEEPIDLE:
	case LINUX_TCP_KEEPINTVL:
	case LINUX_TCP_KEEPCNT:
		return set_keepalive_option(k, option, v);
	default: /* TCP_CORK among them: nothing here waits for more */
		return fail(ENOPROTOOPT);
	}
}

static int set_ip_level(struct stack_socket *k, int option, int v)
{
	switch (option) {
	case IP_TOS: /* but for ECN's bits, which are TCP's own */
		return v == 0 ? 0 : fail(EOPNOTSUPP);
	case IP_TTL:
		if (k->tcp)
			return fail(EISCONN);
		if (v < 1 || v > UINT8_MAX)
			return fail(EINVAL);
		k->config.ttl = (uint8_t)v;
		return 0;
	case IP_MTU_DISCOVER: /* always, as IP_PMTUDISC_WANT does for TCP, too */
		return v == IP_PMTUDISC_DO || v == IP_PMTUDISC_WANT ? 0 : fail(EOPNOTSUPP);
	default:
		return fail(ENOPROTOOPT);
	}
}

int sockopt_set(void *userdata, int fd, int level, int option, const void *value, socklen_t len)
{
	struct stack_socket *k = stack_find(userdata, fd);
	int v = 0;
	if (!k)
		return -1;
	if (level == IPPROTO_TCP && option == LINUX_TCP_CONGESTION)
		return len > 0 ? set_control(k, value, len) : fail(EINVAL);
	if (len >= sizeof v)
		memcpy(&v, value, sizeof v);
	else if (level == IPPROTO_IP && len > 0) /* one octet will do there */
		v = *(const uint8_t *)value;
	else
		return fail(EINVAL);
	switch (level) {
	case SOL_SOCKET:
		return set_socket_level(k, option, v, value, len);
	case IPPROTO_TCP:
		return set_tcp_level(k, option, v);
	case IPPROTO_IP:
		return set_ip_level(k, option, v);
	default:
		return fail(ENOPROTOOPT);
	}
}

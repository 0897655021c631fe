/* Socket options: those that mean something to this TCP do it, common ones that do not are accepted. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "tests/packetdrill/stack.h"

#define MS 1000000ull
#define US 1000ull

#define HEADERS_BYTES 40 /* IPv4 and TCP: what an MTU has beyond an MSS */
#define MTU_MIN       576
#define MTU_MAX       65535

/* Linux's numbers. <netinet/tcp.h> cannot be had beside dataplane/tcp/tcp.h: both name the states TCP_ESTABLISHED... */
enum {
	LINUX_TCP_NODELAY = 1,
	LINUX_TCP_MAXSEG = 2,
	LINUX_TCP_KEEPIDLE = 4,
	LINUX_TCP_KEEPINTVL = 5,
	LINUX_TCP_KEEPCNT = 6,
	LINUX_TCP_INFO = 11,
	LINUX_TCP_QUICKACK = 12,
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

/* As getsockopt does: no more than there is room for, and `len` says how much. */
static int give(void *value, socklen_t *len, const void *from, size_t size)
{
	if (*len > size)
		*len = (socklen_t)size;
	memcpy(value, from, *len);
	return 0;
}

static int give_int(void *value, socklen_t *len, int v)
{
	return give(value, len, &v, sizeof v);
}

static int get_socket_level(struct stack_socket *k, int option, void *value, socklen_t *len)
{
	struct linger linger = {.l_onoff = k->linger, .l_linger = k->linger_seconds};
	switch (option) {
	case SO_ERROR:
		return give_int(value, len, socket_take_error(k));
	case SO_TYPE:
		return give_int(value, len, SOCK_STREAM);
	case SO_SNDBUF:
		return give_int(value, len, (int)k->send_bytes);
	case SO_RCVBUF:
		return give_int(value, len, (int)k->config.receive_bytes);
	case SO_LINGER:
		return give(value, len, &linger, sizeof linger);
	default:
		return fail(ENOPROTOOPT);
	}
}

static int get_tcp_level(const struct stack_socket *k, int option, void *value, socklen_t *len)
{
	struct linux_tcp_info info = linux_info(k);
	switch (option) {
	case LINUX_TCP_NODELAY:
		return give_int(value, len, 1);
	case LINUX_TCP_MAXSEG:
		return give_int(value, len, k->tcp ? (int)info.snd_mss : k->config.mtu - HEADERS_BYTES);
	case LINUX_TCP_USER_TIMEOUT:
		return give_int(value, len, (int)(k->config.user_timeout_ns / MS));
	case LINUX_TCP_INFO:
		return give(value, len, &info, sizeof info);
	default:
		return fail(ENOPROTOOPT);
	}
}

int sockopt_get(void *userdata, int fd, int level, int option, void *value, socklen_t *len)
{
	struct stack_socket *k = stack_find(userdata, fd);
	if (!k)
		return -1;
	if (level == SOL_SOCKET)
		return get_socket_level(k, option, value, len);
	return level == IPPROTO_TCP ? get_tcp_level(k, option, value, len) : fail(ENOPROTOOPT);
}

/* The next power of two at or above `bytes` that struct tcp_config allows. */
static uint32_t receive_bytes_for(int bytes)
{
	uint32_t size = 4096;
	while (size < (uint32_t)bytes && size < 1u << 20)
		size *= 2;
	return size;
}

static int set_socket_level(struct stack_socket *k, int option, const void *value, socklen_t len)
{
	int v;
	memcpy(&v, value, sizeof v);
	switch (option) {
	case SO_LINGER:
		if (len < sizeof(struct linger))
			return fail(EINVAL);
		k->linger = ((const struct linger *)value)->l_onoff;
		k->linger_seconds = ((const struct linger *)value)->l_linger;
		return 0;
	case SO_SNDBUF:
		k->send_bytes = v > 0 && v < (int)SEND_BUFFER_BYTES ? (uint32_t)v : SEND_BUFFER_BYTES;
		return 0;
	case SO_RCVBUF:
		if (k->tcp)
			return fail(EISCONN);
		k->config.receive_bytes = receive_bytes_for(v);
		return 0;
	case SO_REUSEADDR:
	case SO_KEEPALIVE:
	case SO_PRIORITY:
		return 0;
	default:
		return fail(ENOPROTOOPT);
	}
}

/* What shapes a connection is settled when it is opened. */
static int set_before_connect(struct stack_socket *k, int option, int v)
{
	if (k->tcp)
		return fail(EISCONN);
	switch (option) {
	case LINUX_TCP_MAXSEG:
		if (v < MTU_MIN - HEADERS_BYTES || v > MTU_MAX - HEADERS_BYTES)
			return fail(EINVAL);
		k->config.mtu = (uint16_t)(v + HEADERS_BYTES);
		return 0;
	case LINUX_TCP_USER_TIMEOUT:
		if (v < 0)
			return fail(EINVAL);
		k->config.user_timeout_ns = (uint64_t)v * MS;
		return 0;
	default:
		if (v)
			k->config.delayed_ack_ns = 0; /* TCP_QUICKACK */
		return 0;
	}
}

static int set_tcp_level(struct stack_socket *k, int option, const void *value)
{
	int v;
	memcpy(&v, value, sizeof v);
	switch (option) {
	case LINUX_TCP_MAXSEG:
	case LINUX_TCP_USER_TIMEOUT:
	case LINUX_TCP_QUICKACK:
		return set_before_connect(k, option, v);
	case LINUX_TCP_NODELAY: /* always */
	case LINUX_TCP_KEEPIDLE:
	case LINUX_TCP_KEEPINTVL:
	case LINUX_TCP_KEEPCNT:
		return 0;
	default: /* TCP_CORK among them: nothing here waits for more */
		return fail(ENOPROTOOPT);
	}
}

int sockopt_set(void *userdata, int fd, int level, int option, const void *value, socklen_t len)
{
	struct stack_socket *k = stack_find(userdata, fd);
	if (!k)
		return -1;
	if (len < sizeof(int))
		return fail(EINVAL);
	if (level == SOL_SOCKET)
		return set_socket_level(k, option, value, len);
	return level == IPPROTO_TCP ? set_tcp_level(k, option, value) : fail(ENOPROTOOPT);
}

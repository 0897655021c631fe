/* The clock, the network device, and what happens to sockets between calls. */
#include "tests/packetdrill/stack.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/refusal.h"

#define US 1000ull
#define MS (1000 * US)

#define STARTED_NS           (1000000 * MS) /* not 0: a timestamp of 0 says "none" in TCP */
#define PATIENCE_NS          (600000 * MS)
#define KEEPALIVE_IDLE_NS    (7200000 * MS) /* RFC 1122, 4.2.3.6 */
#define FIRST_PORT           32768
#define TIMERS_AT_AN_INSTANT 1000

/* ---- sockets ---- */

struct stack_socket *stack_find(struct stack *s, int fd)
{
	for (int i = 0; fd >= 0 && i < STACK_SOCKETS; i++)
		if (s->sockets[i].fd == fd && !s->sockets[i].closed)
			return &s->sockets[i];
	errno = EBADF;
	return NULL;
}

struct stack_socket *stack_new_socket(struct stack *s)
{
	for (int i = 0; i < STACK_SOCKETS; i++) {
		struct stack_socket *k = &s->sockets[i];
		if (k->fd >= 0)
			continue;
		*k = (struct stack_socket){.fd = -1,
					   .config = s->config,
					   .send_bytes = SEND_BUFFER_BYTES,
					   .keepalive_idle_ns = KEEPALIVE_IDLE_NS,
					   .delayed_ack_ns = s->config.delayed_ack_ns};
		if (s->config.keepalive_idle_ns)
			k->keepalive_idle_ns = s->config.keepalive_idle_ns;
		extents_init(&k->tx);
		return k;
	}
	errno = EMFILE;
	return NULL;
}

void stack_free_socket(struct stack_socket *k)
{
	free(k->tcp);
	free(k->send_buffer);
	*k = (struct stack_socket){.fd = -1};
}

static struct stack_socket *find_tuple(struct stack *s, const struct tcp_tuple *tuple)
{
	for (int i = 0; i < STACK_SOCKETS; i++) {
		struct stack_socket *k = &s->sockets[i];
		if (k->fd >= 0 && k->tcp && k->tuple.local_ip == tuple->local_ip &&
		    k->tuple.remote_ip == tuple->remote_ip && k->tuple.local_port == tuple->local_port &&
		    k->tuple.remote_port == tuple->remote_port)
			return k;
	}
	return NULL;
}

static int errno_of(int error)
{
	switch (error) {
	case HW_ERR_CONN_REFUSED:
		return ECONNREFUSED;
	case HW_ERR_CONN_RESET:
		return ECONNRESET;
	case HW_ERR_CONN_TIMEOUT:
	case HW_ERR_CONN_LOST:
		return ETIMEDOUT;
	case HW_ERR_HOST_UNREACHABLE:
		return EHOSTUNREACH;
	case HW_ERR_CONN_ABORTED:
		return ECONNABORTED;
	default:
		return 0;
	}
}

static void queue_packet(struct stack *s, const uint8_t *packet, size_t len)
{
	struct stack_packet *p = malloc(sizeof *p + len);
	assert(p);
	p->next = NULL;
	p->sent_ns = s->now_ns;
	p->len = len;
	memcpy(p->octets, packet, len);
	*s->newest = p;
	s->newest = &p->next;
}

static void send_due(struct stack *s, struct stack_socket *k)
{
	uint8_t packet[65536];
	size_t len;
	while ((len = tcp_output(k->tcp, packet, sizeof packet, s->now_ns)) > 0)
		queue_packet(s, packet, len);
}

void stack_update(struct stack *s, struct stack_socket *k)
{
	uint32_t readable;
	tcp_readable(k->tcp, &readable);
	if (k->closed && readable) /* RFC 1122, 4.2.2.13: nobody will read it, and the peer should know */
		tcp_abort(k->tcp, s->now_ns);
	send_due(s, k);
	if (tcp_state_of(k->tcp) != TCP_CLOSED)
		return;
	if (!k->ended && !k->closed)
		k->error = errno_of(tcp_error(k->tcp));
	k->ended = true;
	if (k->closed)
		stack_free_socket(k);
}

/* ---- the clock ---- */

static bool alive(const struct stack_socket *k)
{
	return k->fd >= 0 && k->tcp;
}

uint64_t stack_deadline(const struct stack *s)
{
	uint64_t first_ns = stack_blocked_until(s);
	for (int i = 0; i < STACK_SOCKETS; i++) {
		const struct stack_socket *k = &s->sockets[i];
		if (alive(k) && tcp_deadline(k->tcp) < first_ns)
			first_ns = tcp_deadline(k->tcp);
	}
	return first_ns;
}

static void fire_timers(struct stack *s)
{
	for (int i = 0; i < STACK_SOCKETS; i++) {
		struct stack_socket *k = &s->sockets[i];
		if (alive(k) && tcp_deadline(k->tcp) <= s->now_ns) {
			tcp_timer(k->tcp, s->now_ns);
			stack_update(s, k);
		}
	}
}

void stack_advance(struct stack *s, uint64_t until_ns)
{
	uint32_t at_this_instant = 0;
	for (uint64_t next_ns; (next_ns = stack_deadline(s)) <= until_ns;) {
		at_this_instant = next_ns > s->now_ns ? 0 : at_this_instant + 1;
		assert(at_this_instant < TIMERS_AT_AN_INSTANT); /* a timer that fires for ever */
		if (next_ns > s->now_ns)
			s->now_ns = next_ns;
		fire_timers(s);
		stack_wake_blocked(s);
	}
	if (until_ns > s->now_ns)
		s->now_ns = until_ns;
}

int stack_usleep(void *userdata, useconds_t usecs)
{
	struct stack *s = userdata;
	stack_advance(s, s->now_ns + usecs * US);
	return 0;
}

/* packetdrill waits for points in time by asking for the time: it has to pass. */
int stack_gettimeofday(void *userdata, struct timeval *tv, struct timezone *tz)
{
	struct stack *s = userdata;
	stack_advance(s, s->now_ns + US);
	tv->tv_sec = (time_t)(s->now_ns / (1000 * MS));
	tv->tv_usec = (suseconds_t)(s->now_ns / US % 1000000);
	stack_go_on(s);
	return 0;
}

/* ---- the network device ---- */

static void take_icmp(struct stack *s, const uint8_t *packet, size_t len)
{
	struct icmp_error icmp;
	if (icmp_error_parse(packet, len, &icmp))
		return;
	struct tcp_tuple tuple = {.local_ip = icmp.quoted_source_ip,
				  .remote_ip = icmp.quoted_destination_ip,
				  .local_port = icmp.quoted_source_port,
				  .remote_port = icmp.quoted_destination_port};
	struct stack_socket *k = find_tuple(s, &tuple);
	if (!k)
		return;
	tcp_icmp(k->tcp, icmp.type, icmp.code, icmp.quoted_sequence, icmp.next_mtu, s->now_ns);
	stack_update(s, k);
}

/* For no connection of ours: RFC 9293, 3.10.7.1. */
static void refuse(struct stack *s, const uint8_t *packet, size_t len)
{
	struct stray_segment segment;
	uint8_t rst[REFUSAL_RST_BYTES];
	if (stray_segment_parse(packet, len, &segment))
		return;
	size_t rst_len = refusal_build_rst(rst, &segment);
	if (rst_len)
		queue_packet(s, rst, rst_len);
}

int stack_packet_in(void *userdata, const void *packet, size_t len)
{
	struct stack *s = userdata;
	struct tcp_segment segment = {0};
	int err = tcp_segment_parse(packet, len, true, &segment);
	if (err == HW_ERR_PACKET_NOT_OURS) {
		take_icmp(s, packet, len);
		return 0;
	}
	struct stack_socket *k = err ? NULL : find_tuple(s, &segment.tuple);
	if (k) {
		tcp_input(k->tcp, &segment, s->now_ns);
		stack_update(s, k);
	} else if (!err) {
		refuse(s, packet, len);
	}
	return 0;
}

int stack_packet_out(void *userdata, void *packet, size_t *len, long long *usecs)
{
	struct stack *s = userdata;
	uint64_t until_ns = s->now_ns + s->patience_ns;
	while (!s->oldest && stack_deadline(s) <= until_ns)
		stack_advance(s, stack_deadline(s));
	struct stack_packet *p = s->oldest;
	*usecs = (long long)((p ? p->sent_ns : s->now_ns) / US);
	if (!p) {
		*len = 0;
		return 0;
	}
	if (p->len > *len) {
		errno = EMSGSIZE;
		return -1;
	}
	*len = p->len;
	memcpy(packet, p->octets, p->len);
	s->oldest = p->next;
	if (!s->oldest)
		s->newest = &s->oldest;
	free(p);
	return 0;
}

/* ---- its life ---- */

void stack_init(struct stack *s)
{
	*s = (struct stack){.now_ns = STARTED_NS, .patience_ns = PATIENCE_NS, .next_port = FIRST_PORT};
	tcp_config_init(&s->config);
	s->newest = &s->oldest;
	for (int i = 0; i < STACK_SOCKETS; i++)
		s->sockets[i].fd = -1;
	stack_threads_init(s);
}

/* Descriptors still open are packetdrill's to close; it has done so by now. */
void stack_fini(struct stack *s)
{
	for (int i = 0; i < STACK_SOCKETS; i++)
		stack_free_socket(&s->sockets[i]);
	while (s->oldest) {
		struct stack_packet *next = s->oldest->next;
		free(s->oldest);
		s->oldest = next;
	}
	stack_threads_fini(s);
}

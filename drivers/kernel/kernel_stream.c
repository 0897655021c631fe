#define _GNU_SOURCE
#include "drivers/kernel/kernel_stream.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/tcp.h> /* not netinet/tcp.h, whose tcp_info lacks the counters */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dataplane/base/deadlines.h"
#include "dataplane/base/error.h"

#define RECEIVE_BYTES     65536u
#define IOV_MAX_USED      16
#define SSTHRESH_NONE     (INT32_MAX / 65536)
#define STATE_ESTABLISHED 1            /* TCP_ESTABLISHED of the kernel's tcp_states.h */
#define UNSENT_MAX        (256 * 1024) /* octets handed over, or in the socket, that have not left yet */

struct kernel_stream {
	struct stream stream;
	int fd; /* -1: none */
	bool writable;
	bool finish;     /* shut down the sending side once everything is written */
	bool wants_read; /* epoll said so, or the last read filled the buffer */
	int send_error;  /* what a write failed with, for reading to report */
	bool ending;     /* an end or an error lies behind what is to be read: no further edge will tell */
	uint32_t segments_sent, segments_received; /* as last asked */
	struct stream_info last;
	uint32_t held, taken; /* in buffer: octets received, octets consumed */
	uint8_t buffer[RECEIVE_BYTES];
};

struct kernel_transport {
	struct transport transport;
	int epoll;
	uint32_t stream_count;
	struct deadlines deadlines; /* by index: connect timeout */
	struct kernel_transport_stats stats;
	struct kernel_stream *streams;
};

static inline struct kernel_transport *transport_of(const struct transport *tp)
{
	return (struct kernel_transport *)(uintptr_t)tp;
}

static inline struct kernel_stream *stream_of(const struct stream *s)
{
	return (struct kernel_stream *)(uintptr_t)s;
}

static int error_of(int err)
{
	switch (err) {
	case ECONNREFUSED:
		return HW_ERR_CONN_REFUSED;
	case ECONNRESET:
	case EPIPE:
		return HW_ERR_CONN_RESET;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EACCES:
	case EPERM:
		return HW_ERR_HOST_UNREACHABLE;
	default:
		return HW_ERR_SYSTEM;
	}
}

static void info(const struct stream *s, struct stream_info *out);

static void end(struct kernel_stream *ks, int error)
{
	struct kernel_transport *kt = transport_of(ks->stream.transport);
	struct stream_info last;
	if (ks->fd >= 0) {
		info(&ks->stream, &last); /* counts its last segments */
		close(ks->fd);            /* leaves the epoll set by itself */
	}
	ks->fd = -1;
	ks->stream.state = STREAM_CLOSED;
	ks->stream.error = error;
	deadlines_set(&kt->deadlines, ks->stream.index, DEADLINE_NEVER);
	stream_mark_ready(&ks->stream);
}

/* ETIMEDOUT means one thing while connecting and another later. */
static void fail(struct kernel_stream *ks, int err)
{
	bool connecting = ks->stream.state == STREAM_CONNECTING;
	end(ks, err == ETIMEDOUT ? (connecting ? HW_ERR_CONN_TIMEOUT : HW_ERR_CONN_LOST) : error_of(err));
}

/* ---- receiving ---- */

static void finish_connect(struct kernel_stream *ks)
{
	int err = 0;
	socklen_t len = sizeof err;
	getsockopt(ks->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		fail(ks, err);
		return;
	}
	struct kernel_transport *kt = transport_of(ks->stream.transport);
	deadlines_set(&kt->deadlines, ks->stream.index, DEADLINE_NEVER);
	ks->stream.state = STREAM_OPEN;
	ks->writable = true;
}

/* Fills the buffer. A reset is noticed only once everything in front of it has been read. */
static void fill(struct kernel_stream *ks)
{
	struct kernel_transport *kt = transport_of(ks->stream.transport);
	if (ks->taken == ks->held)
		ks->taken = ks->held = 0;
	if (ks->fd < 0 || !ks->wants_read || ks->held == RECEIVE_BYTES)
		return;
	ssize_t n = recv(ks->fd, ks->buffer + ks->held, RECEIVE_BYTES - ks->held, MSG_DONTWAIT);
	kt->stats.reads++;
	if (n > 0) {
		kt->stats.octets_received += (uint64_t)n;
		ks->wants_read = ks->ending || (uint32_t)n == RECEIVE_BYTES - ks->held;
		ks->held += (uint32_t)n;
	} else if (n == 0 && ks->send_error) {
		fail(ks, ks->send_error);
	} else if (n == 0) {
		ks->wants_read = false;
		ks->stream.peer_finished = true;
		if (ks->stream.state == STREAM_CLOSING)
			end(ks, 0);
	} else if (errno == EAGAIN || errno == EINTR) {
		ks->wants_read = errno == EINTR;
	} else {
		fail(ks, errno);
	}
}

static void receive(struct transport *tp, uint64_t now_ns)
{
	struct kernel_transport *kt = transport_of(tp);
	struct epoll_event events[32];
	int n = epoll_wait(kt->epoll, events, 32, 0);
	for (int i = 0; i < n; i++) {
		struct kernel_stream *ks = &kt->streams[events[i].data.u32];
		if (ks->fd < 0)
			continue;
		if (ks->stream.state == STREAM_CONNECTING && (events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			finish_connect(ks);
		if (events[i].events & EPOLLOUT)
			ks->writable = true;
		if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP))
			ks->wants_read = true;
		if (events[i].events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
			ks->ending = true;
		fill(ks);
		stream_mark_ready(&ks->stream);
	}
	tp->next_deadline_ns = deadlines_next(&kt->deadlines);
}

static const uint8_t *readable(struct stream *s, uint32_t *len)
{
	struct kernel_stream *ks = stream_of(s);
	if (ks->taken == ks->held)
		fill(ks);
	*len = ks->held - ks->taken;
	return ks->buffer + ks->taken;
}

static void consume(struct stream *s, uint32_t len, uint64_t now_ns)
{
	stream_of(s)->taken += len;
}

static void timers(struct transport *tp, uint64_t now_ns)
{
	struct kernel_transport *kt = transport_of(tp);
	while (deadlines_next(&kt->deadlines) <= now_ns)
		end(&kt->streams[deadlines_first(&kt->deadlines)], HW_ERR_CONN_TIMEOUT);
	tp->next_deadline_ns = deadlines_next(&kt->deadlines);
}

/* ---- sending ---- */

static int gather(const struct extent_queue *q, struct iovec *iov)
{
	int n = 0;
	for (uint64_t at = q->start; at < q->end && n < IOV_MAX_USED; n++) {
		uint64_t len;
		iov[n].iov_base = (void *)(uintptr_t)extents_at(q, at, &len);
		iov[n].iov_len = len;
		at += len;
	}
	return n;
}

static void transmit(struct stream *s, uint64_t now_ns)
{
	struct kernel_stream *ks = stream_of(s);
	struct kernel_transport *kt = transport_of(s->transport);
	while (ks->fd >= 0 && ks->writable && s->tx.start < s->tx.end) {
		struct iovec iov[IOV_MAX_USED];
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)gather(&s->tx, iov)};
		ssize_t n = sendmsg(ks->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		kt->stats.writes++;
		if (n >= 0) {
			kt->stats.octets_sent += (uint64_t)n;
			extents_pop(&s->tx, s->tx.start + (uint64_t)n);
		} else if (errno == EAGAIN) {
			ks->writable = false; /* the next EPOLLOUT edge says when */
		} else if (errno != EINTR) {
			/* What the broker said before it went is still to be read: let receiving find the end. */
			ks->wants_read = ks->ending = true;
			ks->send_error = errno; /* told once: reading will only see an end of file */
			ks->writable = false;
			stream_mark_ready(s);
		}
	}
	if (ks->fd >= 0 && ks->finish && s->tx.start == s->tx.end) {
		ks->finish = false;
		shutdown(ks->fd, SHUT_WR);
	}
}

static uint64_t may_push(const struct stream *s)
{
	uint64_t unsent = s->tx.end - s->tx.start;
	return stream_of(s)->writable && unsent < UNSENT_MAX ? UNSENT_MAX - unsent : 0;
}

static uint64_t sent(const struct stream *s)
{
	return s->tx.start;
}

/* ---- life ---- */

/* Little is left in the socket's own buffer: what is in there cannot be held back when the broker says blocked. */
static int set_options(int fd)
{
	int one = 1, unsent = UNSENT_MAX;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent))
		return HW_ERR_SYSTEM;
	return 0;
}

static int connect_to(int fd, const struct stream_address *a)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(a->remote_port), .sin_addr.s_addr = htonl(a->remote_ip)};
	if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS)
		return 0;
	return error_of(errno);
}

static int open_stream(struct transport *tp, uint32_t index, const struct stream_address *a, uint64_t now_ns)
{
	struct kernel_transport *kt = transport_of(tp);
	struct kernel_stream *ks = &kt->streams[index];
	assert(ks->fd < 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return HW_ERR_SYSTEM;
	struct epoll_event want = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = index};
	int err = set_options(fd);
	if (!err)
		err = connect_to(fd, a);
	if (!err && epoll_ctl(kt->epoll, EPOLL_CTL_ADD, fd, &want) != 0)
		err = HW_ERR_SYSTEM;
	extents_init(&ks->stream.tx);
	if (err) {
		close(fd);
		return err;
	}
	ks->fd = fd;
	ks->writable = ks->finish = ks->wants_read = ks->ending = false;
	ks->held = ks->taken = 0;
	ks->send_error = 0;
	ks->segments_sent = ks->segments_received = 0;
	ks->stream.peer_finished = false;
	ks->stream.error = 0;
	ks->stream.state = STREAM_CONNECTING;
	deadlines_set(&kt->deadlines, index, now_ns + a->connect_timeout_ns);
	tp->next_deadline_ns = deadlines_next(&kt->deadlines);
	return 0;
}

static void close_stream(struct stream *s, uint64_t now_ns)
{
	struct kernel_stream *ks = stream_of(s);
	if (s->state != STREAM_OPEN)
		return;
	s->state = STREAM_CLOSING;
	ks->finish = true;
	ks->wants_read = true; /* the peer may have finished already */
	stream_mark_ready(s);
}

static void abort_stream(struct stream *s, uint64_t now_ns)
{
	struct kernel_stream *ks = stream_of(s);
	struct linger reset = {.l_onoff = 1, .l_linger = 0};
	if (ks->fd >= 0)
		setsockopt(ks->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	end(ks, HW_ERR_CONN_ABORTED);
}

static void next_hop(struct stream *s, const uint8_t mac[6])
{
}

static void info(const struct stream *s, struct stream_info *out)
{
	struct kernel_stream *ks = stream_of(s);
	struct kernel_transport *kt = transport_of(s->transport);
	struct tcp_info ti;
	socklen_t len = sizeof ti;
	*out = ks->last; /* what the socket said last, once it is gone */
	strcpy(out->state, "CLOSED");
	if (ks->fd < 0 || getsockopt(ks->fd, IPPROTO_TCP, TCP_INFO, &ti, &len) != 0)
		return;
	strcpy(out->state, ti.tcpi_state == STATE_ESTABLISHED ? "ESTABLISHED" : "CLOSING");
	out->srtt_ns = ti.tcpi_rtt * 1000ull;
	out->rttvar_ns = ti.tcpi_rttvar * 1000ull;
	out->rto_ns = ti.tcpi_rto * 1000ull;
	out->mss = ti.tcpi_snd_mss;
	out->cwnd = ti.tcpi_snd_cwnd * ti.tcpi_snd_mss;
	/* Linux's word for 'none' is no number of octets. */
	out->ssthresh = ti.tcpi_snd_ssthresh < SSTHRESH_NONE ? ti.tcpi_snd_ssthresh * ti.tcpi_snd_mss : UINT32_MAX;
	out->receive_window = ti.tcpi_rcv_space;
	out->in_flight = ti.tcpi_unacked * ti.tcpi_snd_mss;
	out->retransmits = ti.tcpi_total_retrans;
	out->octets_sent = ti.tcpi_bytes_sent;
	out->segments_sent = ti.tcpi_segs_out;
	out->segments_received = ti.tcpi_segs_in;
	/* Linux before 5.4 does not tell: then it is never found closed. */
	out->peer_window = len > offsetof(struct tcp_info, tcpi_snd_wnd) ? ti.tcpi_snd_wnd : UINT32_MAX;
	out->unsent = s->tx.end - s->tx.start + ti.tcpi_notsent_bytes;
	kt->stats.segments_sent += ti.tcpi_segs_out - ks->segments_sent;
	kt->stats.segments_received += ti.tcpi_segs_in - ks->segments_received;
	ks->segments_sent = ti.tcpi_segs_out;
	ks->segments_received = ti.tcpi_segs_in;
	ks->last = *out;
}

static void destroy(struct transport *tp)
{
	struct kernel_transport *kt = transport_of(tp);
	for (uint32_t i = 0; kt->streams && i < kt->stream_count; i++)
		if (kt->streams[i].fd >= 0)
			close(kt->streams[i].fd);
	if (kt->epoll >= 0)
		close(kt->epoll);
	deadlines_fini(&kt->deadlines);
	free(kt->streams);
	free(kt);
}

static const struct transport_ops kernel_transport_ops = {
	.receive = receive,
	.timers = timers,
	.open = open_stream,
	.may_push = may_push,
	.transmit = transmit,
	.readable = readable,
	.consume = consume,
	.close = close_stream,
	.abort = abort_stream,
	.sent = sent,
	.next_hop = next_hop,
	.info = info,
	.destroy = destroy,
};

int kernel_transport_create(uint32_t streams, struct transport **out)
{
	assert(streams >= 1 && streams <= STREAMS_MAX);
	struct kernel_transport *kt = calloc(1, sizeof *kt);
	if (!kt)
		return HW_ERR_NOMEM;
	kt->stream_count = streams;
	kt->epoll = epoll_create1(EPOLL_CLOEXEC);
	kt->streams = calloc(streams, sizeof *kt->streams);
	kt->transport.ops = &kernel_transport_ops;
	kt->transport.next_deadline_ns = DEADLINE_NEVER;
	int err = kt->epoll < 0 ? HW_ERR_SYSTEM : !kt->streams ? HW_ERR_NOMEM : 0;
	for (uint32_t i = 0; !err && i < streams; i++) {
		kt->streams[i].fd = -1;
		kt->streams[i].stream.transport = &kt->transport;
		kt->streams[i].stream.index = i;
		kt->transport.streams[i] = &kt->streams[i].stream;
	}
	if (!err)
		err = deadlines_init(&kt->deadlines, streams);
	if (err) {
		destroy(&kt->transport);
		return err;
	}
	*out = &kt->transport;
	return 0;
}

void kernel_transport_stats(const struct transport *tp, struct kernel_transport_stats *stats)
{
	*stats = transport_of(tp)->stats;
}

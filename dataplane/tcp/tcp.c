/* The life of a connection. */
#include "dataplane/tcp/tcp.h"

#include <assert.h>
#include <string.h>

#include "dataplane/base/error.h"
#include "dataplane/tcp/tcp_internal.h"

#define MS 1000000ull

/*
 * For a broker on the same LAN.
 *   rto_min         5 ms: a peer that delays its ACKs longer raises it by itself (rtt.c).
 *   delayed_ack     1 ms: an owner that publishes answers confirms with its next message, in the same turn or a
 * few later; an idle one still acknowledges long before any peer's timeout (Linux: 200 ms at least).
 */
void tcp_config_init(struct tcp_config *config)
{
	*config = (struct tcp_config){
		.mtu = 1500,
		.receive_bytes = 65536,
		.rto_min_ns = 5 * MS,
		.rto_max_ns = 60000 * MS,
		.connect_timeout_ns = 10000 * MS,
		.user_timeout_ns = 30000 * MS,
		.time_wait_ns = 60000 * MS,
		.keepalive_idle_ns = 0, /* AMQP's heartbeats do it better */
		.keepalive_interval_ns = 1000 * MS,
		.keepalive_probes = 5,
		.delayed_ack_ns = 1 * MS,
		.control = TCP_CUBIC,
		.cwnd_max_bytes = 1u << 30,
		.restart_after_idle = false, /* feeds pause, and the network is not another one after it */
		.ttl = 64,
		.verify_checksum = true,
		.fill_checksum = true,
	};
}

static size_t ring_offset(void)
{
	return (sizeof(struct tcp) + 63) & ~(size_t)63;
}

size_t tcp_size(const struct tcp_config *config)
{
	return ring_offset() + config->receive_bytes;
}

struct tcp *tcp_init(void *memory, const struct tcp_config *config)
{
	assert(((uintptr_t)memory & 63) == 0);
	assert(config->mtu >= TCP_MTU_MIN);
	assert(config->cwnd_max_bytes >= 2u * config->mtu && config->cwnd_max_bytes <= 1u << 30);
	assert(!config->tso_bytes || !config->fill_checksum);
	assert(config->receive_bytes >= 4096 && config->receive_bytes <= 1u << 20);
	assert((config->receive_bytes & (config->receive_bytes - 1)) == 0);
	struct tcp *t = memory;
	memset(t, 0, sizeof *t);
	t->config = *config;
	t->state = TCP_CLOSED;
	t->receive.ring = (uint8_t *)memory + ring_offset();
	t->receive.mask = config->receive_bytes - 1;
	tcp_timers_clear(t);
	return t;
}

/* What a connection starts from; the configuration and the memory stay. */
static void reset(struct tcp *t, const struct tcp_tuple *tuple, uint32_t isn, struct extent_queue *tx)
{
	struct tcp_config config = t->config;
	/* Several retransmissions or probes have to fit the user timeout: one that gets lost must not be the end. */
	uint64_t most_ns = config.user_timeout_ns ? config.user_timeout_ns / 4 : config.rto_max_ns;
	if (config.rto_max_ns > most_ns)
		config.rto_max_ns = most_ns > config.rto_min_ns ? most_ns : config.rto_min_ns;
	tcp_init(t, &config);
	t->opened = true;
	t->tuple = *tuple;
	t->tx = tx;
	t->isn = t->snd_una = t->snd_nxt = isn;
	t->path_mtu = config.mtu;
	t->peer_mss = TCP_DEFAULT_PEER_MSS;
	tcp_receive_init(t, 0);
	tcp_set_mss(t);
	tcp_build_template(t);
	tcp_rtt_init(t);
	tcp_scoreboard_init(t);
	tcp_rack_init(t);
	tcp_recovery_init(t);
}

int tcp_open(struct tcp *t, const struct tcp_tuple *tuple, uint32_t isn, struct extent_queue *tx, uint64_t now_ns)
{
	if (t->state != TCP_CLOSED)
		return HW_ERR_BUSY;
	assert(tx->start == 0 && tx->end == 0);
	reset(t, tuple, isn, tx);
	t->syn_due = true;
	t->progress_ns = t->called_ns = now_ns;
	tcp_note(t, TCP_TRACE_OPEN, 0, isn, tuple->remote_ip, (uint32_t)tuple->local_port << 16 | tuple->remote_port);
	if (t->config.connect_timeout_ns)
		tcp_timer_set(t, TCP_TIMER_USER, now_ns + t->config.connect_timeout_ns);
	tcp_set_state(t, TCP_SYN_SENT);
	return 0;
}

/* Every transition of RFC 9293, figure 5, that a client can make; to CLOSED from anywhere. */
void tcp_set_state(struct tcp *t, enum tcp_state state)
{
#define TO(s) (1u << TCP_##s)
	static const uint16_t allowed[] = {
		[TCP_CLOSED] = TO(SYN_SENT),
		[TCP_SYN_SENT] = TO(SYN_RECEIVED) | TO(ESTABLISHED),
		[TCP_SYN_RECEIVED] = TO(ESTABLISHED),
		[TCP_ESTABLISHED] = TO(FIN_WAIT_1) | TO(CLOSE_WAIT),
		[TCP_FIN_WAIT_1] = TO(FIN_WAIT_2) | TO(CLOSING) | TO(TIME_WAIT),
		[TCP_FIN_WAIT_2] = TO(TIME_WAIT),
		[TCP_CLOSE_WAIT] = TO(LAST_ACK),
		[TCP_CLOSING] = TO(TIME_WAIT),
		[TCP_LAST_ACK] = 0,
		[TCP_TIME_WAIT] = 0,
	};
#undef TO
	assert(state == TCP_CLOSED || allowed[t->state] & 1u << state);
	t->state = state;
	if (state == TCP_ESTABLISHED && t->fin_queued) /* closed while it was being opened */
		t->state = TCP_FIN_WAIT_1;
	tcp_note(t, TCP_TRACE_STATE, t->state, 0, 0, state == TCP_CLOSED ? (uint32_t)t->error : 0);
	tcp_update_permission(t);
}

/* What has been received in order stays readable. */
void tcp_enter_closed(struct tcp *t, int error)
{
	t->error = error;
	t->syn_due = t->ack_due = t->probe_due = t->keepalive.due = false;
	tcp_timers_clear(t);
	tcp_set_state(t, TCP_CLOSED);
}

void tcp_enter_time_wait(struct tcp *t, uint64_t now_ns)
{
	tcp_set_state(t, TCP_TIME_WAIT);
	tcp_timer_clear(t, TCP_TIMER_RETRANSMIT);
	tcp_timer_clear(t, TCP_TIMER_PERSIST);
	tcp_timer_clear(t, TCP_TIMER_USER);
	tcp_timer_set(t, TCP_TIMER_IDLE, now_ns + t->config.time_wait_ns);
}

/* RFC 9293, 3.7.1: the smaller of the peer's and the path's, less what options take of every segment. */
void tcp_set_mss(struct tcp *t)
{
	uint32_t mss = t->path_mtu - TCP_HEADERS_BYTES;
	if (t->peer_mss < mss)
		mss = t->peer_mss;
	if (mss < TCP_MSS_FLOOR)
		mss = TCP_MSS_FLOOR;
	t->mss = mss - (t->timestamps ? TCP_TIMESTAMP_BYTES : 0);
}

static void note_negotiated(const struct tcp *t)
{
	uint32_t has = (t->timestamps ? TCP_TRACE_HAS_TIMESTAMPS : 0) | (t->sack_permitted ? TCP_TRACE_HAS_SACK : 0) |
		       (t->scaling ? TCP_TRACE_HAS_SCALE : 0) | (t->ecn.on ? TCP_TRACE_HAS_ECN : 0);
	tcp_note(t, TCP_TRACE_NEGOTIATED, has, t->mss, t->irs, t->snd_scale);
}

void tcp_negotiate(struct tcp *t, const struct tcp_segment *syn, uint64_t now_ns)
{
	t->peer_mss = syn->mss ? syn->mss : TCP_DEFAULT_PEER_MSS;
	t->timestamps = syn->has_timestamps;
	t->ts_recent = syn->has_timestamps ? syn->ts_value : 0;
	t->ts_recent_ns = now_ns;
	t->last_ack_sent = t->rcv_nxt;
	t->sack_permitted = syn->sack_permitted;
	t->scaling = syn->has_window_scale;
	t->snd_scale = t->scaling ? syn->window_scale : 0;
	t->rcv_scale = t->scaling ? tcp_window_scale_wanted(&t->config) : 0;
	tcp_ecn_negotiate(t, syn);
	tcp_set_mss(t);
	tcp_build_template(t);
	tcp_congestion_init(t);
	tcp_receive_update_window(t);
	note_negotiated(t);
}

void tcp_close(struct tcp *t, uint64_t now_ns)
{
	t->called_ns = now_ns;
	if (t->fin_queued)
		return;
	switch (t->state) {
	case TCP_SYN_SENT:
		tcp_enter_closed(t, 0);
		return;
	case TCP_SYN_RECEIVED:
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
		break;
	default:
		return;
	}
	t->fin_queued = true;
	t->fin_offset = t->tx->end;
	if (t->state == TCP_ESTABLISHED)
		tcp_set_state(t, TCP_FIN_WAIT_1);
	else if (t->state == TCP_CLOSE_WAIT)
		tcp_set_state(t, TCP_LAST_ACK);
	tcp_update_permission(t);
}

/*
 * RFC 9293, 3.10.5, and a reset from SYN-SENT, too, once the SYN is out: the peer would keep a half-open connection
 * until its SYN-ACKs time out. None in TIME-WAIT, CLOSING and LAST-ACK, where both sides have finished.
 */
void tcp_abort(struct tcp *t, uint64_t now_ns)
{
	t->called_ns = now_ns;
	bool known = t->state != TCP_CLOSED && t->snd_nxt != t->isn;
	bool finished =
		t->fin_sent && (t->state == TCP_CLOSING || t->state == TCP_LAST_ACK || t->state == TCP_TIME_WAIT);
	if (known && !finished) {
		t->reset_due = true;
		t->reset_seq = t->snd_nxt;
		t->reset_has_ack = t->state != TCP_SYN_SENT;
		t->reset_ack = t->rcv_nxt;
	}
	if (t->state != TCP_CLOSED)
		tcp_enter_closed(t, HW_ERR_CONN_ABORTED);
}

uint64_t tcp_sent(const struct tcp *t)
{
	return t->nxt_offset;
}

uint64_t tcp_acked(const struct tcp *t)
{
	return t->tx ? t->tx->start : 0;
}

enum tcp_state tcp_state_of(const struct tcp *t)
{
	return t->state;
}

const char *tcp_state_name(enum tcp_state state)
{
	static const char *const names[] = {
		[TCP_CLOSED] = "CLOSED",           [TCP_SYN_SENT] = "SYN-SENT",     [TCP_SYN_RECEIVED] = "SYN-RECEIVED",
		[TCP_ESTABLISHED] = "ESTABLISHED", [TCP_FIN_WAIT_1] = "FIN-WAIT-1", [TCP_FIN_WAIT_2] = "FIN-WAIT-2",
		[TCP_CLOSE_WAIT] = "CLOSE-WAIT",   [TCP_CLOSING] = "CLOSING",       [TCP_LAST_ACK] = "LAST-ACK",
		[TCP_TIME_WAIT] = "TIME-WAIT",
	};
	return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "?";
}

int tcp_error(const struct tcp *t)
{
	return t->state == TCP_CLOSED ? t->error : 0;
}

void tcp_info_get(const struct tcp *t, struct tcp_info *info)
{
	*info = (struct tcp_info){
		.state = t->state,
		.srtt_ns = t->rtt.srtt_ns,
		.rttvar_ns = t->rtt.rttvar_ns,
		.ecn = t->ecn.on,
		.min_rtt_ns = t->rtt.valid ? tcp_rtt_min(t) : 0,
		.ack_delay_ns = t->rtt.delay_ns,
		.rto_ns = t->rto_ns,
		.cwnd = t->congestion.cwnd,
		.ssthresh = t->congestion.ssthresh,
		.peer_window = t->snd_wnd,
		.receive_window = tcp_receive_window(t),
		.in_flight = tcp_flight(t),
		.mss = t->mss,
		.counters = t->counters,
	};
}

/* Packets: script to live and back, and whether what left is what the script says. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/packetdrill/run_play.h"
#include "tests/packetdrill/run_wire.h"

#define PACKET_ROOM 65536u

/* ---- sequence numbers: absolute in SYNs, else relative to them ---- */

/* What to add to a script's number of ours to have the live one. */
static uint32_t local_offset(const struct peer *peer, bool syn)
{
	return syn ? peer->live_isn - peer->script_isn : peer->live_isn;
}

static uint32_t remote_offset(const struct peer *peer, bool syn)
{
	return syn ? 0 : peer->remote_isn;
}

static void move_sack_blocks(struct packet *p, uint32_t by)
{
	struct wire_option option;
	for (uint32_t at = 0; wire_next_option(p, &at, &option);)
		for (uint32_t i = 0; option.kind == WIRE_OPTION_SACK && i + 4 <= option.len; i += 4)
			wire_put_be32(option.body + i, wire_get_be32(option.body + i) + by);
}

/* ---- inbound ---- */

/* A timestamp of ours that the script names, as it was when live. */
static uint32_t live_timestamp(const struct play *p, uint32_t script)
{
	const struct peer *peer = &p->peer;
	for (uint32_t i = peer->timestamp_count; i-- > 0;)
		if (peer->timestamps[i].script == script)
			return peer->timestamps[i].live;
	if (!p->script->timestamp_echo_scaled || !peer->timestamps_seen)
		play_fail(p, "unable to infer live TS ecr for script TS ecr %u; no matching outbound TS val", script);
	return script - peer->first_script_timestamp + peer->first_live_timestamp;
}

static struct packet to_live(const struct play *p, const struct packet *script)
{
	const struct peer *peer = &p->peer;
	struct packet live = *script;
	bool syn = script->flags & FLAG_SYN;
	live.source_ip = REMOTE_IP;
	live.source_port = REMOTE_PORT;
	live.destination_ip = peer->local_ip;
	live.destination_port = peer->local_port;
	if (script->icmp) { /* what it quotes is ours */
		live.seq += local_offset(peer, false);
		return live;
	}
	live.seq += remote_offset(peer, syn);
	move_sack_blocks(&live, local_offset(peer, syn));
	if (!(script->flags & FLAG_ACK))
		return live;
	live.ack += local_offset(peer, syn);
	uint8_t *timestamps = wire_timestamps(&live);
	if (timestamps)
		wire_put_be32(timestamps + 4, live_timestamp(p, wire_get_be32(timestamps + 4)));
	return live;
}

static void print_packet(const struct play *p, const char *what, int64_t usecs, const struct packet *packet)
{
	fprintf(stderr, "%s packet: %9.6f ", what, (double)usecs / 1e6);
	if (packet->icmp)
		fprintf(stderr, "icmp type %u code %u", packet->icmp_type, packet->icmp_code);
	else
		wire_print(stderr, packet);
	fputc('\n', stderr);
}

static void inject(struct play *p, const struct packet *script)
{
	struct peer *peer = &p->peer;
	play_wait_for_event(p);
	if (peer->state == PEER_SYN_SENT && (script->flags & (FLAG_SYN | FLAG_ACK)) == (FLAG_SYN | FLAG_ACK)) {
		peer->state = PEER_SYN_ACKED;
		peer->remote_isn = script->seq;
	}
	if (peer->local_port == 0)
		play_fail(p, "no matching socket for script packet");
	struct packet live = to_live(p, script);
	if (p->verbose)
		print_packet(p, "inbound injected", play_now_usecs(p), &live);
	size_t len = wire_build(&live, p->octets);
	if (p->interface.netdev_send(p->interface.userdata, p->octets, len))
		play_fail(p, "netdev_send failed");
}

/* ---- outbound ---- */

static void learn_local_end(struct peer *peer, const struct packet *live)
{
	peer->local_ip = live->source_ip;
	peer->local_port = live->source_port;
	peer->live_isn = live->seq;
}

static bool is_for(const struct play *p, const struct packet *live)
{
	const struct peer *peer = &p->peer;
	return live->destination_ip == REMOTE_IP && live->destination_port == REMOTE_PORT &&
	       live->source_ip == peer->local_ip && live->source_port == peer->local_port;
}

/* The connection's next packet as it left, whenever that is; false: it never will. Others' packets are passed over. */
static bool sniff(struct play *p, struct packet *live, int64_t *usecs)
{
	struct peer *peer = &p->peer;
	for (;;) {
		size_t len = PACKET_ROOM;
		long long at;
		if (p->interface.netdev_receive(p->interface.userdata, p->octets, &len, &at))
			play_fail(p, "netdev_receive failed");
		if (len == 0)
			return false;
		const char *wrong = wire_parse(p->octets, len, live);
		if (wrong)
			play_fail(p, "%s", wrong);
		*usecs = at - p->started_usecs;
		bool syn = (live->flags & (FLAG_SYN | FLAG_ACK)) == FLAG_SYN;
		if (peer->local_port == 0 && peer->state == PEER_SYN_SENT && syn)
			learn_local_end(peer, live);
		if (is_for(p, live))
			return true;
	}
}

static void remember_timestamp(struct play *p, uint32_t script, uint32_t live)
{
	struct peer *peer = &p->peer;
	if (peer->timestamp_count == TIMESTAMPS_MAX)
		play_fail(p, "the script is too long");
	peer->timestamps[peer->timestamp_count].script = script;
	peer->timestamps[peer->timestamp_count++].live = live;
	if (!peer->timestamps_seen) {
		peer->timestamps_seen = true;
		peer->first_script_timestamp = script;
		peer->first_live_timestamp = live;
	}
}

/* The live packet in the script's numbers. */
static struct packet to_script(struct play *p, const struct packet *live, struct packet *expected)
{
	const struct peer *peer = &p->peer;
	struct packet actual = *live;
	bool syn = live->flags & FLAG_SYN;
	actual.seq -= local_offset(peer, syn);
	if (live->flags & FLAG_ACK)
		actual.ack -= remote_offset(peer, syn);
	move_sack_blocks(&actual, 0 - remote_offset(peer, syn));
	uint8_t *here = wire_timestamps(&actual), *there = wire_timestamps(expected);
	if (here && there) {
		remember_timestamp(p, wire_get_be32(there), wire_get_be32(here));
		wire_put_be32(here, wire_get_be32(here) - peer->first_live_timestamp + peer->first_script_timestamp);
	}
	return actual;
}

/* ---- comparing ---- */

struct mismatch {
	char text[160];
};

static bool differs(struct mismatch *m, const char *field, uint32_t expected, uint32_t actual)
{
	if (expected == actual)
		return false;
	snprintf(m->text, sizeof m->text, "live packet field %s: expected: %u (0x%x) vs actual: %u (0x%x)", field,
		 expected, expected, actual, actual);
	return true;
}

static bool ip_differs(struct mismatch *m, const struct packet *e, const struct packet *a)
{
	uint8_t ecn = a->tos & 3;
	if (e->tos_check == TOS_ECT && ecn != 1 && ecn != 2)
		return differs(m, "ip_ecn", 2, ecn);
	return (e->tos_check == TOS_ECN && differs(m, "ip_ecn", e->tos, ecn)) ||
	       (e->tos_check == TOS_WHOLE && differs(m, "tos", e->tos, a->tos)) ||
	       (e->ttl && differs(m, "ttl", e->ttl, a->ttl));
}

static bool header_differs(struct mismatch *m, const struct packet *e, const struct packet *a)
{
	static const char *const names[] = {"tcp_fin", "tcp_syn", "tcp_rst", "tcp_psh",
					    "tcp_ack", "tcp_urg", "tcp_ece", "tcp_cwr"};
	for (int i = 0; i < 8; i++)
		if (differs(m, names[i], e->flags >> i & 1, a->flags >> i & 1))
			return true;
	return differs(m, "payload", e->payload_len, a->payload_len) || differs(m, "tcp_seq", e->seq, a->seq) ||
	       differs(m, "tcp_ack_seq", e->ack, a->ack) ||
	       (!e->any_window && differs(m, "tcp_window", e->window, a->window)) ||
	       differs(m, "tcp_urg_ptr", e->urgent, a->urgent);
}

static bool timestamps_differ(const struct play *p, const uint8_t *e, const uint8_t *a)
{
	int64_t tick = p->script->timestamp_tick_usecs;
	int64_t off = (int32_t)(wire_get_be32(e) - wire_get_be32(a));
	return wire_get_be32(e + 4) != wire_get_be32(a + 4) || (tick && llabs(off) * tick > p->script->tolerance_usecs);
}

static bool options_differ(const struct play *p, struct mismatch *m, struct packet *e, struct packet *a)
{
	struct wire_option expected, actual;
	uint32_t at_e = 0, at_a = 0;
	if (e->any_options)
		return false;
	snprintf(m->text, sizeof m->text, "bad outbound TCP options");
	for (;;) {
		bool more = wire_next_option(e, &at_e, &expected);
		if (more != wire_next_option(a, &at_a, &actual))
			return true;
		if (!more)
			return at_a != a->options_len;
		if (expected.kind != actual.kind || expected.len != actual.len)
			return true;
		if (expected.kind == WIRE_OPTION_TIMESTAMPS ? timestamps_differ(p, expected.body, actual.body)
							    : memcmp(expected.body, actual.body, actual.len) != 0)
			return true;
	}
}

static void expect(struct play *p, const struct packet *script)
{
	struct packet live, expected = *script;
	struct mismatch m;
	int64_t usecs;
	if (p->peer.state == PEER_CONNECTING && (script->flags & (FLAG_SYN | FLAG_ACK)) == FLAG_SYN) {
		p->peer.state = PEER_SYN_SENT;
		p->peer.script_isn = script->seq;
	}
	if (!sniff(p, &live, &usecs)) {
		print_packet(p, "script", p->event->usecs, script);
		play_fail(p, "this packet never left: no timer is running");
	}
	if (p->verbose)
		print_packet(p, "outbound sniffed", usecs, &live);
	struct packet actual = to_script(p, &live, &expected);
	if (ip_differs(&m, &expected, &actual) || header_differs(&m, &expected, &actual) ||
	    options_differ(p, &m, &expected, &actual)) {
		print_packet(p, "script", p->event->usecs, script);
		print_packet(p, "actual", usecs, &actual);
		play_fail(p, "%s", m.text);
	}
	play_check_time(p, usecs, "outbound packet");
}

void play_packet(struct play *p, const struct packet *packet)
{
	if (packet->outbound)
		expect(p, packet);
	else
		inject(p, packet);
}

/* Looking for the next packet makes time pass: what leaves later than now was not asked about. */
void play_expect_no_more(struct play *p)
{
	struct packet live, nothing = {0};
	int64_t usecs, now_usecs = play_now_usecs(p);
	if (p->peer.local_port == 0 || !sniff(p, &live, &usecs) || usecs > now_usecs)
		return;
	struct packet actual = to_script(p, &live, &nothing);
	print_packet(p, "actual", usecs, &actual);
	play_fail(p, "the script ends here, but this packet had left");
}

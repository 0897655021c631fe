/* What routers and hosts say about our segments. Anyone could have said it: RFC 5927. */
#include "dataplane/net/icmp.h"
#include "dataplane/base/error.h"
#include "dataplane/tcp/tcp_internal.h"

/* RFC 1191, 7.1: routers that name no MTU; the next lower of the usual ones is tried. */
static uint16_t next_plateau(uint16_t mtu)
{
	static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, TCP_MTU_MIN};
	for (size_t i = 0; i < sizeof plateaus / sizeof plateaus[0]; i++)
		if (plateaus[i] < mtu)
			return plateaus[i];
	return TCP_MTU_MIN;
}

/*
 * The path takes less than we sent. Smaller values than 576 are not believed: they would be an attack on our packet
 * rate before they were a network that carries a broker's connection.
 */
static void lower_mtu(struct tcp *t, uint16_t next_mtu)
{
	uint16_t mtu = next_mtu ? next_mtu : next_plateau(t->path_mtu);
	if (mtu < TCP_MTU_MIN)
		mtu = TCP_MTU_MIN;
	if (mtu >= t->path_mtu)
		return;
	t->path_mtu = mtu;
	if (!tcp_synchronized(t)) {
		t->syn_due = true;
		return;
	}
	tcp_set_mss(t);
	tcp_note(t, TCP_TRACE_MTU, 0, 0, 0, t->mss);
	tcp_recovery_recut(t);
	tcp_update_permission(t);
}

/* RFC 9293, 3.9.2.2 and RFC 5461: only a connection that is being opened may be ended by an ICMP message. */
static int hard_error(uint8_t code)
{
	switch (code) {
	case ICMP_PORT_UNREACHABLE:
		return HW_ERR_CONN_REFUSED;
	case ICMP_PROTOCOL_UNREACHABLE:
	case ICMP_NET_PROHIBITED:
	case ICMP_HOST_PROHIBITED:
	case ICMP_COMMUNICATION_PROHIBITED:
		return HW_ERR_HOST_UNREACHABLE;
	default:
		return 0;
	}
}

static void unreachable(struct tcp *t, uint8_t code)
{
	int hard = hard_error(code);
	if (hard && t->state == TCP_SYN_SENT)
		tcp_enter_closed(t, hard);
	else
		t->soft_error = HW_ERR_HOST_UNREACHABLE;
}

void tcp_icmp(struct tcp *t, uint8_t type, uint8_t code, uint32_t quoted_seq, uint16_t next_mtu, uint64_t now_ns)
{
	/* RFC 5927, 4.1: it must quote something that is in flight */
	if (t->state == TCP_CLOSED || quoted_seq - t->snd_una >= tcp_flight(t))
		return;
	t->called_ns = now_ns;
	tcp_note(t, TCP_TRACE_ICMP, code, quoted_seq - t->isn, type, next_mtu);
	if (type != ICMP_DESTINATION_UNREACHABLE)
		return; /* source quench (RFC 6633), time exceeded, parameter problem: nothing to be done */
	if (code == ICMP_FRAGMENTATION_NEEDED)
		lower_mtu(t, next_mtu);
	else
		unreachable(t, code);
}

#include "control/nic/strays.h"

#include "dataplane/net/icmp.h"
#include "dataplane/net/ipv4.h"
#include "dataplane/net/refusal.h"

static bool may_refuse(struct strays *s, uint64_t now_ns)
{
	uint64_t from_ns = s->full_at_ns > now_ns ? s->full_at_ns : now_ns;
	if (from_ns - now_ns > (STRAYS_AT_ONCE - 1) * STRAYS_PERIOD_NS)
		return false;
	s->full_at_ns = from_ns + STRAYS_PERIOD_NS;
	return true;
}

static size_t take_icmp(const struct strays *s, uint8_t *reply, const uint8_t *packet, size_t len,
			const struct nic_events *events)
{
	struct icmp_error error;
	size_t reply_len = len <= SIDE_FRAME_BYTES ? icmp_build_echo_reply(reply, packet, len, s->our_ip) : 0;
	if (!reply_len && icmp_error_parse(packet, len, &error) == 0)
		events->icmp_error(events->context, &error);
	return reply_len;
}

static size_t take_segment(const struct strays *s, uint8_t *reply, const struct stray_segment *segment, uint32_t queue,
			   const struct nic_events *events)
{
	const struct driver_flow flow = {.local_ip = segment->local_ip,
					 .remote_ip = segment->remote_ip,
					 .local_port = segment->local_port,
					 .remote_port = segment->remote_port};
	if (segment->local_ip != s->our_ip || segment->remote_ip == s->our_ip ||
	    !ipv4_is_one_host(segment->remote_ip) || events->stray(events->context, &flow, queue))
		return 0;
	return refusal_build_rst(reply, segment);
}

size_t strays_answer(struct strays *s, uint8_t *reply, const uint8_t *packet, size_t len, uint32_t queue,
		     uint64_t now_ns, const struct nic_events *events)
{
	struct stray_segment segment;
	if (len >= IPV4_HEADER_BYTES && packet[9] == IPV4_PROTOCOL_ICMP)
		return take_icmp(s, reply, packet, len, events);
	size_t reply_len = stray_segment_parse(packet, len, &segment)
				   ? refusal_build_icmp(reply, packet, len, s->our_ip)
				   : take_segment(s, reply, &segment, queue, events);
	return reply_len && may_refuse(s, now_ns) ? reply_len : 0;
}

#include "control/feed/iextp.h"

#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"

int iextp_parse(const uint8_t *datagram, uint32_t len, uint32_t whole_len, struct iextp_header *header,
		struct iextp_messages *messages)
{
	if (len < IEXTP_HEADER_BYTES)
		return HW_ERR_PACKET_SHORT;
	if (datagram[0] != IEXTP_VERSION)
		return HW_ERR_PACKET_MALFORMED;

	*header = (struct iextp_header){
		.protocol = get_le16(datagram + 2),
		.channel = get_le32(datagram + 4),
		.session = get_le32(datagram + 8),
		.payload_bytes = get_le16(datagram + 12),
		.message_count = get_le16(datagram + 14),
		.first_sequence = get_le64(datagram + 24),
		.send_time_ns = get_le64(datagram + 32),
	};
	if (header->payload_bytes > whole_len - IEXTP_HEADER_BYTES)
		return HW_ERR_PACKET_MALFORMED;

	uint32_t present = len - IEXTP_HEADER_BYTES;
	if (present > header->payload_bytes)
		present = header->payload_bytes;
	messages->p = datagram + IEXTP_HEADER_BYTES;
	messages->end = messages->p + present;
	messages->left = header->message_count;
	messages->malformed = false;
	return 0;
}

bool iextp_next_message(struct iextp_messages *messages, const uint8_t **bytes, uint32_t *len)
{
	if (!messages->left)
		return false;

	struct reader r = reader_over(messages->p, (size_t)(messages->end - messages->p));
	const uint8_t *prefix = reader_take(&r, 2);
	*len = prefix ? get_le16(prefix) : 0;
	*bytes = reader_take(&r, *len);
	if (r.failed) {
		messages->left = 0;
		messages->malformed = true;
		return false;
	}
	messages->p = r.p;
	messages->left--;
	return true;
}

static struct iextp_position *find_position(struct iextp_tracker *t, const struct iextp_header *h)
{
	for (uint32_t i = 0; i < t->count; i++) {
		struct iextp_position *p = &t->positions[i];
		if (p->session == h->session && p->channel == h->channel && p->protocol == h->protocol)
			return p;
	}
	return NULL;
}

static void start_position(struct iextp_tracker *t, const struct iextp_header *h)
{
	struct iextp_position *p;

	if (t->count < IEXTP_SESSIONS) {
		p = &t->positions[t->count++];
	} else {
		p = &t->positions[t->oldest];
		t->oldest = (t->oldest + 1) % IEXTP_SESSIONS;
	}
	*p = (struct iextp_position){
		.protocol = h->protocol,
		.channel = h->channel,
		.session = h->session,
		.next_sequence = h->first_sequence + h->message_count,
	};
}

enum iextp_order iextp_track(struct iextp_tracker *tracker, const struct iextp_header *header, uint64_t *missed)
{
	struct iextp_position *p = find_position(tracker, header);

	*missed = 0;
	if (!p) {
		start_position(tracker, header);
		return IEXTP_IN_ORDER;
	}
	uint64_t expected = p->next_sequence;
	p->next_sequence = header->first_sequence + header->message_count;
	if (header->first_sequence == expected)
		return IEXTP_IN_ORDER;
	if (header->first_sequence < expected)
		return IEXTP_REWIND;
	*missed = header->first_sequence - expected;
	return IEXTP_GAP;
}

/* capture file -> packets -> UDP payloads -> IEX-TP -> messages */
#include "control/feed/feed.h"

#include <stdlib.h>

#include "control/feed/iex_message.h"
#include "control/feed/iextp.h"
#include "control/feed/pcap_source.h"
#include "control/feed/udp.h"
#include "dataplane/base/error.h"

struct capture_feed {
	struct feed feed;
	struct pcap_source *source;
	struct iextp_tracker tracker;
	/* the datagram being read */
	struct iextp_header header;
	struct iextp_messages messages;
	enum feed_kind kind;
	uint64_t time_ns;
	bool cut;
};

static void note_order(struct capture_feed *f)
{
	struct feed_figures *figures = &f->feed.figures;
	uint64_t missed;

	enum iextp_order order = iextp_track(&f->tracker, &f->header, &missed);
	figures->sequence_gaps += order != IEXTP_IN_ORDER;
	figures->sequence_rewinds += order == IEXTP_REWIND;
	figures->missed_messages += missed;
	figures->heartbeats += f->header.message_count == 0;
}

static void open_datagram(struct capture_feed *f, const struct udp_payload *payload)
{
	struct feed_figures *figures = &f->feed.figures;

	if (payload->whole_len < IEXTP_HEADER_BYTES || (payload->len && payload->bytes[0] != IEXTP_VERSION)) {
		figures->not_ours++;
		return;
	}
	if (iextp_parse(payload->bytes, payload->len, payload->whole_len, &f->header, &f->messages)) {
		figures->malformed += !f->cut;
	} else if (!iex_feed_kind(f->header.protocol, &f->kind)) {
		figures->unknown_protocol++;
		f->messages.left = 0;
	} else {
		note_order(f);
	}
}

static void open_packet(struct capture_feed *f, const struct captured_packet *packet)
{
	struct feed_figures *figures = &f->feed.figures;
	struct udp_payload payload;

	figures->packets++;
	f->cut = packet->len < packet->wire_len;
	figures->cut_packets += f->cut;
	f->time_ns = packet->time_ns;
	switch (udp_find_payload(pcap_source_link_type(f->source), packet->bytes, packet->len, &payload)) {
	case UDP_PAYLOAD:
		open_datagram(f, &payload);
		break;
	case UDP_OTHER:
		figures->not_ours++;
		break;
	case UDP_FRAGMENT:
		figures->fragments++;
		break;
	case UDP_MALFORMED:
		figures->malformed += !f->cut;
		break;
	}
}

static bool take_message(struct capture_feed *f, struct feed_message *message)
{
	const uint8_t *bytes;
	uint32_t len;
	uint32_t left = f->messages.left;

	if (!iextp_next_message(&f->messages, &bytes, &len)) {
		/* A message that the capture has cut is no fault of the sender's. */
		f->feed.figures.malformed += f->messages.malformed && !f->cut;
		f->messages.malformed = false;
		return false;
	}
	iex_message_read(bytes, len, message);
	message->kind = f->kind;
	message->channel = f->header.channel;
	message->time_ns = f->time_ns;
	message->sequence = f->header.first_sequence + (f->header.message_count - left);
	f->feed.figures.messages++;
	return true;
}

static int capture_next(struct feed *feed, struct feed_message *message)
{
	struct capture_feed *f = (struct capture_feed *)feed;
	struct captured_packet packet;

	while (!take_message(f, message)) {
		int result = pcap_source_next(f->source, &packet, feed->why, sizeof feed->why);
		feed->figures.truncated = pcap_source_truncated(f->source);
		if (result <= 0)
			return result;
		open_packet(f, &packet);
	}
	return 1;
}

static void capture_destroy(struct feed *feed)
{
	struct capture_feed *f = (struct capture_feed *)feed;

	pcap_source_destroy(f->source);
	free(f);
}

int capture_feed_create(const char *path, struct feed **out, char *why, uint32_t why_bytes)
{
	static const struct feed_ops ops = {capture_next, capture_destroy};
	struct pcap_source *source;

	int code = pcap_source_create(path, &source, why, why_bytes);
	if (code)
		return code;
	struct capture_feed *f = calloc(1, sizeof *f);
	if (!f) {
		pcap_source_destroy(source);
		return HW_ERR_NOMEM;
	}
	f->feed.ops = &ops;
	f->source = source;
	*out = &f->feed;
	return 0;
}

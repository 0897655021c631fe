/*
 * Any octets as a captured frame: whatever comes out of the parsers lies within the frame, and every message has a
 * routing key that fits. The first octet picks the link type, the second where the capture was cut.
 */
#include <string.h>

#include "control/feed/iex_message.h"
#include "control/feed/iextp.h"
#include "control/feed/key_table.h"
#include "control/feed/pattern.h"
#include "control/feed/udp.h"
#include "tests/fuzz/fuzz.h"

static void read_messages(const struct udp_payload *payload)
{
	struct iextp_tracker tracker = {0};
	struct iextp_header header;
	struct iextp_messages messages;
	struct pattern pattern;
	struct key_table table;
	const uint8_t *bytes;
	uint32_t len, count = 0;
	uint64_t missed;
	char why[256], key[ROUTING_KEY_MAX + 1];

	if (iextp_parse(payload->bytes, payload->len, payload->whole_len, &header, &messages))
		return;
	iextp_track(&tracker, &header, &missed);
	REQUIRE(pattern_init(&pattern, "x.{feed}.{type}.{symbol}.{channel}", why, sizeof why) == 0);
	REQUIRE(key_table_init(&table, 1) == 0);
	while (iextp_next_message(&messages, &bytes, &len)) {
		struct feed_message m = {.kind = FEED_TOPS, .channel = header.channel};
		REQUIRE(bytes >= payload->bytes && bytes <= payload->bytes + payload->len);
		REQUIRE(len <= (size_t)(payload->bytes + payload->len - bytes));
		iex_message_read(bytes, len, &m);
		REQUIRE(m.symbol_len <= FEED_SYMBOL_MAX);
		REQUIRE(pattern_write(&pattern, &m, key) == strlen(key) && strlen(key) <= ROUTING_KEY_MAX);
		struct pattern_key k = pattern_key(&pattern, &m);
		if (!key_table_find(&table, &k))
			REQUIRE(key_table_insert(&table, &k, count) == 0);
		REQUIRE(key_table_find(&table, &k) != NULL);
		count++;
	}
	REQUIRE(count <= header.message_count);
	key_table_fini(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t links[] = {LINK_ETHERNET, LINK_RAW_IP, LINK_LINUX_COOKED, LINK_LINUX_COOKED_2, LINK_IPV4};
	struct udp_payload payload;

	if (size < 2)
		return 0;
	uint32_t len = (uint32_t)size - 2;
	if (data[1] < len)
		len -= data[1];
	uint8_t *frame = malloc(len ? len : 1); /* of its own, so that the sanitizer sees any step beyond the cut */
	memcpy(frame, data + 2, len);
	if (udp_find_payload(links[data[0] % 5], frame, len, &payload) == UDP_PAYLOAD) {
		REQUIRE(payload.bytes >= frame && payload.len <= (size_t)(frame + len - payload.bytes));
		REQUIRE(payload.len <= payload.whole_len);
		read_messages(&payload);
	}
	payload = (struct udp_payload){.bytes = frame, .len = len, .whole_len = len + data[1]};
	read_messages(&payload);
	free(frame);
	return 0;
}

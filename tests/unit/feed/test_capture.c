/* Capture files of every kind, from the octets of the file to the messages of the feed. */
#include "tests/unit/feed/capture_file.h"

#include <fcntl.h>

#include "control/feed/feed.h"
#include "control/feed/key_table.h"
#include "control/feed/pattern.h"

#define DEEP          0x8004
#define MESSAGE_BYTES 40u /* a trade report and its length */
#define TIME_NS       (1500000000ull * NS_PER_S + 123456789)

static struct capture_file file;
static struct test_packet packet;

static struct feed *open_file(void)
{
	struct feed *feed = NULL;
	char why[FEED_WHY_MAX] = "";

	if (capture_feed_create(file.path, &feed, why, sizeof why))
		fail_msg("%s", why);
	return feed;
}

/* Reads to the end; returns the number of messages. */
static uint64_t drain(struct feed *feed)
{
	struct feed_message m;
	uint64_t n = 0;
	int result;

	while ((result = feed_next(feed, &m)) == 1)
		n++;
	assert_int_equal(result, 0);
	assert_int_equal(feed->figures.messages, n);
	return n;
}

static void add_trades(uint32_t vlan_tags, uint32_t session, uint64_t first_sequence, uint32_t count)
{
	packet_start(&packet, vlan_tags, DEEP, session, first_sequence);
	for (uint32_t i = 0; i < count; i++)
		packet_add_trade(&packet, "ABC");
	packet_finish(&packet);
	capture_add(&file, &packet, packet.len, TIME_NS);
}

static void one_packet_round_trip(bool pcapng, bool big_endian, bool ns, bool gz)
{
	struct feed_message m;

	capture_start(&file, pcapng, big_endian, ns, 1);
	packet_start(&packet, 0, DEEP, 7, 42);
	packet_add_trade(&packet, "BRK.A");
	packet_add_message(&packet, "SO12345678", 10);
	packet_finish(&packet);
	capture_add(&file, &packet, packet.len, TIME_NS);
	capture_save(&file, file.len, gz);

	struct feed *feed = open_file();
	assert_int_equal(feed_next(feed, &m), 1);
	assert_int_equal(m.len, 38);
	assert_int_equal(m.type, 'T');
	assert_int_equal(m.symbol_len, 5);
	assert_memory_equal(m.symbol, "BRK.A", 5);
	assert_int_equal(m.kind, FEED_DEEP);
	assert_int_equal(m.channel, 1);
	assert_int_equal(m.sequence, 42);
	assert_int_equal(m.time_ns, ns ? TIME_NS : TIME_NS / 1000 * 1000);
	assert_int_equal(feed_next(feed, &m), 1);
	assert_int_equal(m.sequence, 43);
	assert_int_equal(m.symbol_len, 0);
	assert_memory_equal(m.bytes, "SO12345678", 10);
	assert_int_equal(feed_next(feed, &m), 0);
	assert_false(feed->figures.truncated);
	feed_destroy(feed);
	unlink(file.path);
}

static void reads_both_formats_in_both_byte_orders_and_resolutions_plain_and_compressed(void **state)
{
	for (uint32_t i = 0; i < 16; i++)
		one_packet_round_trip(i & 1, i & 2, i & 4, i & 8);
}

static void reads_through_vlan_tags(void **state)
{
	for (uint32_t tags = 0; tags <= 2; tags++) {
		capture_start(&file, false, false, false, 1);
		add_trades(tags, 1, 1, 3);
		capture_save(&file, file.len, false);
		struct feed *feed = open_file();
		assert_int_equal(drain(feed), 3);
		feed_destroy(feed);
		unlink(file.path);
	}
}

static void reads_linux_cooked_captures_and_bare_ip(void **state)
{
	static const struct {
		uint32_t link_type, header_bytes, ethertype_at;
	} links[] = {{101, 0, 0}, {228, 0, 0}, {113, 16, 14}, {276, 20, 0}};

	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
		packet_start(&packet, 0, DEEP, 1, 1);
		packet_add_trade(&packet, "ABC");
		packet_finish(&packet);
		uint32_t ip_bytes = packet.len - packet.ip_at, header_bytes = links[i].header_bytes;
		memmove(packet.bytes + header_bytes, packet.bytes + packet.ip_at, ip_bytes);
		memset(packet.bytes, 0, header_bytes);
		if (header_bytes)
			put_be16(packet.bytes + links[i].ethertype_at, 0x0800);
		packet.len = header_bytes + ip_bytes;

		capture_start(&file, false, false, false, links[i].link_type);
		capture_add(&file, &packet, packet.len, TIME_NS);
		capture_save(&file, file.len, false);
		struct feed *feed = open_file();
		assert_int_equal(drain(feed), 1);
		feed_destroy(feed);
		unlink(file.path);
	}
}

/* Every possible end of the last packet: its whole messages are delivered, the cut is reported, nothing fails. */
static void delivers_the_whole_messages_of_a_last_packet_cut_short(bool pcapng)
{
	capture_start(&file, pcapng, false, false, 1);
	add_trades(0, 1, 1, 2);
	size_t second = file.len;
	add_trades(0, 1, 3, 4);
	size_t data = second + (pcapng ? 28 : 16), messages = data + packet.payload_at + 40;

	for (size_t len = second + 1; len < file.len; len++) {
		capture_save(&file, len, false);
		struct feed *feed = open_file();
		uint64_t whole = len > messages ? (len - messages) / MESSAGE_BYTES : 0;
		uint64_t got = drain(feed);
		assert_true(feed->figures.truncated);
		assert_int_equal(got, 2 + (whole < 4 ? whole : 4));
		assert_int_equal(feed->figures.malformed, 0);
		assert_int_equal(feed->figures.sequence_gaps, 0);
		feed_destroy(feed);
		unlink(file.path);
	}
}

static void delivers_the_whole_messages_of_a_pcap_record_cut_anywhere(void **state)
{
	delivers_the_whole_messages_of_a_last_packet_cut_short(false);
}

static void delivers_the_whole_messages_of_a_pcapng_block_cut_anywhere(void **state)
{
	delivers_the_whole_messages_of_a_last_packet_cut_short(true);
}

static void a_compressed_file_cut_short_is_reported_and_read_as_far_as_it_goes(void **state)
{
	capture_start(&file, false, false, false, 1);
	for (uint32_t i = 0; i < 100; i++)
		add_trades(0, 1, 1 + 10 * i, 10);
	capture_save(&file, file.len, true);
	int fd = open(file.path, O_RDWR);
	assert_int_equal(ftruncate(fd, lseek(fd, 0, SEEK_END) / 2), 0);
	close(fd);

	struct feed *feed = open_file();
	uint64_t got = drain(feed);
	assert_true(feed->figures.truncated);
	assert_in_range(got, 1, 999);
	feed_destroy(feed);
	unlink(file.path);
}

static void packets_cut_by_the_snapshot_length_yield_their_whole_messages(void **state)
{
	capture_start(&file, false, false, false, 1);
	packet_start(&packet, 0, DEEP, 1, 1);
	packet_add_trade(&packet, "A");
	packet_add_trade(&packet, "B");
	packet_finish(&packet);
	capture_add(&file, &packet, packet.len - 1, TIME_NS);
	add_trades(0, 1, 3, 1);
	capture_save(&file, file.len, false);

	struct feed *feed = open_file();
	assert_int_equal(drain(feed), 2);
	assert_int_equal(feed->figures.cut_packets, 1);
	assert_int_equal(feed->figures.malformed, 0);
	assert_false(feed->figures.truncated);
	feed_destroy(feed);
	unlink(file.path);
}

static void counts_gaps_and_rewinds_for_each_session_apart(void **state)
{
	capture_start(&file, false, false, false, 1);
	add_trades(0, 1, 1, 5);
	add_trades(0, 2, 100, 5); /* another session: no gap */
	add_trades(0, 1, 6, 0);   /* heartbeat */
	add_trades(0, 1, 9, 1);   /* 6, 7, 8 missing */
	add_trades(0, 2, 105, 1);
	add_trades(0, 1, 1, 1); /* starts again */
	add_trades(0, 1, 2, 1);
	capture_save(&file, file.len, false);

	struct feed *feed = open_file();
	assert_int_equal(drain(feed), 14);
	assert_int_equal(feed->figures.sequence_gaps, 2);
	assert_int_equal(feed->figures.sequence_rewinds, 1);
	assert_int_equal(feed->figures.missed_messages, 3);
	assert_int_equal(feed->figures.heartbeats, 1);
	feed_destroy(feed);
	unlink(file.path);
}

static void skips_and_counts_what_is_not_a_feed(void **state)
{
	capture_start(&file, false, false, false, 1);
	add_trades(0, 1, 1, 1);
	packet_start(&packet, 0, 0x9999, 1, 1); /* another protocol over IEX-TP */
	packet_finish(&packet);
	capture_add(&file, &packet, packet.len, TIME_NS);
	put_be16(packet.bytes + packet.ip_at + 6, 0x2000); /* more fragments */
	capture_add(&file, &packet, packet.len, TIME_NS);
	packet.bytes[packet.ip_at + 9] = 6; /* TCP */
	capture_add(&file, &packet, packet.len, TIME_NS);
	packet.bytes[packet.ip_at] = 0x43; /* a header of 12 octets */
	capture_add(&file, &packet, packet.len, TIME_NS);
	packet_start(&packet, 0, DEEP, 1, 2); /* a message longer than the payload */
	packet_add_trade(&packet, "A");
	packet_finish(&packet);
	put_le16(packet.bytes + packet.payload_at + 40, 39);
	capture_add(&file, &packet, packet.len, TIME_NS);
	capture_save(&file, file.len, false);

	struct feed *feed = open_file();
	assert_int_equal(drain(feed), 1);
	assert_int_equal(feed->figures.packets, 6);
	assert_int_equal(feed->figures.unknown_protocol, 1);
	assert_int_equal(feed->figures.fragments, 1);
	assert_int_equal(feed->figures.not_ours, 1);
	assert_int_equal(feed->figures.malformed, 2);
	feed_destroy(feed);
	unlink(file.path);
}

static void refuses_what_is_no_capture_with_its_name(void **state)
{
	struct feed *feed;
	char why[FEED_WHY_MAX];

	assert_true(capture_feed_create("/nonexistent.pcap", &feed, why, sizeof why) < 0);
	assert_non_null(strstr(why, "/nonexistent.pcap: No such file"));
	capture_start(&file, false, false, false, 1);
	file.bytes[0] = 'x';
	capture_save(&file, file.len, false);
	assert_true(capture_feed_create(file.path, &feed, why, sizeof why) < 0);
	assert_non_null(strstr(why, file.path));
	unlink(file.path);
	capture_save(&file, 0, false);
	assert_true(capture_feed_create(file.path, &feed, why, sizeof why) < 0);
	unlink(file.path);
}

/* Longer than zlib reads ahead, so that the damage at its end shows late. */
static void a_damaged_compressed_file_is_an_error_not_an_end(void **state)
{
	struct feed_message m;
	uint8_t byte = 0;
	int result;

	capture_start(&file, false, false, false, 1);
	size_t header = file.len;
	for (uint32_t i = 0; i < 100; i++)
		add_trades(0, 1, 1 + 10 * i, 10);
	capture_save(&file, file.len, true);
	gzFile z = gzopen(file.path, "ab");
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(gzwrite(z, file.bytes + header, (unsigned)(file.len - header)), file.len - header);
	gzclose(z);
	int fd = open(file.path, O_RDWR);
	off_t end = lseek(fd, 0, SEEK_END);
	for (off_t at = end - 8; at < end - 4; at++) /* its CRC */
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);

	struct feed *feed = open_file();
	while ((result = feed_next(feed, &m)) == 1)
		;
	assert_true(result < 0);
	assert_non_null(strstr(feed->why, "damaged"));
	feed_destroy(feed);
	unlink(file.path);
}

/* IEX's public sample, which is not ours to give away: $HAREWIRE_CAPTURE says where it lies. Captures made here cover
 * the same code. */
static void reads_the_deep_sample_whole_when_it_is_here(void **state)
{
	const char *path = getenv("HAREWIRE_CAPTURE");
	struct pattern keys, symbols;
	struct key_table key_table, symbol_table;
	struct feed_message m;
	char why[256];

	path = path ? path : "../shared/data/DEEP10.pcap.gz";
	if (access(path, R_OK)) {
		print_message("no capture at %s\n", path);
		skip();
	}
	snprintf(file.path, sizeof file.path, "%s", path);
	assert_int_equal(pattern_init(&keys, PATTERN_DEFAULT, why, sizeof why), 0);
	assert_int_equal(pattern_init(&symbols, "{symbol}", why, sizeof why), 0);
	assert_int_equal(key_table_init(&key_table, 0), 0);
	assert_int_equal(key_table_init(&symbol_table, 0), 0);
	struct feed *feed = open_file();
	while (feed_next(feed, &m) == 1) {
		struct pattern_key key = pattern_key(&keys, &m), symbol = pattern_key(&symbols, &m);
		if (!key_table_find(&key_table, &key))
			assert_int_equal(key_table_insert(&key_table, &key, 0), 0);
		if (m.symbol_len && !key_table_find(&symbol_table, &symbol))
			assert_int_equal(key_table_insert(&symbol_table, &symbol, 0), 0);
	}
	assert_int_equal(feed->figures.messages, 392010);
	assert_int_equal(feed->figures.packets, 121315);
	assert_int_equal(feed->figures.sequence_gaps, 11);
	assert_true(feed->figures.truncated);
	assert_int_equal(symbol_table.count, 7802);
	assert_int_equal(key_table.count, 23498);
	key_table_fini(&key_table);
	key_table_fini(&symbol_table);
	feed_destroy(feed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_both_formats_in_both_byte_orders_and_resolutions_plain_and_compressed),
		cmocka_unit_test(reads_through_vlan_tags),
		cmocka_unit_test(reads_linux_cooked_captures_and_bare_ip),
		cmocka_unit_test(delivers_the_whole_messages_of_a_pcap_record_cut_anywhere),
		cmocka_unit_test(delivers_the_whole_messages_of_a_pcapng_block_cut_anywhere),
		cmocka_unit_test(a_compressed_file_cut_short_is_reported_and_read_as_far_as_it_goes),
		cmocka_unit_test(packets_cut_by_the_snapshot_length_yield_their_whole_messages),
		cmocka_unit_test(counts_gaps_and_rewinds_for_each_session_apart),
		cmocka_unit_test(skips_and_counts_what_is_not_a_feed),
		cmocka_unit_test(refuses_what_is_no_capture_with_its_name),
		cmocka_unit_test(a_damaged_compressed_file_is_an_error_not_an_end),
		cmocka_unit_test(reads_the_deep_sample_whole_when_it_is_here),
	};
	return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}

/* The frame reader, fed one stream cut in every possible way. */
#include "tests/unit/amqp/amqp_cmocka.h"

#include "dataplane/base/error.h"
#include "tests/unit/amqp/frames.h"

#define FRAME_MAX   131072u
#define FRAMES_MAX  64
#define STREAM_ROOM (1u << 20)

static struct frame_reader reader;

/* What came out: copies, because a frame is valid only until the next call. */
struct seen {
	uint8_t type;
	uint16_t channel;
	uint32_t payload_len;
	uint64_t digest; /* of raw */
};

struct run {
	struct seen frames[FRAMES_MAX];
	unsigned count;
	int error;
};

static uint64_t digest(const uint8_t *p, size_t len)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 1099511628211u;
	return h;
}

static void note(struct run *run, const struct frame *f)
{
	assert_true(run->count < FRAMES_MAX);
	struct seen *s = &run->frames[run->count++];
	*s = (struct seen){.type = f->type, .channel = f->channel, .payload_len = f->payload_len};
	if (f->type == FRAME_BODY) {
		assert_null(f->payload);
		assert_null(f->raw);
		return;
	}
	assert_ptr_equal(f->payload, f->raw + 7);
	s->digest = digest(f->raw, f->payload_len + AMQP_FRAME_OVERHEAD);
}

/* Feeds one piece, in memory of its exact size so that the sanitizers see a step beyond it. */
static void feed(struct run *run, const uint8_t *bytes, uint32_t len)
{
	uint8_t *piece = malloc(len ? len : 1);
	memcpy(piece, bytes, len);
	for (uint32_t at = 0; run->error == 0;) {
		struct frame frame;
		uint32_t used;
		int result = frame_reader_next(&reader, piece + at, len - at, &used, &frame);
		assert_true(used <= len - at);
		at += used;
		if (result == 1) {
			note(run, &frame);
			continue;
		}
		run->error = result;
		if (result == 0) {
			assert_int_equal(at, len);
			break;
		}
	}
	free(piece);
}

static void assert_same_run(const struct run *a, const struct run *b)
{
	assert_int_equal(a->error, b->error);
	assert_int_equal(a->count, b->count);
	for (unsigned i = 0; i < a->count; i++) {
		assert_int_equal(a->frames[i].type, b->frames[i].type);
		assert_int_equal(a->frames[i].channel, b->frames[i].channel);
		assert_int_equal(a->frames[i].payload_len, b->frames[i].payload_len);
		assert_int_equal(a->frames[i].digest, b->frames[i].digest);
	}
}

static struct run read_whole(const uint8_t *stream, uint32_t len)
{
	struct run run = {0};
	frame_reader_init(&reader, FRAME_MAX);
	feed(&run, stream, len);
	return run;
}

static uint32_t mixed_stream(uint8_t *stream)
{
	static uint8_t filler[40000];
	for (size_t i = 0; i < sizeof filler; i++)
		filler[i] = (uint8_t)(i * 7);
	struct writer w = writer_over(stream, STREAM_ROOM);
	frame_append(&w, FRAME_METHOD, 1, "\0\x3c\0\x50\0\0\0\0\0\0\0\x01\0", 13);
	frame_append(&w, FRAME_HEARTBEAT, 0, "", 0);
	frame_append(&w, FRAME_METHOD, 65535, filler, 300);
	frame_append(&w, FRAME_HEADER, 1, filler, 14);
	frame_append(&w, FRAME_BODY, 1, filler, 400);
	frame_append(&w, FRAME_BODY, 2, filler, 0);
	frame_append(&w, FRAME_BODY, 3, "\xce\xce\xce", 3);
	frame_append(&w, FRAME_HEARTBEAT, 0, "", 0);
	frame_append(&w, FRAME_METHOD, 1, filler, 2);
	return (uint32_t)writer_len(&w);
}

static void whole_stream_yields_every_frame(void **state)
{
	static uint8_t stream[STREAM_ROOM];
	struct run run = read_whole(stream, mixed_stream(stream));
	static const struct seen want[] = {{1, 1, 13, 0}, {8, 0, 0, 0},   {1, 65535, 300, 0},
					   {2, 1, 14, 0}, {3, 1, 400, 0}, {3, 2, 0, 0},
					   {3, 3, 3, 0},  {8, 0, 0, 0},   {1, 1, 2, 0}};
	assert_int_equal(run.error, 0);
	assert_int_equal(run.count, 9);
	assert_int_equal(reader.frames, 9);
	for (unsigned i = 0; i < 9; i++) {
		assert_int_equal(run.frames[i].type, want[i].type);
		assert_int_equal(run.frames[i].channel, want[i].channel);
		assert_int_equal(run.frames[i].payload_len, want[i].payload_len);
	}
	assert_int_equal(run.frames[0].digest, digest(stream, 21));
}

static void split_at_every_octet_gives_the_same_frames(void **state)
{
	static uint8_t stream[STREAM_ROOM];
	uint32_t len = mixed_stream(stream);
	struct run whole = read_whole(stream, len);
	for (uint32_t cut = 0; cut <= len; cut++) {
		struct run run = {0};
		frame_reader_init(&reader, FRAME_MAX);
		feed(&run, stream, cut);
		feed(&run, stream + cut, len - cut);
		assert_same_run(&run, &whole);
	}
}

static void single_octets_and_random_pieces_give_the_same_frames(void **state)
{
	static uint8_t stream[STREAM_ROOM];
	uint32_t len = mixed_stream(stream);
	struct run whole = read_whole(stream, len);
	struct prng g = {3};
	for (int round = 0; round < 2000; round++) {
		struct run run = {0};
		frame_reader_init(&reader, FRAME_MAX);
		for (uint32_t at = 0; at < len;) {
			uint32_t n = round == 0 ? 1 : (uint32_t)prng_below(&g, round % 60 + 2);
			n = n < len - at ? n : len - at;
			feed(&run, stream + at, n);
			at += n;
		}
		assert_same_run(&run, &whole);
	}
}

static void whole_frame_is_handed_over_in_place(void **state)
{
	uint8_t bytes[64];
	struct writer w = writer_over(bytes, sizeof bytes);
	frame_append(&w, FRAME_METHOD, 7, "abcd", 4);
	struct frame frame;
	uint32_t used;
	frame_reader_init(&reader, FRAME_MAX);
	assert_int_equal(frame_reader_next(&reader, bytes, 12, &used, &frame), 1);
	assert_int_equal(used, 12);
	assert_ptr_equal(frame.raw, bytes);
	assert_ptr_equal(frame.payload, bytes + 7);
}

/* A body as large as frame_max allows, far beyond the buffer, is skipped by count. */
static void largest_body_is_skipped_whatever_the_buffer_holds(void **state)
{
	static uint8_t stream[STREAM_ROOM];
	static uint8_t zeros[FRAME_MAX];
	struct writer w = writer_over(stream, sizeof stream);
	frame_append(&w, FRAME_BODY, 1, zeros, FRAME_MAX - 8);
	frame_append(&w, FRAME_HEARTBEAT, 0, "", 0);
	uint32_t len = (uint32_t)writer_len(&w);
	for (uint32_t piece = 1; piece < len; piece = piece * 5 + 1) {
		struct run run = {0};
		frame_reader_init(&reader, FRAME_MAX);
		for (uint32_t at = 0; at < len; at += piece)
			feed(&run, stream + at, piece < len - at ? piece : len - at);
		assert_int_equal(run.error, 0);
		assert_int_equal(run.count, 2);
		assert_int_equal(run.frames[0].payload_len, FRAME_MAX - 8);
	}
}

/* Whatever the cut, the stream fails with `error` after `frames` frames. */
static void assert_fails(const uint8_t *stream, uint32_t len, uint32_t frame_max, int error, unsigned frames)
{
	for (uint32_t cut = 0; cut <= len; cut++) {
		struct run run = {0};
		frame_reader_init(&reader, frame_max);
		feed(&run, stream, cut);
		feed(&run, stream + cut, len - cut);
		assert_int_equal(run.error, error);
		assert_int_equal(run.count, frames);
	}
}

static void frame_over_frame_max_is_refused_as_soon_as_its_length_is_known(void **state)
{
	static const uint8_t types[] = {FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT};
	static const uint32_t lengths[] = {4096 - 7, 4096, 0x7fffffff, 0x80000000, 0xfffffff7, 0xfffffff8, 0xffffffff};
	for (unsigned t = 0; t < 4; t++)
		for (unsigned l = 0; l < 7; l++) {
			uint8_t bytes[7];
			struct writer w = writer_over(bytes, sizeof bytes);
			frame_begin(&w, types[t], 1, lengths[l]);
			assert_fails(bytes, sizeof bytes, 4096, HW_ERR_AMQP_FRAME_TOO_LARGE, 0);
		}
}

static void frame_of_exactly_frame_max_is_taken(void **state)
{
	static uint8_t stream[8192], zeros[4096];
	for (uint8_t type = FRAME_METHOD; type <= FRAME_BODY; type++) {
		struct writer w = writer_over(stream, sizeof stream);
		frame_append(&w, type, 1, zeros, 4096 - 8);
		for (uint32_t cut = 0; cut <= 4096; cut += 13) {
			struct run run = {0};
			frame_reader_init(&reader, 4096);
			feed(&run, stream, cut);
			feed(&run, stream + cut, 4096 - cut);
			assert_int_equal(run.error, 0);
			assert_int_equal(run.count, 1);
		}
	}
}

/* The buffer's limit must hold for a frame that lies whole in one piece too. */
static void method_frames_are_limited_by_the_buffer_however_they_arrive(void **state)
{
	static uint8_t stream[FRAME_BUFFER_BYTES + 64], zeros[FRAME_BUFFER_BYTES];
	for (uint32_t over = 0; over < 2; over++) {
		struct writer w = writer_over(stream, sizeof stream);
		frame_append(&w, FRAME_METHOD, 1, zeros, FRAME_BUFFER_BYTES - 8 + over);
		uint32_t len = (uint32_t)writer_len(&w);
		for (uint32_t cut = 0; cut <= len; cut += 1021) {
			struct run run = {0};
			frame_reader_init(&reader, FRAME_MAX);
			feed(&run, stream, cut);
			feed(&run, stream + cut, len - cut);
			assert_int_equal(run.error, over ? HW_ERR_AMQP_FRAME_TOO_LARGE : 0);
			assert_int_equal(run.count, over ? 0 : 1);
		}
	}
}

static void wrong_end_octet_is_refused(void **state)
{
	static const uint8_t types[] = {FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT};
	for (unsigned t = 0; t < 4; t++)
		for (uint32_t payload_len = 0; payload_len < 6; payload_len++) {
			uint8_t bytes[32];
			struct writer w = writer_over(bytes, sizeof bytes);
			frame_append(&w, FRAME_HEARTBEAT, 0, "", 0);
			frame_append(&w, types[t], 1, "\xce\xce\xce\xce\xce", payload_len);
			w.p[-1] = 0xCD;
			assert_fails(bytes, (uint32_t)writer_len(&w), 4096, HW_ERR_AMQP_FRAME_END, 1);
		}
}

static void unknown_frame_types_are_refused_at_their_first_octet(void **state)
{
	for (unsigned type = 0; type < 256; type++) {
		if (type == 1 || type == 2 || type == 3 || type == 8)
			continue;
		uint8_t bytes[9];
		struct writer w = writer_over(bytes, sizeof bytes);
		frame_append(&w, FRAME_HEARTBEAT, 0, "", 0);
		writer_u8(&w, (uint8_t)type);
		assert_fails(bytes, sizeof bytes, 4096, HW_ERR_AMQP_FRAME_TYPE, 1);
	}
}

static void stream_that_starts_without_a_frame_is_not_amqp_0_9_1(void **state)
{
	static const char *const greetings[] = {"AMQP\0\0\x09\x01", "AMQP\0\x01\0\0", "HTTP/1.1 400 Bad Request\r\n",
						"SSH-2.0-OpenSSH_9.2", "\x15\x03\x01\0\x02"};
	for (unsigned i = 0; i < sizeof greetings / sizeof *greetings; i++)
		assert_fails((const uint8_t *)greetings[i], 5, 4096, HW_ERR_AMQP_PROTOCOL_HEADER, 0);
}

static void protocol_header_later_in_the_stream_is_an_unknown_frame_type(void **state)
{
	uint8_t bytes[16];
	struct writer w = writer_over(bytes, sizeof bytes);
	frame_append(&w, FRAME_HEARTBEAT, 0, "", 0);
	writer_bytes(&w, "AMQP\0\0\x09\x01", 8);
	assert_fails(bytes, 16, 4096, HW_ERR_AMQP_FRAME_TYPE, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_stream_yields_every_frame),
		cmocka_unit_test(split_at_every_octet_gives_the_same_frames),
		cmocka_unit_test(single_octets_and_random_pieces_give_the_same_frames),
		cmocka_unit_test(whole_frame_is_handed_over_in_place),
		cmocka_unit_test(largest_body_is_skipped_whatever_the_buffer_holds),
		cmocka_unit_test(frame_over_frame_max_is_refused_as_soon_as_its_length_is_known),
		cmocka_unit_test(frame_of_exactly_frame_max_is_taken),
		cmocka_unit_test(method_frames_are_limited_by_the_buffer_however_they_arrive),
		cmocka_unit_test(wrong_end_octet_is_refused),
		cmocka_unit_test(unknown_frame_types_are_refused_at_their_first_octet),
		cmocka_unit_test(stream_that_starts_without_a_frame_is_not_amqp_0_9_1),
		cmocka_unit_test(protocol_header_later_in_the_stream_is_an_unknown_frame_type),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

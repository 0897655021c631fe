/*
 * libFuzzer: the frame reader and every parser behind it, on a stream cut as the input says.
 *
 * The first octet chooses frame_max and the seed of the cuts; the rest is the stream. It is read twice, once whole and
 * once in pieces: both readings must give the same frames and the same end. Each piece is a block of its own, so that
 * the address sanitizer sees any step beyond it.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/amqp/method.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/prng.h"

static struct frame_reader reader;

struct outcome {
	uint64_t digest;
	uint64_t frames;
	int error;
};

static void mix(struct outcome *o, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		o->digest = (o->digest ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
}

static void mix_text(struct outcome *o, const struct amqp_text *text)
{
	mix(o, text->chars, text->len);
}

/* What the parsers say must depend on the frame alone, and text must lie inside it. */
static void parse(struct outcome *o, const struct frame *f)
{
	struct amqp_confirm confirm;
	struct amqp_reply reply;
	struct amqp_text reason;
	struct amqp_content content;

	if (amqp_parse_confirm(f, &confirm) == 0)
		mix(o, &confirm.tag, sizeof confirm.tag);
	if (amqp_parse_reply(f, &reply) == 0)
		mix_text(o, &reply.text);
	if (amqp_parse_blocked(f, &reason) == 0)
		mix_text(o, &reason);
	if (amqp_parse_content(f, &content) == 0) {
		mix(o, &content.body_size, sizeof content.body_size);
		mix(o, &content.id, sizeof content.id);
		mix(o, &content.epoch, sizeof content.epoch);
	}
}

static void take_frame(struct outcome *o, const struct frame *f)
{
	REQUIRE((f->type == FRAME_BODY) == (f->payload == NULL));
	REQUIRE(f->payload_len <= reader.frame_max - 8);
	mix(o, &f->type, sizeof f->type);
	mix(o, &f->channel, sizeof f->channel);
	mix(o, &f->payload_len, sizeof f->payload_len);
	if (f->payload)
		mix(o, f->raw, f->payload_len + 8);
	parse(o, f);
	o->frames++;
}

static void feed(struct outcome *o, const uint8_t *bytes, uint32_t len)
{
	uint8_t *piece = malloc(len ? len : 1);
	memcpy(piece, bytes, len);
	uint32_t at = 0;
	int result = o->error;
	while (result == 0 || result == 1) {
		struct frame frame;
		uint32_t used;
		result = frame_reader_next(&reader, piece + at, len - at, &used, &frame);
		REQUIRE(used <= len - at);
		at += used;
		if (result == 0) {
			REQUIRE(at == len);
			break;
		}
		if (result == 1)
			take_frame(o, &frame);
		else
			o->error = result;
	}
	free(piece);
}

static struct outcome read_stream(const uint8_t *data, size_t size, uint32_t frame_max, uint32_t piece_max)
{
	struct outcome o = {0};
	struct prng g = {piece_max};
	frame_reader_init(&reader, frame_max);
	while (size > 0) {
		size_t n = piece_max ? 1 + prng_below(&g, piece_max) : size;
		n = n < size ? n : size;
		feed(&o, data, (uint32_t)n);
		data += n;
		size -= n;
	}
	REQUIRE(o.frames == reader.frames);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t frame_max[] = {4096, 64, 131072, UINT32_MAX};
	if (size == 0)
		return 0;
	uint32_t limit = frame_max[data[0] & 3];
	struct outcome whole = read_stream(data + 1, size - 1, limit, 0);
	struct outcome pieces = read_stream(data + 1, size - 1, limit, 1 + (data[0] >> 2));
	REQUIRE(whole.error == pieces.error && whole.frames == pieces.frames && whole.digest == pieces.digest);
	return 0;
}

/* Templates and the messages written from them, octet by octet against rabbitmq-c's encoder, and read back by its
 * decoder. */
#include "tests/unit/amqp/amqp_cmocka.h"

#include "dataplane/base/error.h"
#include "tests/unit/amqp/reference.h"

#define FRAME_MAX    4096u
#define MESSAGE_ROOM 65536u
#define CANARY       0xa5u

static _Alignas(8) uint8_t template_memory[sizeof(struct amqp_template) + AMQP_IMAGE_MAX + 64];
static uint8_t written[MESSAGE_ROOM], expected[MESSAGE_ROOM], body[MESSAGE_ROOM];

static const struct amqp_message_options minimal = {.exchange = "", .routing_key = "q", .priority = -1};

static struct amqp_template *encode(const struct amqp_message_options *options, uint16_t channel)
{
	struct amqp_template *t = (struct amqp_template *)template_memory;
	const char *why = NULL;
	assert_int_equal(amqp_template_encode(t, sizeof template_memory, options, channel, &why), 0);
	assert_null(why);
	return t;
}

static size_t write_message(const struct amqp_template *t, size_t body_len, const struct amqp_slot_values *values)
{
	memset(written, CANARY, sizeof written);
	if (body_len > FRAME_MAX - AMQP_FRAME_OVERHEAD)
		return amqp_message_write_split(t, written, body, body_len, FRAME_MAX, values);
	memcpy(written + amqp_body_offset(t), body, body_len);
	size_t len = amqp_message_write(t, written, (uint32_t)body_len, values);
	if (body_len == 0)
		assert_int_equal(written[len], CANARY);
	return len;
}

static void assert_as_rabbitmq_c(const struct amqp_message_options *options, uint16_t channel, size_t body_len,
				 const struct amqp_slot_values *values)
{
	struct amqp_template *t = encode(options, channel);
	size_t len = write_message(t, body_len, values);
	size_t want = reference_message(expected, options, channel, values, body, body_len, FRAME_MAX);
	assert_int_equal(len, want);
	assert_int_equal(len, amqp_message_bytes(t, body_len, FRAME_MAX));
	assert_memory_equal(written, expected, want);
	assert_int_equal(written[len], CANARY);
}

/* Bit i of `present` says whether option i is there. */
static struct amqp_message_options options_of(uint32_t present, const struct amqp_field *headers)
{
	struct amqp_message_options o = {.exchange = "md", .routing_key = "md.deep.quote.ZVZZT", .priority = -1};
	o.content_type = present & 1 ? "application/octet-stream" : NULL;
	o.content_encoding = present & 2 ? "binary" : NULL;
	o.headers = headers;
	o.header_count = present & 4 ? 3 : 0;
	o.delivery_mode = present & 8 ? 2 : 0;
	o.priority = present & 16 ? 9 : -1;
	o.correlation_id = present & 32 ? "c" : NULL;
	o.reply_to = present & 64 ? "" : NULL;
	o.expiration = present & 128 ? "60000" : NULL;
	o.type = present & 256 ? "quote" : NULL;
	o.user_id = present & 512 ? "guest" : NULL;
	o.app_id = present & 1024 ? "harewire" : NULL;
	return o;
}

static void every_combination_of_properties_and_slots_is_encoded_as_rabbitmq_c_does(void **state)
{
	static const struct amqp_field headers[] = {{.name = "feed", .kind = AMQP_FIELD_STRING, .string = "iex"},
						    {.name = "n", .kind = AMQP_FIELD_INT64, .integer = -2},
						    {.name = "b", .kind = AMQP_FIELD_BOOL, .integer = 7}};
	const struct amqp_slot_values values = {.id = 0x0123456789abcdef,
						.epoch = 0xfedcba98,
						.timestamp_s = 1700000000,
						.send_time_ns = 1700000000123456789};
	for (uint32_t present = 0; present < 2048; present++)
		for (uint32_t slots = 0; slots < 32; slots++) {
			struct amqp_message_options o = options_of(present, headers);
			o.slots = slots;
			o.mandatory = slots & (AMQP_SLOT_SEQUENCE | AMQP_SLOT_MESSAGE_ID) && present & 1;
			assert_as_rabbitmq_c(&o, 1, 1 + present % 40, &values);
		}
}

static const char *random_string(struct prng *g, char *memory, size_t max)
{
	static const size_t edges[] = {0, 1, 127, 128, 254, 255};
	size_t len = prng_once_in(g, 4) ? edges[prng_below(g, 6)] : prng_below(g, 24);
	len = len < max ? len : max;
	for (size_t i = 0; i < len; i++)
		memory[i] = (char)(1 + prng_below(g, 255)); /* any octet: AMQP strings are counted */
	memory[len] = '\0';
	return memory;
}

static const char *random_optional(struct prng *g, char *memory)
{
	return prng_once_in(g, 3) ? random_string(g, memory, 255) : NULL;
}

static void random_headers(struct prng *g, struct amqp_field *fields, char memory[][2][300], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		random_string(g, memory[i][0], 60);
		snprintf(memory[i][0] + strlen(memory[i][0]), 12, "%u", i);
		fields[i] = (struct amqp_field){.name = memory[i][0],
						.kind = (enum amqp_field_kind)prng_below(g, 3),
						.string = random_string(g, memory[i][1], 255),
						.integer = (int64_t)prng_next(g)};
	}
}

static size_t random_body_len(struct prng *g)
{
	static const size_t edges[] = {0, 1, FRAME_MAX - 9, FRAME_MAX - 8, FRAME_MAX - 7, 2 * (FRAME_MAX - 8)};
	return prng_once_in(g, 3) ? edges[prng_below(g, 6)] : prng_below(g, 20000);
}

static void random_messages_are_encoded_as_rabbitmq_c_does(void **state)
{
	static char strings[10][300], header_strings[6][2][300];
	struct amqp_field headers[6];
	struct prng g = {20};
	for (size_t i = 0; i < sizeof body; i++)
		body[i] = (uint8_t)prng_next(&g);
	for (int run = 0; run < 20000; run++) {
		uint32_t slots = (uint32_t)prng_below(&g, 32);
		struct amqp_message_options o = {
			.exchange = random_string(&g, strings[0], 255),
			.routing_key = random_string(&g, strings[1], 255),
			.slots = slots,
			.mandatory = slots & (AMQP_SLOT_SEQUENCE | AMQP_SLOT_MESSAGE_ID) && prng_once_in(&g, 2),
			.delivery_mode = (uint8_t)prng_below(&g, 3),
			.priority = (int)prng_below(&g, 257) - 1,
			.content_type = random_optional(&g, strings[2]),
			.content_encoding = random_optional(&g, strings[3]),
			.correlation_id = random_optional(&g, strings[4]),
			.reply_to = random_optional(&g, strings[5]),
			.expiration = prng_once_in(&g, 3) ? "4294967295" : NULL,
			.type = random_optional(&g, strings[6]),
			.user_id = random_optional(&g, strings[7]),
			.app_id = random_optional(&g, strings[8]),
			.headers = headers,
			.header_count = (uint32_t)prng_below(&g, 5),
		};
		random_headers(&g, headers, header_strings, o.header_count);
		struct amqp_slot_values values = {.id = prng_next(&g),
						  .epoch = (uint32_t)prng_next(&g),
						  .timestamp_s = prng_next(&g),
						  .send_time_ns = prng_next(&g)};
		assert_as_rabbitmq_c(&o, (uint16_t)prng_next(&g), random_body_len(&g), &values);
	}
}

/* ---- read back by rabbitmq-c --------------------------------------------------------------------------- */

static amqp_basic_properties_t *decode_properties(amqp_pool_t *pool, const uint8_t *message)
{
	const uint8_t *header = message + 8 + get_be32(message + 3);
	void *decoded;
	assert_int_equal(header[0], 2);
	amqp_bytes_t encoded = {.len = get_be32(header + 3) - 12, .bytes = (void *)(uintptr_t)(header + 19)};
	assert_int_equal(amqp_decode_properties(AMQP_BASIC_CLASS, pool, encoded, &decoded), 0);
	return decoded;
}

static amqp_field_value_t *header_named(amqp_basic_properties_t *p, const char *name)
{
	for (int i = 0; i < p->headers.num_entries; i++) {
		amqp_table_entry_t *e = &p->headers.entries[i];
		if (e->key.len == strlen(name) && memcmp(e->key.bytes, name, e->key.len) == 0)
			return &e->value;
	}
	fail_msg("no header %s", name);
	return NULL;
}

static void slots_of_each_message_are_read_back_by_rabbitmq_c(void **state)
{
	struct amqp_message_options o = minimal;
	o.slots = 31;
	struct amqp_template *t = encode(&o, 1);
	amqp_pool_t pool;
	init_amqp_pool(&pool, 4096);
	for (uint64_t id = 1; id < 1u << 30; id = id * 3 + 1) {
		struct amqp_slot_values v = {
			.id = id, .epoch = (uint32_t)id ^ 0xdeadbeefu, .timestamp_s = id / 7, .send_time_ns = id * 11};
		write_message(t, 10, &v);
		amqp_basic_properties_t *p = decode_properties(&pool, written);
		char message_id[64];
		snprintf(message_id, sizeof message_id, "%08x-%016llx", v.epoch, (unsigned long long)id);
		assert_int_equal(p->message_id.len, AMQP_MESSAGE_ID_CHARS);
		assert_memory_equal(p->message_id.bytes, message_id, AMQP_MESSAGE_ID_CHARS);
		assert_int_equal(p->timestamp, v.timestamp_s);
		assert_int_equal(header_named(p, AMQP_HEADER_SEQUENCE)->kind, AMQP_FIELD_KIND_I64);
		assert_int_equal(header_named(p, AMQP_HEADER_SEQUENCE)->value.i64, id);
		assert_int_equal(header_named(p, AMQP_HEADER_EPOCH)->value.i64, v.epoch);
		assert_int_equal(header_named(p, AMQP_HEADER_SEND_TIME)->value.i64, v.send_time_ns);
		assert_int_equal(header_named(p, AMQP_HEADER_DUPLICATE)->kind, AMQP_FIELD_KIND_BOOLEAN);
		assert_false(header_named(p, AMQP_HEADER_DUPLICATE)->value.boolean);
		recycle_amqp_pool(&pool);
	}
	empty_amqp_pool(&pool);
}

static void duplicate_octet_turns_the_header_true_and_changes_nothing_else(void **state)
{
	struct amqp_message_options o = minimal;
	o.slots = AMQP_SLOT_SEQUENCE | AMQP_SLOT_DUPLICATE;
	struct amqp_template *t = encode(&o, 1);
	amqp_pool_t pool;
	init_amqp_pool(&pool, 4096);
	write_message(t, 10, &(struct amqp_slot_values){.id = 5});
	assert_int_equal(written[t->duplicate_at], 0);
	written[t->duplicate_at] = 1;
	amqp_basic_properties_t *p = decode_properties(&pool, written);
	assert_true(header_named(p, AMQP_HEADER_DUPLICATE)->value.boolean);
	assert_int_equal(header_named(p, AMQP_HEADER_SEQUENCE)->value.i64, 5);
	empty_amqp_pool(&pool);
}

static void absent_slots_have_offset_zero(void **state)
{
	struct amqp_template *t = encode(&minimal, 1);
	assert_int_equal(t->timestamp_at | t->message_id_at | t->sequence_at | t->epoch_at | t->send_time_at |
				 t->duplicate_at,
			 0);
	assert_int_not_equal(t->body_size_at, 0);
}

/* ---- frames --------------------------------------------------------------------------------------------- */

static void claimed_body_stays_where_it_was_written(void **state)
{
	struct amqp_template *t = encode(&minimal, 1);
	memset(written, CANARY, sizeof written);
	memcpy(written + amqp_body_offset(t), "tick", 4);
	uint32_t len = amqp_message_write(t, written, 4, &(struct amqp_slot_values){0});
	assert_int_equal(len, amqp_body_offset(t) + 5);
	assert_memory_equal(written + amqp_body_offset(t), "tick\xce", 5);
}

static void empty_body_has_no_body_frame_and_touches_nothing_behind_the_header(void **state)
{
	struct amqp_template *t = encode(&minimal, 1);
	uint32_t len = (uint32_t)write_message(t, 0, &(struct amqp_slot_values){0});
	assert_int_equal(len, t->image_len - 7);
	assert_int_equal(written[len - 1], AMQP_FRAME_END);
	for (uint32_t i = len; i < len + 16; i++)
		assert_int_equal(written[i], CANARY);
	assert_int_equal(get_be64(written + t->body_size_at), 0);
	assert_int_equal(amqp_message_write_split(t, written, NULL, 0, FRAME_MAX, &(struct amqp_slot_values){0}), len);
}

static void split_bodies_fill_every_frame_but_the_last(void **state)
{
	struct amqp_template *t = encode(&minimal, 3);
	const uint64_t body_len = 2 * (FRAME_MAX - 8) + 1;
	uint64_t len = amqp_message_write_split(t, written, body, body_len, FRAME_MAX, &(struct amqp_slot_values){0});
	const uint8_t *frame = written + t->image_len - 7;
	for (int i = 0; i < 3; i++) {
		uint32_t want = i < 2 ? FRAME_MAX - 8 : 1;
		assert_int_equal(frame[0], 3);
		assert_int_equal(get_be16(frame + 1), 3);
		assert_int_equal(get_be32(frame + 3), want);
		assert_int_equal(frame[7 + want], AMQP_FRAME_END);
		frame += want + 8;
	}
	assert_int_equal(frame - written, len);
	assert_int_equal(get_be64(written + t->body_size_at), body_len);
}

static void message_bytes_counts_frames_of_bodies_beyond_32_bits(void **state)
{
	struct amqp_template *t = encode(&minimal, 1);
	uint64_t headers = t->image_len - 7;
	assert_int_equal(amqp_message_bytes(t, 1ull << 40, 131072),
			 headers + (1ull << 40) + 8 * ((1ull << 40) / 131064 + 1));
	assert_int_equal(amqp_message_bytes(t, 131064, 131072), headers + 131064 + 8);
	assert_int_equal(amqp_message_bytes(t, 131065, 131072), headers + 131065 + 16);
	assert_int_equal(amqp_message_bytes(t, 2 * 131064, 131072), headers + 2 * 131064 + 16);
}

/* ---- limits --------------------------------------------------------------------------------------------- */

static void image_may_have_exactly_its_limit_and_not_an_octet_more(void **state)
{
	static char value[AMQP_IMAGE_MAX];
	struct amqp_field header = {.name = "h", .kind = AMQP_FIELD_STRING, .string = value};
	struct amqp_message_options o = minimal;
	o.headers = &header;
	o.header_count = 1;
	uint32_t without = encode(&o, 1)->image_len;
	memset(value, 'v', AMQP_IMAGE_MAX - without);
	assert_int_equal(encode(&o, 1)->image_len, AMQP_IMAGE_MAX);
	value[AMQP_IMAGE_MAX - without] = 'v';
	struct amqp_template *t = (struct amqp_template *)template_memory;
	assert_int_equal(amqp_template_encode(t, sizeof template_memory, &o, 1, NULL), HW_ERR_TOO_LARGE);
}

static void memory_too_small_by_any_amount_is_refused_and_not_overrun(void **state)
{
	struct amqp_message_options o = minimal;
	o.slots = 31;
	size_t need = sizeof(struct amqp_template) + encode(&o, 1)->image_len;
	for (size_t cap = 0; cap < need; cap++) {
		uint8_t *exact = malloc(cap ? cap : 1); /* for the address sanitizer and valgrind */
		assert_int_equal(amqp_template_encode((struct amqp_template *)exact, cap, &o, 1, NULL),
				 HW_ERR_TOO_LARGE);
		free(exact);
	}
	assert_int_equal(amqp_template_encode((struct amqp_template *)template_memory, need, &o, 1, NULL), 0);
}

static void missing_exchange_and_routing_key_mean_empty_ones(void **state)
{
	struct amqp_message_options o = minimal, empty = minimal;
	o.exchange = NULL;
	o.routing_key = NULL;
	empty.routing_key = "";
	size_t len = write_message(encode(&o, 1), 3, &(struct amqp_slot_values){0});
	memcpy(expected, written, len);
	assert_int_equal(write_message(encode(&empty, 1), 3, &(struct amqp_slot_values){0}), len);
	assert_memory_equal(written, expected, len);
}

static void assert_refused(const struct amqp_message_options *o, const char *part_of_sentence)
{
	const char *why = NULL;
	struct amqp_template *t = (struct amqp_template *)template_memory;
	assert_int_equal(amqp_template_encode(t, sizeof template_memory, o, 1, &why), HW_ERR_INVALID);
	assert_non_null(why);
	if (!strstr(why, part_of_sentence))
		fail_msg("\"%s\" does not say \"%s\"", why, part_of_sentence);
	assert_int_equal(amqp_template_encode(t, sizeof template_memory, o, 1, NULL), HW_ERR_INVALID);
}

#define REFUSED(sentence, ...)                                                                                         \
	do {                                                                                                           \
		struct amqp_message_options refused_options = minimal;                                                 \
		struct amqp_message_options *o = &refused_options;                                                     \
		__VA_ARGS__;                                                                                           \
		assert_refused(o, sentence);                                                                           \
	} while (0)

static void strings_over_255_octets_are_refused_by_name(void **state)
{
	char text[257];
	memset(text, 'x', 256);
	text[256] = '\0';
	REFUSED("exchange", o->exchange = text);
	REFUSED("routing key", o->routing_key = text);
	REFUSED("content type", o->content_type = text);
	REFUSED("content encoding", o->content_encoding = text);
	REFUSED("correlation id", o->correlation_id = text);
	REFUSED("reply-to", o->reply_to = text);
	REFUSED("message type", o->type = text);
	REFUSED("user id", o->user_id = text);
	REFUSED("application id", o->app_id = text);
}

static void values_the_broker_would_refuse_are_refused_first(void **state)
{
	REFUSED("delivery mode", o->delivery_mode = 3);
	REFUSED("priority", o->priority = 256);
	REFUSED("priority", o->priority = -2);
	REFUSED("expiration", o->expiration = "");
	REFUSED("expiration", o->expiration = "1s");
	REFUSED("expiration", o->expiration = "-1");
	REFUSED("expiration", o->expiration = "4294967296");
	REFUSED("expiration", o->expiration = "99999999999999999999999999");
	REFUSED("unknown slot", o->slots = 32);
	REFUSED("mandatory needs", o->mandatory = true);
	REFUSED("mandatory needs", o->mandatory = true; o->slots = AMQP_SLOT_TIMESTAMP | AMQP_SLOT_SEND_TIME);
}

static void headers_that_cannot_be_are_refused(void **state)
{
	char text[257];
	memset(text, 'x', 256);
	text[256] = '\0';
	struct amqp_field h[2] = {{.name = "a", .kind = AMQP_FIELD_INT64}, {.name = "b", .kind = AMQP_FIELD_INT64}};
	REFUSED("not given", o->header_count = 1);
	REFUSED("more headers", o->headers = h; o->header_count = UINT32_MAX);
	REFUSED("no name", h[1].name = NULL; o->headers = h; o->header_count = 2);
	REFUSED("no name", h[1].name = ""; o->headers = h; o->header_count = 2);
	REFUSED("name is longer", h[1].name = text; o->headers = h; o->header_count = 2);
	REFUSED("same name", h[1].name = "a"; o->headers = h; o->header_count = 2);
	REFUSED("harewire-seq", h[1].name = "harewire-dup"; o->headers = h; o->header_count = 2);
	REFUSED("no value", h[1] = (struct amqp_field){.name = "s"}; o->headers = h; o->header_count = 2);
	REFUSED("neither string", h[1] = (struct amqp_field){.name = "s", .kind = (enum amqp_field_kind)3};
		o->headers = h; o->header_count = 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_of_properties_and_slots_is_encoded_as_rabbitmq_c_does),
		cmocka_unit_test(random_messages_are_encoded_as_rabbitmq_c_does),
		cmocka_unit_test(slots_of_each_message_are_read_back_by_rabbitmq_c),
		cmocka_unit_test(duplicate_octet_turns_the_header_true_and_changes_nothing_else),
		cmocka_unit_test(absent_slots_have_offset_zero),
		cmocka_unit_test(claimed_body_stays_where_it_was_written),
		cmocka_unit_test(empty_body_has_no_body_frame_and_touches_nothing_behind_the_header),
		cmocka_unit_test(split_bodies_fill_every_frame_but_the_last),
		cmocka_unit_test(message_bytes_counts_frames_of_bodies_beyond_32_bits),
		cmocka_unit_test(image_may_have_exactly_its_limit_and_not_an_octet_more),
		cmocka_unit_test(memory_too_small_by_any_amount_is_refused_and_not_overrun),
		cmocka_unit_test(missing_exchange_and_routing_key_mean_empty_ones),
		cmocka_unit_test(strings_over_255_octets_are_refused_by_name),
		cmocka_unit_test(values_the_broker_would_refuse_are_refused_first),
		cmocka_unit_test(headers_that_cannot_be_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

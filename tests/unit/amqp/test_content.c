/* The content header of a returned message: is it ours, and which one? */
#include "tests/unit/amqp/amqp_cmocka.h"

#include <amqp.h>
#include <amqp_framing.h>

#include "dataplane/amqp/method.h"
#include "dataplane/base/error.h"
#include "tests/unit/amqp/frames.h"

static uint8_t payload[8192];

static struct frame header(amqp_basic_properties_t *properties, uint64_t body_size)
{
	put_be16(payload, AMQP_BASIC_CLASS);
	put_be16(payload + 2, 0);
	put_be64(payload + 4, body_size);
	int n = amqp_encode_properties(AMQP_BASIC_CLASS, properties,
				       (amqp_bytes_t){.len = sizeof payload - 12, .bytes = payload + 12});
	assert_true(n > 0);
	return frame_of(FRAME_HEADER, payload, (uint32_t)n + 12);
}

static amqp_table_entry_t int64_entry(const char *name, int64_t value)
{
	return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
				    .value = {.kind = AMQP_FIELD_KIND_I64, .value = {.i64 = value}}};
}

static struct amqp_content parse_ok(const struct frame *f)
{
	struct amqp_content content;
	assert_int_equal(amqp_parse_content(f, &content), 0);
	return content;
}

/* The header frame of a message of ours, as the broker sends it back. */
static struct frame our_header(uint32_t slots, const struct amqp_slot_values *values)
{
	static _Alignas(8) uint8_t memory[sizeof(struct amqp_template) + AMQP_IMAGE_MAX];
	static uint8_t message[AMQP_IMAGE_MAX + 64];
	static const struct amqp_field headers[] = {{.name = "a", .kind = AMQP_FIELD_STRING, .string = "harewire-seq"},
						    {.name = "b", .kind = AMQP_FIELD_BOOL, .integer = 1}};
	struct amqp_message_options o = {.exchange = "md",
					 .slots = slots,
					 .delivery_mode = 2,
					 .priority = 3,
					 .content_type = "t",
					 .type = "x",
					 .app_id = "app",
					 .headers = headers,
					 .header_count = 2};
	struct amqp_template *t = (struct amqp_template *)memory;
	assert_int_equal(amqp_template_encode(t, sizeof memory, &o, 1, NULL), 0);
	amqp_message_write(t, message, 10, values);
	const uint8_t *raw = message + 8 + get_be32(message + 3);
	return frame_of(FRAME_HEADER, raw + 7, get_be32(raw + 3));
}

static void message_is_recognised_by_its_sequence_or_message_id_slot(void **state)
{
	const struct amqp_slot_values values = {.id = 0xfedcba9876543210, .epoch = 0x89abcdef};
	for (uint32_t slots = 0; slots < 32; slots++) {
		struct frame f = our_header(slots, &values);
		struct amqp_content c = parse_ok(&f);
		bool known = slots & (AMQP_SLOT_SEQUENCE | AMQP_SLOT_MESSAGE_ID);
		assert_int_equal(c.body_size, 10);
		assert_int_equal(c.has_id, known);
		assert_int_equal(c.id, known ? values.id : 0);
		assert_int_equal(c.epoch, known ? values.epoch : 0);
	}
}

static void message_id_of_another_form_is_not_ours(void **state)
{
	static const char *const ids[] = {"",
					  "89abcdef-fedcba987654321",
					  "89abcdef-fedcba98765432100",
					  "89abcdef_fedcba9876543210",
					  "89abcdeF-fedcba9876543210",
					  "89abcdef-fedcba987654321g",
					  "89abcdef-fedcba987654321 ",
					  " 9abcdef-fedcba9876543210"};
	for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++) {
		amqp_basic_properties_t p = {._flags = AMQP_BASIC_MESSAGE_ID_FLAG,
					     .message_id = amqp_cstring_bytes(ids[i])};
		struct frame f = header(&p, 0);
		assert_false(parse_ok(&f).has_id);
	}
}

static void sequence_without_a_fitting_epoch_is_not_ours(void **state)
{
	amqp_table_entry_t entries[2] = {int64_entry(AMQP_HEADER_SEQUENCE, 5),
					 int64_entry(AMQP_HEADER_EPOCH, 1ll << 32)};
	for (int n = 1; n <= 2; n++) {
		amqp_basic_properties_t p = {._flags = AMQP_BASIC_HEADERS_FLAG, .headers = {n, entries}};
		struct frame f = header(&p, 0);
		assert_false(parse_ok(&f).has_id);
	}
	entries[0].value.kind = AMQP_FIELD_KIND_TIMESTAMP;
	entries[1] = int64_entry(AMQP_HEADER_EPOCH, 1);
	amqp_basic_properties_t p = {._flags = AMQP_BASIC_HEADERS_FLAG, .headers = {2, entries}};
	struct frame f = header(&p, 0);
	assert_false(parse_ok(&f).has_id);
}

/* One entry of every kind rabbitmq-c can encode, nested ones included, before ours. */
static int every_kind_of_entry(amqp_table_entry_t *entries, amqp_table_entry_t *nested)
{
	static const uint8_t kinds[] = {'t', 'b', 'B', 's', 'u', 'I', 'i', 'l', 'L', 'f', 'd', 'D', 'S', 'x', 'T', 'V'};
	static char names[sizeof kinds][2];
	int n = 0;
	for (; n < (int)sizeof kinds; n++) {
		names[n][0] = (char)kinds[n];
		entries[n] = int64_entry(names[n], 0x0101010101010101);
		entries[n].value.kind = kinds[n];
		if (kinds[n] == 'S' || kinds[n] == 'x')
			entries[n].value.value.bytes = amqp_cstring_bytes("some text");
	}
	nested[0] = int64_entry(AMQP_HEADER_SEQUENCE, 99);
	nested[1] = int64_entry(AMQP_HEADER_EPOCH, 99);
	entries[n] = int64_entry("F", 0);
	entries[n].value.kind = AMQP_FIELD_KIND_TABLE;
	entries[n].value.value.table = (amqp_table_t){2, nested};
	n++;
	static amqp_field_value_t items[2];
	items[0] = nested[0].value;
	items[1] = entries[n - 1].value;
	entries[n] = int64_entry("A", 0);
	entries[n].value.kind = AMQP_FIELD_KIND_ARRAY;
	entries[n].value.value.array = (amqp_array_t){2, items};
	return n + 1;
}

static void fields_of_every_kind_are_passed_over(void **state)
{
	amqp_table_entry_t entries[32], nested[2];
	int n = every_kind_of_entry(entries, nested);
	amqp_basic_properties_t p = {._flags = AMQP_BASIC_HEADERS_FLAG, .headers = {n, entries}};
	struct frame f = header(&p, 0);
	assert_false(parse_ok(&f).has_id);
	entries[n++] = int64_entry(AMQP_HEADER_EPOCH, 7);
	entries[n++] = int64_entry(AMQP_HEADER_SEQUENCE, 41);
	p.headers.num_entries = n;
	f = header(&p, 12345678901234);
	struct amqp_content c = parse_ok(&f);
	assert_true(c.has_id);
	assert_int_equal(c.id, 41);
	assert_int_equal(c.epoch, 7);
	assert_int_equal(c.body_size, 12345678901234);
}

static amqp_basic_properties_t every_property(amqp_table_entry_t *entries, int n)
{
	amqp_bytes_t text = amqp_cstring_bytes("text");
	return (amqp_basic_properties_t){._flags = 0xfffc,
					 .content_type = text,
					 .content_encoding = text,
					 .headers = {n, entries},
					 .delivery_mode = 1,
					 .priority = 2,
					 .correlation_id = text,
					 .reply_to = text,
					 .expiration = text,
					 .message_id = text,
					 .timestamp = 3,
					 .type = text,
					 .user_id = text,
					 .app_id = text,
					 .cluster_id = text};
}

static void truncated_and_overlong_headers_are_refused(void **state)
{
	amqp_table_entry_t entries[32], nested[2];
	amqp_basic_properties_t p = every_property(entries, every_kind_of_entry(entries, nested));
	struct frame f = header(&p, 1);
	struct amqp_content c = parse_ok(&f);
	for (uint32_t len = 0; len <= f.payload_len + 3; len++) {
		uint8_t *exact = malloc(len ? len : 1);
		memset(exact, 0, len);
		memcpy(exact, f.payload, len < f.payload_len ? len : f.payload_len);
		struct frame cut = frame_of(FRAME_HEADER, exact, len);
		assert_int_equal(amqp_parse_content(&cut, &c), len == f.payload_len ? 0 : HW_ERR_AMQP_SYNTAX);
		free(exact);
	}
}

static void every_subset_of_properties_is_parsed(void **state)
{
	amqp_table_entry_t entries[2] = {int64_entry(AMQP_HEADER_SEQUENCE, 5), int64_entry(AMQP_HEADER_EPOCH, 6)};
	amqp_basic_properties_t p = every_property(entries, 2);
	for (uint32_t flags = 0; flags < 1u << 14; flags++) {
		p._flags = flags << 2;
		struct frame f = header(&p, flags);
		struct amqp_content c = parse_ok(&f);
		assert_int_equal(c.has_id, (p._flags & AMQP_BASIC_HEADERS_FLAG) != 0);
		assert_int_equal(c.body_size, flags);
	}
}

static void headers_that_are_not_of_class_basic_are_refused(void **state)
{
	static const struct {
		uint8_t at, value;
	} changes[] = {{1, 61}, {0, 1}, {3, 1}, {13, 1}, {13, 2}};
	for (unsigned i = 0; i < sizeof changes / sizeof *changes; i++) {
		amqp_basic_properties_t p = {0};
		struct amqp_content c;
		struct frame f = header(&p, 0);
		assert_int_equal(amqp_parse_content(&f, &c), 0);
		payload[changes[i].at] = changes[i].value;
		assert_int_equal(amqp_parse_content(&f, &c), HW_ERR_AMQP_SYNTAX);
	}
}

static void unknown_field_type_is_refused(void **state)
{
	amqp_table_entry_t entry = int64_entry("n", 1);
	amqp_basic_properties_t p = {._flags = AMQP_BASIC_HEADERS_FLAG, .headers = {1, &entry}};
	struct frame f = header(&p, 0);
	struct amqp_content c;
	payload[20] = 'z';
	assert_int_equal(amqp_parse_content(&f, &c), HW_ERR_AMQP_SYNTAX);
}

static void table_longer_than_its_frame_is_refused(void **state)
{
	amqp_table_entry_t entry = int64_entry("n", 1);
	amqp_basic_properties_t p = {._flags = AMQP_BASIC_HEADERS_FLAG, .headers = {1, &entry}};
	struct frame f = header(&p, 0);
	struct amqp_content c;
	put_be32(payload + 14, 0xffffffff);
	assert_int_equal(amqp_parse_content(&f, &c), HW_ERR_AMQP_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_is_recognised_by_its_sequence_or_message_id_slot),
		cmocka_unit_test(message_id_of_another_form_is_not_ours),
		cmocka_unit_test(sequence_without_a_fitting_epoch_is_not_ours),
		cmocka_unit_test(fields_of_every_kind_are_passed_over),
		cmocka_unit_test(truncated_and_overlong_headers_are_refused),
		cmocka_unit_test(every_subset_of_properties_is_parsed),
		cmocka_unit_test(headers_that_are_not_of_class_basic_are_refused),
		cmocka_unit_test(unknown_field_type_is_refused),
		cmocka_unit_test(table_longer_than_its_frame_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Many connections on one worker. */
#include <stdlib.h>

#include "tests/lib/prng.h"
#include "tests/unit/plane/plane.h"

#define MANY STREAMS_MAX

struct crowd {
	struct clock_scale clock;
	struct worker worker;
	struct fake_transport net;
	struct harewire_publisher *publishers[MANY];
	struct connection *connections[MANY];
	uint32_t templates[MANY];
};

static void crowd_command(struct crowd *c, uint32_t i, struct command cmd)
{
	cmd.connection = c->connections[i];
	cmd.generation = 1;
	assert_true(spsc_push(&c->worker.channel.commands, &cmd));
}

static void crowd_drain_events(struct crowd *c)
{
	while (spsc_peek(&c->worker.channel.events))
		spsc_pop(&c->worker.channel.events);
}

static void crowd_init(struct crowd *c)
{
	memset(c, 0, sizeof *c);
	c->clock.tsc = true; /* with no scale: time stands still, and no timer sends what a turn is to find */
	struct worker_options w = {.clock = &c->clock, .cpu = -1};
	assert_int_equal(worker_init(&c->worker, &w), 0);
	fake_transport_init(&c->net, MANY);
	struct command attach = {.type = COMMAND_ATTACH_TRANSPORT, .transport = &c->net.transport};
	assert_true(spsc_push(&c->worker.channel.commands, &attach));
	struct publisher_options o = {
		.log_bytes = 4096, .max_messages = 16, .max_templates = 1, .epoch = 1, .clock = &c->clock};
	struct harewire_template_options t = {.routing_key = "k", .priority = -1};
	for (uint32_t i = 0; i < MANY; i++) {
		assert_int_equal(publisher_create(&o, &c->publishers[i]), 0);
		assert_int_equal(publisher_prepare(c->publishers[i], &t, &c->templates[i], NULL), 0);
		assert_int_equal(
			connection_create(c->publishers[i], &(struct connection_options){0}, &c->connections[i]), 0);
		crowd_command(c, i, (struct command){.type = COMMAND_ADD});
		crowd_command(c, i, (struct command){.type = COMMAND_OPEN});
		worker_turn(&c->worker); /* the command ring is smaller than the crowd */
	}
	for (uint32_t i = 0; i < MANY; i++)
		fake_connected(&c->net, c->connections[i]->slot);
	worker_turn(&c->worker);
	for (uint32_t i = 0; i < MANY; i++)
		crowd_command(
			c, i,
			(struct command){.type = COMMAND_HAND_OVER, .hand_over = {.frame_max = 4096, .channel = 1}});
	worker_turn(&c->worker);
	crowd_drain_events(c);
}

static void crowd_fini(struct crowd *c)
{
	for (uint32_t i = 0; i < MANY; i++) {
		connection_destroy(c->connections[i]);
		publisher_destroy(c->publishers[i]);
	}
	fake_transport_fini(&c->net);
	worker_fini(&c->worker);
}

static uint32_t sent_by(const struct crowd *c, uint32_t i)
{
	return c->net.streams[c->connections[i]->slot].sent_len;
}

static void publish(struct crowd *c, uint32_t i)
{
	assert_true(publisher_publish(c->publishers[i], c->templates[i], "m", 1, 0) > 0);
}

static void confirm(struct crowd *c, uint32_t i, uint64_t tag)
{
	uint8_t frame[21] = {FRAME_METHOD, 0, 1};
	put_be32(frame + 3, 13);
	put_be32(frame + 7, AMQP_BASIC_ACK);
	put_be64(frame + 11, tag);
	frame[20] = AMQP_FRAME_END;
	fake_feed(&c->net, c->connections[i]->slot, frame, sizeof frame);
}

/* A cold one that has just been looked at may change places with one that turns hot: it waits for two rotations. */
#define TURNS_TO_WAIT (2 * MANY / 8)

static void every_connection_is_served_within_a_bounded_number_of_turns(void **state)
{
	struct crowd *c = malloc(sizeof *c);
	struct prng random = {.state = 1};
	uint32_t waited[MANY] = {0}, sent[MANY] = {0}, before[MANY], longest = 0;
	crowd_init(c);
	for (uint32_t turn = 0; turn < 20000; turn++) {
		for (uint32_t n = 0; n < 8; n++) {
			uint32_t i = (uint32_t)prng_below(&random, MANY);
			if (waited[i])
				continue;
			publish(c, i);
			waited[i] = 1;
		}
		for (uint32_t i = 0; i < MANY; i++)
			before[i] = sent_by(c, i);
		worker_turn(&c->worker);
		for (uint32_t i = 0; i < MANY; i++) {
			if (waited[i] && sent_by(c, i) > before[i])
				confirm(c, i, ++sent[i]);
			longest = waited[i] > longest ? waited[i] : longest;
			waited[i] = sent_by(c, i) > before[i] || !waited[i] ? 0 : waited[i] + 1;
		}
	}
	assert_true(longest > 1 && longest <= TURNS_TO_WAIT);
	crowd_fini(c);
	free(c);
}

static void a_busy_connection_is_served_every_turn_among_many_idle_ones(void **state)
{
	struct crowd *c = malloc(sizeof *c);
	crowd_init(c);
	const uint32_t busy = MANY - 1;
	publish(c, busy);
	for (uint32_t turns = 0; turns < MANY && sent_by(c, busy) == 0; turns++)
		worker_turn(&c->worker);
	for (int i = 0; i < 10; i++) {
		uint32_t before = sent_by(c, busy);
		publish(c, busy);
		worker_turn(&c->worker);
		assert_true(sent_by(c, busy) > before);
	}
	crowd_fini(c);
	free(c);
}

static void a_turn_does_not_scan_every_idle_connection(void **state)
{
	struct crowd *c = malloc(sizeof *c);
	crowd_init(c);
	for (uint32_t turns = 0; turns < 1000; turns++)
		worker_turn(&c->worker);
	assert_int_equal(c->worker.hot, 0);
	/* All have something to say, one turn serves no more than its share of the cold ones. */
	for (uint32_t i = 0; i < MANY; i++)
		publish(c, i);
	worker_turn(&c->worker);
	assert_true(c->worker.hot > 0 && c->worker.hot <= 8);
	crowd_fini(c);
	free(c);
}

/* Every stream is ready and every one is marked again by its own sending: the list holds both. */
static void no_buffers_for_anybody_is_survived_and_made_up_for(void **state)
{
	struct crowd *c = malloc(sizeof *c);
	crowd_init(c);
	for (uint32_t i = 0; i < MANY; i++) {
		publish(c, i);
		c->net.streams[i].no_buffers = true;
		c->net.ready_streams[i] = true;
	}
	for (uint32_t turns = 0; turns < 3; turns++)
		worker_turn(&c->worker);
	for (uint32_t i = 0; i < MANY; i++)
		c->net.streams[i].no_buffers = false;
	for (uint32_t turns = 0; turns < 2; turns++)
		worker_turn(&c->worker);
	for (uint32_t i = 0; i < MANY; i++)
		assert_true(sent_by(c, i) > 0);
	crowd_fini(c);
	free(c);
}

static void removal_in_the_middle_keeps_the_others_served(void **state)
{
	struct crowd *c = malloc(sizeof *c);
	crowd_init(c);
	for (uint32_t i = 0; i < MANY; i += 2)
		crowd_command(c, i, (struct command){.type = COMMAND_REMOVE});
	worker_turn(&c->worker);
	crowd_drain_events(c);
	assert_int_equal(c->worker.count, MANY / 2);
	for (uint32_t i = 1; i < MANY; i += 2)
		publish(c, i);
	for (uint32_t turns = 0; turns < MANY; turns++)
		worker_turn(&c->worker);
	for (uint32_t i = 1; i < MANY; i += 2)
		assert_true(sent_by(c, i) > 0);
	crowd_fini(c);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_connection_is_served_within_a_bounded_number_of_turns),
		cmocka_unit_test(a_busy_connection_is_served_every_turn_among_many_idle_ones),
		cmocka_unit_test(a_turn_does_not_scan_every_idle_connection),
		cmocka_unit_test(no_buffers_for_anybody_is_survived_and_made_up_for),
		cmocka_unit_test(removal_in_the_middle_keeps_the_others_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Several queues: what is chosen on NICs of every kind, and where their packets arrive then. */
#include "tests/unit/dpdk_played/played.h"

#define TCP RTE_ETH_RSS_NONFRAG_IPV4_TCP
#define IP  RTE_ETH_RSS_IPV4

#define ASSERT_STEERING(d, text) assert_string_equal((d)->info.steering, text)

/* ---- kinds of NIC ---- */

static void can_rss(uint8_t key_bytes, uint16_t reta_size)
{
	nic.queues_max = 8;
	nic.rss_types = TCP | IP;
	nic.key_bytes = key_bytes;
	nic.reta_size = reta_size;
	nic.key = nic.reta = FAKE_ANY_TIME;
	nic.key_readable = nic.reta_readable = true;
}

static bool any_exact_rule(const struct fake_rule *rule)
{
	return rule->by_addresses && rule->by_remote_port && rule->by_local_port;
}

/* Without the protocol field, which its Flow Director has no input for. */
static bool flow_director_rule(const struct fake_rule *rule)
{
	return any_exact_rule(rule) && !rule->by_protocol;
}

static bool ntuple_rule_with_protocol(const struct fake_rule *rule)
{
	return any_exact_rule(rule) && rule->by_protocol;
}

static bool two_tuple_rule(const struct fake_rule *rule)
{
	return rule->by_local_port && rule->by_protocol && !rule->by_addresses && !rule->by_remote_port;
}

/* Takes it for its first three queues alone. */
static bool rule_of_few_queues(const struct fake_rule *rule)
{
	return any_exact_rule(rule) && rule->queue < 3;
}

/* ---- one queue ---- */

static void one_queue_needs_no_steering(void **state)
{
	struct driver *d[1];
	can_rss(40, 128);
	nic.takes_rule = any_exact_rule;
	create_all(1, d);
	ASSERT_STEERING(d[0], "one queue");
	assert_int_equal(nic.asked_types, 0);
	all_connections_arrive(d, 1, 3);
	assert_int_equal(nic.rules_made, 0);
	destroy_all(1, d);
}

static void a_device_of_one_queue_says_so_when_asked_for_two(void **state) /* e1000e */
{
	struct driver *d = NULL;
	assert_int_equal(create_queue(0, 2, &d), HW_ERR_UNSUPPORTED);
	assert_string_equal(why, DEVICE " has 1 queue, not 2: give it at most 1 worker");
	assert_false(nic.probed);
}

/* ---- rules ---- */

static void a_rule_is_made_for_each_connection_and_goes_with_it(void **state) /* mlx5, ice */
{
	struct driver *d[4];
	can_rss(40, 512);
	nic.takes_rule = any_exact_rule;
	nic.isolates = true;
	create_all(4, d);
	ASSERT_STEERING(d[3], "a rule for each connection (rte_flow)");
	assert_int_equal(nic.rules, 0); /* what it was asked with is gone */
	assert_false(nic.isolated);     /* ARP is ours as well */
	all_connections_arrive(d, 4, 5);
	assert_int_equal(nic.rules, 20);
	struct driver_flow flow = connect_from(d[2], 30000);
	const struct fake_rule *rule = fake_ethdev_rule(&flow);
	assert_non_null(rule);
	assert_memory_equal(&rule->flow, &flow, sizeof flow);
	assert_int_equal(rule->queue, 2);
	assert_int_equal(d[2]->ops->flow_add(d[2], &flow), HW_ERR_BUSY);
	d[2]->ops->flow_remove(d[2], &flow);
	assert_int_equal(nic.rules, 20);
	assert_null(fake_ethdev_rule(&flow));
	d[2]->ops->flow_remove(d[2], &flow); /* twice does no harm */
	assert_int_equal(nic.rules, 20);
	destroy_all(4, d);
}

static void finds_the_form_of_rule_the_device_takes(void **state)
{
	static const struct {
		bool (*takes)(const struct fake_rule *);
		const char *steering;
	} kinds[] = {{flow_director_rule, "a rule for each connection (rte_flow)"}, /* i40e, ixgbe */
		     {ntuple_rule_with_protocol, "a rule for each connection (rte_flow)"},
		     {two_tuple_rule, "a rule for each local port (rte_flow)"}}; /* igb, igc */
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct driver *d[3];
		fake_ethdev_reset();
		can_rss(40, 128);
		nic.takes_rule = kinds[i].takes;
		create_all(3, d);
		ASSERT_STEERING(d[0], kinds[i].steering);
		all_connections_arrive(d, 3, 4);
		assert_int_equal(nic.rules, 12);
		destroy_all(3, d);
	}
}

static void rules_that_are_only_promised_are_none(void **state) /* net_tap */
{
	struct driver *d[2];
	can_rss(40, 128);
	nic.takes_rule = any_exact_rule;
	nic.rules_max = 0;
	create_all(2, d);
	ASSERT_STEERING(d[0], "RSS, foretold");
	all_connections_arrive(d, 2, 4);
	destroy_all(2, d);
}

static void rules_must_reach_every_queue(void **state)
{
	struct driver *d[4];
	can_rss(40, 128);
	nic.takes_rule = rule_of_few_queues;
	create_all(3, d);
	ASSERT_STEERING(d[0], "a rule for each connection (rte_flow)");
	destroy_all(3, d);
	create_all(4, d);
	ASSERT_STEERING(d[0], "RSS, foretold");
	all_connections_arrive(d, 4, 4);
	destroy_all(4, d);
}

static void without_room_for_rules_rss_brings_the_next_connections(void **state) /* igb's 82576: eight */
{
	struct driver *d[2];
	can_rss(40, 128);
	nic.takes_rule = any_exact_rule;
	nic.rules_max = 8;
	create_all(2, d);
	all_connections_arrive(d, 2, 4);
	assert_int_equal(nic.rules, 8);
	struct driver_flow first = connect_from(d[1], 20000); /* nobody knew that there is no room */
	ASSERT_STEERING(d[1], "a rule for each connection (rte_flow), full: RSS, foretold");
	int arrival = fake_ethdev_arrival(&first);
	if (arrival != 1)
		d[1]->ops->flow_strayed(d[1], &first, (uint32_t)arrival);
	for (uint16_t i = 0; i < 20; i++) {
		struct driver *one = d[i % 2];
		struct driver_flow flow = connect_from(one, (uint16_t)(21000 + 100 * i));
		assert_int_equal(fake_ethdev_arrival(&flow), i % 2);
	}
	struct driver_flow gone = flow_of_port(40000);
	d[0]->ops->flow_remove(d[0], &gone);
	assert_int_equal(nic.rules, 7);
	struct driver_flow flow = connect_from(d[0], 25000);
	assert_non_null(fake_ethdev_rule(&flow)); /* room again */
	ASSERT_STEERING(d[0], "a rule for each connection (rte_flow)");
	destroy_all(2, d);
}

static void without_room_and_without_rss_a_connection_is_refused(void **state)
{
	struct driver *d[2];
	struct driver_flow flow = flow_of_port(50000);
	nic.queues_max = 2;
	nic.takes_rule = any_exact_rule;
	nic.rules_max = 2;
	create_all(2, d);
	all_connections_arrive(d, 2, 1);
	assert_int_equal(d[1]->ops->flow_add(d[1], &flow), HW_ERR_NO_RULE);
	assert_int_equal(d[1]->ops->flow_add(d[1], &flow), HW_ERR_NO_RULE); /* it was not kept */
	assert_int_equal(d[0]->ops->flow_add(d[0], &flow), 0);              /* queue 0 has what no rule moves */
	assert_int_equal(fake_ethdev_arrival(&flow), 0);
	destroy_all(2, d);
}

static void rules_without_effect_are_not_believed_again(void **state)
{
	struct driver *d[2];
	can_rss(40, 128);
	nic.takes_rule = any_exact_rule;
	nic.rules_without_effect = true;
	create_all(2, d);
	struct driver_flow flow = connect_from(d[0], 40000);
	while (fake_ethdev_arrival(&flow) == 0)
		flow = connect_from(d[0], (uint16_t)(flow.local_port + 1));
	d[0]->ops->flow_strayed(d[0], &flow, 1);
	assert_int_equal(d[0]->ops->flow_wrong_queue(d[0], &flow), 1);
	ASSERT_STEERING(d[0], "RSS, foretold");
	uint32_t made = nic.rules_made;
	for (uint16_t i = 0; i < 20; i++) {
		flow = connect_from(d[i % 2], (uint16_t)(21000 + 100 * i));
		assert_int_equal(fake_ethdev_arrival(&flow), i % 2);
	}
	assert_int_equal(nic.rules_made, made);
	destroy_all(2, d);
}

/* ---- RSS foretold ---- */

static void rss_is_foretold_for_keys_and_tables_of_any_size(void **state)
{
	static const struct {
		uint8_t key_bytes;
		uint16_t reta_size;
	} sizes[] = {{40, 128}, {52, 512}, {16, 2}, {40, 64}, {64, 100}};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct driver *d[2];
		fake_ethdev_reset();
		can_rss(sizes[i].key_bytes, sizes[i].reta_size);
		create_all(2, d);
		ASSERT_STEERING(d[1], "RSS, foretold");
		assert_int_equal(nic.asked_types, TCP);
		for (uint32_t entry = 0; entry < sizes[i].reta_size; entry++) /* evenly, and all of it */
			assert_int_equal(nic.reta_now[entry], entry % 2);
		all_connections_arrive(d, 2, 20);
		destroy_all(2, d);
	}
}

/* The verification suite for Toeplitz that its key was published with: hash modulo 128 of each. */
static void the_hash_is_the_published_one(void **state)
{
	static const struct {
		struct driver_flow flow;
		uint32_t hash;
	} vectors[] = {
		{{0xa18e6450, 0x420995bb, 1766, 2794}, 0x51ccc178},  /* 66.9.149.187:2794 to 161.142.100.80:1766 */
		{{0x41458c53, 0xc75c6f02, 4739, 14230}, 0xc626b0ea}, /* 199.92.111.2:14230 to 65.69.140.83:4739 */
		{{0x0c16cfb8, 0x1813c65f, 38024, 12898}, 0x5c2b394a} /* 24.19.198.95:12898 to 12.22.207.184:38024 */
	};
	struct driver *d[5];
	can_rss(40, 128);
	create_all(5, d);
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
		assert_int_equal(d[0]->ops->flow_queue(d[0], &vectors[i].flow), vectors[i].hash % 128 % 5);
	destroy_all(5, d);
}

static void takes_key_and_table_when_the_device_does(void **state)
{
	static const enum fake_when moments[][2] = {
		{FAKE_AT_CONFIGURE, FAKE_BEFORE_START}, /* virtio */
		{FAKE_AT_CONFIGURE, FAKE_RUNNING},
		{FAKE_ANY_TIME, FAKE_ANY_TIME},
		{FAKE_RUNNING, FAKE_RUNNING},
	};
	for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
		struct driver *d[4];
		fake_ethdev_reset();
		can_rss(40, 128);
		nic.key = moments[i][0];
		nic.reta = moments[i][1];
		create_all(4, d);
		ASSERT_STEERING(d[0], "RSS, foretold");
		assert_int_equal(nic.reta_now[127], 3);
		all_connections_arrive(d, 4, 10);
		destroy_all(4, d);
	}
}

static void reads_back_a_key_that_cannot_be_set(void **state) /* ena */
{
	struct driver *d[4];
	can_rss(40, 128);
	nic.key = FAKE_NEVER;
	create_all(4, d);
	ASSERT_STEERING(d[0], "RSS, foretold");
	all_connections_arrive(d, 4, 10);
	destroy_all(4, d);
}

static void reads_back_a_table_that_cannot_be_set(void **state)
{
	struct driver *d[4];
	can_rss(40, 128);
	nic.reta = FAKE_NEVER;
	create_all(4, d);
	ASSERT_STEERING(d[0], "RSS, foretold");
	all_connections_arrive(d, 4, 10);
	destroy_all(4, d);
}

static void believes_a_device_that_took_the_key_but_does_not_show_it(void **state)
{
	static const enum fake_when moments[] = {FAKE_AT_CONFIGURE, FAKE_ANY_TIME};
	for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
		struct driver *d[4];
		fake_ethdev_reset();
		can_rss(40, 128);
		nic.key = moments[i];
		nic.key_readable = false;
		create_all(4, d);
		ASSERT_STEERING(d[0], "RSS, foretold");
		all_connections_arrive(d, 4, 10);
		destroy_all(4, d);
	}
}

/* It is asked again when it runs. */
static void a_key_refused_at_configuration_may_be_taken_later(void **state)
{
	struct driver *d[4];
	can_rss(40, 128);
	nic.key = FAKE_RUNNING;
	nic.key_refused_at_configure = true;
	nic.key_readable = false;
	create_all(4, d);
	ASSERT_STEERING(d[0], "RSS, foretold");
	all_connections_arrive(d, 4, 10);
	destroy_all(4, d);
}

static void asks_for_ipv4_as_well_where_tcp_alone_is_refused(void **state)
{
	struct driver *d[4];
	can_rss(40, 128);
	nic.rss_types_refused_alone = TCP;
	create_all(4, d);
	assert_int_equal(nic.asked_types, TCP | IP);
	ASSERT_STEERING(d[0], "RSS, foretold");
	all_connections_arrive(d, 4, 10);
	destroy_all(4, d);
}

/* Then all connections between two hosts arrive on one queue, and its worker alone can have them. */
static void a_hash_of_the_addresses_alone_is_foretold_as_such(void **state)
{
	struct driver *d[4];
	can_rss(40, 128);
	nic.rss_types = IP;
	create_all(4, d);
	ASSERT_STEERING(d[0], "RSS, foretold from the addresses alone");
	for (uint32_t i = 0; i < 50; i++) {
		struct driver_flow flow = {0x0a000001, 0x0a000002 + i, (uint16_t)(40000 + i), 5672};
		assert_int_equal(d[0]->ops->flow_queue(d[0], &flow), fake_ethdev_arrival(&flow));
	}
	destroy_all(4, d);
}

/* ---- RSS by trying ---- */

static struct driver_flow straying_flow(struct driver *d, uint16_t port)
{
	struct driver_flow flow = connect_from(d, port);
	while (fake_ethdev_arrival(&flow) == (int)d->info.queue)
		flow = connect_from(d, (uint16_t)(flow.local_port + 1));
	return flow;
}

static void a_wrong_foretelling_is_the_last(void **state)
{
	struct driver *d[4];
	can_rss(40, 128);
	nic.other_hash = true;
	create_all(4, d);
	ASSERT_STEERING(d[2], "RSS, foretold");
	struct driver_flow flow = straying_flow(d[2], 40000), next = flow_of_port(30000);
	uint32_t queue = (uint32_t)fake_ethdev_arrival(&flow);
	assert_int_equal(d[2]->ops->flow_wrong_queue(d[2], &flow), -1);
	d[2]->ops->flow_strayed(d[2], &flow, queue);
	assert_int_equal(d[2]->ops->flow_wrong_queue(d[2], &flow), queue);
	ASSERT_STEERING(d[2], "RSS, by trying");
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(d[i]->ops->flow_queue(d[i], &next), -1);
	connect_from(d[1], 31000);
	ASSERT_STEERING(d[1], "RSS, by trying"); /* it is the port's */
	destroy_all(4, d);
}

static void a_stray_that_was_foretold_shakes_nothing(void **state)
{
	struct driver *d[2];
	can_rss(40, 128);
	create_all(2, d);
	struct driver_flow flow = flow_of_port(40000);
	uint32_t queue = (uint32_t)fake_ethdev_arrival(&flow);
	struct driver *other = d[!queue];
	assert_int_equal(other->ops->flow_add(other, &flow), 0); /* although it is said to go elsewhere */
	other->ops->flow_strayed(other, &flow, queue);
	assert_int_equal(other->ops->flow_wrong_queue(other, &flow), queue);
	ASSERT_STEERING(other, "RSS, foretold");
	assert_int_equal(other->ops->flow_queue(other, &flow), queue);
	destroy_all(2, d);
}

static void strays_that_are_none_are_ignored(void **state)
{
	struct driver *d[2];
	can_rss(40, 128);
	create_all(2, d);
	struct driver_flow flow = connect_from(d[0], 40000), unknown = flow_of_port(9);
	d[0]->ops->flow_strayed(d[0], &flow, 0);
	d[0]->ops->flow_strayed(d[0], &flow, 2);
	d[0]->ops->flow_strayed(d[0], &unknown, 1);
	assert_int_equal(d[0]->ops->flow_wrong_queue(d[0], &flow), -1);
	assert_int_equal(d[0]->ops->flow_wrong_queue(d[0], &unknown), -1);
	ASSERT_STEERING(d[0], "RSS, foretold");
	destroy_all(2, d);
}

static void what_a_device_keeps_to_itself_is_found_out_by_trying(void **state)
{
	for (int hidden = 0; hidden < 3; hidden++) {
		struct driver *d[2];
		struct driver_flow flow = flow_of_port(40000);
		fake_ethdev_reset();
		can_rss(40, 128);
		if (hidden == 0) { /* the key can be neither set nor read */
			nic.key = FAKE_NEVER;
			nic.key_readable = false;
		} else if (hidden == 1) { /* the table */
			nic.reta = FAKE_NEVER;
			nic.reta_readable = false;
		} else { /* it has none to speak of */
			nic.reta_size = 0;
		}
		create_all(2, d);
		ASSERT_STEERING(d[0], "RSS, by trying");
		assert_int_equal(d[0]->ops->flow_queue(d[0], &flow), -1);
		destroy_all(2, d);
	}
}

static void a_virtual_device_is_tried_whatever_it_offers(void **state)
{
	struct driver *d = NULL;
	struct driver_flow flow = flow_of_port(40000);
	nic.queues_max = 2;
	const struct dpdk_options options = {.device = "net_fake0", .queue = 1, .queues = 2};
	assert_int_equal(create_with(options, &d), 0);
	ASSERT_STEERING(d, "RSS, by trying");
	assert_int_equal(d->ops->flow_queue(d, &flow), -1);
	destroy_all(1, &d);
}

/* ---- nothing ---- */

static void assert_cannot_steer(void)
{
	struct driver *d = NULL;
	assert_int_equal(create_queue(0, 2, &d), HW_ERR_UNSUPPORTED);
	assert_string_equal(why, DEVICE " cannot steer packets to several queues: give it one worker");
	assert_true(nic.closed);
	assert_false(nic.probed);
}

static void several_queues_need_a_way_to_them(void **state)
{
	nic.queues_max = 4;
	assert_cannot_steer();
}

static void a_table_that_leads_to_one_queue_alone_is_no_way(void **state) /* vmxnet3 as QEMU plays it */
{
	can_rss(40, 32);
	nic.reta = FAKE_NEVER;
	nic.reta_all_zero = true;
	assert_cannot_steer();
}

static void a_device_that_refuses_rss_altogether_is_configured_without(void **state)
{
	struct driver *d[2];
	can_rss(40, 128);
	nic.rss_types = TCP;
	nic.rss_types_refused_alone = TCP;
	nic.takes_rule = any_exact_rule;
	create_all(2, d);
	assert_int_equal(nic.asked_types, 0);
	all_connections_arrive(d, 2, 4);
	destroy_all(2, d);
}

/* ---- limits ---- */

static void holds_as_many_flows_as_a_worker_can_have_and_says_when_full(void **state)
{
	struct driver *d[1];
	create_all(1, d);
	for (uint32_t i = 0; i < DPDK_FLOWS_MAX; i++) {
		struct driver_flow flow = flow_of_port((uint16_t)(1024 + i));
		assert_int_equal(d[0]->ops->flow_add(d[0], &flow), 0);
	}
	struct driver_flow last = flow_of_port(1024), more = flow_of_port(60000);
	assert_int_equal(d[0]->ops->flow_add(d[0], &more), HW_ERR_NOMEM);
	d[0]->ops->flow_remove(d[0], &last);
	assert_int_equal(d[0]->ops->flow_add(d[0], &more), 0);
	destroy_all(1, d);
}

static void port_wide_losses_are_told_once(void **state)
{
	struct driver *d[3];
	struct driver_stats s[3];
	can_rss(40, 128);
	create_all(3, d);
	nic.stats = (struct rte_eth_stats){.imissed = 100, .rx_nombuf = 11, .q_errors = {1, 20, 40}};
	for (int i = 0; i < 3; i++)
		d[i]->ops->stats(d[i], &s[i]);
	assert_int_equal(s[1].rx_dropped, 20);
	assert_int_equal(s[2].rx_dropped, 40);
	assert_int_equal(s[0].rx_dropped + s[1].rx_dropped + s[2].rx_dropped, 111);
	nic.stats.q_errors[2] = 500; /* of other things than what the port counts */
	d[0]->ops->stats(d[0], &s[0]);
	assert_int_equal(s[0].rx_dropped, 1);
	nic.stats = (struct rte_eth_stats){.q_errors = {7}}; /* ixgbe, dropping instead of waiting */
	d[0]->ops->stats(d[0], &s[0]);
	assert_int_equal(s[0].rx_dropped, 7);
	destroy_all(3, d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		played(one_queue_needs_no_steering),
		played(a_device_of_one_queue_says_so_when_asked_for_two),
		played(a_rule_is_made_for_each_connection_and_goes_with_it),
		played(finds_the_form_of_rule_the_device_takes),
		played(rules_that_are_only_promised_are_none),
		played(rules_must_reach_every_queue),
		played(without_room_for_rules_rss_brings_the_next_connections),
		played(without_room_and_without_rss_a_connection_is_refused),
		played(rules_without_effect_are_not_believed_again),
		played(rss_is_foretold_for_keys_and_tables_of_any_size),
		played(the_hash_is_the_published_one),
		played(takes_key_and_table_when_the_device_does),
		played(reads_back_a_key_that_cannot_be_set),
		played(reads_back_a_table_that_cannot_be_set),
		played(believes_a_device_that_took_the_key_but_does_not_show_it),
		played(a_key_refused_at_configuration_may_be_taken_later),
		played(asks_for_ipv4_as_well_where_tcp_alone_is_refused),
		played(a_hash_of_the_addresses_alone_is_foretold_as_such),
		played(a_wrong_foretelling_is_the_last),
		played(a_stray_that_was_foretold_shakes_nothing),
		played(strays_that_are_none_are_ignored),
		played(what_a_device_keeps_to_itself_is_found_out_by_trying),
		played(a_virtual_device_is_tried_whatever_it_offers),
		played(several_queues_need_a_way_to_them),
		played(a_table_that_leads_to_one_queue_alone_is_no_way),
		played(a_device_that_refuses_rss_altogether_is_configured_without),
		played(holds_as_many_flows_as_a_worker_can_have_and_says_when_full),
		played(port_wide_losses_are_told_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* ethtool n-tuple rules, against a NIC played by this program's own ioctl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include "drivers/driver.h"
#include "drivers/ntuple.h"

#define TABLE_SIZE 8

static struct {
	int error;        /* of every request, if not 0 */
	int insert_error; /* of the insertion */
	bool chooses_location;
	bool used[TABLE_SIZE];
	struct ethtool_rx_flow_spec rules[TABLE_SIZE];
	char interface[IFNAMSIZ];
} nic;

static int list_rules(struct ethtool_rxnfc *request)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < TABLE_SIZE; i++) {
		if (!nic.used[i])
			continue;
		assert_true(n < request->rule_cnt);
		request->rule_locs[n++] = i;
	}
	request->rule_cnt = n;
	request->data = TABLE_SIZE;
	return 0;
}

static int insert_rule(struct ethtool_rxnfc *request)
{
	if (request->fs.location == RX_CLS_LOC_ANY)
		request->fs.location = 3;
	assert_in_range(request->fs.location, 0, TABLE_SIZE - 1);
	if (nic.insert_error)
		return nic.insert_error;
	assert_false(nic.used[request->fs.location]);
	nic.used[request->fs.location] = true;
	nic.rules[request->fs.location] = request->fs;
	return 0;
}

static int answer(struct ethtool_rxnfc *request)
{
	if (nic.error)
		return nic.error;
	switch (request->cmd) {
	case ETHTOOL_GRXCLSRLCNT:
		for (uint32_t i = 0; i < TABLE_SIZE; i++)
			request->rule_cnt += nic.used[i];
		request->data = nic.chooses_location ? TABLE_SIZE | RX_CLS_LOC_SPECIAL : TABLE_SIZE;
		return 0;
	case ETHTOOL_GRXCLSRLALL:
		return list_rules(request);
	case ETHTOOL_SRXCLSRLINS:
		return insert_rule(request);
	case ETHTOOL_SRXCLSRLDEL:
		nic.used[request->fs.location] = false;
		return 0;
	default:
		return EOPNOTSUPP;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	va_start(arguments, request);
	struct ifreq *ifr = va_arg(arguments, struct ifreq *);
	va_end(arguments);
	assert_int_equal(request, SIOCETHTOOL);
	memcpy(nic.interface, ifr->ifr_name, IFNAMSIZ);
	errno = answer((struct ethtool_rxnfc *)ifr->ifr_data);
	return errno ? -1 : 0;
}

static int new_nic(void **state)
{
	memset(&nic, 0, sizeof nic);
	return 0;
}

static const struct driver_flow FLOW = {0x0a000001, 0x0a000002, 40000, 5672};

static void the_rule_matches_exactly_what_the_peer_sends_us(void **state)
{
	assert_int_equal(ntuple_add("eth0", &FLOW, -1, 5), TABLE_SIZE - 1);
	const struct ethtool_rx_flow_spec *rule = &nic.rules[TABLE_SIZE - 1];
	assert_string_equal(nic.interface, "eth0");
	assert_int_equal(rule->flow_type, TCP_V4_FLOW);
	assert_int_equal(rule->ring_cookie, 5);
	assert_int_equal(rule->h_u.tcp_ip4_spec.ip4src, htonl(0x0a000002));
	assert_int_equal(rule->h_u.tcp_ip4_spec.ip4dst, htonl(0x0a000001));
	assert_int_equal(rule->h_u.tcp_ip4_spec.psrc, htons(5672));
	assert_int_equal(rule->h_u.tcp_ip4_spec.pdst, htons(40000));
	assert_int_equal(rule->m_u.tcp_ip4_spec.ip4src, 0xffffffff);
	assert_int_equal(rule->m_u.tcp_ip4_spec.ip4dst, 0xffffffff);
	assert_int_equal(rule->m_u.tcp_ip4_spec.psrc, 0xffff);
	assert_int_equal(rule->m_u.tcp_ip4_spec.pdst, 0xffff);
	assert_int_equal(rule->m_u.tcp_ip4_spec.tos, 0);
}

static void a_virtual_functions_number_is_in_the_rule_beside_its_queue(void **state)
{
	int64_t location = ntuple_add("eth0", &FLOW, 0, 2);
	assert_in_range(location, 0, TABLE_SIZE - 1);
	assert_int_equal(ethtool_get_flow_spec_ring_vf(nic.rules[location].ring_cookie), 1);
	assert_int_equal(ethtool_get_flow_spec_ring(nic.rules[location].ring_cookie), 2);
	location = ntuple_add("eth0", &FLOW, 63, 0);
	assert_int_equal(ethtool_get_flow_spec_ring_vf(nic.rules[location].ring_cookie), 64);
}

static void says_whether_there_are_rules_at_all(void **state)
{
	assert_true(ntuple_is_possible("eth0"));
	nic.chooses_location = true;
	assert_true(ntuple_is_possible("eth0"));
	nic.error = EOPNOTSUPP;
	assert_false(ntuple_is_possible("eth0"));
	assert_false(nic.used[TABLE_SIZE - 1]);
}

static void takes_the_highest_free_location_and_gives_it_back(void **state)
{
	nic.used[TABLE_SIZE - 1] = nic.used[TABLE_SIZE - 3] = true;
	assert_int_equal(ntuple_add("eth0", &FLOW, -1, 0), TABLE_SIZE - 2);
	assert_int_equal(ntuple_add("eth0", &FLOW, -1, 0), TABLE_SIZE - 4);
	ntuple_remove("eth0", TABLE_SIZE - 2);
	assert_false(nic.used[TABLE_SIZE - 2]);
	assert_int_equal(ntuple_add("eth0", &FLOW, -1, 0), TABLE_SIZE - 2);
}

static void lets_a_driver_that_can_choose_the_location(void **state)
{
	nic.chooses_location = true;
	assert_int_equal(ntuple_add("eth0", &FLOW, -1, 0), 3);
	assert_true(nic.used[3]);
}

static void a_full_table_means_no_rule(void **state)
{
	memset(nic.used, true, sizeof nic.used);
	assert_int_equal(ntuple_add("eth0", &FLOW, -1, 0), -1);
}

static void a_device_without_rules_or_with_them_switched_off_means_no_rule(void **state)
{
	nic.error = EOPNOTSUPP;
	assert_int_equal(ntuple_add("eth0", &FLOW, -1, 0), -1);
	nic.error = 0;
	nic.insert_error = EOPNOTSUPP;
	assert_int_equal(ntuple_add("eth0", &FLOW, -1, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_rule_matches_exactly_what_the_peer_sends_us, new_nic),
		cmocka_unit_test_setup(a_virtual_functions_number_is_in_the_rule_beside_its_queue, new_nic),
		cmocka_unit_test_setup(says_whether_there_are_rules_at_all, new_nic),
		cmocka_unit_test_setup(takes_the_highest_free_location_and_gives_it_back, new_nic),
		cmocka_unit_test_setup(lets_a_driver_that_can_choose_the_location, new_nic),
		cmocka_unit_test_setup(a_full_table_means_no_rule, new_nic),
		cmocka_unit_test_setup(a_device_without_rules_or_with_them_switched_off_means_no_rule, new_nic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

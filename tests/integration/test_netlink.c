/* Routes, neighbours and ports of a real kernel, in the lab's namespaces. Root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/netlink/neighbour.h"
#include "control/netlink/route.h"
#include "dataplane/base/error.h"
#include "tests/integration/lab.h"

#define PATIENCE_MS 2000
#define ABSENT_IP   (LAB_THEIR_IP + 7)
#define REMOTE_IP   0xc0000205u /* 192.0.2.5 */

static const uint8_t OUR_MAC[6] = {2, 0, 0, 0, 0, 1}, THEIR_MAC[6] = {2, 0, 0, 0, 0, 2};

static struct lab lab;

static int setup(void **state)
{
	lab_up(&lab, 1);
	return 0;
}

static int teardown(void **state)
{
	lab_down(&lab);
	return 0;
}

/* ---- routes ----------------------------------------------------------------------------------------------------- */

static void an_on_link_destination_is_its_own_next_hop(void **state)
{
	struct route route;
	assert_int_equal(route_lookup(LAB_THEIR_IP, &route), 0);
	assert_int_equal(route.interface_index, lab.index);
	assert_string_equal(route.interface, "xdp0");
	assert_int_equal(route.source_ip, LAB_OUR_IP);
	assert_int_equal(route.next_hop, LAB_THEIR_IP);
	assert_int_equal(route.mtu, 1500);
	assert_memory_equal(route.mac, OUR_MAC, 6);
	assert_true(route.up);
	assert_false(route.loopback);
}

static void a_gateway_is_the_next_hop(void **state)
{
	struct route route;
	lab_run(lab.ours, "ip route add 192.0.2.0/24 via 10.77.0.2 mtu 1400");
	assert_int_equal(route_lookup(REMOTE_IP, &route), 0);
	assert_int_equal(route.next_hop, LAB_THEIR_IP);
	assert_int_equal(route.source_ip, LAB_OUR_IP);
	assert_int_equal(route.mtu, 1400);
}

static void a_route_never_promises_more_than_the_interface_takes(void **state)
{
	struct route route;
	lab_run(lab.ours, "ip route add 192.0.2.0/24 via 10.77.0.2 mtu 9000");
	assert_int_equal(route_lookup(REMOTE_IP, &route), 0);
	assert_int_equal(route.mtu, 1500);
}

static void no_usable_route_means_unreachable(void **state)
{
	static const char *const kinds[] = {"unreachable", "prohibit", "blackhole", "throw"};
	struct route route;
	assert_int_equal(route_lookup(REMOTE_IP, &route), HW_ERR_HOST_UNREACHABLE);
	for (int i = 0; i < 4; i++) {
		lab_run(lab.ours, "ip route replace %s 192.0.2.0/24", kinds[i]);
		assert_int_equal(route_lookup(REMOTE_IP, &route), HW_ERR_HOST_UNREACHABLE);
	}
	assert_int_equal(route_lookup(0xe0000001, &route), HW_ERR_HOST_UNREACHABLE);
	assert_int_equal(route_lookup(0x0a4d00ff, &route), HW_ERR_HOST_UNREACHABLE);
}

static void an_ipv6_next_hop_is_refused(void **state)
{
	struct route route;
	lab_run(lab.ours,
		"echo 0 >/proc/sys/net/ipv6/conf/xdp0/disable_ipv6 && ip -6 addr add fd00::1/64 dev xdp0 nodad && "
		"ip route add 192.0.2.0/24 via inet6 fd00::2 dev xdp0");
	assert_int_equal(route_lookup(REMOTE_IP, &route), HW_ERR_UNSUPPORTED);
}

static void our_own_addresses_lead_back(void **state)
{
	struct route route;
	assert_int_equal(route_lookup(LAB_OUR_IP, &route), 0);
	assert_true(route.loopback);
	assert_int_equal(route_lookup(0x7f000001, &route), 0);
	assert_true(route.loopback);
	assert_int_equal(route.mtu, 65535);
}

static void a_link_without_carrier_is_not_up(void **state)
{
	struct route route;
	lab_run(lab.theirs, "ip link set xdp1 down");
	assert_int_equal(route_lookup(LAB_THEIR_IP, &route), 0);
	assert_false(route.up);
}

/* ---- neighbours ------------------------------------------------------------------------------------------------- */

static enum neighbour_state settled(uint32_t ip, uint8_t mac[6])
{
	enum neighbour_state now = NEIGHBOUR_UNKNOWN;
	for (uint64_t end = lab_now_ms() + 2 * PATIENCE_MS; lab_now_ms() < end; usleep(1000)) {
		now = neighbour_lookup(lab.index, ip, mac);
		if (now == NEIGHBOUR_KNOWN || now == NEIGHBOUR_FAILED)
			break;
	}
	return now;
}

static void a_provoked_neighbour_becomes_known(void **state)
{
	uint8_t mac[6] = {0};
	assert_int_equal(neighbour_lookup(lab.index, LAB_THEIR_IP, mac), NEIGHBOUR_UNKNOWN);
	assert_int_equal(neighbour_provoke(lab.index, LAB_THEIR_IP), 0);
	assert_int_equal(settled(LAB_THEIR_IP, mac), NEIGHBOUR_KNOWN);
	assert_memory_equal(mac, THEIR_MAC, 6);
}

static void a_neighbour_that_does_not_answer_is_pending_then_failed(void **state)
{
	uint8_t mac[6];
	lab_run(lab.ours, "echo 100 >/proc/sys/net/ipv4/neigh/xdp0/retrans_time_ms");
	assert_int_equal(neighbour_provoke(lab.index, ABSENT_IP), 0);
	assert_int_equal(neighbour_lookup(lab.index, ABSENT_IP, mac), NEIGHBOUR_PENDING);
	assert_int_equal(settled(ABSENT_IP, mac), NEIGHBOUR_FAILED);
}

static void a_gateway_outside_every_subnet_can_be_provoked(void **state)
{
	uint8_t mac[6];
	lab_run(lab.theirs, "ip addr add 169.254.1.1/32 dev xdp1");
	lab_run(lab.ours, "ip route add default via 169.254.1.1 dev xdp0 onlink");
	struct route route;
	assert_int_equal(route_lookup(REMOTE_IP, &route), 0);
	assert_int_equal(route.next_hop, 0xa9fe0101);
	assert_int_equal(neighbour_provoke(route.interface_index, route.next_hop), 0);
	assert_int_equal(settled(route.next_hop, mac), NEIGHBOUR_KNOWN);
}

static void a_forgotten_neighbour_is_asked_for_anew(void **state)
{
	uint8_t mac[6] = {0};
	lab_run(lab.ours, "ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:99 nud reachable dev xdp0");
	assert_int_equal(settled(LAB_THEIR_IP, mac), NEIGHBOUR_KNOWN);
	assert_int_equal(mac[5], 0x99);
	neighbour_forget(lab.index, LAB_THEIR_IP);
	assert_int_equal(neighbour_provoke(lab.index, LAB_THEIR_IP), 0);
	assert_int_equal(settled(LAB_THEIR_IP, mac), NEIGHBOUR_KNOWN);
	assert_memory_equal(mac, THEIR_MAC, 6);
}

static void an_administrators_neighbour_is_not_forgotten(void **state)
{
	uint8_t mac[6] = {0};
	lab_run(lab.ours, "ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:99 nud permanent dev xdp0");
	neighbour_forget(lab.index, LAB_THEIR_IP);
	assert_int_equal(neighbour_lookup(lab.index, LAB_THEIR_IP, mac), NEIGHBOUR_KNOWN);
	assert_int_equal(mac[5], 0x99);
	neighbour_forget(lab.index, ABSENT_IP); /* nothing known, nothing to do */
}

struct seen {
	uint32_t count;
	enum neighbour_state state;
	uint8_t mac[6];
};

static void note(void *context, uint32_t interface_index, uint32_t ip, enum neighbour_state state, const uint8_t mac[6])
{
	struct seen *seen = context;
	if (interface_index != lab.index || ip != LAB_THEIR_IP)
		return;
	seen->count++;
	seen->state = state;
	memcpy(seen->mac, mac, 6);
}

static struct seen next_change(struct neighbours *n)
{
	struct seen seen = {0};
	struct pollfd ready = {.fd = n->fd, .events = POLLIN};
	assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
	neighbours_read(n, note, &seen);
	return seen;
}

static void changes_are_reported_as_they_happen(void **state)
{
	struct neighbours n;
	assert_int_equal(neighbours_init(&n), 0);
	lab_run(lab.ours, "ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev xdp0 nud permanent");
	struct seen seen = next_change(&n);
	assert_int_equal(seen.state, NEIGHBOUR_KNOWN);
	assert_memory_equal(seen.mac, THEIR_MAC, 6);
	lab_run(lab.ours, "ip neigh change 10.77.0.2 lladdr 02:00:00:00:00:01 dev xdp0");
	seen = next_change(&n);
	assert_int_equal(seen.state, NEIGHBOUR_KNOWN);
	assert_memory_equal(seen.mac, OUR_MAC, 6);
	lab_run(lab.ours, "ip neigh del 10.77.0.2 dev xdp0");
	seen = next_change(&n);
	assert_true(seen.state == NEIGHBOUR_UNKNOWN || seen.state == NEIGHBOUR_FAILED);
	neighbours_read(&n, note, &seen);
	neighbours_fini(&n);
	assert_int_equal(n.fd, -1);
}

/* More changes than the socket holds: whatever was lost, the last state is reported. */
static void after_an_overrun_everything_is_reported_again(void **state)
{
	struct neighbours n;
	struct seen seen = {0};
	assert_int_equal(neighbours_init(&n), 0);
	setsockopt(n.fd, SOL_SOCKET, SO_RCVBUF, &(int){1}, sizeof(int));
	lab_run(lab.ours,
		"ip neigh add 10.77.0.3 lladdr 02:00:00:00:00:03 dev xdp0; "
		"for i in $(seq 50); do ip neigh change 10.77.0.3 lladdr 02:00:00:00:00:$i dev xdp0 || exit 1; done; "
		"ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev xdp0");
	neighbours_read(&n, note, &seen);
	assert_int_equal(seen.state, NEIGHBOUR_KNOWN);
	assert_memory_equal(seen.mac, THEIR_MAC, 6);
	neighbours_fini(&n);
}

/* ---- ports ------------------------------------------------------------------------------------------------------ */

static void a_reserved_port_is_nobody_elses(void **state)
{
	uint16_t port = 0, same;
	int fd = port_reserve(LAB_OUR_IP, &port);
	assert_true(fd >= 0);
	assert_int_not_equal(port, 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	same = port;
	assert_int_equal(port_reserve(LAB_OUR_IP, &same), HW_ERR_BUSY);
	close(fd);
	fd = port_reserve(LAB_OUR_IP, &same);
	assert_true(fd >= 0);
	assert_int_equal(same, port);
	close(fd);
}

static void a_reserved_port_refuses_connections(void **state)
{
	uint16_t port = 0;
	int reserved = port_reserve(LAB_OUR_IP, &port);
	assert_true(reserved >= 0);
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(LAB_OUR_IP)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
	close(fd);
	close(reserved);
}

static void a_foreign_address_cannot_be_reserved(void **state)
{
	uint16_t port = 0;
	assert_int_equal(port_reserve(LAB_THEIR_IP, &port), HW_ERR_SYSTEM);
}

#define IN_THE_LAB(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_THE_LAB(an_on_link_destination_is_its_own_next_hop),
		IN_THE_LAB(a_gateway_is_the_next_hop),
		IN_THE_LAB(a_route_never_promises_more_than_the_interface_takes),
		IN_THE_LAB(no_usable_route_means_unreachable),
		IN_THE_LAB(an_ipv6_next_hop_is_refused),
		IN_THE_LAB(our_own_addresses_lead_back),
		IN_THE_LAB(a_link_without_carrier_is_not_up),
		IN_THE_LAB(a_provoked_neighbour_becomes_known),
		IN_THE_LAB(a_neighbour_that_does_not_answer_is_pending_then_failed),
		IN_THE_LAB(a_gateway_outside_every_subnet_can_be_provoked),
		IN_THE_LAB(a_forgotten_neighbour_is_asked_for_anew),
		IN_THE_LAB(an_administrators_neighbour_is_not_forgotten),
		IN_THE_LAB(changes_are_reported_as_they_happen),
		IN_THE_LAB(after_an_overrun_everything_is_reported_again),
		IN_THE_LAB(a_reserved_port_is_nobody_elses),
		IN_THE_LAB(a_reserved_port_refuses_connections),
		IN_THE_LAB(a_foreign_address_cannot_be_reserved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

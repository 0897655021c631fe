#include "control/netlink/neighbour.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/netlink/message.h"
#include "control/netlink/request.h"
#include "dataplane/base/error.h"

#define QUESTION_BYTES        256
#define MONITOR_BYTES         8192
#define MONITOR_BACKLOG_BYTES (1 << 20)
#define DISCARD_PORT          9
#define DUMP_ATTEMPTS         4

int neighbours_init(struct neighbours *n)
{
	const int backlog = MONITOR_BACKLOG_BYTES;
	n->fd = -1;
	n->monitor = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!n->monitor)
		return HW_ERR_SYSTEM;
	if (mnl_socket_bind(n->monitor, RTMGRP_NEIGH, MNL_SOCKET_AUTOPID) < 0) {
		neighbours_fini(n);
		return HW_ERR_SYSTEM;
	}
	n->fd = mnl_socket_get_fd(n->monitor);
	/* A burst longer than the backlog costs a dump, no more: neighbours_read. */
	setsockopt(n->fd, SOL_SOCKET, SO_RCVBUF, &backlog, sizeof backlog);
	return 0;
}

void neighbours_fini(struct neighbours *n)
{
	int error = errno;
	if (n->monitor)
		mnl_socket_close(n->monitor);
	n->monitor = NULL;
	n->fd = -1;
	errno = error;
}

static int note_neighbour(const struct nlmsghdr *message, void *context)
{
	return neighbour_message_parse(message, context) ? MNL_CB_STOP : MNL_CB_ERROR;
}

/* A question or a change concerning one entry. */
static struct nlmsghdr *put_entry(char *buffer, uint16_t type, uint16_t flags, uint32_t interface_index, uint32_t ip)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	struct ndmsg *header = mnl_nlmsg_put_extra_header(message, sizeof *header);
	header->ndm_family = AF_INET;
	header->ndm_ifindex = (int)interface_index;
	mnl_attr_put_u32(message, NDA_DST, htonl(ip));
	return message;
}

/* 0, or -errno; ENOENT: never heard of it. */
static int find_entry(uint32_t interface_index, uint32_t ip, struct neighbour_message *found)
{
	_Alignas(struct nlmsghdr) char buffer[QUESTION_BYTES];
	return netlink_request(put_entry(buffer, RTM_GETNEIGH, 0, interface_index, ip), note_neighbour, found);
}

enum neighbour_state neighbour_lookup(uint32_t interface_index, uint32_t ip, uint8_t mac[6])
{
	struct neighbour_message found;
	if (find_entry(interface_index, ip, &found))
		return NEIGHBOUR_UNKNOWN;
	if (found.state == NEIGHBOUR_KNOWN)
		memcpy(mac, found.mac, sizeof found.mac);
	return found.state;
}

void neighbour_forget(uint32_t interface_index, uint32_t ip)
{
	_Alignas(struct nlmsghdr) char buffer[QUESTION_BYTES];
	struct neighbour_message found;
	if (find_entry(interface_index, ip, &found) == 0 && !found.fixed)
		netlink_request(put_entry(buffer, RTM_DELNEIGH, NLM_F_ACK, interface_index, ip), NULL, NULL);
}

int neighbour_provoke(uint32_t interface_index, uint32_t ip)
{
	const int index = (int)interface_index;
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(ip),
		.sin_port = htons(DISCARD_PORT),
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return HW_ERR_SYSTEM;
	int error = 0;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof index) ||
	    sendto(fd, NULL, 0, MSG_DONTWAIT, (const struct sockaddr *)&address, sizeof address) < 0)
		error = errno;
	close(fd);
	errno = error;
	if (error == ENETUNREACH || error == EHOSTUNREACH)
		return HW_ERR_HOST_UNREACHABLE;
	return error ? HW_ERR_SYSTEM : 0;
}

struct observer {
	void (*changed)(void *context, uint32_t interface_index, uint32_t ip, enum neighbour_state state,
			const uint8_t mac[6]);
	void *context;
};

static int report(const struct nlmsghdr *message, void *context)
{
	const struct observer *observer = context;
	struct neighbour_message n;
	if (neighbour_message_parse(message, &n))
		observer->changed(observer->context, n.interface_index, n.ip, n.state, n.mac);
	return MNL_CB_OK;
}

/* The monitor lost messages: reports every entry there is. One dump that was cut through by a change is repeated. */
static void report_all(struct observer *observer)
{
	_Alignas(struct nlmsghdr) char buffer[QUESTION_BYTES];
	for (int i = 0, rc = -EINTR; rc == -EINTR && i < DUMP_ATTEMPTS; i++) {
		struct nlmsghdr *question = mnl_nlmsg_put_header(buffer);
		question->nlmsg_type = RTM_GETNEIGH;
		question->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		struct ndmsg *header = mnl_nlmsg_put_extra_header(question, sizeof *header);
		header->ndm_family = AF_INET;
		rc = netlink_request(question, report, observer);
	}
}

void neighbours_read(struct neighbours *n,
		     void (*changed)(void *context, uint32_t interface_index, uint32_t ip, enum neighbour_state state,
				     const uint8_t mac[6]),
		     void *context)
{
	_Alignas(struct nlmsghdr) char buffer[MONITOR_BYTES];
	struct observer observer = {changed, context};
	for (;;) {
		int len = netlink_receive(n->monitor, buffer, sizeof buffer, MSG_DONTWAIT);
		if (len == -ENOBUFS)
			report_all(&observer);
		else if (len < 0)
			return;
		else
			mnl_cb_run(buffer, (size_t)len, 0, 0, report, &observer);
	}
}

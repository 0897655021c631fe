#include "control/netlink/request.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#define ANSWER_TIMEOUT_S 2
/* The kernel makes no dump datagram larger than this, whatever room there is. */
#define ANSWER_BYTES 32768

int netlink_receive(struct mnl_socket *socket, void *buffer, size_t buffer_bytes, int flags)
{
	for (;;) {
		struct sockaddr_nl from = {0};
		struct iovec space = {buffer, buffer_bytes};
		struct msghdr message = {
			.msg_name = &from,
			.msg_namelen = sizeof from,
			.msg_iov = &space,
			.msg_iovlen = 1,
		};
		ssize_t len = recvmsg(mnl_socket_get_fd(socket), &message, flags);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		if (from.nl_pid == 0 && !(message.msg_flags & MSG_TRUNC))
			return (int)len;
	}
}

/* Reads datagrams until the answer is complete. */
static int read_answer(struct mnl_socket *socket, uint32_t sequence, mnl_cb_t answer, void *context)
{
	_Alignas(struct nlmsghdr) char buffer[ANSWER_BYTES];
	for (;;) {
		int len = netlink_receive(socket, buffer, sizeof buffer, 0);
		if (len < 0)
			return len == -EAGAIN ? -ETIMEDOUT : len;
		errno = 0;
		int rc = mnl_cb_run(buffer, (size_t)len, sequence, mnl_socket_get_portid(socket), answer, context);
		if (rc < 0)
			return errno ? -errno : -EPROTO;
		if (rc == MNL_CB_STOP)
			return 0;
	}
}

static int ask(struct mnl_socket *socket, struct nlmsghdr *question, mnl_cb_t answer, void *context)
{
	const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout))
		return -errno;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	question->nlmsg_seq = (uint32_t)now.tv_nsec;
	if (mnl_socket_sendto(socket, question, question->nlmsg_len) < 0)
		return -errno;
	return read_answer(socket, question->nlmsg_seq, answer, context);
}

int netlink_request(struct nlmsghdr *question, mnl_cb_t answer, void *context)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!socket)
		return -errno;
	int rc = ask(socket, question, answer, context);
	mnl_socket_close(socket);
	return rc;
}

struct attribute_table {
	const struct nlattr **entries;
	uint16_t max;
};

/* Of an attribute that occurs twice the last counts, as in the kernel. */
static int note_attribute(const struct nlattr *attribute, void *context)
{
	const struct attribute_table *table = context;
	uint16_t type = mnl_attr_get_type(attribute);
	if (type <= table->max)
		table->entries[type] = attribute;
	return MNL_CB_OK;
}

bool netlink_attributes(const struct nlmsghdr *message, size_t header_bytes, const struct nlattr *table[], uint16_t max)
{
	memset(table, 0, ((size_t)max + 1) * sizeof table[0]);
	if (message->nlmsg_len < NLMSG_HDRLEN || mnl_nlmsg_get_payload_len(message) < header_bytes)
		return false;
	struct attribute_table context = {table, max};
	/* Not mnl_attr_parse: it rounds the message's length up and would read past a truncated one. */
	const uint8_t *attributes = (const uint8_t *)mnl_nlmsg_get_payload(message) + header_bytes;
	size_t len = mnl_nlmsg_get_payload_len(message) - header_bytes;
	return mnl_attr_parse_payload(attributes, len, note_attribute, &context) >= 0;
}

/* One question to the kernel's rtnetlink, and its answer. Control thread. */
#ifndef HAREWIRE_NETLINK_REQUEST_H
#define HAREWIRE_NETLINK_REQUEST_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Sends `question` (its sequence number is set here) on a socket of its own, and calls `answer` for every message of
 * the reply. MNL_CB_STOP from `answer` ends it, MNL_CB_ERROR fails it. 0, or -errno: the kernel's own (NLMSG_ERROR), or
 * ours; ETIMEDOUT when no answer comes.
 */
int netlink_request(struct nlmsghdr *question, mnl_cb_t answer, void *context);

/*
 * Reads one datagram that the kernel itself sent; those of other processes and oversized ones are skipped. Its length,
 * or -errno (EAGAIN: nothing there).
 */
int netlink_receive(struct mnl_socket *socket, void *buffer, size_t buffer_bytes, int flags);

/* The attributes of a message behind `header_bytes` of family header, by type; false when it is malformed. */
bool netlink_attributes(const struct nlmsghdr *message, size_t header_bytes, const struct nlattr *table[],
			uint16_t max);

#endif

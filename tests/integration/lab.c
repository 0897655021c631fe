#define _GNU_SOURCE
#include "tests/integration/lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WIRE_BACKLOG_BYTES (16 << 20)

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "lab: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A new namespace without IPv6, whose own chatter would be in the way. The process is in it afterwards. */
static int new_namespace(void)
{
	must(unshare(CLONE_NEWNET) == 0, "a network namespace (run as root)");
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	must(fd >= 0, "/proc/self/ns/net");
	int knob = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
	if (knob >= 0) {
		must(write(knob, "1", 1) == 1, "disable_ipv6");
		close(knob);
	}
	return fd;
}

void lab_run(int namespace, const char *format, ...)
{
	char command[256];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(command, sizeof command, format, arguments);
	va_end(arguments);
	pid_t pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0) {
		if (setns(namespace, CLONE_NEWNET) == 0)
			execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	int status;
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	errno = 0;
	must(status == 0, command);
}

static int open_wire(void)
{
	const int backlog = WIRE_BACKLOG_BYTES;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	must(fd >= 0, "packet socket");
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex("xdp1"),
	};
	must(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "packet socket's bind");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &backlog, sizeof backlog);
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &(int){1}, sizeof(int));
	return fd;
}

void lab_up(struct lab *lab, unsigned queues)
{
	lab->theirs = new_namespace();
	lab->ours = new_namespace();
	lab_run(lab->ours,
		"ip link add xdp0 address 02:00:00:00:00:01 numrxqueues %u numtxqueues %u type veth "
		"peer name xdp1 address 02:00:00:00:00:02 numrxqueues %u numtxqueues %u netns /proc/%d/fd/%d",
		queues, queues, queues, queues, getpid(), lab->theirs);
	lab_run(lab->theirs, "ip addr add 10.77.0.2/24 dev xdp1 && ip link set xdp1 up && ip link set lo up");
	lab_run(lab->ours, "ip addr add 10.77.0.1/24 dev xdp0 && ip link set xdp0 up && ip link set lo up");
	must(setns(lab->theirs, CLONE_NEWNET) == 0, "setns");
	lab->wire = open_wire();
	must(setns(lab->ours, CLONE_NEWNET) == 0, "setns");
	lab->index = if_nametoindex("xdp0");
}

void lab_down(struct lab *lab)
{
	close(lab->wire);
	close(lab->theirs);
	close(lab->ours);
}

void lab_send(const struct lab *lab, const void *frame, size_t len)
{
	must(send(lab->wire, frame, len, 0) == (ssize_t)len, "the peer's send");
}

size_t lab_receive(const struct lab *lab, void *frame, size_t cap, int timeout_ms)
{
	struct pollfd ready = {.fd = lab->wire, .events = POLLIN};
	if (poll(&ready, 1, timeout_ms) <= 0)
		return 0;
	ssize_t len = recv(lab->wire, frame, cap, MSG_DONTWAIT);
	if (len < 0 && errno == ENETDOWN) /* reported once when xdp1 goes down */
		return lab_receive(lab, frame, cap, timeout_ms);
	return len < 0 ? 0 : (size_t)len;
}

uint64_t lab_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#include "drivers/af_xdp/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "dataplane/base/error.h"

/* Not in Debian 12's headers: descriptors taken per sendto in copy mode, 32 unless raised (Linux 6.17). */
#define XDP_MAX_TX_SKB_BUDGET 9

/* The kernel lets go of a queue some ms after its socket was closed (3 to 17 measured). */
#define BIND_ATTEMPTS     100
#define BIND_RETRY_NS     2000000
#define EXTRA_RING_FRAMES 64u /* the rings of a direction that is not used still need a size */

static int allocate(struct xsk_queue *queue)
{
	queue->area_bytes = (size_t)(queue->rx_frames + queue->tx_frames) * XSK_FRAME_BYTES;
	void *area = mmap(NULL, queue->area_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
			  -1, 0);
	if (area == MAP_FAILED)
		return -ENOMEM;
	queue->area = area;
	if (!queue->tx_frames)
		return 0;
	queue->free_frames = calloc(queue->tx_frames, sizeof *queue->free_frames);
	if (!queue->free_frames)
		return -ENOMEM;
	for (uint32_t i = 0; i < queue->tx_frames; i++)
		queue->free_frames[i] = (uint64_t)(queue->rx_frames + i) * XSK_FRAME_BYTES;
	queue->free_count = queue->tx_frames;
	return 0;
}

/* The kernel charges packet memory to RLIMIT_MEMLOCK unless we have CAP_IPC_LOCK. As far up as we may. */
static void raise_memlock(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return;
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &limit);
}

/* One attempt: registers the memory and binds. Leaves nothing behind on failure. 0 or -errno. */
static int bind_socket(struct xsk_queue *queue, const struct device *device, uint16_t bind_flags)
{
	const struct xsk_umem_config umem_config = {
		.fill_size = 2 * queue->rx_frames,
		.comp_size = queue->tx_frames ? queue->tx_frames : EXTRA_RING_FRAMES,
		.frame_size = XSK_FRAME_BYTES,
	};
	const struct xsk_socket_config socket_config = {
		.rx_size = queue->rx_frames,
		.tx_size = queue->tx_frames,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = bind_flags | XDP_USE_NEED_WAKEUP,
	};
	int rc = xsk_umem__create(&queue->umem, queue->area, queue->area_bytes, &queue->fill, &queue->completion,
				  &umem_config);
	if (rc) {
		queue->umem = NULL;
		return rc;
	}
	rc = xsk_socket__create(&queue->socket, device->name, queue->id, queue->umem, &queue->rx,
				queue->tx_frames ? &queue->tx : NULL, &socket_config);
	if (rc) {
		queue->socket = NULL;
		xsk_umem__delete(queue->umem);
		queue->umem = NULL;
	}
	return rc;
}

static int bind_with_retries(struct xsk_queue *queue, const struct device *device, uint16_t bind_flags)
{
	int rc = bind_socket(queue, device, bind_flags);
	for (int i = 1; rc == -EBUSY && i < BIND_ATTEMPTS; i++) {
		nanosleep(&(struct timespec){.tv_nsec = BIND_RETRY_NS}, NULL);
		rc = bind_socket(queue, device, bind_flags);
	}
	return rc;
}

static int explain(const struct xsk_queue *queue, const struct device *device, uint16_t bind_flags, int error,
		   const struct why *why)
{
	const char *name = device->name, *copy = bind_flags & XDP_ZEROCOPY ? "zero-copy" : "AF_XDP in copy mode";
	switch (error) {
	case EPERM:
	case EACCES:
		return why_say(why, HW_ERR_SYSTEM, "no permission for an AF_XDP socket on %s: " WHY_CAPABILITIES, name);
	case EBUSY:
		return why_say(why, HW_ERR_BUSY,
			       "queue %u of %s is taken by another AF_XDP socket: `ss --xdp -p` shows whose", queue->id,
			       name);
	case ENOBUFS:
		return why_say(why, HW_ERR_NOMEM,
			       "%s needs %zu KiB of locked memory for packets: raise the limit (`ulimit -l`, "
			       "LimitMEMLOCK=) or give "
			       "the program CAP_IPC_LOCK",
			       name, queue->area_bytes / 1024);
	case ENOMEM:
		return why_say(why, HW_ERR_NOMEM, "no memory for the packets of %s (%zu KiB)", name,
			       queue->area_bytes / 1024);
	case EAFNOSUPPORT:
		return why_say(why, HW_ERR_SYSTEM, "this kernel has no AF_XDP (CONFIG_XDP_SOCKETS), needed for %s",
			       name);
	case ENODEV:
	case ENETDOWN:
		return why_say(why, HW_ERR_LINK_DOWN, "interface %s went down or away meanwhile", name);
	case EOPNOTSUPP:
		return why_say(why, HW_ERR_UNSUPPORTED, "%s cannot do %s", device->driver, copy);
	default:
		return why_say(why, HW_ERR_UNSUPPORTED, "%s refuses %s on queue %u of %s: %s", device->driver, copy,
			       queue->id, name, strerror(error));
	}
}

static void fill_all(struct xsk_queue *queue)
{
	uint32_t at;
	uint32_t room = xsk_ring_prod__reserve(&queue->fill, queue->rx_frames, &at);
	for (uint32_t i = 0; i < room; i++)
		*xsk_ring_prod__fill_addr(&queue->fill, at + i) = (uint64_t)i * XSK_FRAME_BYTES;
	xsk_ring_prod__submit(&queue->fill, room);
}

/* Both only spare system calls, and neither is everywhere: the kick copes without them. */
static void tune(const struct xsk_queue *queue)
{
	int budget = (int)queue->tx_frames, in_flight_bytes = (int)(queue->tx_frames * XSK_FRAME_BYTES);
	setsockopt(queue->fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof budget);
	if (setsockopt(queue->fd, SOL_SOCKET, SO_SNDBUFFORCE, &in_flight_bytes, sizeof in_flight_bytes))
		setsockopt(queue->fd, SOL_SOCKET, SO_SNDBUF, &in_flight_bytes, sizeof in_flight_bytes);
}

int xsk_queue_open(struct xsk_queue *queue, const struct device *device, const struct xsk_queue_options *options,
		   const struct why *why)
{
	memset(queue, 0, sizeof *queue);
	queue->id = options->id;
	queue->rx_frames = options->rx_frames;
	queue->tx_frames = options->tx_frames;
	queue->fd = -1;
	raise_memlock();
	int rc = allocate(queue);
	rc = rc ? rc : bind_with_retries(queue, device, options->bind_flags);
	if (rc) {
		int code = explain(queue, device, options->bind_flags, -rc, why);
		xsk_queue_close(queue);
		return code;
	}
	queue->fd = xsk_socket__fd(queue->socket);
	fcntl(queue->fd, F_SETFD, FD_CLOEXEC); /* or a child that outlives us would keep the queue */
	fill_all(queue);
	if (queue->tx_frames)
		tune(queue);
	return 0;
}

int xsk_queue_publish(struct xsk_queue *queue, int socket_map)
{
	return xsk_socket__update_xskmap(queue->socket, socket_map) ? HW_ERR_SYSTEM : 0;
}

void xsk_queue_close(struct xsk_queue *queue)
{
	if (queue->socket)
		xsk_socket__delete(queue->socket);
	if (queue->umem)
		xsk_umem__delete(queue->umem);
	if (queue->area)
		munmap(queue->area, queue->area_bytes);
	free(queue->free_frames);
	memset(queue, 0, sizeof *queue);
	queue->fd = -1;
}

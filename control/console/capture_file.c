#include "control/console/capture_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/console/pcapng.h"
#include "dataplane/base/error.h"
#include "dataplane/harewire.h"
#include "drivers/interceptors/capture.h"

#define BUFFER_BYTES    (512u * 1024)
#define PACKETS_AT_ONCE 4096u /* of a worker, before the others' turn */
#define NS_PER_S        1000000000u

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- the file ---- */

static void flush(struct capture_file *c)
{
	size_t done = 0;
	while (done < c->held && !c->result.error) {
		ssize_t n = write(c->fd, c->buffer + done, c->held - done);
		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno != EINTR)
			c->result.error = errno;
	}
	c->result.octets += done;
	c->held = 0;
}

/* Where the next block of up to `bytes` goes. */
static uint8_t *room(struct capture_file *c, size_t bytes)
{
	if (bytes > BUFFER_BYTES - c->held)
		flush(c);
	return c->buffer + c->held;
}

static void describe(struct capture_file *c, uint32_t worker, const struct driver_info *info)
{
	char text[PCAPNG_TEXT_MAX];
	snprintf(text, sizeof text, "worker %u, queue %u, %s (%s)", worker, info->queue, info->name, info->mode);
	uint8_t *block = room(c, PCAPNG_BLOCK_MAX);
	c->held += pcapng_interface(block, PCAPNG_BLOCK_MAX, info->device, text, c->taps.snap_bytes);
	c->workers[worker].known = true;
	c->workers[worker].interface = c->interface_count++;
}

/* Ticks are turned into time by the distance from now: however long a capture runs, the clocks do not drift apart. */
static uint64_t time_of(struct capture_file *c, uint32_t worker, uint64_t ticks, uint64_t at_ticks, uint64_t at_ns)
{
	uint64_t ns = at_ns - clock_ticks_to_ns(&c->taps.clock, clock_ticks_between(ticks, at_ticks));
	if (ns < c->workers[worker].last_ns)
		ns = c->workers[worker].last_ns; /* packets stay in order */
	c->workers[worker].last_ns = ns;
	return ns;
}

static uint32_t drain_worker(struct capture_file *c, uint32_t worker, struct driver *tap)
{
	struct capture_packet p;
	uint32_t n = 0;
	uint64_t at_ticks = clock_ticks(&c->taps.clock), at_ns = now_ns();
	if (!c->workers[worker].known)
		describe(c, worker, &tap->info);
	for (; n < PACKETS_AT_ONCE && capture_peek(tap, &p); n++) {
		const struct pcapng_packet packet = {.interface = c->workers[worker].interface,
						     .time_ns = time_of(c, worker, p.ticks, at_ticks, at_ns),
						     .data = p.data,
						     .captured = p.captured,
						     .len = p.len,
						     .sent = p.sent};
		size_t bytes = pcapng_packet_bytes(p.captured);
		uint8_t *block = room(c, bytes);
		if (c->result.error)
			break;
		c->held += pcapng_packet(block, bytes, &packet);
		c->result.packets++;
		capture_pop(tap);
	}
	return n;
}

uint32_t capture_file_drain(struct capture_file *c)
{
	struct capture_counts counts;
	uint32_t n = 0;
	c->result.dropped = 0;
	for (uint32_t i = 0; i < HAREWIRE_WORKERS_MAX; i++) {
		struct driver *tap = atomic_load(&c->taps.workers[i].driver);
		if (!tap)
			continue;
		if (!c->result.error)
			n += drain_worker(c, i, tap);
		capture_counts_get(tap, &counts);
		c->result.dropped += counts.dropped;
	}
	flush(c);
	return c->result.error ? 0 : n;
}

static void write_statistics(struct capture_file *c)
{
	uint64_t end_ns = now_ns();
	for (uint32_t i = 0; i < HAREWIRE_WORKERS_MAX; i++) {
		struct capture_counts counts;
		if (!c->workers[i].known)
			continue;
		capture_counts_get(c->taps.workers[i].driver, &counts);
		const struct pcapng_statistics s = {.interface = c->workers[i].interface,
						    .begin_ns = c->begin_ns,
						    .end_ns = end_ns,
						    .packets = counts.packets,
						    .dropped = counts.dropped};
		uint8_t *block = room(c, PCAPNG_BLOCK_MAX);
		c->held += pcapng_statistics(block, PCAPNG_BLOCK_MAX, &s);
	}
	flush(c);
}

void capture_file_finish(struct capture_file *c)
{
	while (capture_file_drain(c))
		;
	write_statistics(c);
	if (close(c->fd) && !c->result.error)
		c->result.error = errno;
	free(c->buffer);
	taps_fini(&c->taps);
}

/* ---- start ---- */

/* A device or a pipe would let the file hold up whoever writes it. */
static int open_file(const char *path, char *why, size_t why_bytes)
{
	struct stat st;
	int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
		close(fd);
		snprintf(why, why_bytes, "cannot capture into %.300s: it is not a regular file", path);
		return -1;
	}
	if (fd >= 0 && ftruncate(fd, 0)) {
		int error = errno;
		close(fd);
		errno = error;
		fd = -1;
	}
	if (fd < 0)
		snprintf(why, why_bytes, "cannot capture into %.300s: %s", path, strerror(errno));
	return fd;
}

int capture_file_start(struct capture_file *c, struct supervisor *supervisor, const char *path, uint32_t snap_bytes,
		       char *why, size_t why_bytes)
{
	memset(c, 0, sizeof *c);
	snprintf(c->result.file, sizeof c->result.file, "%s", path);
	c->fd = open_file(path, why, why_bytes);
	if (c->fd < 0)
		return HW_ERR_SYSTEM;
	c->buffer = malloc(BUFFER_BYTES);
	if (!c->buffer) {
		close(c->fd);
		snprintf(why, why_bytes, "%s", hw_error_sentence(HW_ERR_NOMEM));
		return HW_ERR_NOMEM;
	}
	c->begin_ns = now_ns();
	c->held = pcapng_section(c->buffer, BUFFER_BYTES, "harewire " HAREWIRE_VERSION);
	int err = taps_start(&c->taps, supervisor, snap_bytes, why, why_bytes);
	if (err) {
		taps_fini(&c->taps);
		close(c->fd);
		free(c->buffer);
	}
	return err;
}

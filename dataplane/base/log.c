#define _GNU_SOURCE
#include "dataplane/base/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/base/error.h"

#define LOG_CAPACITY_MAX (1ull << 40)

static uint64_t round_up_pow2(uint64_t v)
{
	return v <= 1 ? 1 : 1ull << (64 - __builtin_clzll(v - 1));
}

/* Two mappings of one memfd, side by side, over an address range reserved for both. */
static uint8_t *map_twice(int fd, size_t len)
{
	uint8_t *base = mmap(NULL, 2 * len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	const int prot = PROT_READ | PROT_WRITE;
	if (mmap(base, len, prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED ||
	    mmap(base + len, len, prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED) {
		munmap(base, 2 * len);
		return NULL;
	}
	return base;
}

int log_init(struct log *log, uint64_t capacity_bytes)
{
	memset(log, 0, sizeof *log);
	if (capacity_bytes == 0 || capacity_bytes > LOG_CAPACITY_MAX)
		return HW_ERR_INVALID;

	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t capacity = round_up_pow2(capacity_bytes < page ? page : capacity_bytes);
	int fd = memfd_create("harewire-log", MFD_CLOEXEC);
	if (fd < 0)
		return HW_ERR_SYSTEM;
	/* posix_fallocate reserves the pages now: memory that is not there must not show as SIGBUS in a publish. */
	if (ftruncate(fd, (off_t)capacity) != 0 || posix_fallocate(fd, 0, (off_t)capacity) != 0) {
		close(fd);
		return HW_ERR_NOMEM;
	}
	uint8_t *base = map_twice(fd, capacity);
	close(fd);
	if (!base)
		return HW_ERR_NOMEM;

	log->base = base;
	log->capacity = capacity;
	log->mask = capacity - 1;
	return 0;
}

void log_fini(struct log *log)
{
	if (log->base)
		munmap(log->base, 2 * log->capacity);
	memset(log, 0, sizeof *log);
}

#include "drivers/dpdk/hugepages.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "dataplane/base/error.h"

#define FIX                                                                                                            \
	"'sysctl vm.nr_hugepages=64' sets aside 128 MB in pages of 2 MB (--eal=--no-huge does without, for trials: "   \
	"slower, and only for virtual devices)"

static uint64_t read_number(const char *directory, const char *size, const char *file)
{
	char path[PATH_MAX];
	uint64_t value = 0;
	snprintf(path, sizeof path, "%s/%s/%s", directory, size, file);
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

int hugepages_check(const char *directory, const struct why *why)
{
	uint64_t total_bytes = 0, free_bytes = 0, page_kb;
	DIR *sizes = opendir(directory);
	const struct dirent *entry;
	while (sizes && (entry = readdir(sizes)) != NULL) {
		if (sscanf(entry->d_name, "hugepages-%" SCNu64 "kB", &page_kb) != 1)
			continue;
		total_bytes += page_kb * 1024 * read_number(directory, entry->d_name, "nr_hugepages");
		free_bytes += page_kb * 1024 * read_number(directory, entry->d_name, "free_hugepages");
	}
	if (sizes)
		closedir(sizes);
	if (total_bytes == 0)
		return why_say(why, HW_ERR_NOMEM, "DPDK needs hugepages, and this host has none: " FIX);
	if (free_bytes < HUGEPAGES_NEEDED_BYTES)
		return why_say(why, HW_ERR_NOMEM,
			       "DPDK needs 64 MB of free hugepages, and of this host's %" PRIu64 " MB only %" PRIu64
			       " MB are free: " FIX,
			       total_bytes >> 20, free_bytes >> 20);
	return 0;
}

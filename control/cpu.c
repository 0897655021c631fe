#include "control/cpu.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A list of CPUs as the kernel writes it: "0-3,8". "" if it cannot be read. */
static void read_list(const char *sysfs, const char *name, char *list, size_t bytes)
{
	char path[256];
	snprintf(path, sizeof path, "%s/devices/system/cpu/%s", sysfs, name);
	FILE *f = fopen(path, "r");
	list[0] = '\0';
	if (!f)
		return;
	if (fgets(list, (int)bytes, f))
		list[strcspn(list, "\n")] = '\0';
	fclose(f);
}

static bool in_list(const char *list, int cpu)
{
	while (*list) {
		char *end;
		long first = strtol(list, &end, 10), last = first;
		if (end == list)
			return false;
		if (*end == '-')
			last = strtol(end + 1, &end, 10);
		if (cpu >= first && cpu <= last)
			return true;
		list = *end == ',' ? end + 1 : end;
	}
	return false;
}

void cpu_explain(const char *sysfs, int cpu, char *why, size_t why_bytes)
{
	char present[128], online[128];
	read_list(sysfs, "present", present, sizeof present);
	read_list(sysfs, "online", online, sizeof online);
	if (*present && !in_list(present, cpu))
		snprintf(why, why_bytes, "CPU %d does not exist: this host has %s, of which %s are online", cpu,
			 present, online);
	else if (*online && !in_list(online, cpu))
		snprintf(why, why_bytes,
			 "CPU %d is offline: 'echo 1 > /sys/devices/system/cpu/cpu%d/online' brings it online", cpu,
			 cpu);
	else
		snprintf(why, why_bytes,
			 "CPU %d is online but not given to this process: its container or cgroup has a cpuset without "
			 "it (see Cpus_allowed_list in /proc/self/status)",
			 cpu);
}

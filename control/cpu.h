/* Why a thread cannot have a CPU, and what to do about it. Reads sysfs. */
#ifndef HAREWIRE_CONTROL_CPU_H
#define HAREWIRE_CONTROL_CPU_H

#include <stddef.h>

/*
 * One sentence for a CPU that a thread of this process could not be pinned to: it does not exist, is offline, or is not
 * among those this process is given. `sysfs`: "/sys".
 */
void cpu_explain(const char *sysfs, int cpu, char *why, size_t why_bytes);

#endif

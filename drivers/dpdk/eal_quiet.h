/* Keeps the EAL from writing on the application's standard output and error: its usage text, getopt's complaints. */
#ifndef HAREWIRE_DPDK_EAL_QUIET_H
#define HAREWIRE_DPDK_EAL_QUIET_H

#include <stddef.h>

/* From here on what this thread writes to them goes nowhere; what others write passes. Once per process. 0 or
 * HW_ERR_NOMEM. */
int eal_quiet_begin(void);
/* Ends that; gives the first line that was written to standard error, without its end; "" if there was none. */
void eal_quiet_end(char *text, size_t bytes);

#endif

/* DPDK's log: the first error since a mark is kept, to be quoted in a sentence. Nothing is printed, unless asked for.
 */
#ifndef HAREWIRE_DPDK_EAL_LOG_H
#define HAREWIRE_DPDK_EAL_LOG_H

#include <stdbool.h>
#include <stddef.h>

/* Before the EAL starts, once. `print`: to standard error as well. 0 or HW_ERR_NOMEM. */
int eal_log_open(bool print);

/* Nothing is kept any more: the log goes where it went before. */
void eal_log_give_back(void);

/* Forgets what was kept. */
void eal_log_mark(void);

/* The first error since the mark, without its line's end; "" if there was none. */
void eal_log_first_error(char *text, size_t bytes);

#endif

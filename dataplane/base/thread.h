/*
 * Threads of the library: named, and with every signal blocked, so that signals stay with the application's threads.
 */
#ifndef HAREWIRE_BASE_THREAD_H
#define HAREWIRE_BASE_THREAD_H

#include <pthread.h>

#define THREAD_ANY_CPU (-1)

/* `name`: up to 15 characters. `cpu`: to pin it to, or THREAD_ANY_CPU. 0, HW_ERR_NO_CPU (none, offline, not
 * allowed) or HW_ERR_SYSTEM. */
int thread_start(pthread_t *thread, const char *name, int cpu, void *(*run)(void *), void *arg);

#endif

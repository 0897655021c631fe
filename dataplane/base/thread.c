#define _GNU_SOURCE
#include "dataplane/base/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "dataplane/base/error.h"

int thread_start(pthread_t *thread, const char *name, int cpu, void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, before;
	if (cpu >= CPU_SETSIZE || cpu < THREAD_ANY_CPU)
		return HW_ERR_NO_CPU;
	pthread_attr_init(&attr);
	if (cpu != THREAD_ANY_CPU) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		pthread_attr_setaffinity_np(&attr, sizeof set, &set);
	}
	/* A thread starts with its creator's mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = pthread_create(thread, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (err) {
		errno = err;
		return err == EINVAL ? HW_ERR_NO_CPU : HW_ERR_SYSTEM;
	}
	pthread_setname_np(*thread, name);
	return 0;
}

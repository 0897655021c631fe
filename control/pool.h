/*
 * A small pool of threads for what blocks: name resolution and AMQP handshakes. A dead host holds up nobody else.
 *
 * A job is started by control and looked at with job_done. When one is done the pool writes to `wake` (an eventfd).
 */
#ifndef HAREWIRE_POOL_H
#define HAREWIRE_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define POOL_THREADS 4

struct job {
	void (*run)(struct job *job);     /* on a pool thread; may block */
	void (*discard)(struct job *job); /* frees an abandoned job, on whichever thread comes last */
	_Atomic int state;
	struct job *next;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct job *first, **last;
	bool stop;
	int wake;
	int started;
	pthread_t threads[POOL_THREADS];
};

/* 0 or HW_ERR_SYSTEM. */
int pool_init(struct pool *p, int wake);
/* Waits for jobs that are running; those still queued are not run. */
void pool_fini(struct pool *p);

/* `run` and `discard` are set by the caller, everything else here. */
void pool_submit(struct pool *p, struct job *job);
bool job_done(const struct job *job);
/* Nobody looks at it any more: it is discarded at once when done, else when it is. */
void job_abandon(struct job *job);

#endif

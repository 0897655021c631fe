/*
 * Threads for what blocks: name resolution and AMQP handshakes. They are started when a job finds none idle, so that a
 * host that accepts and says nothing holds up nobody but itself, and stay for the next job.
 *
 * A job is started by control and looked at with job_done. When one is done the pool writes to `wake` (an eventfd).
 */
#ifndef HAREWIRE_POOL_H
#define HAREWIRE_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define POOL_THREADS_MAX 256                    /* of all workers together: what comes on top waits for one */
#define POOL_MINOR_MAX   (POOL_THREADS_MAX / 2) /* so many of them at most run minor jobs */

struct job {
	void (*run)(struct job *job);     /* on a pool thread; may block */
	void (*discard)(struct job *job); /* frees an abandoned job, on whichever thread comes last */
	bool minor;                       /* there can be many, and all may hang: the others do not wait for them */
	_Atomic int state;
	struct job *next;
};

struct pool_thread {
	struct pool *pool;
	pthread_t thread;
	struct job *job; /* that it runs */
	bool ended, left_behind;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work, ended;
	struct job *first, **last;
	uint32_t idle, started;
	uint32_t minor; /* minor jobs that are run */
	uint32_t users; /* its owner, and threads that were left behind: the last one frees it */
	bool stop;
	int wake;
	struct pool_thread threads[POOL_THREADS_MAX];
};

/* NULL: out of memory. */
struct pool *pool_create(int wake);
/*
 * Waits for jobs that are running, but for those that were abandoned no longer than POOL_GRACE_NS: the resolver and
 * dead mounts can hold a thread for minutes, or for ever. It is left behind then, and ends when it can. Jobs still
 * queued are not run.
 */
void pool_destroy(struct pool *p);

#define POOL_GRACE_NS 1000000000u

/* `run`, `discard` and `minor` are set by the caller, everything else here. HW_ERR_SYSTEM: there is no thread at all to
 * run it.
 */
int pool_submit(struct pool *p, struct job *job);
bool job_done(const struct job *job);
/* Nobody looks at it any more: it is discarded at once when done, else when it is, even after pool_destroy. */
void job_abandon(struct job *job);
/* Takes a job that no thread has begun off the queue: it is the caller's again. False: it has been begun. */
bool pool_withdraw(struct pool *p, struct job *job);

#endif

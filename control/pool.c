#define _GNU_SOURCE
#include "control/pool.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base/error.h"

enum { JOB_PENDING, JOB_DONE, JOB_ABANDONED };

bool job_done(const struct job *job)
{
	return atomic_load_explicit(&job->state, memory_order_acquire) == JOB_DONE;
}

void job_abandon(struct job *job)
{
	if (atomic_exchange(&job->state, JOB_ABANDONED) == JOB_DONE)
		job->discard(job);
}

static void finish(struct pool *p, struct job *job)
{
	if (atomic_exchange(&job->state, JOB_DONE) == JOB_ABANDONED) {
		job->discard(job);
		return;
	}
	uint64_t one = 1;
	/* An eventfd refuses only when its count would overflow, and then it is readable anyway. */
	ssize_t n = write(p->wake, &one, sizeof one);
	(void)n;
}

static struct job *take(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	while (!p->first && !p->stop)
		pthread_cond_wait(&p->work, &p->lock);
	struct job *job = p->stop ? NULL : p->first;
	if (job) {
		p->first = job->next;
		if (!p->first)
			p->last = &p->first;
	}
	pthread_mutex_unlock(&p->lock);
	return job;
}

static void *serve(void *arg)
{
	struct pool *p = arg;
	struct job *job;
	while ((job = take(p)) != NULL) {
		job->run(job);
		finish(p, job);
	}
	return NULL;
}

int pool_init(struct pool *p, int wake)
{
	memset(p, 0, sizeof *p);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	p->last = &p->first;
	p->wake = wake;
	for (int i = 0; i < POOL_THREADS; i++) {
		if (pthread_create(&p->threads[i], NULL, serve, p) != 0) {
			pool_fini(p);
			return HW_ERR_SYSTEM;
		}
		pthread_setname_np(p->threads[i], "harewire-shake");
		p->started++;
	}
	return 0;
}

void pool_fini(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->started; i++)
		pthread_join(p->threads[i], NULL);
	for (struct job *job = p->first, *next; job; job = next) {
		next = job->next;
		finish(p, job);
	}
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
}

void pool_submit(struct pool *p, struct job *job)
{
	atomic_store(&job->state, JOB_PENDING);
	job->next = NULL;
	pthread_mutex_lock(&p->lock);
	*p->last = job;
	p->last = &job->next;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

#define _GNU_SOURCE
#include "control/pool.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base/error.h"
#include "dataplane/base/thread.h"

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
	p->idle++;
	while (!p->first && !p->stop)
		pthread_cond_wait(&p->work, &p->lock);
	p->idle--;
	struct job *job = p->stop ? NULL : p->first;
	if (job) {
		p->queued--;
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

void pool_init(struct pool *p, int wake)
{
	memset(p, 0, sizeof *p);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	p->last = &p->first;
	p->wake = wake;
}

void pool_fini(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (uint32_t i = 0; i < p->started; i++)
		pthread_join(p->threads[i], NULL);
	for (struct job *job = p->first, *next; job; job = next) {
		next = job->next;
		finish(p, job);
	}
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
}

/* With the lock held. */
static void start_thread_if_wanted(struct pool *p)
{
	if (p->queued > p->idle && p->started < POOL_THREADS_MAX &&
	    thread_start(&p->threads[p->started], "harewire-shake", THREAD_ANY_CPU, serve, p) == 0)
		p->started++;
}

int pool_submit(struct pool *p, struct job *job)
{
	atomic_store(&job->state, JOB_PENDING);
	job->next = NULL;
	pthread_mutex_lock(&p->lock);
	p->queued++;
	start_thread_if_wanted(p);
	bool hopeless = p->started == 0;
	if (hopeless) {
		p->queued--;
	} else {
		*p->last = job;
		p->last = &job->next;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
	return hopeless ? HW_ERR_SYSTEM : 0;
}

bool pool_withdraw(struct pool *p, struct job *job)
{
	pthread_mutex_lock(&p->lock);
	struct job **at = &p->first;
	while (*at && *at != job)
		at = &(*at)->next;
	bool found = *at != NULL;
	if (found) {
		*at = job->next;
		if (p->last == &job->next)
			p->last = at;
		p->queued--;
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

#define _GNU_SOURCE
#include "control/pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <time.h>
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

/* Takes the job at `at` off the queue. With the lock held. */
static struct job *unlink_job(struct pool *p, struct job **at)
{
	struct job *job = *at;
	*at = job->next;
	if (p->last == &job->next)
		p->last = at;
	return job;
}

/* Where the first one is that may be run now; or NULL. With the lock held. */
static struct job **find_job(struct pool *p)
{
	for (struct job **at = &p->first; *at; at = &(*at)->next)
		if (!(*at)->minor || p->minor < POOL_MINOR_MAX)
			return at;
	return NULL;
}

static struct job *take(struct pool_thread *t)
{
	struct pool *p = t->pool;
	struct job **at;
	pthread_mutex_lock(&p->lock);
	p->idle++;
	while (!(at = find_job(p)) && !p->stop)
		pthread_cond_wait(&p->work, &p->lock);
	p->idle--;
	struct job *job = p->stop ? NULL : unlink_job(p, at);
	p->minor += job && job->minor;
	t->job = job;
	pthread_mutex_unlock(&p->lock);
	return job;
}

/* Before finish: the job is not looked at through the thread any more, which then looks for the next one itself. */
static void let_go(struct pool_thread *t)
{
	pthread_mutex_lock(&t->pool->lock);
	t->pool->minor -= t->job->minor;
	t->job = NULL;
	pthread_mutex_unlock(&t->pool->lock);
}

/* With the lock held, which it releases. */
static void leave(struct pool *p)
{
	bool last = --p->users == 0;
	pthread_mutex_unlock(&p->lock);
	if (!last)
		return;
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void end(struct pool_thread *t)
{
	struct pool *p = t->pool;
	pthread_mutex_lock(&p->lock);
	t->ended = true;
	pthread_cond_broadcast(&p->ended);
	if (t->left_behind)
		leave(p);
	else
		pthread_mutex_unlock(&p->lock);
}

static void *serve(void *arg)
{
	struct pool_thread *t = arg;
	struct job *job;
	while ((job = take(t)) != NULL) {
		job->run(job);
		let_go(t);
		finish(t->pool, job);
	}
	end(t);
	return NULL;
}

struct pool *pool_create(int wake)
{
	struct pool *p = calloc(1, sizeof *p);
	pthread_condattr_t monotonic;
	if (!p)
		return NULL;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->ended, &monotonic);
	pthread_condattr_destroy(&monotonic);
	p->last = &p->first;
	p->users = 1;
	p->wake = wake;
	return p;
}

/* With the lock held. What is not abandoned by now never is. */
static bool wait_for_end(struct pool *p, const struct pool_thread *t, const struct timespec *until)
{
	int error = 0;
	while (!t->ended && !error) {
		if (t->job && atomic_load(&t->job->state) == JOB_ABANDONED)
			error = pthread_cond_timedwait(&p->ended, &p->lock, until);
		else
			pthread_cond_wait(&p->ended, &p->lock);
	}
	return t->ended;
}

/* With the lock held. */
static void join_threads(struct pool *p)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += POOL_GRACE_NS / 1000000000;
	for (uint32_t i = 0; i < p->started; i++) {
		struct pool_thread *t = &p->threads[i];
		if (wait_for_end(p, t, &until)) {
			pthread_mutex_unlock(&p->lock);
			pthread_join(t->thread, NULL);
			pthread_mutex_lock(&p->lock);
		} else {
			t->left_behind = true;
			p->users++;
			pthread_detach(t->thread);
		}
	}
}

void pool_destroy(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	join_threads(p);
	for (struct job *job = p->first, *next; job; job = next) {
		next = job->next;
		finish(p, job);
	}
	leave(p);
}

/* Queued jobs that may be run now. With the lock held. */
static uint32_t count_wanting(const struct pool *p)
{
	uint32_t wanting = 0, minor = p->minor;
	for (const struct job *job = p->first; job; job = job->next)
		wanting += !job->minor || minor++ < POOL_MINOR_MAX;
	return wanting;
}

/* With the lock held. */
static void start_thread_if_wanted(struct pool *p)
{
	struct pool_thread *t = &p->threads[p->started];
	if (p->started >= POOL_THREADS_MAX || count_wanting(p) <= p->idle)
		return;
	t->pool = p;
	if (thread_start(&t->thread, "harewire-shake", THREAD_ANY_CPU, serve, t) == 0)
		p->started++;
}

int pool_submit(struct pool *p, struct job *job)
{
	atomic_store(&job->state, JOB_PENDING);
	job->next = NULL;
	pthread_mutex_lock(&p->lock);
	uint32_t wanting = count_wanting(p);
	*p->last = job;
	p->last = &job->next;
	if (count_wanting(p) > wanting) /* else the thread that ends a minor one takes it */
		start_thread_if_wanted(p);
	bool hopeless = p->started == 0;
	if (hopeless)
		unlink_job(p, &p->first); /* there is no other */
	else
		pthread_cond_signal(&p->work);
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
	if (found)
		unlink_job(p, at);
	pthread_mutex_unlock(&p->lock);
	return found;
}

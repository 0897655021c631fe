#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/pool.h"
#include "dataplane/base/thread.h"

/* A job that waits until it is told to go on. */
struct gate_job {
	struct job job;
	_Atomic int *begun, *open, *discarded;
	_Atomic int ran;
};

static void run_gate(struct job *job)
{
	struct gate_job *g = (struct gate_job *)job;
	atomic_fetch_add(g->begun, 1);
	while (!atomic_load(g->open))
		poll(NULL, 0, 1);
	atomic_store(&g->ran, 1);
}

static void discard_gate(struct job *job)
{
	struct gate_job *g = (struct gate_job *)job;
	atomic_fetch_add(g->discarded, 1);
	free(g);
}

struct fixture {
	struct pool *pool;
	int wake;
	_Atomic int begun, open, discarded;
};

static struct fixture *start(void)
{
	struct fixture *f = calloc(1, sizeof *f);
	f->wake = eventfd(0, EFD_NONBLOCK);
	f->pool = pool_create(f->wake);
	return f;
}

static void stop(struct fixture *f)
{
	atomic_store(&f->open, 1);
	pool_destroy(f->pool);
	close(f->wake);
	free(f);
}

static struct gate_job *make(struct fixture *f)
{
	struct gate_job *g = calloc(1, sizeof *g);
	g->job.run = run_gate;
	g->job.discard = discard_gate;
	g->begun = &f->begun;
	g->open = &f->open;
	g->discarded = &f->discarded;
	return g;
}

static struct gate_job *submit(struct fixture *f)
{
	struct gate_job *g = make(f);
	assert_int_equal(pool_submit(f->pool, &g->job), 0);
	return g;
}

static void wait_for(const _Atomic int *what, int value)
{
	while (atomic_load(what) != value)
		poll(NULL, 0, 1);
}

static void a_job_that_hangs_holds_up_no_other(void **state)
{
	enum { HANGING = 32 };
	struct fixture *f = start();
	struct gate_job *jobs[HANGING];
	_Atomic int open = 1;
	for (int i = 0; i < HANGING; i++)
		jobs[i] = submit(f);
	struct gate_job *quick = calloc(1, sizeof *quick);
	quick->job.run = run_gate;
	quick->begun = &f->begun;
	quick->open = &open;
	assert_int_equal(pool_submit(f->pool, &quick->job), 0);
	while (!job_done(&quick->job))
		poll(NULL, 0, 1);
	for (int i = 0; i < HANGING; i++)
		assert_false(job_done(&jobs[i]->job));
	atomic_store(&f->open, 1);
	for (int i = 0; i < HANGING; i++) {
		while (!job_done(&jobs[i]->job))
			poll(NULL, 0, 1);
		free(jobs[i]);
	}
	free(quick);
	stop(f);
}

/* Others still find threads; and each has its turn. */
static void minor_jobs_that_hang_leave_threads_to_the_others(void **state)
{
	enum { HANGING = POOL_THREADS_MAX };
	struct fixture *f = start();
	struct gate_job *jobs[HANGING];
	for (int i = 0; i < HANGING; i++) {
		jobs[i] = make(f);
		jobs[i]->job.minor = true;
		assert_int_equal(pool_submit(f->pool, &jobs[i]->job), 0);
	}
	wait_for(&f->begun, POOL_MINOR_MAX);
	struct gate_job *quick = make(f);
	_Atomic int open = 1;
	quick->open = &open;
	assert_int_equal(pool_submit(f->pool, &quick->job), 0);
	while (!job_done(&quick->job))
		poll(NULL, 0, 1);
	assert_int_equal(f->begun, POOL_MINOR_MAX + 1);
	assert_int_equal(f->pool->started, POOL_MINOR_MAX + 1);
	assert_true(pool_withdraw(f->pool, &jobs[HANGING - 1]->job));
	assert_false(pool_withdraw(f->pool, &jobs[0]->job));
	atomic_store(&f->open, 1);
	for (int i = 0; i < HANGING; i++) {
		while (i < HANGING - 1 && !job_done(&jobs[i]->job))
			poll(NULL, 0, 1);
		free(jobs[i]);
	}
	free(quick);
	stop(f);
}

static void a_finished_job_writes_to_wake(void **state)
{
	struct fixture *f = start();
	atomic_store(&f->open, 1);
	struct gate_job *g = submit(f);
	struct pollfd p = {.fd = f->wake, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_true(job_done(&g->job));
	free(g);
	stop(f);
}

static void threads_are_used_again(void **state)
{
	struct fixture *f = start();
	atomic_store(&f->open, 1);
	for (int i = 0; i < 50; i++) {
		struct gate_job *g = submit(f);
		while (!job_done(&g->job))
			poll(NULL, 0, 1);
		free(g);
		/* Its thread says it is idle a moment after the job is done. */
		for (uint32_t idle = 0; idle != f->pool->started;) {
			pthread_mutex_lock(&f->pool->lock);
			idle = f->pool->idle;
			pthread_mutex_unlock(&f->pool->lock);
		}
	}
	assert_int_equal(f->pool->started, 1);
	stop(f);
}

static void an_abandoned_job_is_discarded_when_it_ends(void **state)
{
	struct fixture *f = start();
	struct gate_job *g = submit(f);
	wait_for(&f->begun, 1);
	job_abandon(&g->job);
	assert_int_equal(atomic_load(&f->discarded), 0);
	atomic_store(&f->open, 1);
	wait_for(&f->discarded, 1);
	stop(f);
}

static void a_begun_job_cannot_be_withdrawn_and_a_done_one_is_discarded_at_once(void **state)
{
	struct fixture *f = start();
	struct gate_job *g = submit(f);
	wait_for(&f->begun, 1);
	assert_false(pool_withdraw(f->pool, &g->job));
	atomic_store(&f->open, 1);
	while (!job_done(&g->job))
		poll(NULL, 0, 1);
	job_abandon(&g->job);
	assert_int_equal(atomic_load(&f->discarded), 1);
	stop(f);
}

/* A resolver that asks a name server which is gone, a file on a mount that is. */
static void a_job_that_was_abandoned_and_hangs_does_not_hang_its_pool(void **state)
{
	static _Atomic int begun, open, discarded; /* outlive the pool */
	struct fixture *f = start();
	for (int i = 0; i < 3; i++) {
		struct gate_job *g = calloc(1, sizeof *g);
		*g = (struct gate_job){.job = {.run = run_gate, .discard = discard_gate},
				       .begun = &begun,
				       .open = &open,
				       .discarded = &discarded};
		assert_int_equal(pool_submit(f->pool, &g->job), 0);
		wait_for(&begun, i + 1);
		job_abandon(&g->job);
	}
	stop(f);
	assert_int_equal(discarded, 0);
	open = 1;
	wait_for(&discarded, 3); /* by threads that are left, and then end */
}

static void *report_mask(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, arg);
	return NULL;
}

static void our_threads_leave_signals_to_the_application(void **state)
{
	sigset_t theirs, mine;
	pthread_t t;
	assert_int_equal(thread_start(&t, "test", THREAD_ANY_CPU, report_mask, &theirs), 0);
	pthread_join(t, NULL);
	assert_true(sigismember(&theirs, SIGINT) && sigismember(&theirs, SIGTERM));
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	assert_false(sigismember(&mine, SIGINT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_that_hangs_holds_up_no_other),
		cmocka_unit_test(minor_jobs_that_hang_leave_threads_to_the_others),
		cmocka_unit_test(a_finished_job_writes_to_wake),
		cmocka_unit_test(threads_are_used_again),
		cmocka_unit_test(an_abandoned_job_is_discarded_when_it_ends),
		cmocka_unit_test(a_begun_job_cannot_be_withdrawn_and_a_done_one_is_discarded_at_once),
		cmocka_unit_test(a_job_that_was_abandoned_and_hangs_does_not_hang_its_pool),
		cmocka_unit_test(our_threads_leave_signals_to_the_application),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

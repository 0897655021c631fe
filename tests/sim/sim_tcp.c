/*
 * Our TCP against a model of the broker's, over a network that misbehaves as a seed says: one process, virtual time,
 * and nothing that another run of the same seed would do differently.
 *
 *     sim_tcp --seeds N --from S [--jobs J]    N seeds, and how often everything was met; from 20,000 on it is a
 *                                              failure if something never was
 *     sim_tcp --trace SEED                     one of them, packet by packet
 *
 * Every seed moves at least 256 KiB, and ends as it should, with every octet where it belongs, in bounded virtual time.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/sim_tcp_world.h"

#define JOBS_MAX        64u
#define DEMANDING_SEEDS 20000u /* so many meet everything */

/* Seeds that have found a mistake: they run before all others, whatever was asked for. */
static const uint64_t regressions[] = {13, 510, 895, 1084, 2057, 5125, 140191, 167644, 534972};

static uint8_t stream[TOTAL_MAX];
const uint8_t *const sim_stream = stream;

struct arguments {
	const char *program;
	uint64_t seeds, from, jobs, trace;
};

static void print_again(const struct arguments *a, uint64_t seed)
{
	printf("again, packet by packet: %s --trace %" PRIu64 "\n", a->program, seed);
}

static bool run_seed(const struct arguments *a, uint64_t seed, bool verbose, uint64_t *sum)
{
	static struct sim_world w;
	sim_world_draw(&w, seed);
	w.verbose = verbose;
	bool good = sim_world_run(&w);
	if (!good && verbose)
		printf("cwnd %u before, %u now\n", w.before.congestion.cwnd, w.t->congestion.cwnd);
	if (!good) {
		printf("seed %" PRIu64 ": %s (%s, %.6f s, acknowledged %" PRIu64 " of %" PRIu64 ")\n", seed, w.failure,
		       tcp_state_name(tcp_state_of(w.t)), (double)(w.now_ns - w.started_ns) / 1e9, tcp_acked(w.t),
		       w.total);
		print_again(a, seed);
	}
	sim_counts_add(sum, w.counts);
	return good;
}

/* What a share has come to, in memory that its parent sees even if it crashes. */
struct share {
	uint64_t seed; /* the one under way */
	uint64_t sum[SIM_COUNTS];
};

/* Every `jobs`th seed from `first`. */
static bool run_share(const struct arguments *a, uint64_t first, struct share *s)
{
	for (s->seed = a->from + first; s->seed < a->from + a->seeds; s->seed += a->jobs)
		if (!run_seed(a, s->seed, false, s->sum))
			return false;
	return true;
}

static pid_t start_share(const struct arguments *a, uint64_t first, struct share *s)
{
	pid_t child = fork();
	if (child < 0) {
		perror("sim_tcp");
		exit(2);
	}
	if (child)
		return child;
	bool good = run_share(a, first, s);
	fflush(stdout);
	_exit(good ? 0 : 1);
}

/* An assertion of TCP's, or a crash, has its seed, too. */
static bool end_share(const struct arguments *a, const struct share *s, pid_t child, uint64_t *sum)
{
	int status;
	if (waitpid(child, &status, 0) != child)
		return false;
	sim_counts_add(sum, s->sum);
	if (WIFSIGNALED(status)) {
		printf("seed %" PRIu64 ": %s\n", s->seed, strsignal(WTERMSIG(status)));
		print_again(a, s->seed);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run_shares(const struct arguments *a, uint64_t *sum)
{
	size_t bytes = a->jobs * sizeof(struct share);
	pid_t children[JOBS_MAX];
	struct share *shares = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool good = true;
	if (shares == MAP_FAILED) {
		perror("sim_tcp");
		exit(2);
	}
	for (uint64_t i = 0; i < a->jobs; i++)
		children[i] = start_share(a, i, &shares[i]);
	for (uint64_t i = 0; i < a->jobs; i++)
		good &= end_share(a, &shares[i], children[i], sum);
	munmap(shares, bytes);
	return good;
}

static bool run_regressions(const struct arguments *a, uint64_t *sum)
{
	for (size_t i = 0; i < sizeof regressions / sizeof regressions[0]; i++)
		if (!run_seed(a, regressions[i], false, sum))
			return false;
	return true;
}

static bool read_arguments(int argc, char **argv, struct arguments *a)
{
	*a = (struct arguments){.program = argv[0], .seeds = 1000, .from = 1, .jobs = 1};
	for (int i = 1; i < argc; i++) {
		uint64_t *number = strcmp(argv[i], "--seeds") == 0   ? &a->seeds
				   : strcmp(argv[i], "--from") == 0  ? &a->from
				   : strcmp(argv[i], "--jobs") == 0  ? &a->jobs
				   : strcmp(argv[i], "--trace") == 0 ? &a->trace
								     : NULL;
		if (!number || ++i == argc)
			return false;
		else
			*number = strtoull(argv[i], NULL, 0);
	}
	return a->jobs > 0 && a->jobs <= JOBS_MAX;
}

int main(int argc, char **argv)
{
	struct arguments a;
	uint64_t sum[SIM_COUNTS] = {0};
	for (uint32_t i = 0; i < TOTAL_MAX; i++)
		stream[i] = (uint8_t)(i * 131 + (i >> 8) * 7 + (i >> 16));
	if (!read_arguments(argc, argv, &a)) {
		fprintf(stderr, "usage: sim_tcp [--seeds N] [--from S] [--jobs 1..64] [--trace SEED]\n");
		return 2;
	}
	if (a.trace)
		return run_seed(&a, a.trace, true, sum) ? 0 : 1;
	if (!run_regressions(&a, sum) || !run_shares(&a, sum))
		return 1;
	printf("%" PRIu64 " seeds from %" PRIu64 "\n", a.seeds, a.from);
	sim_counts_print(stdout, sum);
	return a.seeds >= DEMANDING_SEEDS && sim_counts_missing(stdout, sum) ? 1 : 0;
}

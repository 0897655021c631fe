/* sim_session --seeds N --from S [--trace 1|2]: see session.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/session/session.h"

static const char *const words[] = {
#define X(name, text) text,
	HITS(X)
#undef X
};

const char *hit_words(enum hit what)
{
	return words[what];
}

static uint64_t argument(int argc, char **argv, const char *name, uint64_t otherwise)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return strtoull(argv[i + 1], NULL, 0);
	return otherwise;
}

#define REPLAY "replay: sim_session --seeds 1 --from %" PRIu64 " --trace 1\n"

static bool run_seed(struct world *w, uint64_t seed)
{
	world_init(w, seed);
	bool good = world_run(w);
	if (!good)
		printf("seed %" PRIu64 ": %s (%" PRIu64 ") after %.3f s\n" REPLAY, seed, w->failure, w->failed_id,
		       (double)(w->now_ns - w->started_ns) / 1e9, seed);
	world_fini(w);
	return good;
}

/* What the seeds are there for. Fails when some of it was never reached although they were many. */
static bool summary(const struct world *w, uint64_t seeds)
{
	bool all = true;
	int column = 0;
	for (int i = 0; i < HIT_COUNT; i++) {
		column += printf("%s%s %" PRIu64, i ? column == 0 ? ",\n" : ", " : "", words[i], w->hits[i]);
		column = column > 110 ? 0 : column;
	}
	printf("\n");
	for (int i = 0; i < HIT_COUNT && seeds >= SEEDS_REACH_ALL; i++) {
		if (w->hits[i] == 0) {
			printf("never reached: %s\n", words[i]);
			all = false;
		}
	}
	return all;
}

static int run_seeds(uint64_t seeds, uint64_t from, int trace, uint64_t *under_way)
{
	static struct world w;
	wrap_init(&w);
	w.trace = trace;
	for (*under_way = from; *under_way < from + seeds; (*under_way)++)
		if (!run_seed(&w, *under_way))
			return 1;
	printf("%" PRIu64 " seeds from %" PRIu64 ": ", seeds, from);
	return summary(&w, seeds) ? 0 : 1;
}

/* In a child: an assertion of what is tested, or a crash, has its seed, too. */
static int run_watched(uint64_t seeds, uint64_t from)
{
	uint64_t *seed = mmap(NULL, sizeof *seed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = seed == MAP_FAILED ? -1 : fork();
	int status;
	if (child == 0) {
		status = run_seeds(seeds, from, 0, seed);
		fflush(stdout);
		_exit(status);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		perror("sim_session");
		return 2;
	}
	if (WIFSIGNALED(status))
		printf("seed %" PRIu64 ": %s\n" REPLAY, *seed, strsignal(WTERMSIG(status)), *seed);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	uint64_t seeds = argument(argc, argv, "--seeds", 100), from = argument(argc, argv, "--from", 1), seed;
	int trace = (int)argument(argc, argv, "--trace", 0);
	return trace ? run_seeds(seeds, from, trace, &seed) : run_watched(seeds, from);
}

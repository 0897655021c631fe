/* sim_session --seeds N --from S [--trace 1|2]: see session.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool run_seed(struct world *w, uint64_t seed)
{
	world_init(w, seed);
	bool good = world_run(w);
	if (!good)
		printf("seed %" PRIu64 ": %s (%" PRIu64 ") after %.3f s\nreplay: sim_session --seeds 1 --from %" PRIu64
		       " --trace 1\n",
		       seed, w->failure, w->failed_id, (double)(w->now_ns - w->started_ns) / 1e9, seed);
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

int main(int argc, char **argv)
{
	static struct world w;
	uint64_t seeds = argument(argc, argv, "--seeds", 100), from = argument(argc, argv, "--from", 1);
	wrap_init(&w);
	w.trace = (int)argument(argc, argv, "--trace", 0);
	for (uint64_t seed = from; seed < from + seeds; seed++)
		if (!run_seed(&w, seed))
			return 1;
	printf("%" PRIu64 " seeds from %" PRIu64 ": ", seeds, from);
	return summary(&w, seeds) ? 0 : 1;
}

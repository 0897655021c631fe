#define _GNU_SOURCE /* pthread_getaffinity_np */
#include "drivers/dpdk/eal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/eal_log.h"
#include "drivers/dpdk/eal_quiet.h"
#include "drivers/dpdk/hugepages.h"

/* ---- the command line ---- */

/* Adds one argument; too many or too long are found by the caller: count stays at EAL_ARGUMENTS_MAX + 1. */
__attribute__((format(printf, 3, 4))) static void add(struct eal_arguments *a, size_t *used, const char *format, ...)
{
	va_list args;
	if (a->count > EAL_ARGUMENTS_MAX - 1) {
		a->count = EAL_ARGUMENTS_MAX + 1;
		return;
	}
	va_start(args, format);
	size_t room = sizeof a->text - *used;
	size_t len = (size_t)vsnprintf(a->text + *used, room, format, args);
	va_end(args);
	if (len >= room) {
		a->count = EAL_ARGUMENTS_MAX + 1;
		return;
	}
	a->values[a->count++] = a->text + *used;
	*used += len + 1;
}

/* Is one of the space-separated `names` among the arguments of `extra`, as it is, with "=value", or (short ones) with
 * the value attached? */
static bool mentions(const char *extra, const char *names)
{
	char name[32];
	for (; *names; names += strspn(names, " ")) {
		size_t len = strcspn(names, " ");
		snprintf(name, sizeof name, "%.*s", (int)len, names);
		names += len;
		for (const char *at = extra; (at = strstr(at, name)) != NULL; at++) {
			bool begins = at == extra || at[-1] == ' ';
			bool is_short = name[1] != '-';
			if (begins && (is_short || strchr(" =", at[len])))
				return true;
		}
	}
	return false;
}

/* One lcore, the thread that starts the EAL, allowed wherever that thread is. Workers bring threads of their own. */
static void add_lcore(struct eal_arguments *a, size_t *used)
{
	cpu_set_t allowed;
	char list[1024] = "";
	size_t len = 0;
	if (pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed) != 0)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && len < sizeof list - 8)
			len += (size_t)snprintf(list + len, sizeof list - len, "%s%d", len ? "," : "", cpu);
	add(a, used, "--lcores");
	add(a, used, "0@(%s)", list);
}

int eal_arguments_build(const char *extra, struct eal_arguments *a, const struct why *why)
{
	size_t used = 0;
	memset(a, 0, sizeof *a);
	extra = extra ? extra : "";
	a->hugepages = !mentions(extra, "--no-huge");
	add(a, &used, "harewire");
	if (!mentions(extra, "--lcores -l -c"))
		add_lcore(a, &used);
	if (!a->hugepages) { /* --in-memory is refused without hugepages */
		if (!mentions(extra, "--no-shconf"))
			add(a, &used, "--no-shconf");
		if (!mentions(extra, "--file-prefix"))
			add(a, &used, "--file-prefix=harewire-%d", (int)getpid());
	} else if (!mentions(extra, "--in-memory --file-prefix --proc-type --huge-dir --huge-unlink")) {
		add(a, &used, "--in-memory");
	}
	if (!mentions(extra, "--telemetry"))
		add(a, &used, "--no-telemetry");
	/* An allow list of the host bridge: no NIC is probed until it is asked for by its address. */
	if (!mentions(extra, "-a --allow -b --block --no-pci"))
		add(a, &used, "--allow=0000:00:00.0");
	for (extra += strspn(extra, " "); *extra; extra += strspn(extra, " ")) {
		size_t len = strcspn(extra, " ");
		add(a, &used, "%.*s", (int)len, extra);
		extra += len;
	}
	if (a->count > EAL_ARGUMENTS_MAX)
		return why_say(why, HW_ERR_INVALID, "the EAL arguments are too many or too long");
	return 0;
}

/* ---- the process's EAL ---- */

/* The EAL is one per process and cannot be started twice: so is this. */
static struct {
	pthread_mutex_t lock;
	enum { EAL_NOT_STARTED, EAL_RUNS, EAL_FAILED } state;
	struct eal_arguments arguments; /* it keeps pointers into them */
	char *extra;                    /* what it was started with */
	char failure[320];
	bool ours; /* started here, not by the application */
} eal = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* An option that getopt does not know is not in the EAL's log, but was complained of on standard error. */
static int init_failed(const char *complaint, const struct why *why)
{
	char words[192];
	int error = rte_errno;
	if (error == EALREADY) { /* by the application: its configuration, and its log, are its own business */
		eal_log_give_back();
		eal.state = EAL_RUNS;
		return 0;
	}
	eal.state = EAL_FAILED; /* a second attempt in one process does not work */
	if (strncmp(complaint, "harewire: ", 10) == 0)
		return why_say(why, HW_ERR_INVALID, "DPDK's EAL does not start: %s; check the EAL arguments",
			       complaint + 10);
	eal_log_first_error(words, sizeof words);
	return why_say(why, error == ENOMEM ? HW_ERR_NOMEM : HW_ERR_SYSTEM, "DPDK's EAL does not start: %s%s%s",
		       words[0] ? words : strerror(error), words[0] ? "" : "; ",
		       words[0] ? "" : "check the EAL arguments");
}

/* rte_eal_init pins its caller to the lcore's CPUs. */
static int init_keeping_affinity(struct eal_arguments *a)
{
	cpu_set_t before;
	char *values[EAL_ARGUMENTS_MAX + 1]; /* the EAL reorders what it is given */
	memcpy(values, a->values, sizeof values);
	bool known = pthread_getaffinity_np(pthread_self(), sizeof before, &before) == 0;
	int rc = rte_eal_init(a->count, values);
	if (known)
		pthread_setaffinity_np(pthread_self(), sizeof before, &before);
	return rc;
}

/* With telemetry its socket lies in there, until DPDK removes it when the process ends: before this. */
static __attribute__((destructor)) void remove_runtime_directory(void)
{
	if (eal.ours)
		rmdir(rte_eal_get_runtime_dir());
}

static int first_start(const char *extra, const struct why *why)
{
	int err = eal_arguments_build(extra, &eal.arguments, why);
	bool begun = rte_lcore_count() > 0; /* by the application, which has its memory already */
	if (!err && !begun && eal.arguments.hugepages)
		err = hugepages_check("/sys/kernel/mm/hugepages", why);
	if (err)
		return err;
	eal.extra = strdup(extra);
	if (!eal.extra || eal_log_open(mentions(extra, "--log-level")))
		return why_say(why, HW_ERR_NOMEM, "no memory for DPDK's log");
	eal_log_mark();
	char complaint[192] = "";
	bool quiet = !mentions(extra, "--log-level --help -h -v --version") && eal_quiet_begin() == 0;
	int rc = init_keeping_affinity(&eal.arguments);
	if (quiet)
		eal_quiet_end(complaint, sizeof complaint);
	if (rc < 0)
		return init_failed(complaint, why);
	/* Where nothing is shared it stays empty; removed now, because we may be killed later. */
	rmdir(rte_eal_get_runtime_dir());
	eal.ours = true;
	eal.state = EAL_RUNS;
	return 0;
}

int eal_start(const char *extra, const struct why *why)
{
	int err = 0;
	extra = extra ? extra : "";
	pthread_mutex_lock(&eal.lock);
	switch (eal.state) {
	case EAL_NOT_STARTED:
		err = first_start(extra, &(struct why){eal.failure, sizeof eal.failure});
		if (err)
			why_say(why, err, "%s", eal.failure);
		if (err && eal.state == EAL_NOT_STARTED) {
			free(eal.extra);
			eal.extra = NULL;
		}
		break;
	case EAL_RUNS:
		if (strcmp(extra, eal.extra) != 0)
			err = why_say(why, HW_ERR_INVALID,
				      "DPDK's EAL already runs in this process with the arguments '%s': give the same, "
				      "not '%s'",
				      eal.extra, extra);
		break;
	case EAL_FAILED:
		err = why_say(why, HW_ERR_SYSTEM, "%s (tried before in this process)", eal.failure);
		break;
	}
	pthread_mutex_unlock(&eal.lock);
	return err;
}

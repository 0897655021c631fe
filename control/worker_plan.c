#include "control/worker_plan.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/base/error.h"
#include "drivers/why.h"

/* ---- one worker ---- */

/* NULL and "" are the same: not given. */
static const char *given(const char *own, const char *common)
{
	if (own && *own)
		return own;
	return common && *common ? common : NULL;
}

static struct transport_request overlay(const struct harewire_options *o, const struct harewire_worker_options *w)
{
	const char *driver = given(w->driver, o->driver);
	return (struct transport_request){
		.driver = driver ? driver : "auto",
		.interface = given(w->interface, o->interface),
		.queue = w->queue >= 0 ? w->queue : o->queue,
		.cpu = w->cpu >= 0 ? w->cpu : o->worker_cpu,
		.device = given(w->device, o->device),
		.address = given(w->address, o->address),
		.gateway = given(w->gateway, o->gateway),
		.eal = given(o->eal, NULL),
		.vlan = w->vlan ? w->vlan : o->vlan,
		.mtu = w->mtu ? w->mtu : o->mtu,
		.checksum = o->checksum_offload,
		.tso = o->tso,
		.telemetry = o->telemetry,
		.queues = 1,
	};
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static const char *device_text(const struct transport_request *r)
{
	const char *device = strcmp(r->driver, "dpdk") ? r->interface : r->device;
	return device ? device : "the broker's interface";
}

/* ---- all of them ---- */

static bool queue_taken(const struct worker_plan *plan, uint32_t worker, int queue)
{
	for (uint32_t i = 0; i < plan->count; i++)
		if (i != worker && plan->workers[i].queue == queue &&
		    transport_same_device(&plan->workers[i], &plan->workers[worker]))
			return true;
	return false;
}

/* Who has named no queue gets the lowest that is left. */
static void assign_queues(struct worker_plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		int queue = 0;
		if (plan->workers[i].queue >= 0)
			continue;
		while (queue_taken(plan, i, queue))
			queue++;
		plan->workers[i].queue = queue;
	}
}

static int check_pair(const struct worker_plan *plan, uint32_t i, uint32_t j, const struct why *why)
{
	const struct transport_request *a = &plan->workers[i], *b = &plan->workers[j];
	const char *differs = NULL;
	if (!transport_same_device(a, b)) {
		if (transport_is_exclusive(a) && transport_is_exclusive(b) && a->vlan == b->vlan &&
		    same_text(a->address, b->address))
			return why_say(why, HW_ERR_INVALID,
				       "workers %u and %u have different devices, %s and %s, but the same address, %s: "
				       "each device needs one of its own",
				       i, j, device_text(a), device_text(b), a->address);
		return 0;
	}
	if (a->queue == b->queue)
		return why_say(why, HW_ERR_INVALID,
			       "workers %u and %u both have queue %d of %s: give each one of its own", i, j, a->queue,
			       device_text(a));
	if (!same_text(a->address, b->address))
		differs = "address";
	else if (!same_text(a->gateway, b->gateway))
		differs = "gateway";
	else if (a->vlan != b->vlan)
		differs = "VLAN";
	else if (a->mtu != b->mtu)
		differs = "MTU";
	if (differs && !strcmp(a->driver, "dpdk"))
		return why_say(why, HW_ERR_INVALID, "workers %u and %u share %s, which has one %s, but they name two",
			       i, j, device_text(a), differs);
	return 0;
}

/* DPDK sets a port's queues up together: 0 to n-1. That no two are the same is known by now. */
static int check_queue_range(const struct worker_plan *plan, uint32_t i, const struct why *why)
{
	const struct transport_request *r = &plan->workers[i];
	if (strcmp(r->driver, "dpdk") != 0 || r->queue < r->queues)
		return 0;
	if (r->queues == 1)
		return why_say(why, HW_ERR_INVALID,
			       "worker %u has queue %d of %s, but no other worker has queue 0: queues are numbered "
			       "from 0 without gaps",
			       i, r->queue, device_text(r));
	return why_say(why, HW_ERR_INVALID, "worker %u has queue %d of %s: its %d workers have the queues 0 to %d", i,
		       r->queue, device_text(r), r->queues, r->queues - 1);
}

static int check_together(struct worker_plan *plan, const struct why *why)
{
	for (uint32_t i = 0; i < plan->count; i++)
		for (uint32_t j = i + 1; j < plan->count; j++) {
			int err = check_pair(plan, i, j, why);
			if (err)
				return err;
			if (transport_same_device(&plan->workers[i], &plan->workers[j])) {
				plan->workers[i].queues++;
				plan->workers[j].queues++;
			}
		}
	for (uint32_t i = 0; i < plan->count; i++) {
		int err = check_queue_range(plan, i, why);
		if (err)
			return err;
	}
	return 0;
}

static bool has_driver(const struct worker_plan *plan, const char *driver)
{
	for (uint32_t i = 0; i < plan->count; i++)
		if (!strcmp(plan->workers[i].driver, driver))
			return true;
	return false;
}

/* ---- what only DPDK heeds ----
 * Said for another driver it is no detail to be passed over: whoever names a device believes that it is what sends.
 */

static const char *dpdk_word_of_worker(const struct harewire_worker_options *w)
{
	return given(w->device, NULL)    ? "a device"
	       : given(w->address, NULL) ? "an address"
	       : given(w->gateway, NULL) ? "a gateway"
	       : w->vlan                 ? "a VLAN"
	       : w->mtu                  ? "an MTU"
					 : NULL;
}

static const char *dpdk_word_of_options(const struct harewire_options *o)
{
	const struct harewire_worker_options w = {
		.device = o->device, .address = o->address, .gateway = o->gateway, .vlan = o->vlan, .mtu = o->mtu};
	const char *word = dpdk_word_of_worker(&w);
	return word                                     ? word
	       : given(o->eal, NULL)                    ? "EAL arguments"
	       : o->checksum_offload == HAREWIRE_USE_ON ? "checksum offload"
	       : o->tso == HAREWIRE_USE_ON              ? "TSO"
	       : o->telemetry                           ? "telemetry"
							: NULL;
}

/* What the options say is for all workers: it is enough that one of them is DPDK's. */
static int check_words(const struct harewire_options *o, const struct worker_plan *plan, const struct why *why)
{
	const char *word = dpdk_word_of_options(o);
	if (word && !has_driver(plan, "dpdk"))
		return why_say(
			why, HW_ERR_INVALID,
			"the options name %s, which only the driver dpdk heeds, and %s is %s: choose dpdk, or leave "
			"it out",
			word, plan->count == 1 ? "the driver" : "the first worker's driver", plan->workers[0].driver);
	for (uint32_t i = 0; o->workers && i < plan->count; i++) {
		word = dpdk_word_of_worker(&o->workers[i]);
		if (word && strcmp(plan->workers[i].driver, "dpdk") != 0)
			return why_say(
				why, HW_ERR_INVALID,
				"worker %u names %s, which only the driver dpdk heeds, and its driver is %s: choose "
				"dpdk, or leave it out",
				i, word, plan->workers[i].driver);
	}
	return 0;
}

/* Without an address of its own a port is the kernel's interface: its routes and its VLANs count. */
static int check_own_network(const struct worker_plan *plan, const struct why *why)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct transport_request *r = &plan->workers[i];
		if (!strcmp(r->driver, "dpdk") && !r->address && (r->gateway || r->vlan))
			return why_say(why, HW_ERR_INVALID,
				       "worker %u has a %s but no address: the kernel's address has the kernel's "
				       "routes and VLANs. Give it an address such as 10.1.2.3/24, or leave the %s out",
				       i, r->gateway ? "gateway" : "VLAN", r->gateway ? "gateway" : "VLAN");
	}
	return 0;
}

static void warn_of_shared_cpus(const struct harewire_options *o, struct worker_plan *plan)
{
	for (uint32_t i = 0; i < plan->count && o->mode == HAREWIRE_THREADED; i++)
		for (uint32_t j = i + 1; j < plan->count; j++)
			if (plan->workers[i].cpu >= 0 && plan->workers[i].cpu == plan->workers[j].cpu) {
				snprintf(plan->warning, sizeof plan->warning,
					 "slow: workers %u and %u are both pinned to CPU %d: each polls, so each wants "
					 "a "
					 "CPU of its own",
					 i, j, plan->workers[i].cpu);
				return;
			}
}

int worker_plan_make(const struct harewire_options *options, struct worker_plan *plan, char *text, size_t text_bytes)
{
	const struct why why = {text, text_bytes};
	struct harewire_worker_options none = {.cpu = -1, .queue = -1};
	memset(plan, 0, sizeof *plan);
	plan->count = options->workers ? options->worker_count : 1;
	if (!options->workers && options->worker_count > 1)
		return why_say(&why, HW_ERR_INVALID, "worker_count is %u, but no workers are given",
			       options->worker_count);
	if (plan->count < 1 || plan->count > HAREWIRE_WORKERS_MAX)
		return why_say(&why, HW_ERR_INVALID, "there can be 1 to %u workers, not %u", HAREWIRE_WORKERS_MAX,
			       plan->count);
	for (uint32_t i = 0; i < plan->count; i++) {
		plan->workers[i] = overlay(options, options->workers ? &options->workers[i] : &none);
		if (!transport_known(plan->workers[i].driver))
			return why_say(&why, HW_ERR_INVALID,
				       "there is no driver '%s': auto, af_xdp, dpdk and kernel are known",
				       plan->workers[i].driver);
	}
	plan->telemetry = options->telemetry;
	int err = check_words(options, plan, &why);
	if (!err)
		err = check_own_network(plan, &why);
	if (err)
		return err;
	assign_queues(plan);
	warn_of_shared_cpus(options, plan);
	return check_together(plan, &why);
}

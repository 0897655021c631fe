#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/command/config_apply.h"
#include "dataplane/base/error.h"

/* The option whose values the key takes. */
static const char *const option_names[WORKER_KEYS] = {
	[WORKER_CORE] = "cpu",        [WORKER_DRIVER] = "driver",   [WORKER_INTERFACE] = "interface",
	[WORKER_DEVICE] = "device",   [WORKER_QUEUE] = "nic-queue", [WORKER_ADDRESS] = "address",
	[WORKER_GATEWAY] = "gateway", [WORKER_VLAN] = "vlan",       [WORKER_MTU] = "mtu",
};

/* Reads an entry's keys like options, into settings of its own. */
static int read_worker(const struct config_worker *worker, struct settings *into, struct config_complaint *complaint)
{
	size_t entry = strlen(complaint->place);

	for (enum config_worker_key key = 0; key < WORKER_KEYS; key++) {
		const char *name = option_names[key];
		const struct option *o = option_find(name, strlen(name), COMMAND_PUBLISH);
		if (!worker->texts[key])
			continue;
		complaint->name = config_worker_key_name(key);
		snprintf(complaint->place + entry, sizeof complaint->place - entry, "/%s", complaint->name);
		int code = option_set(o, into, worker->texts[key], complaint->reason, sizeof complaint->reason);
		if (code)
			return code;
	}
	return 0;
}

static struct harewire_worker_options worker_from_settings(const struct settings *s, bool names_driver)
{
	struct harewire_worker_options w;

	harewire_worker_options_init(&w);
	if (s->cpu != SETTING_UNSET)
		w.cpu = (int)s->cpu;
	if (s->nic_queue != SETTING_UNSET)
		w.queue = (int)s->nic_queue;
	if (names_driver)
		w.driver = driver_name(s->driver);
	w.interface = s->interface;
	w.device = s->device;
	w.address = s->address;
	w.gateway = s->gateway;
	w.vlan = (uint32_t)s->vlan;
	w.mtu = (uint32_t)s->mtu;
	return w;
}

int config_apply_workers(const struct config_worker *workers, uint32_t count, struct settings *s,
			 struct config_complaint *complaint)
{
	int code = 0;

	if (!workers)
		return 0;
	complaint->name = "workers";
	snprintf(complaint->place, sizeof complaint->place, "workers");
	if (count > HAREWIRE_WORKERS_MAX) {
		snprintf(complaint->reason, sizeof complaint->reason, "%u are more than %u", count,
			 HAREWIRE_WORKERS_MAX);
		return HW_ERR_INVALID;
	}
	s->workers = calloc(count, sizeof *s->workers);
	if (!s->workers)
		return HW_ERR_NOMEM;
	for (uint32_t i = 0; i < count && !code; i++) {
		struct settings entry;
		settings_init(&entry, s->command);
		snprintf(complaint->place, sizeof complaint->place, "workers/%u", i);
		code = read_worker(&workers[i], &entry, complaint);
		s->workers[s->worker_count++] = worker_from_settings(&entry, workers[i].texts[WORKER_DRIVER] != NULL);
		settings_fini(&entry);
	}
	return code;
}

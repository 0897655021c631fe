#include "control/command/engine.h"

#include <stdio.h>
#include <string.h>

#include "control/command/command.h"
#include "control/command/engine_socket.h"
#include "control/command/options.h"
#include "dataplane/base/clock.h"

#define NS_PER_S          1000000000ull
#define WARNINGS_A_SECOND 8u

uint32_t engine_publishers(const struct settings *settings)
{
	if (settings->publishers != SETTING_UNSET)
		return (uint32_t)settings->publishers;
	return settings->worker_count ? settings->worker_count : 1;
}

/* Hundreds of publishers lose their broker at once: enough is said with the first. */
static bool may_be_said(struct engine_log *log)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (now_ns - log->second_ns >= NS_PER_S) {
		log->second_ns = now_ns;
		log->said = 0;
	}
	if (log->said == WARNINGS_A_SECOND) {
		log->unsaid++;
		return false;
	}
	log->said++;
	return true;
}

/* What is an error to the library comes with its event, too. */
static void show_log_line(void *context, enum harewire_log_level level, const char *line)
{
	struct engine_log *log = context;
	const struct settings *s = log->settings;

	if (!s->verbose && (s->quiet || level != HAREWIRE_LOG_WARNING || !may_be_said(log)))
		return;
	if (log->unsaid)
		complain("%u more warnings were not said; --verbose says all", log->unsaid);
	log->unsaid = 0;
	complain("%s", line);
}

/* A default for workers that no worker takes: hardly what was meant. */
static void warn_of_overridden(const struct settings *s)
{
	const uint32_t all = s->worker_count;
	uint32_t cpu = 0, driver = 0, interface = 0, device = 0, queue = 0, address = 0, gateway = 0, vlan = 0, mtu = 0;

	for (const struct harewire_worker_options *w = s->workers; w && w < s->workers + all; w++) {
		cpu += w->cpu >= 0;
		driver += w->driver != NULL;
		interface += w->interface != NULL;
		device += w->device != NULL;
		queue += w->queue >= 0;
		address += w->address != NULL;
		gateway += w->gateway != NULL;
		vlan += w->vlan != 0;
		mtu += w->mtu != 0;
	}
	const struct {
		const char *option, *key;
		bool unheeded;
	} defaults[] = {
		{"cpu", "core", s->cpu != SETTING_UNSET && cpu == all},
		{"driver", "driver", s->driver != DRIVER_AUTO && driver == all},
		{"interface", "interface", s->interface && interface == all},
		{"device", "device", s->device && device == all},
		{"nic-queue", "queue", s->nic_queue != SETTING_UNSET && queue == all},
		{"address", "address", s->address && address == all},
		{"gateway", "gateway", s->gateway && gateway == all},
		{"vlan", "vlan", s->vlan && vlan == all},
		{"mtu", "mtu", s->mtu && mtu == all},
	};
	for (size_t i = 0; all && i < sizeof defaults / sizeof defaults[0]; i++)
		if (defaults[i].unheeded)
			complain("warning: %s has no effect: every entry of workers says its own %s",
				 defaults[i].option, defaults[i].key);
}

int engine_create(const struct settings *s, struct engine_log *log, struct harewire **out, char *why, size_t why_bytes)
{
	struct harewire_options wanted;
	char control[ENGINE_SOCKET_MAX];

	warn_of_overridden(s);
	harewire_options_init(&wanted);
	wanted.driver = driver_name(s->driver);
	wanted.interface = s->interface;
	wanted.queue = s->nic_queue == SETTING_UNSET ? -1 : (int)s->nic_queue;
	wanted.worker_cpu = s->cpu == SETTING_UNSET ? -1 : (int)s->cpu;
	wanted.mode = s->inline_worker ? HAREWIRE_INLINE : HAREWIRE_THREADED;
	wanted.idle = s->idle == IDLE_SPIN ? HAREWIRE_IDLE_SPIN : HAREWIRE_IDLE_BACKOFF;
	wanted.device = s->device;
	wanted.address = s->address;
	wanted.gateway = s->gateway;
	wanted.eal = s->eal;
	wanted.vlan = (uint32_t)s->vlan;
	wanted.mtu = (uint32_t)s->mtu;
	wanted.checksum_offload = s->checksum_offload;
	wanted.tso = s->tso;
	wanted.telemetry = s->telemetry;
	wanted.trace_dir = s->trace_dir;
	if (!s->control)
		wanted.control_path = engine_socket_own(control, sizeof control);
	else if (strcmp(s->control, "none") != 0)
		wanted.control_path = s->control;
	wanted.workers = s->workers;
	wanted.worker_count = s->worker_count;
	wanted.log_line = show_log_line;
	*log = (struct engine_log){.settings = s};
	wanted.log_context = log;
	return harewire_create(&wanted, out, why, why_bytes);
}

#include "control/command/engine.h"

#include <stdio.h>
#include <string.h>

#include "control/command/engine_socket.h"
#include "control/command/options.h"

uint32_t engine_publishers(const struct settings *settings)
{
	if (settings->publishers != SETTING_UNSET)
		return (uint32_t)settings->publishers;
	return settings->worker_count ? settings->worker_count : 1;
}

/* What is an error to the library comes with its event, too. */
static void show_log_line(void *context, enum harewire_log_level level, const char *line)
{
	const struct settings *s = context;

	if (level == HAREWIRE_LOG_WARNING || s->verbose)
		fprintf(stderr, "harewire: %s\n", line);
}

int engine_create(const struct settings *s, struct harewire **out, char *why, size_t why_bytes)
{
	struct harewire_options wanted;
	char control[ENGINE_SOCKET_MAX];

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
	if (!s->control)
		wanted.control_path = engine_socket_own(control, sizeof control);
	else if (strcmp(s->control, "none") != 0)
		wanted.control_path = s->control;
	wanted.workers = s->workers;
	wanted.worker_count = s->worker_count;
	wanted.log_line = show_log_line;
	wanted.log_context = (void *)s;
	return harewire_create(&wanted, out, why, why_bytes);
}

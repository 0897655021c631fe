#include "drivers/dpdk/ports.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

struct open_port {
	struct dpdk_port port; /* first: what the users hold */
	struct dpdk_options options;
	char interface[16]; /* options.interface's text */
	bool taken[DPDK_QUEUES_MAX];
	uint32_t users;
	struct open_port *next;
};

/* DPDK's ports are the process's, and so is this list. */
static struct {
	pthread_mutex_t lock;
	struct open_port *first;
} ports = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct open_port *find(const char *name)
{
	struct open_port *p = ports.first;
	while (p && strcmp(p->port.device.name, name) != 0)
		p = p->next;
	return p;
}

/* What a later user asks for that the port was not opened with; NULL: nothing. */
static const char *difference(const struct open_port *p, const struct dpdk_device *device,
			      const struct dpdk_options *options)
{
	if (options->queues != p->options.queues)
		return "another number of queues";
	if (options->mtu != p->options.mtu)
		return "another MTU";
	if (options->vlan != p->options.vlan)
		return "another VLAN";
	if (options->checksum != p->options.checksum)
		return "another choice of checksum offload";
	if (options->tso != p->options.tso)
		return "another choice of TSO";
	if (options->shared != p->options.shared)
		return p->options.shared ? "the kernel's address" : "an address of its own";
	if (strcmp(options->interface ? options->interface : "", p->interface) != 0)
		return "another interface of the kernel's";
	return strcmp(device->devargs, p->port.device.devargs) != 0 ? "other arguments" : NULL;
}

static int join(struct open_port *p, const struct dpdk_device *device, const struct dpdk_options *options,
		const struct why *why)
{
	const char *name = p->port.device.name, *other = difference(p, device, options);
	if (other)
		return why_say(why, HW_ERR_INVALID,
			       "%s is already open in this process with %s: give all its workers the same", name,
			       other);
	if (p->taken[options->queue])
		return why_say(why, HW_ERR_BUSY,
			       "queue %u of %s is already in use by this process: give each worker a queue or a device "
			       "of its own",
			       options->queue, name);
	return 0;
}

static int open_new(const struct dpdk_device *device, const struct dpdk_options *options, struct open_port **out,
		    const struct why *why)
{
	struct open_port *p = calloc(1, sizeof *p);
	if (!p)
		return why_say(why, HW_ERR_NOMEM, "no memory for the port %s", device->name);
	int err = dpdk_port_open(&p->port, device, options, why);
	if (err) {
		free(p);
		return err;
	}
	p->options = *options;
	snprintf(p->interface, sizeof p->interface, "%s", options->interface ? options->interface : "");
	p->next = ports.first;
	ports.first = p;
	*out = p;
	return 0;
}

static int check_queue(const char *name, const struct dpdk_options *options, const struct why *why)
{
	if (options->queues > DPDK_QUEUES_MAX)
		return why_say(why, HW_ERR_INVALID, "%u queues of %s: at most %u can be used", options->queues, name,
			       DPDK_QUEUES_MAX);
	if (options->queue >= options->queues)
		return why_say(why, HW_ERR_INVALID,
			       "queue %u of %s is out of range: it is opened with %u, numbered "
			       "from 0",
			       options->queue, name, options->queues);
	return 0;
}

int dpdk_ports_take(const struct dpdk_device *device, const struct dpdk_options *options, struct dpdk_port **out,
		    const struct why *why)
{
	int err = check_queue(device->name, options, why);
	if (err)
		return err;
	pthread_mutex_lock(&ports.lock);
	struct open_port *p = find(device->name);
	err = p ? join(p, device, options, why) : open_new(device, options, &p, why);
	if (!err) {
		p->taken[options->queue] = true;
		p->users++;
		*out = &p->port;
	}
	pthread_mutex_unlock(&ports.lock);
	return err;
}

void dpdk_ports_release(struct dpdk_port *port, uint16_t queue)
{
	struct open_port *p = (struct open_port *)port;
	pthread_mutex_lock(&ports.lock);
	p->taken[queue] = false;
	if (--p->users == 0) {
		struct open_port **at = &ports.first;
		while (*at != p)
			at = &(*at)->next;
		*at = p->next;
		dpdk_port_close(&p->port);
		free(p);
	}
	pthread_mutex_unlock(&ports.lock);
}

#include "drivers/af_xdp/program.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base/error.h"
#include "drivers/driver.h"
#include "flow.skel.h"

struct flow_program {
	struct flow_program *next;
	uint32_t interface; /* its index in its network namespace */
	ino_t namespace;
	uint32_t users; /* instances of the driver */
	struct flow *skeleton;
	int link; /* fd, or -1: not attached */
	uint32_t xdp_flags;
};

/* An interface has one XDP program, whatever part of the process asks for it. */
static struct {
	pthread_mutex_t lock;
	struct flow_program *first;
} programs = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int explain_load(const struct device *device, int error, const struct why *why)
{
	switch (error) {
	case EPERM:
	case EACCES:
		return why_say(why, HW_ERR_SYSTEM, "no permission to load an XDP program for %s: " WHY_CAPABILITIES,
			       device->name);
	case ENOMEM:
		return why_say(why, HW_ERR_NOMEM, "no memory for the XDP program of %s", device->name);
	default:
		return why_say(why, HW_ERR_SYSTEM,
			       "the kernel refuses the XDP program for %s: %s (Linux 5.18 or later is needed)",
			       device->name, strerror(error));
	}
}

static int discard_message(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return 0;
}

static int load(struct flow_program *program, const struct device *device, const struct why *why)
{
	/* libbpf would write the verifier's log to the application's stderr; `why` says what a reader can use. */
	libbpf_print_fn_t print = libbpf_set_print(discard_message);
	int error = 0;
	program->skeleton = flow__open();
	if (!program->skeleton || bpf_map__set_max_entries(program->skeleton->maps.xsks, device->rx_queues))
		error = errno;
	else
		error = -flow__load(program->skeleton);
	libbpf_set_print(print);
	return error ? explain_load(device, error, why) : 0;
}

static void unload(struct flow_program *program)
{
	if (program->link >= 0)
		close(program->link);
	if (program->skeleton)
		flow__destroy(program->skeleton);
	free(program);
}

static int load_new(struct flow_program **out, const struct device *device, ino_t namespace, const struct why *why)
{
	struct flow_program *program = calloc(1, sizeof *program);
	if (!program)
		return explain_load(device, ENOMEM, why);
	program->link = -1;
	program->interface = device->index;
	program->namespace = namespace;
	program->users = 1;
	int rc = load(program, device, why);
	if (rc) {
		unload(program);
		return rc;
	}
	program->next = programs.first;
	programs.first = *out = program;
	return 0;
}

int flow_program_open(struct flow_program **out, const struct device *device, const struct why *why)
{
	struct stat s = {0};
	int rc = 0;
	if (stat("/proc/thread-self/ns/net", &s))
		s.st_ino = 0;
	pthread_mutex_lock(&programs.lock);
	struct flow_program *program = programs.first;
	while (program && (program->interface != device->index || program->namespace != s.st_ino))
		program = program->next;
	if (program) {
		program->users++;
		*out = program;
	} else {
		rc = load_new(out, device, s.st_ino, why);
	}
	pthread_mutex_unlock(&programs.lock);
	return rc;
}

static int explain_attach(const struct device *device, uint32_t xdp_flags, int error, const struct why *why)
{
	const char *mode = xdp_flags & XDP_FLAGS_SKB_MODE ? "skb" : "native", *name = device->name;
	switch (error) {
	case EPERM:
	case EACCES:
		return why_say(why, HW_ERR_SYSTEM, "no permission to attach an XDP program to %s: " WHY_CAPABILITIES,
			       name);
	case EBUSY:
	case EEXIST:
		return why_say(
			why, HW_ERR_BUSY,
			"another XDP program is attached to %s: perhaps another harewire uses it (`bpftool link` "
			"says which process does); if none does, `ip link set dev %s xdp off` removes it",
			name, name);
	case ENODEV:
		return why_say(why, HW_ERR_INVALID, "interface %s has gone", name);
	case ERANGE:
		return why_say(why, HW_ERR_UNSUPPORTED,
			       "%s XDP on %s (%s) refuses an MTU this large: lower that of %s or its peer", mode, name,
			       device->driver, name);
	case ENOSPC:
		return why_say(why, HW_ERR_UNSUPPORTED,
			       "%s XDP on %s (%s) needs more queues: fewer receive queues than its peer sends on", mode,
			       name, device->driver);
	case EOPNOTSUPP:
		return why_say(why, HW_ERR_UNSUPPORTED,
			       "the %s driver of %s has no %s XDP (or not with its present offloads)", device->driver,
			       name, mode);
	default:
		return why_say(why, HW_ERR_UNSUPPORTED, "the %s driver of %s refuses %s XDP: %s", device->driver, name,
			       mode, strerror(error));
	}
}

static int attach(struct flow_program *program, const struct device *device, uint32_t xdp_flags, const struct why *why)
{
	if (program->link >= 0 && program->xdp_flags == xdp_flags)
		return 0;
	if (program->link >= 0 && program->users > 1)
		return why_say(why, HW_ERR_UNSUPPORTED, "another worker on %s has its XDP program attached in %s mode",
			       device->name, program->xdp_flags & XDP_FLAGS_SKB_MODE ? "skb" : "native");
	if (program->link >= 0)
		close(program->link);
	program->link = -1;
	const struct bpf_link_create_opts options = {.sz = sizeof options, .flags = xdp_flags};
	int link = bpf_link_create(bpf_program__fd(program->skeleton->progs.take_flows), (int)device->index, BPF_XDP,
				   &options);
	if (link < 0)
		return explain_attach(device, xdp_flags, -link, why);
	program->link = link;
	program->xdp_flags = xdp_flags;
	return 0;
}

int flow_program_attach(struct flow_program *program, const struct device *device, uint32_t xdp_flags,
			const struct why *why)
{
	pthread_mutex_lock(&programs.lock);
	int rc = attach(program, device, xdp_flags, why);
	pthread_mutex_unlock(&programs.lock);
	return rc;
}

void flow_program_close(struct flow_program *program)
{
	if (!program)
		return;
	pthread_mutex_lock(&programs.lock);
	if (--program->users == 0) {
		struct flow_program **at = &programs.first;
		while (*at != program)
			at = &(*at)->next;
		*at = program->next;
		unload(program);
	}
	pthread_mutex_unlock(&programs.lock);
}

int flow_program_socket_map(const struct flow_program *program)
{
	return bpf_map__fd(program->skeleton->maps.xsks);
}

static int flow_map(const struct flow_program *program)
{
	return bpf_map__fd(program->skeleton->maps.flows);
}

static struct flow_key key_of(const struct driver_flow *flow)
{
	return (struct flow_key){
		.local_ip = htonl(flow->local_ip),
		.remote_ip = htonl(flow->remote_ip),
		.local_port = htons(flow->local_port),
		.remote_port = htons(flow->remote_port),
	};
}

int flow_program_add(struct flow_program *program, const struct driver_flow *flow, int32_t queue)
{
	struct flow_key key = key_of(flow);
	struct flow_state state = {.wrong_queue = -1, .queue = queue};
	switch (-bpf_map_update_elem(flow_map(program), &key, &state, BPF_NOEXIST)) {
	case 0:
		return 0;
	case EEXIST:
		return HW_ERR_BUSY;
	case E2BIG:
	case ENOMEM:
		return HW_ERR_NOMEM;
	default:
		return HW_ERR_SYSTEM;
	}
}

void flow_program_take_from_all(struct flow_program *program, const struct driver_flow *flow)
{
	struct flow_key key = key_of(flow);
	struct flow_state state = {.wrong_queue = -1, .queue = -1}; /* what was counted so far is of no use any more */
	bpf_map_update_elem(flow_map(program), &key, &state, BPF_EXIST);
}

void flow_program_remove(struct flow_program *program, const struct driver_flow *flow)
{
	struct flow_key key = key_of(flow);
	bpf_map_delete_elem(flow_map(program), &key);
}

int flow_program_state(const struct flow_program *program, const struct driver_flow *flow, struct flow_state *state)
{
	struct flow_key key = key_of(flow);
	return bpf_map_lookup_elem(flow_map(program), &key, state) ? HW_ERR_INVALID : 0;
}

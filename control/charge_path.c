/*
 * The way to a broker: route, transport, neighbour, local port, NIC queue. Route, neighbour and port are the kernel's,
 * or on a port that is ours alone the nic's (control/nic).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/supervisor_internal.h"
#include "control/taps.h"
#include "dataplane/base/error.h"

#define ROUTE_MTU_MIN         576u        /* what every IPv4 host accepts; our TCP cuts no smaller segments */
#define TIMEOUTS_TO_ASK       2u          /* retransmission timeouts before the next hop is asked for anew ... */
#define ASK_NEXT_HOP_AFTER_NS 1000000000u /* ... and no more often than this */
#define ASK_KERNEL_EVERY_NS   50000000u   /* for a neighbour that is being resolved */
#define PORTS_TO_PREDICT      4096u       /* of which the driver says where their packets come in */
#define PORTS_TO_TRY          64u         /* before every queue is polled instead, if no other worker has one ... */
#define PORTS_TO_TRY_AMONG    1024u       /* ... and if one has, before we give up */
#define WHY_BYTES             480u

const char *ip_text(uint32_t ip, char text[16])
{
	snprintf(text, 16, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
	return text;
}

static void use_transport(struct control_worker *w, const struct transport_choice *choice)
{
	struct supervisor *s = w->supervisor;
	char which[24] = "", queue[24] = "";
	pthread_mutex_lock(&s->lock);
	w->choice = *choice;
	w->chosen = true;
	pthread_mutex_unlock(&s->lock);
	control_worker_send(w, &(struct command){.type = COMMAND_ATTACH_TRANSPORT, .transport = choice->transport});
	taps_worker_chosen(s, w);
	if (s->worker_count > 1)
		snprintf(which, sizeof which, "worker %u: ", w->index);
	if (s->worker_count > 1 && choice->driver)
		snprintf(queue, sizeof queue, ", queue %u", choice->driver->info.queue);
	/* What a driver calls slow, an operator wants to know without asking. */
	supervisor_log(s, strncmp(choice->reason, "slow:", 5) ? HAREWIRE_LOG_INFO : HAREWIRE_LOG_WARNING,
		       "%sdriver %s (%s) on %s%s%s%s", which, choice->name, choice->mode, choice->device, queue,
		       choice->reason[0] ? ": " : "", choice->reason);
}

/* All workers of the device at once: a port's queues are set up together. */
static int get_port(struct charge *c, char *why, size_t why_bytes)
{
	struct supervisor *s = c->supervisor;
	struct transport_seat seats[HAREWIRE_WORKERS_MAX] = {0};
	struct transport_choice choices[HAREWIRE_WORKERS_MAX];
	struct control_worker *workers[HAREWIRE_WORKERS_MAX];
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->worker_count; i++) {
		if (!transport_same_device(&s->workers[i].request, &c->worker->request))
			continue;
		workers[n] = &s->workers[i];
		seats[n] = (struct transport_seat){.request = &s->workers[i].request, .choice = &choices[n]};
		n++;
	}
	int err = transport_choose_port(seats, n, &c->route, why, why_bytes);
	for (uint32_t i = 0; !err && i < n; i++)
		use_transport(workers[i], &choices[i]);
	return err;
}

/* The first publisher's broker decides which transport the worker gets. */
static int get_transport(struct charge *c, char *why, size_t why_bytes)
{
	struct control_worker *w = c->worker;
	struct transport_choice choice;
	if (w->chosen)
		return transport_check(&w->choice, &c->route, why, why_bytes);
	if (transport_is_made_together(&w->request))
		return get_port(c, why, why_bytes);
	int err = transport_choose(&w->request, &c->route, &choice, why, why_bytes);
	if (!err)
		use_transport(w, &choice);
	return err;
}

/* The kernel's routes come first, because the interface is theirs; on a port that is ours alone the port does. */
static int find_route(struct charge *c, char *why, size_t why_bytes)
{
	char ip[16];
	bool exclusive = transport_is_exclusive(&c->worker->request);
	int err = exclusive ? 0 : route_lookup(c->remote_ip, &c->route);
	if (err) {
		snprintf(why, why_bytes, "no route to %s (%s)", c->host->name, ip_text(c->remote_ip, ip));
		return err;
	}
	err = get_transport(c, why, why_bytes);
	return err || !exclusive ? err : nic_route(c->worker->choice.nic, c->remote_ip, &c->route, why, why_bytes);
}

void charge_path_route(struct charge *c, uint64_t now_ns)
{
	const struct transport_choice *choice = &c->worker->choice;
	char why[WHY_BYTES];
	int err = find_route(c, why, sizeof why);
	if (err) {
		charge_fail(c, RECONNECT_AGAIN, err, "%s", why);
		return;
	}
	if (!choice->packets) {
		charge_path_connect(c, now_ns);
		return;
	}
	if (c->route.mtu < ROUTE_MTU_MIN) {
		charge_fail(c, RECONNECT_AGAIN, HW_ERR_UNSUPPORTED,
			    "the route to %s through %s has an MTU of %u; at least %u is needed", c->host->name,
			    c->route.interface, (unsigned)c->route.mtu, ROUTE_MTU_MIN);
		return;
	}
	c->phase = CHARGE_NEIGHBOUR;
	c->ask_kernel_ns = 0;
	/* Asked for anew each time: what the kernel remembers may be of a host that has gone. */
	if (choice->nic)
		nic_resolve(choice->nic, c->route.next_hop, now_ns);
	else if (neighbour_lookup(c->route.interface_index, c->route.next_hop, c->next_hop_mac) != NEIGHBOUR_KNOWN)
		neighbour_provoke(c->route.interface_index, c->route.next_hop);
	charge_path_neighbour(c, now_ns);
}

/* The kernel is asked when its monitor has news, and now and then: a question is several system calls. */
static enum neighbour_state find_neighbour(struct charge *c, uint64_t now_ns)
{
	const struct nic *nic = c->worker->choice.nic;
	if (nic)
		return nic_neighbour(nic, c->route.next_hop, c->next_hop_mac);
	if (now_ns < c->ask_kernel_ns)
		return NEIGHBOUR_PENDING;
	c->ask_kernel_ns = now_ns + ASK_KERNEL_EVERY_NS;
	return neighbour_lookup(c->route.interface_index, c->route.next_hop, c->next_hop_mac);
}

void charge_path_neighbour(struct charge *c, uint64_t now_ns)
{
	char ip[16];
	switch (find_neighbour(c, now_ns)) {
	case NEIGHBOUR_KNOWN:
		charge_path_connect(c, now_ns);
		break;
	case NEIGHBOUR_FAILED:
		charge_fail(c, RECONNECT_AGAIN, HW_ERR_NEIGHBOUR_FAILED, "no answer to ARP for %s on %s",
			    ip_text(c->route.next_hop, ip), c->route.interface);
		break;
	default:
		break; /* the deadline, or news from the kernel */
	}
}

void charge_path_check_next_hop(struct charge *c, uint64_t now_ns)
{
	struct publisher_figures figures;
	struct nic *nic = c->worker->choice.nic;
	if (!c->worker->choice.packets || now_ns - c->next_hop_asked_ns < ASK_NEXT_HOP_AFTER_NS)
		return;
	publisher_get_figures(c->connection->publisher, &figures); /* the worker's cache lines: not each time */
	uint64_t timeouts = figures.rto_fired;
	if (c->phase == CHARGE_CONNECTING || timeouts - c->timeouts_seen >= TIMEOUTS_TO_ASK) {
		/* The kernel sends nothing there that would make it notice. Its monitor tells us what comes of it. */
		if (nic) {
			nic_doubt(nic, c->route.next_hop, now_ns);
		} else {
			neighbour_forget(c->route.interface_index, c->route.next_hop);
			neighbour_provoke(c->route.interface_index, c->route.next_hop);
		}
		c->timeouts_seen = timeouts; /* not sooner: backed off they come further apart than we look */
	}
	c->next_hop_asked_ns = now_ns;
}

bool charge_path_link_down(const struct charge *c)
{
	const struct nic *nic = c->worker->choice.nic;
	return nic && !nic_link_up(nic);
}

void charge_path_release(struct charge *c)
{
	struct driver *d = c->worker->choice.driver;
	if (c->nic_port)
		nic_give_port(c->worker->choice.nic, c->nic_port);
	c->nic_port = 0;
	if (c->flow_added)
		d->ops->flow_remove(d, &c->flow);
	c->flow_added = false;
	if (c->port_fd >= 0)
		close(c->port_fd);
	c->port_fd = -1;
}

/* A local port that nobody else gets: the nic's, or reserved with the kernel. */
struct claim {
	uint16_t port;
	int fd; /* -1: the nic's */
};

static int take_port(const struct charge *c, struct claim *claim)
{
	struct nic *nic = c->worker->choice.nic;
	*claim = (struct claim){.port = nic ? nic_take_port(nic) : 0, .fd = -1};
	if (nic)
		return claim->port ? 0 : HW_ERR_BUSY;
	claim->fd = port_reserve(c->route.source_ip, &claim->port);
	return claim->fd < 0 ? claim->fd : 0;
}

static void give_port(const struct charge *c, const struct claim *claim)
{
	if (claim->fd >= 0)
		close(claim->fd);
	else
		nic_give_port(c->worker->choice.nic, claim->port);
}

static struct driver_flow flow_from(const struct charge *c, uint16_t port)
{
	return (struct driver_flow){.local_ip = c->route.source_ip,
				    .remote_ip = c->remote_ip,
				    .local_port = port,
				    .remote_port = c->host->port};
}

/* One whose packets will come to our queue, as far as the driver can tell. */
static int find_port(const struct charge *c, struct claim *claim)
{
	const struct driver *d = c->worker->choice.driver;
	for (uint32_t i = 0; i < PORTS_TO_PREDICT; i++) {
		int err = take_port(c, claim);
		if (err)
			return err;
		const struct driver_flow flow = flow_from(c, claim->port);
		int queue = d->ops->flow_queue ? d->ops->flow_queue(d, &flow) : -1;
		if (queue < 0 || (uint32_t)queue == d->info.queue)
			return 0;
		give_port(c, claim);
	}
	return HW_ERR_WRONG_QUEUE;
}

/* A local port, and its packets brought to us. */
static int claim_flow(struct charge *c)
{
	struct driver *d = c->worker->choice.driver;
	struct claim claim;
	int err = find_port(c, &claim);
	if (err)
		return err;
	/* The port tried before is let go only now, so that it is not handed out again. */
	charge_path_release(c);
	c->port_fd = claim.fd;
	c->nic_port = claim.fd < 0 ? claim.port : 0;
	c->flow = flow_from(c, claim.port);
	err = d->ops->flow_add ? d->ops->flow_add(d, &c->flow) : 0;
	c->flow_added = !err && d->ops->flow_add;
	return err;
}

void charge_path_connect(struct charge *c, uint64_t now_ns)
{
	struct command open = {.type = COMMAND_OPEN, .connection = c->connection};
	open.address.remote_ip = c->remote_ip;
	open.address.remote_port = c->host->port;
	open.address.mtu = c->route.mtu;
	open.address.connect_timeout_ns = c->target.connect_timeout_ns;
	open.address.rto_min_ns = c->target.rto_min_ns;
	open.address.user_timeout_ns = c->target.user_timeout_ns;
	open.address.tuning = c->target.tuning;
	if (c->worker->choice.packets) {
		int err = claim_flow(c);
		if (err) {
			charge_fail(c, RECONNECT_AGAIN, err, "cannot reserve a local port on %s: %s",
				    c->route.interface, hw_error_sentence(err));
			return;
		}
		open.address.local_ip = c->flow.local_ip;
		open.address.local_port = c->flow.local_port;
		open.address.vlan = c->worker->choice.driver->info.vlan;
		memcpy(open.address.local_mac, c->worker->choice.driver->info.mac, 6);
		memcpy(open.address.next_hop_mac, c->next_hop_mac, 6);
	}
	c->phase = CHARGE_CONNECTING;
	c->next_hop_asked_ns = now_ns;
	open.generation = ++c->generation;
	c->stream_open = true;
	open.address.first = open.generation == 1;
	control_worker_send(c->worker, &open);
}

/* The answer to our SYN came on a queue we do not read (and was dropped there): try to be hashed elsewhere. */
void charge_path_check_queue(struct charge *c, uint64_t now_ns)
{
	struct supervisor *s = c->supervisor;
	struct driver *d = c->worker->choice.driver;
	if (!d || !d->ops->flow_wrong_queue)
		return;
	int queue = d->ops->flow_wrong_queue(d, &c->flow);
	if (queue < 0)
		return;
	supervisor_log(s, HAREWIRE_LOG_DEBUG, "local port %u is received on queue %d, not on %u",
		       (unsigned)c->flow.local_port, queue, d->info.queue);
	control_worker_send(
		c->worker,
		&(struct command){.type = COMMAND_ABORT, .connection = c->connection, .generation = c->generation});
	bool alone = c->worker->request.queues == 1;
	if (++c->ports_tried == (alone ? PORTS_TO_TRY : PORTS_TO_TRY_AMONG)) {
		int err = alone && d->ops->receive_all_queues ? d->ops->receive_all_queues(d) : HW_ERR_UNSUPPORTED;
		if (err) {
			charge_fail(c, RECONNECT_AGAIN, HW_ERR_WRONG_QUEUE,
				    "packets for %u local ports all arrived on other queues of %s than %u, and not all "
				    "queues can be read: %s",
				    c->ports_tried, c->route.interface, d->info.queue,
				    alone ? hw_error_sentence(err) : "other workers have some");
			return;
		}
		supervisor_log(s, HAREWIRE_LOG_INFO, "receiving from every queue of %s", c->route.interface);
	}
	charge_path_connect(c, now_ns);
}

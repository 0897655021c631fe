/*
 * The floor: a pinned worker over DPDK's net_null, with a peer that answers on its own thread, and nothing else.
 *
 *     net_null threaded MESSAGES [call|allocate]     the worker has a thread and a CPU of its own
 *     net_null inline MESSAGES                       worker and publisher on one thread, to be counted by callgrind
 *
 *     main thread: publish ─▶ log ─▶ worker ─▶ TCP ─▶ watch ─▶ peer ─▶ net_null: gone
 *                  events  ◀──────── worker ◀──────── watch ◀── peer: SYN-ACK, ACKs, basic.ack
 *
 * After a tenth of the messages the watch, which is called on the worker's thread, puts a seccomp filter on that thread
 * that lets no system call through, and starts to count its allocations. From then on a system call traps, and the run
 * ends with its number. The filter cannot be taken off again: the process ends without the worker.
 *
 * With `call` or `allocate` the watch does one of what must not happen, so that a test can see it found.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_malloc.h>

#include "dataplane/tcp_stream.h"
#include "dataplane/worker.h"
#include "drivers/dpdk/dpdk.h"
#include "drivers/interceptors/peer.h"

#define BODY_BYTES  256
#define CLIENT_PORT 40000
#define PATIENCE_S  120
#define NO_CALL     (-1)

/* ---- the worker's thread, watched ------------------------------------------------------------------------------- */

static __thread bool watched __attribute__((tls_model("initial-exec")));
static _Atomic uint64_t watched_allocations, allocations;
static _Atomic int trapped = NO_CALL; /* number of the system call */

static void count_allocation(void)
{
	atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
	if (watched)
		atomic_fetch_add_explicit(&watched_allocations, 1, memory_order_relaxed);
}

/* This executable's malloc is everybody's, DPDK's libraries included. mmap and brk are system calls. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

#define INTERPOSE __attribute__((visibility("default")))

INTERPOSE void *malloc(size_t size)
{
	count_allocation();
	return __libc_malloc(size);
}

INTERPOSE void *calloc(size_t count, size_t size)
{
	count_allocation();
	return __libc_calloc(count, size);
}

INTERPOSE void *realloc(void *p, size_t size)
{
	count_allocation();
	return __libc_realloc(p, size);
}

INTERPOSE void *aligned_alloc(size_t alignment, size_t size)
{
	count_allocation();
	return __libc_memalign(alignment, size);
}

INTERPOSE int posix_memalign(void **p, size_t alignment, size_t size)
{
	count_allocation();
	*p = __libc_memalign(alignment, size);
	return *p ? 0 : ENOMEM;
}

/* Returning would be a system call too. */
static void on_trap(int signal, siginfo_t *info, void *context)
{
	atomic_store(&trapped, info->si_syscall);
	for (;;)
		;
}

static bool forbid_system_calls(void)
{
	struct sock_filter trap_all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
	struct sock_fprog program = {.len = 1, .filter = &trap_all};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

/* ---- the driver below the transport: the peer, seen from the worker's thread ------------------------------------ */

enum watch { WATCH_NOTHING, WATCH_ASKED_FOR, WATCH_ON, WATCH_FAILED };
enum fault { FAULT_NONE, FAULT_CALL, FAULT_ALLOCATE };

static _Atomic int watch;
static enum fault fault;
static int worker_cpus; /* the worker may run on so many */
static const struct driver_ops *peer_ops;
static struct driver_ops watched_ops;

static void start_watch(void)
{
	cpu_set_t cpus;
	sigset_t traps;
	if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
		worker_cpus = CPU_COUNT(&cpus);
	/* A thread's first allocation makes system calls; a later one must be found by being counted. */
	void *volatile p = malloc(1);
	free(p);
	sigemptyset(&traps);
	sigaddset(&traps, SIGSYS);
	bool ok = pthread_sigmask(SIG_UNBLOCK, &traps, NULL) == 0 && forbid_system_calls();
	watched = true;
	atomic_store(&watch, ok ? WATCH_ON : WATCH_FAILED);
}

static void commit_fault(void)
{
	void *volatile p = NULL;
	if (fault == FAULT_CALL)
		syscall(SYS_getppid);
	else if (fault == FAULT_ALLOCATE)
		p = malloc(1);
	free(p);
	fault = FAULT_NONE;
}

static uint32_t watched_rx_burst(struct driver *d, struct packet *packets, uint32_t max)
{
	int now = atomic_load_explicit(&watch, memory_order_relaxed);
	if (now == WATCH_ASKED_FOR)
		start_watch();
	else if (now == WATCH_ON && fault != FAULT_NONE)
		commit_fault();
	return peer_ops->rx_burst(d, packets, max);
}

/* ---- setting up ------------------------------------------------------------------------------------------------- */

struct floor {
	struct clock_scale clock;
	struct worker worker;
	struct driver *peer;
	struct harewire_publisher *publisher;
	struct connection *connection;
	uint32_t template_id;
	bool threaded;
	uint64_t confirmed;
	time_t deadline;
};

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "net_null: %s failed\n", what);
		exit(1);
	}
}

static void push(void *context)
{
	struct floor *f = context;
	if (!f->threaded)
		worker_push(&f->worker, f->connection);
}

/* In inline mode a turn of the worker; also the place where a run that stands still ends. */
static void wait_a_moment(struct floor *f)
{
	if (!f->threaded)
		worker_turn(&f->worker);
	must(time(NULL) <= f->deadline, "waiting");
	must(atomic_load(&watch) != WATCH_FAILED, "seccomp");
}

static void command(struct floor *f, struct command cmd)
{
	cmd.connection = f->connection;
	cmd.generation = 1;
	must(spsc_push(&f->worker.channel.commands, &cmd), "command");
}

static struct transport *make_transport(struct floor *f)
{
	struct dpdk_options null = {.device = "net_null0,no-rx=1", .eal = "--no-huge", .cpu = -1};
	struct peer_options peer;
	struct driver *inner;
	char why[512] = "";
	if (dpdk_create(&null, &inner, why, sizeof why) != 0) {
		fprintf(stderr, "net_null: %s\n", why);
		exit(1);
	}
	peer_options_init(&peer);
	peer.confirm_every = 16;
	peer.confirm_multiple = true;
	peer.idle_bursts = 4;
	must(peer_create(&peer, inner, &f->peer) == 0, "peer");
	peer_ops = f->peer->ops;
	watched_ops = *peer_ops;
	watched_ops.rx_burst = watched_rx_burst;
	f->peer->ops = &watched_ops;

	struct tcp_transport_options tcp = {.streams = 1};
	struct transport *tp;
	tcp_config_init(&tcp.tcp);
	tcp.tcp.mtu = 1500;
	must(tcp_transport_create(f->peer, &tcp, &tp) == 0, "transport");
	return tp;
}

static void make_publisher(struct floor *f)
{
	struct publisher_options o = {.log_bytes = 1 << 22,
				      .max_messages = 16384,
				      .max_templates = 1,
				      .epoch = 1,
				      .clock = &f->clock,
				      .push = push,
				      .push_context = f};
	struct harewire_template_options t = {.exchange = "md",
					      .routing_key = "md.deep.8.ZIEXT",
					      .priority = -1,
					      .slots = HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_DUPLICATE};
	must(publisher_create(&o, &f->publisher) == 0, "publisher");
	must(publisher_prepare(f->publisher, &t, &f->template_id, NULL) == 0, "template");
	must(connection_create(f->publisher, &(struct connection_options){0}, &f->connection) == 0, "connection");
}

static void take_events(struct floor *f, bool *ready)
{
	struct harewire_event event;
	while (publisher_event_poll(f->publisher, &event) == 1) {
		bool full = (event.type == HAREWIRE_EVENT_BLOCKED || event.type == HAREWIRE_EVENT_UNBLOCKED) &&
			    event.code == HAREWIRE_BLOCKAGE_LOG_FULL;
		must(full || event.type == HAREWIRE_EVENT_READY || event.type == HAREWIRE_EVENT_CONFIRMED,
		     "an event's type");
		if (event.type == HAREWIRE_EVENT_CONFIRMED)
			f->confirmed += event.last - event.first + 1;
		else
			*ready = true;
	}
}

/* The peer has no AMQP handshake: control would hand over after it. */
static void connect_and_hand_over(struct floor *f, struct transport *tp)
{
	struct stream_address to = {.local_ip = 0x0a000001,
				    .remote_ip = 0x0a000002,
				    .local_port = CLIENT_PORT,
				    .remote_port = 5672,
				    .local_mac = {2, 0, 0, 0, 0, 1},
				    .next_hop_mac = {2, 0, 0, 0, 0, 2},
				    .mtu = 1500,
				    .connect_timeout_ns = 10000000000u,
				    .rto_min_ns = 1000000000u};
	bool ready = false;
	command(f, (struct command){.type = COMMAND_ATTACH_TRANSPORT, .transport = tp});
	command(f, (struct command){.type = COMMAND_ADD});
	command(f, (struct command){.type = COMMAND_OPEN, .address = to});
	const struct worker_event *event;
	while (!(event = spsc_peek(&f->worker.channel.events)))
		wait_a_moment(f);
	must(event->type == EVENT_CONNECTED, "connecting");
	command(f, (struct command){.type = COMMAND_HAND_OVER, .hand_over = {.frame_max = 131072, .channel = 1}});
	while (!ready) {
		wait_a_moment(f);
		take_events(f, &ready);
	}
}

/* ---- the run ---------------------------------------------------------------------------------------------------- */

static void publish_and_confirm(struct floor *f, uint64_t count)
{
	static const char body[BODY_BYTES] = "body";
	bool ready;
	uint64_t until = f->confirmed + count;
	for (uint64_t i = 0; i < count; i++) {
		int64_t id;
		while ((id = publisher_publish(f->publisher, f->template_id, body, sizeof body, 0)) ==
			       HAREWIRE_ERR_LOG_FULL &&
		       atomic_load(&trapped) == NO_CALL) {
			wait_a_moment(f);
			take_events(f, &ready);
		}
		if (atomic_load(&trapped) != NO_CALL)
			return;
		must(id > 0, "publish");
		if (!f->threaded)
			worker_turn(&f->worker);
	}
	while (f->confirmed < until && atomic_load(&trapped) == NO_CALL) {
		wait_a_moment(f);
		take_events(f, &ready);
	}
}

static uint64_t dpdk_allocations(void)
{
	struct rte_malloc_socket_stats stats = {0};
	rte_malloc_get_socket_stats(0, &stats);
	return stats.alloc_count;
}

static void print_result(const struct floor *f, uint64_t messages, uint64_t dpdk_more)
{
	struct peer_stats peer;
	struct driver_stats driver;
	peer_stats_get(f->peer, &peer);
	f->peer->ops->stats(f->peer, &driver);
	printf("{\"messages\": %" PRIu64 ", \"confirmed\": %" PRIu64 ", \"watched\": %s, \"worker_cpus\": %d, "
	       "\"system_call\": %d, \"worker_allocations\": %" PRIu64 ", \"other_allocations\": %" PRIu64
	       ", \"dpdk_allocations\": %" PRIu64 ", \"packets_sent\": %" PRIu64 ", \"peer_segments\": %" PRIu64
	       ", \"peer_messages\": %" PRIu64 ", \"peer_acks\": %" PRIu64 ", \"peer_confirms\": %" PRIu64 "}\n",
	       messages, f->confirmed, atomic_load(&watch) == WATCH_ON ? "true" : "false", worker_cpus,
	       atomic_load(&trapped), atomic_load(&watched_allocations),
	       atomic_load(&allocations) - atomic_load(&watched_allocations), dpdk_more, driver.tx_packets,
	       peer.segments, peer.messages, peer.acks, peer.confirms);
}

static void run(struct floor *f, uint64_t messages)
{
	publish_and_confirm(f, messages / 10);
	if (f->threaded)
		atomic_store(&watch, WATCH_ASKED_FOR);
	while (f->threaded && atomic_load(&watch) != WATCH_ON)
		wait_a_moment(f);
	uint64_t before = dpdk_allocations();
	publish_and_confirm(f, messages - messages / 10);
	print_result(f, messages, dpdk_allocations() - before);
}

/* The last CPU there is, so that it is not the one interrupts go to first. */
static int choose_cpu(void)
{
	cpu_set_t cpus;
	int last = -1;
	must(sched_getaffinity(0, sizeof cpus, &cpus) == 0, "sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &cpus))
			last = cpu;
	}
	return last;
}

int main(int argc, char **argv)
{
	static struct floor f;
	uint64_t messages = argc >= 3 ? strtoull(argv[2], NULL, 10) : 0;
	f.threaded = argc >= 2 && strcmp(argv[1], "threaded") == 0;
	if (messages == 0 || (!f.threaded && strcmp(argv[1], "inline") != 0)) {
		fprintf(stderr, "usage: net_null threaded|inline MESSAGES [call|allocate]\n");
		return 2;
	}
	if (argc == 4)
		fault = strcmp(argv[3], "call") == 0 ? FAULT_CALL : FAULT_ALLOCATE;
	struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	must(sigaction(SIGSYS, &trap, NULL) == 0, "sigaction");
	f.deadline = time(NULL) + PATIENCE_S;
	clock_calibrate(&f.clock);
	struct worker_options w = {.clock = &f.clock, .cpu = f.threaded ? choose_cpu() : -1};
	must(worker_init(&f.worker, &w) == 0, "worker");
	struct transport *tp = make_transport(&f);
	make_publisher(&f);
	if (f.threaded)
		must(worker_start(&f.worker) == 0, "worker's thread");
	connect_and_hand_over(&f, tp);
	run(&f, messages);
	fflush(NULL);
	_exit(0);
}

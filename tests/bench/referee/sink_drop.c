/* Attaches the loss to an interface of this network namespace, and takes it off. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>

#include "tests/bench/referee/sink.h"
#include "drop.skel.h" /* needs the structs of drop.h */

struct dropper {
	struct drop *program;
	struct bpf_tc_hook hook;
};

static void attach(const struct dropper *d, enum bpf_tc_attach_point point, const struct bpf_program *program)
{
	struct bpf_tc_hook hook = d->hook;
	struct bpf_tc_opts options = {.sz = sizeof options, .prog_fd = bpf_program__fd(program)};

	hook.attach_point = point;
	sink_must(bpf_tc_attach(&hook, &options) == 0, "attaching the loss with tc");
}

struct dropper *drop_attach(const struct sink_options *o)
{
	struct dropper *d = calloc(1, sizeof *d);

	sink_must(d && (d->program = drop__open()), "opening the BPF program");
	d->program->rodata->seed = o->seed;
	d->program->rodata->per_million = o->per_million;
	sink_must(drop__load(d->program) == 0, "loading the BPF program (run as root)");
	d->hook = (struct bpf_tc_hook){.sz = sizeof d->hook,
				       .ifindex = (int)if_nametoindex(o->interface),
				       .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS};
	int rc = bpf_tc_hook_create(&d->hook);
	sink_must(rc == 0 || rc == -EEXIST, "a clsact qdisc on the interface");
	attach(d, BPF_TC_INGRESS, d->program->progs.drop_data);
	attach(d, BPF_TC_EGRESS, d->program->progs.drop_acks);
	return d;
}

void drop_arm(struct dropper *d, bool armed)
{
	__atomic_store_n(&d->program->bss->armed, armed, __ATOMIC_SEQ_CST);
}

const struct drop_counts *drop_counts(const struct dropper *d)
{
	return &d->program->bss->counts;
}

void drop_detach(struct dropper *d)
{
	bpf_tc_hook_destroy(&d->hook);
	drop__destroy(d->program);
	free(d);
}

"""Several workers in one process, with different drivers or on queues of one interface."""
import json
import os
import subprocess

import dpdk
from harness import DPDK, LIMIT_S, case, equal, holds

PUBLISHERS, COUNT = 6, 500


def publish(t, *workers, order="forward", port=None):
    """Runs publish_workers to its end; what it says of its workers, after checking that everything arrived."""
    command = [os.path.join(t.build, "tests/integration/publish_workers"), t.queue, str(PUBLISHERS), str(COUNT), order,
               *("|".join(map(str, w)) for w in workers)]
    if port and port.INSIDE:
        command = t.lab.inside(*command)
    done = subprocess.run(command, env=t.environment(EAL=dpdk.EAL), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=LIMIT_S)
    equal(done.returncode, 0, f"$ {' '.join(command)}\n{done.stderr}exit status")
    said = json.loads(done.stdout.splitlines()[-1])
    equal(said["confirmed"], PUBLISHERS * COUNT, done.stderr + "confirmed")
    equal([w["publishers"] for w in said["workers"]], [PUBLISHERS // len(workers)] * len(workers), "publishers of each")
    for worker in said["workers"]:
        holds(worker["packets_sent"] > 0 and worker["packets_received"] > 0, f"a worker was idle: {worker}")
    equal(len(t.messages(PUBLISHERS * COUNT)), PUBLISHERS * COUNT, "messages")
    holds(not os.path.exists(f"/sys/class/net/{t.lab.interface}") or "xdp" not in link_of(t), "an XDP program was left")
    return said["workers"]


def link_of(t):
    return subprocess.run(["ip", "link", "show", "dev", t.lab.interface], stdout=subprocess.PIPE, text=True, check=True).stdout


def names(workers):
    return [w["driver"] for w in workers]


@case()
def kernel_and_af_xdp_workers_in_one_process(t):
    for order in ("forward", "backward"):
        workers = publish(t, ("kernel",), ("af_xdp", t.lab.interface), order=order)
        equal(names(workers), ["kernel", "af_xdp"], "drivers")


@case(lab="queues")
def two_af_xdp_workers_on_queues_of_one_interface(t):
    for order, queues in (("forward", ("", "")), ("backward", (3, 1))):
        workers = publish(t, *(("af_xdp", t.lab.interface, q) for q in queues), order=order)
        equal(names(workers), ["af_xdp", "af_xdp"], "drivers")
        equal([w["queue"] for w in workers], [0, 1] if queues[0] == "" else [3, 1], "queues")


if DPDK:
    @case()
    def af_xdp_and_dpdk_workers_in_one_process(t):
        port = dpdk.AfPacket(t.lab)
        with port.up():
            for order in ("forward", "backward"):
                ours = ("dpdk", "", "", "net_af_packet0,iface=" + port.INTERFACE, port.ADDRESS + "/24")
                workers = publish(t, ("af_xdp", t.lab.interface), ours, ("kernel",), order=order)
                equal(names(workers), ["af_xdp", "dpdk", "kernel"], "drivers")

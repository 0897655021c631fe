"""Several workers in one process, with different drivers or on queues of one interface."""
import contextlib
import json
import os
import shutil
import subprocess

import dpdk
from harness import DPDK, LIMIT_S, Skip, case, equal, holds

PUBLISHERS, COUNT = 6, 500


class SecondLink:
    """A veth pair of its own beside the lab's, for net_af_packet: with an address of the broker's network."""
    INTERFACE, PEER = "dpdk-veth0", "dpdk-eth0"

    def __init__(self, lab):
        self.lab = lab
        self.address = lab.broker_ip.rpartition(".")[0] + ".200"

    @contextlib.contextmanager
    def up(self):
        inside = ("-n", self.lab.netns)
        dpdk.ip("link", "add", "dev", self.INTERFACE, "type", "veth", "peer", "name", self.PEER, "netns", self.lab.netns)
        try:
            dpdk.ip("link", "set", "dev", self.INTERFACE, "addrgenmode", "none", "up")
            # Packets for our address reach the kernel as well, and are not to be sent elsewhere by it.
            subprocess.run(["sysctl", "-qw", f"net.ipv4.conf.{self.INTERFACE}.forwarding=0"], check=True)
            dpdk.ip(*inside, "link", "set", "dev", self.PEER, "addrgenmode", "none", "up")
            dpdk.ip(*inside, "route", "add", self.address + "/32", "dev", self.PEER)
            # A veth leaves checksums and segmentation to hardware that is not there.
            subprocess.run(self.lab.inside("ethtool", "-K", self.PEER, "tx", "off", "tso", "off", "gso", "off"), check=True,
                           stdout=subprocess.DEVNULL)
            yield
        finally:
            dpdk.ip("link", "delete", "dev", self.INTERFACE)


def publish(t, *workers, order="forward"):
    """Runs publish_workers to its end; what it says of its workers, after checking that everything arrived."""
    command = [os.path.join(t.build, "tests/integration/publish_workers"), t.queue, str(PUBLISHERS), str(COUNT), order,
               *("|".join(map(str, w)) for w in workers)]
    eal = {"EAL": dpdk.EAL} if any(w[0] == "dpdk" for w in workers) else {}  # refused where nobody heeds it
    done = subprocess.run(command, env=t.environment(**eal), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=LIMIT_S)
    equal(done.returncode, 0, f"$ {' '.join(command)}\n{done.stderr}exit status")
    said = json.loads(done.stdout.splitlines()[-1])
    equal(said["confirmed"], PUBLISHERS * COUNT, done.stderr + "confirmed")
    equal([w["publishers"] for w in said["workers"]], [PUBLISHERS // len(workers)] * len(workers), "publishers of each")
    for worker in said["workers"]:
        holds(worker["packets_sent"] > 0 and worker["packets_received"] > 0, f"a worker was idle: {worker}")
    equal(len(t.messages(PUBLISHERS * COUNT)), PUBLISHERS * COUNT, "messages")
    holds("prog/xdp" not in link_of(t), "an XDP program was left")
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


def ask_telemetry(prefix, *commands):
    """What dpdk-telemetry.py says to each of the commands."""
    done = subprocess.run(["dpdk-telemetry.py", "-f", prefix], input="".join(c + "\n" for c in (*commands, "quit")),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    decoder, found, at = json.JSONDecoder(), [], 0
    while (at := done.stdout.find('{"', at)) >= 0:
        try:
            said, at = decoder.raw_decode(done.stdout, at)
            found.append(said)
        except ValueError:
            at += 1
    found = [said for said in found if any(key.startswith("/harewire/") for key in said)]
    equal(len(found), len(commands), f"{done.stdout}answers")
    return [next(iter(said.values())) for said in found]


if DPDK:
    @case(drivers=DPDK[:1])
    def dpdk_telemetry_shows_workers_connections_and_publishers(t):
        if not shutil.which("dpdk-telemetry.py"):
            raise Skip("dpdk-telemetry.py is not installed (package dpdk-dev)")
        prefix = "harewire-" + t.queue
        device, address, gateway = (t.lab.environment["HAREWIRE_" + name] for name in ("DEVICE", "ADDRESS", "GATEWAY"))
        command = [*t.port.prefix(), os.path.join(t.build, "tests/integration/publish_workers"), t.queue, "2", str(COUNT),
                   "forward", f"dpdk|||{device}|{address}|{gateway}", "kernel"]
        running = subprocess.Popen(command, env=t.environment(EAL=f"--no-huge -m 64 --file-prefix={prefix}", TELEMETRY="1"),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        t.cleanup.callback(running.kill)
        holds(running.stdout.readline(), "it ended early")  # everything is confirmed now
        workers, connections, publishers = ask_telemetry(prefix, "/harewire/workers", "/harewire/connections",
                                                         "/harewire/publishers")
        equal(workers, [0, 1], "workers")
        equal(len(connections), 2, "connections")
        equal(connections, publishers, "ids")
        worker, connection, publisher = ask_telemetry(prefix, "/harewire/workers,0", f"/harewire/connections,{connections[0]}",
                                                      f"/harewire/publishers,{publishers[1]}")
        equal(worker["driver"], "dpdk", "driver")
        holds(worker["packets_sent"] > 0, f"nothing sent: {worker}")
        equal(connection["phase"], "running", "phase")
        equal(connection["tcp_state"], "ESTABLISHED", "TCP's state")
        equal(publisher["confirmed"], COUNT, "confirmed")
        equal(publisher["in_flight"], 0, "in flight")
        running.stdin.close()
        equal(running.wait(20), 0, "exit status")

    @case()
    def af_xdp_and_dpdk_workers_in_one_process(t):
        link = SecondLink(t.lab)
        with link.up():
            for order in ("forward", "backward"):
                ours = ("dpdk", "", "", "net_af_packet0,iface=" + link.INTERFACE, link.address + "/24")
                workers = publish(t, ("af_xdp", t.lab.interface), ours, ("kernel",), order=order)
                equal(names(workers), ["af_xdp", "dpdk", "kernel"], "drivers")

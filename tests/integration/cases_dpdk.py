"""A port of our own: its address is found, answers, moves; and what cannot work is said in one sentence."""
import os
import socket
import struct
import subprocess
import time

import dpdk
from cases_failure import fails_saying
from harness import DPDK, Skip, case, equal, holds
from watch import finish, finish_verified

TAP = tuple(driver for driver in DPDK if "net_tap" in driver)


def checksum(octets):
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ping(t, size):
    """Sends an echo request from the broker's namespace; True if its reply comes back whole."""
    body = struct.pack(">HH", os.getpid() & 0xFFFF, size) + os.urandom(size)
    request = struct.pack(">BBH", 8, 0, checksum(b"\x08\0\0\0" + body)) + body
    with t.lab.namespace():
        s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with s:
        s.settimeout(1)
        s.sendto(request, (t.port.address, 0))
        try:
            while True:
                packet = s.recv(4096)
                if packet[20] == 0 and packet[24:] == body:
                    return True
        except socket.timeout:
            return False


def start_and_await_packets(t, *arguments):
    """Starts a publisher, and returns when its port has asked for the broker: it has its address then."""
    neighbours = ("ip", "-n", t.lab.netns, "neigh")
    subprocess.run([*neighbours, "flush", "to", t.port.address], stderr=subprocess.DEVNULL, check=True)  # an earlier run's
    running = t.start_publisher(*arguments)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if "lladdr" in subprocess.run([*neighbours, "show", t.port.address], stdout=subprocess.PIPE, text=True, check=True).stdout:
            return running
        time.sleep(0.05)
    raise AssertionError("the broker's host has not learned the port's link address")


@case(drivers=DPDK)
def a_port_of_our_own_answers_ping(t):
    running = start_and_await_packets(t, "publish", "--queue", t.queue, "--rate", 1000)
    equal([size for size in (0, 56, 1472) if not ping(t, size)], [], "sizes of pings without an answer")
    t.until_published(running, 500)
    finish(t, running)


def refused(t, kind):
    """Is who tries a port of ours told at once that nobody is there?"""
    with t.lab.namespace():
        s = socket.socket(socket.AF_INET, kind)
    with s:
        s.settimeout(5)
        try:
            s.connect((t.port.address, 9))
            s.send(b"anybody?")
            s.recv(100)
        except ConnectionRefusedError:
            return True
        except socket.timeout:
            pass
        return False


@case(drivers=DPDK)
def a_port_of_our_own_refuses_what_nobody_waits_for(t):
    running = start_and_await_packets(t, "publish", "--queue", t.queue, "--rate", 1000)
    holds(refused(t, socket.SOCK_STREAM), "no RST for a connection attempt")
    holds(refused(t, socket.SOCK_DGRAM), "no ICMP port unreachable for a datagram")
    t.until_published(running, 500)
    finish(t, running)


@case(drivers=TAP)
def follows_its_gateway_to_another_link_address(t):
    subprocess.run(t.lab.inside("sysctl", "-qw", f"net.ipv4.conf.{t.port.broker_interface}.arp_notify=1"), check=True)
    running = start_and_await_packets(t, "publish", "--queue", t.queue, "--rate", 1000, "-v")
    t.until_published(running, 1000)
    t.port.set_broker_link("address", "02:00:00:00:00:77")
    t.until_published(running, t.until_published(running, 0) + 1000)
    result = finish_verified(t, running)
    holds(f"link address of {t.port.gateway} has changed" in result.err, result.text() + "the change went unnoticed")


@case(drivers=TAP)
def survives_a_link_that_goes_down_and_up(t):
    running = start_and_await_packets(t, "publish", "--queue", t.queue, "--rate", 1000, "--timeout", 60)
    t.until_published(running, 1000)
    t.port.set_broker_link("down")
    time.sleep(1)
    t.port.set_broker_link("up")
    t.until_published(running, t.until_published(running, 0) + 1000)
    result = finish_verified(t, running)
    for words in ("the link of net_tap0 is down", "the link of net_tap0 is up"):
        holds(words in result.err, f"{result.text()}{words!r} was not said")


@case(drivers=DPDK)
def publishes_inline_with_the_device_on_the_applications_thread(t):
    t.all_confirmed(t.publish("publish", "--queue", t.queue, "--count", 3000, "--inline", "--idle", "spin"), 3000)
    equal(len(t.messages(3000)), 3000, "messages")


@case(drivers=DPDK[:1])
def what_a_port_of_its_own_cannot_have_is_said(t):
    no_huge, null = "--eal=" + dpdk.EAL, "net_null0,no-rx=1"
    ours = ("--address", "198.51.100.2/24")
    for words, arguments in (
            (("--address 10.1.2.3/24",), ("--device", null, no_huge)),
            (("needs a device",), (*ours, no_huge)),
            (("'1.2.3.4'", "prefix"), ("--device", null, "--address", "1.2.3.4", no_huge)),
            (("no PCI device 0000:77:1f.7", "lspci"), ("--device", "77:1f.7", *ours, no_huge)),
            (("no interface 'nowhere0'",), ("--device", "net_af_packet0,iface=nowhere0", *ours, no_huge)),
            (("net_nonesuch0", "driver"), ("--device", "net_nonesuch0", *ours, no_huge)),
            (("CPU", "online"), ("--device", null, *ours, no_huge, "--cpu", 4000)),
            (("no route", "--gateway"), ("--device", null, *ours, no_huge)),
            (("no answer to ARP for 198.51.100.9",), ("--device", null, *ours, "--gateway", "198.51.100.9", no_huge)),
            (("EAL does not start",), ("--device", null, *ours, "--eal=--no-huge --lcores=x")),
            (("unrecognized option '--foo'",), ("--device", null, *ours, "--eal=--no-huge --foo")),
    ):
        result = t.start("publish", "--driver", "dpdk", "--queue", "q", "--body", "x", *arguments).wait(30)
        fails_saying(result, *words)
        equal(result["error"]["text"].count("\n"), 0, "lines in the sentence")


@case(drivers=DPDK[:1])
def without_hugepages_it_says_how_to_get_them(t):
    with open("/proc/meminfo") as f:
        pages = next(int(line.split()[1]) for line in f if line.startswith("HugePages_Total"))
    if pages:
        raise Skip("this host has hugepages")
    result = t.start("publish", "--driver", "dpdk", "--device", "net_null0", "--address", "198.51.100.2/24", "--queue", "q",
                     "--body", "x").wait(30)
    fails_saying(result, "hugepages", "sysctl vm.nr_hugepages")


@case(drivers=DPDK)
def two_workers_share_a_port(t):
    """The kernel spreads what arrives over the device's two queues as it likes: found out by trying."""
    arguments = list(t.port.arguments())
    if t.device == "net_af_packet":
        at = arguments.index("--device") + 1
        arguments[at] += ",qpairs=2"
    config = t.path("workers.yaml")
    with open(config, "w") as f:
        f.write("workers:\n  - queue: 0\n  - queue: 1\n")
    os.chmod(config, 0o600)
    for round_ in range(4):  # each by other local ports
        result = t.start("publish", *arguments, "--driver", "dpdk", "--config", config, "--queue", t.queue, "--count", 2000,
                         "--rate", 2000, "--publishers", 4, prefix=t.port.prefix()).wait()
        t.all_confirmed(result, 2000)
        for worker in result["workers"]:
            equal(worker["steering"], "RSS, by trying", result.text() + "steering")
            holds(worker["packets_sent"] > 0 and worker["packets_received"] > 0, f"worker {worker['worker']} was idle")
    equal(len(t.messages(8000)), 8000, "messages")

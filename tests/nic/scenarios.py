"""
What is tried in the guest: a table. Each row runs `harewire` once for each of its NICs and says what is to come of it.

A new case is a row. Without `fails`, `count` messages (or as many as `bodies` has, or as were published until the `event` was
over) must be confirmed, and consumed once and in order; and whatever the row, the IOMMU must have had nothing to refuse. Texts may hold {pci}, {kernel}, {address}, {prefix}, {gateway}, {queue}, {url} and {capture} of the NIC and
the case at hand. Options given twice count as given last, so `arguments` may contradict what every row gets (Nic.
harewire_arguments).
"""
import contextlib
import dataclasses
import os
import re
import struct
import subprocess
from typing import Callable

import cases_dpdk
import harness
import iex
from nics import NICS

CAPTURE = "/capture"  # in the guest
CAPTURED = 20000      # messages of the capture that is made where none is given
FEED = 10000          # messages of a capture that a row publishes
PLAIN = ("e1000e", "vmxnet3", "virtio")
WIRE = ("e1000e-wire", "vmxnet3-wire")


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    nics: tuple = PLAIN
    command: str = "publish"
    arguments: tuple = ()
    config: str = ""             # YAML in place of the arguments that name the device
    environment: dict = dataclasses.field(default_factory=dict)
    prepare: str = ""            # shell commands in the guest, before
    restore: str = ""            # and after, whatever happened
    around: Callable = None      # t -> context manager, outside of the guest
    event: Callable = None       # (t, job), while it publishes; then it is interrupted, unless there is a count
    does: Callable = None        # t, in place of one run: for what is no row
    count: int = 0
    bodies: Callable = None      # t -> the messages' bodies
    in_order: bool = True        # of one publisher; several have an order each, and the bodies none
    expect: dict = dataclasses.field(default_factory=dict)  # "path.in.json": value or a function that says if it will do
    said: tuple = ()             # words on standard error
    fails: tuple = ()            # words of the sentence it fails with
    full_only: bool = False


# ---- what is expected ----

def more_than(bound):
    return lambda value: value > bound


def less_than(bound):
    return lambda value: value < bound


def check_expected(result, expect):
    for path, wanted in expect.items():
        value = result.json
        for key in path.split("."):
            value = value[key]
        if callable(wanted):
            harness.holds(wanted(value), f"{result.text()}{path} is {value}")
        else:
            harness.equal(value, wanted, result.text() + path)


def check_failure(result, words):
    harness.equal(result.status, 1, result.text() + "exit status")
    said = result["error"]["text"] if "error" in result.json else result.json.get("returned_reason", "")
    for word in words:
        harness.holds(word in said, f"{result.text()}{word!r} is not in {said!r}")
    harness.equal(said.count("\n"), 0, "lines in the sentence")


def all_have_received(count):
    """Of the workers: there are so many, and each has been sent packets by the broker, at least the handshake's."""
    return lambda workers: len(workers) == count and all(w["packets_received"] > 5 for w in workers)


def check_arrival(t, result, count, bodies, in_order):
    t.all_confirmed(result, count)
    harness.holds(result["driver"]["packets_sent"] > 0, result.text() + "no packet went through the NIC")
    harness.equal(result["driver"]["mode"], t.nic.pmd, result.text() + "driver")
    output = t.path("bodies")
    consumer = t.consumer(t.queue, "--verify", "--count", count, "--idle-timeout", 20, "--output", output, "--format", "len32")
    t.arrived_once_in_order(consumer.wait(), count)
    if bodies:
        ordered = list if in_order else sorted
        harness.same_sequence(ordered(len32_bodies(output)), ordered(bodies), "bodies")
    with t.amqp() as connection:
        connection.delete_queue(t.queue)


def len32_bodies(path):
    with open(path, "rb") as f:
        while head := f.read(4):
            yield f.read(struct.unpack(">I", head)[0])


def captured_bodies(count=None):
    """What an independent decoder finds in the capture."""
    return lambda t: [body for body, _ in zip(iex.messages(t.capture), range(count or 2 ** 63))]


def check_no_dma_faults(t):
    """Every address that the NIC was given was one of ours: the IOMMU has had nothing to refuse."""
    if t.nic.name in t.guest.killed_on:
        # These devices have no reset that deserves the name: one whose process was killed still has its rings, and turns to
        # them as soon as the next process lets it, until that has initialized it.
        t.guest.killed_on.discard(t.nic.name)
        return
    faults = t.guest.ask("dmesg -c | grep 'DMAR.*fault addr'")[1].decode().splitlines()
    if t.nic.reads_page_zero:
        faults = [f for f in faults if not re.search(rf"DMA Read .*\[{t.nic.pci[5:]}\] fault addr 0x0 ", f)]
    harness.equal(faults, [], "what the IOMMU refused")


# ---- what happens meanwhile ----

def pull_the_cable(t, job):
    link = f"the link of {t.nic.pci} is "
    t.await_messages(500)
    t.guest.set_link(t.nic, False)
    try:
        job.await_words(link + "down")
    finally:
        t.guest.set_link(t.nic, True)
    job.await_words(link + "up", after=link + "down")
    t.await_messages(t.await_messages(0) + 500)


def start_another(t, job):
    """A second process asks for the same device; the first is not disturbed."""
    before = t.await_messages(1)
    second = t.start_publisher("publish", "--queue", t.queue, "--body", "x").wait()
    check_failure(second, (f"{t.nic.pci} is in use by another program",))
    t.await_messages(before + 1000)


# ---- what is no row ----

def kill_the_broker(t):
    """Its host resets the connection; when it is back another is made, from another port, and nothing is missing."""
    job = t.start_publisher("publish", "--queue", t.queue, "--rate", 2000, "--count", 6000)
    t.await_messages(500)
    t.lab.run("kill")
    t.lab.start_broker()
    result = job.wait()
    t.all_confirmed(result, 6000)
    harness.equal(result["connections"], 2, result.text() + "connections")


def kill_it_and_start_anew(t):
    """Nothing of a process that was killed stays in the way of the next."""
    job = t.start_publisher("publish", "--queue", t.queue, "--rate", 1000)
    t.await_messages(500)
    job.kill()
    queue = t.queue + "-next"
    result = t.publish("publish", "--queue", queue, "--count", 500)
    t.all_confirmed(result, 500)
    harness.equal(len(t.messages(500, queue)), 500, "messages of the next run")


# ---- around it ----

def loss(percent):
    @contextlib.contextmanager
    def around(t):
        with t.lab.loss(percent, t.nic.tap) as counted:
            yield
            lost = counted()
        harness.holds(lost["INGRESS_DROPPED"] > 0 and lost["EGRESS_DROPPED"] > 0, f"nothing was lost: {lost}")
    return around


def tap_mtu(octets):
    @contextlib.contextmanager
    def around(t):
        def set_mtu(n):
            subprocess.run(["ip", "-n", t.lab.netns, "link", "set", "dev", t.nic.tap, "mtu", str(n)], check=True)
        set_mtu(octets)
        try:
            yield
        finally:
            set_mtu(1500)
    return around


@contextlib.contextmanager
def tagged_port(t):
    """Only frames of VLAN 7 come through, and only such go back."""
    def tc(*arguments):
        subprocess.run(["tc", "-n", t.lab.netns, *arguments], check=True)
    program = os.path.join(t.build, "nic", "vlan.bpf.o")
    tc("qdisc", "add", "dev", t.nic.tap, "clsact")
    try:
        for direction in ("ingress", "egress"):
            tc("filter", "add", "dev", t.nic.tap, direction, "bpf", "direct-action", "object-file", program, "section",
               "tc/" + direction)
        yield
    finally:
        tc("qdisc", "delete", "dev", t.nic.tap, "clsact")


# ---- the table ----

CONFIG = """\
broker:
  url: {url}
driver:
  driver: dpdk
  device: {pci}
  address: {address}/{prefix}
  gateway: {gateway}
  cpu: 1
publish:
  queue: {queue}
  count: 2000
"""



def workers(count):
    """A config file's text: that many workers, each with a queue of the NIC."""
    driver = "driver:\n  driver: dpdk\n  device: {pci}\n  address: {address}/{prefix}\n  gateway: {gateway}\n"
    return driver + "workers:\n" + "".join(f"  - queue: {i}\n" for i in range(count))


ANY = ("e1000e",)
FOUR_QUEUES = ("virtio-4q",)
KERNELS = tuple(name for name in PLAIN if NICS[name].kernel)
REFUSED = {"command": "publish", "arguments": ("--queue", "{queue}", "--body", "x")}

LARGE = ("--queue", "{queue}", "--count", 500, "--size", 20000, "--cpu", "1")
LARGE_SEGMENTS = 500 * 20000 // 1448  # at least

# Every message comes back whole.
RETURNED = ("--exchange", "amq.direct", "--no-declare", "--routing-key", "nowhere", "--mandatory", "--count", 1500,
            "--size", 5000, "--cpu", "1")
ALL_RETURNED = {"accepted": 1500, "returned": 1500, "confirmed": 0, "unconfirmed": 0}

SCENARIOS = (
    # What must be refused comes first: the devices are as the kernel found them.
    Scenario("a_device_without_a_driver_is_refused", ANY, **REFUSED, prepare="bind {pci} ''", restore="bind {pci} vfio-pci",
             fails=("{pci} has no driver", "--bind=vfio-pci {pci}")),
    Scenario("a_device_that_the_kernel_uses_is_refused", KERNELS, **REFUSED, prepare="bind {pci} {kernel}",
             restore="bind {pci} vfio-pci",
             fails=("{pci} belongs to the kernel's driver '{kernel}'", "--bind=vfio-pci {pci}")),
    Scenario("an_address_without_a_device_is_refused", ANY, command="publish",
             arguments=(*REFUSED["arguments"], "--device", "0000:77:00.0"),
             fails=("there is no PCI device 0000:77:00.0", "lspci -D")),
    Scenario("a_device_that_is_no_nic_is_refused", ANY, command="publish",
             arguments=(*REFUSED["arguments"], "--device", "0000:00:1f.0"), fails=("0000:00:1f.0 is no network device",)),
    Scenario("a_host_without_hugepages_is_refused", ANY, **REFUSED, prepare="hugepages 0", restore="hugepages 128",
             fails=("DPDK needs hugepages, and this host has none", "sysctl vm.nr_hugepages")),
    Scenario("a_host_with_too_few_hugepages_is_refused", ANY, **REFUSED, prepare="hugepages 16", restore="hugepages 128",
             fails=("64 MB of free hugepages", "of this host's 32 MB only 32 MB are free")),
    Scenario("a_worker_on_an_offline_cpu_is_refused", ANY, command="publish",
             arguments=(*REFUSED["arguments"], "--cpu", "1"), prepare="cpu 1 0", restore="cpu 1 1",
             fails=("CPU", "offline")),

    Scenario("publishes_a_feed", tuple(NICS), command="feed", bodies=captured_bodies(FEED),
             arguments=("{capture}", "--queue", "{queue}", "--exchange", "x-{queue}", "--count", FEED, "--cpu", "1")),
    Scenario("publishes_a_whole_capture", command="feed", bodies=captured_bodies(), full_only=True,
             arguments=("{capture}", "--queue", "{queue}", "--exchange", "x-{queue}", "--cpu", "1")),
    Scenario("publishes_from_a_config_file", ANY, config=CONFIG, count=2000),
    Scenario("publishes_inline", ANY, count=3000,
             arguments=("--queue", "{queue}", "--count", 3000, "--inline", "--idle", "spin")),
    Scenario("receives_as_much_as_it_sends", arguments=RETURNED, fails=("NO_ROUTE",), expect=ALL_RETURNED),
    Scenario("keeps_its_order_under_loss", count=10000, around=loss(2),
             arguments=("--queue", "{queue}", "--count", 10000, "--size", 500, "--cpu", "1"),
             expect={"tcp.retransmits": more_than(0)}),
    Scenario("leaves_checksums_to_the_device", (*PLAIN, *WIRE), count=500,
             arguments=(*LARGE, "--checksum-offload", "on", "--tso", "off"), expect={"driver.offloads": "checksums"}),
    Scenario("computes_checksums_itself", WIRE, count=500,
             arguments=(*LARGE, "--checksum-offload", "off", "--tso", "off"), expect={"driver.offloads": ""}),
    Scenario("leaves_segments_to_the_device", ("vmxnet3", "virtio"), count=500, arguments=(*LARGE, "--tso", "on"),
             expect={"driver.offloads": "checksums, TSO", "tcp.segments_sent": more_than(LARGE_SEGMENTS - 1),
                     "driver.packets_sent": less_than(LARGE_SEGMENTS / 3)}),
    Scenario("a_device_that_cuts_no_segments_is_refused", ANY, arguments=(*REFUSED["arguments"], "--tso", "on"),
             fails=("{pci}", "cannot cut packets into TCP segments", "auto or off")),
    Scenario("takes_a_smaller_mtu", ANY, count=2000, arguments=("--queue", "{queue}", "--count", 2000, "--mtu", 1000, "--cpu", "1"),
             expect={"tcp.mss": 1000 - 52}),
    Scenario("takes_a_larger_mtu", count=2000, around=tap_mtu(9000),
             arguments=("--queue", "{queue}", "--count", 2000, "--size", 3000, "--mtu", 9000, "--cpu", "1"),
             expect={"tcp.mss": 9000 - 52}),
    Scenario("receives_as_much_as_it_sends_with_a_larger_mtu", around=tap_mtu(9000),
             arguments=(*RETURNED, "--mtu", 9000), fails=("NO_ROUTE",), expect=ALL_RETURNED),
    Scenario("tags_frames_for_a_vlan", count=2000, around=tagged_port,
             arguments=("--queue", "{queue}", "--count", 2000, "--vlan", 7, "--cpu", "1")),
    # Several workers share a NIC; the broker's answers must come to the queue of the one that has asked.
    Scenario("steers_to_two_workers", FOUR_QUEUES, config=workers(2), count=6000,
             arguments=("--queue", "{queue}", "--count", 6000, "--publishers", 6),
             expect={"driver.steering": "RSS, foretold", "workers": all_have_received(2)}),
    Scenario("steers_a_feed_to_four_workers", FOUR_QUEUES, command="feed", config=workers(4), bodies=captured_bodies(FEED),
             arguments=("{capture}", "--queue", "{queue}", "--exchange", "x-{queue}", "--count", FEED, "--publishers", 8),
             in_order=False, expect={"driver.steering": "RSS, foretold", "workers": all_have_received(4)}),
    Scenario("steers_to_four_workers_under_loss", FOUR_QUEUES, config=workers(4), around=loss(2), count=8000,
             arguments=("--queue", "{queue}", "--count", 8000, "--publishers", 8, "--tso", "off"),
             expect={"driver.steering": "RSS, foretold", "workers": all_have_received(4), "tcp.retransmits": more_than(0)}),
    Scenario("four_workers_survive_a_pulled_cable", FOUR_QUEUES, config=workers(4), event=pull_the_cable,
             arguments=("--queue", "{queue}", "--rate", 1500, "--publishers", 8, "--timeout", 60),
             expect={"workers": all_have_received(4)}),
    Scenario("two_workers_of_a_device_that_cannot_steer_are_refused", ANY, config=workers(2),
             arguments=REFUSED["arguments"], fails=("{pci} cannot steer packets to several queues: give it one worker",)),
    Scenario("more_workers_than_queues_are_refused", ANY, config=workers(4), arguments=REFUSED["arguments"],
             fails=("{pci} has 2 queues, not 4: give it at most 2 workers",)),
    # QEMU's vmxnet3 takes RSS for granted and gives everything to queue 0: which is found out.
    Scenario("a_device_that_does_not_steer_is_found_out", ("vmxnet3",), config=workers(2),
             arguments=("--queue", "{queue}", "--count", 100, "--publishers", 2),
             fails=("publisher 2 of 2", "all arrived on other queues of {pci} than 1")),
    Scenario("survives_a_pulled_cable", event=pull_the_cable,
             arguments=("--queue", "{queue}", "--rate", 1500, "--timeout", 60, "--cpu", "1")),
    Scenario("a_device_in_use_is_refused_and_goes_on", ANY, event=start_another,
             arguments=("--queue", "{queue}", "--rate", 1500, "--cpu", "1")),
    Scenario("starts_anew_after_it_was_killed", does=kill_it_and_start_anew),
    Scenario("answers_ping", ANY, does=cases_dpdk.a_port_of_our_own_answers_ping),
    Scenario("follows_its_gateway_to_another_link_address", ANY, does=cases_dpdk.follows_its_gateway_to_another_link_address),
    Scenario("goes_on_when_a_killed_broker_is_back", ANY, does=kill_the_broker),
)


def cases():
    """(name, scenario, NIC) for each row and each of its NICs."""
    return [(f"{s.name} [{nic}]", s, NICS[nic]) for s in SCENARIOS for nic in s.nics]


# ---- how a row runs ----

def filled(t, text):
    return str(text).format(pci=t.nic.pci, kernel=t.nic.kernel, address=t.nic.address, prefix=t.nic.prefix,
                            gateway=t.nic.gateway, queue=t.queue, url=t.lab.url, capture=CAPTURE)


def run(t, s):
    t.guest.ask("dmesg -c")  # what came before is not this row's
    if s.does:
        s.does(t)
    else:
        run_row(t, s)
    check_no_dma_faults(t)


def run_row(t, s):
    with contextlib.ExitStack() as stack:
        if s.restore:
            stack.callback(t.guest.do, filled(t, s.restore))
        if s.prepare:
            t.guest.do(filled(t, s.prepare))
        if s.around:
            stack.enter_context(s.around(t))
        job = t.start_publisher(s.command, *(filled(t, a) for a in s.arguments), config=filled(t, s.config), **s.environment)
        if s.event:
            s.event(t, job)
            if not s.count:
                job.interrupt()
        result = job.wait()
    for words in s.said:
        harness.holds(filled(t, words) in result.err, f"{result.text()}{filled(t, words)!r} was not said")
    if s.fails:
        check_failure(result, [filled(t, words) for words in s.fails])
    else:
        bodies = s.bodies(t) if s.bodies else None
        check_arrival(t, result, len(bodies) if bodies else s.count or result["accepted"], bodies, s.in_order)
    check_expected(result, s.expect)

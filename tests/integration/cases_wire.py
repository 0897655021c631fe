"""What the kernel and the wire see."""
import contextlib
import json
import struct
import subprocess
import time

import iex
from harness import DRIVERS, LIMIT_S, case, equal, holds
from watch import await_confirmed, finish

BASIC_PUBLISH = bytes([0, 60, 0, 40])
FRAME_END = 0xCE


def kernel_connections(t):
    return subprocess.run(["ss", "-Htn", f"dst {t.lab.broker_ip}"], stdout=subprocess.PIPE, text=True, check=True).stdout


@case(drivers=DRIVERS)
def the_kernel_has_no_connection_with_af_xdp(t):
    running = t.start_publisher("publish", "--queue", t.queue, "--rate", 1000, "--control", t.path("control"))
    seen = ""
    for confirmed in range(0, 1000, 100):
        await_confirmed(t, running, t.path("control"), confirmed)
        seen += kernel_connections(t)
    finish(t, running)
    if t.driver == "af_xdp":
        equal(seen, "", "ss -tn in the publisher's namespace")
    else:
        holds(seen, "ss shows nothing for the kernel's connection either: this test sees nothing")


def await_idle(pid):
    """Until a process has slept each time it was looked at: it has read all there was."""
    deadline, asleep = time.monotonic() + LIMIT_S, 0
    while asleep < 5:
        holds(time.monotonic() < deadline, f"process {pid} is busy for {LIMIT_S} s")
        with open(f"/proc/{pid}/stat") as f:
            asleep = asleep + 1 if f.read().rpartition(")")[2].split()[0] == "S" else 0
        time.sleep(0.05)


@contextlib.contextmanager
def capture(t, path, interface="eth0"):
    """tcpdump at the broker's end of the wire. Its buffer holds as many packets as snapshots fit (-B, -s)."""
    command = t.lab.inside("tcpdump", "--immediate-mode", "-U", "-B", "16384", "-s", "2048", "-Z", "root", "-n", "-i", interface,
                           "-w", path, "tcp", "and", "dst", "port", "5672")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        first = process.stderr.readline()
        holds("listening" in first, f"tcpdump does not start: {first}")
        yield
        await_idle(process.pid)  # what it has not read when it is told to end, it does not write
    finally:
        process.terminate()
        process.communicate()


def tcp_payload(frame):
    at = 14 + (frame[14] & 15) * 4
    end = 14 + struct.unpack_from(">H", frame, 16)[0]
    return frame[at + (frame[at + 12] >> 4) * 4:end]


def frame_types(payload):
    """The types of the AMQP frames that exactly fill a segment, or None when they do not."""
    types, at = [], 0
    while at < len(payload):
        if len(payload) - at < 8:
            return None
        kind, _, size = struct.unpack_from(">BHI", payload, at)
        if size > len(payload) - at - 8 or payload[at + 7 + size] != FRAME_END:
            return None
        types.append(kind)
        at += size + 8
    return types


def stream_of(frames):
    """The octets that TCP has carried, each once."""
    octets, first = bytearray(), None
    for frame in frames:
        payload, sequence = tcp_payload(frame), struct.unpack_from(">I", frame, 14 + (frame[14] & 15) * 4 + 4)[0]
        if not payload:
            continue
        first = sequence if first is None else first
        at = (sequence - first) & 0xFFFFFFFF
        holds(at <= len(octets), f"the capture has {len(octets)} octets, and then those from {at} on")
        octets[at:at + len(payload)] = payload
    return bytes(octets)


def count_published(stream):
    """How many messages a connection's octets hold, whose frames are whole."""
    count, at = 0, len(b"AMQP\0\0\x09\x01")
    while at < len(stream):
        size = struct.unpack_from(">I", stream, at + 3)[0]
        equal(stream[at + 7 + size], FRAME_END, f"end of the frame at {at}")
        count += stream[at] == 1 and stream[at + 7:at + 11] == BASIC_PUBLISH
        at += size + 8
    return count


@case(drivers=("af_xdp",))
def a_paced_message_is_one_segment(t):
    """A segment holds several, or the last of them in part, only where a busy machine kept the worker away: it is full then."""
    with capture(t, t.path("wire.pcap")):
        t.all_confirmed(t.publish("publish", "--queue", t.queue, "--count", 150, "--size", 256, "--rate", 60), 150)
    frames = list(iex.packets(t.path("wire.pcap")))
    with open(f"/sys/class/net/{t.lab.interface}/mtu") as f:
        full = 14 + int(f.read())
    payloads = {tcp_payload(frame): len(frame) for frame in frames}  # once each, if TCP repeated it
    published = [(frame_types(p), length) for p, length in payloads.items() if p[7:11] == BASIC_PUBLISH]
    cut = [(types, length) for types, length in published if not types or types != [1, 2, 3] * (len(types) // 3)]
    equal([(types, length) for types, length in cut if length < full], [], "segments with parts of messages, and with room for more")
    holds(sum(types == [1, 2, 3] for types, _ in published) >= 100, f"few of {len(published)} segments hold one message")
    equal(count_published(stream_of(frames)), 150, "messages on the wire")


@case(drivers=("af_xdp",))
def survives_a_broker_that_changes_its_link_address(t):
    running = t.start_publisher("publish", "--queue", t.queue, "--rate", 1000, "--control", t.path("control"))
    confirmed = await_confirmed(t, running, t.path("control"), 1000)
    before = subprocess.run(t.lab.inside("cat", "/sys/class/net/eth0/address"), stdout=subprocess.PIPE, text=True,
                            check=True).stdout.strip()
    try:
        subprocess.run(t.lab.inside("ip", "link", "set", "eth0", "address", "02:00:00:00:00:77"), check=True)
        await_confirmed(t, running, t.path("control"), confirmed + 2000)
    finally:
        subprocess.run(t.lab.inside("ip", "link", "set", "eth0", "address", before), check=True)
    finish(t, running)


@case(drivers=("af_xdp",))
def finds_the_broker_again_behind_a_wrong_link_address(t):
    """Nothing but our own timeouts tells: the broker never asks for us, the kernel never sends to it."""
    with open(f"/sys/class/net/{t.lab.interface}/address") as f:
        our_mac = f.read().strip()
    routes = json.loads(subprocess.run(["ip", "-j", "route", "get", t.lab.broker_ip], stdout=subprocess.PIPE, text=True,
                                       check=True).stdout)
    our_ip = routes[0]["prefsrc"]
    theirs = t.lab.inside("ip", "neigh", "replace", our_ip, "lladdr", our_mac, "nud", "permanent", "dev", "eth0")
    subprocess.run(theirs, check=True)
    try:
        running = t.start_publisher("publish", "--queue", t.queue, "--rate", 1000, "--control", t.path("control"))
        confirmed = await_confirmed(t, running, t.path("control"), 1000)
        subprocess.run(["ip", "neigh", "replace", t.lab.broker_ip, "lladdr", "02:00:00:00:00:99", "nud", "reachable",
                        "dev", t.lab.interface], check=True)
        await_confirmed(t, running, t.path("control"), confirmed + 2000)
        running.interrupt()
        result = running.wait()
    finally:
        subprocess.run(t.lab.inside("ip", "neigh", "del", our_ip, "dev", "eth0"), check=True)
    t.all_confirmed(result, result["attempted"])
    holds(result["tcp"]["rto_fired"] > 0, "the wrong address was never used: this test sees nothing")


@case(drivers=("af_xdp",))
def connects_although_the_kernel_remembers_an_old_link_address(t):
    subprocess.run(["ip", "neigh", "replace", t.lab.broker_ip, "lladdr", "02:00:00:00:00:99", "nud", "stale",
                    "dev", t.lab.interface], check=True)
    t.all_confirmed(t.publish("publish", "--queue", t.queue, "--count", 10), 10)


@case(drivers=("af_xdp",))
def every_segment_has_good_checksums(t):
    with capture(t, t.path("wire.pcap")):
        t.all_confirmed(t.publish("publish", "--queue", t.queue, "--count", 2000, "--size", 301), 2000)
    done = subprocess.run(["tcpdump", "-Z", "root", "-n", "-vv", "-r", t.path("wire.pcap")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    equal(done.returncode, 0, f"{done.stderr}tcpdump's exit status")
    text = done.stdout
    holds(text.count("(correct)") > 100, "tcpdump checked no checksum")
    equal(text.count("incorrect"), 0, "incorrect checksums")
    equal(text.count("bad cksum"), 0, "incorrect IP header checksums")

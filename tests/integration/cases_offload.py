"""Who sums and cuts, we or the device, makes no difference on the wire: net_tap does both, as a NIC does."""
import re
import signal
import struct
import time

import dpdk
import iex
from cases_wire import BASIC_PUBLISH, capture, tcp_payload
from harness import DPDK, LIMIT_S, case, equal, holds

TAP = tuple(driver for driver in DPDK if "net_tap" in driver)
COUNT, SIZE = 200, 20000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
NOP, SACK = 1, 5
RUN_S, PAUSE_S = 0.005, 0.02
# What each way of working is called on the command line; "auto" is what nobody asked for.
WAYS = {"all ours": ("off", "off"), "the device sums": ("on", "off"), "the device sums and cuts": ("on", "on"), "auto": ("auto", "auto")}


def one_sum(octets):
    octets += b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def without_sack(options):
    """SACK blocks come and go with what the broker's segments have met; ours stand behind two NOPs."""
    kept, at = b"", 0
    while at < len(options):
        size = 1 if options[at] <= NOP else options[at + 1]
        if options[at] == SACK:
            kept = kept[:-2]
        else:
            kept += options[at:at + size]
        at += size
    return kept


class Segment:
    def __init__(self, frame):
        ip = frame[14:14 + struct.unpack_from(">H", frame, 16)[0]]
        tcp = ip[20:]
        self.ip_len = len(ip)
        self.good = (one_sum(ip[:20]) == 0xFFFF and
                     one_sum(ip[12:20] + struct.pack(">HH", 6, len(tcp)) + tcp) == 0xFFFF)
        self.seq, self.flags, self.payload = struct.unpack_from(">I", tcp, 4)[0], tcp[13], tcp_payload(frame)
        options = without_sack(tcp[20:(tcp[12] >> 4) * 4])
        # All that is the same in every segment with data: but for addresses, and for what counts and what is summed.
        self.shape = (frame[12:14], ip[0], ip[1], ip[6:8], ip[8], ip[9], tcp[18:20], len(options), options[:4])


def segments_of(path):
    """Our connection's segments: the command makes one, and net_tap's own traffic is not TCP."""
    found = [Segment(frame) for frame in iex.packets(path)]
    holds(len({s.seq for s in found if s.flags & SYN}) == 1, "one connection was captured")
    return found


def stream_of(segments, way):
    """The octets sent, each once; retransmissions must say the same again."""
    start = next(s.seq for s in segments if s.flags & SYN) + 1
    pieces = sorted(((s.seq - start) & 0xFFFFFFFF, s.payload) for s in segments if s.payload and not s.flags & SYN)
    stream = bytearray()
    for at, payload in pieces:
        holds(at <= len(stream), f"{way}: octets {len(stream)} to {at} were not sent, or tcpdump missed them")
        again = stream[at:at + len(payload)]
        holds(again == payload[:len(again)], f"{way}: octets {at} to {at + len(again)} are not what they were")
        stream += payload[len(again):]
    return bytes(stream)


def published(stream):
    """From the first basic.publish on, without what differs from run to run: the publisher's number and the time."""
    first = stream.index(BASIC_PUBLISH)
    return re.sub(rb"(harewire-(?:epoch|time).)........", rb"\1", stream[first:], flags=re.DOTALL)


def run_with_pauses(running):
    """A publisher that is stopped now and then gets segments twice, and reports that (RFC 2883) beside its data."""
    deadline = time.monotonic() + LIMIT_S
    while running.process.poll() is None and time.monotonic() < deadline:
        running.process.send_signal(signal.SIGSTOP)
        time.sleep(PAUSE_S)
        running.process.send_signal(signal.SIGCONT)
        time.sleep(RUN_S)
    return running.wait()


def publish(t, path, checksum, tso):
    t.port.set_broker_link("up")  # net_tap takes its interface down when it ends
    with capture(t, path, t.port.broker_interface):
        result = run_with_pauses(t.start_publisher("publish", "--queue", t.queue, "--count", COUNT, "--size", SIZE,
                                                   "--checksum-offload", checksum, "--tso", tso))
    t.all_confirmed(result, COUNT)
    equal(len(t.messages(COUNT)), COUNT, "messages")
    return result


def check_segments(segments, way):
    holds(all(s.good for s in segments), f"{way}: a checksum is wrong")
    holds(max(s.ip_len for s in segments) <= 1500, f"{way}: a segment is longer than the MTU")
    full = [s for s in segments if s.payload]
    equal(len({s.shape for s in full}), 1, f"{way}: kinds of headers")
    equal({s.flags for s in full} - {ACK, ACK | PSH}, set(), f"{way}: flags of segments with data")
    return full[0].shape


@case(drivers=TAP)
def the_wire_is_the_same_whoever_sums_and_cuts(t):
    streams, shapes, frames = {}, {}, {}
    for way, (checksum, tso) in WAYS.items():
        path = t.path("wire.pcap")
        result = publish(t, path, checksum, tso)
        segments = segments_of(path)
        shapes[way] = check_segments(segments, way)
        streams[way] = published(stream_of(segments, way))
        frames[way] = (result["driver"]["packets_sent"], len(segments))
    for way in WAYS:
        holds(streams[way] == streams["all ours"], f"{way}: other octets than if all is ours")
        equal(shapes[way], shapes["all ours"], f"{way}: headers")
    holds(len(streams["all ours"]) > COUNT * SIZE, "the stream was not captured")
    handed, sent = frames["the device sums and cuts"]
    holds(2 * handed < sent, f"{handed} frames for {sent} segments: nothing was cut, this test sees nothing")


@case(drivers=TAP)
def says_what_a_device_cannot_do(t):
    arguments = ["--device", "net_null0,no-rx=1", "--address", "198.51.100.2/24", "--eal=" + dpdk.EAL]
    for option, words in (("--tso", "cannot cut packets into TCP segments"), ("--checksum-offload", "computes no TCP checksums")):
        result = t.start("publish", *arguments, "--driver", "dpdk", "--queue", t.queue, "--body", "x", option, "on").wait()
        holds(result.status != 0 and words in result.err, f"{result.text()}{words!r} was not said")

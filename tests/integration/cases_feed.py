"""Market data: what the feed command publishes is what an independent decoder finds in the capture."""
import itertools
import os
import struct

import iex
from harness import ALL_DRIVERS, DPDK, Skip, case, equal, holds, repository, same_sequence

REAL_CAPTURE = os.environ.get("HAREWIRE_CAPTURE") or repository("../shared/data/DEEP10.pcap.gz")


def len32_bodies(path):
    with open(path, "rb") as f:
        while head := f.read(4):
            yield f.read(struct.unpack(">I", head)[0])


@case(drivers=ALL_DRIVERS)
def publishes_each_message_of_a_capture(t):
    expected = iex.write_capture(t.path("capture.pcap.gz"), 5000)
    result = t.publish("feed", t.path("capture.pcap.gz"), "--queue", t.queue, "--exchange", "x-" + t.queue)
    t.all_confirmed(result, 5000)
    equal(result["feed"]["truncated"], True, "the capture's last packet is cut short")
    equal(result["feed"]["sequence_gaps"], 0, "sequence gaps")
    messages = t.messages(5000)
    same_sequence([m.body for m in messages], expected, "bodies")
    same_sequence([m.routing_key for m in messages], [iex.routing_key(b) for b in expected], "routing keys")


@case(drivers=ALL_DRIVERS)
def a_synthetic_feed_is_the_same_twice(t):
    bodies = []
    for run in range(2):
        queue = f"{t.queue}-{run}"
        t.all_confirmed(t.publish("feed", "synthetic", "--count", 5000, "--symbols", 200, "--seed", 7, "--queue", queue,
                                  "--exchange", "x-" + queue), 5000)
        messages = t.messages(5000, queue)
        equal({m.routing_key == iex.routing_key(m.body) for m in messages}, {True}, "routing keys follow from the bodies")
        bodies.append([m.body for m in messages])
    same_sequence(bodies[0], bodies[1], "bodies")


def publish_capture(t, count=None):
    """All of it, or its first `count` messages: what was printed at the end, and how many they were."""
    capture = REAL_CAPTURE
    if not os.path.exists(capture):
        capture = t.path("capture.pcap.gz")
        iex.write_capture(capture, 100000)
    expected = list(itertools.islice(iex.messages(capture), count))
    t.make_queue()
    consumer = t.consumer(t.queue, "--verify", "--count", len(expected), "--idle-timeout", 60, "--output", t.path("out"),
                          "--format", "len32")
    some = ("--count", count) if count else ()
    result = t.publish("feed", capture, *some, "--queue", t.queue, "--exchange", "x-" + t.queue, "--speed", "max")
    t.all_confirmed(result, len(expected))
    t.arrived_once_in_order(consumer.wait(), len(expected))
    same_sequence(list(len32_bodies(t.path("out"))), expected, "bodies")
    return result, len(expected)


@case(drivers=("af_xdp",))
def publishes_a_whole_capture_at_full_speed(t):
    result, count = publish_capture(t)
    if os.path.basename(REAL_CAPTURE) == "DEEP10.pcap.gz" and os.path.exists(REAL_CAPTURE):
        equal(count, 392010, "messages in DEEP10.pcap.gz")
        equal(result["feed"]["symbols"], 7802, "symbols")
        equal(result["feed"]["sequence_gaps"], 11, "breaks in the feed's own sequence")


@case(drivers=DPDK)
def publishes_a_capture_at_full_speed(t):
    equal(publish_capture(t, 60000)[1], 60000, "messages")


@case(drivers=("af_xdp",))
def keys_of_the_real_capture_follow_the_pattern(t):
    if not os.path.exists(REAL_CAPTURE):
        raise Skip("no capture: set HAREWIRE_CAPTURE")
    count = 20000
    t.all_confirmed(t.publish("feed", REAL_CAPTURE, "--count", count, "--queue", t.queue, "--exchange", "x-" + t.queue), count)
    messages = t.messages(count)
    expected = [body for body, _ in zip(iex.messages(REAL_CAPTURE), range(count))]
    same_sequence([m.body for m in messages], expected, "bodies")
    same_sequence([m.routing_key for m in messages], [iex.routing_key(b) for b in expected], "routing keys")


@case(drivers=ALL_DRIVERS)
def keeps_the_rate_it_is_given(t):
    result = t.publish("feed", "synthetic", "--rate", 2000, "--count", 4000, "--queue", t.queue, "--exchange", "x-" + t.queue)
    t.all_confirmed(result, 4000)
    holds(result["seconds"] > 1.9, f"4000 messages at 2000 a second took {result['seconds']} s")

"""What arrives is what was published: bodies, keys, properties, order."""
import os
import re

from harness import DRIVERS, case, equal, holds, same_sequence


@case(drivers=DRIVERS)
def publishes_generated_messages_once_and_in_order(t):
    t.make_queue()
    consumer = t.consumer(t.queue, "--verify", "--count", 20000, "--idle-timeout", 20)
    t.all_confirmed(t.publish("publish", "--queue", t.queue, "--count", 20000, "--size", 256), 20000)
    t.arrived_once_in_order(consumer.wait(), 20000)


@case(drivers=DRIVERS)
def delivers_each_line_as_one_message(t):
    lines = [f"line {i} of many: {'x' * (i * 37 % 700)}".encode() for i in range(3000)]
    with open(t.path("lines"), "wb") as f:
        f.write(b"\n".join(lines) + b"\n")
    t.all_confirmed(t.publish("publish", "--queue", t.queue, "--lines", "--file", t.path("lines")), 3000)
    same_sequence([m.body for m in t.messages(3000)], lines, "bodies")


@case(drivers=DRIVERS)
def consume_writes_the_bodies_it_received(t):
    lines = [f"tick {i}".encode() for i in range(500)]
    with open(t.path("lines"), "wb") as f:
        f.write(b"\n".join(lines) + b"\n")
    t.all_confirmed(t.publish("publish", "--queue", t.queue, "--lines", "--file", t.path("lines")), 500)
    consumer = t.consumer(t.queue, "--count", 500, "--idle-timeout", 10, "--output", t.path("out"), "--format", "lines")
    equal(consumer.wait()["received"], 500, "received")
    with open(t.path("out"), "rb") as f:
        same_sequence(f.read().split(b"\n")[:-1], lines, "lines of the output")


@case(drivers=DRIVERS)
def numbers_messages_in_the_sequence_slot(t):
    t.all_confirmed(t.publish("publish", "--queue", t.queue, "--count", 1000, "--size", 64), 1000)
    messages = t.messages(1000)
    headers = [m.properties["headers"] for m in messages]
    same_sequence([h["harewire-seq"] for h in headers], list(range(1, 1001)), "sequence numbers")
    equal(len({h["harewire-epoch"] for h in headers}), 1, "number of epochs")
    equal({h["harewire-dup"] for h in headers}, {False}, "duplicate flags")
    times = [h["harewire-time"] for h in headers]
    equal(times, sorted(times), "send times")


@case(drivers=DRIVERS)
def carries_every_property(t):
    t.all_confirmed(t.publish(
        "publish", "--queue", t.queue, "--body", "with properties", "--persistent", "--priority", 7, "--content-type",
        "text/plain", "--expiration", 600000, "--property", "correlation-id=c-1", "--property", "reply-to=r-1",
        "--property", "type=t-1", "--property", "app-id=a-1", "--property", "content-encoding=identity", "--property",
        "user-id=guest", "--header", "venue=XNAS", "--slots", "sequence,time,duplicate,message-id,timestamp"), 1)
    (message,) = t.messages(1)
    equal(message.body, b"with properties", "body")
    got = dict(message.properties)
    headers = got.pop("headers")
    message_id, stamp = got.pop("message_id"), got.pop("timestamp")
    equal(got, {"content_type": "text/plain", "content_encoding": "identity", "delivery_mode": 2, "priority": 7,
                "correlation_id": "c-1", "reply_to": "r-1", "expiration": "600000", "type": "t-1", "user_id": "guest",
                "app_id": "a-1"}, "properties")
    equal(headers["venue"], "XNAS", "header venue")
    equal(headers["harewire-seq"], 1, "header harewire-seq")
    holds(re.fullmatch(r"[0-9a-f]{8}.[0-9a-f]{16}", message_id), f"message-id {message_id!r} is 25 characters of hex")
    equal(stamp, headers["harewire-time"] // 10 ** 9, "timestamp, in seconds of the send time")


@case(drivers=DRIVERS)
def routes_through_a_declared_exchange(t):
    exchange = "x-" + t.queue
    result = t.publish("publish", "--declare-exchange", f"{exchange}:topic:auto-delete", "--declare-queue", t.queue, "--bind",
                       f"{exchange}:{t.queue}:md.*.T.#", "--exchange", exchange, "--routing-key", "md.deep.T.BRK/A",
                       "--count", 100, "--size", 100)
    t.all_confirmed(result, 100)
    messages = t.messages(100)
    equal({(m.exchange, m.routing_key) for m in messages}, {(exchange, "md.deep.T.BRK/A")}, "exchange and routing key")


@case(drivers=DRIVERS)
def splits_large_bodies_in_frames(t):
    body = os.urandom(1_000_003)
    with open(t.path("body"), "wb") as f:
        f.write(body)
    t.all_confirmed(t.publish("publish", "--queue", t.queue, "--file", t.path("body"), "--count", 20), 20)
    equal({m.body for m in t.messages(20)}, {body}, "bodies")


@case(drivers=DRIVERS)
def publishes_bodies_around_the_size_of_a_frame(t):
    room = 131072 - 8
    for size in (room - 1, room, room + 1, 2 * room, 2 * room + 1):
        queue = f"{t.queue}-{size}"
        t.all_confirmed(t.publish("publish", "--queue", queue, "--count", 3, "--size", size), 3)
        equal([len(m.body) for m in t.messages(3, queue)], [size] * 3, "sizes")


@case(drivers=DRIVERS)
def publishes_empty_bodies(t):
    t.all_confirmed(t.publish("publish", "--queue", t.queue, "--count", 100, "--size", 0), 100)
    equal([m.body for m in t.messages(100)], [b""] * 100, "bodies")


@case(drivers=DRIVERS)
def publishes_inline_without_a_worker_thread(t):
    t.make_queue()
    consumer = t.consumer(t.queue, "--verify", "--count", 5000, "--idle-timeout", 20)
    t.all_confirmed(t.publish("publish", "--queue", t.queue, "--count", 5000, "--inline"), 5000)
    t.arrived_once_in_order(consumer.wait(), 5000)


@case(drivers=DRIVERS)
def waits_when_the_log_is_full(t):
    result = t.publish("publish", "--queue", t.queue, "--count", 20000, "--size", 1000, "--log-bytes", "64K")
    t.all_confirmed(result, 20000)
    holds(result["waits_for_log"] > 0, "20 MB went through a log of 64 KiB without a wait")
    equal(len(t.messages(20000)), 20000, "messages")


@case()
def auto_chooses_af_xdp_where_it_works(t):
    result = t.start("publish", "--queue", t.queue, "--body", "x").wait()
    t.all_confirmed(result, 1)
    equal(result["driver"]["name"], "af_xdp", "driver")
    holds(result["driver"]["reason"], "no reason given for the choice")

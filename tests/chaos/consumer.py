#!/usr/bin/env python3
"""
The consumer of the chaos run: consumer.py QUEUE DELIVERIES CONNECTIONS NETNS:IP...

Takes everything from the queue, at any of the brokers that lets it, and acknowledges it by hand once it is on record.
DELIVERIES is binary, one RECORD for each delivery. CONNECTIONS is text: "time number began|ended why". Times are
CLOCK_MONOTONIC in ns. A connection on which nothing happens is given up for the next broker. SIGTERM ends it.
"""
import itertools
import os
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
sys.dont_write_bytecode = True

import amqp  # noqa: E402
from lab import inside_namespace  # noqa: E402

RECORD = struct.Struct("<QQII")  # time, id, connection, flags
FLAG_DUPLICATE, FLAG_REDELIVERED = 1, 2
PREFETCH = 500
ACK_EVERY = 100
SILENCE_S = 4
RETRY_S = 0.05


class Door:
    """A broker, seen from its own namespace: what happens to the publisher's path does not happen to ours."""

    def __init__(self, where):
        self.netns, _, self.broker_ip = where.partition(":")

    def namespace(self):
        return inside_namespace(self.netns)


def record(message, number):
    headers = message.properties["headers"]
    flags = FLAG_DUPLICATE * headers["harewire-dup"] + FLAG_REDELIVERED * message.redelivered
    return RECORD.pack(time.monotonic_ns(), headers["harewire-seq"], number, flags)


def consume(connection, queue, number, deliveries):
    """Until the connection ends. Acknowledged is what has been written."""
    connection.start_consuming(queue, prefetch=PREFETCH)
    unacknowledged = 0
    while True:
        deliveries.write(record(connection.delivery(), number))
        unacknowledged += 1
        if unacknowledged >= ACK_EVERY or not connection.buffer:
            deliveries.flush()
            connection.ack_up_to(connection.delivery_tag)
            unacknowledged = 0


def connect_and_consume(door, queue, number, deliveries, connections):
    """The broker says so when the queue is deleted: it cancels, which is no delivery and ends the connection."""
    began = False
    try:
        with amqp.Connection(door, SILENCE_S, properties={"capabilities": {"consumer_cancel_notify": True}}) as connection:
            began = True
            connections.write(f"{time.monotonic_ns()} {number} began {door.broker_ip}\n")
            consume(connection, queue, number, deliveries)
    except (OSError, amqp.AmqpError) as e:
        if began:
            connections.write(f"{time.monotonic_ns()} {number} ended {e or type(e).__name__}\n")
    return began


def main():
    queue, deliveries_path, connections_path, *doors = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number = 1
    with open(deliveries_path, "wb") as deliveries, open(connections_path, "w", buffering=1) as connections:
        for door in itertools.cycle(map(Door, doors)):
            number += connect_and_consume(door, queue, number, deliveries, connections)
            time.sleep(RETRY_S)


if __name__ == "__main__":
    main()

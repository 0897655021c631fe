"""docs/example.c does what docs/api.md says of it."""
import os
import subprocess
import time

from harness import DRIVERS, LIMIT_S, case, equal, holds

COUNT = 40000


def wait_for_messages(t, count):
    deadline = time.monotonic() + LIMIT_S
    with t.amqp() as connection:
        while connection.declare_queue(t.queue, durable=True) < count:
            holds(time.monotonic() < deadline, f"not {count} messages in {LIMIT_S} s")


def take_all(t):
    with t.amqp() as connection:
        held = connection.declare_queue(t.queue, durable=True)
        found = connection.consume(t.queue, held)
    with t.amqp() as connection:
        connection.delete_queue(t.queue)
    return found


@case(drivers=DRIVERS)
def the_example_goes_on_through_a_broker_that_restarts(t):
    command = [os.path.join(t.build, "docs/example"), t.driver, t.lab.url, t.queue, str(COUNT), t.lab.broker_ip]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as example:
        try:
            wait_for_messages(t, 1000)
            t.lab.stop_broker()
            t.lab.start_broker()
            out, err = example.communicate(timeout=LIMIT_S)
        finally:
            example.kill()
    equal((out, example.returncode), (f"{COUNT} confirmed, 0 failed, 0 in doubt\n", 0), err)
    equal((err.count("connected to "), err.count("disconnected: ")), (2, 1), err)
    holds("CONNECTION_FORCED" in err, err)

    first_copies, seen, originals = [], set(), set()
    for message in take_all(t):
        number, duplicate = message.properties["headers"]["harewire-seq"], message.properties["headers"]["harewire-dup"]
        equal(message.body.decode(), f"tick {number}", "body")
        holds(duplicate or number not in originals, f"two copies of message {number} have no duplicate flag")
        if not duplicate:
            originals.add(number)
        if number not in seen:
            first_copies.append(number)
            seen.add(number)
    equal(first_copies, list(range(1, COUNT + 1)), "the first copies' numbers")

"""docs/example.c does what docs/api.md says of it."""
import os
import signal
import subprocess
import time

from harness import DRIVERS, LIMIT_S, case, equal, holds


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


def wait_for_words(t, path, words, times):
    deadline = time.monotonic() + LIMIT_S
    while True:
        with open(path) as f:
            said = f.read()
        if said.count(words) >= times:
            return
        holds(time.monotonic() < deadline, f"{said}not {times} times {words!r} in {LIMIT_S} s")
        time.sleep(0.02)


@case(drivers=DRIVERS)
def the_example_goes_on_through_a_broker_that_restarts(t):
    command = [os.path.join(t.build, "docs/example"), t.driver, t.lab.url, t.queue, "1000000", t.lab.broker_ip]
    with open(t.path("said"), "w") as said, \
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True) as example:
        try:
            wait_for_messages(t, 200)
            t.lab.stop_broker()
            t.lab.start_broker()
            wait_for_words(t, t.path("said"), "connected to ", 2)
            example.send_signal(signal.SIGINT)
            out, _ = example.communicate(timeout=LIMIT_S)
        finally:
            example.kill()
    with open(t.path("said")) as f:
        err = f.read()
    equal(example.returncode, 0, err + out + "exit status")
    count = int(out.split()[0])
    equal(out, f"{count} confirmed, 0 failed, 0 in doubt\n", err + "counts")
    equal((err.count("disconnected: "), "CONNECTION_FORCED" in err), (1, True), err)

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
    equal(first_copies, list(range(1, count + 1)), "the first copies' numbers")

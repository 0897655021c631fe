"""A broker that allows little, a NIC with several queues."""
import contextlib

from harness import DRIVERS, case, equal, holds


@contextlib.contextmanager
def restarted(lab, *settings):
    lab.stop_broker()
    try:
        lab.start_broker(*settings)
        yield
    finally:
        lab.stop_broker()
        lab.start_broker()


@case(drivers=("af_xdp",))
def honours_what_the_broker_tunes_down(t):
    with restarted(t.lab, "frame_max = 4096", "channel_max = 2", "heartbeat = 2", "max_message_size = 50000"):
        for driver in DRIVERS:
            t.driver = driver
            queue = f"{t.queue}-{driver}"
            t.all_confirmed(t.publish("publish", "--queue", queue, "--count", 100, "--size", 20000), 100)
            equal({len(m.body) for m in t.messages(100, queue)}, {20000}, "sizes")
            refuses_what_the_broker_refuses(t)
        stay_connected_while_idle(t)


def stay_connected_while_idle(t):
    """The second message follows 7 s after the first: more than three heartbeats."""
    running = {}
    for t.driver in DRIVERS:
        running[t.driver] = t.start_publisher("publish", "--queue", f"{t.queue}-idle-{t.driver}", "--count", 2, "--rate", 0.14)
    for driver, publisher in running.items():
        result = publisher.wait()
        equal(result["driver"]["name"], driver, result.text() + "driver")
        t.all_confirmed(result, 2)
        holds(result["seconds"] > 6, "there was no pause between the messages")


def refuses_what_the_broker_refuses(t):
    result = t.publish("publish", "--queue", t.queue + "-large", "--count", 1, "--size", 60000)
    equal(result.status, 1, result.text() + "exit status")
    for words in ("PRECONDITION_FAILED", "message 1, or one behind it, ended the channel"):
        holds(words in result["error"]["text"], result.text())
    t.adds_up(result)


@case(lab="queues", drivers=DRIVERS)
def works_on_an_interface_with_four_queues(t):
    for run in range(6):  # each run has another source port, and its packets may come to another queue
        queue = f"{t.queue}-{run}"
        t.make_queue(queue)
        consumer = t.consumer(queue, "--verify", "--count", 2000, "--idle-timeout", 20)
        t.all_confirmed(t.publish("publish", "--queue", queue, "--count", 2000), 2000)
        t.arrived_once_in_order(consumer.wait(), 2000)


@case(lab="queues", drivers=("af_xdp",))
def serves_the_queue_it_is_told_to(t):
    t.all_confirmed(t.publish("publish", "--queue", t.queue, "--count", 2000, "--nic-queue", 2), 2000)
    equal(len(t.messages(2000)), 2000, "messages")

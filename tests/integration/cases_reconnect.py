"""Connections that are lost are made again; what was accepted is confirmed once, in order, or its loss is said."""
import contextlib
import os
import select
import signal
import socket
import threading
import time

from harness import DPDK, DRIVERS, case, equal, holds

LASTING = ("--durable", "--persistent", "--timeout", 100)  # what survives the broker


SETTLED = 5000  # a broker that is killed within some seconds of a queue's declaration can lose it, messages and all


def begin(t, *arguments, count=10000, rate=1000, published=1000, **environment):
    """A publisher of lasting messages, so many of which are in the queue."""
    running = t.start_publisher("publish", "--queue", t.queue, *LASTING, "--count", count, "--rate", rate, *arguments,
                                **environment)
    t.until_published(running, published, durable=True)
    return running


def arrived(t, count):
    """Each message is there, in order; what is there twice says so."""
    consumer = t.consumer(t.queue, "--verify", "--idle-timeout", 3)
    result = consumer.wait()
    for name, expected in (("gaps", 0), ("duplicates", 0), ("disorder", 0), ("unsequenced", 0)):
        equal(result[name], expected, result.text() + name)
    equal(result["received"] - result["duplicates_flagged"], count, result.text() + "messages")


@case(drivers=DRIVERS + DPDK[:1])
def goes_on_when_the_broker_is_killed_and_restarted(t):
    running = begin(t, published=SETTLED)
    t.lab.run("kill")
    t.lab.start_broker()
    result = running.wait()
    t.all_confirmed(result, 10000)
    holds(result["connections"] >= 2, result.text() + "there was one connection")
    arrived(t, 10000)


@case(drivers=DRIVERS)
def goes_on_when_the_broker_is_stopped_and_started(t):
    running = begin(t)
    t.lab.stop_broker()
    t.lab.start_broker()
    result = running.wait()
    t.all_confirmed(result, 10000)
    holds("CONNECTION_FORCED" in result.err, result.text() + "the broker's words are missing")
    arrived(t, 10000)


@case(drivers=DRIVERS + DPDK[:1])
def goes_on_when_its_connections_are_closed_by_hand(t):
    running = begin(t)
    for i in range(3):
        t.lab.ctl("close_all_connections", f"by hand, {i}")
    result = running.wait()
    t.all_confirmed(result, 10000)
    holds("by hand" in result.err, result.text() + "the broker's words are missing")
    holds(result["connections"] >= 4, result.text() + "its connections were not closed")
    arrived(t, 10000)


class Proxy:
    """A port in the broker's namespace that leads to the broker, until it is killed."""

    def __init__(self, lab, port):
        with lab.namespace():
            self.listener = socket.create_server((lab.broker_ip, port))
        self.lab, self.ended = lab, threading.Event()
        self.connections = 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        pairs = {}
        while not self.ended.is_set():
            for ready in select.select([self.listener, *pairs], [], [], 0.05)[0]:
                if ready is self.listener:
                    client = ready.accept()[0]
                    with self.lab.namespace():
                        broker = socket.create_connection((self.lab.broker_ip, 5672))
                    pairs[client], pairs[broker] = broker, client
                    self.connections += 1
                elif ready in pairs:
                    self.forward(pairs, ready)
        for end in (self.listener, *pairs):
            end.close()

    @staticmethod
    def forward(pairs, ready):
        data = ready.recv(1 << 16)
        if data:
            pairs[ready].sendall(data)
            return
        for end in (ready, pairs.pop(ready)):
            pairs.pop(end, None)
            end.close()

    def kill(self):
        self.ended.set()
        self.thread.join()


@contextlib.contextmanager
def proxy(t, port):
    p = Proxy(t.lab, port)
    try:
        yield p
    finally:
        p.kill()


@case(drivers=DRIVERS)
def the_next_host_takes_over(t):
    broker = t.lab.broker_ip
    with proxy(t, 5673) as first:
        running = begin(t, "--url", f"amqp://{broker}:5673", "--host", f"{broker}:5999", "--host", f"{broker}:5672")
        equal(first.connections, 1, "connections through the first host")
        first.kill()
        result = running.wait()
    t.all_confirmed(result, 10000)
    holds(f"connected again to {broker}:5672" in result.err, result.text())
    arrived(t, 10000)


@contextlib.contextmanager
def user(t, password):
    name = t.queue + "-user"
    t.lab.ctl("add_user", name, password)
    try:
        t.lab.ctl("set_permissions", name, ".*", ".*", ".*")
        yield name
    finally:
        t.lab.ctl("delete_user", name)


@case(drivers=("kernel",))
def a_password_changed_meanwhile_ends_it_after_a_minute_with_the_brokers_words(t):
    with user(t, "first-secret") as name:
        running = begin(t, "--user", name, HAREWIRE_PASSWORD="first-secret")
        t.lab.ctl("change_password", name, "second-secret")
        t.lab.ctl("close_all_connections", "by hand")
        result = running.wait(120)
    equal(result.status, 1, result.text() + "exit status")
    holds("ACCESS_REFUSED" in result["error"]["text"], result.text())
    holds("secret" not in result.err + str(result.json), "a password was printed")
    t.adds_up(result)


@case(drivers=DRIVERS)
def a_login_refused_for_a_while_is_tried_again(t):
    with user(t, "first-secret") as name:
        running = begin(t, "--user", name, HAREWIRE_PASSWORD="first-secret")
        t.lab.ctl("change_password", name, "second-secret")
        t.lab.ctl("close_all_connections", "by hand")
        t.lab.ctl("change_password", name, "first-secret")
        result = running.wait()
    t.all_confirmed(result, 10000)
    holds("ACCESS_REFUSED" in result.err, result.text() + "it was not refused meanwhile")
    arrived(t, 10000)


@case(drivers=DRIVERS)
def a_password_changed_in_its_file_is_used(t):
    def write(password):
        with open(t.path("password"), "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(password + "\n")

    with user(t, "first-secret") as name:
        write("first-secret")
        running = begin(t, "--user", name, "--password-file", t.path("password"))
        t.lab.ctl("change_password", name, "second-secret")
        write("second-secret")
        t.lab.ctl("close_all_connections", "by hand")
        result = running.wait()
    t.all_confirmed(result, 10000)
    arrived(t, 10000)


def delete_exchange(t, name):
    t.lab.ctl("eval", f'rabbit_exchange:delete(rabbit_misc:r(<<"/">>, exchange, <<"{name}">>), false, <<"tests">>).')


@case(drivers=DRIVERS)
def an_exchange_deleted_meanwhile_ends_it_with_the_brokers_words(t):
    name = t.queue + "-x"
    declare = ("--declare-exchange", f"{name}:topic", "--declare-queue", t.queue + ":durable", "--bind",
               f"{name}:{t.queue}:k")
    t.all_confirmed(t.publish("publish", "--exchange", name, "--routing-key", "k", *declare, "--count", 1), 1)
    running = t.start_publisher("publish", "--exchange", name, "--no-declare", "--routing-key", "k", "--count", 1000000,
                                "--rate", 2000)
    t.until_published(running, 1000, durable=True)
    delete_exchange(t, name)
    result = running.wait()
    equal(result.status, 1, result.text() + "exit status")
    for words in ("or one behind it, ended the channel", "NOT_FOUND", name):
        holds(words in result["error"]["text"], result.text() + f"{words!r} is missing")
    holds(result["connections"] > 1, result.text() + "it gave up at once")
    t.adds_up(result)


@case(drivers=DRIVERS)
def an_exchange_deleted_meanwhile_is_declared_again(t):
    name = t.queue + "-x"
    running = t.start_publisher("publish", "--exchange", name, "--routing-key", "k", "--declare-exchange", f"{name}:topic",
                                "--declare-queue", t.queue + ":durable", "--bind", f"{name}:{t.queue}:k", "--count", 10000,
                                "--rate", 2000)
    t.until_published(running, 1000, durable=True)
    delete_exchange(t, name)
    result = running.wait()
    t.all_confirmed(result, 10000)
    equal(result["connections"], 2, result.text() + "connections")


@case(drivers=DRIVERS)
def a_stop_without_a_connection_waits_no_longer_than_it_is_told(t):
    running = begin(t, "--timeout", 1, count=1000000)
    t.lab.run("kill")
    try:
        time.sleep(0.5)  # some messages more; nothing depends on how many
        os.kill(running.process.pid, signal.SIGINT)
        result = running.wait(30)
    finally:
        t.lab.start_broker()
    holds(result["stopped"], result.text() + "it does not say that it was stopped")
    holds(result["unconfirmed"] > 0, result.text() + "nothing was under way")
    t.adds_up(result)

"""Connections that are lost are made again; what was accepted is confirmed once, in order, or its loss is said."""
import contextlib
import os
import select
import socket
import threading
import time

from cases_outage import await_connections, end
from harness import DPDK, DRIVERS, case, equal, holds

LASTING = ("--durable", "--persistent", "--timeout", 100)  # what survives the broker


def begin(t, *arguments, **environment):
    """An endless publisher of lasting messages, a thousand of which are in the queue."""
    running = t.start_publisher("publish", "--queue", t.queue, *LASTING, "--rate", 1000, "--control", t.path("control"), *arguments,
                                **environment)
    t.until_published(running, 1000, durable=True)
    return running


def settle(t):
    """A broker that is killed soon after a queue's declaration may have lost it, messages and all, if it has not written its log."""
    t.lab.ctl("eval", "mnesia:sync_log().")


def arrives(t, running, connections=2):
    """It goes on, and each message is confirmed and in the queue, in order; what is there twice says so."""
    result = end(t, running, connections)
    t.all_confirmed(result, result["attempted"])
    holds(result["stopped"] and result["connections"] >= connections, result.text() + "stopped, connections")
    found = t.drain()
    for name, expected in (("gaps", 0), ("duplicates", 0), ("disorder", 0), ("unsequenced", 0)):
        equal(found[name], expected, found.text() + name)
    equal(found["received"] - found["duplicates_flagged"], result["attempted"], found.text() + "messages")
    return result


@case(drivers=DRIVERS + DPDK[:1])
def goes_on_when_the_broker_is_killed_and_restarted(t):
    running = begin(t)
    settle(t)
    t.lab.run("kill")
    t.lab.start_broker()
    arrives(t, running)


@case(drivers=DRIVERS)
def goes_on_when_the_broker_is_stopped_and_started(t):
    running = begin(t)
    t.lab.stop_broker()
    t.lab.start_broker()
    result = arrives(t, running)
    holds("CONNECTION_FORCED" in result.err, result.text() + "the broker's words are missing")


@case(drivers=DRIVERS + DPDK[:1])
def goes_on_when_its_connections_are_closed_by_hand(t):
    running = begin(t)
    for i in range(3):
        t.lab.ctl("close_all_connections", f"by hand, {i}")
        await_connections(t, running, i + 2)
    result = arrives(t, running, connections=4)
    holds("by hand" in result.err, result.text() + "the broker's words are missing")


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
        result = arrives(t, running)
    holds(f"connected again to {broker}:5672" in result.err, result.text())


@contextlib.contextmanager
def user(t, password):
    name = t.queue + "-user"
    t.lab.ctl("add_user", name, password)
    try:
        t.lab.ctl("set_permissions", name, ".*", ".*", ".*")
        yield name
    finally:
        t.lab.ctl("delete_user", name)


@case(lab="patient", drivers=("kernel",))
def a_password_changed_meanwhile_ends_it_after_a_while_with_the_brokers_words(t):
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
        result = arrives(t, running)
    holds("ACCESS_REFUSED" in result.err, result.text() + "it was not refused meanwhile")


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
        arrives(t, running)


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
    # On a slow host it is enough to open the channel again.
    holds(result["connections"] + result["channels"] > 1, result.text() + "it gave up at once")
    t.adds_up(result)


@case(drivers=DRIVERS)
def an_exchange_deleted_meanwhile_is_declared_again(t):
    name = t.queue + "-x"
    running = t.start_publisher("publish", "--exchange", name, "--routing-key", "k", "--declare-exchange", f"{name}:topic",
                                "--declare-queue", t.queue + ":durable", "--bind", f"{name}:{t.queue}:k", "--rate", 2000,
                                "--control", t.path("control"))
    t.until_published(running, 1000, durable=True)
    delete_exchange(t, name)
    result = end(t, running)
    t.all_confirmed(result, result["attempted"])
    equal(result["connections"], 2, result.text() + "connections")


@case(drivers=DRIVERS)
def a_stop_without_a_connection_waits_no_longer_than_it_is_told(t):
    running = begin(t, "--timeout", 1)
    t.lab.run("kill")
    try:
        time.sleep(0.5)  # some messages more; nothing depends on how many
        running.interrupt()
        result = running.wait(30)
    finally:
        t.lab.start_broker()
    holds(result["stopped"], result.text() + "it does not say that it was stopped")
    holds(result["unconfirmed"] > 0, result.text() + "nothing was under way")
    t.adds_up(result)

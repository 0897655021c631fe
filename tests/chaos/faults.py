"""
What befalls the brokers and the way to them, and what each fault may cost: the table that docs/reliability.md prints.

A fault is a function that does it and undoes it. It gets the run (run.py) and what chance has chosen for it when the script
was written, before anything was started.
"""
import contextlib
import dataclasses
import os
import signal
import time

from surroundings import PUBLISHER_IP  # which knows where the next one is
import amqp

KEPT, MAY, LOST = "kept", "may be lost", "lost"


@dataclasses.dataclass(frozen=True)
class Fault:
    """`connection`: what becomes of the publisher's. The rest: what messages may suffer that were on their way meanwhile."""
    name: str
    act: object
    draw: object  # of a random.Random, the parameters
    says: str
    nodes: int
    connection: str
    nacks: bool = False    # the broker may say that it has not taken some of them
    returns: bool = False  # some of them may have found no queue
    destroys: bool = False  # confirmed messages that no consumer had yet may be gone


FAULTS = {}


def fault(connection, draw=lambda random: {}, nodes=1, **costs):
    def register(function):
        says = " ".join(function.__doc__.split())
        FAULTS[function.__name__] = Fault(function.__name__, function, draw, says, nodes, connection, **costs)
        return function
    return register


def seconds(low, high):
    return lambda random: {"seconds": round(random.uniform(low, high), 2)}


# ---- one broker, a durable classic queue


@fault(LOST, draw=seconds(0, 3))
def kill(run, seconds):
    """The broker is ended by SIGKILL, and started again after up to 3 s."""
    run.node.run("kill")
    time.sleep(seconds)
    run.node.start_broker()


@fault(LOST, draw=seconds(0, 3), nacks=True)
def stop(run, seconds):
    """The broker shuts down in order (connection.close 320), and is started again after up to 3 s."""
    run.node.stop_broker()
    time.sleep(seconds)
    run.node.start_broker()


@fault(LOST)
def close_connection(run):
    """`rabbitmqctl close_connection` on the publisher's connection."""
    run.node.close_connection(run.name)


@fault(LOST, returns=True)
def exchange(run):
    """The exchange is deleted, its bindings first, which is seen by some (channel.close 404); the publisher declares it again."""
    with amqp.Connection(run.node) as connection:
        connection.delete_exchange(run.name)


@fault(LOST)
def reset(run):
    """A RST to each end of the publisher's connection."""
    if run.node.reset_connections_from(PUBLISHER_IP) == 0:
        raise AssertionError("there was no connection to reset")


@fault(KEPT, draw=seconds(0.3, 1.2))
def blink(run, seconds):
    """Nothing passes between publisher and broker for up to 1.2 s."""
    with run.node.loss(100):
        time.sleep(seconds)


@fault(LOST, draw=seconds(10, 13))
def blackhole(run, seconds):
    """Nothing passes between publisher and broker for 10 to 13 s."""
    with run.node.loss(100):
        time.sleep(seconds)


@fault(LOST, draw=seconds(10, 13))
def mute(run, seconds):
    """Nothing passes from the publisher to the broker for 10 to 13 s."""
    with run.node.loss(100, only="ingress"):
        time.sleep(seconds)


@fault(LOST, draw=seconds(10, 13))
def deaf(run, seconds):
    """Nothing passes from the broker to the publisher for 10 to 13 s."""
    with run.node.loss(100, only="egress"):
        time.sleep(seconds)


@fault(MAY, draw=lambda random: {"percent": random.randint(1, 20), "seconds": round(random.uniform(3, 8), 2)})
def loss(run, percent, seconds):
    """1 to 20 % of the packets are lost, each way, for 3 to 8 s."""
    with run.node.loss(percent):
        time.sleep(seconds)


@fault(KEPT, draw=seconds(1, 5))
def memory_alarm(run, seconds):
    """The broker's memory alarm, for 1 to 5 s."""
    run.node.ctl("set_vm_memory_high_watermark", "0")
    try:
        time.sleep(seconds)
    finally:
        run.node.ctl("set_vm_memory_high_watermark", "0.4")


@fault(KEPT, draw=seconds(1, 5))
def disk_alarm(run, seconds):
    """The broker's disk alarm, for 1 to 5 s."""
    run.node.ctl("set_disk_free_limit", "900GB")
    try:
        time.sleep(seconds)
    finally:
        run.node.ctl("set_disk_free_limit", "50MB")


@fault(KEPT, draw=seconds(0, 2), returns=True, destroys=True)
def queue(run, seconds):
    """The queue is deleted, with what is in it, and made again after up to 2 s."""
    with amqp.Connection(run.node) as connection:
        connection.delete_queue(run.name)
        time.sleep(seconds)
        connection.declare_queue(run.name, durable=True, arguments={"x-queue-type": run.queue_type})
        connection.bind_queue(run.name, run.name, run.name)


@fault(KEPT, draw=seconds(1, 3), nacks=True)
def reject(run, seconds):
    """The consumer stands still and the queue is bounded to 50 messages (x-overflow: reject-publish), for 1 to 3 s."""
    run.node.ctl("set_policy", "reject", "^" + run.name, '{"max-length": 50, "overflow": "reject-publish"}')
    try:
        with run.consumer.paused():
            time.sleep(seconds)
    finally:
        run.node.ctl("clear_policy", "reject")


@contextlib.contextmanager
def frozen(pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@fault(MAY, draw=seconds(1, 8))
def freeze(run, seconds):
    """The broker's process is stopped (SIGSTOP) for 1 to 8 s, and goes on."""
    with frozen(run.node.broker_pids()):
        time.sleep(seconds)


# ---- a cluster of three, a quorum queue


@fault(LOST, nodes=3, draw=seconds(0, 3), nacks=True)
def node_kill(run, seconds):
    """The node that the publisher is connected to is ended by SIGKILL, and started again after up to 3 s."""
    node = run.publishers_node()
    node.run("kill")
    time.sleep(seconds)
    node.start_broker()


@fault(LOST, nodes=3, draw=seconds(0, 3), nacks=True)
def node_stop(run, seconds):
    """The node that the publisher is connected to shuts down in order, and is started again after up to 3 s."""
    node = run.publishers_node()
    node.stop_broker()
    time.sleep(seconds)
    node.start_broker()


@fault(MAY, nodes=3, draw=seconds(0, 3), nacks=True)
def leader_kill(run, seconds):
    """The node of the queue's leader is ended by SIGKILL, and started again after up to 3 s."""
    node = run.leaders_node()
    node.run("kill")
    time.sleep(seconds)
    node.start_broker()


@fault(LOST, nodes=3, draw=seconds(10, 13), nacks=True)
def majority(run, seconds):
    """Two nodes, the leader's among them where the publisher is at another, are ended by SIGKILL with messages pending, and
    started again after 10 to 13 s: what was pending on that channel is never confirmed."""
    publishers, leaders = run.publishers_node(), run.leaders_node()
    others = [node for node in run.surroundings.nodes if node is not publishers]
    others.sort(key=lambda node: node is not leaders)
    for node in others:
        node.run("kill")
    time.sleep(seconds)
    for node in others:
        node.start_broker()


@fault(LOST, nodes=3, draw=seconds(10, 13), nacks=True)
def cut(run, seconds):
    """The cable of the node that the publisher is connected to is out for 10 to 13 s."""
    with run.publishers_node().unplugged():
        time.sleep(seconds)


# ---- scripts

# One of each kind that ends a connection, and one that destroys; they are quick.
SHORT = ("kill", "queue", "reset", "exchange", "mute", "close_connection")


def write_script(random, names, rounds):
    """[(fault, parameters)]: each fault once, in a drawn order, and that `rounds` times."""
    script = []
    for _ in range(rounds):
        order = list(names)
        random.shuffle(order)
        script += [(FAULTS[name], FAULTS[name].draw(random)) for name in order]
    return script


def names_for(nodes):
    return [name for name, f in FAULTS.items() if f.nodes == nodes]


def documented():
    """The rows of the table in docs/reliability.md."""
    rows = []
    for f in FAULTS.values():
        costs = [words for holds, words in ((f.nacks, "nacks"), (f.returns, "returns"),
                                            (f.destroys, "confirmed messages that lay in the queue")) if holds]
        rows.append(f"| `{f.name}` | {f.says} | {f.connection} | {', '.join(costs) or 'nothing'} |")
    return rows

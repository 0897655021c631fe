"""One publisher, its queue, its consumer, and what is done to them while both write down what they see."""
import contextlib
import os
import signal
import subprocess
import sys
import time

from history import History, Window
from surroundings import INTERFACE, LabError, inside

PATIENCE_S = 90       # for the flow to go on after a fault
STEADY_S = 20         # before the first fault: the log goes round once
PAUSE_S = (3, 6)      # of undisturbed flow between two faults
END_S = 60


class ChaosError(Exception):
    """The run itself cannot go on: said, and failed."""


class Child:
    """A process of the run, with its error output in a file. Ended with the run."""

    def __init__(self, command, directory, name):
        self.name, self.errors = name, os.path.join(directory, name + ".err")
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)

    def end(self, signal_number, timeout=END_S):
        """Its standard output; it has ended then, one way or the other."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            return self.process.communicate(timeout=timeout)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise ChaosError(f"{self.process.args}: no end {timeout} s after signal {signal_number}") from None

    def last_words(self):
        with open(self.errors) as errors:
            return errors.read()[-600:].strip()

    @contextlib.contextmanager
    def paused(self):
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        if not self.process.stdout.closed:
            self.process.communicate()


class Tail:
    """The publisher's history, as it is being written."""

    def __init__(self, path):
        self.path, self.file, self.rest = path, None, ""
        self.accepted = self.settled = 0
        self.host, self.ended = None, None
        self.connected = False

    def read(self):
        if self.file is None:
            if not os.path.exists(self.path):
                return
            self.file = open(self.path)
        *lines, self.rest = (self.rest + self.file.read()).split("\n")
        for line in lines:
            self.take(line)

    def take(self, line):
        kind, _, rest = line.partition(" ")
        if kind == "A":
            self.accepted = int(rest.split()[2])
        elif kind in ("C", "N", "R"):
            self.settled = int(rest.split()[2])
        elif kind == "E":
            _, _, name, _, text = rest.split(" ", 4)
            if name in ("READY", "DISCONNECTED"):
                self.connected = name == "READY"
                self.host = text if self.connected else self.host
            if name in ("FAILED", "CLOSED"):
                self.ended = f"{name}: {text}"

    def close(self):
        if self.file:
            self.file.close()


class Phase:
    """One publisher, its queue and its consumer, and the faults around them: `run` of faults.py."""

    def __init__(self, surroundings, options, directory, name, queue_type):
        self.surroundings, self.options, self.directory = surroundings, options, directory
        self.name, self.queue_type = name, queue_type
        self.publisher = self.consumer = None
        self.tail = Tail(self.path("publisher"))
        self.history = History(begin=time.monotonic_ns())

    def path(self, what):
        return os.path.join(self.directory, f"{self.name}.{what}")

    @property
    def node(self):
        return self.surroundings.nodes[0]

    def publishers_node(self):
        return self.surroundings.node_at(self.tail.host) if self.tail.host else self.node

    def leaders_node(self):
        for line in self.publishers_node().ctl("-q", "list_queues", "name", "leader").splitlines():
            name, _, leader = line.partition("\t")
            if name == self.name:
                return self.surroundings.node_at(leader.partition("@")[2])
        raise ChaosError(f"the queue {self.name} has no leader")

    # ---- beginning and end

    def __enter__(self):
        for what in ("publisher", "deliveries", "connections"):  # of an earlier run, in a directory that was kept
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.path(what))
        first, *more = self.surroundings.hosts
        self.publisher = Child(inside(
            self.surroundings.publisher, os.path.join(self.options.build, "tests/chaos/publisher"),
            "--driver", self.options.driver, "--interface", INTERFACE, "--url", "amqp://" + first,
            *sum((["--host", host] for host in more), []), "--name", self.name, "--queue-type", self.queue_type,
            "--rate", str(self.options.rate), "--history", self.path("publisher")), self.directory, self.name + ".publisher")
        doors = [f"{node.netns}:{node.broker_ip}" for node in self.surroundings.nodes]
        here = os.path.dirname(os.path.abspath(__file__))
        self.consumer = Child([sys.executable, os.path.join(here, "consumer.py"), self.name, self.path("deliveries"),
                               self.path("connections"), *doors], self.directory, self.name + ".consumer")
        return self

    def __exit__(self, *error):
        for child in (self.publisher, self.consumer):
            if child:
                child.kill()
        self.tail.close()

    def until(self, holds, what):
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            self.tail.read()
            if self.tail.ended:
                raise ChaosError(f"the publisher has ended while {what} was awaited: {self.tail.ended}")
            for child in (self.publisher, self.consumer):
                if child.process.poll() is not None:
                    raise ChaosError(f"{child.name} has ended while {what} was awaited: {child.last_words()}")
            if time.monotonic() > deadline:
                raise ChaosError(f"{what}: not in {PATIENCE_S} s (accepted {self.tail.accepted}, outcomes up to "
                                 f"{self.tail.settled}, {'connected' if self.tail.connected else 'not connected'})")
            time.sleep(0.01)

    def await_flow(self):
        """Something that is accepted from now on has an outcome."""
        self.tail.read()
        goal = self.tail.accepted + max(self.options.rate // 10, 1)
        self.until(lambda: self.tail.connected and self.tail.settled >= goal, "the flow")

    def flow_for(self, seconds):
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end, "the next fault")

    def finish(self):
        """The publisher closes; then the queue is drained."""
        report = self.publisher.end(signal.SIGTERM).strip().rpartition("\n")[2]
        self.drain()
        self.consumer.end(signal.SIGTERM)
        self.load(report)

    def stop_as_it_is(self):
        """When something has gone wrong: what there is, is judged."""
        report = self.publisher.end(signal.SIGTERM).strip().rpartition("\n")[2]
        self.consumer.end(signal.SIGTERM)
        self.load(report)

    def load(self, report):
        now = time.monotonic_ns()
        for window, after in zip(self.history.windows, [w.begin for w in self.history.windows[1:]] + [now]):
            window.end = after
        self.history.read_publisher(self.path("publisher"), report)
        self.history.read_consumer(self.path("deliveries"), self.path("connections"))

    def drain(self):
        """Nothing in the queue, nothing unacknowledged: a queue without its consumer would show what that has not acked."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for line in self.node.ctl("-q", "list_queues", "name", "messages").splitlines():
                if line.split("\t") == [self.name, "0"]:
                    return
            time.sleep(0.2)
        raise ChaosError(f"the queue {self.name} is not empty after {PATIENCE_S} s")

    # ---- faults

    def do(self, fault, parameters):
        said = ", ".join(f"{k} {v}" for k, v in parameters.items())
        begin = time.monotonic_ns()
        print(f"{(begin - self.history.begin) / 1e9:7.1f} s  {fault.name}{' (' + said + ')' if said else ''}", flush=True)
        for node in self.surroundings.nodes:
            node.accepting_ns = None
        window = Window(fault, begin, None, 1 << 63)
        self.history.windows.append(window)
        fault.act(self, **parameters)
        window.done = time.monotonic_ns()
        window.accepting = min((n.accepting_ns for n in self.surroundings.nodes if n.accepting_ns), default=None)
        self.await_flow()

    def play(self, script, steady_s, chance, until_ns):
        """The first len(FAULTS) of the script whatever the time, the rest while there is time."""
        self.await_flow()
        self.flow_for(steady_s)
        played = set()
        for fault, parameters in script:
            if fault.name in played and time.monotonic_ns() > until_ns:
                break
            played.add(fault.name)
            self.do(fault, parameters)
            self.flow_for(chance.uniform(*PAUSE_S))

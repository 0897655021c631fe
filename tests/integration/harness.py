"""Cases, their registry, and the `harewire` command as they use it."""
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
import uuid

import amqp
import dpdk
from lab import ROOT

DRIVERS = ("af_xdp", "kernel")
# Over virtual devices; a build without DPDK has none.
DPDK = () if os.environ.get("DPDK") == "0" else tuple("dpdk " + device for device in dpdk.DEVICES)
ALL_DRIVERS = DRIVERS + DPDK
LIMIT_S = 120
AFTER_THE_BROKER = ("nice", "-n", "10")  # whoever polls gives way to those it waits for: several labs share two processors
CASES = []


class Skip(Exception):
    pass


def case(lab="plain", drivers=(None,)):
    """
    Registers a test. It gets a Bench; `drivers`: once for each. `lab`: which of run.py's labs it runs in; with the driver dpdk
    that of its device, unless it needs none.
    """
    def register(function):
        for driver in drivers:
            device = (driver or "").partition(" ")[2]
            CASES.append((function.__name__ + (f" [{driver}]" if driver else ""), function,
                          device if device and lab != "none" else lab, driver))
        return function
    return register


def equal(got, expected, what):
    if got != expected:
        raise AssertionError(f"{what}: expected {short(expected)}, got {short(got)}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def same_sequence(got, expected, what):
    """Two long lists, said briefly."""
    equal(len(got), len(expected), f"number of {what}")
    for i, (a, b) in enumerate(zip(got, expected)):
        equal(a, b, f"{what}, the one at {i}")


def short(value):
    text = repr(value)
    return text if len(text) < 300 else text[:300] + "..."


class Result:
    """How a `harewire` command ended."""

    def __init__(self, command, status, out, err):
        self.command, self.status, self.err = command, status, err.decode(errors="replace")
        self.body, _, last = out.rstrip(b"\n").rpartition(b"\n")
        try:
            self.json = json.loads(last)
        except ValueError:
            raise AssertionError(f"{self.text()}\nthe last line of standard output is not JSON: {short(last)}") from None

    def text(self):
        return f"$ {' '.join(self.command)}\nexit {self.status}\n{self.err}"

    def __getitem__(self, name):
        return self.json[name]


class Running:
    """A `harewire` command that runs. Ended with the case, however that ends."""

    def __init__(self, command, environment):
        self.command = command
        self.process = subprocess.Popen([*AFTER_THE_BROKER, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=environment)

    def wait(self, timeout=LIMIT_S):
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"$ {' '.join(self.command)}\nno end after {timeout} s\n"
                                 f"{out.decode(errors='replace')[-2000:]}{err.decode(errors='replace')[-2000:]}") from None
        return Result(self.command, self.process.returncode, out, err)

    def ended(self):
        return self.process.poll() is not None

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


class Bench:
    """What a case works with: a lab that is up, a driver, a directory and a queue of its own."""

    def __init__(self, lab, driver, build):
        self.lab, self.build = lab, build
        self.driver, _, self.device = (driver or "").partition(" ")
        self.port = dpdk.Port(lab) if self.device and lab else None
        self.harewire = os.path.join(build, "harewire")
        self.queue = "q-" + uuid.uuid4().hex[:12]
        self.cleanup = contextlib.ExitStack()
        self.directory = self.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="harewire-test-"))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.cleanup.close()

    def path(self, name):
        return os.path.join(self.directory, name)

    def environment(self, **more):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AMQP_", "HAREWIRE_"))}
        return {**kept, "AMQP_URL": self.lab.url, "HAREWIRE_INTERFACE": self.lab.interface, **more}

    def start(self, *arguments, prefix=(), **environment):
        command = [*prefix, self.harewire, *map(str, arguments), "--json"]
        running = Running(command, self.environment(**environment))
        self.cleanup.callback(lambda: running.process.poll() is None and running.kill())
        return running

    def start_publisher(self, subcommand, *arguments, **environment):
        port, prefix = (self.port.arguments(), self.port.prefix()) if self.port else ((), ())
        return self.start(subcommand, *port, "--driver", self.driver, *arguments, prefix=prefix, **environment)

    def publish(self, subcommand, *arguments, **environment):
        """Runs `publish` or `feed` to its end with the case's driver, and checks that it was this driver indeed."""
        result = self.start_publisher(subcommand, *arguments, **environment).wait()
        equal(result["driver"]["name"], self.driver, result.text() + "driver")
        if self.driver != "kernel" and result["accepted"]:
            holds(result["driver"]["packets_sent"] > 0, f"no packet went through {self.driver}")
        return result

    def all_confirmed(self, result, count):
        for name, expected in (("attempted", count), ("accepted", count), ("confirmed", count), ("nacked", 0),
                               ("returned", 0), ("lost", 0), ("unconfirmed", 0)):
            equal(result[name], expected, result.text() + name)
        equal(result.status, 0, result.text() + "exit status")

    def adds_up(self, result):
        """Every message attempted was accepted or not, and every accepted one has exactly one outcome."""
        equal(result["accepted"] + result["refused"] + result["dropped"], result["attempted"], result.text() + "attempted")
        parts = [result[name] for name in ("confirmed", "nacked", "returned", "lost", "unconfirmed")]
        equal(sum(parts), result["accepted"], f"{result.text()}the sum of the outcomes {parts}")

    def consumer(self, queue, *arguments):
        return self.start("consume", "--queue", queue, *arguments, prefix=self.lab.inside())

    def arrived_once_in_order(self, result, count):
        for name, expected in (("received", count), ("gaps", 0), ("duplicates", 0), ("disorder", 0), ("unsequenced", 0)):
            equal(result[name], expected, result.text() + name)
        equal(result.status, 0, result.text() + "exit status")

    def amqp(self, **options):
        return amqp.Connection(self.lab, **options)

    def make_queue(self, name=None):
        name = name or self.queue
        with self.amqp() as connection:
            connection.declare_queue(name)
        return name

    def until_published(self, running, count, durable=False):
        """Until so many messages of a `harewire` that runs are in its queue, which is declared here, too; tells how many there are."""
        with self.amqp() as connection:
            deadline = time.monotonic() + LIMIT_S
            while (found := connection.declare_queue(self.queue, durable)) < count:
                if running.ended():
                    raise AssertionError(running.wait().text() + "it ended before it was to")
                holds(time.monotonic() < deadline, f"not {count} messages in {LIMIT_S} s")
                time.sleep(0.02)
        return found

    def drain(self):
        """What `harewire consume --verify` finds in the case's durable queue, whose publisher has ended: nothing is waited for."""
        with self.amqp() as connection:
            held = connection.declare_queue(self.queue, durable=True)
        result = self.consumer(self.queue, "--verify", "--count", held, "--idle-timeout", 20).wait()
        equal(result["received"], held, result.text() + "messages consumed of those that lay in the queue")
        return result

    def messages(self, count, queue=None):
        """Takes `count` messages from a queue and checks that these were all."""
        queue = queue or self.queue
        with self.amqp() as connection:
            found = connection.consume(queue, count)
        with self.amqp() as connection:
            equal(connection.declare_queue(queue), 0, "messages left in the queue")
            connection.delete_queue(queue)
        return found


def repository(path):
    return os.path.join(ROOT, path)

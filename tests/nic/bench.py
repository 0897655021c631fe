"""harness.Bench for cases whose publisher runs in the guest; consumer, broker and what looks at them stay outside."""
import base64
import itertools
import shlex
import subprocess
import time

import dpdk
import harness
from guest import GuestError

POLL_S = 0.05
CONNECT_LIMIT_S = 60
job_numbers = itertools.count(1)


class Job:
    """A command that runs in the guest, as harness.Running is one that runs here."""

    def __init__(self, guest, nic, command, environment):
        self.guest, self.nic, self.command, self.name = guest, nic, command, f"job{next(job_numbers)}"
        settings = [f"{name}={value}" for name, value in environment.items()]
        guest.do(shlex.join(["start", self.name, "env", *settings, *command]))

    def _file(self, kind):
        return self.guest.ask(f"cat /run/{self.name}.{kind}")[1]

    def ended(self):
        return self.guest.ask(f"[ -e /run/{self.name}.status ]")[0] == 0

    def said(self):
        """Its standard error so far."""
        return self._file("err").decode(errors="replace")

    def await_words(self, words, after=None, limit_s=30):
        """Until it has said `words`, and has said them after `after`."""
        deadline = time.monotonic() + limit_s
        while words not in (self.said().rpartition(after)[2] if after else self.said()):
            harness.holds(time.monotonic() < deadline and not self.ended(), f"{words!r} was not said:\n{self.said()}")
            time.sleep(POLL_S)

    def wait(self, timeout=harness.LIMIT_S):
        deadline = time.monotonic() + timeout
        while not self.ended():
            if time.monotonic() > deadline:
                said = self.said()
                self.kill()
                raise AssertionError(f"$ {' '.join(self.command)}\nno end after {timeout} s\n{said[-2000:]}")
            time.sleep(POLL_S)
        return harness.Result(self.command, int(self._file("status")), self._file("out"), self._file("err"))

    def signal(self, name):
        self.guest.do(f"kill -{name} $(cat /run/{self.name}.pid)")

    def interrupt(self):
        self.signal("INT")

    def kill(self):
        if not self.ended():
            self.guest.killed_on.add(self.nic.name)
            self.signal("KILL")
            self.guest.do(f"while [ ! -e /run/{self.name}.status ]; do usleep 20000; done")


class GuestPort(dpdk.Port):
    """A NIC of the guest, for cases of tests/integration."""

    def __init__(self, lab, nic):
        super().__init__(lab)
        self.nic = nic

    address = property(lambda self: self.nic.address)
    gateway = property(lambda self: self.nic.gateway)
    broker_interface = property(lambda self: self.nic.tap)

    def arguments(self):
        return self.nic.harewire_arguments()


class GuestBench(harness.Bench):
    def __init__(self, guest, lab, nic, build):
        super().__init__(lab, None, build)
        self.guest, self.nic = guest, nic
        self.driver, self.port = "dpdk", GuestPort(lab, nic)
        # So that what the neighbour table knows is of this case.
        subprocess.run(["ip", "-n", lab.netns, "neighbour", "flush", "dev", nic.tap], check=True)

    def start_publisher(self, subcommand, *arguments, config=None, **environment):
        """`config`: a YAML file's text that brings its own device and driver."""
        if config:
            path = f"/run/config{next(job_numbers)}.yaml"
            self.guest.do(f"echo {base64.b64encode(config.encode()).decode()} | base64 -d >{path}")
            arguments = ("--config", path, *arguments)
        else:
            arguments = (*self.port.arguments(), *arguments)
        # An emulated machine on a busy host takes its time.
        arguments = ("--connect-timeout", CONNECT_LIMIT_S, *arguments)
        job = Job(self.guest, self.nic, ["harewire", subcommand, *map(str, arguments), "--json"],
                  {"AMQP_URL": self.lab.url, **environment})
        self.cleanup.callback(self._end, job)
        return job

    @staticmethod
    def _end(job):
        try:
            job.kill()
        except GuestError:
            pass  # it went with its guest

    def await_messages(self, count, limit_s=60):
        """Until so many are in the queue; tells how many there are."""
        deadline = time.monotonic() + limit_s
        with self.amqp() as connection:
            while (found := connection.declare_queue(self.queue)) < count:
                harness.holds(time.monotonic() < deadline, f"{found} of {count} messages arrived in {limit_s} s")
                time.sleep(POLL_S)
        return found

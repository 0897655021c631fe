"""scripts/lab from Python, and sockets in the broker's namespace."""
import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
CLONE_NEWNET = 0x40000000
LIMIT_S = 200


class LabError(Exception):
    pass


class Lab:
    """One lab by name. up() must have succeeded before anything else but down() is used."""

    def __init__(self, name, prefix=()):
        """`prefix` of each command: where the lab is built, if not here."""
        self.name, self.prefix = name, prefix
        self.environment = {}

    def run(self, *arguments, check=True):
        command = [*self.prefix, ROOT + "/scripts/lab", "--name", self.name, *map(str, arguments)]
        done = subprocess.run(command, timeout=LIMIT_S,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if check and done.returncode != 0:
            raise LabError(f"scripts/lab {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
        return done

    def up(self, queues=1, settings=(), device=None, cluster=()):
        """`device`: the virtual device of the driver dpdk that leads to the broker. `cluster`: options that put it in one."""
        link = ("--driver", "dpdk", "--device", device) if device else ("--queues", queues)
        self.run("up", *link, *cluster, *sum((["--set", s] for s in settings), []))
        self.read_environment()

    def down(self):
        self.run("down")

    def start_broker(self, *settings):
        self.run("start-broker", *sum((["--set", s] for s in settings), []))
        self.read_environment()

    def freeze_broker(self):
        """It takes and answers nothing any more, for `kill` to come upon messages under way."""
        os.kill(int(self.environment["BROKER_PID"]), signal.SIGSTOP)

    def stop_broker(self):
        self.run("stop-broker")

    def ctl(self, *arguments):
        return self.run("ctl", *arguments).stdout

    def close_connection(self, name):
        """The broker closes the connection of that name, once there is one."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for line in self.ctl("-q", "list_connections", "pid", "client_properties").splitlines():
                pid, _, properties = line.partition("\t")
                if f'"{name}"' in properties:
                    self.ctl("close_connection", pid, "for a test")
                    return
            time.sleep(0.1)
        raise LabError(f"the broker has no connection named {name}")

    def read_environment(self):
        lines = shlex.split(self.run("status", "--env").stdout)
        self.environment = dict(line.split("=", 1) for line in lines)

    @property
    def url(self):
        return self.environment["AMQP_URL"]

    @property
    def broker_ip(self):
        return self.environment["BROKER_IP"]

    @property
    def netns(self):
        return self.environment["BROKER_NETNS"]

    @property
    def interface(self):
        return self.environment["HAREWIRE_INTERFACE"]

    def inside(self, *command):
        """A command line that runs in the broker's namespace."""
        return inside(self.netns, *command)

    def namespace(self):
        """Sockets made in this context belong to the broker's namespace for good."""
        return inside_namespace(self.netns)

    @contextlib.contextmanager
    def loss(self, percent, interface=None, only=None):
        """
        TCP packets are lost in both directions (or only: "ingress", "egress"), on the lab's link or on another interface of the
        broker's namespace; yields a function that tells how many: {"INGRESS_DROPPED": n, ...}.
        """
        where = ("--on", interface) if interface else ()

        def loss(*what):
            return self.run("loss", *where, *what).stdout
        loss(*(("--only", only) if only else ()), percent)
        try:
            yield lambda: {k: int(v) for k, v in (line.split("=") for line in loss("count").split())}
        finally:
            loss("off")


def inside(netns, *command):
    return ["ip", "netns", "exec", netns, *command]


@contextlib.contextmanager
def inside_namespace(netns):
    with open("/proc/thread-self/ns/net") as ours, open("/run/netns/" + netns) as theirs:
        enter_namespace(theirs)
        try:
            yield
        finally:
            enter_namespace(ours)


def enter_namespace(file):
    if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")

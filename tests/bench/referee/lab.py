"""Two namespaces joined by a veth pair, and one publisher from the one to the sink in the other."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import messages

LIMIT_S = 60  # for one publisher
RECEIVER = "10.205.0.2"
TRIES = 20
CPUS = sorted(os.sched_getaffinity(0))
SENDER_CPU, SINK_CPU = CPUS[0], CPUS[-1]

# Both ends compute checksums and cut segments themselves: what is compared is TCP, not who has offloads.
OFFLOADS_OFF = ["tso", "off", "gso", "off", "gro", "off", "tx", "off"]

# By name: driver, and for the kernel's the congestion control.
SENDERS = {"af_xdp": ("af_xdp", None), "kernel": ("kernel", "cubic"), "kernel-bbr": ("kernel", "bbr"),
           "kernel-reno": ("kernel", "reno")}


class RefereeError(Exception):
    pass


class Unfinished(RefereeError):
    """A publisher that backs off for ever longer is a result, too."""


def command(*arguments):
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RefereeError(f"$ {' '.join(arguments)}\n{done.stdout}")
    return done.stdout


def alone_on(cpu):
    """A CPU for itself, as far as a shared machine gives one away: whoever else wants it waits."""
    return ["taskset", "-c", str(cpu), "nice", "-n", "-20"]


AUTOGROUP = "/proc/self/autogroup"


@contextlib.contextmanager
def before_other_sessions():
    """Where the kernel shares CPUs out by session (autogroup), nice says nothing against another session; this does."""
    was = None
    try:
        with open(AUTOGROUP) as f:
            words = f.read().split()  # "/autogroup-N nice N", or nothing where this process is in no autogroup
        if words:
            was = words[-1]
            set_autogroup("-20")
    except OSError:
        was = None
    try:
        yield
    finally:
        if was is not None:
            set_autogroup(was)


def set_autogroup(nice):
    with open(AUTOGROUP, "w") as f:
        f.write(nice)


def sweep():
    """What runs that were killed have left behind."""
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else []:
        kind, _, pid = name.rpartition("-")
        if kind in ("referee-tx", "referee-rx") and pid.isdigit() and not os.path.exists("/proc/" + pid):
            subprocess.run(["ip", "netns", "delete", name], check=False)


class Lab:
    """Use in a `with`. Namespaces are named after this process."""

    def __init__(self, build):
        self.build = build
        self.tx, self.rx = (f"referee-{end}-{os.getpid()}" for end in ("tx", "rx"))
        self.cleanup = contextlib.ExitStack()

    def __enter__(self):
        sweep()
        with self.cleanup as building:
            building.enter_context(before_other_sessions())
            self.directory = building.enter_context(tempfile.TemporaryDirectory(prefix="referee-"))
            for namespace in (self.tx, self.rx):
                command("ip", "netns", "add", namespace)
                building.callback(subprocess.run, ["ip", "netns", "delete", namespace], check=False)
                # No IPv6 chatter, and no memory of earlier connections' round trips and windows.
                command(*self.inside(namespace), "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
                        "net.ipv4.tcp_no_metrics_save=1")
            command("ip", "link", "add", "ref0", "netns", self.tx, "type", "veth", "peer", "name", "ref1", "netns", self.rx)
            for namespace, link, address in ((self.tx, "ref0", "10.205.0.1/30"), (self.rx, "ref1", RECEIVER + "/30")):
                command("ip", "-n", namespace, "address", "add", address, "dev", link)
                command("ip", "-n", namespace, "link", "set", link, "up")
                command("ip", "-n", namespace, "link", "set", "lo", "up")
                command(*self.inside(namespace), "ethtool", "-K", link, *OFFLOADS_OFF)
            self.cleanup = building.pop_all()
        return self

    def __exit__(self, *error):
        self.cleanup.close()

    def inside(self, namespace):
        return ["ip", "netns", "exec", namespace]

    def set_congestion(self, name):
        """By the route: the sysctl of a namespace takes only what the host allows everybody."""
        command("ip", "-n", self.tx, "route", "replace", RECEIVER, "dev", "ref0", "congctl", name)

    @contextlib.contextmanager
    def capturing(self, path):
        """All packets at the receiver's door, before any is dropped, into a file. `path` None: nothing."""
        if path is None:
            yield
            return
        tcpdump = subprocess.Popen([*self.inside(self.rx), "tcpdump", "-i", "ref1", "--immediate-mode", "-U", "-Z", "root",
                                    "-s", "128", "-B", "16384", "-w", path, "tcp"], stderr=subprocess.PIPE, text=True)
        try:
            while "listening on" not in (line := tcpdump.stderr.readline()):
                if not line:
                    raise RefereeError("tcpdump does not start")
            yield
        finally:
            tcpdump.send_signal(signal.SIGINT)
            tcpdump.communicate()

    def run(self, sender, load, seed, sink_arguments=(), capture=None):
        """One publisher's whole life: what the sink and the publisher say of it, as one dictionary."""
        driver, congestion = SENDERS[sender]
        if congestion:
            self.set_congestion(congestion)
        received = os.path.join(self.directory, "received")
        with self.capturing(capture), self.sink(load, seed, received, sink_arguments) as sink:
            published = self.publish(driver, load)
            try:
                told = json.loads(sink.communicate(timeout=LIMIT_S)[0])
            except (ValueError, subprocess.TimeoutExpired):
                raise RefereeError(f"{sender}: the sink has failed") from None
        if published["driver"]["name"] != driver:
            raise RefereeError(f"{sender} was carried by the driver {published['driver']['name']}")
        with open(received, "rb") as f:
            told["intact"] = f.read() == messages.stream(load.count, load.size)
        return {"sender": sender, "seed": seed, **load.described(), **told, "published": published}

    @contextlib.contextmanager
    def sink(self, load, seed, received, more):
        octets = messages.message_octets(load.size)
        arguments = ["-a", RECEIVER, "-i", "ref1", "-o", received, "-m", octets, "-n", octets * load.count,
                     "-l", load.per_million, "-s", seed, *(["-e"] if load.rate else []), *more]
        sink = subprocess.Popen([*self.inside(self.rx), *alone_on(SINK_CPU), os.path.join(self.build, "tests/bench/referee/sink"),
                                 *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            if sink.stdout.readline() != "ready\n":
                raise RefereeError("the sink does not start")
            yield sink
        finally:
            if sink.poll() is None:
                sink.kill()
            sink.communicate()

    def publish(self, driver, load):
        arguments = ["publish", "--url", f"amqp://{RECEIVER}", "--routing-key", messages.ROUTING_KEY, "--slots", "none",
                     "--driver", driver, "--inline", "--idle", "spin", "--heartbeat", "0", "--log-bytes", "32M", "--json", "--quiet",
                     "--timeout", 2 * LIMIT_S, "--size", load.size, "--count", load.count, *(["--rate", load.rate] if load.rate else [])]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AMQP_", "HAREWIRE_"))}
        for _ in range(TRIES):
            done, told = self.harewire(arguments, environment)
            # The kernel lets go of the last run's queue in its own time, in which nobody connects: that is no result.
            if told.get("error", {}).get("name") != "BUSY":
                break
        if done.returncode != 0:
            raise RefereeError(f"{driver}: exit {done.returncode}\n{told}\n{done.stderr.decode()}")
        return told

    def harewire(self, arguments, environment):
        command = [*self.inside(self.tx), *alone_on(SENDER_CPU), os.path.join(self.build, "harewire"), *map(str, arguments)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
                                  timeout=LIMIT_S)
            return done, json.loads(done.stdout.splitlines()[-1])
        except subprocess.TimeoutExpired:
            raise Unfinished(f"no end after {LIMIT_S} s: {' '.join(command)}") from None
        except (ValueError, IndexError):
            raise RefereeError(f"exit {done.returncode}: {' '.join(command)}\n{done.stderr.decode()}") from None

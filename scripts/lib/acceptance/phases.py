"""The runs of `harewire` that make up an acceptance, each for its share of the time. A phase is a dictionary for the report."""
import json
import shlex
import subprocess
import uuid

import environment

GRACE_S = 60
BODY_BYTES = 300
FIRST_LOOK = 20000  # messages at full speed, from which it is known how many fill a share of the time; fewer for a few seconds
# What every phase sets itself: an operator's own would make the figures mean something else than the report says.
OWN = ("-r", "--rate", "-n", "--count", "-s", "--size", "-q", "--queue", "-k", "--routing-key", "-e", "--exchange", "-b", "--body", "-f",
       "--file", "-l", "--lines", "--duration", "--quiet", "-h", "--help")


def refused(arguments):
    """The first of them that a phase sets itself, or None."""
    return next((a for a in arguments if a.partition("=")[0] in OWN), None)


def value_of(arguments, name):
    """The last value of an option in a command line, or None."""
    found = None
    for i, argument in enumerate(arguments):
        if argument == name and i + 1 < len(arguments):
            found = arguments[i + 1]
        elif argument.startswith(name + "="):
            found = argument[len(name) + 1:]
    return found


class Bench:
    """How `harewire` is called, and against what."""

    def __init__(self, harewire, arguments, run="", consumer_run=None):
        self.harewire, self.arguments = harewire, arguments
        self.prefix = shlex.split(run)
        self.consumer_prefix = None if consumer_run is None else shlex.split(consumer_run)
        self.key = "harewire-acceptance-" + uuid.uuid4().hex[:8]
        self.interface = value_of(arguments, "--interface") or value_of(arguments, "-i")
        cpu = value_of(arguments, "--cpu")
        self.cpu = int(cpu) if cpu and cpu.isdecimal() else None

    def can(self, option):
        """Does this build's `publish` know it?"""
        return option in (environment.output(self.harewire, "help", "publish") or "")

    def command(self, *options):
        return [*self.prefix, self.harewire, "publish", *self.arguments, "--size", str(BODY_BYTES), *map(str, options), "--json"]

    def counters(self):
        return {"interface": environment.interface_counters(self.interface, self.prefix) if self.interface else {},
                "interruptions": environment.interruptions(self.cpu) if self.cpu is not None else {}}

    def publish(self, name, timeout_s, *options, rate=None):
        """Nothing is routed anywhere: the broker confirms, and keeps nothing."""
        return self.measure(name, timeout_s, "--routing-key", self.key, *options, rate=rate)

    def measure(self, name, timeout_s, *options, rate=None):
        """`rate`: messages a second, or None for as fast as it goes, whatever a config file says."""
        command, before = self.command(*options, "--rate", rate or "max"), self.counters()
        phase = {"phase": name, "rate": rate, "command": shlex.join(command[len(self.prefix):])}
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  timeout=timeout_s + GRACE_S)
            phase.update(exit=done.returncode, said=done.stderr.strip(), result=last_json(done.stdout))
        except subprocess.TimeoutExpired as e:
            phase.update(exit=None, said=f"no end after {e.timeout:.0f} s", result=None)
        after = self.counters()
        phase["counters"] = {kind: environment.grown(before[kind], after[kind]) for kind in after}
        return phase


def last_json(text):
    try:
        return json.loads(text.rstrip("\n").rpartition("\n")[2])
    except ValueError:
        return None


def at_rate(bench, rate, seconds):
    count = max(1, int(rate * seconds))
    return bench.publish(f"{rate} a second", seconds, "--count", count, rate=rate)


def full_speed(bench, seconds, name="full speed", *options):
    """A first look tells how many messages fill the time; the broker is what limits most."""
    look = max(1000, min(FIRST_LOOK, int(seconds * FIRST_LOOK / 4)))
    first = bench.publish(name, seconds, "--count", look, *options)
    took = (first["result"] or {}).get("seconds") or 0
    if first["exit"] != 0 or took <= 0 or took >= seconds:
        return first
    return bench.publish(name, seconds, "--count", int(look * seconds / max(took, 0.05)), *options)


def offload_variants(bench, seconds):
    """The same at full speed with each offload as it comes, on and off. A device that has not got it says so."""
    variants = []
    for option in ("--checksum-offload", "--tso"):
        if bench.can(option):
            variants += [(option, "on"), (option, "off")]
    return [full_speed(bench, seconds / len(variants), f"{option[2:]} {use}", option, use) for option, use in variants]


def delivered(bench, rate, seconds):
    """Through a queue, to a consumer that checks the sequence. The queue goes with the consumer."""
    count = max(1, int(rate * seconds))
    queue = bench.key + "-queue"
    consume = [*bench.consumer_prefix, bench.harewire, "consume", "--queue", queue, "--auto-delete", "--verify", "--count",
               str(count), "--idle-timeout", "20", "--json"]
    consumer = subprocess.Popen(consume, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        phase = bench.measure(f"delivered, {rate} a second", seconds, "--queue", queue, "--auto-delete", "--count", count, rate=rate)
        if not (phase["result"] or {}).get("accepted"):
            consumer.terminate()  # nothing will come
        out, err = consumer.communicate(timeout=seconds + GRACE_S)
        phase["consumer"] = {"exit": consumer.returncode, "said": err.strip(), "result": last_json(out)}
    except subprocess.TimeoutExpired:
        phase["consumer"] = {"exit": None, "said": "no end", "result": None}
    finally:
        if consumer.poll() is None:
            consumer.kill()
            consumer.communicate()
    return phase


def run_all(bench, seconds, rates, tell):
    """All phases, in about that time."""
    found = []

    def add(phase):
        found.append(phase)
        tell(f"{phase['phase']}: {'done' if phase['exit'] == 0 else 'FAILED'}")

    has_offloads = bench.can("--tso") and value_of(bench.arguments, "--driver") == "dpdk"
    shares = {"rates": 0.5, "full": 0.1, "delivered": 0.25, "offloads": 0.15}
    if not has_offloads:
        shares["rates"] += shares.pop("offloads")
    if bench.consumer_prefix is None:
        shares["rates"] += shares.pop("delivered")
    for rate in rates:
        add(at_rate(bench, rate, seconds * shares["rates"] / len(rates)))
    add(full_speed(bench, seconds * shares["full"]))
    if has_offloads:
        for phase in offload_variants(bench, seconds * shares["offloads"]):
            add(phase)
    if bench.consumer_prefix is not None:
        add(delivered(bench, rates[len(rates) // 2], seconds * shares["delivered"]))
    return found

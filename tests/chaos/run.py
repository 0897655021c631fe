#!/usr/bin/env python3
"""
The chaos run: run.py --seed N --minutes M --driver af_xdp|kernel [--short] [--keep DIR]

A publisher at a steady rate, a consumer that writes down every delivery, and a script of faults drawn from the seed: first
around one broker, then around a cluster of three. What each fault may cost is in faults.py and docs/reliability.md; everything
else that is missing, doubled or out of order fails the run. --short: a few faults around one broker. --print-script: only says
what would be done. Files of a run that failed are kept. The last line is "N passed, N failed", of the faults. Root.
"""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import checker  # noqa: E402
import crash  # noqa: E402
import faults  # noqa: E402
from phase import STEADY_S, ChaosError, Phase  # noqa: E402
from surroundings import LabError, Surroundings  # noqa: E402
import amqp  # noqa: E402
from lab import ROOT  # noqa: E402

ALONE_SHARE = 0.65    # of the time is for the single broker


class Tally:
    """The figures of all phases, side by side, and how many things were done and found."""

    def __init__(self):
        self.done = self.found = 0
        self.columns = {}

    def find(self, what):
        self.found += 1
        print("FOUND:", what, flush=True)

    def judge(self, phase):
        """What a history was, and what is wrong with it."""
        verdict = checker.Checker(phase.history)
        findings = verdict.check()
        self.done += max(len(phase.history.windows), 1)
        self.columns[phase.name] = verdict.account()
        if phase.history.windows:
            print(checker.table(phase.history))
        if phase.history.report:
            for what, name in (("calls of publish", "calls"), ("copies of 16 KiB beside them", "copies")):
                print(f"{what}: " + ", ".join(f"{key} {n:,}" for key, n in phase.history.report[name].items()))
            print(f"memory: {verdict.memory_before():,} kB before the first fault, {phase.history.memory[-1][1]:,} kB at the end")
        for finding in findings:
            self.find(finding)

    def text(self):
        lines = ["".join([f"{'':<36}"] + [f"{name:>16}" for name in self.columns])]
        for row in checker.ACCOUNT:
            cells = [f"{account[row]:>16,}" if account[row] is not None else f"{'-':>16}" for account in self.columns.values()]
            lines.append("".join([f"{row:<36}"] + cells))
        return "\n".join(lines)


def phases(options):
    """(name, nodes, queue type, script, its chance, seconds) of each."""
    if options.short:
        names = options.faults or faults.SHORT
        yield "alone", 1, "classic", names, 0
        return
    seconds = options.minutes * 60
    yield "alone", 1, "classic", options.faults or faults.names_for(1), seconds * ALONE_SHARE
    yield "cluster", 3, "quorum", options.faults or faults.names_for(3), seconds * (1 - ALONE_SHARE)


def written_script(options, name, nodes, names):
    chance = random.Random(f"{options.seed} {name}")
    names = [n for n in names if faults.FAULTS[n].nodes == nodes]
    return faults.write_script(chance, names, 1 if options.short else 50), chance


# What may go wrong with brokers, commands and sockets of the run: said, and a failure, and the next phase begins.
TROUBLE = (ChaosError, LabError, amqp.AmqpError, OSError, AssertionError, subprocess.TimeoutExpired)


def run_script(phase, options, script, chance, seconds, tally):
    until_ns = time.monotonic_ns() + int(seconds * 1e9)
    try:
        phase.play(script, 5 if options.short else STEADY_S, chance, until_ns)
        phase.finish()
    except TROUBLE as e:
        tally.find(f"{type(e).__name__}: {e}")
        phase.stop_as_it_is()
    tally.judge(phase)


def run_phase(options, directory, name, nodes, queue_type, script, chance, seconds, tally):
    print(f"\n==== {name}: {nodes} broker{'s' if nodes > 1 else ''}, a durable {queue_type} queue, "
          f"{options.rate} messages a second over {options.driver}", flush=True)
    with Surroundings(options.name, nodes) as surroundings:
        with Phase(surroundings, options, directory, "chaos-" + name, queue_type) as phase:
            run_script(phase, options, script, chance, seconds, tally)
        if nodes == 1 and not options.faults:
            run_crash(surroundings, options, directory, tally)


def run_crash(surroundings, options, directory, tally):
    print("\n==== crash: the publisher's process is ended by SIGKILL", flush=True)
    with Phase(surroundings, options, directory, "chaos-crash", "classic") as phase:
        try:
            crash.crash(phase, options.driver)
            tally.judge(phase)
        except TROUBLE as e:
            tally.find(f"{type(e).__name__}: {e}")


def print_scripts(options):
    for name, nodes, _, names, _ in phases(options):
        for fault, parameters in written_script(options, name, nodes, names)[0]:
            print(f"{name}: {fault.name} {json.dumps(parameters)}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.environ.get("B", "build"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--driver", default="af_xdp")
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--name", default="chaos", help="of its labs: another run beside this one needs another")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--faults", type=lambda text: text.split(","), help="only these")
    parser.add_argument("--keep", help="directory for the files of the run")
    parser.add_argument("--print-script", action="store_true")
    options = parser.parse_args()
    for name in options.faults or ():
        if name not in faults.FAULTS:
            parser.error(f"there is no fault {name!r}: {', '.join(faults.FAULTS)}")
    options.build = os.path.join(ROOT, options.build)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    if options.print_script:
        return print_scripts(options)
    directory = options.keep or tempfile.mkdtemp(prefix="harewire-chaos-")
    os.makedirs(directory, exist_ok=True)
    print(f"seed {options.seed}, driver {options.driver}")
    tally = Tally()
    try:
        for name, nodes, queue_type, names, seconds in phases(options):
            script, chance = written_script(options, name, nodes, names)
            if script:
                run_phase(options, directory, name, nodes, queue_type, script, chance, seconds, tally)
    finally:
        if tally.found:
            print(f"the files of this run are in {directory}")
        elif not options.keep:
            shutil.rmtree(directory)
    print(f"\n{tally.text()}\n\n{max(tally.done - tally.found, 0)} passed, {tally.found} failed")
    return 1 if tally.found else 0


if __name__ == "__main__":
    sys.exit(main())

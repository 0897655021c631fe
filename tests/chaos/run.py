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


def judge(phase):
    """Prints figures and findings; returns how many findings there are."""
    verdict = checker.Checker(phase.history)
    findings = verdict.check()
    report = phase.history.report
    if phase.history.windows:
        print(checker.table(phase.history))
    figures = dict(verdict.figures)
    if report:
        figures = {"attempted": report["attempted"], **figures, "superseded": 0, "replayed": report["stats"]["replayed"]}
        print("calls of publish: " + ", ".join(f"{k} {v:,}" for k, v in report["calls"].items()))
        print(f"connections {report['stats']['connections']}, channels re-opened {report['stats']['channels']}, "
              f"retransmits {report['stats']['retransmits']:,}, refused {report['stats']['refused']:,} "
              f"(log full: {report['refused_log_full']:,}), memory "
              f"{verdict.memory_before()} kB before the first fault, {phase.history.memory[-1][1]} kB at the end")
    print(", ".join(f"{name} {n:,}" for name, n in figures.items()))
    for finding in findings:
        print("FOUND:", finding)
    return len(findings)


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


def run_script(phase, options, script, chance, seconds):
    """How many findings there are."""
    until_ns = time.monotonic_ns() + int(seconds * 1e9)
    broken = 0
    try:
        phase.play(script, 5 if options.short else STEADY_S, chance, until_ns)
        phase.finish()
    except (ChaosError, LabError, amqp.AmqpError, OSError, AssertionError, subprocess.TimeoutExpired) as e:
        print(f"FOUND: {type(e).__name__}: {e}")
        phase.stop_as_it_is()
        broken = 1
    return broken + judge(phase)


def run_phase(options, directory, name, nodes, queue_type, script, chance, seconds):
    """(things done, findings)"""
    print(f"\n==== {name}: {nodes} broker{'s' if nodes > 1 else ''}, a durable {queue_type} queue, "
          f"{options.rate} messages a second over {options.driver}", flush=True)
    with Surroundings("chaos", nodes) as surroundings:
        with Phase(surroundings, options, directory, "chaos-" + name, queue_type) as phase:
            found = run_script(phase, options, script, chance, seconds)
            done = len(phase.history.windows)
        if nodes == 1 and not options.faults:
            done, found = done + 1, found + run_crash(surroundings, options, directory)
    return done, found


def run_crash(surroundings, options, directory):
    print("\n==== crash: the publisher's process is ended by SIGKILL", flush=True)
    with Phase(surroundings, options, directory, "chaos-crash", "classic") as phase:
        try:
            crash.crash(phase, options.driver)
            return judge(phase)
        except (ChaosError, LabError, OSError, AssertionError, subprocess.TimeoutExpired) as e:
            print(f"FOUND: {type(e).__name__}: {e}")
            return 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.environ.get("B", "build"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--driver", default="af_xdp")
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--faults", type=lambda text: text.split(","), help="only these")
    parser.add_argument("--keep", help="directory for the files of the run")
    parser.add_argument("--print-script", action="store_true")
    options = parser.parse_args()
    options.build = os.path.join(ROOT, options.build)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    directory = options.keep or tempfile.mkdtemp(prefix="harewire-chaos-")
    os.makedirs(directory, exist_ok=True)
    done = found = 0
    try:
        for name, nodes, queue_type, names, seconds in phases(options):
            script, chance = written_script(options, name, nodes, names)
            if options.print_script:
                print("\n".join(f"{name}: {fault.name} {json.dumps(parameters)}" for fault, parameters in script))
            elif script:
                more_done, more_found = run_phase(options, directory, name, nodes, queue_type, script, chance, seconds)
                done, found = done + more_done, found + more_found
    finally:
        if found:
            print(f"the files of this run are in {directory}")
        elif not options.keep:
            shutil.rmtree(directory)
    print(f"{max(done - found, 0)} passed, {found} failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The integration tests: run.py [--build DIR] [--program PROGRAM]... [--lanes] [--list] [PATTERN...]

Brings labs up as cases ask for them, runs the cases whose names contain one of the patterns (default: all), takes the labs
down again whatever happened. --program adds test programs that bring their own surroundings. --lanes works on several labs at
a time: most of a case is waiting. The last line is "N passed, N failed[, N skipped]". Root.
"""
import argparse
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True

import harness  # noqa: E402
import cases_acceptance  # noqa: E402,F401
import cases_api  # noqa: E402,F401
import cases_console  # noqa: E402,F401
import cases_content  # noqa: E402,F401
import cases_dpdk  # noqa: E402,F401
import cases_failure  # noqa: E402,F401
import cases_feed  # noqa: E402,F401
import cases_lab  # noqa: E402,F401
import cases_limits  # noqa: E402,F401
import cases_loss  # noqa: E402,F401
import cases_offload  # noqa: E402,F401
import cases_outage  # noqa: E402,F401
import cases_privilege  # noqa: E402,F401
import cases_promises  # noqa: E402,F401
import cases_publishers  # noqa: E402,F401
import cases_reconnect  # noqa: E402,F401
import cases_wire  # noqa: E402,F401
import cases_workers  # noqa: E402,F401
import dpdk  # noqa: E402
from lab import Lab, LabError, ROOT  # noqa: E402

# Options of `lab up` by the name cases use. "none": the case builds its own.
LABS = {"plain": {}, "patient": {}, "queues": {"queues": 4},
        **{device: {"device": device} for device in dpdk.DEVICES}, "none": None}


# With --lanes: cases that are taken from one after the other, by the labs they are done in. The patient lab is for cases
# that wait for long times to pass. What there can be but one of, such as a tap by its name, is why only one lane takes them.
GROUPS = {"plain": ("plain",), "patient": ("patient", "queues", "none"), "dpdk": tuple(dpdk.DEVICES)}
# The groups that each lane works on, and what its labs' names end in.
LANES = ((("plain",), ""), (("plain",), "-b"), (("patient", "plain"), "-c"), (("dpdk",), ""))


class Labs:
    """The lab that is up: one at a time, the host is small. `suffix`: of its name."""

    def __init__(self, suffix=""):
        self.suffix = suffix
        self.kind, self.lab, self.hopeless = None, None, {}

    def get(self, kind):
        if kind != self.kind:
            self.down()
        if self.lab is None and LABS[kind] is not None:
            if kind in self.hopeless:
                raise LabError(self.hopeless[kind])
            self.kind, self.lab = kind, Lab("it-" + kind.rpartition("_")[2] + self.suffix)
            self.bring_up(kind)
        return self.lab

    def bring_up(self, kind):
        """Each attempt may take a minute: a lab that does not come up twice is not waited for by all of its cases."""
        for attempt in range(2):
            try:
                return self.lab.up(**LABS[kind])
            except (LabError, subprocess.TimeoutExpired) as e:
                reason = str(e)
                self.lab.down()
        self.kind, self.lab, self.hopeless[kind] = None, None, reason
        raise LabError(reason)

    def down(self):
        lab, self.kind, self.lab = self.lab, None, None
        if lab is not None:
            lab.down()

    def repair(self):
        """After a failed case: a broker that answers, no loss, no alarm."""
        try:
            if self.lab is not None:
                self.lab.run("loss", "off")
                self.lab.start_broker()
                self.lab.ctl("set_vm_memory_high_watermark", "0.4")
        except (LabError, subprocess.TimeoutExpired):
            self.down()


def run_case(labs, name, function, kind, driver, build):
    """'ok', 'skip' or 'FAIL', and what is to be said about it."""
    try:
        with harness.Bench(labs.get(kind), driver, build) as bench:
            function(bench)
        return "ok", ""
    except harness.Skip as reason:
        return "skip", str(reason)
    except AssertionError as e:
        where = traceback.extract_tb(e.__traceback__)[-1]
        for frame in traceback.extract_tb(e.__traceback__):
            if frame.name == function.__name__:
                where = frame
        text = f"{os.path.relpath(where.filename, ROOT)}:{where.lineno}: {e}"
    except Exception:  # a case's crash is that case's failure
        text = traceback.format_exc()
    labs.repair()
    return "FAIL", text


def run_program(path):
    status = subprocess.run([os.path.join(ROOT, "scripts", "run-tests"), path], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    lines = status.stdout.splitlines()
    print("\n".join(lines[:-1]), flush=True)
    counts = [int(word) for word in lines[-1].replace(",", "").split() if word.isdigit()]
    return counts + [0] * (3 - len(counts))


def chosen(patterns):
    order = list(LABS)
    cases = [c for c in harness.CASES if not patterns or any(p in c[0] for p in patterns)]
    return sorted(cases, key=lambda c: order.index(c[2]))


def run_cases(cases, build, suffix=""):
    tally = {"ok": 0, "FAIL": 0, "skip": 0}
    labs = Labs(suffix)
    try:
        for name, function, kind, driver in cases:
            began = time.monotonic()
            verdict, text = run_case(labs, name, function, kind, driver, build)
            tally[verdict] += 1
            print(f"{verdict:4} {name} ({time.monotonic() - began:.1f} s)" + (f": {text}" if text else ""), flush=True)
    finally:
        labs.down()
    return tally


def not_taken(groups):
    """The cases that no other lane has taken; of each group there are the cases, and how many are taken."""
    for cases, taken in groups:
        while True:
            with taken.get_lock():
                at = taken.value
                taken.value += 1
            if at >= len(cases):
                break
            yield cases[at]


def run_lane(groups, build, suffix, answer):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    answer.send(run_cases(not_taken(groups), build, suffix))


def run_lanes(cases, build):
    """The sum of all. A lane that dies fails the run, and so does a case that no lane has done."""
    # All counters live as long as the lanes: the memory of one that is let go of is the next one's.
    groups = {name: ([c for c in cases if c[2] in kinds], multiprocessing.Value("i", 0)) for name, kinds in GROUPS.items()}
    lanes, answers = [], []
    try:
        for names, suffix in LANES:
            answer, asked = multiprocessing.Pipe(duplex=False)
            lanes.append(multiprocessing.Process(target=run_lane,
                                                 args=([groups[name] for name in names], build, suffix, asked)))
            lanes[-1].start()
            asked.close()
            answers.append(answer)
        tallies = []
        for answer in answers:
            try:
                tallies.append(answer.recv())
            except EOFError:
                tallies.append({"ok": 0, "FAIL": 1, "skip": 0})
    except KeyboardInterrupt:
        deadline = time.monotonic() + 60
        for lane in lanes:
            lane.join(max(0, deadline - time.monotonic()))  # it was interrupted too, and takes its lab down
        raise
    finally:
        for lane in lanes:
            lane.terminate()
            lane.join()
    done = {verdict: sum(tally[verdict] for tally in tallies) for verdict in ("ok", "FAIL", "skip")}
    if sum(done.values()) != len(cases):
        print(f"FAIL of {len(cases)} cases {sum(done.values())} were done")
        done["FAIL"] += 1
    return done


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.environ.get("B", "build"))
    parser.add_argument("--program", action="append", default=[])
    parser.add_argument("--lanes", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    cases = chosen(options.patterns)
    if options.list:
        print("\n".join(name for name, *_ in cases))
        return 0
    if os.geteuid() != 0:
        sys.exit("the integration tests need root: network namespaces, XDP")
    # As an exception, so that the labs go down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    programs = [path for path in options.program if not options.patterns or any(p in path for p in options.patterns)]
    sums = [0, 0, 0]
    for path in programs:
        sums = [a + b for a, b in zip(sums, run_program(path))]
    tally = (run_lanes if options.lanes else run_cases)(cases, os.path.join(ROOT, options.build))
    passed, failed, skipped = sums[0] + tally["ok"], sums[1] + tally["FAIL"], sums[2] + tally["skip"]
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""publish() makes no system call in threaded mode, and allocates in neither."""
import json
import os
import re
import subprocess

from harness import DRIVERS, case, equal, holds

COUNT = 2000


def run_program(t, mode, strace=None):
    command = [os.path.join(t.build, "tests/integration/publish_calls"), mode, t.driver, t.queue, str(COUNT)]
    if strace:
        command = ["strace", "-f", "-qq", "-o", strace, *command]
    done = subprocess.run(command, env=t.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120)
    equal(done.returncode, 0, f"{done.stdout}{done.stderr}exit status")
    figures = json.loads(done.stdout)
    equal((figures["driver"], figures["confirmed"]), (t.driver, COUNT), "driver, confirmed")
    return figures


@case(drivers=DRIVERS)
def publish_makes_no_system_call(t):
    thread = run_program(t, "threaded", t.path("strace"))["thread"]
    calls, marks = [], 0
    with open(t.path("strace")) as f:
        for line in f:
            if not line.startswith(f"{thread} "):
                continue
            if re.search(r'write\(-1, "publish (begins|ends)"', line):
                marks += 1
            elif marks == 1 and "<... " not in line:
                calls.append(line.strip())
    equal(marks, 2, "the program's marks in strace's output")
    equal(calls, [], f"system calls between {COUNT} calls of publish")


@case(drivers=DRIVERS)
def publish_allocates_nothing_threaded(t):
    figures = run_program(t, "threaded")
    holds(figures["control_allocations"] > 0, "the interposer counted nothing at all")
    equal(figures["publish_allocations"], 0, "allocations while publishing")


@case(drivers=DRIVERS)
def publish_and_poll_allocate_nothing_inline(t):
    figures = run_program(t, "inline")
    holds(figures["control_allocations"] > 0, "the interposer counted nothing at all")
    equal(figures["publish_allocations"], 0, "allocations while publishing")

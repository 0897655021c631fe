"""publish() makes no system call in threaded mode, and allocates in neither."""
import json
import os
import re
import subprocess

from harness import DRIVERS, case, equal, holds

COUNT = 2000


class Situations:
    """What the program asks for while it runs, and takes back."""

    def __init__(self, lab):
        self.lab = lab

    def obey(self, line):
        actions = {"want alarm": lambda: self.lab.ctl("set_vm_memory_high_watermark", "0"),
                   "had alarm": lambda: self.lab.ctl("set_vm_memory_high_watermark", "0.4"),
                   "want loss": self.lab.stop_broker, "had loss": self.lab.start_broker}
        if line in actions:
            actions[line]()


def run_program(t, mode, *situations, strace=None):
    command = [os.path.join(t.build, "tests/integration/publish_calls"), mode, t.driver, t.queue, str(COUNT), *situations]
    if strace:
        command = ["strace", "-f", "-qq", "-o", strace, *command]
    lab, line = Situations(t.lab), ""
    with open(t.path("errors"), "w+") as errors, \
            subprocess.Popen(command, env=t.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                             text=True) as program:
        for line in program.stdout:
            lab.obey(line.strip())
        status = program.wait(timeout=120)
        errors.seek(0)
        equal(status, 0, f"{line}{errors.read()}exit status")
    figures = json.loads(line)
    equal((figures["driver"], figures["confirmed"], figures["losses"]),
          (t.driver, figures["published"], situations.count("loss")), "driver, confirmed, losses")
    holds(figures["published"] >= COUNT * (1 + len(situations)), f"only {figures['published']} messages were published")
    return figures


def system_calls(path, thread):
    """Those of the program's thread between its marks, and how many marks there are."""
    calls, marks = [], 0
    with open(path) as f:
        for line in f:
            if not line.startswith(f"{thread} "):
                continue
            if re.search(r'write\(-1, "publish (begins|ends)"', line):
                marks += 1
            elif marks % 2 == 1 and "<... " not in line:
                calls.append(line.strip())
    return calls, marks


@case(drivers=DRIVERS)
def publish_makes_no_system_call(t):
    thread = run_program(t, "threaded", strace=t.path("strace"))["thread"]
    calls, marks = system_calls(t.path("strace"), thread)
    equal(marks, 2, "the program's marks in strace's output")
    equal(calls, [], f"system calls between {COUNT} calls of publish")


@case(drivers=DRIVERS)
def publish_makes_no_system_call_and_allocates_nothing_through_an_alarm_and_a_loss(t):
    figures = run_program(t, "threaded", "alarm", "loss", strace=t.path("strace"))
    calls, marks = system_calls(t.path("strace"), figures["thread"])
    equal(marks, 6, "the program's marks in strace's output")
    equal(calls, [], f"system calls between {3 * COUNT} calls of publish")
    equal(figures["publish_allocations"], 0, "allocations while publishing")


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


@case(drivers=DRIVERS)
def publish_and_poll_allocate_nothing_inline_through_an_alarm_and_a_loss(t):
    equal(run_program(t, "inline", "alarm", "loss")["publish_allocations"], 0, "allocations while publishing")

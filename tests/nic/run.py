#!/usr/bin/env python3
"""Poll-mode drivers of real NICs in an emulated guest: run.py [--build DIR] [--capture FILE] [--full] [--list] [PATTERN...]

Boots one guest with all the NICs of nics.py, behind an emulated IOMMU, next to a RabbitMQ in a lab of its own, and runs those
rows of scenarios.py in it whose names contain one of the patterns (default: all). --capture: what is published instead of a
capture made here; --full: all of it, once for each NIC. The last line is "N passed, M failed". Root.
"""
import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import iex  # noqa: E402
import initramfs  # noqa: E402
import kernel  # noqa: E402
import scenarios  # noqa: E402
from bench import GuestBench  # noqa: E402
from guest import Guest, GuestError  # noqa: E402
from lab import Lab, LabError, ROOT  # noqa: E402
from nics import NICS  # noqa: E402

LIMIT_S, FULL_LIMIT_S = 1800, 7200  # the guest ends by itself then
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HERE = os.path.dirname(os.path.abspath(__file__))


stopped_by = []  # a signal's number


def stop(number, frame):
    """As an exception, so that the guest and the lab go down."""
    stopped_by.append(number)
    sys.exit(128 + number)


class Surroundings:
    """The lab, the taps, what the guest boots from; and the guest, booted anew after one that is lost."""

    def __init__(self, build, capture, limit_s):
        self.build, self.capture, self.limit_s = build, capture, limit_s
        self.lab = Lab(os.environ.get("HAREWIRE_LAB", "nic"))
        self.cleanup, self.guest_context = contextlib.ExitStack(), contextlib.ExitStack()
        self.guest = None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="harewire-nic-"))
            if not self.capture:
                self.capture = os.path.join(self.directory, "capture.pcap.gz")
                iex.write_capture(self.capture, scenarios.CAPTURED)
            self.make_initramfs()
            if self.lab.run("status", check=False).returncode == 0:
                raise LabError(f"the lab '{self.lab.name}' is up: another run, or what is left of one ('scripts/lab --name "
                               f"{self.lab.name} down' removes it)")
            stack.callback(self.lab.down)
            self.lab.up()
            for nic in NICS.values():
                stack.enter_context(nic.tap_up(self.lab))
            self.cleanup = stack.pop_all()
        return self

    def __exit__(self, *error):
        # Interrupted once is enough: what follows is to be finished.
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        with self.cleanup:
            self.guest_context.close()

    def make_initramfs(self):
        archive = initramfs.build(os.path.join(self.build, "harewire"), os.path.join(self.build, "nic", "kernel", "modules"),
                                  os.path.join(HERE, "init"), {scenarios.CAPTURE: self.capture}, self.directory)
        self.initramfs = os.path.join(self.directory, "initramfs")
        with open(self.initramfs, "wb") as f:
            f.write(archive)

    def booted(self):
        if not self.guest:
            began = time.monotonic()
            directory = self.guest_context.enter_context(tempfile.TemporaryDirectory(dir=self.directory))
            self.guest = self.guest_context.enter_context(
                Guest(os.path.join(self.build, "nic", "kernel", "vmlinux"), self.initramfs, list(NICS.values()), directory,
                      self.lab.inside, self.limit_s))
            for nic in NICS.values():
                self.guest.do(f"bind {nic.pci} vfio-pci")
            print(f"guest: {self.guest.do('uname -r').decode().strip()}, an initramfs of "
                  f"{os.path.getsize(self.initramfs) >> 20} MB, up in {time.monotonic() - began:.1f} s", flush=True)
        return self.guest

    def lose_guest(self):
        """It does not answer, or is gone: the next case gets another."""
        self.guest.kill()
        self.guest = None
        self.guest_context.close()


def run_case(surroundings, scenario, nic):
    """'' or what went wrong."""
    guest = surroundings.booted()
    try:
        with GuestBench(guest, surroundings.lab, nic, surroundings.build) as bench:
            bench.capture = surroundings.capture
            scenarios.run(bench, scenario)
    except GuestError as e:
        surroundings.lose_guest()
        return str(e)
    except AssertionError as e:
        return str(e)
    except Exception:  # a case's crash is that case's failure
        return traceback.format_exc()
    return ""


def run_cases(surroundings, cases):
    """How many failed. A guest that does not boot fails all that are left."""
    failed = 0
    for i, (name, scenario, nic) in enumerate(cases):
        began = time.monotonic()
        try:
            wrong = run_case(surroundings, scenario, nic)
        except GuestError as e:
            print(f"FAIL no guest, hence nothing from {name} on: {e}", flush=True)
            return failed + len(cases) - i
        if stopped_by:  # whatever became of the exception on its way
            sys.exit(128 + stopped_by[0])
        failed += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok':4} {name} ({time.monotonic() - began:.1f} s)" + (f": {wrong}" if wrong else ""),
              flush=True)
    return failed


def chosen(patterns, full):
    return [case for case in scenarios.cases()
            if (full or not case[1].full_only) and (not patterns or any(p in case[0] for p in patterns))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.environ.get("B", "build"))
    parser.add_argument("--capture", default=os.environ.get("HAREWIRE_CAPTURE"))
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    cases = chosen(options.patterns, options.full)
    if options.list:
        print("\n".join(name for name, *_ in cases))
        return 0
    if os.geteuid() != 0:
        sys.exit("make test-nic needs root: network namespaces, taps")
    for number in STOPPING:
        signal.signal(number, stop)

    build = os.path.join(ROOT, options.build)
    failed = len(cases)
    try:
        kernel.fetch(os.path.join(build, "nic", "kernel"))
        with Surroundings(build, options.capture, FULL_LIMIT_S if options.full else LIMIT_S) as surroundings:
            failed = run_cases(surroundings, cases)
    except (kernel.KernelError, initramfs.InitramfsError, LabError, OSError) as e:
        print(f"FAIL {e}")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

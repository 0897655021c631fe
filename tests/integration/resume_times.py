#!/usr/bin/env python3
"""How long after a broker that was killed accepts connections again is the first message confirmed?

resume_times.py [--build DIR] [--runs N] [DRIVER...]: in a lab of its own. A line for each run, a sorted one for each driver. Root.
"""
import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True

from lab import Lab, ROOT  # noqa: E402


class Accepted:
    """When the broker accepts a connection first, by CLOCK_MONOTONIC; asked every half millisecond."""

    def __init__(self, lab):
        self.lab, self.ns = lab, None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while self.ns is None:
            with self.lab.namespace():
                s = socket.socket()
            with s:
                if s.connect_ex((self.lab.broker_ip, 5672)) == 0:
                    self.ns = time.monotonic_ns()
            time.sleep(0.0005)


def next_told(program, what):
    for line in program.stdout:
        word, ns = line.split()
        if word == what:
            return int(ns)
    raise RuntimeError(f"the publisher has ended: exit {program.wait()}")


def measure(lab, build, driver, runs):
    environment = {**os.environ, "AMQP_URL": lab.url, "HAREWIRE_INTERFACE": lab.interface}
    program = subprocess.Popen([os.path.join(build, "tests/integration/resume"), driver, "q-" + driver], text=True,
                               env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    times = []
    try:
        next_told(program, "confirmed")
        for _ in range(runs):
            lab.run("kill")
            next_told(program, "lost")
            accepted = Accepted(lab)
            lab.start_broker()
            confirmed = next_told(program, "confirmed")
            accepted.thread.join(10)
            times.append((confirmed - accepted.ns) / 1e6)
            print(f"{driver}: {times[-1]:.1f} ms", flush=True)
    finally:
        program.stdin.close()
        program.wait()
    return sorted(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.environ.get("B", "build"))
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("drivers", nargs="*", default=["af_xdp", "kernel"])
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the lab goes down
    lab = Lab("resume")
    try:
        lab.up()
        for driver in options.drivers:
            times = measure(lab, os.path.join(ROOT, options.build), driver, options.runs)
            print(f"{driver}, from accepting to the first confirm: " + " ".join(f"{t:.1f}" for t in times) + " ms",
                  flush=True)
    finally:
        lab.down()


if __name__ == "__main__":
    main()

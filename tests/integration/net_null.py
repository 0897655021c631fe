#!/usr/bin/env python3
"""The floor over DPDK's net_null: net_null.py PROGRAM (tests/integration/net_null). Prints what a message costs there.

A pinned worker, watched by a seccomp filter and an allocation counter on its own thread, publishes to a peer that answers
without a network. That the watch finds what it is for is tested too. The costs are callgrind's, of the same path on one
thread: all of it, and the peer's part of that.
"""
import importlib.util
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = importlib.util.spec_from_file_location("bench", os.path.join(HERE, "..", "bench", "bench-instructions.py"))
BENCH = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(BENCH)

MESSAGES = 300000
PEER = ("peer_take_frame", "peer_fill_burst")
FEW_MANY = (2000, 10000)


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=180)
    if done.returncode != 0:
        raise AssertionError(f"net_null {arguments}: exit {done.returncode}\n{done.stdout}")
    return json.loads(done.stdout.splitlines()[-1])


def equal(got, expected, what):
    if got != expected:
        raise AssertionError(f"{what}: expected {expected}, got {got}")


def the_worker_makes_no_system_call_and_allocates_nothing(program):
    figures = run(program, "threaded", MESSAGES)
    for name, expected in (("watched", True), ("worker_cpus", 1), ("system_call", -1), ("worker_allocations", 0),
                           ("dpdk_allocations", 0), ("confirmed", MESSAGES), ("peer_messages", MESSAGES)):
        equal(figures[name], expected, name)
    equal(figures["packets_sent"] > MESSAGES / 10, True, "packets went through net_null")
    equal(figures["other_allocations"] > 0, True, "the interposer counts at all")
    return f"{MESSAGES} messages, {figures['packets_sent']} packets, nine tenths of them watched: no system call, no allocation"


def a_system_call_would_be_found(program):
    figures = run(program, "threaded", 20000, "call")
    equal(figures["system_call"] >= 0, True, "the planted system call was seen")
    return f"the planted system call (number {figures['system_call']}) was"


def an_allocation_would_be_found(program):
    equal(run(program, "threaded", 20000, "allocate")["worker_allocations"], 1, "the planted allocation")
    return "the planted allocation was"


def what_a_message_costs(program):
    whole = BENCH.measure(program, BENCH.Scenario("whole", ["inline"], FEW_MANY))
    peer = BENCH.measure(program, BENCH.Scenario("peer", ["inline"], FEW_MANY, only=PEER))
    equal(0 < peer < whole, True, f"the peer's {peer} instructions are a part of {whole}")
    return (f"{whole:.0f} instructions a message of 256 octets from publish to its confirm, net_null included; of these "
            f"{peer:.0f} ({100 * peer / whole:.0f} %) are the peer's own, {whole - peer:.0f} are not")


def main(program):
    failed = 0
    tests = (the_worker_makes_no_system_call_and_allocates_nothing, a_system_call_would_be_found,
             an_allocation_would_be_found, what_a_message_costs)
    for test in tests:
        try:
            verdict, text = "ok", test(program)
        except (AssertionError, BENCH.Failure, subprocess.TimeoutExpired) as e:
            verdict, text, failed = "FAIL", str(e), failed + 1
        print(f"{verdict:4} {test.__name__}: {text}", flush=True)
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))

"""
The publisher's process is killed in the middle of its stream. What it had been told is confirmed is there, what it had not is
open; and nothing of it stays: no XDP program, no reserved port, no connection at the broker, nothing that would be in the way of
the next one.
"""
import json
import signal
import socket
import subprocess
import time

from phase import ChaosError, Phase
from surroundings import AMQP_PORT, INTERFACE, PUBLISHER_IP, inside_namespace, ip

FLOW_S = 2
GONE_S = 15


def xdp_programs():
    done = subprocess.run(["bpftool", "-j", "prog", "show"], stdout=subprocess.PIPE, text=True, check=True)
    return {program["id"] for program in json.loads(done.stdout) if program["type"] == "xdp"}


def xdp_is_attached(netns):
    return "xdp" in ip("-n", netns, "link", "show", "dev", INTERFACE)


def publishers_ports(node):
    """The publisher's ports of the connections that the broker's kernel knows."""
    done = subprocess.run(node.inside("ss", "-Htn", "sport", "=", f":{AMQP_PORT}", "and", "dst", PUBLISHER_IP),
                          stdout=subprocess.PIPE, text=True, check=True)
    return [int(line.split()[4].rpartition(":")[2]) for line in done.stdout.splitlines()]


def port_is_taken(netns, port):
    with inside_namespace(netns), socket.socket() as probe:
        try:
            probe.bind((PUBLISHER_IP, port))
            return False
        except OSError:
            return True


def await_end_of(what, holds):
    deadline = time.monotonic() + GONE_S
    while holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"{GONE_S} s after the publisher was killed there still is {what}")
        time.sleep(0.05)


def crash(phase, driver):
    """`phase` has been entered and not yet played."""
    netns, node = phase.surroundings.publisher, phase.node
    phase.await_flow()
    phase.flow_for(FLOW_S)
    programs = xdp_programs()
    port, = publishers_ports(node)
    seen = {"reserved port": port_is_taken(netns, port), "XDP program": driver != "af_xdp" or xdp_is_attached(netns)}
    for what, there in seen.items():
        if not there:
            raise AssertionError(f"the running publisher has no {what}: this sees nothing")
    phase.publisher.kill()

    await_end_of("its XDP program on the interface", lambda: driver == "af_xdp" and xdp_is_attached(netns))
    await_end_of("its XDP program in the kernel", lambda: driver == "af_xdp" and not programs - xdp_programs())
    await_end_of("its reserved port", lambda: port_is_taken(netns, port))
    await_end_of("its connection at the broker", lambda: publishers_ports(node))
    await_end_of("a process of it", lambda: ip("netns", "pids", netns).split())
    phase.drain()
    phase.consumer.end(signal.SIGTERM)
    phase.load("")
    next_one_works(phase)


def next_one_works(phase):
    with Phase(phase.surroundings, phase.options, phase.directory, phase.name + "-2", phase.queue_type) as following:
        following.await_flow()
        following.finish()
        if following.history.report["stats"]["confirmed"] != following.history.report["accepted"]:
            raise ChaosError("the next publisher's messages were not all confirmed")

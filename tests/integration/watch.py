"""A publisher looked at while it runs, through its control socket, and ended when enough has been seen."""
import json
import os
import subprocess
import time

from harness import LIMIT_S, equal, holds

POLL_S = 0.05  # each look starts a process: the publisher and its broker want the CPUs, too


def control(t, *arguments, status=0, words=None):
    """Runs `harewire stat` or `capture`, and returns what it prints."""
    done = subprocess.run([t.harewire, *map(str, arguments)], env=t.environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
    equal(done.returncode, status, f"$ harewire {' '.join(map(str, arguments))}\n{done.stderr}exit status")
    if words:
        holds(words in done.stderr, f"{done.stderr!r} does not say {words!r}")
    return done.stdout


def figures(t, path):
    return json.loads(control(t, "stat", path, "--once", "--json"))


def wait_for(running, look, what):
    """What look() returns, once it is true."""
    deadline = time.monotonic() + LIMIT_S
    while not running.ended():
        holds(time.monotonic() < deadline, f"{what}: not within {LIMIT_S} s")
        found = look()
        if found:
            return found
        time.sleep(POLL_S)
    raise AssertionError(f"{what}: the publisher ended before\n{running.wait().text()}")


def await_confirmed(t, running, path, count):
    """Returns how many messages the publisher with that control socket has confirmed: at least `count`."""
    def confirmed():
        publishers = os.path.exists(path) and figures(t, path)["publishers"]
        n = publishers[0]["confirmed"] if publishers else 0
        return n >= count and n
    return wait_for(running, confirmed, f"{count} confirms")


def finish(t, running):
    """Interrupts it: all that it has published is confirmed, and in the queue."""
    running.interrupt()
    result = running.wait()
    t.all_confirmed(result, result["attempted"])
    equal(len(t.messages(result["attempted"])), result["attempted"], "messages in the queue")
    return result


def finish_verified(t, running):
    """Interrupts it: all that it has published is confirmed, and consumed once and in order."""
    running.interrupt()
    result = running.wait()
    count = result["attempted"]
    t.all_confirmed(result, count)
    t.arrived_once_in_order(t.consumer(t.queue, "--verify", "--count", count, "--idle-timeout", 10).wait(), count)
    return result

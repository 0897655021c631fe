"""The lab itself: whatever happens to it, `down` leaves nothing."""
import concurrent.futures
import contextlib
import glob
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "chaos"))

import amqp
from harness import DPDK, Result, case, equal, holds, repository
from lab import Lab
from surroundings import Surroundings

NAME = "it-lab"
GREET_S = 10
NETNS, INTERFACE = "harewire-broker-" + NAME, "hw-" + NAME


def nothing_is_left():
    left = [path for path in ("/run/netns/" + NETNS, "/sys/class/net/" + INTERFACE, "/run/harewire-lab/" + NAME)
            if os.path.exists(path)] + glob.glob(f"/dev/shm/harewire-lab.{NAME}.*")
    equal(left, [], "left behind")


def processes_inside():
    return [int(pid) for pid in subprocess.run(["ip", "netns", "pids", NETNS], stdout=subprocess.PIPE, text=True,
                                               check=True).stdout.split()]


def alive(pids):
    def is_alive(pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False
    return [pid for pid in pids if is_alive(pid)]


@case(lab="none")
def up_and_down_may_be_repeated(t):
    lab = Lab(NAME)
    try:
        lab.up()
        before = dict(lab.environment)
        lab.up()
        equal(lab.environment, before, "the lab after a second up")
        with amqp.Connection(lab) as connection:
            equal(connection.declare_queue("q"), 0, "messages in a new queue")
        pids = processes_inside()
        holds(len(pids) >= 3, "the broker, its helpers and epmd run in the namespace")
    finally:
        lab.down()
    equal(alive(pids), [], "processes that outlive the lab")
    nothing_is_left()
    lab.down()
    equal(lab.run("status", check=False).returncode, 1, "exit status of status")


@case(lab="none")
def two_at_once_build_one_lab(t):
    lab = Lab(NAME)
    command = [repository("scripts/lab"), "--name", NAME, "up"]
    try:
        ups = [subprocess.Popen(command, cwd="/", env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL) for _ in "ab"]
        equal([up.wait(120) for up in ups], [0, 0], "exit statuses")
        lab.read_environment()
    finally:
        lab.down()
    nothing_is_left()


@case(lab="none")
def two_names_are_two_labs(t):
    """One comes up while the `up` of the other, whose broker starts, makes no progress."""
    labs = [Lab(NAME), Lab(NAME + "2")]
    slow = subprocess.Popen([repository("scripts/lab"), "--name", NAME, "up"], stdin=subprocess.DEVNULL)
    try:
        while slow.poll() is None and not os.path.exists(f"/run/harewire-lab/{NAME}/log/startup.out"):  # it starts its broker
            time.sleep(0.01)
        slow.send_signal(signal.SIGSTOP)
        labs[1].up()
        equal(slow.poll(), None, "the status of the one that was stopped")
        slow.send_signal(signal.SIGCONT)
        equal(slow.wait(120), 0, "exit status of the one that was stopped")
        labs[0].read_environment()
        for key in ("AMQP_URL", "HAREWIRE_INTERFACE", "BROKER_NETNS", "BROKER_PID", "LAB_DIR"):
            holds(labs[0].environment[key] != labs[1].environment[key], f"{key} is the same in both")
        labs[0].down()
        with amqp.Connection(labs[1]) as connection:
            connection.declare_queue("q")
    finally:
        slow.send_signal(signal.SIGCONT)
        slow.wait(120)
        for lab in labs:
            lab.down()
    nothing_is_left()


@case(lab="none")
def a_killed_broker_is_seen_and_started_again(t):
    lab = Lab(NAME)
    try:
        lab.up()
        with amqp.Connection(lab) as connection:
            connection.declare_queue("q")
        lab.run("kill")
        equal(lab.run("status", check=False).returncode, 1, "exit status of status without a broker")
        lab.start_broker("frame_max = 4096")
        holds("4096" in lab.ctl("environment"), "the new setting is not there")
        lab.run("kill")
    finally:
        lab.down()
    nothing_is_left()


def namespace_processes():
    """How many run in the lab's namespace; None while there is no such namespace."""
    done = subprocess.run(["ip", "netns", "pids", "harewire-broker-" + NAME], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True)
    return len(done.stdout.split()) if done.returncode == 0 else None


@case(lab="none")
def an_interrupted_up_leaves_nothing(t):
    """At its very beginning, with a network and no broker yet, and while the broker starts."""
    for has_come_far in (lambda: True, lambda: namespace_processes() is not None, lambda: namespace_processes()):
        # Where the tests run in the background, SIGINT is ignored, and a shell cannot trap what it began with ignored.
        up = subprocess.Popen([repository("scripts/lab"), "--name", NAME, "up"], start_new_session=True,
                              stdin=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        try:
            while up.poll() is None and not has_come_far():
                time.sleep(0.01)
            os.killpg(up.pid, signal.SIGINT)
            holds(up.wait(60) != 0, "the interrupted up ended with exit status 0")
            nothing_is_left()
        finally:
            if up.wait(60) == 0:
                Lab(NAME).down()


@case(lab="none")
def a_broker_that_cannot_start_is_explained(t):
    done = Lab(NAME).run("up", "--set", "no_such_setting = 1", check=False)
    equal(done.returncode, 1, "exit status")
    holds("no_such_setting" in done.stderr, f"the broker's own words are missing in: {done.stderr}")
    nothing_is_left()


@case(lab="none", drivers=DPDK)
def a_lab_for_dpdk_says_how_to_publish_through_it(t):
    """As its `status` is meant to be used: from a shell, the variables unquoted."""
    lab, other = Lab(NAME), {"net_tap": "net_af_packet", "net_af_packet": "net_tap"}[t.device]
    script = 'eval "$("$1" --name "$2" status --env)" && exec $HAREWIRE_RUN "$3" publish $HAREWIRE_ARGS --url "$AMQP_URL" ' \
             "--queue q --count 100 --json"
    try:
        lab.up(device=t.device)
        lab.up(device=t.device)
        command = ["sh", "-c", script, "sh", repository("scripts/lab"), NAME, t.harewire]
        for run in range(2):
            done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            result = Result(command, done.returncode, done.stdout, done.stderr)
            t.all_confirmed(result, 100)
            equal((result["driver"]["name"], result["driver"]["mode"]), ("dpdk", t.device), f"driver and mode in run {run}")
        with amqp.Connection(lab) as connection:
            equal(connection.declare_queue("q"), 200, "messages in the queue")
        again = lab.run("up", "--driver", "dpdk", "--device", other, check=False)
        holds(again.returncode == 1 and t.device in again.stderr, f"up for {other}: {again.returncode} {again.stderr}")
    finally:
        lab.down()
    nothing_is_left()


@case(lab="none")
def a_lab_for_another_device_is_refused(t):
    for words, arguments in (("--device is net_tap or net_af_packet", ("--driver", "dpdk", "--device", "net_null")),
                             ("goes with --driver dpdk", ("--device", "net_tap")),
                             ("not 'tap'", ("--driver", "tap")),
                             ("--queues", ("--driver", "dpdk", "--queues", 4))):
        done = Lab(NAME).run("up", *arguments, check=False)
        holds(done.returncode == 2 and words in done.stderr, f"up {arguments}: {done.returncode} {done.stderr}")
    nothing_is_left()


@case()
def loss_is_counted_in_both_directions(t):
    with t.lab.loss(20) as counted:
        greet(t.lab, 20)
        lost = counted()
    for direction in ("INGRESS", "EGRESS"):
        seen, dropped = lost[direction + "_SEEN"], lost[direction + "_DROPPED"]
        holds(0.05 * seen < dropped < 0.4 * seen, f"{dropped} of {seen} packets lost at 20 %")
    equal(t.lab.run("status").stdout.rstrip().rpartition("loss")[2].strip(), "none", "loss afterwards")


@case()
def loss_may_be_in_one_direction_only(t):
    for only, spared in (("ingress", "EGRESS"), ("egress", "INGRESS")):
        with t.lab.loss(30, only=only) as counted:
            greet(t.lab, 10)
            lost = counted()
        holds(lost[only.upper() + "_DROPPED"] > 0, f"nothing was lost: {lost}")
        holds(lost[spared + "_SEEN"] > 0 and lost[spared + "_DROPPED"] == 0, f"lost in the other direction: {lost}")


@case(lab="none")
def a_lab_may_join_the_cluster_of_another(t):
    with Surroundings(NAME, 2) as surroundings:
        one, other = surroundings.nodes
        with amqp.Connection(one) as connection:
            connection.declare_queue("q", durable=True)
        holds("q\t" in other.ctl("-q", "list_queues", "name", "durable"), "the other broker does not know the queue")
        one.run("kill")
        one.start_broker()
        with amqp.Connection(one) as connection:
            equal(connection.declare_queue("q", durable=True), 0, "messages in the queue")
        holds(one.broker_ip in other.ctl("-q", "cluster_status"), "a broker that was started again is not in the cluster")
    left = [name for name in os.listdir("/run/netns") if NAME in name] if os.path.isdir("/run/netns") else []
    equal(left, [], "namespaces left behind")


def greet(lab, times):
    """
    Connections from outside, as far as connection.start: at once, because each lost packet is waited for. One of them may be
    so unlucky that it is not waited for any longer.
    """
    def once(_):
        with contextlib.suppress(TimeoutError), socket.create_connection((lab.broker_ip, 5672), timeout=GREET_S) as s:
            s.sendall(b"AMQP\0\0\x09\x01")
            return s.recv(4096)
    with concurrent.futures.ThreadPoolExecutor(times) as pool:
        holds(any(pool.map(once, range(times))), "no answer")


@case(lab="none")
def the_demo_of_the_readme_runs(t):
    """It exits 0 only if every message arrived, once and in order, and the kernel had no connection."""
    done = subprocess.run([repository("scripts/demo"), "--seconds", "2", "--rate", "1000"], env={**os.environ, "B": t.build},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    equal(done.returncode, 0, done.stdout + "exit status")
    for words in ("published            2,000 ", "broker's ss -tn      ESTAB", "no connection: the kernel knows nothing of it"):
        holds(words in done.stdout, f"{done.stdout}{words!r} is not in it")
    holds(not os.path.exists("/run/netns/harewire-broker-demo"), "its lab was left")

"""What the command makes of a broker that is away or takes nothing: policies, figures, credentials."""
import contextlib
import os
import threading

from harness import DRIVERS, case, equal, holds
from watch import control, figures, wait_for

LASTING = ("--durable", "--persistent")  # what survives the broker
PATIENT = ("--timeout", 100)  # a broker starts in seconds, or on a busy host in many


def begin(t, *arguments):
    """An endless publisher of lasting messages, with some of them in the queue."""
    running = t.start_publisher("publish", "--queue", t.queue, *LASTING, *PATIENT, "--control", t.path("control"), *arguments)
    t.until_published(running, 500, durable=True)
    return running


def await_connections(t, running, connections):
    """Until each of its publishers has a connection, which is its so manieth or a later one; returns their figures."""
    def back():
        publishers = figures(t, t.path("control"))["publishers"]
        return all(p["state"] == "ready" and p["connections"] >= connections for p in publishers) and publishers
    return wait_for(running, back, "connected again")


def end(t, running, connections=2):
    """Ends it once it has its connection again and publishes through it."""
    accepted = sum(p["accepted"] for p in await_connections(t, running, connections))

    def goes_on():
        return sum(p["confirmed"] for p in figures(t, t.path("control"))["publishers"]) > accepted
    wait_for(running, goes_on, "going on")
    running.interrupt()
    result = running.wait()
    t.adds_up(result)
    equal(result["confirmed"] + result["lost"], result["accepted"], result.text() + "confirmed and lost")
    return result


def good(result):
    """All it attempted is confirmed."""
    equal((result["confirmed"], result.status), (result["attempted"], 0), result.text() + "confirmed, exit status")


@contextlib.contextmanager
def endless_lines(path):
    """A FIFO with lines in it, until the function that it yields is called."""
    stop = threading.Event()

    def write():
        with contextlib.suppress(BrokenPipeError), open(path, "w") as f:
            while not stop.is_set():
                f.write("a line\n")
    os.mkfifo(path)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield stop.set
    finally:
        stop.set()
        with contextlib.suppress(OSError):  # a writer that nobody has come to read from waits in open
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        writer.join()


def restart(t):
    """In order: a broker that is killed soon after a declaration may have forgotten the queue with all that is in it."""
    t.lab.stop_broker()
    t.lab.start_broker()


def consumed(t):
    """What a consumer finds in the queue."""
    result = t.drain()
    for name in ("disorder", "unsequenced"):
        equal(result[name], 0, result.text() + name)
    return result


@case(drivers=DRIVERS)
def with_a_pace_and_refuse_what_has_no_connection_at_its_time_is_passed_over(t):
    running = begin(t, "--rate", 2000, "--policy", "refuse")
    restart(t)
    result = end(t, running)
    holds(result["refused"] > 0, result.text() + "nothing was refused")
    equal((result.status, result["dropped"]), (1, 0), result.text() + "exit status, dropped")
    holds("the policy was refuse" in result.err, result.text() + "the reason is missing")
    # The numbers are those of what was accepted: what was refused is no gap.
    found = consumed(t)
    equal((found["gaps"], found["received"] - found["duplicates_flagged"]), (0, result["accepted"]),
          found.text() + "gaps, messages")


@case(drivers=("kernel",))
def without_a_pace_and_with_refuse_the_source_waits(t):
    with endless_lines(t.path("lines")) as stop:
        running = begin(t, "--max-messages", 1024, "--lines", "--file", t.path("lines"), "--slots", "sequence,duplicate",
                        "--policy", "refuse")
        restart(t)

        def back():
            return figures(t, t.path("control"))["publishers"][0]["connections"] == 2
        wait_for(running, back, "connected again")
        stop()
        result = running.wait()
    good(result)
    equal(result["refused"], 0, result.text() + "refused")
    found = consumed(t)
    equal((found["gaps"], found["received"] - found["duplicates_flagged"]), (0, result["accepted"]),
          found.text() + "gaps, messages")


@case(drivers=("kernel",))
def drop_newest_drops_what_finds_the_log_full_and_counts_it(t):
    running = begin(t, "--rate", 2000, "--policy", "drop-newest", "--max-messages", 256)
    restart(t)
    result = end(t, running)
    holds(result["dropped"] > 0, result.text() + "nothing was dropped")
    equal((result.status, result["refused"], result["waits_for_log"]), (1, 0, 0), result.text() + "exit status, refused, waits")
    holds(result["blockages"]["log_full"]["count"] > 0, result.text() + "the full log was no blockage")
    equal(consumed(t)["gaps"], 0, "gaps")


@case(drivers=DRIVERS)
def at_most_once_counts_what_is_lost_and_sends_nothing_twice(t):
    running = begin(t, "--count", 10000000, "--max-messages", 4096, "--delivery", "at-most-once")
    t.lab.freeze_broker()
    wait_for(running, lambda: (p := figures(t, t.path("control"))["publishers"][0])["accepted"] > p["confirmed"], "messages under way")
    t.lab.run("kill")
    t.lab.start_broker()
    result = end(t, running)
    holds(result["lost"] > 0, result.text() + "nothing was under way")
    equal((result.status, result["replayed"]), (1, 0), result.text() + "exit status, replayed")
    found = consumed(t)
    equal(found["duplicates"] + found["duplicates_flagged"], 0, found.text() + "duplicates")
    holds(0 < found["received"] <= result["accepted"], found.text() + "messages in the queue")


@case(drivers=DRIVERS)
def whichever_publisher_is_back_first_finds_what_it_publishes_to(t):
    """The queue goes with the broker: a message that comes before it is declared again would be returned."""
    running = t.start_publisher("publish", "--queue", t.queue, "--mandatory", "--rate", 2000, "--publishers", 4, *PATIENT,
                                "--control", t.path("control"))
    t.until_published(running, 500)
    restart(t)
    result = end(t, running)
    good(result)
    equal([p["connections"] for p in result["publishers"]], [2] * 4, result.text() + "connections of each publisher")


@case(lab="patient", drivers=DRIVERS)
def stat_tells_that_a_publisher_is_without_a_connection_and_why(t):
    path = t.path("control")
    running = begin(t, "--rate", 2000)

    def publisher(state):
        found = figures(t, path)["publishers"][0]
        return found if found["state"] == state else None
    ready = wait_for(running, lambda: publisher("ready"), "ready")
    holds(ready["host"] == f"{t.lab.broker_ip}:5672" and ready["reason"] == "", f"a publisher that is well: {ready}")
    t.lab.run("kill")
    try:
        away = wait_for(running, lambda: (p := publisher("reconnecting")) and p["attempts"] and p, "reconnecting")
        holds("reset" in away["reason"] and away["connections"] == 1, f"a publisher without a connection: {away}")
        text = control(t, "stat", path, "--once")
        holds(all(words in text for words in ("reconnecting for ", "reset", "; attempt ")), text)
    finally:
        t.lab.start_broker()
    back = wait_for(running, lambda: publisher("ready"), "ready again")
    equal(back["connections"], 2, f"connections of {back}")
    result = end(t, running)
    good(result)
    holds("connected again to " in result.err, result.text() + "nothing said that it was back")
    holds(result["longest_disconnected_us"] > 0, result.text() + "it took no time")


@case(drivers=("kernel",))
def an_alarm_is_said_shown_and_timed(t):
    running = begin(t, "--rate", 2000)
    t.lab.ctl("set_vm_memory_high_watermark", "0")
    try:
        def blocked():
            found = figures(t, t.path("control"))["publishers"][0]
            return found if "alarm" in found["blockages"] else None
        found = wait_for(running, blocked, "blocked")
        holds(found["state"] == "blocked" and "memory" in found["reason"], f"a blocked publisher: {found}")
    finally:
        t.lab.ctl("set_vm_memory_high_watermark", "0.4")
    result = end(t, running, connections=1)
    good(result)
    alarms = result["blockages"]["alarm"]
    holds(alarms["count"] == result["blocked"] == 1 and alarms["longest_us"] > 0, f"{result.text()}{alarms}")
    for words in ("the broker has blocked publishing: ", "the broker's alarm is over after "):
        holds(words in result.err, result.text() + f"{words!r} is missing")


@case(drivers=("kernel",))
def quiet_says_nothing_of_a_connection_that_was_made_again(t):
    running = begin(t, "--rate", 2000, "--quiet")
    t.lab.ctl("close_all_connections", "by hand")
    result = end(t, running)
    good(result)
    equal(result.err, "", "standard error")


@case(drivers=("kernel",))
def a_connection_that_does_not_come_back_in_time_ends_the_run(t):
    running = begin(t, "--rate", 2000, "--reconnect-timeout", 1)
    t.lab.run("kill")
    try:
        result = running.wait(30)
    finally:
        t.lab.start_broker()
    equal(result.status, 1, result.text() + "exit status")
    holds("no connection for 1 s" in result["error"]["text"], result.text())
    t.adds_up(result)


@case(drivers=("kernel",))
def a_systemd_credential_is_the_password(t):
    os.mkdir(t.path("credentials"))
    with open(t.path("credentials/amqp"), "w", opener=lambda path, flags: os.open(path, flags, 0o440)) as f:
        f.write("guest\n")
    flags = ("--queue", t.queue, "--user", "guest", "--password-credential", "amqp", "--body", "x")
    t.all_confirmed(t.publish("publish", *flags, CREDENTIALS_DIRECTORY=t.path("credentials"), HAREWIRE_PASSWORD="wrong"), 1)
    result = t.start_publisher("publish", *flags).wait()
    equal(result.status, 2, result.text() + "exit status")
    holds("$CREDENTIALS_DIRECTORY is not set" in result["error"]["text"], result.text())
    equal(len(t.messages(1)), 1, "messages")


@case(drivers=("kernel",))
def the_next_engine_removes_what_a_killed_one_has_left(t):
    running = t.start_publisher("publish", "--queue", t.queue, "--count", 1000000, "--rate", 1000)
    t.until_published(running, 100)
    path = f"/run/harewire/{running.process.pid}.sock"
    running.kill()
    holds(os.path.exists(path), "it has left no socket: this test sees nothing")
    t.all_confirmed(t.publish("publish", "--queue", t.queue + "-next", "--body", "x"), 1)
    holds(not os.path.exists(path), "the socket is still there")

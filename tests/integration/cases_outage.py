"""What the command makes of a broker that is away or takes nothing: policies, figures, credentials."""
import os

from cases_console import control, figures, wait_for
from harness import DRIVERS, case, equal, holds

LASTING = ("--durable", "--persistent")  # what survives the broker
PATIENT = ("--timeout", 100)  # a broker starts in seconds, or on a busy host in many


def begin(t, *arguments):
    """A publisher of lasting messages that has some of them in the queue."""
    running = t.start_publisher("publish", "--queue", t.queue, *LASTING, *PATIENT, *arguments)
    t.until_published(running, 500, durable=True)
    return running


def restart(t):
    """In order: a broker that is killed soon after a declaration may have forgotten the queue with all that is in it."""
    t.lab.stop_broker()
    t.lab.start_broker()


def consumed(t):
    """What a consumer finds in the queue."""
    result = t.consumer(t.queue, "--verify", "--idle-timeout", 3).wait()
    for name in ("disorder", "unsequenced"):
        equal(result[name], 0, result.text() + name)
    return result


@case(drivers=DRIVERS)
def with_a_pace_and_refuse_what_has_no_connection_at_its_time_is_passed_over(t):
    running = begin(t, "--count", 20000, "--rate", 2000, "--policy", "refuse")
    restart(t)
    result = running.wait()
    t.adds_up(result)
    holds(result["refused"] > 0, result.text() + "nothing was refused")
    equal((result["attempted"], result["confirmed"], result["dropped"]), (20000, result["accepted"], 0),
          result.text() + "attempted, confirmed, dropped")
    equal(result.status, 1, result.text() + "exit status")
    holds("the policy was refuse" in result.err, result.text() + "the reason is missing")
    # The numbers are those of what was accepted: what was refused is no gap.
    found = consumed(t)
    equal((found["gaps"], found["received"] - found["duplicates_flagged"]), (0, result["accepted"]),
          found.text() + "gaps, messages")


@case(drivers=("kernel",))
def without_a_pace_and_with_refuse_the_source_waits(t):
    lines = t.path("lines")
    with open(lines, "w") as f:
        f.writelines(f"line {i}\n" for i in range(40000))
    running = begin(t, "--max-messages", 1024, "--lines", "--file", lines, "--slots", "sequence,duplicate", "--policy", "refuse")
    restart(t)
    result = running.wait()
    t.all_confirmed(result, 40000)
    holds(result["connections"] >= 2, result.text() + "its connection was never lost")
    equal(consumed(t)["gaps"], 0, "gaps")


@case(drivers=("kernel",))
def drop_newest_drops_what_finds_the_log_full_and_counts_it(t):
    running = begin(t, "--count", 20000, "--rate", 2000, "--policy", "drop-newest", "--max-messages", 256)
    restart(t)
    result = running.wait()
    t.adds_up(result)
    holds(result["dropped"] > 0, result.text() + "nothing was dropped")
    equal((result["attempted"], result["confirmed"], result["refused"]), (20000, result["accepted"], 0),
          result.text() + "attempted, confirmed, refused")
    equal((result.status, result["waits_for_log"]), (1, 0), result.text() + "exit status, waits")
    holds(result["blockages"]["log_full"]["count"] > 0, result.text() + "the full log was no blockage")
    equal(consumed(t)["gaps"], 0, "gaps")


@case(drivers=DRIVERS)
def at_most_once_counts_what_is_lost_and_sends_nothing_twice(t):
    running = begin(t, "--count", 40000, "--delivery", "at-most-once")
    t.lab.run("kill")
    t.lab.start_broker()
    result = running.wait()
    t.adds_up(result)
    holds(result["lost"] > 0, result.text() + "nothing was under way")
    equal((result["accepted"], result["replayed"]), (40000, 0), result.text() + "accepted, replayed")
    equal(result.status, 1, result.text() + "exit status")
    found = consumed(t)
    equal(found["duplicates"] + found["duplicates_flagged"], 0, found.text() + "duplicates")
    holds(0 < found["received"] <= result["accepted"], found.text() + "messages in the queue")


@case(drivers=DRIVERS)
def whichever_publisher_is_back_first_finds_what_it_publishes_to(t):
    """The queue goes with the broker: a message that comes before it is declared again would be returned."""
    running = t.start_publisher("publish", "--queue", t.queue, "--mandatory", "--count", 20000, "--rate", 2000,
                                "--publishers", 4, *PATIENT)
    t.until_published(running, 500)
    restart(t)
    result = running.wait()
    t.all_confirmed(result, 20000)
    equal(result["connections"], 8, result.text() + "connections")
    holds(all(p["connections"] == 2 for p in result["publishers"]), result.text() + "of each publisher")


@case(drivers=DRIVERS)
def stat_tells_that_a_publisher_is_without_a_connection_and_why(t):
    path = t.path("control")
    running = begin(t, "--count", 20000, "--rate", 2000, "--control", path)

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
    holds(back["connections"] == 2 and back["replayed"] > 0, f"a publisher that is back: {back}")
    result = running.wait()
    t.all_confirmed(result, 20000)
    holds("connected again to " in result.err, result.text() + "nothing said that it was back")
    holds(result["longest_disconnected_us"] > 0, result.text() + "it took no time")


@case(drivers=("kernel",))
def an_alarm_is_said_shown_and_timed(t):
    path = t.path("control")
    running = begin(t, "--count", 20000, "--rate", 2000, "--control", path)
    t.lab.ctl("set_vm_memory_high_watermark", "0")
    try:
        def blocked():
            found = figures(t, path)["publishers"][0]
            return found if found["state"] == "blocked" else None
        found = wait_for(running, blocked, "blocked")
        holds("alarm" in found["blockages"] and "memory" in found["reason"], f"a blocked publisher: {found}")
    finally:
        t.lab.ctl("set_vm_memory_high_watermark", "0.4")
    result = running.wait()
    t.all_confirmed(result, 20000)
    alarms = result["blockages"]["alarm"]
    holds(alarms["count"] == result["blocked"] == 1 and alarms["longest_us"] > 0, f"{result.text()}{alarms}")
    for words in ("the broker has blocked publishing: ", "the broker's alarm is over after "):
        holds(words in result.err, result.text() + f"{words!r} is missing")


@case(drivers=("kernel",))
def quiet_says_nothing_of_a_connection_that_was_made_again(t):
    running = begin(t, "--count", 20000, "--rate", 2000, "--quiet")
    t.lab.ctl("close_all_connections", "by hand")
    result = running.wait()
    t.all_confirmed(result, 20000)
    holds(result["connections"] >= 2, result.text() + "its connection was never lost")
    equal(result.err, "", "standard error")


@case(drivers=("kernel",))
def a_connection_that_does_not_come_back_in_time_ends_the_run(t):
    running = begin(t, "--count", 1000000, "--rate", 2000, "--reconnect-timeout", 1)
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

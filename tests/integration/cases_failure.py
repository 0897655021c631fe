"""What goes wrong is said in one sentence, with exact counts and a non-zero exit."""
import subprocess
import time

from harness import ALL_DRIVERS, DRIVERS, case, equal, holds


def fails_saying(result, *words):
    holds(result.status == 1, result.text() + "the exit status should be 1")
    said = result["error"]["text"] if "error" in result.json else result.json.get("returned_reason", "")
    for word in words:
        holds(word in said, f"{result.text()}{word!r} is not in {said!r}")


@case(drivers=ALL_DRIVERS)
def reports_a_wrong_password_and_keeps_it_secret(t):
    running = t.start_publisher("publish", "--queue", t.queue, "--body", "x", HAREWIRE_PASSWORD="not-the-secret")
    result = running.wait()
    fails_saying(result, "ACCESS_REFUSED")
    equal(result["accepted"], 0, "accepted")
    holds("not-the-secret" not in result.text() + str(result.json), "the password was printed")


@case(drivers=DRIVERS)
def reports_an_unknown_vhost(t):
    fails_saying(t.start_publisher("publish", "--queue", t.queue, "--vhost", "nowhere", "--body", "x").wait(), "nowhere")


@case(drivers=DRIVERS)
def reports_a_queue_declared_differently(t):
    t.make_queue()
    fails_saying(t.start_publisher("publish", "--queue", t.queue, "--durable", "--body", "x").wait(),
                 "PRECONDITION_FAILED", t.queue)


@case(drivers=ALL_DRIVERS)
def reports_a_missing_exchange_with_the_brokers_words(t):
    result = t.publish("publish", "--exchange", "x-missing", "--no-declare", "--routing-key", "k", "--count", 1000, "--rate",
                       2000, "--slots", "none")
    fails_saying(result, "NOT_FOUND", "x-missing", "message 1, or one behind it, ended the channel")
    holds(result["accepted"] > 0, "nothing was accepted")
    equal(result["confirmed"], 0, result.text() + "confirmed")
    t.adds_up(result)


@case(drivers=DRIVERS)
def counts_unroutable_mandatory_messages_as_returned(t):
    result = t.publish("publish", "--exchange", "amq.direct", "--no-declare", "--routing-key", "nowhere", "--mandatory",
                       "--count", 50)
    fails_saying(result, "NO_ROUTE")
    equal((result["accepted"], result["returned"], result["confirmed"]), (50, 50, 0),
          result.text() + "accepted, returned, confirmed")


@case(drivers=DRIVERS)
def counts_messages_a_full_queue_rejects_as_nacked(t):
    result = t.publish("publish", "--queue", t.queue, "--arg", "x-max-length=10", "--arg", "x-overflow=reject-publish",
                       "--count", 100)
    equal((result["accepted"], result["returned"], result["unconfirmed"]), (100, 0, 0), result.text() + "outcomes")
    holds(result["nacked"] > 0, "nothing was nacked")
    t.adds_up(result)


@case(drivers=ALL_DRIVERS)
def counts_exactly_when_the_broker_is_killed(t):
    running = t.start_publisher("publish", "--queue", t.queue, "--count", 1000000, "--rate", 3000, "--reconnect-timeout", 1)
    t.until_published(running, 1000)
    t.lab.run("kill")
    try:
        result = running.wait(30)
        fails_saying(result, "no connection for 1 s", "refused")
        holds("reset" in result.err, result.text() + "it does not say how the connection was lost")
        holds(result["confirmed"] > 0, "nothing was confirmed before")
        t.adds_up(result)
    finally:
        t.lab.start_broker()


@case(drivers=DRIVERS)
def repeats_the_brokers_words_when_it_shuts_down(t):
    running = t.start_publisher("publish", "--queue", t.queue, "--count", 1000000, "--rate", 500, "--reconnect-timeout", 1)
    t.until_published(running, 200)
    t.lab.stop_broker()
    try:
        result = running.wait(30)
        fails_saying(result, "no connection for 1 s", "refused")
        holds("CONNECTION_FORCED" in result.err, result.text() + "the broker's words are missing")
        t.adds_up(result)
    finally:
        t.lab.start_broker()


@case(drivers=ALL_DRIVERS)
def says_that_nobody_listens(t):
    result = t.start_publisher("publish", "--url", f"amqp://{t.lab.broker_ip}:5999", "--queue", "q", "--body", "x").wait(30)
    fails_saying(result, "refused")


@case(drivers=DRIVERS)
def says_that_nobody_answers(t):
    began = time.monotonic()
    with t.lab.loss(100):
        result = t.start_publisher("publish", "--connect-timeout", 3, "--queue", "q", "--body", "x").wait(30)
    holds(result.status == 1 and "error" in result.json, result.text())
    holds(time.monotonic() - began < 20, "it took 20 s to give up after a connect timeout of 3 s")


@case(drivers=ALL_DRIVERS)
def goes_on_when_the_brokers_alarm_ends(t):
    t.lab.ctl("set_vm_memory_high_watermark", "0")
    try:
        running = t.start_publisher("publish", "--queue", t.queue, "--count", 1000, "--rate", 1000, "--timeout", 60)
        time.sleep(2.5)  # a second of messages, if nothing stopped it
        holds(running.process.poll() is None, "it ended while the broker was blocked")
    finally:
        t.lab.ctl("set_vm_memory_high_watermark", "0.4")
    result = running.wait()
    t.all_confirmed(result, 1000)
    holds(result["blocked"] >= 1, "the alarm was not reported")


def xdp_is_attached(t):
    return "xdp" in subprocess.run(["ip", "link", "show", "dev", t.lab.interface], stdout=subprocess.PIPE, text=True,
                                   check=True).stdout


@case(drivers=("af_xdp",))
def leaves_no_xdp_program_when_killed(t):
    running = t.start_publisher("publish", "--queue", t.queue, "--count", 1000000, "--rate", 1000)
    deadline = time.monotonic() + 10
    while not xdp_is_attached(t) and time.monotonic() < deadline:
        time.sleep(0.05)
    holds(xdp_is_attached(t), "no XDP program while it runs: this test sees nothing")
    t.until_published(running, 100)
    running.kill()
    deadline = time.monotonic() + 5
    while xdp_is_attached(t) and time.monotonic() < deadline:
        time.sleep(0.05)
    holds(not xdp_is_attached(t), "the XDP program outlives the process")
    queue = t.queue + "-next"
    t.all_confirmed(t.publish("publish", "--queue", queue, "--count", 100), 100)
    equal(len(t.messages(100, queue)), 100, "messages of the next run")


@case(drivers=ALL_DRIVERS)
def an_interrupt_ends_it_orderly(t):
    running = t.start_publisher("publish", "--queue", t.queue, "--count", 1000000, "--rate", 1000)
    t.until_published(running, 500)
    running.interrupt()
    result = running.wait(30)
    holds(result["stopped"], result.text() + "it does not say that it was stopped")
    equal(result["confirmed"], result["accepted"], result.text() + "confirmed")
    equal(len(t.messages(result["accepted"])), result["accepted"], "messages in the queue")

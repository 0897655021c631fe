"""The command with several publishers and several workers: spread, order, reports, and one that fails."""
from cases_reconnect import user
from harness import DPDK, DRIVERS, case, equal, holds

TAP = tuple(driver for driver in DPDK if "net_tap" in driver)


def epochs_match(consumed, published):
    """What the consumer saw of each publisher is what the publisher says of itself."""
    seen = {e["epoch"]: e["received"] for e in consumed["epochs"]}
    equal(seen, {p["epoch"]: p["confirmed"] for p in published["publishers"]}, "messages by epoch")
    for epoch in consumed["epochs"]:
        equal([epoch[name] for name in ("gaps", "duplicates", "disorder")], [0, 0, 0], f"verdict on {epoch}")
        equal(epoch["last_number"], epoch["received"], f"last number of {epoch}")


@case(drivers=(*DRIVERS, *TAP))
def publishers_share_a_worker_and_each_keeps_its_order(t):
    result = t.publish("publish", "--queue", t.queue, "--count", 4002, "--publishers", 4, "--rate", 20000)
    t.all_confirmed(result, 4002)
    equal([p["confirmed"] for p in result["publishers"]], [1001, 1001, 1000, 1000], "confirmed by publisher")
    equal((result["schedule_slip"]["count"], result["due_to_confirm"]["count"]), (4002, 4002), "messages on the schedule")
    consumed = t.consumer(t.queue, "--verify", "--count", 4002, "--idle-timeout", 10).wait()
    t.arrived_once_in_order(consumed, 4002)
    equal(consumed["publishers"], 4, "publishers seen")
    epochs_match(consumed, result)


@case(drivers=(*DRIVERS, *TAP))
def a_feed_over_several_publishers_keeps_the_order_of_each_symbol(t):
    by_symbol = []
    for publishers in (1, 4):
        queue = f"{t.queue}-{publishers}"
        result = t.publish("feed", "synthetic", "--count", 5000, "--symbols", 50, "--seed", 3, "--queue", queue, "--exchange",
                           "x-" + queue, "--publishers", publishers)
        t.all_confirmed(result, 5000)
        symbols = {}
        for message in t.messages(5000, queue):
            symbols.setdefault(message.body[10:18], []).append(message.body)  # b"": a system event
        by_symbol.append(symbols)
    equal(len(set(by_symbol[0]) - {b""}), 50, "symbols")
    holds(by_symbol[0] == by_symbol[1], "a symbol's messages are not the same, or not in the same order")
    holds(all(p["confirmed"] > 0 for p in result["publishers"]), "a publisher got nothing")


def two_workers(t, first, second, *arguments):
    """Publishes over two workers described in a config file; what both sides say of it fits together."""
    with open(t.path("two.yaml"), "w", encoding="ascii") as f:
        f.write(f"workers:\n  - {{{first}}}\n  - {{{second}}}\n")
    result = t.start("publish", "--queue", t.queue, "--config", t.path("two.yaml"), "--count", 4000, "--publishers", 4,
                     *arguments).wait()
    t.all_confirmed(result, 4000)
    equal([p["worker"] for p in result["publishers"]], [0, 1, 0, 1], "workers of the publishers")
    equal([w["publishers"] for w in result["workers"]], [2, 2], "publishers of the workers")
    consumed = t.consumer(t.queue, "--verify", "--count", 4000, "--idle-timeout", 10).wait()
    t.arrived_once_in_order(consumed, 4000)
    epochs_match(consumed, result)
    return result


@case()
def two_kernel_workers_of_a_config_file(t):
    result = two_workers(t, "driver: kernel, core: 0", "driver: kernel, core: 1")
    equal([w["name"] for w in result["workers"]], ["kernel", "kernel"], "drivers")
    equal([w["cpu"] for w in result["workers"]], [0, 1], "CPUs")


@case(lab="queues")
def two_af_xdp_workers_of_a_config_file_on_two_queues(t):
    result = two_workers(t, "queue: 0", "queue: 1", "--driver", "af_xdp")
    equal([(w["name"], w["queue"]) for w in result["workers"]], [("af_xdp", 0), ("af_xdp", 1)], "drivers and queues")
    holds(all(w["packets_sent"] > 0 for w in result["workers"]), "a worker sent nothing")
    equal(result["driver"]["packets_sent"], sum(w["packets_sent"] for w in result["workers"]), "packets of both")


@case()
def a_kernel_and_an_af_xdp_worker_inline(t):
    result = two_workers(t, "driver: kernel", "driver: af_xdp", "--inline")
    equal([w["name"] for w in result["workers"]], ["kernel", "af_xdp"], "drivers")
    equal(result["driver"]["name"], "mixed", "driver of both")


@case(lab="patient", drivers=DRIVERS)
def one_publisher_that_fails_ends_the_run_and_no_message_of_another_is_lost(t):
    """Of a password that is no longer good only the one that has to connect again takes notice."""
    with user(t, "first-secret") as name:
        running = t.start_publisher("publish", "--queue", t.queue, "--rate", 3000, "--duration", 60, "--publishers", 3,
                                    "--connection-name", t.queue, "--user", name, "--reconnect-timeout", 3,
                                    HAREWIRE_PASSWORD="first-secret")
        t.until_published(running, 500)
        t.lab.ctl("change_password", name, "second-secret")
        t.lab.close_connection(t.queue + " 2/3")
        result = running.wait()
    equal(result.status, 1, result.text() + "exit status")
    text = result["error"]["text"]
    holds(text.startswith("publisher 2 of 3: ") and "ACCESS_REFUSED" in text, f"said {text!r}")
    t.adds_up(result)
    equal([p["unconfirmed"] for p in result["publishers"]][::2], [0, 0], "unconfirmed of the others")
    holds(all(p["confirmed"] > 0 for p in result["publishers"]), "confirmed messages")
    equal(result["confirmed"], sum(p["confirmed"] for p in result["publishers"]), "confirmed in all")


@case()
def verifying_nothing_is_a_failure_unless_nothing_was_asked_for(t):
    t.make_queue()
    result = t.consumer(t.queue, "--verify", "--idle-timeout", 0.5).wait()
    equal(result.status, 1, result.text() + "exit status")
    holds("nothing to verify" in result["error"]["text"], result["error"]["text"])
    equal(t.consumer(t.queue, "--verify", "--count", 0).wait().status, 0, "exit status with --count 0")
    equal(t.consumer(t.queue, "--idle-timeout", 0.5).wait().status, 0, "exit status without --verify")


@case()
def messages_without_numbers_are_not_called_a_broken_sequence(t):
    t.driver = "kernel"
    t.all_confirmed(t.publish("publish", "--queue", t.queue, "--body", "x", "--count", 3, "--slots", "none"), 3)
    result = t.consumer(t.queue, "--verify", "--count", 3, "--idle-timeout", 20).wait()
    equal((result.status, result["unsequenced"]), (1, 3), result.text() + "exit status, messages without a number")
    holds("3 without a sequence slot" in result.err and "not whole" not in result.err, result.text())

#!/usr/bin/env python3
"""The verdict of the chaos run on made-up histories: whatever must not be is found, and what may be is not."""
import os
import random
import sys
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "chaos"))
sys.dont_write_bytecode = True

import checker  # noqa: E402
import faults  # noqa: E402
from history import CONFIRMED, OUTCOMES, Delivery, History, State, Window  # noqa: E402

MS = 1_000_000
COUNT = 100


def accepted_at(id):
    return id * MS


def outcome_at(id):
    return accepted_at(id) + MS // 2


class Played(unittest.TestCase):
    """A hundred messages, one in a millisecond, each confirmed half a millisecond later and consumed then."""

    def setUp(self):
        self.history = History(accepted=[(accepted_at(id), id, id) for id in range(1, COUNT + 1)],
                               outcomes=[(outcome_at(id), CONFIRMED, id, id) for id in range(1, COUNT + 1)],
                               deliveries=[Delivery(outcome_at(id), id, 1, False, False) for id in range(1, COUNT + 1)],
                               memory=[(0, 40000), (COUNT * MS, 40100)])

    def fault(self, name, first, last):
        """From just before the acceptance of one id to just after that of another; the connection ends if it is to."""
        fault = faults.FAULTS[name]
        begin, done = accepted_at(first) - 1, accepted_at(last) + 1
        end = self.history.windows and self.history.windows[-1]
        if end:
            end.end = begin
        self.history.windows.append(Window(fault, begin, done, (COUNT + 10) * MS))
        if fault.connection == faults.LOST:
            self.disconnect(first)
        return done

    def disconnect(self, id):
        self.history.states += [State(accepted_at(id), accepted_at(id), "DISCONNECTED", -1, "reset"),
                                State(accepted_at(id) + 1, accepted_at(id) + 1, "READY", 0, "10.0.0.1:5672")]

    def outcome(self, id, letter):
        self.history.outcomes[id - 1] = (outcome_at(id), letter, id, id)

    def forget(self, id):
        self.history.deliveries = [d for d in self.history.deliveries if d.id != id]

    def deliver(self, id, at_ms, connection=1, duplicate=False, redelivered=False):
        self.history.deliveries.append(Delivery(at_ms * MS, id, connection, duplicate, redelivered))
        self.history.deliveries.sort(key=lambda d: d.time)

    def findings(self):
        if self.history.report is None:
            counted = {name: sum(last - first + 1 for _, letter, first, last in self.history.outcomes if letter == key)
                       for key, name in OUTCOMES.items()}
            self.history.report = {"stats": {"accepted": self.history.accepted[-1][2], **counted}}
        self.checker = checker.Checker(self.history)
        return self.checker.check()

    def nothing(self):
        self.assertEqual(self.findings(), [])

    def found(self, *words):
        """One finding, in these words."""
        findings = self.findings()
        self.assertEqual(len(findings), 1, findings)
        for word in words:
            self.assertIn(word, findings[0])


class Outcomes(Played):
    def test_a_clean_history_is_clean(self):
        self.nothing()
        self.assertEqual(self.checker.figures["consumed"], COUNT)

    def test_an_id_without_an_outcome(self):
        del self.history.outcomes[49]
        self.found("1 ids without an outcome", "id 50")

    def test_a_killed_publisher_owes_no_outcomes(self):
        del self.history.outcomes[49]
        check = checker.Checker(self.history)
        self.assertEqual(check.check(), [])
        self.assertEqual(check.figures["without an outcome"], 1)

    def test_an_id_with_two_outcomes(self):
        self.history.report = {"stats": {"accepted": COUNT, "confirmed": COUNT, **dict.fromkeys(
            ("nacked", "returned", "unconfirmed", "lost"), 0)}}
        self.history.outcomes.append((outcome_at(COUNT) + 1, CONFIRMED, COUNT, COUNT))
        findings = self.findings()
        self.assertIn(f"id {COUNT} confirmed, then confirmed", findings[0])
        self.assertIn("out of order", findings[1])

    def test_an_outcome_of_nothing(self):
        self.history.outcomes.append((outcome_at(COUNT) + 1, CONFIRMED, COUNT + 1, COUNT + 1))
        self.assertIn("never accepted: id 101", self.findings()[0])

    def test_ids_that_are_not_numbered(self):
        del self.history.accepted[9]
        self.history.accepted.append((accepted_at(COUNT), 10, 10))
        self.assertIn("out of turn", self.findings()[0])

    def test_nacks_only_where_a_fault_may_cost_them(self):
        self.outcome(50, "N")
        self.forget(50)
        self.fault("reject", 45, 55)
        self.nothing()
        self.history.windows.clear()
        self.fault("blink", 45, 55)
        self.found("1 ids nacked without a reason", "id 50", "blink at +0.045 s")

    def test_a_return_without_a_reason(self):
        self.outcome(50, "R")
        self.forget(50)
        self.found("1 ids returned without a reason", "no fault")

    def test_what_may_have_arrived_is_never_excused(self):
        for letter, word in (("U", "unconfirmed"), ("L", "lost")):
            self.history.windows.clear()
            self.history.states.clear()
            self.history.report = None
            self.outcome(50, letter)
            self.fault("kill", 45, 55)
            self.found(f"1 ids {word} without a reason")

    def test_figures_that_contradict_the_events(self):
        self.nothing()
        self.history.report["stats"]["confirmed"] += 1
        self.found("figures say 101 confirmed, its events 100")


class Consumption(Played):
    def test_a_confirmed_id_that_is_lost(self):
        self.forget(50)
        self.found("1 confirmed ids that nobody can consume", "id 50")

    def test_a_confirmed_id_lost_in_a_crash_of_the_broker(self):
        self.forget(50)
        self.fault("kill", 45, 55)
        self.found("1 confirmed ids that nobody can consume", "id 50", "kill at")

    def test_a_queue_takes_with_it_what_was_in_it(self):
        for id in range(48, 51):
            self.forget(id)
        self.fault("queue", 50, 52)
        self.history.deliveries = [d for d in self.history.deliveries if d.id not in (49, 50)]
        self.nothing()
        self.assertEqual(self.checker.figures["destroyed with their queue"], 3)

    def test_a_queue_does_not_take_what_had_been_lost_before(self):
        self.forget(30)
        self.fault("queue", 50, 52)
        self.found("id 30")

    def test_a_queue_does_not_take_what_was_accepted_when_it_was_there_again(self):
        self.forget(60)
        self.fault("queue", 50, 52)
        self.found("id 60")

    def test_a_returned_id_that_was_consumed(self):
        self.fault("queue", 49, 51)
        self.outcome(50, "R")
        self.found("1 ids returned and yet consumed", "id 50")

    def test_a_returned_id_may_have_been_consumed_in_an_earlier_copy(self):
        self.fault("queue", 49, 50)
        self.fault("reset", 51, 52)
        self.history.outcomes[49] = (outcome_at(52), "R", 50, 50)
        self.nothing()
        self.assertEqual(self.checker.figures["returned, yet consumed"], 1)

    def test_an_id_that_was_never_accepted(self):
        self.deliver(COUNT + 7, COUNT + 9)
        self.found("1 ids consumed that were never accepted", "id 107")

    def test_ids_out_of_order(self):
        self.forget(50)
        self.deliver(50, 60)
        self.found("1 ids consumed out of order", "id 50", "after 59")


    def test_a_second_copy_that_overtakes_what_another_connection_had(self):
        self.fault("reset", 50, 52)
        self.forget(50)
        self.deliver(50, 60, connection=2, duplicate=True)
        self.deliver(50, 61, connection=2, redelivered=True)
        self.nothing()


class Duplicates(Played):
    def test_one_without_a_flag(self):
        self.deliver(50, 60)
        self.found("1 unexplained duplicates", "id 50")

    def test_one_without_a_flag_is_not_excused_by_a_fault(self):
        self.fault("reset", 50, 52)
        self.deliver(50, 60)
        self.found("1 unexplained duplicates", "id 50")

    def test_one_with_our_flag(self):
        self.fault("reset", 50, 52)
        self.deliver(50, 60, duplicate=True)
        self.nothing()
        self.assertEqual(self.checker.figures["duplicates flagged by us"], 1)

    def test_a_flag_without_a_lost_connection(self):
        self.deliver(50, 60, duplicate=True)
        self.found("1 ids flagged as duplicates without a reason", "id 50")

    def test_a_flag_after_a_fault_that_ends_no_connection(self):
        self.fault("memory_alarm", 45, 55)
        self.deliver(50, 60, duplicate=True)
        self.found("1 ids flagged as duplicates without a reason", "id 50")

    def test_two_copies_without_our_flag_and_one_with_it(self):
        self.fault("reset", 50, 52)
        self.deliver(50, 60)
        self.deliver(50, 61, duplicate=True)
        self.found("1 unexplained duplicates", "id 50")

    def test_one_that_the_broker_calls_redelivered(self):
        self.deliver(50, 60, connection=2, redelivered=True)
        self.nothing()

    def test_one_whose_ack_was_lost_with_the_consumers_connection(self):
        self.deliver(50, 60, connection=2)
        self.history.consumer_ends[1] = 59 * MS
        self.nothing()

    def test_one_that_had_long_been_acknowledged(self):
        self.deliver(50, 6000, connection=2)
        self.history.consumer_ends[1] = 5900 * MS
        self.found("1 unexplained duplicates", "id 50")


class TheRun(Played):
    def test_a_fault_that_did_not_end_the_connection(self):
        self.fault("reset", 50, 52)
        self.history.states.clear()
        self.found("reset at +0.050 s did not end the connection")

    def test_a_fault_that_was_not_to_end_the_connection(self):
        self.fault("disk_alarm", 50, 52)
        self.disconnect(51)
        self.found("disk_alarm at +0.050 s ended the connection")

    def test_a_fault_that_took_so_long_that_it_ended_the_connection(self):
        self.fault("disk_alarm", 50, 52)
        self.disconnect(51)
        self.history.windows[0].done += checker.SHORTEST_TIMEOUT_NS
        self.history.windows[0].end += checker.SHORTEST_TIMEOUT_NS
        self.deliver(51, 60, duplicate=True)
        self.nothing()
        self.assertEqual(self.checker.figures["connections that timed out"], 1)

    def test_a_publisher_that_failed(self):
        self.history.states.append(State(COUNT * MS, COUNT * MS, "FAILED", -1, "message 7 ended the connection twice"))
        self.found("the publisher failed", "message 7 ended")

    def test_memory_that_grows(self):
        self.fault("blink", 50, 52)
        self.history.memory = [(0, 30000), (49 * MS, 40000), (COUNT * MS, 40000 + checker.MEMORY_KB)]
        self.nothing()
        self.history.memory[-1] = (COUNT * MS, 40001 + checker.MEMORY_KB)
        self.found("memory grew from 40000 kB")

    def test_the_table_tells_how_long_the_flow_stood_still(self):
        self.fault("kill", 50, 52)
        self.history.windows[0].accepting = accepted_at(53)
        self.history.outcomes[50:60] = [(outcome_at(60) + id, CONFIRMED, id, id) for id in range(51, 61)]
        row, = checker.rows(self.history)
        self.assertEqual(row.standstill, outcome_at(60) + 51 - outcome_at(50))
        self.assertEqual(row.resumed, outcome_at(60) + 51 - accepted_at(53))
        self.assertIn("kill", checker.table(self.history))


class Scripts(unittest.TestCase):
    def test_a_seed_is_a_script(self):
        names = faults.names_for(1)
        script = [faults.write_script(random.Random(seed), names, 2) for seed in (1, 1, 2)]
        self.assertEqual(script[0], script[1])
        self.assertNotEqual(script[0], script[2])
        self.assertEqual({f.name for f, _ in script[0][:len(names)]}, set(names))

    def test_the_documented_costs_are_those_in_the_code(self):
        with open(ROOT + "/docs/reliability.md") as f:
            documented = f.read()
        for row in faults.documented():
            self.assertTrue(row in documented, "not there: " + row)


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(1 if bad else 0)

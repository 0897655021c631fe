#!/usr/bin/env python3
"""scripts/nic-acceptance: what its report must not hold, what it says of phases that went wrong."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib", "acceptance"))

import discretion  # noqa: E402
import environment  # noqa: E402
import report  # noqa: E402
from phases import value_of  # noqa: E402


class Secrets(unittest.TestCase):
    def test_passwords_of_every_source_are_known_as_written_and_as_meant(self):
        with tempfile.TemporaryDirectory() as directory:
            with open(directory + "/url", "w") as f:
                f.write("amqp://u:fromfile@h\n")
            with open(directory + "/config", "w") as f:
                f.write("connection:\n  url: amqp://u:fromconfig@h\n  password: 'frompassword'\n")
            known = discretion.secrets(["--url-file", directory + "/url", "--config=" + directory + "/config"],
                                       {"AMQP_URL": "amqp://u:p%40ssw%2Ford@h", "HAREWIRE_PASSWORD": "fromvariable"})
        self.assertEqual(set(known), {"fromfile", "fromconfig", "frompassword", "fromvariable", "p%40ssw%2Ford", "p@ssw/ord"})

    def test_none_of_them_is_left(self):
        text = 'x amqp://u:p%40ss@h/ "p@ss" and p%40ss amqps://other:thing@h'
        self.assertEqual(discretion.without_secrets(text, ["p%40ss", "p@ss"]), 'x amqp://***@h/ "***" and *** amqps://***@h')

    def test_urls_without_a_password(self):
        self.assertEqual(discretion.secrets([], {"AMQP_URL": "amqp://broker:5672"}), [])


class Mask(unittest.TestCase):
    def test_the_same_thing_has_the_same_number(self):
        text = "from 10.1.2.3 to 10.1.2.4:5672, 10.1.2.3/24; 02:00:00:00:00:0A 02:00:00:00:00:0a; broker1 at broker1:5672, fe80::1"
        self.assertEqual(discretion.masked(text, ["broker1"]),
                         "from <ip-1> to <ip-2>:5672, <ip-1>/24; <mac-1> <mac-1>; <host-1> at <host-1>:5672, <ip-3>")

    def test_what_looks_like_one_and_is_none(self):
        text = "DPDK 22.11.11, 6.1.0-13, 0000:3b:00.0, 999.1.1.1, vm.nr_hugepages, 12:30:45 a::"
        self.assertEqual(discretion.masked(text.rpartition(" ")[0], ["vm"]), text.rpartition(" ")[0])

    def test_hosts_are_this_one_and_the_brokers(self):
        names = discretion.hosts(["--url", "amqp://b.example"], {"AMQP_URL": "amqp://u:p@c.example/"})
        self.assertTrue({"b.example", "c.example"} <= set(names))


def phase(**changes):
    result = {"accepted": 100, "confirmed": 100, "acceptance_rate": 50.0, "tcp": {"segments_sent": 100, "retransmits": 0},
              "driver": {"packets_dropped": 0}, **changes.pop("result", {})}
    return {"phase": "p", "command": "harewire publish --rate 50", "exit": 0, "said": "harewire: words", "result": result,
            "counters": {"interface": {}, "interruptions": {}}, **changes}


class Verdicts(unittest.TestCase):
    def bad(self, *phases):
        return [text for good, text in report.verdicts(phases) if not good]

    def test_a_good_phase(self):
        self.assertEqual(self.bad(phase()), [])

    def test_each_thing_that_goes_wrong(self):
        for words, made in (("50 of 100 confirmed, exit 1", phase(exit=1, result={"confirmed": 50})),
                            ("the device dropped 7 packets", phase(result={"driver": {"packets_dropped": 7}})),
                            ("3 of 100 segments", phase(result={"tcp": {"segments_sent": 100, "retransmits": 3}})),
                            ("40 a second", phase(result={"acceptance_rate": 40.0, "schedule_slip": {"count": 1}})),
                            ("exit None", phase(exit=None, result={"accepted": None})),
                            ("gaps 2", phase(consumer={"exit": 1, "result": {"received": 100, "gaps": 2}})),
                            ("received 99", phase(consumer={"exit": 0, "result": {"received": 99, "gaps": 0}}))):
            with self.subTest(words):
                found = self.bad(made)
                self.assertEqual(len(found), 1, found)
                self.assertIn(words, found[0])

    def test_a_phase_without_any_result(self):
        self.assertIn("harewire: words", self.bad(phase(exit=1, result={"accepted": None}))[0])
        self.assertEqual(len(self.bad({**phase(exit=2), "result": None})), 1)

    def test_an_offload_that_the_device_has_not_got_is_no_failure(self):
        refused = {"accepted": 0, "error": {"name": "UNSUPPORTED", "text": "no TSO"}}
        self.assertEqual(self.bad(phase(exit=1, command="harewire publish --tso on", result=refused)), [])
        self.assertEqual(len(self.bad(phase(exit=1, command="harewire publish --tso off", result=refused))), 1)


class Pieces(unittest.TestCase):
    def test_options_in_both_forms_the_last_one_counts(self):
        self.assertEqual(value_of(["--cpu", "1", "--cpu=2"], "--cpu"), "2")
        self.assertIsNone(value_of(["--cpus", "1"], "--cpu"))

    def test_counters_that_grew(self):
        self.assertEqual(environment.grown({"a": 1, "b": 2}, {"a": 1, "b": 5, "c": 1}), {"b": 3, "c": 1})


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stdout).run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(1 if bad else 0)

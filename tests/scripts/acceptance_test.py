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
import phases  # noqa: E402
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
    return {"phase": "p", "rate": 50, "command": "harewire publish --rate 50", "exit": 0, "said": "harewire: words", "result": result,
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

    def test_as_fast_as_it_goes_has_no_rate_to_miss(self):
        self.assertEqual(self.bad(phase(rate=None, result={"acceptance_rate": 1.0, "schedule_slip": {"count": 1}})), [])

    def test_nothing_sent_is_no_praise(self):
        nothing = list(report.verdicts([phase(exit=1, said="harewire: first\nharewire: last", result={"accepted": None, "tcp": {}})]))
        self.assertEqual([good for good, _ in nothing], [False], nothing)
        self.assertTrue(nothing[0][1].endswith("exit 1: harewire: last"), nothing)

    def test_a_phase_without_any_result(self):
        self.assertIn("harewire: words", self.bad(phase(exit=1, result={"accepted": None}))[0])
        self.assertEqual(len(self.bad({**phase(exit=2), "result": None})), 1)

    def test_an_offload_that_the_device_has_not_got_is_no_failure(self):
        refused = {"accepted": 0, "error": {"name": "UNSUPPORTED", "text": "no TSO"}}
        self.assertEqual(self.bad(phase(exit=1, command="harewire publish --tso on", result=refused)), [])
        self.assertEqual(len(self.bad(phase(exit=1, command="harewire publish --tso off", result=refused))), 1)


class Played:
    """A bench whose `harewire` is a script, which publishes 10,000 messages a second."""

    def __init__(self, directory):
        path = os.path.join(directory, "harewire")
        with open(path, "w") as f:
            f.write("""#!/bin/sh
case "$1" in
help) echo --tso --checksum-offload; exit ;;
consume) exec sleep 600 ;;
esac
case "$*" in *refuse*) echo '{"accepted": 0}'; exit 1 ;; esac
count=${*##*--count }
count=${count%% *}
echo "{\\"accepted\\": $count, \\"seconds\\": ${count}e-4}"
""")
        os.chmod(path, 0o755)
        self.path = path

    def run(self, seconds, *arguments, consumer=None):
        bench = phases.Bench(self.path, ["--driver", "dpdk", *arguments], "", consumer)
        return phases.run_all(bench, seconds, [100, 1000], lambda text: None)


class Phases(unittest.TestCase):
    def setUp(self):
        self.played = Played(self.enterContext(tempfile.TemporaryDirectory()))

    def test_they_share_the_time_that_is_given(self):
        counts = {}
        for minutes in (1, 10):
            for found in self.played.run(60 * minutes):
                counts.setdefault(found["phase"], []).append(int(value_of(found["command"].split(), "--count")))
        self.assertEqual(set(counts), {"100 a second", "1000 a second", "full speed", "checksum-offload on", "checksum-offload off",
                                       "tso on", "tso off"})
        self.assertEqual(counts["100 a second"][0], int(100 * 60 * (0.5 + 0.25) / 2))
        for name, (short, long) in counts.items():
            self.assertAlmostEqual(long / short, 10, delta=0.1, msg=name)

    def test_each_has_its_rate_whatever_a_config_file_says(self):
        for found in self.played.run(1, "--config", "paced.yaml"):
            self.assertEqual(value_of(found["command"].split(), "--rate"), str(found["rate"] or "max"), found)
        self.assertIn(None, [found["rate"] for found in self.played.run(1)])

    def test_a_consumer_is_not_waited_for_when_nothing_was_published(self):
        last = self.played.run(1, "--header", "refuse=1", consumer="")[-1]
        self.assertEqual((last["phase"], last["consumer"]["exit"]), ("delivered, 1000 a second", -15))

    def test_what_they_set_themselves_is_refused(self):
        for given in ("--rate=5", "-r", "--count", "--size=7", "--queue", "-f"):
            self.assertEqual(phases.refused(["--cpu", "3", given, "7"]), given)
        self.assertIsNone(phases.refused(["--driver", "dpdk", "--cpu=3", "--tso=on", "--url", "amqp://b"]))


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

#!/usr/bin/env python3
"""tests/integration/run.py --lanes with cases and labs that are played: each case is done once, whichever lane takes it."""
import collections
import contextlib
import io
import multiprocessing
import os
import sys
import tempfile
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT + "/tests/integration")
sys.dont_write_bytecode = True
import run  # noqa: E402


class PlayedLabs:
    def __init__(self, suffix):
        pass

    def down(self):
        pass


class Lanes(unittest.TestCase):
    def lanes(self, cases, case):
        """What run_lanes says, and how often each case was done."""
        with tempfile.NamedTemporaryFile("r") as done:
            def run_case(labs, name, function, kind, driver, build):
                with open(done.name, "a") as f:
                    f.write(name + "\n")
                return case(name)
            out = io.StringIO()
            with mock.patch.object(run, "Labs", PlayedLabs), mock.patch.object(run, "run_case", run_case), \
                    contextlib.redirect_stdout(out):
                tally = run.run_lanes(cases, "build")
            return tally, collections.Counter(done.read().split())

    def cases(self, of_each=30):
        return [(f"{kind}-{i}", None, kind, None) for kind in run.LABS for i in range(of_each)]

    def test_each_case_is_done_once(self):
        cases, begun = self.cases(), set()
        all_lanes = multiprocessing.Barrier(len(run.LANES))

        def wait_for_the_others(name):
            if os.getpid() not in begun:
                begun.add(os.getpid())
                all_lanes.wait(20)
            return "ok", ""
        tally, done = self.lanes(cases, wait_for_the_others)
        self.assertEqual(tally, {"ok": len(cases), "FAIL": 0, "skip": 0})
        self.assertEqual(done, collections.Counter(name for name, *_ in cases))

    def test_failures_and_skips_are_counted(self):
        tally, _ = self.lanes(self.cases(3), lambda name: {"0": ("FAIL", "so"), "1": ("skip", "so")}.get(name[-1], ("ok", "")))
        self.assertEqual(tally, dict.fromkeys(("ok", "FAIL", "skip"), len(run.LABS)))

    def test_a_lane_that_dies_is_a_failure(self):
        tally, _ = self.lanes(self.cases(3), lambda name: os._exit(1) if name == "patient-1" else ("ok", ""))
        self.assertGreaterEqual(tally["FAIL"], 1)


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(1 if bad else 0)

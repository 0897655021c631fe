#!/usr/bin/env python3
"""docs/example.c as docs/api.md tells of it: what it says where no broker is, and that the page quotes it. PROGRAM: it, built."""
import os
import re
import subprocess
import sys
import textwrap
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
NOBODY = "amqp://127.0.0.1:1"


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60)


def read(name):
    with open(os.path.join(ROOT, "docs", name)) as f:
        return f.read()


def unindented(text):
    return "\n".join(line.strip() for line in textwrap.dedent(text).strip().splitlines())


class Example(unittest.TestCase):
    def fails(self, done, sentence):
        self.assertEqual((done.returncode, done.stdout), (1, "0 confirmed, 0 failed, 0 in doubt\n"), done.stderr)
        self.assertIn(sentence, done.stderr)

    def test_a_broker_that_cannot_be_had_is_named(self):
        self.fails(run("kernel", NOBODY, "q", "5"), "127.0.0.1:1")

    def test_a_wrong_host_is_refused_in_a_sentence(self):
        self.fails(run("kernel", NOBODY, "q", "5", "mq2", "mq3:x"), "hosts[1] 'mq3:x' has a port that is not a number")

    def test_a_wrong_driver_is_refused_in_a_sentence(self):
        self.fails(run("token-ring", NOBODY, "q", "5"), "token-ring")

    def test_without_arguments_it_says_what_it_takes(self):
        done = run()
        self.assertEqual(done.returncode, 2)
        self.assertIn("DRIVER URL QUEUE COUNT", done.stderr)

    def test_the_page_quotes_the_program(self):
        program = unindented(read("example.c"))
        quotes = re.findall(r"```c\n(.*?)```", read("api.md"), re.DOTALL)
        self.assertGreaterEqual(len(quotes), 5)
        for quote in quotes:
            self.assertIn(unindented(quote), program)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    result = unittest.TextTestRunner(stream=sys.stdout).run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(1 if bad else 0)

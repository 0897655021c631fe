#!/usr/bin/env python3
"""What `make install` puts down is enough to build with: the README's program, C and C++, shared and static. B: the build."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("B", "build")
PREFIX = "/opt/h"

# Names of an application's own that are also the library's inside.
OWN_NAMES = """
int publisher_create(void) { return 1; }
int log_init(void) { return 2; }
int tcp_output(void) { return 3; }
"""

MAIN = """
static int complain(const char *why) { return fprintf(stderr, "%s\\n", why), 1; }
static struct harewire_event event;
static int wait_for_one(struct harewire_publisher *publisher)
{
	while (!harewire_event_poll(publisher, &event))
		;
	return event.type == HAREWIRE_EVENT_READY ? 0 : complain(event.text);
}
int main(void)
{
	static const char tick[] = "tick";
	size_t tick_len = sizeof tick;
	LINES
	printf("%d %d\\n", wait_for_one(publisher), (int)id);
	harewire_publisher_destroy(publisher);
	harewire_destroy(hw);
	return 0;
}
"""


def readme_program():
    """The README's lines, against a port at which nothing listens, with a driver that needs no privilege."""
    with open(os.path.join(ROOT, "README.md")) as f:
        lines = re.search(r"```c\n(.*?)```", f.read(), re.DOTALL).group(1)
    for line, instead in (('"af_xdp"', '"kernel"'), ("worker_cpu = 3", "worker_cpu = 0"), ("amqp://broker", "amqp://127.0.0.1:1")):
        assert line in lines, f"the README's program has no {line} any more"
        lines = lines.replace(line, instead)
    return "#include <stdint.h>\n#include <stdio.h>\n#include <harewire.h>\n" + OWN_NAMES + MAIN.replace("LINES", lines)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        subprocess.run(["make", "-s", "B=" + BUILD, "install", "DESTDIR=" + cls.directory, "PREFIX=" + PREFIX], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
        cls.root = cls.directory + PREFIX
        with open(cls.directory + "/program.c", "w") as f:
            f.write(readme_program())

    def pkg_config(self, *arguments):
        environment = {**os.environ, "PKG_CONFIG_PATH": self.root + "/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": self.directory}
        return subprocess.run(["pkg-config", *arguments, "harewire"], env=environment, check=True, stdout=subprocess.PIPE,
                              text=True).stdout.split()

    def build_and_run(self, *libraries):
        program = self.directory + "/program"
        subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", *self.pkg_config("--cflags"), self.directory + "/program.c",
                        "-o", program, *libraries], check=True)
        done = subprocess.run([program], env={**os.environ, "LD_LIBRARY_PATH": self.root + "/lib"}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("nothing listens on that port", done.stderr)
        self.assertIn(done.stdout, ("1 -3\n", "1 -5\n"))  # published before it was ready, or after it had failed

    def test_the_readmes_program_with_the_shared_library(self):
        self.build_and_run(*self.pkg_config("--libs"))

    def test_the_readmes_program_with_the_static_library(self):
        libraries = self.pkg_config("--libs", "--static")
        self.build_and_run(*[self.root + "/lib/libharewire.a" if word == "-lharewire" else word for word in libraries])

    def test_both_libraries_have_public_names_only(self):
        for name in ("-D", "libharewire.so"), ("-g", "libharewire.a"):
            out = subprocess.run(["nm", name[0], "--defined-only", self.root + "/lib/" + name[1]], check=True, stdout=subprocess.PIPE,
                                 text=True).stdout
            names = [words[2] for words in map(str.split, out.splitlines()) if len(words) == 3]
            self.assertIn("harewire_publish", names)
            self.assertEqual([n for n in names if not n.startswith("harewire_")], [], name[1])

    def test_the_header_is_c_plus_plus_too(self):
        subprocess.run(["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *self.pkg_config("--cflags"), "-x", "c++", "-"],
                       input="#include <harewire.h>\nint main() { harewire_options o; harewire_options_init(&o); }", text=True, check=True)

    def test_versions_agree(self):
        said = subprocess.run([self.root + "/bin/harewire", "version"], check=True, stdout=subprocess.PIPE, text=True).stdout
        self.assertIn(self.pkg_config("--modversion")[0], said)


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stdout).run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(1 if bad else 0)

#!/usr/bin/env python3
"""Instructions per operation, counted by callgrind, compared with a committed baseline.

    bench-instructions.py [--update] [--only NAME] PROGRAM SCENARIOS
    bench-instructions.py --self-test

SCENARIOS is an INI file, one section for each figure:

    [publish-256]
    arguments = publish --size 256
    operations = 2000 6000
    exclude = peer_take_frame peer_fill_burst

PROGRAM is run twice under callgrind, as `PROGRAM arguments N` with each of the two numbers of operations. The
difference of what the runs executed, divided by the difference of the numbers, is the cost of one operation: start-up
and end cancel out. Functions in `exclude` (and all they call) do not count; where `only` names functions, nothing but
these counts. Both take wildcards. The functions must not be inlined, and none may call another: entering one inside
another would switch counting back.

The baseline (tests/bench/instructions.baseline) has a section for each compiler and processor, because figures of
different ones cannot be compared, with a line "name value" for each scenario. A figure more than 1 % worse fails, as
does a scenario that is in the baseline and was not measured. --update rewrites our section. Without a section for us
the figures are printed and nothing fails.
"""

import argparse
import configparser
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile

TOLERANCE = 0.01
# callgrind counts every octet that `rep movsb` moves, which is how glibc copies more than a page or so.
ENVIRONMENT = {**os.environ, "GLIBC_TUNABLES": "glibc.cpu.x86_rep_movsb_threshold=1000000000"}
BASELINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.baseline")
TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


class Failure(Exception):
    pass


class Scenario:
    def __init__(self, name, arguments, operations, only=(), exclude=(), collect=""):
        self.name, self.arguments, self.operations = name, list(arguments), tuple(operations)
        self.only, self.exclude, self.collect = list(only), list(exclude), collect
        if len(self.operations) != 2 or not 0 < self.operations[0] < self.operations[1]:
            raise Failure(f"{name}: operations must be two numbers, the second one larger")
        if bool(self.only) + bool(self.exclude) + bool(self.collect) > 1:
            raise Failure(f"{name}: only, exclude and collect cannot be used together")
        if self.collect not in ("", "program"):
            raise Failure(f"{name}: collect can only be: program")


def read_scenarios(path):
    parser = configparser.ConfigParser(interpolation=None)
    with open(path) as f:
        parser.read_file(f)
    scenarios = []
    for name in parser.sections():
        section = parser[name]
        unknown = set(section) - {"arguments", "operations", "only", "exclude", "collect"}
        if unknown or " " in name:
            raise Failure(f"{path}: [{name}]: unknown keys {sorted(unknown)}, or a space in the name")
        scenarios.append(Scenario(name, shlex.split(section.get("arguments", "")),
                                  [int(n) for n in section.get("operations", "").split()],
                                  section.get("only", "").split(), section.get("exclude", "").split(),
                                  section.get("collect", "")))
    if not scenarios:
        raise Failure(f"{path}: no scenario")
    return scenarios


# ---- measuring -----------------------------------------------------------------------------------------------------


def count_instructions(program, scenario, operations):
    """What one run of the program executes; each toggle function switches counting over while it runs."""
    with tempfile.TemporaryDirectory(prefix="harewire-callgrind-") as directory:
        out = os.path.join(directory, "out")
        toggles = [f"--toggle-collect={f}" for f in scenario.only + scenario.exclude]
        command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}", *toggles,
                   f"--collect-atstart={'no' if scenario.only or scenario.collect else 'yes'}",
                   program, *scenario.arguments, str(operations)]
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENVIRONMENT)
        if run.returncode != 0:
            raise Failure(f"{scenario.name}: {shlex.join(command)} ended with {run.returncode}:\n"
                          + run.stdout.decode(errors="replace"))
        with open(out) as f:
            found = TOTAL.findall(f.read())
    if not found:
        raise Failure(f"{scenario.name}: callgrind counted nothing")
    return int(found[-1])


def measure(program, scenario):
    few, many = (count_instructions(program, scenario, n) for n in scenario.operations)
    figure = (many - few) / (scenario.operations[1] - scenario.operations[0])
    if figure <= 0:
        raise Failure(f"{scenario.name}: {few} instructions for {scenario.operations[0]} operations, {many} for "
                      f"{scenario.operations[1]}: does the program take the number as its last argument?")
    return figure


def key_of(compiler):
    """The compiler's own first line, and what decides which of libc's routines run."""
    run = subprocess.run([*shlex.split(compiler), "--version"], stdout=subprocess.PIPE, check=True)
    version = run.stdout.decode(errors="replace").splitlines()[0].strip()
    machine = platform.machine()
    if machine == "x86_64":
        with open("/proc/cpuinfo") as f:
            machine += "-avx2" if re.search(r"^flags\s*:.*\bavx2\b", f.read(), re.MULTILINE) else "-sse"
    return f"{version}, {machine}"


# ---- the baseline --------------------------------------------------------------------------------------------------


def read_baseline(path):
    """key -> name -> instructions, in the file's order."""
    baseline, section = {}, None
    if not os.path.exists(path):
        return baseline
    with open(path) as f:
        for number, line in enumerate(f, 1):
            line = line.strip()
            if line.startswith("[") and line.endswith("]"):
                section = baseline.setdefault(line[1:-1], {})
            elif line and not line.startswith("#"):
                name, _, value = line.partition(" ")
                if section is None or not re.fullmatch(r"\d+(\.\d+)?", value.strip()):
                    raise Failure(f"{path}:{number}: neither [compiler, machine] nor a name and its instructions")
                section[name] = float(value)
    return baseline


def write_baseline(path, baseline):
    with open(path, "w") as f:
        f.write("# Instructions per operation; written by bench-instructions.py --update.\n")
        for key, figures in baseline.items():
            f.write(f"\n[{key}]\n")
            for name, figure in figures.items():
                f.write(f"{name} {figure:.1f}\n")


def compare(figures, base, complete):
    """A list of (name, figure, baseline or None, verdict, failed)."""
    rows = []
    for name, figure in figures.items():
        was = base.get(name)
        if was is None:
            rows.append((name, figure, None, "new", False))
        elif figure > was * (1 + TOLERANCE):
            rows.append((name, figure, was, "WORSE", True))
        elif figure < was * (1 - TOLERANCE):
            rows.append((name, figure, was, "better: --update keeps it", False))
        else:
            rows.append((name, figure, was, "same", False))
    if complete:
        rows += [(name, None, was, "NOT MEASURED", True) for name, was in base.items() if name not in figures]
    return rows


def print_rows(rows):
    print(f"{'scenario':32} {'instructions':>13} {'baseline':>10} {'change':>8}")
    for name, figure, was, verdict, _ in rows:
        shown = "-" if figure is None else f"{figure:.1f}"
        before = "-" if was is None else f"{was:.1f}"
        change = "-" if figure is None or not was else f"{100 * (figure / was - 1):+.1f} %"
        print(f"{name:32} {shown:>13} {before:>10} {change:>8}  {verdict}")


def run(program, scenarios, baseline_path, key, update, complete=True):
    """Measures, prints, compares; the exit status."""
    baseline = read_baseline(baseline_path)
    figures = {scenario.name: measure(program, scenario) for scenario in scenarios}
    known = key in baseline
    rows = compare(figures, baseline.get(key, {}), complete and known and not update)
    print_rows(rows)
    if update:
        kept = {} if complete else baseline.get(key, {})
        baseline[key] = {**kept, **figures}
        write_baseline(baseline_path, baseline)
        print(f"{baseline_path}: [{key}] rewritten")
        return 0
    if not known:
        print(f"no baseline for [{key}]: nothing to compare with")
    return 1 if any(failed for *_, failed in rows) else 0


# ---- the self-test -------------------------------------------------------------------------------------------------

SELF_TEST_PROGRAM = r"""
#include <stdlib.h>
static volatile unsigned sink;
__attribute__((noinline)) void peer_work(void) { for (int i = 0; i < 500; i++) sink++; }
__attribute__((noinline)) void own_work(int n) { for (int i = 0; i < n; i++) sink++; }
int main(int argc, char **argv)
{
	for (int i = 0; i < 100000; i++) sink++;
	for (int i = 0; i < atoi(argv[2]); i++) { own_work(atoi(argv[1])); peer_work(); }
	return argc != 3;
}
"""


def expect(condition, what):
    if not condition:
        raise Failure(f"self-test: {what}")


def test_measuring(program):
    def cost(work, **toggles):
        return measure(program, Scenario("s", [str(work)], (100, 300), **toggles))

    everything, without_peer, own = cost(10), cost(10, exclude=["peer_*"]), cost(10, only=["own_work"])
    expect(everything - without_peer > 1000, "exclude leaves a function out")
    expect(10 < own < without_peer < everything, "only counts nothing but its function")
    expect(cost(10, exclude=["peer_*"]) == without_peer, "two measurements agree")
    twice = cost(20, only=["own_work"])
    expect(abs((twice - own) - 10 * (twice - cost(19, only=["own_work"]))) < 1, "cost grows with the work")
    for bad in ([], ["1"] * 3):
        try:
            measure(program, Scenario("s", bad, (1, 2)))
        except Failure:
            continue
        expect(False, "a program that fails is noticed")


def test_baseline(program, directory):
    path = os.path.join(directory, "baseline")
    write_baseline(path, {"another compiler": {"s": 1.0}})

    def outcome(work, update=False, names=("s",), key="ours"):
        scenarios = [Scenario(n, [str(work)], (100, 200), only=["own_work"]) for n in names]
        return run(program, scenarios, path, key, update)

    expect(outcome(1000) == 0, "without a baseline nothing fails")
    expect(outcome(1000, update=True) == 0, "update succeeds")
    expect(read_baseline(path)["another compiler"] == {"s": 1.0}, "update keeps the other sections")
    expect(outcome(1000) == 0, "the same passes")
    expect(outcome(1005) == 0, "half a percent passes")
    expect(outcome(1020) == 1, "two percent more fail")
    expect(outcome(900) == 0, "less passes")
    expect(outcome(1000, names=("s", "t")) == 0, "a new scenario passes")
    expect(outcome(1000, names=("t",)) == 1, "a scenario that has gone fails")
    expect(outcome(5000, key="another compiler") == 1, "each section has its own figures")


def test_scenarios(directory):
    path = os.path.join(directory, "scenarios")

    def scenarios(text):
        with open(path, "w") as f:
            f.write(text)
        return read_scenarios(path)

    one = scenarios("[a]\narguments = x 'y z'\noperations = 10 20\nexclude = f g*\n")[0]
    expect((one.name, one.arguments, one.operations, one.exclude) == ("a", ["x", "y z"], (10, 20), ["f", "g*"]),
           "a scenario is read")
    for bad in ("", "[a]\noperations = 20 10\n", "[a]\noperations = 1\n", "[a]\noperations = 1 2\ncolour = red\n",
                "[a]\noperations = 1 2\nonly = f\nexclude = g\n"):
        try:
            scenarios(bad)
        except Failure:
            continue
        expect(False, f"{bad!r} is refused")


def self_test(compiler):
    with tempfile.TemporaryDirectory(prefix="harewire-bench-") as directory:
        source, program = os.path.join(directory, "loop.c"), os.path.join(directory, "loop")
        with open(source, "w") as f:
            f.write(SELF_TEST_PROGRAM)
        subprocess.run([*shlex.split(compiler), "-O1", "-o", program, source], check=True)
        test_measuring(program)
        test_baseline(program, directory)
        test_scenarios(directory)
    expect(", " in key_of(compiler), "the compiler has a name")
    print("3 passed, 0 failed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?")
    parser.add_argument("scenarios", nargs="?")
    parser.add_argument("--baseline", default=BASELINE)
    parser.add_argument("--compiler", default=os.environ.get("CC") or "gcc", help="what built the program")
    parser.add_argument("--only", help="measure one scenario")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    try:
        if options.self_test:
            self_test(options.compiler)
            return 0
        if not options.program or not options.scenarios:
            parser.error("a program and a file of scenarios are needed")
        scenarios = [s for s in read_scenarios(options.scenarios) if options.only in (None, s.name)]
        if not scenarios:
            parser.error(f"no scenario is called {options.only}")
        return run(options.program, scenarios, options.baseline, key_of(options.compiler), options.update,
                   complete=options.only is None)
    except (Failure, OSError, ValueError, configparser.Error, subprocess.CalledProcessError) as failure:
        print(f"bench-instructions: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The kernel as referee: the same messages over the same losses through Linux's TCP and through ours. Root.

    referee.py [--runs N] [--levels PERCENT,...] [--steady PERCENT,...] [--rate N] [--senders NAME,...] [--output FILE]
    referee.py --trace PERCENT --senders NAME --seed N --output CAPTURE [--rate N]
    referee.py --table FILE
    referee.py --check

`harewire publish` runs in one network namespace, a sink that speaks AMQP in another; `af_xdp` is our TCP over AF_XDP,
`kernel` an ordinary socket (CUBIC; also `kernel-bbr`, `kernel-reno`) that carries the same octets. Losses are chosen by
the packet's number and a seed, the same for each sender. Every run's octets are compared with what was to be sent.

Without another order: all levels as bulk transfers, then the steady ones, A B B A; --output keeps every run as a line
of JSON, of which --table makes the tables again. --trace is one run with a capture of what came to the receiver's
door. --check is the part of `make test`: octets and losses, and never how long it took. See docs/benchmarking.md.
"""
import argparse
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "referee"))
import check
import lab
import load
import report


def numbers(text):
    return [float(part) for part in text.split(",") if part]


def parse():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--levels", type=numbers, default=list(load.BULK))
    parser.add_argument("--steady", type=numbers, default=list(load.STEADY))
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--senders", type=lambda text: text.split(","), default=["kernel", "af_xdp"])
    parser.add_argument("--seed", type=int, default=1)
    for path in ("--output", "--table"):
        parser.add_argument(path)
    parser.add_argument("--trace", type=float)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    unknown = set(options.senders) - set(lab.SENDERS)
    if unknown:
        parser.error(f"--senders: {', '.join(sorted(unknown))}: known are {', '.join(lab.SENDERS)}")
    return options


def write(text):
    print(text, flush=True)


def one(bench, sender, what, seed):
    try:
        result = bench.run(sender, what, seed)
    except lab.Unfinished:
        limit_ns = lab.LIMIT_S * 10**9
        return {"sender": sender, "seed": seed, **what.described(), "unfinished": True, "completion_ns": limit_ns, "stall_ns": limit_ns}
    check.must_hold(result)
    return result


def compare(options, bench):
    """Every load, every seed, every sender; each second seed in the opposite order."""
    results = []
    for what in load.bulk(options.levels) + load.steady(options.steady, options.rate or load.STEADY_RATE):
        for i in range(options.runs):
            seed = options.seed + i
            for sender in options.senders if i % 2 == 0 else reversed(options.senders):
                result = one(bench, sender, what, seed)
                results.append(result)
                if options.output:
                    with open(options.output, "a") as f:
                        f.write(json.dumps(result) + "\n")
        write(f"{what.per_cent:g} %{f', {what.rate}/s' if what.rate else ''}: {options.runs} runs of each, every octet as sent")
    return results


def show(results, senders):
    """The first sender is what the others are compared with."""
    results = sorted(results, key=lambda r: senders.index(r["sender"]))
    found = dict(sorted(report.groups(results).items()))
    write("\n\n".join(filter(None, ["", report.bulk(found), report.steady(found)])))


def trace(options, bench):
    what = (load.steady([options.trace], options.rate) if options.rate else load.bulk([options.trace]))[0]
    result = bench.run(options.senders[0], what, options.seed, capture=options.output)
    write(json.dumps(result))


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.table:
        with open(options.table) as f:
            results = [json.loads(line) for line in f]
        show(results, options.senders)
        return 0
    if os.geteuid() != 0:
        sys.exit("referee.py: only root can do this (network namespaces, AF_XDP)")
    try:
        with lab.Lab(os.path.abspath(os.environ.get("B", "build"))) as bench:
            if options.check:
                return check.run(bench)
            if options.trace is not None:
                trace(options, bench)
            else:
                show(compare(options, bench), options.senders)
    except (lab.RefereeError, check.Broken) as e:
        sys.exit(f"referee.py: {e}")
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

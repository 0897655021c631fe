"""Distributions side by side, as Markdown."""
import random
import statistics

BOOTSTRAPS = 2000


def percentile(values, p):
    """The smallest value that at least p per cent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * p // 100) - 1)]


def spread(values, scale=1.0):
    """Median, p90 and worst."""
    return " / ".join(short(v * scale) for v in (statistics.median(values), percentile(values, 90), max(values)))


def short(v):
    return f"{v:.3g}" if v < 1000 else f"{v:.0f}"


def ratio(pairs):
    """Median of the pairs' ratios with its bootstrap 95 % interval."""
    ratios = [a / b for a, b in pairs if b > 0]
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(BOOTSTRAPS))
    low, high = medians[BOOTSTRAPS // 40], medians[-BOOTSTRAPS // 40]
    return f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})"


def groups(results):
    """{(level, rate): {sender: [its runs, by seed]}}, in the order in which they were run."""
    found = {}
    for r in results:
        found.setdefault((r["per_cent"], r["rate"]), {}).setdefault(r["sender"], []).append(r)
    for senders in found.values():
        for runs in senders.values():
            runs.sort(key=lambda r: r["seed"])
    return found


def against(runs, reference, value):
    if runs == reference:
        return "1"
    by_seed = {r["seed"]: r for r in reference}
    return ratio([(value(r), value(by_seed[r["seed"]])) for r in runs if r["seed"] in by_seed])


def finished(runs):
    return [r for r in runs if not r.get("unfinished")]


def number_of(runs):
    missing = len(runs) - len(finished(runs))
    return f"{len(runs)}, {missing} of them cut off" if missing else str(len(runs))


def lost(runs):
    return f"{sum(r['data_dropped'] for r in finished(runs))}/{sum(r['data_seen'] for r in finished(runs))}"


def absence_ms(runs):
    return short(statistics.median(r["published"]["driver"]["longest_gap_us"] for r in finished(runs)) / 1000) if finished(runs) else "-"


def completion(r):
    return r["completion_ns"]


def stall(r):
    return r["stall_ns"]


def confirm_p99(r):
    return r["published"]["due_to_confirm"]["p99"]


def table(header, rows):
    return "\n".join(["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)])


def bulk(found):
    rows = []
    for (level, rate), senders in found.items():
        reference = next(iter(senders.values()))
        for sender, runs in senders.items() if not rate else ():
            rows.append([f"{level:g} %", sender, number_of(runs), lost(runs),
                         spread([completion(r) for r in runs], 1e-6), against(runs, reference, completion),
                         spread([stall(r) for r in runs], 1e-6), against(runs, reference, stall), absence_ms(runs)])
    return table(["loss", "TCP", "runs", "data segments lost/seen", "completion, ms: median / p90 / worst", "ratio",
                  "longest stall, ms: median / p90 / worst", "ratio", "sender's longest absence, ms: median"], rows) if rows else ""


def steady(found):
    rows = []
    for (level, rate), senders in found.items():
        reference = next(iter(senders.values()))
        for sender, runs in senders.items() if rate else ():
            times = [r["published"]["due_to_confirm"] for r in finished(runs)]
            rows.append([f"{level:g} %", f"{rate}/s", sender, number_of(runs),
                         *(spread([t[p] for t in times]) for p in ("p50", "p90", "p99")), against(finished(runs), finished(reference), confirm_p99),
                         spread([t["max"] / 1000 for t in times])])
    return table(["loss", "rate", "TCP", "runs", "p50, us: median / p90 / worst of the runs", "p90, us", "p99, us", "ratio of p99",
                  "slowest message, ms"], rows) if rows else ""

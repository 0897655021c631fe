"""One markdown file: verdicts first, tables for people, everything raw at the end."""
import json

PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")


def figure(phase, *path):
    found = phase["result"]
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def verdicts(phases):
    """(good, sentence) for what can be said without knowing the machine: no latency is right or wrong."""
    for phase in phases:
        accepted, confirmed = figure(phase, "accepted"), figure(phase, "confirmed")
        if phase["exit"] == 0 and accepted:
            yield True, f"{phase['phase']}: {accepted} messages published, all confirmed"
        elif optional(phase):
            yield True, f"{phase['phase']}: not to be had here: {figure(phase, 'error', 'text') or phase['said'] or 'no reason given'}"
        else:
            yield False, (f"{phase['phase']}: {confirmed} of {accepted} confirmed, exit {phase['exit']}: "
                          f"{figure(phase, 'error', 'text') or phase['said'].rpartition(chr(10))[2]}")
        wanted, rate = phase["rate"], figure(phase, "acceptance_rate")
        if wanted and accepted and rate is not None:
            yield abs(rate - wanted) < 0.02 * wanted, f"{phase['phase']}: {rate:.0f} a second were achieved"
        if figure(phase, "driver", "packets_dropped"):
            yield False, f"{phase['phase']}: the device dropped {figure(phase, 'driver', 'packets_dropped')} packets"
        if "consumer" in phase:
            yield from delivery_verdict(phase["consumer"], accepted)
    yield from loss_verdict(phases)


def optional(phase):
    """An offload that was asked for and that the device has not got is an answer, not a failure."""
    return figure(phase, "error", "name") == "UNSUPPORTED" and (" --tso on" in phase["command"]
                                                                or " --checksum-offload on" in phase["command"])


def delivery_verdict(consumer, accepted):
    result = consumer["result"] or {}
    counts = ", ".join(f"{name} {result.get(name)}" for name in ("received", "gaps", "duplicates", "disorder"))
    yield consumer["exit"] == 0 and result.get("received") == accepted, f"delivered to the consumer: {counts}"


def loss_verdict(phases):
    sent = sum(figure(p, "tcp", "segments_sent") or 0 for p in phases)
    again = sum(figure(p, "tcp", "retransmits") or 0 for p in phases)
    if sent:
        yield again == 0, f"{again} of {sent} segments were retransmitted"


# ---- tables ----------------------------------------------------------------------------------------------------------


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return lines + ["| " + " | ".join("" if cell is None else str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]


def latency_table(phases, name):
    rows = []
    for phase in phases:
        values = figure(phase, name)
        if values:
            rows.append([phase["phase"], values["count"]] + [values.get(p) for p in PERCENTILES])
    return table(["phase", "n", *PERCENTILES], rows) if rows else ["not measured"]


def loss_table(phases):
    rows = [[p["phase"], figure(p, "tcp", "segments_sent"), figure(p, "tcp", "retransmits"), figure(p, "tcp", "rto_fired"),
             figure(p, "driver", "packets_sent"), figure(p, "driver", "packets_received"), figure(p, "driver", "packets_dropped"),
             figure(p, "driver", "longest_gap_us")] for p in phases]
    return table(["phase", "segments", "retransmitted", "timeouts", "packets sent", "received", "dropped by the device (imissed)",
                  "longest gap between turns, us"], rows)


def confirmed_rate(phase):
    confirmed, seconds = figure(phase, "confirmed"), figure(phase, "seconds")
    return f"{confirmed / seconds:.0f}" if confirmed and seconds else None


def throughput_table(phases):
    rows = [[p["phase"], figure(p, "accepted"), figure(p, "seconds"), confirmed_rate(p), figure(p, "waits_for_log"),
             figure(p, "tcp", "srtt_us"), figure(p, "driver", "mode"), figure(p, "driver", "steering"),
             figure(p, "driver", "offloads")] for p in phases]
    return table(["phase", "messages", "seconds", "confirmed a second", "waits for the broker", "srtt, us", "mode", "steering", "offloads"], rows)


def facts(found):
    """A dictionary as lines; what is empty is left out."""
    lines = []
    for name, value in found.items():
        if value in (None, "", [], {}):
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else json.dumps(value) if isinstance(value, dict) else str(value)
        lines.append(f"- {name.replace('_', ' ')}: {text}")
    return lines or ["nothing is known"]


def interruption_table(phases):
    rows = [[p["phase"], ", ".join(f"{n} x {name}" for name, n in p["counters"]["interruptions"].items()) or "none"]
            for p in phases]
    return table(["phase", "interrupts on the worker's CPU"], rows)


def write(data):
    """The report's text."""
    phases, lines = data["phases"], ["# Harewire on a NIC", ""]
    lines += [f"{data['when']}, {data['minutes']:g} minutes, {data['version']}", ""]
    lines += [f"- {'good' if good else 'LOOK'}: {text}" for good, text in verdicts(phases)]
    sections = [("The device", facts({**(data["pci"] or {}), **data["probe"], **data["interface"]})),
                ("The host", facts(data["host"])),
                ("What a worker wants of it", [f"- {line}" for line in data["checks"]]),
                ("Throughput", throughput_table(phases)),
                ("Loss", loss_table(phases)),
                ("From publish() to the device, us", latency_table(phases, "call_to_wire")),
                ("From publish() to the broker's confirm, us", latency_table(phases, "publish_to_confirm")),
                ("From when it was due to the confirm, us", latency_table(phases, "due_to_confirm")),
                ("How late the publisher was, us", latency_table(phases, "schedule_slip"))]
    if any(p["counters"]["interruptions"] for p in phases):
        sections.append(("What interrupted the worker", interruption_table(phases)))
    sections.append(("Everything", ["```json", json.dumps(data, indent=1), "```"]))
    for title, body in sections:
        lines += ["", "## " + title, "", *body]
    return "\n".join(lines) + "\n"

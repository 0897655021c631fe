"""What publisher, consumer and script have written down, read again."""
import array
import bisect
import dataclasses
import json
import os

from consumer import FLAG_DUPLICATE, FLAG_REDELIVERED, RECORD

CONFIRMED, NACKED, RETURNED, UNCONFIRMED, LOST = "CNRUL"
OUTCOMES = {CONFIRMED: "confirmed", NACKED: "nacked", RETURNED: "returned", UNCONFIRMED: "unconfirmed", LOST: "lost"}


@dataclasses.dataclass
class Delivery:
    time: int
    id: int
    connection: int
    duplicate: bool
    redelivered: bool


@dataclasses.dataclass
class Window:
    """A fault as it was done: it began, it was undone, the broker accepted connections (or None); the next one began."""
    fault: object
    begin: int
    done: int
    end: int
    accepting: int = None


@dataclasses.dataclass
class State:
    time: int   # when the application was told
    since: int  # when it began
    name: str
    code: int
    text: str


@dataclasses.dataclass
class History:
    accepted: list = dataclasses.field(default_factory=list)    # (time, first, last)
    outcomes: list = dataclasses.field(default_factory=list)    # (time, letter, first, last)
    states: list = dataclasses.field(default_factory=list)
    refused: list = dataclasses.field(default_factory=list)     # (time, code, count)
    memory: list = dataclasses.field(default_factory=list)      # (time, kilobytes)
    deliveries: list = dataclasses.field(default_factory=list)  # of Delivery, in time's order
    consumer_ends: dict = dataclasses.field(default_factory=dict)  # the end of each connection of the consumer
    windows: list = dataclasses.field(default_factory=list)     # of faults, in time's order
    report: dict = None     # the publisher's own; None: it was killed
    begin: int = 0

    def add_line(self, line):
        kind, _, rest = line.rstrip("\n").partition(" ")
        if kind == "A":
            self.accepted.append(tuple(map(int, rest.split())))
        elif kind in OUTCOMES:
            time, first, last = map(int, rest.split())
            self.outcomes.append((time, kind, first, last))
        elif kind == "E":
            time, since, name, code, text = rest.split(" ", 4)
            self.states.append(State(int(time), int(since), name, int(code), text))
        elif kind == "X":
            self.refused.append(tuple(map(int, rest.split())))
        elif kind == "M":
            self.memory.append(tuple(map(int, rest.split())))
        else:
            raise ValueError(f"a line of no kind: {line!r}")

    def read_publisher(self, path, report):
        self.report = json.loads(report) if report else None
        for line in written(path).decode().splitlines(keepends=True):
            if line.endswith("\n"):
                self.add_line(line)

    def read_consumer(self, deliveries, connections):
        data = written(deliveries)
        whole = len(data) // RECORD.size * RECORD.size
        self.deliveries = [Delivery(time, id, connection, bool(flags & FLAG_DUPLICATE), bool(flags & FLAG_REDELIVERED))
                           for time, id, connection, flags in RECORD.iter_unpack(data[:whole])]
        for line in written(connections).decode().splitlines():
            time, number, what = line.split()[:3]
            if what == "ended":
                self.consumer_ends[int(number)] = int(time)


def written(path):
    """All of a file; nothing, where its writer did not come so far."""
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as f:
        return f.read()


class Ids:
    """Tables by message id, from 1."""

    def __init__(self, history):
        self.count = max((last for _, _, last in history.accepted), default=0)
        self.accepted_at = array.array("Q", bytes(8 * (self.count + 1)))
        self.outcome = [""] * (self.count + 1)
        self.outcome_at = array.array("Q", bytes(8 * (self.count + 1)))
        self.delivered = array.array("L", bytes(8 * (self.count + 1)))


class Windows:
    """Which faults may have had to do with something that lasted from one time to another."""

    def __init__(self, windows):
        self.windows = windows
        self.begins = [w.begin for w in windows]
        self.ends = [w.end for w in windows]

    def between(self, first, last):
        return self.windows[bisect.bisect_left(self.ends, first):bisect.bisect_right(self.begins, last)]

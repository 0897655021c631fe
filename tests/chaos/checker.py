"""
The verdict on a history (history.py): what may not be, with ids and the faults around them; and the table of what was.

Every rule is one function. Faults excuse only what their table (faults.py) says they may cost.
"""
import bisect
import collections
import dataclasses

from faults import KEPT, LOST as MUST_BE_LOST
from history import CONFIRMED, LOST, NACKED, OUTCOMES, RETURNED, UNCONFIRMED, Ids, Windows

NS = 1_000_000_000
# What the consumer was given so shortly before its connection ended may be given to it again.
UNSURE_NS = 5 * NS
# The shortest of the publisher's timeouts, with something to spare (publisher.c).
SHORTEST_TIMEOUT_NS = 3 * NS
# Figures that are the publisher's own.
TOLD = ("attempted", "refused", "replayed", "connections", "channels")
# Resident memory at the end may be more by this than after the steady beginning.
MEMORY_KB = 4096
SHOWN = 5


class Checker:
    def __init__(self, history):
        self.history = history
        self.ids = Ids(history)
        self.windows = Windows(history.windows)
        self.findings = []
        self.figures = collections.Counter()

    def check(self):
        self.accepted_ids_are_numbered()
        self.outcomes_are_one_each_and_in_order()
        self.outcomes_are_allowed()
        self.deliveries_are_of_accepted_ids()
        self.order_is_kept()
        self.confirmed_ids_are_consumed()
        self.returned_ids_are_not_consumed()
        self.duplicates_are_explained()
        self.flags_are_justified()
        self.connections_are_as_expected()
        self.publisher_ended_well()
        self.memory_is_bounded()
        return self.findings

    # ---- saying so

    def seconds(self, time):
        return f"{(time - self.history.begin) / NS:+.3f} s"

    def at(self, first, last=None):
        """The faults around a time or a stretch of it."""
        around = self.windows.between(first, first if last is None else last)
        names = ", ".join(f"{w.fault.name} at {self.seconds(w.begin)}" for w in around)
        return f"{self.seconds(first)} ({names or 'no fault'})"

    def accuse(self, what, culprits):
        """One finding for all of a kind; culprits: [(id, where)]."""
        if culprits:
            some = "; ".join(f"id {id} {where}" for id, where in culprits[:SHOWN])
            more = f"; and {len(culprits) - SHOWN} more" if len(culprits) > SHOWN else ""
            self.findings.append(f"{len(culprits)} {what}: {some}{more}")

    def life(self, id):
        """From its acceptance to its outcome; to the end of all if it has none."""
        return self.ids.accepted_at[id], self.ids.outcome_at[id] or 1 << 63

    def faults_of(self, id):
        return [w.fault for w in self.windows.between(*self.life(id))]

    def account(self):
        """{row of ACCOUNT: figure}; None for what only a publisher that ended in order can tell."""
        report = self.history.report
        told = {**report["stats"], "attempted": report["attempted"]} if report else {}
        return {row: self.figures.get(row, told.get(row, None if row in TOLD else 0)) for row in ACCOUNT}

    # ---- rules

    def accepted_ids_are_numbered(self):
        expected, wrong = 1, []
        for time, first, last in self.history.accepted:
            if first != expected or last < first:
                wrong.append((first, f"accepted where {expected} was due, {self.at(time)}"))
            for id in range(first, last + 1):
                self.ids.accepted_at[id] = time
            expected = last + 1
        self.accuse("ids out of turn", wrong)
        self.figures["accepted"] = expected - 1

    def outcomes_are_one_each_and_in_order(self):
        ids, second, unknown, disorder, reached = self.ids, [], [], [], 0
        for time, letter, first, last in self.history.outcomes:
            if first <= reached:
                disorder.append((first, f"{OUTCOMES[letter]} after {reached}, {self.at(time)}"))
            reached = max(reached, last)
            for id in range(first, last + 1):
                if not 1 <= id <= ids.count:
                    unknown.append((id, f"{OUTCOMES[letter]} {self.at(time)}"))
                elif ids.outcome[id]:
                    second.append((id, f"{OUTCOMES[ids.outcome[id]]}, then {OUTCOMES[letter]} {self.at(time)}"))
                else:
                    ids.outcome[id], ids.outcome_at[id] = letter, time
                    self.figures[OUTCOMES[letter]] += 1
        self.accuse("ids with an outcome that were never accepted", unknown)
        self.accuse("ids with two outcomes", second)
        self.accuse("outcomes out of order", disorder)
        none = [(id, f"accepted {self.at(ids.accepted_at[id])}") for id in range(1, ids.count + 1) if not ids.outcome[id]]
        self.figures["without an outcome"] = len(none)
        if self.history.report:
            self.accuse("ids without an outcome", none)

    def outcomes_are_allowed(self):
        """Nacks and returns where a fault may cost them; what may have arrived, or not, never: the broker was there at the end."""
        wrong = collections.defaultdict(list)
        for id in range(1, self.ids.count + 1):
            letter = self.ids.outcome[id]
            if letter in (CONFIRMED, ""):
                continue
            allowed = {NACKED: lambda f: f.nacks, RETURNED: lambda f: f.returns}.get(letter, lambda f: False)
            if not any(map(allowed, self.faults_of(id))):
                wrong[letter].append((id, self.at(*self.life(id))))
        for letter in (NACKED, RETURNED, UNCONFIRMED, LOST):
            self.accuse(f"ids {OUTCOMES[letter]} without a reason", wrong[letter])

    def deliveries_are_of_accepted_ids(self):
        unknown = []
        for d in self.history.deliveries:
            if 1 <= d.id <= self.ids.count:
                self.ids.delivered[d.id] += 1
            elif self.history.report:
                unknown.append((d.id, f"consumed {self.at(d.time)}"))
        self.accuse("ids consumed that were never accepted", unknown)
        self.figures["deliveries"] = len(self.history.deliveries)
        self.figures["consumed"] = sum(n > 0 for n in self.ids.delivered)

    def order_is_kept(self):
        """
        First copies come in the order of their ids. Excused are those the broker gives again: it had given them to a connection
        of the consumer that had ended, or it does so later, when it has found out, after it has given us our second copy.
        """
        again = {d.id for d in self.history.deliveries if d.redelivered}
        highest, seen, wrong = 0, bytearray(self.ids.count + 1), []
        for d in self.history.deliveries:
            if not 1 <= d.id <= self.ids.count:
                continue
            if d.id < highest and not seen[d.id] and d.id not in again:
                wrong.append((d.id, f"first consumed after {highest}, {self.at(d.time)}"))
            seen[d.id] = 1
            highest = max(highest, d.id)
        self.accuse("ids consumed out of order", wrong)

    def consumed_up_to(self, times):
        """For each time: the highest id that had been consumed by then."""
        highest, at, out = 0, 0, []
        for time in times:
            while at < len(self.history.deliveries) and self.history.deliveries[at].time < time:
                highest = max(highest, self.history.deliveries[at].id)
                at += 1
            out.append(highest)
        return out

    def confirmed_ids_are_consumed(self):
        """
        Excused is what lay in a queue when that was destroyed, or was on its way to it: ids accepted before it was there again,
        and higher than any the consumer had had.
        """
        lossy = [w for w in self.history.windows if w.fault.destroys]
        reached = self.consumed_up_to([w.begin for w in lossy])
        missing = []
        for id in range(1, self.ids.count + 1):
            if self.ids.outcome[id] != CONFIRMED or self.ids.delivered[id]:
                continue
            accepted_at = self.ids.accepted_at[id]
            if any(id > up_to and accepted_at <= w.done for w, up_to in zip(lossy, reached)):
                self.figures["destroyed with their queue"] += 1
            else:
                missing.append((id, f"accepted {self.seconds(accepted_at)}, confirmed {self.at(self.ids.outcome_at[id])}"))
        self.accuse("confirmed ids that nobody can consume", missing)

    def returned_ids_are_not_consumed(self):
        """Unless it is a copy of an earlier connection that was."""
        wrong = []
        for id in range(1, self.ids.count + 1):
            if not self.ids.delivered[id]:
                continue
            if self.ids.outcome[id] == NACKED:
                self.figures["nacked, yet consumed"] += 1
            elif self.ids.outcome[id] == RETURNED:
                self.figures["returned, yet consumed"] += 1
                if not self.may_have_been_replayed(id):
                    wrong.append((id, self.at(*self.life(id))))
        self.accuse("ids returned and yet consumed", wrong)

    def may_have_been_replayed(self, id):
        return any(w.fault.connection != KEPT or self.ended_connection(w) for w in self.windows.between(*self.life(id)))

    def ended_connection(self, window):
        return any(s.name in ("DISCONNECTED", "READY") and window.begin <= s.time < window.end for s in self.history.states)

    def copies(self):
        """{id: its deliveries, in time's order} of those delivered more than once."""
        out = collections.defaultdict(list)
        for d in self.history.deliveries:
            if 1 <= d.id <= self.ids.count and self.ids.delivered[d.id] > 1:
                out[d.id].append(d)
        return out

    def duplicates_are_explained(self):
        """By our flag, by the broker's, or by the end of the connection that had it before: then its ack may be lost."""
        wrong = []
        for id, deliveries in self.copies().items():
            for i, d in enumerate(deliveries[1:], 1):
                if d.duplicate:
                    self.figures["duplicates flagged by us"] += 1
                elif d.redelivered:
                    self.figures["duplicates flagged by the broker"] += 1
                elif self.reconnect_between(deliveries[:i], d):
                    self.figures["duplicates of a reconnect"] += 1
                else:
                    wrong.append((id, f"consumed again without a flag on connection {d.connection}, {self.at(d.time)}"))
        self.accuse("unexplained duplicates", wrong)

    def reconnect_between(self, earlier, d):
        ends = self.history.consumer_ends
        return any(e.connection < d.connection and ends.get(e.connection, e.time) - e.time <= UNSURE_NS for e in earlier)

    def flags_are_justified(self):
        """harewire-dup is on what was without an outcome when a connection ended, and on nothing else."""
        flagged = {d.id for d in self.history.deliveries if d.duplicate and 1 <= d.id <= self.ids.count}
        self.accuse("ids flagged as duplicates without a reason",
                    [(id, self.at(*self.life(id))) for id in sorted(flagged) if not self.may_have_been_replayed(id)])

    def connections_are_as_expected(self):
        """
        A fault that is to end the connection does so, one that is not does not: else the run has tested something else. But on
        a host that is too busy for its brokers a fault that takes long may end a connection by the publisher's timeouts.
        """
        for w in self.history.windows:
            ended = self.ended_connection(w)
            if ended and w.fault.connection == KEPT and w.done - w.begin < SHORTEST_TIMEOUT_NS:
                self.findings.append(f"{w.fault.name} at {self.seconds(w.begin)} ended the connection")
            elif ended and w.fault.connection == KEPT:
                self.figures["connections that timed out"] += 1
            elif not ended and w.fault.connection == MUST_BE_LOST:
                self.findings.append(f"{w.fault.name} at {self.seconds(w.begin)} did not end the connection")

    def publisher_ended_well(self):
        if self.history.report is None:
            return
        for s in self.history.states:
            if s.name == "FAILED":
                self.findings.append(f"the publisher failed {self.at(s.time)}: {s.text}")
        stats = self.history.report["stats"]
        for name in ("accepted", *OUTCOMES.values()):
            if stats[name] != self.figures[name]:
                self.findings.append(f"the publisher's figures say {stats[name]} {name}, its events {self.figures[name]}")

    def memory_is_bounded(self):
        """From the beginning of the first fault, when its log has gone round, to the end."""
        before = self.memory_before()
        if before and self.history.memory[-1][1] > before + MEMORY_KB:
            self.findings.append(f"resident memory grew from {before} kB before the first fault "
                                 f"to {self.history.memory[-1][1]} kB at the end")

    def memory_before(self):
        """Resident, in kB, at the end of the steady beginning; 0 if nothing is known."""
        begins = self.windows.begins[0] if self.windows.begins else 1 << 63
        return max(((time, kb) for time, kb in self.history.memory if time < begins), default=(0, 0))[1]


# ---- what was

ACCOUNT = ("attempted", "refused", "accepted", *OUTCOMES.values(), "without an outcome", "replayed", "consumed", "deliveries",
           "duplicates flagged by us", "duplicates flagged by the broker", "duplicates of a reconnect", "nacked, yet consumed",
           "returned, yet consumed", "destroyed with their queue", "connections", "channels", "connections that timed out")


@dataclasses.dataclass
class Row:
    """What a fault did to the flow. Times in ns."""
    window: object
    standstill: int   # the longest time between two confirms around it
    resumed: int      # from the broker accepting connections to the first confirm after that; None: it was not started
    attempts: int     # connections made


def rows(history):
    confirms = sorted(time for time, letter, *_ in history.outcomes if letter == CONFIRMED)
    out = []
    for w in history.windows:
        first, last = bisect.bisect_left(confirms, w.begin), bisect.bisect_left(confirms, w.end)
        around = confirms[max(first - 1, 0):last]
        standstill = max((b - a for a, b in zip(around, around[1:])), default=w.end - w.begin)
        resumed = next((t - w.accepting for t in around if w.accepting and t >= w.accepting), None)
        ready = sum(s.name == "READY" and w.begin <= s.time < w.end for s in history.states)
        out.append(Row(w, standstill, resumed, ready))
    return out


def table(history):
    lines = [f"{'fault':<18}{'begins':>9}{'lasts':>8}{'flow stood still':>18}{'accepting to confirm':>22}{'connections':>13}"]
    for row in rows(history):
        w = row.window
        resumed = f"{row.resumed / 1e6:,.0f} ms" if row.resumed is not None else "-"
        lines.append(f"{w.fault.name:<18}{(w.begin - history.begin) / NS:>7.1f} s{(w.done - w.begin) / NS:>6.1f} s"
                     f"{row.standstill / 1e6:>15,.0f} ms{resumed:>22}{row.attempts:>13}")
    return "\n".join(lines)

"""What has to hold of every run, whatever time it took; and that the benchmark sees what it is there to see."""
import pattern
from load import Load

SENDERS = ("kernel", "af_xdp")
LOADS = (Load(0, 500), Load(0.1, 3000), Load(1, 1000), Load(5, 200), Load(20, 40), Load(1, 300, 1000))
PAUSE_MS = DELAY_MS = 100


class Broken(Exception):
    pass


def must_hold(result):
    """Octets arrived as sent; losses hit this sender as the pattern says, and so hit any other sender alike."""
    said = f"{result['sender']}, {result['per_cent']:g} %, seed {result['seed']}"
    per_million = round(result["per_cent"] * 10000)
    if not result["intact"]:
        raise Broken(f"{said}: what was received is not what was sent")
    if result["oversize"]:
        raise Broken(f"{said}: {result['oversize']} packets of several segments: offloads are on")
    for direction, name in ((pattern.DATA, "data"), (pattern.ACKS, "acks")):
        seen, dropped = result[name + "_seen"], (result[name + "_dropped"], result[name + "_dropped_numbers"])
        expected = pattern.lost_of(result["seed"], direction, seen, per_million)
        if dropped != expected:
            raise Broken(f"{said}: of {seen} {name} packets the pattern loses {expected[0]}, whose numbers add up to {expected[1]}; "
                         f"lost were {dropped[0]}, whose numbers add up to {dropped[1]}")
    octets = result["count"] * result["size"]
    if result["data_seen"] * 1500 < octets:
        raise Broken(f"{said}: {result['data_seen']} packets cannot have carried {octets} octets")


def attempt(name, function):
    try:
        function()
    except Exception as e:
        print(f"not ok  {name}: {e}", flush=True)
        return False
    print(f"ok      {name}", flush=True)
    return True


def octets_and_losses(bench, sender, load):
    for seed in (1, 2, 3):
        result = bench.run(sender, load, seed)
        must_hold(result)
    if load.per_cent >= 1 and not result["data_dropped"]:
        raise Broken("nothing was lost")


def pause_is_seen(bench, sender):
    result = bench.run(sender, Load(0, 3000), 1, ["-p", PAUSE_MS])
    if result["stall_ns"] < PAUSE_MS * 1e6:
        raise Broken(f"the sink stopped for {PAUSE_MS} ms, and the longest stall is {result['stall_ns'] / 1e6:.1f} ms")


def delay_is_seen(bench, sender):
    result = bench.run(sender, Load(0, 20, 5), 1, ["-d", DELAY_MS])
    p50 = result["published"]["due_to_confirm"]["p50"]
    if p50 < DELAY_MS * 1000 * 0.98:  # the histogram's resolution
        raise Broken(f"confirms came after {DELAY_MS} ms, and half of the messages are said to have taken less than {p50} us")


def run(bench):
    good = []
    for load in LOADS:
        for sender in SENDERS:
            name = f"{sender}: {load.count} messages{f' at {load.rate}/s' if load.rate else ''}, {load.per_cent:g} % lost each way: " \
                "every octet as sent, losses as the pattern says"
            good.append(attempt(name, lambda: octets_and_losses(bench, sender, load)))
    for sender in SENDERS:
        good.append(attempt(f"{sender}: a sink that stops is seen", lambda: pause_is_seen(bench, sender)))
        good.append(attempt(f"{sender}: a sink that confirms late is seen", lambda: delay_is_seen(bench, sender)))
    print(f"{sum(good)} passed, {len(good) - sum(good)} failed")
    return 0 if all(good) else 1
